import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.covariance import ledoit_wolf

from tests.trading_env.markets import gappy_panel, random_market
from trading_env import Market, Panel, load_panel
from trading_env.analysis.portfolio.olmar import olmar, onto_simplex, reverted
from trading_env.analysis.portfolio.pairs import kalman_filter, kalman_spread, pairs, rolling_spread
from trading_env.analysis.portfolio.strategies import (
    _least_variance,
    buy_and_hold,
    cross_sectional_momentum,
    equal_weight,
    inverse_volatility,
    minimum_variance,
    random_weights,
)

DAYS = np.arange("2020-01-01", "2020-03-01", dtype="datetime64[D]").astype("datetime64[ns]")

STRATEGIES = {
    "equal_weight": equal_weight,
    "buy_and_hold": buy_and_hold,
    "inverse_volatility": lambda panel: inverse_volatility(panel, 5),
    "minimum_variance": lambda panel: minimum_variance(panel, 12),
    "minimum_variance, short": lambda panel: minimum_variance(panel, 12, short=True),
    "momentum": lambda panel: cross_sectional_momentum(panel, 8, 2),
    "momentum, short": lambda panel: cross_sectional_momentum(panel, 8, 2, short=True),
    "pairs": lambda panel: pairs(panel, "A", "D", lookback=8, entry=1.0),
    "pairs, kalman": lambda panel: pairs(panel, "A", "D", hedge="kalman", lookback=8, entry=1.0),
    "olmar": lambda panel: olmar(panel, 4, 1.05),
    "random": lambda panel: random_weights(panel, 60.0, seed=1),
}


def of_closes(*closes, first=None):
    """A panel of closes on the first days, or of each from its row in ``first`` on."""
    starts = first or [0] * len(closes)
    markets = [
        Market.from_arrays(np.array(close, float), time=DAYS[start : start + len(close)], name="ABCDE"[k])
        for k, (close, start) in enumerate(zip(closes, starts, strict=True))
    ]
    return Panel.from_markets(markets)


# -- what all have in common


@pytest.mark.parametrize("name", STRATEGIES)
def test_weights_do_not_depend_on_later_rows(name):
    strategy, panel = STRATEGIES[name], gappy_panel(seed=7, n=90)
    whole = strategy(panel)
    assert whole.shape == panel.tradable.shape
    end = int(panel.ends[2])
    for stop in (31, 45, end, end + 1, end + 2, 75, 85):
        part = panel.split(str(panel.time[stop]))[0]
        assert len(part) == stop
        assert strategy(part) == pytest.approx(whole[:stop], abs=1e-12, nan_ok=True)
    markets = [panel.market(symbol) for symbol in panel.symbols]
    changed = [
        Market.from_arrays(
            np.where(m.time <= panel.time[50], m.close, random_market(k, len(m)).close), time=m.time, name=m.name
        )
        for k, m in enumerate(markets)
    ]
    other = strategy(Panel.from_markets(changed))
    assert other[:51] == pytest.approx(whole[:51], abs=1e-12, nan_ok=True)
    if name not in ("equal_weight", "buy_and_hold", "random"):
        assert not np.array_equal(other[51:], whole[51:])


@pytest.mark.parametrize("name", STRATEGIES)
def test_weights_are_possible_and_only_in_what_is_listed(name):
    panel = gappy_panel(seed=8, n=90)
    weights = np.nan_to_num(STRATEGIES[name](panel))
    assert np.abs(weights).sum(axis=1).max() <= 1.0 + 1e-12
    assert np.abs(weights).sum(axis=1).max() > 0.99
    assert (weights >= 0.0).all() or "short" in name or "pairs" in name
    assert not weights[: panel.listed[1], 1].any()
    assert not weights[panel.ends[2] :, 2].any(), "delisted"


@pytest.mark.parametrize("name", STRATEGIES)
def test_an_instrument_that_never_moves_breaks_nothing(name):
    still = Market.from_arrays(np.full(60, 5.0), time=DAYS[:60], name="D")
    panel = Panel.from_markets([still, *(random_market(k, 60, time=DAYS[:60], name="ABC"[k]) for k in range(3))])
    assert np.isfinite(np.nan_to_num(STRATEGIES[name](panel))).all()
    frozen = Panel.from_markets([Market.from_arrays(still.close, time=still.time, name=n) for n in "ABCD"])
    assert np.isfinite(np.nan_to_num(STRATEGIES[name](frozen))).all()


