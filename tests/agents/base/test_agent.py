"""What all agents share, beside what each algorithm's tests say."""

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.callbacks import CheckpointCallback

import agents
from agents.a2c import A2C
from agents.base.evaluation import evaluate
from agents.dqn import DQN
from agents.recurrent_dqn import RecurrentDQN

SMALL = {"learning_starts": 20, "train_freq": 1, "net_arch": (8,)}


def test_agents_are_names_of_the_package_which_loads_them_when_first_used():
    for name in agents.AGENTS:
        assert getattr(agents, name).__name__ == name
        assert name in dir(agents)
    with pytest.raises(AttributeError, match="module 'agents' has no attribute 'TRPO'"):
        agents.TRPO  # noqa: B018
    code = (
        "import sys, agents; assert 'torch' not in sys.modules; from agents import DQN; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_agent_has_its_envs_spaces_as_sb3s_have(match_env, aim, tmp_path):
    agent = DQN(lambda: match_env(4, start=2), seeds=2, n_envs=3, **SMALL)
    assert agent.observation_space == gym.spaces.Box(0.0, 1.0, (4,), np.float32)
    assert agent.action_space == gym.spaces.Discrete(4, start=2)
    assert A2C(aim).action_space == aim.action_space
    assert agent.get_env().num_envs == 6
    with pytest.raises(AttributeError):
        agent.action_space = gym.spaces.Discrete(3)
    agent.save(tmp_path / "agent")
    loaded = DQN.load(tmp_path / "agent")
    assert loaded.get_env() is None
    with pytest.raises(ValueError, match="no env to learn in"):
        loaded.action_space  # noqa: B018
    assert agent[1].action_space == agent.action_space


def test_a_callback_that_returns_numpys_false_ends_training(match_env):
    steps = np.array(30)
    agent = DQN(match_env, **SMALL).learn(100, callback=lambda agent: agent.num_timesteps < steps)
    assert agent.num_timesteps == 30
    assert agent.resume(callback=lambda agent: np.bool_(False)).num_timesteps == 31


@pytest.mark.parametrize("kind", [list, tuple])
def test_of_several_callbacks_all_are_called_and_any_ends_training(kind, match_env):
    seen: list[str] = []
    callbacks = kind([lambda agent: agent.num_timesteps < 5, lambda agent: seen.append("second")])
    agent = DQN(match_env, **SMALL).learn(100, callback=callbacks)
    assert (agent.num_timesteps, len(seen)) == (5, 5)
    assert agent.resume(callback=callbacks).num_timesteps == 6
    assert DQN(match_env, **SMALL).learn(10, callback=kind()).num_timesteps == 10


def test_what_is_no_callback_is_refused_before_the_first_step(match_env):
    agent = DQN(match_env, **SMALL).learn(10, callback=lambda agent: False)
    for bad in ("stop", 3, [lambda agent: None, "stop"], CheckpointCallback(1, "."), CheckpointCallback):
        for train in (lambda bad=bad: agent.learn(10, callback=bad), lambda bad=bad: agent.resume(callback=bad)):
            with pytest.raises(TypeError, match="callback must be a function of the agent, or a list"):
                train()
    assert (agent.num_timesteps, agent.goal) == (1, 10)


class Recast(gym.ObservationWrapper):
    """The side that MatchEnv shows, in another form."""

    FORMS = {
        "uint8 image": (gym.spaces.Box(0, 255, (1, 3), np.uint8), lambda one_hot: one_hot[None] * 255),
        "int64": (gym.spaces.Box(-9, 9, (3,), np.int64), lambda one_hot: 2 * one_hot - 1),
        "a number": (gym.spaces.Box(-1.0, 1.0, (), np.float32), lambda one_hot: one_hot.argmax() - 1),
    }

    def __init__(self, env: gym.Env, form: str) -> None:
        super().__init__(env)
        self.observation_space, self._cast = self.FORMS[form]

    def observation(self, observation):
        return np.asarray(self._cast(observation), self.observation_space.dtype)


@pytest.mark.parametrize("form", Recast.FORMS)
def test_any_box_of_numbers_is_learnt_from(form, match_env, tmp_path):
    def make():
        return Recast(match_env(), form)

    agent = DQN(make, seeds=2, learning_rate=5e-3, gamma=0.5, **SMALL).learn(1_000)
    assert evaluate(agent, make, 3).mean() > 7  # of 10; at random 3.3
    agent.save(tmp_path / "agent")
    obs = make().reset(seed=0)[0]
    both = np.stack([obs, obs])
    assert np.array_equal(
        DQN.load(tmp_path / "agent").predict(both, deterministic=True)[0], agent.predict(both, deterministic=True)[0]
    )
    assert agent[0].predict(obs, deterministic=True)[0].shape == ()
    assert agent[0].predict(np.stack([obs] * 5), deterministic=True)[0].shape == (5,)
    for algorithm, options in ((A2C, {}), (RecurrentDQN, {"learning_starts": 50, "lstm_size": 4})):
        assert evaluate(algorithm(make, n_envs=2, **options).learn(100), make, 2).shape == (1, 2)
