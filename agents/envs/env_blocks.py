"""The running episodes of some of the seeds, and those of blocks of seeds together.

Envs that give their state are made anew and receive it. The sub-envs of others are handed over as they are, if they are
separate objects in a `SyncVectorEnv`.

Axis letters: S seeds, N envs per seed.
"""

import pickle
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import cloudpickle
from gymnasium.vector import SyncVectorEnv

from agents.common.rows import cut, join
from agents.common.state import State
from agents.envs.env_state import AUTORESET
from agents.envs.seed_envs import EnvLike, SeedEnvs, make_envs

_SINGLE = ("envs", "_env_obs", *AUTORESET)
"""Attributes of a `SyncVectorEnv` with one entry per sub-env."""


def cut_envs(envs: SeedEnvs, source: EnvLike, seeds: Sequence[int], start: int, stop: int) -> SeedEnvs | None:
    """The envs of the seeds `start` to `stop`, in the midst of their episodes; None if they cannot be had.

    Args:
        envs: Envs of all seeds.
        source: The env that they were made from.
        seeds: S seeds.
        start: The first seed's number.
        stop: The number after the last one's.
    """
    S, N, block = len(seeds), envs.vector_env.num_envs // len(seeds), seeds[start:stop]
    state = envs.get_state()
    counts = {"counts": cut(state["counts"], start, stop, S), "seeds": None}
    if state["episodes"] is not None:
        made = make_envs(source, block, N, kind=type(envs))
        made.set_state({**counts, "episodes": cut(state["episodes"], start * N, stop * N, S * N)})
        return made
    if not isinstance(envs.vector_env, SyncVectorEnv):
        return None
    singles = {name: getattr(envs.vector_env, name)[start * N : stop * N].copy() for name in _SINGLE}
    return _together(type(envs), singles, block, N, counts)


def pickled(envs: SeedEnvs) -> bytes | None:
    """The vector env with its running episodes; None if it cannot be taken apart again, or not be pickled."""
    if isinstance(envs.vector_env, SyncVectorEnv):
        with suppress(Exception):  # a stranger's env may raise anything
            return bytes(cloudpickle.dumps(envs.vector_env))
    return None


def join_envs(
    envs: SeedEnvs, states: Sequence[State], vectors: Sequence[bytes | None], seeds: Sequence[int]
) -> SeedEnvs | None:
    """The envs of all seeds, made of those of blocks of seeds; None if they cannot be had.

    Args:
        envs: Envs of all seeds, which receive the state of the blocks, or else are closed.
        states: State of the envs of each block, in the order of the seeds.
        vectors: Pickles of their vector envs, where the state has no episodes.
        seeds: S seeds.
    """
    if all(state["episodes"] is not None for state in states):
        envs.set_state(join(states))
        return envs
    loaded = [pickle.loads(vector) for vector in vectors if vector is not None]
    if len(loaded) < len(states):
        return None
    singles = join([{name: getattr(vector, name) for name in _SINGLE} for vector in loaded])
    counts = {"counts": join([state["counts"] for state in states]), "seeds": None}
    envs.vector_env.close()
    return _together(type(envs), singles, seeds, len(singles["envs"]) // len(seeds), counts)


def _together(
    kind: type[SeedEnvs], singles: dict[str, Any], seeds: Sequence[int], n_envs: int, counts: State
) -> SeedEnvs:
    """Envs made of the attributes of their sub-envs."""
    vector = SyncVectorEnv([partial(_itself, env) for env in singles["envs"]], autoreset_mode=kind.autoreset_mode)
    for name in _SINGLE:
        setattr(vector, name, singles[name])
    made = kind(vector, seeds, n_envs, "envs")
    made.set_counts(counts)
    return made


def _itself(env: Any) -> Any:
    return env
