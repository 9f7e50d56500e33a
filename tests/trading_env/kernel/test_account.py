"""The account against a slow reference in exact arithmetic, its identity, and trades computed by hand."""

import math
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_env import Costs, Margin, Market, TradingEnv

HOLD = None


def commission(d, p, costs):
    """Commission of d units at p, exact."""
    fill = p * (1 + costs["s"]) if d > 0 else p * (1 - costs["s"])
    return max(costs["m"], costs["F"] + costs["f"] * abs(d) * fill + costs["g"] * abs(d))


def solve(w, units, equity, p, costs):
    """Units d with (U + d) p = w (E_p - cost(d)) by plain fixed-point iteration at 60 digits; None if no trade."""
    if w == 0:
        return -units
    gap = w * equity - units * p
    if abs(gap) <= Fraction(1, 10**13) * (abs(w * equity) + abs(units * p)):
        return Fraction(0)
    with localcontext(prec=60):
        as_decimal = {k: Decimal(v.numerator) / Decimal(v.denominator) for k, v in costs.items()}
        w_, units_, equity_, p_ = (Decimal(x.numerator) / Decimal(x.denominator) for x in (w, units, equity, p))
        side = 1 if gap > 0 else -1
        d = (w_ * equity_ - units_ * p_) / p_
        for _ in range(400):
            size = max(side * d, Decimal("1e-50"))
            cost = as_decimal["s"] * size * p_ + commission(side * size, p_, as_decimal)
            d = (w_ * (equity_ - cost) - units_ * p_) / p_
        d = Fraction(d)
    if d * side <= 0 or (units + d) * w < 0:
        return Fraction(0)
    return d


class ReferenceAccount:
    """Section by section what the account should do, in fractions."""

    def __init__(self, cash, costs, margin, fill, rebalance, years):
        x = Fraction
        self.costs = {
            "s": x(costs.half_spread) + x(costs.slippage),
            "f": x(costs.commission),
            "F": x(costs.fixed),
            "m": x(costs.minimum),
            "g": x(costs.per_unit),
        }
        self.margin, self.fill, self.rebalance, self.years = margin, fill, rebalance, x(years)
        self.cash, self.units, self.target = x(cash), x(0), x(0)

    def finance(self, close):
        m, zero = self.margin, Fraction(0)
        earning = self.cash if m.short_proceeds_earn else self.cash + min(self.units, zero) * close
        paid = -Fraction(m.r_cash) * max(earning, zero)
        paid += Fraction(m.r_margin) * max(-self.cash, zero)
        paid += Fraction(m.r_borrow) * max(-self.units, zero) * close
        self.cash -= paid * self.years
        return paid * self.years

    def trade(self, order, p):
        if order is HOLD:
            return Fraction(0)
        order, equity = Fraction(order), self.cash + self.units * p
        if equity <= 0:
            self.target = Fraction(0)
            return -self.units
        if not self.rebalance and order == self.target:
            return Fraction(0)
        self.target = order
        return solve(order, self.units, equity, p, self.costs)

    def way(self, bar, c1):
        """The bar's open, its worst price for the position, and its close."""
        opened, low, high = map(Fraction, bar)
        return opened, low if self.units > 0 else high, c1

    def pay(self, d, p):
        fee, slip = (
            (Fraction(0), Fraction(0)) if d == 0 else (commission(d, p, self.costs), self.costs["s"] * abs(d) * p)
        )
        self.cash -= d * p + fee + slip
        self.units += d
        return fee, slip

    def short_of_margin(self, price):
        """How much equity the position lacks at this price, exact; negative where it has more than it needs."""
        return Fraction(self.margin.maintenance) * abs(self.units) * price - self.cash - self.units * price

    def called(self, prices):
        """The price of a margin call on the bar's way over its first, worst and last price, exact; None without."""
        first, worst, _ = prices
        lacks = [self.short_of_margin(price) for price in prices]
        if self.units == 0 or max(lacks) <= 0:
            return None
        if lacks[0] > 0:
            return first
        return first + (worst - first) * lacks[0] / (lacks[0] - lacks[1])  # linear in the price

    def step(self, order, c0, p, c1, bar=None):
        c0, p, c1 = Fraction(c0), Fraction(p), Fraction(c1)
        before, equity, call = self.units, self.cash + self.units * c0, None
        financing = self.finance(c0) if self.fill != "close" else None
        if bar is not None and self.fill == "next_close":
            call = self.called(self.way(bar, c1))
        d = Fraction(0) if call else self.trade(order, p)
        fee, slip = self.pay(d, p)
        traded = abs(d) * p
        if financing is None:
            financing = self.finance(c0)
        if call is None:
            through = bar is not None and self.fill != "next_close"
            call = self.called(self.way(bar, c1) if through else (c1, c1, c1))
        pnl = before * (p - c0) + self.units * ((call or c1) - p)
        if call is not None:
            traded += abs(self.units) * call
            more_fee, more_slip = self.pay(-self.units, call)
            fee, slip, self.target = fee + more_fee, slip + more_slip, Fraction(0)
        return {
            "equity": self.cash + self.units * c1,
            "cash": self.cash,
            "units": self.units,
            "price": p,
            "pnl": pnl,
            "commission": fee,
            "slippage": slip,
            "financing": financing,
            "turnover": traded / equity,
        }


