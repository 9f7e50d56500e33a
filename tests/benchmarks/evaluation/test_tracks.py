import gymnasium as gym
import numpy as np
import pytest

from benchmarks.evaluation.tracks import ENV_ID, PerSeed, evaluate
from trading_env import Market, load
from trading_env.analysis import metrics, strategies
from trading_env.analysis.strategies import StrategyPolicy


class Coins:
    """A policy that ignores what it sees: row k plays the k-th list of random actions."""

    def __init__(self, runs, seed=0):
        self.actions = np.random.default_rng(seed).integers(3, size=(1000, runs))

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        step = 0 if state is None else state
        return self.actions[step, : len(observation)], step + 1


@pytest.fixture(scope="module")
def test_market():
    return load("us-stocks/IBM").split("2012-06-01")[1]


def test_an_evaluation_is_the_episode_stepped_by_hand(test_market):
    coins = Coins(3)
    tracks = evaluate(coins, test_market, 3, window=5)
    for k in range(3):
        env = gym.make(ENV_ID, data=test_market, window=5)
        _, info = env.reset()
        infos, truncated = [info], False
        while not truncated:
            *_, truncated, info = env.step(coins.actions[len(infos) - 1, k])
            infos.append(info)
        assert tracks.equity[k].tolist() == [info["equity"] for info in infos]
        for key in ("exposure", "turnover", "commission", "slippage", "financing"):
            assert getattr(tracks, key)[k].tolist() == [info[key] for info in infos[1:]]
    assert len(tracks.time) == tracks.equity.shape[1] == len(test_market) - test_market.first
    assert str(tracks.time[0])[:10] == "2012-06-01"
    assert tracks.time[-1] == test_market.time[-1]


def test_measures_are_the_metrics_of_each_run(test_market):
    tracks = evaluate(Coins(2), test_market, 2)
    measures = tracks.measures()
    returns = metrics.simple_returns(tracks.equity[1])
    assert measures["sharpe"][1] == metrics.sharpe_ratio(returns, 252)
    assert measures["sharpe_se"][1] == metrics.sharpe_standard_error(returns, 252)
    assert measures["total_return"][1] == pytest.approx(np.prod(1 + returns) - 1)
    assert measures["cost_paid"][1] == pytest.approx((tracks.commission[1] + tracks.slippage[1]).sum())
    assert measures["turnover"][1] == pytest.approx(tracks.turnover[1].mean() * 252)
    assert {values.shape for values in measures.values()} == {(2,)}


def test_per_seed_policies_act_each_on_its_own_row(test_market):
    env = gym.make(ENV_ID, data=test_market)
    held, idle = (StrategyPolicy(strategy(test_market), env) for strategy in (strategies.buy_and_hold, strategies.flat))
    together = evaluate(PerSeed([held, idle]), test_market, 2)
    assert (together.equity[0] == evaluate(held, test_market).equity[0]).all()
    assert (together.equity[1] == 100_000.0).all()
    assert (together.exposure[0] > 0.0).all()


def test_dict_observations_are_split_into_rows_too(test_market):
    policy = PerSeed([Coins(1, seed) for seed in (0, 1)])
    seen = evaluate(PerSeed([Rows(), Rows()]), test_market, 2, observation="dict")
    assert seen.equity.shape[0] == 2
    assert evaluate(policy, test_market, 2).equity.shape[0] == 2


class Rows:
    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        assert {values.shape[0] for values in observation.values()} == {1}
        return np.array([1]), None


def test_after_a_ruin_the_account_stands_still():
    close = np.array([100.0, 100.0, 100.0, 40.0, 80.0, 160.0, 160.0])
    market = Market.from_arrays(close, open=close, bars_per_year=252)
    env = {"features": np.zeros((7, 1)), "window": 1, "margin": {"ruin_fraction": 0.5}}
    policy = StrategyPolicy(strategies.buy_and_hold(market), gym.make(ENV_ID, data=market, **env))
    tracks = evaluate(policy, market, **env)
    assert tracks.equity[0, 3] == pytest.approx(40_000, rel=0.01)
    assert (tracks.equity[0, 3:] == tracks.equity[0, 3]).all()
    assert (tracks.exposure[0, 3:] == 0.0).all()
    assert (tracks.returns[0, 3:] == 0.0).all()


def test_only_whole_episodes_are_evaluated(test_market):
    for keywords in ({"random_start": True}, {"episode_length": 5}):
        with pytest.raises(ValueError, match="one whole episode"):
            evaluate(Coins(1), test_market, **keywords)
