import gymnasium as gym
import numpy as np
import pytest

from benchmarks.contenders import sb3
from trading_env import backtest, load

TINY = {"n_steps": 32, "policy_kwargs": {"net_arch": [8]}}


def test_every_algorithm_is_found_by_its_name():
    assert sb3.algorithm_class("PPO").__module__.startswith("stable_baselines3")
    assert sb3.algorithm_class("RecurrentPPO").__module__.startswith("sb3_contrib")
    for name in ("Dqn", "BaseCallback", "__doc__"):
        with pytest.raises(ValueError, match="no algorithm"):
            sb3.algorithm_class(name)


def test_seeds_train_side_by_side_and_act_as_one_policy():
    train, test = load("us-stocks/MSFT").split("2012-01-01")
    env = gym.make("trading_env:TradingEnv-v0", data=train, window=3, random_start=True, episode_length=20)
    trained = sb3.train("A2C", env, [5, 6, 5], 64, n_envs=2, processes=2, progress_bar=False, **TINY)
    assert trained.processes == 2
    assert trained.steps_per_second == pytest.approx(3 * 64 / trained.seconds)
    assert trained.agent[0].num_timesteps == 64
    first, other, again = (model.get_parameters()["policy"]["action_net.weight"] for model in trained.agent.policies)
    assert (first == again).all()
    assert (first != other).any()
    tracks = backtest(trained.agent, test, window=3).tracks
    assert tracks.equity.shape == (3, len(test) - test.first)
    assert (tracks.equity[0] == tracks.equity[2]).all()


def test_recurrent_models_keep_their_state_from_step_to_step():
    trained = sb3.train("RecurrentPPO", "CartPole-v1", 1, 64, policy="MlpLstmPolicy", progress_bar=False, n_steps=32)
    obs = np.zeros((1, 4), np.float32)
    action, state = trained.agent.predict(obs, None, np.array([True]))
    _, later = trained.agent.predict(obs, state, np.array([False]))
    assert action.shape == (1,)
    assert not np.array_equal(state[0][0], later[0][0])


def test_an_error_in_a_run_is_raised_here():
    with pytest.raises(TypeError, match="no_such_option"):
        sb3.train("A2C", "CartPole-v1", 1, 64, progress_bar=False, no_such_option=1)
    with pytest.raises(ValueError, match="at least one"):
        sb3.train("A2C", "CartPole-v1", [], 64)
    env = gym.make("CartPole-v1").unwrapped
    env.spec = None
    with pytest.raises(ValueError, match="no spec"):
        sb3.train("A2C", env, 1, 64)
