"""The account of K instruments against a slow reference in exact arithmetic, its identity, and a trade by hand."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading_env.markets import random_market
from trading_env import Costs, Margin, Market, Panel, PortfolioEnv, TradingEnv

ZERO = Fraction(0)


# -- the reference -----------------------------------------------------------------------------------------------------


class ReferenceTrades:
    """The trades of one instrument's costs, in fractions."""

    def __init__(self, costs):
        self.s = Fraction(costs.half_spread) + Fraction(costs.slippage)
        self.f, self.fixed = Fraction(costs.commission), Fraction(costs.fixed)
        self.minimum, self.per_unit = Fraction(costs.minimum), Fraction(costs.per_unit)

    def commission(self, d, p, limit=False):
        """Commission of d units at p; with ``limit`` that of a trade that shrinks to nothing."""
        if d == 0 and not limit:
            return ZERO
        fill = p * (1 + self.s) if d > 0 else p * (1 - self.s)
        return max(self.minimum, self.fixed + self.f * abs(d) * fill + self.per_unit * abs(d))

    def cost(self, d, p, limit=False):
        return self.s * abs(d) * p + self.commission(d, p, limit)

    def kinks(self, w, units, p):
        """Bases at which the cost of trading to w * base is not smooth."""
        yield units * p / w
        for side in (1, -1):
            rate = self.f * (1 + side * self.s) * p + self.per_unit
            if self.minimum > self.fixed and rate > 0:
                yield (units * p + side * (self.minimum - self.fixed) / rate * p) / w


def solve(weights, units, prices, costs, equity, frozen, limit):
    """The base Y of the weights and the equity X after all costs, by sorting the kinks; exact."""
    gross = sum(abs(w) for w in weights.values())
    frozen = frozen if gross else ZERO

    def left(base):
        return max(base, (gross * base + frozen) / limit) if frozen else base

    def excess(base):
        trades = {k: (w * base - units[k] * prices[k]) / prices[k] for k, w in weights.items()}
        return left(base) + sum(costs[k].cost(d, prices[k], limit=True) for k, d in trades.items()) - equity

    kinks = {base for k, w in weights.items() if w for base in costs[k].kinks(w, units[k], prices[k])}
    if frozen and gross < limit:
        kinks.add(frozen / (limit - gross))
    kinks = sorted(kinks)
    kinks = [kinks[0] - equity - 1, *kinks, max(kinks[-1], 2 * equity) + equity] if kinks else [ZERO, equity]
    below = [base for base in kinks if excess(base) <= 0]
    start = below[-1] if below else kinks[0]
    end = next((base for base in kinks if base > start), start + equity)
    slope = (excess(end) - excess(start)) / (end - start)
    base = start - excess(start) / slope
    base = max(base, ZERO) if frozen else base
    return base, equity - (excess(base) - left(base) + equity)


