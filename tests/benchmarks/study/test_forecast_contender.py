import numpy as np

from benchmarks.study.folds import Plan, folds_of
from benchmarks.study.forecast_contender import ridge
from trading_env import Market, backtest, load

PLAN = Plan(folds=3, test=0.3, validation=200)
TASK = {"actions": (0.0, 1.0), "window": 5, "costs": {"commission": 1e-4, "slippage": 0.0}}


def changed(market, first):
    """The market with other prices from a bar on."""
    factor = np.where(np.arange(len(market)) < first, 1.0, np.linspace(1.0, 2.0, len(market)) ** 2)
    bars = {name: getattr(market, name) * factor for name in ("open", "high", "low", "close")}
    return Market(
        **bars, volume=market.volume, time=market.time, bars_per_year=market.bars_per_year, first=market.first
    )


def test_the_trader_is_a_strategy_of_zeros_and_ones_that_trades():
    train, validation, test = folds_of(load("us-stocks/IBM"), PLAN, 25)[0].markets(load("us-stocks/IBM"))
    strategy = ridge(train, validation, TASK, (0,))
    exposures = strategy(test)
    assert set(np.unique(exposures)) <= {0.0, 1.0}
    assert backtest(strategy, test, **TASK).tracks.turnover.sum() >= 0.0


def test_no_exposure_depends_on_later_bars():
    train, validation, test = folds_of(load("us-stocks/IBM"), PLAN, 25)[0].markets(load("us-stocks/IBM"))
    strategy = ridge(train, validation, TASK, (0,))
    cut = test.first + 60
    np.testing.assert_array_equal(strategy(test)[:cut], strategy(changed(test, cut))[:cut])


def test_a_market_that_can_be_forecast_is_traded_with_profit():
    rng = np.random.default_rng(0)
    state = np.sign(np.repeat(rng.normal(size=150), 20))
    returns = 0.01 * state + 0.002 * rng.normal(size=3000)
    market = Market.from_arrays(100 * np.exp(np.cumsum(returns)), bars_per_year=252.0)
    train, validation, test = folds_of(market, PLAN, 25)[0].markets(market)
    task = {**TASK, "fill": "close"}
    assert backtest(ridge(train, validation, task, (0,)), test, **task).total_return > 1.0