# -- each by hand


def test_random_weights_trade_as_much_as_is_asked_for():
    closes = np.ones((3, 4_000))
    days = np.datetime64("2000-01-01", "ns") + np.arange(4_000).astype("timedelta64[D]")
    panel = Panel.from_markets(
        [Market.from_arrays(close, time=days, name="ABC"[k], bars_per_year=250) for k, close in enumerate(closes)]
    )
    weights = random_weights(panel, 20.0, seed=3, start=10)
    drawn = weights[~np.isnan(weights[:, 0])][10:]  # the rows before the start are 0
    assert weights[:10].sum() == 0.0
    assert drawn.sum(axis=1) == pytest.approx(np.ones(len(drawn)))
    assert np.abs(np.diff(drawn, axis=0)).sum() / (3_990 / 250) == pytest.approx(20.0, rel=0.1)
    with pytest.raises(ValueError, match="bars_per_year"):
        random_weights(of_closes([1.0], [2.0]), 1.0, 0)


def test_equal_weights_follow_listings_and_delistings():
    panel = of_closes([1, 2, 3, 4, 5], [7, 7], [3, 3, 3], first=[0, 1, 2])  # B is delisted at row 2
    third, half = 1.0 / 3.0, 0.5
    assert equal_weight(panel) == pytest.approx(
        np.array([[1, 0, 0], [half, half, 0], [half, 0, half], [half, 0, half], [half, 0, half]])
    )
    assert equal_weight(of_closes([1, 2], [1, 2], [1, 2])) == pytest.approx(np.full((2, 3), third))


def test_buy_and_hold_buys_once():
    panel = of_closes([1, 2, 3, 4, 5], [7, 7, 8, 9], first=[0, 1])
    assert np.array_equal(buy_and_hold(panel)[:2], [[1, 0], [np.nan, np.nan]], equal_nan=True)
    weights = buy_and_hold(panel, start=2)
    assert weights[:3].tolist() == [[0, 0], [0, 0], [0.5, 0.5]]
    assert np.isnan(weights[3:]).all()
    assert buy_and_hold(panel.split(0.4)[1])[2].tolist() == [0.5, 0.5]


def test_inverse_volatility_by_hand():
    # returns of A +-10%, of B +-20%, in the same order: B is twice as volatile
    a = 100.0 * np.cumprod([1, 1.1, 0.9, 1.1, 0.9])
    b = 100.0 * np.cumprod([1, 1.2, 0.8, 1.2, 0.8])
    weights = inverse_volatility(of_closes(a, b), 2)
    assert not weights[:2].any()
    assert weights[2:] == pytest.approx(np.tile([2 / 3, 1 / 3], (3, 1)))


def test_momentum_by_hand():
    # returns from three rows before to one row before
    panel = of_closes([10, 10, 11, 12, 9, 20], [10, 10, 12, 10, 10, 10], [10, 10, 9, 9, 8, 1])
    assert cross_sectional_momentum(panel, 3, 1, top=1).tolist() == [
        *[[0, 0, 0]] * 3,
        [0, 1, 0],  # 10%, 20%, -10%
        [1, 0, 0],  # 20%, 0%, -10%
        [0, 0, 1] if 9 / 11 < 8 / 9 > 10 / 12 else None,  # -18%, -17%, -11%
    ]
    both = cross_sectional_momentum(panel, 3, 1, top=1, short=True)
    assert both[3:].tolist() == [[0, 0.5, -0.5], [0.5, 0, -0.5], [-0.5, 0, 0.5]]
    assert cross_sectional_momentum(panel, 3, 1, top=2)[3].tolist() == [0.5, 0.5, 0]
    assert not cross_sectional_momentum(panel, 3, 1, top=2)[2].any()