class ReferencePortfolio:
    """Section by section what the account should do, in fractions."""

    def __init__(self, panel, cash, costs, margin, fill, years, min_trade, returns):
        self.panel, self.margin, self.fill, self.years = panel, margin, fill, Fraction(years)
        self.costs, self.min_trade = [ReferenceTrades(costs[symbol]) for symbol in panel.symbols], Fraction(min_trade)
        self.returns = [Fraction(returns.get(symbol, 0.0)) for symbol in panel.symbols]
        self.n = len(panel.symbols)
        self.cash, self.units = Fraction(cash), [ZERO] * self.n
        rows = [np.flatnonzero(panel.tradable[:, k]) for k in range(self.n)]
        self.last = [int(row[-1]) if row[-1] < len(panel) - 1 else None for row in rows]

    def mark(self, t, k):
        """The last close up to t; 0 before the first."""
        rows = np.flatnonzero(self.panel.tradable[: t + 1, k])
        return Fraction(self.panel.close[rows[-1], k]) if len(rows) else ZERO

    def equity(self, prices):
        return self.cash + sum(u * p for u, p in zip(self.units, prices, strict=True))

    def finance(self, closes):
        m = self.margin
        shorts = sum(max(-u, ZERO) * c for u, c in zip(self.units, closes, strict=True))
        earning = self.cash if m.short_proceeds_earn else self.cash - shorts
        paid = Fraction(m.r_margin) * max(-self.cash, ZERO) + Fraction(m.r_borrow) * shorts
        paid = (paid - Fraction(m.r_cash) * max(earning, ZERO)) * self.years
        self.cash -= paid
        return paid

    def prices(self, t):
        """Fill prices of orders at t, and the instruments that can be traded at them."""
        row = t if self.fill == "close" else t + 1
        open_ = [k for k in range(self.n) if self.panel.tradable[row, k] and (self.last[k] is None or t < self.last[k])]
        p = [self.mark(row, k) for k in range(self.n)]
        if self.fill == "next_open":
            p = [Fraction(self.panel.open[row, k]) if k in open_ else self.mark(t, k) for k in range(self.n)]
        return p, open_

    def trades(self, action, p, can):
        """Units to trade of each instrument."""
        limit, equity = Fraction(self.margin.max_leverage), self.equity(p)
        total = sum(abs(Fraction(a)) for a in action)
        w = [limit * Fraction(a) / max(1, total) for a in action]
        if equity <= 0:
            return {k: -self.units[k] for k in can}
        active = {k: w[k] for k in can if w[k] or self.units[k]}
        while True:
            frozen = sum((abs(self.units[k]) * p[k] for k in range(self.n) if k not in active), ZERO)
            base, left = solve(active, self.units, p, self.costs, equity, frozen, limit)
            share = base / left if frozen and any(active.values()) and left > 0 else Fraction(1 if not frozen else 0)
            if frozen and not any(active.values()):
                share = Fraction(1)
            trades = {k: (w[k] * base - self.units[k] * p[k]) / p[k] for k in active}
            kept = {k: d for k, d in trades.items() if self.is_trade(k, d, w[k] * share, p[k], trades, p, equity, base)}
            if len(kept) == len(active):
                return kept
            active = {k: w[k] for k in kept}

    def is_trade(self, k, d, w, price, trades, p, equity, base):
        """Whether a trade is not reversed by its own cost, can be paid, and is outside the band."""
        others = sum(self.costs[i].cost(trades[i], p[i], limit=True) for i in trades if i != k)
        goal, held = w * (equity - others), self.units[k] * price
        if abs(d) * price < self.min_trade * equity:
            return False
        if w == 0:
            return d != 0
        if base <= 0 or abs(goal - held) <= Fraction(1, 10**13) * (abs(goal) + abs(held)):
            return False
        return d * (goal - held) > 0

    def pay(self, k, d, p):
        fee = self.costs[k].commission(d, p)
        slip = self.costs[k].s * abs(d) * p
        self.cash -= d * p + fee + slip
        self.units[k] += d
        return np.array([fee, slip, abs(d) * p])

    def step(self, t, action):
        closes, ends = ([self.mark(row, k) for k in range(self.n)] for row in (t, t + 1))
        equity, (p, can) = self.equity(closes), self.prices(t)
        pnl = sum(u * (b - a) for u, a, b in zip(self.units, closes, p, strict=True))
        financing = self.finance(closes) if self.fill != "close" else ZERO
        paid = np.array([ZERO] * 3)
        for k, d in self.trades(action, p, can).items():
            paid = paid + self.pay(k, d, p[k])
        if self.fill == "close":
            financing = self.finance(closes)
        ends = [e * (1 + self.returns[k]) if self.last[k] == t + 1 else e for k, e in enumerate(ends)]
        pnl += sum(u * (b - a) for u, a, b in zip(self.units, p, ends, strict=True))
        for k in range(self.n):
            if self.last[k] == t + 1:
                paid = paid + self.pay(k, -self.units[k], ends[k])
        gross = sum(abs(u) * e for u, e in zip(self.units, ends, strict=True))
        if self.equity(ends) < Fraction(self.margin.maintenance) * gross:
            for k in range(self.n):
                if self.panel.tradable[t + 1, k]:
                    paid = paid + self.pay(k, -self.units[k], ends[k])
        return {
            "equity": self.equity(ends),
            "cash": self.cash,
            "pnl": pnl,
            "commission": paid[0],
            "slippage": paid[1],
            "financing": financing,
            "turnover": paid[2] / equity,
        }, np.array([float(u * e) for u, e in zip(self.units, ends, strict=True)])


# -- random cases ------------------------------------------------------------------------------------------------------


