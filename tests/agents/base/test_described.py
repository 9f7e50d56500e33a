"""Help, signatures and reprs of agents show what can be set and what is."""

import dataclasses
import inspect
import pydoc

import gymnasium as gym
import pytest

import agents
from agents import A2C, DQN


@pytest.mark.parametrize("name", agents.AGENTS)
def test_the_signature_has_every_hyperparameter_with_its_default(name):
    agent = getattr(agents, name)
    parameters = inspect.signature(agent).parameters
    assert next(iter(parameters)) == "env"
    assert {"seeds", "n_envs", "device", "verbose"} <= set(parameters)
    for field in dataclasses.fields(agent.Config):
        assert parameters[field.name].default == field.default
        assert parameters[field.name].annotation == field.type


@pytest.mark.parametrize("name", agents.AGENTS)
def test_help_explains_every_argument(name):
    agent = getattr(agents, name)
    text = pydoc.render_doc(agent, renderer=pydoc.plaintext)
    assert "seeds: n for 0..n-1, or a sequence of ints" in text
    listed = inspect.getdoc(agent).partition("Hyperparameters:\n")[2].splitlines()
    names = [field.name for field in dataclasses.fields(agent.Config)]
    starts = [listed.index(next(line for line in listed if line.startswith(f"    {name}: "))) for name in names]
    assert starts == sorted(starts)
    assert all(listed[start + 1].startswith("        ") for start in starts), "each has a note"


def test_an_agent_of_a_shell_has_help_without_notes():
    namespace = {"DQN": DQN, "dataclass": dataclasses.dataclass, "__name__": "nowhere"}
    exec(
        "@dataclass(frozen=True)\nclass C(DQN.Config):\n    extra: int = 3\nclass Mine(DQN):\n    Config = C", namespace
    )
    mine = namespace["Mine"]
    assert "    extra: int = 3" in inspect.getdoc(mine)
    assert "Transitions per update." in inspect.getdoc(mine), "those of the base have a source"
    assert mine("CartPole-v1", extra=4).extra == 4


def test_the_repr_says_what_is_known_of_an_agent():
    agent = DQN("CartPole-v1", learning_rate=1e-3, seeds=4).learn(8)
    assert repr(agent) == "<DQN: 4 seeds, 8 steps each in CartPole-v1; learning_rate=0.001>"
    assert repr(agent[2]) == "<DQN: seed 2, 8 steps in CartPole-v1; learning_rate=0.001>"
    assert repr(A2C(gym.make("CartPole-v1"))) == "<A2C: seed 0, 0 steps in CartPole-v1>"


def test_the_repr_of_a_loaded_agent_names_no_env(tmp_path):
    DQN("CartPole-v1").save(tmp_path / "agent")
    assert repr(DQN.load(tmp_path / "agent")) == "<DQN: seed 0, 0 steps in no env>"