def test_least_variance_by_hand():
    # (C22 - C12, C11 - C12) / (C11 + C22 - 2 C12) = (.004, .034) / .038
    C = np.array([[0.04, 0.006], [0.006, 0.01]])
    assert _least_variance(C, False) == pytest.approx([4 / 38, 34 / 38])
    assert _least_variance(C, True) == pytest.approx([4 / 38, 34 / 38])
    # (-.008, .022) / .014: a short position, or none
    C = np.array([[0.04, 0.018], [0.018, 0.01]])
    assert _least_variance(C, False) == pytest.approx([0.0, 1.0])
    assert _least_variance(C, True) == pytest.approx([-8 / 30, 22 / 30])


def test_minimum_variance_is_that_of_a_general_optimiser():
    closes = [100.0 * np.exp(np.cumsum(np.random.default_rng(k).normal(0, 0.01 * (k + 1), 40))) for k in range(4)]
    closes[3] = np.sqrt(closes[0] * closes[1])
    returns = np.diff(closes, axis=1).T / np.array(closes)[:, :-1].T
    covariance = ledoit_wolf(returns[10:35])[0]
    own = minimum_variance(of_closes(*closes), 25)[35]
    found = minimize(
        lambda w: 1e4 * w @ covariance @ w,
        np.full(4, 0.25),
        bounds=[(0.0, 1.0)] * 4,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0},
        method="SLSQP",
        options={"ftol": 1e-14},
    )
    assert own == pytest.approx(found.x, abs=1e-5)
    assert own @ covariance @ own <= found.x @ covariance @ found.x * (1.0 + 1e-9)


def test_a_rolling_spread_by_hand():
    # x = (-1, 0, 1), y = (-2, -1, 3): ratio 5/2, residuals (.5, -1, .5), deviation sqrt(1.5 / 1)
    spread = rolling_spread(np.array([0.0, 1.0, 5.0]), np.array([0.0, 1.0, 2.0]), 3)
    assert spread.ratio[2] == pytest.approx(2.5)
    assert spread.score[2] == pytest.approx(0.5 / np.sqrt(1.5))
    assert np.isnan(spread.score[:2]).all()


def test_a_kalman_filter_without_a_walk_is_ridge_regression():
    rng = np.random.default_rng(0)
    b = rng.normal(size=30)
    a = 0.3 + 1.7 * b + 0.03 * rng.normal(size=30)
    errors, variances, ratio = kalman_filter(a, b, 1e-15)
    for t in (6, 29):
        H = np.column_stack([np.ones(t), b[:t]])
        precision = np.eye(2) + H.T @ H / 1e-3
        theta, h = np.linalg.solve(precision, H.T @ a[:t] / 1e-3), np.array([1.0, b[t]])
        assert errors[t] == pytest.approx(a[t] - h @ theta, rel=1e-6)
        assert variances[t] == pytest.approx(h @ np.linalg.solve(precision, h) + 1e-3, rel=1e-6)
        assert ratio[t - 1] == pytest.approx(theta[1], rel=1e-6)
    spread = kalman_spread(a, b, 5, 1e-15)
    assert np.isnan(spread.score[:9]).all()
    assert spread.score[9] == pytest.approx(errors[9] / np.sqrt((errors[5:10] ** 2).mean()))


def test_a_kalman_filter_follows_a_ratio_that_moves():
    rng = np.random.default_rng(1)
    b = 3.0 + np.cumsum(0.02 * rng.normal(size=600))
    moving = np.where(np.arange(600) < 300, 0.5, 1.5)
    ratio = kalman_filter(moving * b + 0.01 * rng.normal(size=600), b, 0.05)[2]
    assert ratio[290] == pytest.approx(0.5, abs=0.2)
    assert ratio[590] == pytest.approx(1.5, abs=0.2)


