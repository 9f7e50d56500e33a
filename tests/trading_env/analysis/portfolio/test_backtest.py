from functools import partial

import numpy as np
import pytest

from tests.trading_env.markets import gappy_panel, random_market
from trading_env import Panel, PortfolioEnv
from trading_env.analysis import metrics
from trading_env.analysis.portfolio.backtest import portfolio_backtest
from trading_env.analysis.portfolio.pairs import pairs
from trading_env.analysis.portfolio.strategies import buy_and_hold, equal_weight, inverse_volatility

SMALL = {"features": ["close"], "window": 3}


class Constant:
    """A policy with `predict` of two seeds."""

    seeds = (7, 9)

    def __len__(self):
        return 2

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return np.array([[0.5, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.9]]), state


def in_env(weights, env):
    """Equity, turnover and weights of an episode with constant actions."""
    _, info = env.reset()
    equity, turnover, held, ended = [info["equity"]], [], [info["weights"]], False
    while not ended:
        _, _, terminated, truncated, info = env.step(np.asarray(weights, float))
        ended = terminated or truncated
        equity.append(info["equity"])
        turnover.append(info["turnover"])
        held.append(info["weights"])
    return np.array(equity), np.array(turnover), np.array(held)


def test_it_is_the_account_of_the_env():
    panel = gappy_panel(seed=4)
    found = portfolio_backtest(lambda obs: np.array([0.1, 0.2, 0.3, 0.4]), panel, **SMALL, fill="next_close")
    equity, turnover, weights = in_env([0.1, 0.2, 0.3, 0.4], PortfolioEnv(panel, **SMALL, fill="next_close"))
    assert np.array_equal(found.equity, equity)
    assert np.array_equal(found.turnover, turnover)
    assert np.array_equal(found.weights[0], weights)
    assert found.total_return == equity[-1] / equity[0] - 1.0
    assert found.sharpe_ratio == pytest.approx(metrics.sharpe_ratio(found.returns, panel.bars_per_year))
    assert found.first == 2
    assert len(found.to_frame()) == len(panel) - 2


def test_several_policies_run_as_each_alone():
    panel = gappy_panel(seed=4)
    policies = [equal_weight, partial(inverse_volatility, lookback=5), lambda obs: np.array([0.0, 0.0, 0.0, 1.0])]
    together = portfolio_backtest(policies, panel, **SMALL)
    assert together.names == ("equal_weight", "inverse_volatility", "<lambda>")
    for r, policy in enumerate(policies):
        alone = portfolio_backtest(policy, panel, **SMALL)
        assert np.array_equal(together.equity[r], alone.equity)
        assert together.max_drawdown[r] == alone.max_drawdown
    lines = str(together.summary()).splitlines()
    assert [line.split()[0] for line in lines if line.startswith(("equal", "inverse", "<"))] == list(together.names)
    assert "equal_weight" in repr(together)
    assert list(together.to_frame().columns) == list(together.names)


def test_all_seeds_of_an_agent_run():
    panel = gappy_panel(seed=4)
    found = portfolio_backtest(Constant(), panel, **SMALL)
    assert found.names == ("seed 7", "seed 9")
    assert np.array_equal(found.equity[1], in_env([0.0, 0.0, 0.0, 0.9], PortfolioEnv(panel, **SMALL))[0])


def test_strategies_may_hold_and_go_short():
    panel = Panel.from_markets([random_market(k, 60, whole=True, since="2020-01-01", name="AB"[k]) for k in (0, 1)])
    held = portfolio_backtest(buy_and_hold, panel, **SMALL)
    assert (held.turnover[1:] == 0.0).all()
    assert held.config.allow_hold
    both = portfolio_backtest([partial(pairs, a="A", b="B", lookback=10, entry=1.0), equal_weight], panel, **SMALL)
    assert both.config.allow_short
    assert both.names == ("pairs", "equal_weight")
    assert (both.weights[0] < 0.0).any()


def test_an_env_lends_its_panel_and_keywords():
    panel = gappy_panel(seed=4)
    env = PortfolioEnv(panel, **SMALL, costs={"commission": 0.01}, random_start=True, episode_length=9)
    found = portfolio_backtest(equal_weight, env)
    assert found.config.costs.commission == 0.01
    assert len(found.returns) == len(panel) - 3
    cheap = portfolio_backtest(equal_weight, env, costs={"commission": 0.0})
    assert cheap.equity[-1] > found.equity[-1]


def test_a_ruined_account_stays_at_its_end():
    panel = Panel.from_markets([random_market(0, 60, 0.3, whole=True, since="2020-01-01")])
    found = portfolio_backtest(lambda obs: np.array([1.0]), panel, **SMALL, margin={"max_leverage": 5.0})
    assert found.equity[-1] <= 0.01 * 1e5
    assert found.equity[-1] == found.equity[-2]
    assert found.weights[0, -1].tolist() == [0.0]


def test_wrong_arguments_are_named():
    panel = gappy_panel(seed=4)
    for call, error, message in (
        (lambda: portfolio_backtest(3, panel), TypeError, "policy must have predict"),
        (lambda: portfolio_backtest([], panel), ValueError, "policy must not be an empty list"),
        (lambda: portfolio_backtest(equal_weight, [panel, panel]), ValueError, "data must be one panel"),
        (lambda: portfolio_backtest(equal_weight, panel, random_start=True), ValueError, "one whole episode"),
        (lambda: portfolio_backtest(equal_weight, panel, windows=3), TypeError, "portfolio_backtest got an unexpected"),
        (lambda: portfolio_backtest(equal_weight, panel, **SMALL).sharp, AttributeError, "metrics: "),
    ):
        with pytest.raises(error, match=message):
            call()
