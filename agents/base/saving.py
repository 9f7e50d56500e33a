"""Files of agents: `save` and `load`.

A file holds the weights and the facts of an agent; with `training` also all that `resume` needs, envs included.
"""

import dataclasses
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import torch

from agents.base.keywords import answer
from agents.base.learner import Counters, Learner, Setup
from agents.base.loop import Loop
from agents.common import checkpoints
from agents.common.checks import check_flag, check_int, check_seeds, short
from agents.common.devices import as_device
from agents.common.facts import check_arrays, check_facts, check_keys, check_room, check_spaces
from agents.common.state import DAMAGE, State
from agents.envs.seed_envs import EnvLike, Spaces, as_source
from agents.nn.extractors import Extractor, check_extractor
from agents.nn.named import as_function, check_named, check_same, described
from agents.nn.networks import Build

_FUNCTION = "a function"


class Saved(Loop):
    """A learner with `save` and `load`."""

    def save(self, path: str | os.PathLike[str], training: bool = False) -> None:
        """Writes weights, hyperparameters and the env's configuration; ".safetensors" is added if there is no suffix.

        A hyperparameter that is a function is not written. The env's configuration is what the env declares in its
        attribute `env_config`: a TradingEnv all its keywords, scaler included, and the fingerprint of its data.

        Args:
            path: The file. It is replaced once the new one is complete.
            training: Whether to write also all that `resume` needs: replay memory and other buffers, random streams,
                running episodes.
        """
        write(self, path, training)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        env: EnvLike | None = None,
        device: str | torch.device = "auto",
        features_extractor: Extractor | None = None,
        *,
        network: Build | str | None = None,
        verbose: int = 0,
        tensorboard_log: str | os.PathLike[str] | None = None,
        threads: int | None = 1,
        check_env: bool = True,
        **changes: Any,
    ) -> Self:
        """The agent that `save` wrote, with everything that the file holds; `resume` continues its training.

        Args:
            path: The file.
            env: The env to continue learning in; not needed to predict.
            device: As for the constructor.
            features_extractor: The one that the agent was made with: no file holds it.
            network: The function that the agent was made with, or its "module:name". A file holds the name and the
                arguments, which are compared; nothing is imported because a file names it.
            verbose: As for the constructor, like the two that follow.
            tensorboard_log: See there.
            threads: See there.
            check_env: Whether to refuse an env whose observations or actions have another meaning than those that the
                agent learnt with; TradingEnv declares its features, scaler, window and actions.
            changes: Hyperparameters to change, but none that shapes a network, or a buffer that the file holds.

        Raises:
            FileNotFoundError: If there is no such file.
            TypeError: If there is no such hyperparameter, or `env` is not an env.
            ValueError: If the file is corrupt, another program's, or another algorithm's; if its agent had a features
                extractor or a network of the user's and none is given, or the reverse, or another; or if the env's
                observations or actions have another meaning.

        Warns:
            UserWarning: If the env has other costs or another fill than the one that the agent learnt in.
        """
        check_flag("check_env", check_env)
        whole = f"{path} does not hold a whole {cls.__name__}"
        arrays, facts = _read(cls, path, whole, changes)
        check_extractor(features_extractor, facts.get("features_dim"))
        made_by = None if network is None else as_function(network)
        check_same(made_by, facts.get("network"))
        if env is not None:
            as_source(env)
        with naming(f"{whole}: config"):
            config = cls.Config(**with_functions(facts["config"]))
        config, asked = changed(config, changes, cls.__name__), "".join(f", {k}={v!r}" for k, v in changes.items())
        agent = cls.__new__(cls)
        with naming(f"{whole}{asked}"):
            spaces = checked_spaces(cls, config, facts, arrays)
            made_for = (check_seeds(facts["seeds"]), facts["n_envs"], spaces, as_device(device))
            agent.set_up(Setup(config, *made_for, env, features_extractor, made_by))
            restore(agent, arrays, facts)
        agent.set_shown(verbose, tensorboard_log, threads)
        agent.env_config, agent._check_env = facts.get("env_config"), check_env
        if env is not None and agent.env_config is not None:
            agent._connected()  # refuses an env of another meaning now, not when training begins
        return agent


def _read(
    cls: type[Learner], path: str | os.PathLike[str], whole: str, changes: Mapping[str, Any]
) -> tuple[State, dict[str, Any]]:
    """Arrays and facts of the file, checked as far as they can be without an agent."""
    arrays, facts = checkpoints.read(path)
    if facts.get("algorithm") != cls.__name__:
        raise ValueError(f"{path} holds {short(facts.get('algorithm'))}, not {cls.__name__}, as its algorithm")
    with naming(whole):
        check_facts(facts, cls.Config, Counters._fields)
        check_named(facts.get("network"))
    kept = facts["config"].get("buffer_size") if "training" in facts else None
    if kept is not None and changes.get("buffer_size", kept) != kept:
        raise ValueError(f"{path} holds a memory with buffer_size={kept}, it cannot be {changes['buffer_size']}")
    return arrays, facts