def random_panel(rng, n, instruments, volatility):
    """Random bars with gaps; some instruments are listed late, some delisted."""
    days = np.datetime64("2020-01-01", "ns") + np.arange(n).astype("timedelta64[D]")
    markets = []
    for k in range(instruments):
        first, last = rng.choice([0, rng.integers(n - 2)]), rng.choice([n, rng.integers(2, n)])
        own = (rng.random(n) > rng.choice([0.0, 0.3])) & (np.arange(n) >= first) & (np.arange(n) < last)
        own[rng.integers(n)] |= not own.any()
        own |= (np.arange(n) % 3 == 0) & (k == 0)  # so that there are days enough
        seed = int(rng.integers(2**31))
        markets.append(random_market(seed, int(own.sum()), volatility, whole=True, time=days[own], name="ABCDEF"[k]))
    return Panel.from_markets(markets)


def case_of(seed):
    """A random panel, keywords of an env on it, and actions (T, K)."""
    rng = np.random.default_rng(seed)
    instruments, volatility = int(rng.integers(1, 5)), rng.choice([0.05, 0.15, 0.3])
    panel = random_panel(rng, int(rng.integers(8, 16)), instruments, volatility)
    scale, flat = rng.choice([(0.0, 0.0), (0.02, 0.0), (0.02, 20.0), (0.02, 2000.0)])

    def costs():
        rates = dict(zip(("commission", "half_spread", "slippage"), rng.uniform(0.0, scale, 3), strict=True))
        per_unit = flat * rng.choice([0.0, 1e-4])
        return Costs(**rates, fixed=rng.uniform(0.0, flat), minimum=rng.uniform(0.0, flat), per_unit=per_unit)

    short = bool(rng.integers(2))
    keywords = {
        "costs": {symbol: costs() for symbol in panel.symbols},
        "delisting_returns": {s: float(rng.choice([0.0, -0.4, -1.0, 0.3])) for s in panel.symbols},
        "margin": Margin(
            max_leverage=rng.choice([1.0, 1.5, 4.0]),
            maintenance=rng.choice([0.0, 0.1, 0.3]),
            ruin_fraction=rng.choice([0.01, 0.5]),
            r_cash=rng.uniform(0.0, 0.05),
            r_margin=rng.uniform(0.0, 0.2),
            r_borrow=rng.uniform(0.0, 0.2),
            short_proceeds_earn=bool(rng.integers(2)),
            intrabar=False,
        ),
        "fill": str(rng.choice(["next_open", "next_close", "close"])),
        "bars_per_year": float(rng.choice([12.0, 252.0])),
        "initial_cash": 10_000.0,
        "min_trade": float(rng.choice([0.0, 0.0, 0.1])),
        "allow_short": short,
    }
    actions = rng.uniform(-1.0 if short else 0.0, 1.0, (len(panel), instruments))
    actions[rng.random(actions.shape) < rng.choice([0.0, 0.3])] = 0.0
    if rng.integers(2):
        actions = np.repeat(actions[::3], 3, axis=0)[: len(panel)]  # unchanged for some steps
    return panel, keywords, actions.astype(np.float32)


def blank(market):
    """A feature callable: one column of zeros."""
    return np.zeros((len(market), 1))


def check_against_reference(case):
    panel, keywords, actions = case
    env = PortfolioEnv(panel, window=1, features=blank, **keywords)
    env.reset(seed=0)
    margin = keywords["margin"]
    names = ("costs", "margin", "fill")
    account = ReferencePortfolio(
        panel,
        keywords["initial_cash"],
        *(keywords[name] for name in names),
        1.0 / keywords["bars_per_year"],
        keywords["min_trade"],
        keywords["delisting_returns"],
    )
    equity, held = keywords["initial_cash"], 0.0
    for t in range(len(panel) - 1):
        action = actions[t]
        expected, notional = account.step(t, action.tolist())
        _, reward, terminated, truncated, info = env.step(action)
        moved = abs(equity) + held + info["turnover"] * abs(equity)
        scale = max(moved, abs(info["equity"]), abs(notional).sum(), 1.0)
        for key, value in expected.items():
            size = 1.0 + float(expected["turnover"]) if key == "turnover" else scale
            assert info[key] == pytest.approx(float(value), rel=1e-9, abs=1e-9 * size), (t, key)
        marks = np.nan_to_num(panel.last_close[t + 1])
        np.testing.assert_allclose(info["units"] * marks, notional, rtol=1e-9, atol=1e-9 * scale)
        terms = info["pnl"] - info["commission"] - info["slippage"] - info["financing"]
        held = np.abs(info["units"] * marks).sum()
        moved += abs(info["equity"]) + held
        assert info["equity"] - equity == pytest.approx(terms, abs=1e-12 * moved)
        floor = margin.ruin_fraction * keywords["initial_cash"]
        assert reward == pytest.approx(math.log(max(info["equity"], floor) / equity), abs=1e-9)
        assert terminated == (info["equity"] <= floor)
        assert truncated == (t == len(panel) - 2 and not terminated)
        np.testing.assert_array_equal(info["tradable"], panel.tradable[t + 1])
        np.testing.assert_array_equal(info["delisted"], panel.ends <= t + 1)
        equity = info["equity"]
        if terminated:
            break


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32).map(case_of))
def test_account_equals_the_exact_reference(case):
    check_against_reference(case)