def make_env(opens, closes, high=None, low=None, **keywords):
    market = Market.from_arrays(close=closes, open=opens, high=high, low=low)
    keywords = {"window": 1, "features": np.zeros((len(closes), 1)), **keywords}
    return TradingEnv(market, **keywords)


def fill_price(fill, opens, closes, t):
    return {"next_open": opens[t + 1], "next_close": closes[t + 1], "close": closes[t]}[fill]


rate = st.floats(0.0, 0.05)
money = st.floats(0.0, 50.0)


@st.composite
def cases(draw, proportional):
    n = draw(st.integers(4, 10))
    moves = draw(st.lists(st.floats(-0.35, 0.35), min_size=2 * n, max_size=2 * n))
    prices = 100.0 * np.exp(np.cumsum(moves))
    costs = Costs(commission=draw(rate), half_spread=draw(rate), slippage=draw(rate))
    if not proportional:
        costs = replace(costs, fixed=draw(money), minimum=draw(money), per_unit=draw(st.floats(0.0, 0.01)))
    margin = Margin(
        max_leverage=3.0,
        maintenance=draw(st.sampled_from([0.0, 0.1, 0.3])),
        ruin_fraction=draw(st.sampled_from([0.01, 0.5])),
        r_cash=draw(rate),
        r_margin=draw(rate),
        r_borrow=draw(rate),
        short_proceeds_earn=draw(st.booleans()),
        intrabar=draw(st.booleans()),
    )
    targets = draw(st.sampled_from(["buy_hold_sell", (-1.0, 0.0, 0.4, 1.0), (-2.5, -1.0, 0.0, 0.7, 3.0)]))
    n_actions = 3 if targets == "buy_hold_sell" else len(targets)
    keywords = {
        "costs": costs,
        "margin": margin,
        "actions": targets,
        "allow_short": draw(st.booleans()) if targets == "buy_hold_sell" else None,
        "fill": draw(st.sampled_from(["next_open", "next_close", "close"])),
        "sizing": draw(st.sampled_from(["drift", "rebalance"])),
        "bars_per_year": draw(st.sampled_from([1.0, 12.0, 252.0])),
        "initial_cash": 10_000.0,
    }
    actions = draw(st.lists(st.integers(0, n_actions - 1), min_size=n - 1, max_size=n - 1))
    opens, closes, ranges = prices[::2], prices[1::2], {}
    if draw(st.booleans()):
        wicks = np.array(draw(st.lists(st.floats(0.0, 0.6), min_size=2 * n, max_size=2 * n)))
        ranges["high"] = np.maximum(opens, closes) * (1.0 + wicks[:n])
        ranges["low"] = np.minimum(opens, closes) * (1.0 - wicks[n:])
    return opens, closes, {**keywords, **ranges}, actions


def moved(equity, held, info, close):
    """What moved in a step from an equity and a notional held: equities, notionals held and traded."""
    traded = info["turnover"] * abs(equity)
    return abs(equity) + abs(info["equity"]) + abs(held) + abs(info["units"]) * close + traded


