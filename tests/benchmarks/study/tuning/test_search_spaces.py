import inspect
import itertools

import pytest

import agents
from benchmarks.contenders import sb3
from benchmarks.contenders.named import Contender
from benchmarks.study.tuning.search_spaces import SPACES, Range, space_of, tuned

OURS = [name for name in SPACES if name in agents.AGENTS]
THEIRS = ["A2C", "DQN", "MaskablePPO", "PPO", "QRDQN", "RecurrentPPO"]


def ends(what):
    return (what.low, what.high) if isinstance(what, Range) else (what[0], what[-1])


def test_every_agent_can_be_tuned():
    assert sorted(agents.AGENTS) == OURS
    assert {*OURS, *THEIRS} == set(SPACES)


@pytest.mark.parametrize("name", OURS)
def test_our_agents_take_all_that_may_be_drawn(name):
    contender = Contender(agent=name, hyperparameters={"gamma": 0.5})
    space = space_of(contender)
    for which in itertools.product((0, 1), repeat=2):
        drawn = {name: ends(what)[which[i % 2]] for i, (name, what) in enumerate(space.items())}
        Contender(agent=name, hyperparameters=tuned(contender, drawn))


@pytest.mark.parametrize("name", THEIRS)
def test_stable_baselines3_has_the_same_names(name):
    contender = Contender(sb3=name, policy="MlpPolicy", hyperparameters={"policy_kwargs": {"ortho_init": False}})
    drawn = {name: ends(what)[0] for name, what in space_of(contender).items()}
    found = tuned(contender, drawn)
    assert found["policy_kwargs"] == {"ortho_init": False, "net_arch": [64]}
    assert found.keys() <= inspect.signature(sb3.algorithm_class(name)).parameters.keys()


def test_what_is_not_drawn_stays_and_rates_have_four_digits():
    contender = Contender(agent="DQN", hyperparameters={"tau": 0.9, "gamma": 0.5})
    assert tuned(contender, {"gamma": 0.99, "learning_rate": 0.000123456}) == {
        "tau": 0.9,
        "gamma": 0.99,
        "learning_rate": 0.0001235,
    }


def test_a_batch_is_no_larger_than_a_rollout():
    drawn = {"n_epochs": 5, "n_steps": 64, "batch_size": 256}
    assert tuned(Contender(agent="PPO"), drawn)["batch_size"] == 64
    assert tuned(Contender(agent="PPO", n_envs=2), drawn)["batch_size"] == 128


def test_what_cannot_be_tuned_is_named():
    with pytest.raises(ValueError, match="contender must be an agent, ours or of Stable-Baselines3, got 'flat'"):
        space_of(Contender(strategy="flat"))
    with pytest.raises(ValueError, match=r"contender must be one of \['A2C', .*ARS has no space"):
        space_of(Contender(sb3="ARS"))