def test_the_cases_have_gaps_delistings_margin_calls_and_ruins():
    held_in_gaps = delisted = calls = ruins = 0
    for panel, keywords, actions in map(case_of, range(300)):
        env = PortfolioEnv(panel, window=1, features=blank, **keywords)
        env.reset(seed=0)
        for t, action in enumerate(actions[:-1]):
            _, _, terminated, _, info = env.step(action)
            held_in_gaps += (~info["tradable"] & (info["units"] != 0.0)).any()
            delisted += (panel.ends == t + 1).any()
            calls += action.all() and info["turnover"] > 0.0 and not info["units"].any() and not info["delisted"].any()
            ruins += terminated
            if terminated:
                break
    assert min(held_in_gaps, delisted, calls, ruins) > 10


# -- by hand -----------------------------------------------------------------------------------------------------------

DAYS = np.array(["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-06"], "datetime64[ns]")


def two(opens_a, closes_a, opens_b, closes_b, **keywords):
    """An env on two instruments with these prices."""
    markets = [
        Market.from_arrays(close=closes, open=opens, time=DAYS[: len(closes)], name=name)
        for name, opens, closes in (("A", opens_a, closes_a), ("B", opens_b, closes_b))
    ]
    env = PortfolioEnv(Panel.from_markets(markets), window=1, features=blank, bars_per_year=1.0, **keywords)
    env.reset(seed=0)
    return env


def test_two_instruments_one_trade_with_all_kinds_of_costs_by_hand():
    costs = {
        "A": {"commission": 0.01, "half_spread": 0.005, "slippage": 0.005},
        "B": {"commission": 0.001, "slippage": 0.0, "fixed": 5.0, "minimum": 10.0, "per_unit": 0.02},
    }
    env = two([1.0, 100.0, 110.0], [1.0, 105.0, 110.0], [1.0, 50.0, 40.0], [1.0, 45.0, 42.0], costs=costs,
              initial_cash=10_000.0)  # fmt: skip
    # Step 1 buys A at 100 and B at 50, weights .5 and .3 of the equity X after costs; equity before is 10,000.
    #   A: spread .01, commission .01 on the price with spread, 1.01: a purchase costs .01 + .0101 = .0201 of it
    #   B: 5 + .001 x .3 X + .02 x .3 X / 50 = 5 + .00042 X, about 9.15, so the minimum of 10 applies
    #   X + .0201 x .5 X + 10 = 10,000, so X = 9,990 / 1.01005 = 9,890.60
    x = 9990.0 / 1.01005
    info = env.step(np.array([0.5, 0.3]))[4]
    units = np.array([0.5 * x / 100.0, 0.3 * x / 50.0])
    np.testing.assert_allclose(info["units"], units, rtol=1e-14)
    assert info["slippage"] == pytest.approx(0.01 * 0.5 * x, rel=1e-12)
    assert info["commission"] == pytest.approx(0.0101 * 0.5 * x + 10.0, rel=1e-12)
    assert info["cash"] == pytest.approx(0.2 * x, rel=1e-12)
    assert info["turnover"] == pytest.approx(0.8 * x / 10_000.0, rel=1e-12)
    assert info["pnl"] == pytest.approx(units @ [5.0, -5.0], rel=1e-12)
    assert info["equity"] == pytest.approx(x + units @ [5.0, -5.0], rel=1e-12)
    np.testing.assert_allclose(info["weights"], units * [105.0, 45.0] / info["equity"], rtol=1e-13)
    assert info["exposure"] == pytest.approx(info["weights"].sum())
    # Step 2 sells all of A at 110 and buys B at 40 up to the weight .8. Values before: a = 110 U_A, b = 40 U_B.
    #   A: spread .01, commission .01 on .99: the sale costs .01 + .0099 = .0199 a
    #   B: 5 + .001 (.8 X - b) + .02 (.8 X - b) / 40 = 5 + .0015 (.8 X - b), about 13, which is above the minimum
    #   X + .0199 a + 5 + .0012 X - .0015 b = E_p, so X = (E_p - .0199 a - 5 + .0015 b) / 1.0012
    a, b = 110.0 * units[0], 40.0 * units[1]
    y = (0.2 * x + a + b - 0.0199 * a - 5.0 + 0.0015 * b) / 1.0012
    info = env.step(np.array([0.0, 0.8]))[4]
    assert info["units"][0] == 0.0
    assert info["units"][1] == pytest.approx(0.8 * y / 40.0, rel=1e-13)
    assert info["cash"] == pytest.approx(0.2 * y, rel=1e-12)
    assert info["slippage"] == pytest.approx(0.01 * a, rel=1e-12)
    assert info["commission"] == pytest.approx(0.0099 * a + 5.0 + 0.0015 * (0.8 * y - b), rel=1e-12)
    assert info["equity"] == pytest.approx(0.2 * y + 0.8 * y * 42.0 / 40.0, rel=1e-12)
    np.testing.assert_array_equal(info["price"], [110.0, 40.0])