def check_against_reference(case):
    opens, closes, keywords, actions = case
    env = make_env(opens, closes, **keywords)
    env.reset(seed=0)
    ranged = "low" in keywords and keywords["margin"].intrabar
    account = ReferenceAccount(
        keywords["initial_cash"],
        keywords["costs"],
        keywords["margin"],
        keywords["fill"],
        keywords["sizing"] == "rebalance",
        1.0 / keywords["bars_per_year"],
    )
    equity, held = keywords["initial_cash"], 0.0
    for t, action in enumerate(actions):
        order = float(env.task.orders[action])
        price = fill_price(keywords["fill"], opens, closes, t)
        bar = (opens[t + 1], keywords["low"][t + 1], keywords["high"][t + 1]) if ranged else None
        expected = account.step(HOLD if math.isnan(order) else order, closes[t], price, closes[t + 1], bar)
        _, reward, terminated, truncated, info = env.step(action)
        scale = max(abs(equity), abs(info["equity"]), abs(info["units"]) * closes[t + 1], 1.0)
        for key, value in expected.items():
            size = {
                "units": scale / closes[t + 1],
                "price": closes[t + 1],
                "turnover": 1.0 + float(expected["turnover"]),
            }
            assert info[key] == pytest.approx(float(value), rel=1e-9, abs=1e-9 * size.get(key, scale)), key
        terms = info["pnl"] - info["commission"] - info["slippage"] - info["financing"]
        assert info["equity"] - equity == pytest.approx(terms, abs=1e-12 * moved(equity, held, info, closes[t + 1]))
        held = info["units"] * closes[t + 1]
        floor = keywords["margin"].ruin_fraction * keywords["initial_cash"]
        assert reward == pytest.approx(math.log(max(info["equity"], floor) / equity), abs=1e-9)
        assert terminated == (info["equity"] <= floor)
        assert truncated == (t == len(closes) - 2 and not terminated)
        equity = info["equity"]
        if terminated:
            break
    return account


@settings(max_examples=300, deadline=None)
@given(cases(proportional=True))
def test_account_equals_the_exact_reference_with_proportional_costs(case):
    check_against_reference(case)


@settings(max_examples=300, deadline=None)
@given(cases(proportional=False))
def test_account_equals_the_exact_reference_with_fixed_minimum_and_per_unit_costs(case):
    check_against_reference(case)


FLAT_COSTS = Costs(commission=0.01, half_spread=0.01, slippage=0.01)


def one_trade(order, costs, price=100.0, close=100.0, **keywords):
    env = make_env([price, price, price], [price, close, close], actions=(order, 0.0), costs=costs, **keywords)
    env.reset()
    return env.step(0)[4]


def test_a_buy_pays_the_closed_form_by_hand():
    info = one_trade(1.0, FLAT_COSTS, initial_cash=1000.0)
    # s = .02, f = .01: kb = .02 + .01 + .0002 = .0302, notional = 1000 / 1.0302
    assert info["units"] == pytest.approx(1000 / 1.0302 / 100, rel=1e-14)
    assert info["slippage"] == pytest.approx(0.02 * 1000 / 1.0302, rel=1e-13)
    assert info["commission"] == pytest.approx(0.01 * 1.02 * 1000 / 1.0302, rel=1e-13)
    assert info["cash"] == pytest.approx(0.0, abs=1e-10)


def test_a_short_sale_earns_the_closed_form_by_hand():
    info = one_trade(-1.0, FLAT_COSTS, initial_cash=1000.0)
    # ks = .02 + .01 - .0002 = .0298, d = -1000 / (100 (1 + .0298))
    assert info["units"] == pytest.approx(-1000 / 1.0298 / 100, rel=1e-14)
    assert info["exposure"] == pytest.approx(-1.0, rel=1e-13)


def test_exposure_after_the_trade_is_the_target_net_of_cost():
    for order in (-2.0, -0.3, 0.2, 1.0, 2.0):
        info = one_trade(order, Costs(0.002, 0.001, 0.003, 2.0, 15.0, 0.01), margin=Margin(max_leverage=2.0))
        assert info["exposure"] == pytest.approx(order, rel=1e-12)


def test_a_trade_that_its_own_cost_turns_round_is_no_trade_and_the_choice_counts():
    costs = Costs(0, 0, 0, fixed=5.0)
    env = make_env([100.0] * 4, [100.0] * 4, actions=(0.5, 0.502), costs=costs, initial_cash=1000.0)
    env.reset()
    units = env.step(0)[4]["units"]
    obs, _, _, _, info = env.step(1)  # 2 more of notional, less .502 * 5 of cost, is none
    assert info["units"] == units
    assert info["commission"] == 0.0
    assert obs[-3] == np.float32(0.502)  # the account remembers the choice


def test_at_its_target_an_account_pays_no_minimum_for_rounding():
    costs = Costs(0, 0, 0, minimum=1.0)
    env = make_env([3.0] * 50, [3.0] * 50, actions=(0.7, 1.0), sizing="rebalance", costs=costs)
    env.reset()
    assert [env.step(0)[4]["commission"] for _ in range(49)] == [1.0] + [0.0] * 48