def test_pairs_open_at_the_entry_and_close_at_the_exit():
    b = np.tile([10.0, 10.5], 15)
    a = 2.0 * b * np.exp(0.001 * np.tile([1, 1, -1, -1, 1], 6))
    a[20:23] *= (0.9, 0.95, 0.99)  # a falls below its ratio to b, and comes back
    panel = of_closes(a, b, [5.0] * 30)
    spread = rolling_spread(np.log(a), np.log(b), 10)
    assert spread.score[20] < -2.0
    weights = pairs(panel, "A", "B", lookback=10)
    assert not weights[:20].any()
    ratio = spread.ratio[20]
    assert weights[20] == pytest.approx([1 / (1 + abs(ratio)), -ratio / (1 + abs(ratio)), 0])
    end = 20 + int(np.argmax(spread.score[20:] >= -0.5))
    assert (weights[20:end, 0] > 0.0).all()
    assert weights[end, 0] <= 0.0


def test_olmar_by_hand():
    panel = of_closes([10, 12, 11], [10, 8, 10])
    weights = olmar(panel, window=2, epsilon=1.04)
    assert not weights[0].any()
    # forecasts 11/12 and 9/8, mean 49/48, excess -+5/48: the portfolio's 49/48 must rise by .0191667 = 2 (5/48) .092
    assert weights[1] == pytest.approx([0.408, 0.592])
    # forecasts 23/22 and 9/10, excess +-.8/11: .408 (23/22) + .592 (.9) = .959345 must rise by .080655 = 1.6/11 (.5545)
    assert weights[2] == pytest.approx([0.9625, 0.0375])
    assert olmar(panel, window=2)[2].tolist() == [1.0, 0.0], "epsilon = 10 moves everything"


def test_projection_onto_the_simplex():
    assert onto_simplex(np.array([0.2, 0.8])).tolist() == pytest.approx([0.2, 0.8])
    assert onto_simplex(np.array([1.0, 1.0, -5.0])).tolist() == pytest.approx([0.5, 0.5, 0.0])
    assert onto_simplex(np.array([3.0, 2.5, 0.0])).tolist() == pytest.approx([0.75, 0.25, 0.0])
    rng = np.random.default_rng(0)
    for _ in range(20):
        point, others = rng.normal(size=5), rng.dirichlet(np.ones(5), 500)
        nearest = onto_simplex(point)
        assert nearest.sum() == pytest.approx(1.0)
        assert (np.square(point - nearest).sum() <= np.square(point - others).sum(1) + 1e-12).all()
    assert reverted(np.array([0.5, 0.5]), np.array([1.1, 1.1]), 2.0).tolist() == [0.5, 0.5]


def test_the_bundled_stocks():
    panel = load_panel("us-stocks")
    for strategy in (equal_weight, inverse_volatility, cross_sectional_momentum, olmar):
        weights = strategy(panel)
        assert weights[-1].sum() == pytest.approx(1.0)
        assert not weights[:3000, 1].any(), "FB is listed in 2012"


def test_wrong_arguments_are_named():
    panel = of_closes([1, 2, 3], [1, 2, 3])
    for call, error, message in (
        (lambda: equal_weight("us-stocks"), TypeError, "panel must be a Panel, got 'us-stocks'"),
        (lambda: buy_and_hold(panel, start=3), ValueError, "start must be in"),
        (lambda: inverse_volatility(panel, 1), ValueError, "lookback"),
        (lambda: minimum_variance(panel, 1), ValueError, "lookback"),
        (lambda: cross_sectional_momentum(panel, 5, 5), ValueError, "skip must be below lookback"),
        (lambda: cross_sectional_momentum(panel, top=3), ValueError, "top"),
        (lambda: cross_sectional_momentum(panel, top=2, short=True), ValueError, "top"),
        (lambda: pairs(panel, "A", "A"), ValueError, "pairs needs two instruments, got 'A' twice"),
        (lambda: pairs(panel, "A", "C"), ValueError, "has no instrument 'C'"),
        (lambda: pairs(panel, "A", "B", entry=0.5), ValueError, "exit must be below entry"),
        (lambda: pairs(panel, "A", "B", hedge="ols"), ValueError, "hedge must be one of"),
        (lambda: pairs(panel, "A", "B", delta=1.0), ValueError, "delta"),
        (lambda: olmar(panel, window=1), ValueError, "window"),
        (lambda: olmar(panel, epsilon=0.0), ValueError, "epsilon"),
    ):
        with pytest.raises(error, match=message):
            call()