def write(agent: Learner, path: str | os.PathLike[str], training: bool) -> None:
    """Writes the weights of an agent, and the state of its training if asked."""
    arrays, facts = agent.state_dict(), facts_of(agent)
    if training:
        facts["training"] = checkpoints.pack(agent.training_state(), arrays, "training")
    checkpoints.write(path, arrays, facts)


def facts_of(agent: Learner) -> dict[str, Any]:
    """Everything but the arrays that a file must hold, as plain JSON."""
    config = dataclasses.asdict(agent.config)
    return {
        "algorithm": type(agent).__name__,
        "config": {name: _FUNCTION if callable(value) else value for name, value in config.items()},
        "seeds": agent.seeds,
        "n_envs": agent.n_envs,
        "spaces": dataclasses.asdict(agent.spaces),
        "env_config": agent.env_config,
        "features_dim": None if agent.features is None else agent.features.dim,
        "network": described(agent.network),
        "counters": agent.counters()._asdict(),
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }


def restore(agent: Learner, arrays: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
    """Gives a new agent its weights, and the state of its training if that is there.

    Raises:
        ValueError: Naming it, if something is missing, has another shape, or does not fit.
    """
    for name, array in agent.state_dict().items():
        if name not in arrays:
            raise ValueError(f"it has no array {name}")
        stored = arrays[name]
        if (array.shape, array.dtype) != (stored.shape, stored.dtype):
            theirs, ours = (f"{one.dtype} {tuple(one.shape)}" for one in (stored, array))
            raise ValueError(f"{name} must be {ours} by seeds, config and spaces, got {theirs}")
        array.copy_(stored)
    agent.set_counters(Counters(**facts["counters"]))
    if "training" in facts:
        training = checkpoints.unpack(facts["training"], arrays, "training")
        check_training(training, (len(agent.seeds), agent.n_envs, agent.spaces.obs_size))
        agent.load_training_state(training)


def check_training(training: State, shape: tuple[int, ...]) -> None:
    """Checks the state of training as a file gives it, apart from its `memory`; `shape` [S, N, D] is that of obs.

    Raises:
        TypeError: Naming the fact, if it has another type.
        ValueError: If it is missing, unknown, out of range, or does not fit the others.
    """
    check_keys("training", training, ("total_timesteps", "goal", "obs", "episodes", "memory"))
    for name in ("total_timesteps", "goal"):
        check_int(f"training.{name}", training[name], 0, below=2**63)
    obs, episodes = training["obs"], training["episodes"]
    if not isinstance(obs, np.ndarray | None) or not isinstance(episodes, dict | None):
        raise ValueError(f"obs must be an array and episodes an object, got {short(obs)}, {short(episodes)}")
    if (obs is None) != (episodes is None):
        raise ValueError("obs and episodes must both be there, or neither")
    if obs is not None and (obs.shape != shape or obs.dtype != np.float32):
        given = f"{obs.dtype} {obs.shape}"
        raise ValueError(f"obs must be an array float32 {shape} by seeds, n_envs and spaces, got {given}")
    if obs is not None and not np.isfinite(obs).all():
        raise ValueError("obs must be finite")


def checked_spaces(
    kind: type[Learner], config: Any, facts: Mapping[str, Any], arrays: Mapping[str, torch.Tensor]
) -> Spaces:
    """The spaces in a file, once all that shapes networks and buffers is known to fit its arrays.

    Raises:
        TypeError: Naming the fact, if it has another type.
        ValueError: If it is out of range, or does not fit the arrays.
    """
    spaces_type, S = kind.envs_type.spaces_type, len(facts["seeds"])
    check_keys("spaces", facts["spaces"], [field.name for field in dataclasses.fields(spaces_type)])
    spaces = spaces_type.from_facts(facts["spaces"])
    check_spaces(spaces)
    inputs = spaces.obs_size if facts["features_dim"] is None else facts["features_dim"]
    built_in = facts.get("network") is None
    check_arrays(arrays, S, kind._weight_shapes(config, spaces, inputs) if built_in else ())
    check_room(config, S, facts["n_envs"], spaces.obs_size + math.prod(spaces.action_shape) + 3)
    return spaces


def changed(config: Any, changes: dict[str, Any], algorithm: str) -> Any:
    """The configuration with other hyperparameters; TypeError naming those that the algorithm does not have."""
    known = [field.name for field in dataclasses.fields(config)]
    unknown = [name for name in changes if name not in known]
    if unknown:
        instead = answer(unknown[0], changes[unknown[0]], known)
        raise TypeError(f"{', '.join(unknown)}: no hyperparameter of {algorithm}: {instead}")
    return dataclasses.replace(config, **changes)


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Turns any error into a ValueError that begins with `what`, the file it is about."""
    try:
        yield
    except (ValueError, *DAMAGE) as error:
        said = str(error) if isinstance(error, ValueError | TypeError) else f"{type(error).__name__} {error}"
        raise ValueError(f"{what}: {said}") from error


def with_functions(config: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration in which each function that the file does not hold raises when it is called."""

    def forgotten(name: str) -> Callable[[float], float]:
        def raises(remaining: float) -> float:
            raise ValueError(f"{name} was a function, which no file holds: pass it, load(path, {name}=...)")

        return raises

    return {name: forgotten(name) if value == _FUNCTION else value for name, value in config.items()}