def test_minimum_commission_binds_below_its_break_even_only():
    costs = Costs(commission=0.01, half_spread=0, slippage=0, minimum=5.0)
    assert one_trade(0.2, costs, initial_cash=1000.0)["commission"] == 5.0
    assert one_trade(1.0, costs, initial_cash=1000.0)["commission"] == pytest.approx(1000 / 1.01 * 0.01)


def test_lots_round_the_trade_toward_zero():
    env = make_env(
        [100.0] * 4, [100.0] * 4, actions=(1.0, -1.0), lot_size=3.0, costs=Costs(0, 0, 0), initial_cash=1000.0
    )
    env.reset()
    assert env.step(0)[4]["units"] == 9.0
    assert env.step(1)[4]["units"] == -9.0  # 19 units of sale are 6 lots


def test_the_band_suppresses_small_trades_only():
    keywords = {"sizing": "rebalance", "min_trade": 0.1, "costs": Costs(0, 0, 0), "actions": (0.5, 0.55, 0.7)}
    env = make_env([100.0] * 5, [100.0] * 5, **keywords)
    env.reset()
    assert env.step(0)[4]["exposure"] == pytest.approx(0.5)
    assert env.step(1)[4]["turnover"] == 0.0
    assert env.step(2)[4]["exposure"] == pytest.approx(0.7)


def test_drift_trades_on_a_new_choice_and_rebalance_at_each_bar():
    prices = [100.0, 100.0, 150.0, 80.0, 120.0]
    turnover = {}
    for sizing in ("drift", "rebalance"):
        env = make_env(prices, prices, actions=(0.0, 0.5), sizing=sizing, costs=Costs(0, 0, 0))
        env.reset()
        turnover[sizing] = [env.step(1)[4]["turnover"] > 0 for _ in range(4)]
    assert turnover == {"drift": [True, False, False, False], "rebalance": [True, True, True, True]}


def test_liquidation_closes_at_the_close_with_its_costs_and_the_agent_goes_on():
    closes = [100.0, 100.0, 70.0, 70.0, 70.0]
    keywords = {
        "actions": (0.0, 3.0),
        "margin": Margin(max_leverage=3.0, maintenance=0.25),
        "costs": Costs(0.001, 0, 0),
    }
    env = make_env([100.0, 100.0, 100.0, 70.0, 70.0], closes, initial_cash=1000.0, **keywords)
    env.reset()
    env.step(1)
    obs, _, terminated, _, info = env.step(1)
    assert info["units"] == 0.0
    assert not terminated
    assert info["commission"] == pytest.approx(0.001 * 70 * 3 * (1000 / 1.003) / 100)
    assert obs[-3] == 0.0  # liquidation sets the target to 0
    assert env.step(1)[4]["units"] > 0.0  # the same choice enters again


@pytest.mark.parametrize("target", [-4.0, 4.0])
def test_a_position_taken_to_the_edge_of_its_maintenance_is_not_liquidated_for_rounding(target):
    margin, costs = Margin(max_leverage=4.0, maintenance=0.25), Costs(0.003, 0.001, 0.0)
    for price in np.linspace(1.1, 99.7, 200):
        prices = [float(price)] * 3
        env = make_env(prices, prices, actions=(0.0, target), margin=margin, costs=costs, fill="next_close")
        env.reset()
        info = env.step(1)[4]
        assert info["exposure"] == pytest.approx(target, rel=1e-12)


def test_a_gap_through_the_account_closes_whatever_is_chosen_but_hold_rides_on():
    opens, closes = [100.0, 100.0, 350.0, 60.0, 60.0], [100.0, 100.0, 60.0, 60.0, 60.0]
    for action, units in ((2, 0.0), (0, 0.0), (1, -10.0)):
        env = make_env(opens, closes, allow_short=True, costs=Costs(0, 0, 0), initial_cash=1000.0)
        env.reset()
        env.step(0)
        assert env.step(action)[4]["units"] == pytest.approx(units)


def test_ruin_terminates_with_the_loss_in_the_reward_and_wins_over_truncation():
    closes = [100.0, 100.0, 1000.0]
    env = make_env([100.0, 100.0, 100.0], closes, allow_short=True, costs=Costs(0, 0, 0))
    env.reset()
    env.step(0)
    _, reward, terminated, truncated, info = env.step(1)
    assert info["equity"] < 0
    assert (terminated, truncated) == (True, False)
    assert reward == pytest.approx(math.log(0.01))