FREE = {"commission": 0.0, "slippage": 0.0}


def panel_with_a_gap():
    """B has no bar on the third day, and its last bar on the fourth; A goes on to the sixth."""
    days = np.datetime64("2020-01-01", "ns") + np.arange(6).astype("timedelta64[D]")
    a = Market.from_arrays(close=np.full(6, 10.0), open=np.full(6, 10.0), time=days, name="A")
    b = Market.from_arrays(close=[20.0, 20.0, 30.0], open=[20.0, 20.0, 30.0], time=days[[0, 1, 3]], name="B")
    return Panel.from_markets([a, b])


def test_what_cannot_be_traded_keeps_its_units_and_the_others_shrink_by_one_factor():
    env = PortfolioEnv(panel_with_a_gap(), window=1, features=blank, costs=FREE, initial_cash=100.0)
    env.reset(seed=0)
    env.step(np.array([0.2, 0.8]))
    info = env.step(np.array([0.5, 0.1]))[4]  # B has no bar: .8 of the equity stays there, so .2 is left for A
    np.testing.assert_allclose(info["weights"], [0.2, 0.8], rtol=1e-15)
    assert info["tradable"].tolist() == [True, False]
    assert not info["delisted"].any()


def test_a_delisting_closes_at_the_last_close_times_one_plus_its_return_with_costs():
    costs = {"A": FREE, "B": {"commission": 0.01, "slippage": 0.0}}
    env = PortfolioEnv(
        panel_with_a_gap(), window=1, features=blank, costs=costs, initial_cash=101.0, delisting_returns={"B": -0.4}
    )
    env.reset(seed=0)
    env.step(np.array([0.0, 1.0]))  # 101 buy 5 units of B at 20 and pay 1
    env.step(np.array([0.0, 1.0]))
    info = env.step(np.array([0.0, 1.0]))[4]  # its last bar: 5 units at 30 x .6 = 18, less 1% of 90
    assert info["equity"] == info["cash"] == pytest.approx(90.0 - 0.9, rel=1e-12)
    assert info["pnl"] == pytest.approx(-10.0, rel=1e-12)
    assert info["commission"] == pytest.approx(0.9, rel=1e-12)
    assert info["turnover"] == pytest.approx(0.9, rel=1e-12)
    assert info["delisted"].tolist() == [False, True]
    info = env.step(np.array([0.0, 1.0]))[4]  # an order for it does nothing
    assert info["turnover"] == 0.0
    assert info["delisted"].tolist() == [False, True]


@pytest.mark.parametrize("fill", ["next_open", "next_close", "close"])
def test_after_its_last_bar_a_delisted_instrument_is_bought_at_no_fill(fill):
    env = PortfolioEnv(panel_with_a_gap(), window=1, features=blank, costs=FREE, fill=fill)
    env.reset(seed=0, options={"start": 3})  # B's last bar is this one
    for _ in range(2):
        assert env.step(np.array([0.0, 1.0]))[4]["turnover"] == 0.0


