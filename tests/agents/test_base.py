"""What all agents share, beside what each algorithm's tests say."""

import numpy as np
import pytest
from stable_baselines3.common.callbacks import CheckpointCallback

from agents.dqn import DQN

SMALL = {"learning_starts": 20, "train_freq": 1, "net_arch": (8,)}


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