def test_one_unlevered_short_needs_no_leverage():
    info = one_trade(-1.0, Costs(0, 0, 0), close=90.0, initial_cash=1000.0)
    assert info["equity"] == pytest.approx(1100.0)


def test_interest_accrues_on_every_bar():
    env = make_env([100.0] * 6, [100.0] * 6, margin=Margin(r_cash=0.12), bars_per_year=12, initial_cash=1000.0)
    env.reset()
    for t in range(1, 6):
        assert env.step(1)[4]["equity"] == pytest.approx(1000 * 1.01**t, rel=1e-14)


def test_the_broker_refuses_lots_beyond_the_margin():
    env = make_env(
        [100.0] * 5, [100.0] * 5, actions="lots", lots=2, lot_size=4.0, costs=Costs(0, 0, 0), initial_cash=1000.0
    )
    env.reset()
    assert env.step(4)[4]["units"] == 8.0
    assert env.step(3)[4]["units"] == 8.0  # 12 units would be 1.2 times the equity
    assert env.step(0)[4]["units"] == 0.0


TENTHS = {"lot_size": 0.1, "initial_cash": 1000.0}


def test_selling_all_lots_leaves_nothing():
    targets = (-0.005, 0.0, 0.0105, 0.0205, 0.0305, 0.0405)
    costs = Costs(0.0, 0.0, 0.0, fixed=5.0)
    env = make_env([100.0] * 9, [100.0] * 9, actions=targets, sizing="rebalance", costs=costs, **TENTHS)
    env.reset()
    infos = [env.step(action)[4] for action in (4, 2, 0, 1)]
    assert [info["units"] for info in infos] == [pytest.approx(0.3), 0.2, 0.0, 0.0]
    assert infos[3]["commission"] == 0.0


def test_a_position_sold_in_other_lots_than_bought_shows_no_return():
    closes = [100.0] * 5 + [150.0] * 2
    env = make_env(closes, closes, actions="lots", lots=2, costs=Costs(0.0, 0.0, 0.0), **TENTHS)
    env.reset()
    for action in (3, 4, 1, 0, 2):
        obs, *_, info = env.step(action)
    assert (info["units"], obs[-2]) == (0.0, 0.0)


def test_the_last_lot_is_charged_once():
    costs = Costs(0.0, 0.0, 0.0, minimum=300.0)
    env = make_env([100.0] * 9, [100.0] * 9, actions="lots", lots=2, reward="pnl", costs=costs, **TENTHS)
    env.reset()
    for action in (3, 4, 1):
        env.step(action)
    _, reward, _, _, info = env.step(0)
    assert (reward, info["commission"], info["equity"]) == (-300.0, 300.0, -200.0)


@pytest.mark.parametrize("lots", [(3, 0, 0), (5, -2, 0)])
def test_a_turn_to_the_other_side_beyond_the_margin_is_refused_however_the_position_came(lots):
    closes = [60.0] * 4 + [10.0] * 3
    keywords = {"actions": "lots", "lots": 6, "margin": Margin(max_leverage=2.0), "costs": Costs(0.0, 0.0, 0.0)}
    env = make_env(closes, closes, lot_size=0.1, initial_cash=16.0, **keywords)
    env.reset()
    for lot in lots:
        env.step(6 + lot)
    assert env.step(0)[4]["units"] == pytest.approx(0.3)  # -0.3 units would be twice what the margin allows
    assert env.step(3)[4]["units"] == 0.0


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_identity_holds_to_rounding_of_what_moved_where_equity_is_a_sliver_of_the_position(sign):
    rng = np.random.default_rng(7)
    closes = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 2e-5, 2000)))
    margin = Margin(max_leverage=1e4, ruin_fraction=1e-4)
    keywords = {"actions": (0.0, sign * 1e4), "margin": margin, "costs": Costs(1e-7, 0.0, 1e-7), "sizing": "rebalance"}
    env = make_env(closes, closes, random_start=True, **keywords)
    worst = n = 0.0
    for seed in range(300):
        _, info = env.reset(seed=seed)
        terminated = truncated = False
        while not (terminated or truncated):
            before = info
            action = int(rng.random() < 0.9)
            _, _, terminated, truncated, info = env.step(action)
            terms = info["pnl"] - info["commission"] - info["slippage"] - info["financing"]
            held = before["units"] * closes[int(before["bar"])]
            size = moved(before["equity"], held, info, closes[info["bar"]])
            worst = max(worst, abs(info["equity"] - before["equity"] - terms) / size)
            n += abs(held) > 5e3 * abs(before["equity"])
    assert n > 300
    assert worst < 1e-12
