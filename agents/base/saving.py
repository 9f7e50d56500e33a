"""What a file must say of an agent, and an agent made from it.

What was learnt and the facts always; with `training` also all that `SeedAgent.resume` takes, the envs included.
"""

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from agents.common import checkpoints
from agents.common.facts import check_below, check_keys, short
from agents.common.state import DAMAGE, State, get_attributes, part, set_attributes

if TYPE_CHECKING:
    from agents.base.agent import SeedAgent

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
        "meaning": agent.meaning,
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
        ValueError: Naming it, if something is missing, has another shape, or does not fit.
    """
    for name, array in agent._arrays().items():
        if name not in arrays:
            raise ValueError(f"it has no array {name}")
        stored = arrays[name]
        if (array.shape, array.dtype) != (stored.shape, stored.dtype):
            theirs, ours = (f"{one.dtype} {tuple(one.shape)}" for one in (stored, array))
            raise ValueError(f"{name} must be {ours} by seeds, config and spaces, got {theirs}")
        array.copy_(stored)
    set_attributes(agent, agent._counters, facts["counters"])
    if "training" in facts:
        _take_up(agent, checkpoints.unpack(facts["training"], arrays, "training"))


def _take_up(agent: "SeedAgent", training: State) -> None:
    """Goes back to where `training_of` was called; the envs follow once they are there."""
    check_keys("training", training, ("total_timesteps", "goal", "obs", "episodes", "predicting", "memory"))
    agent.total_timesteps = check_below("training.total_timesteps", training["total_timesteps"], 2**63)
    agent.goal = check_below("training.goal", training["goal"], 2**63)
    agent._obs, agent._episodes = training["obs"], training["episodes"]
    if not isinstance(agent._obs, np.ndarray | None) or not isinstance(agent._episodes, dict | None):
        raise ValueError(
            f"obs must be an array and episodes an object, got {short(agent._obs)}, {short(agent._episodes)}"
        )
    if (agent._obs is None) != (agent._episodes is None):
        raise ValueError("obs and episodes must both be there, or neither")
    shape = (len(agent.seeds), agent.n_envs, agent.spaces.obs_size)
    if agent._obs is not None and (agent._obs.shape != shape or agent._obs.dtype != np.float32):
        given = f"{agent._obs.dtype} {agent._obs.shape}"
        raise ValueError(f"obs must be an array float32 {shape} by seeds, n_envs and spaces, got {given}")
    if agent._obs is not None and not np.isfinite(agent._obs).all():
        raise ValueError("obs must be finite")
    with part("training"), part("predicting"):
        set_attributes(agent, ("_predicting",), training["predicting"])
    with part("training"), part("memory"):
        agent._set_memory(training["memory"])


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Lets any error say of which file it speaks, as a ValueError."""
    try:
        yield
    except (ValueError, *DAMAGE) as error:
        said = str(error) if isinstance(error, ValueError | TypeError) else f"{type(error).__name__} {error}"
        raise ValueError(f"{what}: {said}") from error


def with_functions(config: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration, in which each function that no file holds raises when it is called."""

    def forgotten(name: str) -> Callable[[float], float]:
        def raises(remaining: float) -> float:
            raise ValueError(f"{name} was a function, which no file holds: pass it, load(path, {name}=...)")

        return raises

    return {name: forgotten(name) if value == _FUNCTION else value for name, value in config.items()}
