"""Environments of S seeds with N envs each, as one vector env whose seeds never mix.

Axis letters: S seeds, N envs per seed, D observation (flattened).
"""

import copy
import importlib
import inspect
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from agents.common.state import DAMAGE, State, get_parts, set_parts
from agents.common.streams import seed_sequence
from agents.envs.env_checks import check_apart, made_by, named
from agents.envs.env_state import episodes_of, set_episodes

Floats = npt.NDArray[np.float32]
EnvLike = str | EnvSpec | Callable[[], gym.Env[Any, Any]] | gym.Env[Any, Any]
_SMALL = 1e76  # a sum of squares below it holds no number beyond float32
MOST_ENVS = 2**20
EPISODE_WINDOW = 100  # episodes that the running means cover, as SB3's stats_window_size


@dataclass(frozen=True)
class Spaces:
    """Spaces of an env: Box observations, and Discrete actions or a bounded Box of floats.

    Attributes:
        obs_shape: Shape of one observation; networks see it flattened.
        n_actions: Number of Discrete actions; 0 if actions are a Box.
        first_action: The smallest Discrete action, its `start`.
        action_shape: Shape of one action, () if actions are Discrete.
        action_low: Smallest numbers of a Box action, flattened.
        action_high: Largest ones.
    """

    obs_shape: tuple[int, ...]
    n_actions: int
    first_action: int = 0
    action_shape: tuple[int, ...] = ()
    action_low: tuple[float, ...] = ()
    action_high: tuple[float, ...] = ()

    @classmethod
    def of(cls, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> "Spaces":
        """The spaces of an env; ValueError if an agent cannot work with them."""
        if not isinstance(observation_space, gym.spaces.Box):
            raise ValueError(f"observation_space must be a Box, got {observation_space}")
        shape = tuple(int(size) for size in observation_space.shape)
        if isinstance(action_space, gym.spaces.Discrete):
            return cls(shape, int(action_space.n), int(action_space.start))
        if not isinstance(action_space, gym.spaces.Box) or not np.issubdtype(action_space.dtype, np.floating):
            raise ValueError(f"action_space must be Discrete or a Box of floats, got {action_space}")
        if not action_space.is_bounded() or not action_space.shape:
            raise ValueError(f"action_space must have finite bounds and an axis, got {action_space}")
        low, high = (tuple(bound.reshape(-1).tolist()) for bound in (action_space.low, action_space.high))
        return cls(shape, 0, 0, tuple(int(size) for size in action_space.shape), low, high)

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> "Spaces":
        """The spaces whose `dataclasses.asdict` went through JSON."""
        known: dict[str, Any] = {name: tuple(fact) if isinstance(fact, list) else fact for name, fact in facts.items()}
        return cls(**known)

    @property
    def obs_size(self) -> int:
        """D, the size of a flattened observation."""
        return int(np.prod(self.obs_shape))

    @property
    def continuous(self) -> bool:
        """True if actions are a Box."""
        return self.n_actions == 0

    def to_env(self, action: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Actions as the env takes them, [B, *action_shape]: Discrete ones from its `start`, others within bounds.

        Args:
            action: [B] ints counted from 0, or floats [B, *action_shape] of any size.
        """
        if self.continuous:
            clipped: Floats = np.clip(action, *self._bounds).astype(np.float32, copy=False)
            return clipped
        shifted: npt.NDArray[Any] = action + self.first_action
        return shifted

    def from_unit(self, action: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Box actions [..., *action_shape] for numbers [..., A] in [-1, 1]: -1 is the lowest action, 1 the highest."""
        (low, high), share = self._bounds, (0.5 + 0.5 * action).reshape(*action.shape[:-1], *self.action_shape)
        scaled: npt.NDArray[Any] = low * (1.0 - share) + high * share  # high - low may be infinite
        return scaled

    @cached_property
    def _bounds(self) -> tuple[Floats, Floats]:
        exact = (np.array(bound, np.float64) for bound in (self.action_low, self.action_high))
        (low, least), (high, most) = ((bound.astype(np.float32), bound) for bound in exact)
        low = np.where(low < least, np.nextafter(low, np.float32(np.inf)), low)  # not beyond bounds of float64
        high = np.where(high > most, np.nextafter(high, np.float32(-np.inf)), high)
        return low.reshape(self.action_shape), high.reshape(self.action_shape)


class Step(NamedTuple):
    """The result of one step of all envs."""

    obs: Floats  # [S, N, D], what to act on next: after the end of an episode, the first of the next one
    reward: npt.NDArray[Any]  # [S, N]
    terminated: npt.NDArray[np.bool_]  # [S, N]
    ended: npt.NDArray[np.bool_]  # [S, N], terminated or truncated
    next_obs: Floats  # [S, N, D], what the action led to: after the end of an episode, its last one


class SeedEnvs:
    """One SAME_STEP vector env of S * N sub-envs, with arrays [S, N, ...].

    An algorithm that observes its envs in another way has a subclass as its `envs_type`.

    Attributes:
        spaces: The single env's spaces.
        returns: Per seed, the undiscounted returns of its last episodes.
        lengths: Per seed, their lengths.
    """

    autoreset_mode: ClassVar[AutoresetMode] = AutoresetMode.SAME_STEP
    spaces_type: ClassVar[type[Spaces]] = Spaces

    def __init__(self, envs: VectorEnv[Any, Any, Any], seeds: Sequence[int], n_envs: int, purpose: str) -> None:
        self.spaces = self.spaces_type.of(envs.single_observation_space, envs.single_action_space)
        self.vector_env = envs
        self._shape = (len(seeds), n_envs)
        self._agent_seeds, self._purpose = seeds, purpose
        self._seeds: Any = self._drawn_seeds()
        self._return = np.zeros(self._shape)  # [S, N], of the running episodes
        self._steps = 0
        self._start = np.zeros(self._shape, np.int64)  # [S, N], step in which the running episode began
        self.returns: list[deque[float]] = [deque(maxlen=EPISODE_WINDOW) for _ in seeds]
        self.lengths: list[deque[int]] = [deque(maxlen=EPISODE_WINDOW) for _ in seeds]

    def reset(self) -> Floats:
        """First observations [S, N, D]. The first call seeds the sub-envs; later ones continue their random streams."""
        try:
            obs, _ = self.vector_env.reset(seed=self._seeds)
        except (AttributeError, TypeError, ValueError) as error:
            if (better := named(error, self.vector_env, "reset")) is not None:
                raise better from error
            raise
        self._seeds = None
        self._return[:] = 0.0
        self._start[:] = self._steps
        return self._seen(obs)

    def step(self, action: npt.NDArray[Any]) -> Step:
        """Takes the actions: [S, N] ints counted from 0, or floats [S, N, *action_shape], which are clipped.

        Raises:
            ValueError: If a reward or an observation is not finite, or if the env does not return Gymnasium's five
                values.
        """
        flat = action.reshape(-1, *self.spaces.action_shape)
        try:
            obs, reward, terminated, truncated, info = self.vector_env.step(self.spaces.to_env(flat))
        except ValueError as error:
            if (better := named(error, self.vector_env, "step")) is not None:
                raise better from error
            raise
        check_finite("rewards", reward)
        seen = next_obs = self._seen(obs)
        ended = (terminated | truncated).reshape(self._shape)
        self._steps += 1
        self._return += (shaped := reward.reshape(self._shape))
        if ended.any():
            seen, next_obs = self._renewed(seen, info, ended.reshape(-1))
            self._record(ended)
        return Step(seen, shaped, terminated.reshape(self._shape), ended, next_obs)

    def reseed(self, seeds: Sequence[int]) -> None:
        """Seeds the sub-envs from other seeds, S of them, at the next reset."""
        self._agent_seeds = seeds
        self._seeds = self._drawn_seeds()

    def parts(self) -> dict[str, Any]:
        """The counts of episodes, by attribute."""
        counts = {"_return": self._return, "_steps": self._steps, "_start": self._start}
        return counts | {"returns": self.returns, "lengths": self.lengths}

    @property
    def begun(self) -> bool:
        """True if the running episodes have begun; False if the next `reset` seeds the sub-envs."""
        return self._seeds is None

    def counts(self) -> State:
        """The counts of episodes, without the episodes, and the seeds of the next `reset`."""
        return {"counts": get_parts(self.parts()), "seeds": self._seeds}

    def set_counts(self, state: State) -> None:
        """Restores what `counts` returned."""
        set_parts(self, self.parts(), state["counts"])
        self._seeds = state["seeds"]

    def get_state(self) -> State:
        """Counts, and the running episodes; None in their place if the env cannot give them."""
        return {"counts": get_parts(self.parts()), "episodes": episodes_of(self.vector_env)}

    def set_state(self, state: State) -> bool:
        """Restores what `get_state` returned; False if it has no episodes, so that `reset` must start new ones.

        Raises:
            ValueError: If the episodes ran in another env.
        """
        try:
            set_parts(self, self.parts(), state["counts"])
            if state["episodes"] is None:
                self._seeds = self._drawn_seeds(self._steps)  # not the same episodes as at the start
                return False
            self.vector_env.reset(seed=self._seeds)  # readies the wrappers
            self._seeds = None
            set_episodes(self.vector_env, state["episodes"])
        except (ValueError, *DAMAGE) as error:
            said = str(error) if isinstance(error, ValueError) else repr(error)
            raise ValueError(f"training.episodes: they cannot go on in {self.vector_env}: {said}") from error
        return True

    def _drawn_seeds(self, *more: int) -> list[int]:
        """One seed per sub-env, [S * N]; with other numbers in `more` others."""
        return [one for seed in self._agent_seeds for one in env_seeds(seed, self._shape[1], self._purpose, *more)]

    def _seen(self, obs: Any) -> Floats:
        """Observations as float32 [S, N, D]; integers beyond 2^24 are rounded.

        Raises:
            ValueError: If one is not finite: a network that learnt from it would be ruined.
        """
        seen = np.asarray(obs, np.float32).reshape(*self._shape, -1)
        check_finite("observations", seen)
        return seen

    def _renewed(self, seen: Floats, info: dict[str, Any], ended: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Observations to act on next, and those the last actions led to, if sub-envs `ended` [S * N] were reset."""
        next_obs = seen.copy()
        rows = next_obs.reshape(len(ended), -1)
        for i in np.flatnonzero(ended):
            rows[i] = np.asarray(info["final_obs"][i], np.float32).reshape(-1)
        return seen, self._seen(next_obs)

    def _record(self, ended: npt.NDArray[np.bool_]) -> None:
        for s, n in np.argwhere(ended):
            self.returns[s].append(float(self._return[s, n]))
            self.lengths[s].append(int(self._steps - self._start[s, n]))
            self._return[s, n] = 0.0
            self._start[s, n] = self._steps


def check_finite(what: str, values: npt.NDArray[Any]) -> None:
    """Checks numbers from an env; ValueError if one is not finite, or too large for float32."""
    if float(np.vdot(values, values)) < _SMALL:  # in a tenth of the time of the next line, which decides
        return
    held = np.abs(values) <= np.finfo(np.float32).max
    if not held.all():
        raise ValueError(f"the env must give finite {what} that float32 can hold, got {values[~held]}")


def env_seeds(seed: int, n_envs: int, purpose: str, *more: int) -> list[int]:
    """The seeds of one seed's N sub-envs, derived from it (and `more`) alone; the first ones do not depend on N."""
    return [int(word) for word in seed_sequence(seed, purpose, *more).generate_state(n_envs)]


def make_envs(
    env: EnvLike, seeds: Sequence[int], n_envs: int, purpose: str = "envs", kind: type[SeedEnvs] = SeedEnvs
) -> SeedEnvs:
    """S * N copies of `env` in one vector env, in the autoreset mode of `kind`, SAME_STEP unless given.

    A native vector env is used if it declares `metadata["independent_sub_envs"] = True`: each
    sub-env has a random stream of its own, so seeds do not mix. (Gymnasium's native CartPole has one stream
    for all.) Otherwise it is `gymnasium.vector.SyncVectorEnv`.

    Args:
        env: An id ("CartPole-v1", "module:Env-v0"), an `EnvSpec`, a function that returns a new env, or an
            env with a spec, of which copies are made, without its render mode.
        seeds: S seeds.
        n_envs: N.
        purpose: The streams of a seed that the sub-envs draw from, "envs" to train, "evaluate" to evaluate.
        kind: Type of the result.

    Raises:
        TypeError: If `env` is none of these.
        ValueError: If it is an env without a spec, its spaces do not suit, or a function returns one env twice.
    """
    source = as_source(env)
    total = len(seeds) * n_envs
    if total > MOST_ENVS:
        raise ValueError(f"n_envs must make at most {MOST_ENVS:,} envs of all seeds together, got {total:,}")
    mode = kind.autoreset_mode
    vector = _native(source, total, mode) if isinstance(source, EnvSpec) else None
    if vector is None:
        make = partial(gym.make, source) if isinstance(source, EnvSpec) else partial(made_by, source)
        vector = SyncVectorEnv([make] * total, autoreset_mode=mode)
        check_apart(vector, source)
    return kind(vector, seeds, n_envs, purpose)


def as_source(env: EnvLike) -> EnvSpec | Callable[[], gym.Env[Any, Any]]:
    """The spec or function that envs are made from; TypeError or ValueError if `env` gives none.

    A spec loses its render mode, unless one of its wrappers may need it: no training looks at its envs.
    """
    if isinstance(env, str):
        module, _, name = env.rpartition(":")
        if module:
            importlib.import_module(module)
        return gym.spec(name)
    if isinstance(env, gym.Env):
        if env.spec is None:
            raise ValueError(f"env has no spec to make copies from, pass a function that returns one: {env}")
        env = env.spec
    if isinstance(env, EnvSpec):
        return env if env.additional_wrappers else _unseen(env)
    if callable(env) and not isinstance(env, VectorEnv):
        return env
    raise TypeError(
        "env must be an id, an EnvSpec, a function that returns an env, or a single env, of which every seed gets "
        f"n_envs copies, got {env!r}"
    )


def _unseen(spec: EnvSpec) -> EnvSpec:
    """The spec without a render mode."""
    if spec.kwargs.get("render_mode") is None:
        return spec
    spec = copy.copy(spec)
    spec.kwargs = {name: value for name, value in spec.kwargs.items() if name != "render_mode"}
    return spec


def _native(spec: EnvSpec, total: int, mode: AutoresetMode) -> VectorEnv[Any, Any, Any] | None:
    """The spec's own vector env, if its sub-envs are independent and it supports everything in the spec; else None."""
    entry = spec.vector_entry_point
    if entry is None or spec.additional_wrappers or spec.max_episode_steps is not None:
        return None
    creator = load_env_creator(entry) if isinstance(entry, str) else entry
    if "autoreset_mode" not in inspect.signature(creator).parameters:
        return None
    envs = gym.make_vec(spec, total, "vector_entry_point", autoreset_mode=mode)
    return envs if envs.metadata.get("independent_sub_envs") is True else None
