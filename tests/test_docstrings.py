"""Every example of a docstring runs, with a small budget of training, and gives what it shows."""

import doctest
import re
from importlib import import_module
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3

import agents
import trading_env
from trading_env.integrations.sb3 import TradingVecEnv

ROOT = Path(__file__).parents[1]
ROOMS = ("trading_env", "agents", "benchmarks", "course")


def examples():
    """The doctests of all modules that have any, by name."""
    found = {}
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py") if ">>>" in path.read_text()):
        module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for test in doctest.DocTestFinder(exclude_empty=True).find(module, module.__name__):
            if test.examples:
                found[test.name] = test
    return found


EXAMPLES = examples()


def names(test):
    """What an example takes for granted: the public names, and the policies of the library that it is about."""
    known = {"gym": gym, "np": np} | {name: getattr(trading_env, name) for name in trading_env.__all__}
    env = gym.make("trading_env:TradingEnv-v0", data="us-stocks/IBM")
    if test.name.startswith("trading_env.integrations"):
        known |= {"PPO": stable_baselines3.PPO, "DQN": stable_baselines3.DQN, "env": env}
        known["test_env"] = TradingVecEnv(1, observation="compact", data="us-stocks/IBM")
    else:
        known |= {name: getattr(agents, name) for name in agents.AGENTS}
    return {**known, **test.globs}


def affordable(source):
    """The source with a small number of training steps."""
    source = re.sub(r"learn\([\d_]+", "learn(200", source)
    return source.replace("every=10_000", "every=100").replace(", 10_000)", ", 100)")


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.filterwarnings("ignore:.*(rollout|n_steps|batch|truncated).*")
def test_an_example_of_a_docstring_runs_and_gives_what_it_shows(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known = names(EXAMPLES[name])
    for example in EXAMPLES[name].examples:
        if (agent := known.get("agent")) is not None:
            known |= {"obs": np.zeros(agent.observation_space.shape, np.float32), "state": None, "episode_start": None}
        source = affordable(example.source)
        if example.want:
            assert eval(source, known) == eval(example.want), source
        else:
            exec(source, known)


def test_examples_were_found():
    assert {"trading_env.envs.config.EnvConfig", "agents.dqn.DQN", "agents.base.callbacks.Checkpoint"} <= {*EXAMPLES}
