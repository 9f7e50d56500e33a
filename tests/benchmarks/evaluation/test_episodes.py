from benchmarks.evaluation.episodes import episode_returns
from tests.trading_env.envs.acting.test_greedy import Watches, envs_of


def test_only_the_first_episode_of_each_env_counts():
    envs = envs_of(2, 5, 1, 3)
    returns, steps = episode_returns(Watches(), envs, envs.reset()[0], 2)
    assert returns.tolist() == [[2.0, 5.0], [1.0, 3.0]]
    assert steps == 5
