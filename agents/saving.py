"""What a file must say of an agent, and an agent made from it.

What was learnt and the facts always; with `training` also all that `SeedAgent.resume` takes, the envs included.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from agents import checkpoints
from agents.state import State, get_attributes, set_attributes
from agents.validation import check_int

if TYPE_CHECKING:
    from agents.base import SeedAgent

_FUNCTION = "a function"


def write(agent: "SeedAgent", path: str | os.PathLike[str], training: bool) -> None:
    """Writes what the agent has learnt, and its training too if asked."""
    arrays, facts = agent._arrays(), facts_of(agent)
    if training:
        facts["training"] = checkpoints.pack(training_of(agent), arrays, "training")
    checkpoints.write(path, arrays, facts)


def facts_of(agent: "SeedAgent") -> dict[str, Any]:
    """All but the arrays that a file must say, as plain JSON."""
    config = dataclasses.asdict(agent.config)
    return {
        "algorithm": type(agent).__name__,
        "config": {name: _FUNCTION if callable(value) else value for name, value in config.items()},
        "seeds": agent.seeds,
        "n_envs": agent.n_envs,
        "spaces": dataclasses.asdict(agent.spaces),
        "features_dim": None if agent.features is None else agent.features.dim,
        "counters": {name: getattr(agent, name) for name in agent._counters},
    }


def training_of(agent: "SeedAgent") -> State:
    """All that training goes on from, beside what was learnt."""
    episodes = agent._episodes
    if episodes is None and agent._envs is not None and agent._obs is not None:
        episodes = agent._envs.get_state()
    return {
        "total_timesteps": agent.total_timesteps,
        "goal": agent.goal,
        "obs": agent._obs,
        "episodes": episodes,
        "predicting": get_attributes(agent, ("_predicting",)),
        "memory": agent._get_memory(),
    }


def restore(agent: "SeedAgent", arrays: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
    """Gives a new agent what was learnt, and its training if that is there.

    Raises:
        KeyError: If something is missing.
        RuntimeError: If an array has another shape.
        ValueError: If the training does not fit.
    """
    for name, array in agent._arrays().items():
        if array.shape != arrays[name].shape:
            raise RuntimeError(f"{name} has shape {tuple(arrays[name].shape)}, not {tuple(array.shape)}")
        array.copy_(arrays[name])
    set_attributes(agent, agent._counters, facts["counters"])
    if "training" in facts:
        _take_up(agent, checkpoints.unpack(facts["training"], arrays))


def _take_up(agent: "SeedAgent", training: State) -> None:
    """Goes back to where `training_of` was called; the envs follow once they are there."""
    agent.total_timesteps = check_int("total_timesteps", training["total_timesteps"], 0)
    agent.goal = check_int("goal", training["goal"], 0)
    agent._obs, agent._episodes = training["obs"], training["episodes"]
    if (agent._obs is None) != (agent._episodes is None):
        raise ValueError("obs and episodes must both be there, or neither")
    shape = (len(agent.seeds), agent.n_envs, agent.spaces.obs_size)
    if agent._obs is not None and (agent._obs.shape, agent._obs.dtype) != (shape, np.float32):
        raise ValueError(f"obs must be an array float32 {shape}, got {agent._obs.dtype} {agent._obs.shape}")
    set_attributes(agent, ("_predicting",), training["predicting"])
    agent._set_memory(training["memory"])


def with_functions(config: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration, in which each function that no file holds raises when it is called."""

    def forgotten(name: str) -> Callable[[float], float]:
        def raises(remaining: float) -> float:
            raise ValueError(f"{name} was a function, which no file holds: pass it, load(path, {name}=...)")

        return raises

    return {name: forgotten(name) if value == _FUNCTION else value for name, value in config.items()}