def test_a_margin_call_closes_all_positions_and_the_account_goes_on():
    env = two([1.0, 100.0, 100.0, 100.0], [1.0, 70.0, 70.0, 70.0], [1.0, 10.0, 10.0, 10.0], [1.0, 10.0, 10.0, 10.0],
              costs=FREE, margin={"max_leverage": 2.0, "maintenance": 0.3}, initial_cash=100.0)  # fmt: skip
    info = env.step(np.array([0.75, 0.25]))[4]  # 1.5 of A and 5 of B: A falls to 105, and 55 is above .3 x 155
    assert info["equity"] == pytest.approx(55.0)
    assert info["gross"] == pytest.approx(155.0 / 55.0)
    env = two([1.0, 100.0, 100.0, 100.0], [1.0, 60.0, 60.0, 60.0], [1.0, 10.0, 10.0, 10.0], [1.0, 10.0, 10.0, 10.0],
              costs=FREE, margin={"max_leverage": 2.0, "maintenance": 0.3}, initial_cash=100.0)  # fmt: skip
    info = env.step(np.array([0.75, 0.25]))[4]  # A falls to 90: equity 40 is below .3 x 140 = 42
    assert info["equity"] == info["cash"] == pytest.approx(40.0)
    assert not info["units"].any()
    assert info["turnover"] == pytest.approx(2.0 + 1.4)
    _, _, terminated, truncated, info = env.step(np.array([0.0, 1.0]))
    assert info["weights"][1] == pytest.approx(2.0)
    assert not terminated
    assert not truncated


# -- one instrument ----------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_with_one_instrument_every_number_is_that_of_trading_env(seed):
    rng = np.random.default_rng(seed)
    market = random_market(seed, 40, 0.08, whole=bool(rng.integers(2)), since="2015-01-01", name="m")
    short = bool(rng.integers(2))
    costs = [None, FREE, {"fixed": 2.0, "minimum": 9.0, "per_unit": 0.01}, {"fixed": 300.0, "minimum": 400.0}]
    rewards = ["log_return", "pnl", "excess_log_return", "differential_sharpe", "mean_variance"]
    keywords = {
        "window": 3,
        "fill": str(rng.choice(["next_open", "next_close", "close"])),
        "costs": costs[rng.integers(4)],
        "reward": rewards[rng.integers(5)],
        "min_trade": float(rng.choice([0.0, 0.05])),
        "lot_size": [None, 1.0, 2.5][rng.integers(3)],
        "margin": {
            "max_leverage": float(rng.choice([1.0, 2.0, 3.0])),
            "maintenance": float(rng.choice([0.0, 0.3])),
            "r_cash": 0.03,
            "r_margin": 0.1,
            "r_borrow": 0.1,
            "short_proceeds_earn": bool(rng.integers(2)),
            "intrabar": bool(rng.integers(2)),
        },
        "initial_cash": float(rng.choice([1e5, 1e3])),
    }
    one = TradingEnv(market, actions="continuous", allow_short=None if short else False, **keywords)
    many = PortfolioEnv(Panel.from_markets([market]), allow_short=short, **keywords)
    (obs, _), (own, _) = one.reset(seed=0), many.reset(seed=0)
    np.testing.assert_array_equal(obs[:-4], own[:-4])
    ended = False
    while not ended:
        action = rng.uniform(-1.0 if short else 0.0, 1.0, 1).astype(np.float32)
        obs, reward, terminated, truncated, info = one.step(action)
        own, own_reward, *ends, own_info = many.step(action)
        assert [terminated, truncated] == ends
        np.testing.assert_array_equal(obs[:-4], own[:-4])
        np.testing.assert_allclose([obs[-4], obs[-1]], [own[-3], own[-1]], rtol=1e-6, atol=1e-9)
        assert own_reward == pytest.approx(reward, rel=1e-12, abs=1e-12)
        for key, value in info.items():
            scale = keywords["initial_cash"] if key in ("equity", "cash", "pnl", "commission", "slippage") else 1.0
            assert np.ravel(own_info[key])[0] == pytest.approx(value, rel=1e-12, abs=1e-12 * scale), key
        ended = terminated or truncated
