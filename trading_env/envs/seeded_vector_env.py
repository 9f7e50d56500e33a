"""SeededVectorEnv: everything in a vector env except its dynamics.

Random streams, resets of chosen sub-envs, the three autoreset modes with their final observations, protection against
interrupted steps (`trading_env.envs.turns`), and the common part of the state. N = num_envs, D = observation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from trading_env._checks import integer
from trading_env.envs import state as env_state
from trading_env.envs.arguments import Bools, autoreset_mode_of, check_options, reset_mask, sub_env_seeds
from trading_env.envs.checked_state import array_of, check_streams, flag, ints_of
from trading_env.envs.turns import Turn, new_turn, refusal

_NEEDED = "not every sub-env has a running episode"
_STATE = ("_begun", "_ended", "_any_ended", "_rng_seeds")
MAX_ENVS = 2**31  # numpy's own error for more does not name num_envs


class SeededVectorEnv(gym.vector.VectorEnv[Any, Any, Any], ABC):
    """N episodes, each with a seed and a random stream of its own, as in Gymnasium's SyncVectorEnv.

    A subclass calls `_set_spaces` and defines the abstract methods. A step calls `_inputs` and `_advance`, and for new
    episodes `_draw`, `_begin` and `_show`. Info is a dict of arrays (N, ...).

    Args:
        num_envs: N.
        autoreset_mode: NEXT_STEP, SAME_STEP or DISABLED, as AutoresetMode or by name.

    Raises:
        TypeError: num_envs is no integer.
        ValueError: an argument is out of range.
    """

    _reset_options: ClassVar[tuple[str, ...]]  # names, besides "reset_mask"
    _state_keys: ClassVar[tuple[str, ...]]  # keys of `_own_state`
    _flat = True  # `_shaped` returns its argument

    def __init__(self, num_envs: int, autoreset_mode: AutoresetMode | str) -> None:
        self.num_envs = integer("num_envs", num_envs, 1, MAX_ENVS)
        self.autoreset_mode = autoreset_mode_of(autoreset_mode)
        self.render_mode = None
        self.metadata = {
            "render_modes": [],
            "autoreset_mode": self.autoreset_mode,
            "independent_sub_envs": True,  # each sub-env has a random stream and a seed of its own
        }
        self._turn: Turn = []  # not empty while every sub-env has an episode, running or ended
        self._ended = np.zeros(self.num_envs, np.bool_)  # sub-envs whose episode ended in the last step
        self._any_ended = False
        self._rngs: list[np.random.Generator] = []
        self._rng_seeds: list[int] = []

    def _set_spaces(self, observation: spaces.Space[Any], action: spaces.Space[Any]) -> None:
        """Sets the spaces, given those of one sub-env."""
        self.single_observation_space, self.single_action_space = observation, action
        self.observation_space = batch_space(observation, self.num_envs)
        self.action_space = batch_space(action, self.num_envs)

    # -- the dynamics of a subclass -----------------------------------------------------------------------

    @abstractmethod
    def _asked(self, options: Mapping[str, Any], rows: Any) -> list[Any]:
        """Checked options of ``reset`` for each of the rows, as `_draw` takes them."""

    @abstractmethod
    def _draw(self, rng: np.random.Generator, asked: Any = None) -> Any:
        """A new episode, drawn except for the options that were asked for."""

    @abstractmethod
    def _begin(self, rows: Any, episodes: Sequence[Any], stepped: bool) -> None:
        """Starts the episodes in the rows.

        Args:
            rows: indices of the sub-envs.
            episodes: of `_draw`, one for each row.
            stepped: True if the rows ended an episode in this same step, to which `counterfactual` still refers.
        """

    @abstractmethod
    def _first(self, rows: Any, episodes: Sequence[Any]) -> tuple[Any, dict[str, Any]]:
        """Observations (N, D) and info after a reset of the rows."""

    @abstractmethod
    def _show(self, rows: Any, episodes: Sequence[Any], obs: Any, info: dict[str, Any]) -> None:
        """Overwrites observation and info of the rows by those of their new episodes."""

    @abstractmethod
    def _inputs(self, actions: Any) -> Any:
        """Checked actions and everything else that `_advance` needs."""

    @abstractmethod
    def _advance(self, inputs: Any, turn: Turn) -> tuple[Any, Any, Bools, Bools, dict[str, Any], bool | int]:
        """One bar of all episodes that have not ended.

        Args:
            inputs: of `_inputs`.
            turn: to be given back if an action is refused before anything has changed.

        Returns:
            Observations (N, D), rewards, terminated and truncated (N,), info, and True if any episode ended.
        """

    def _shaped(self, obs: Any) -> Any:
        """Flat observations (..., D) in the shape of the observation space."""
        return obs

    @abstractmethod
    def _own_state(self) -> dict[str, Any]:
        """Copy of the state of the dynamics, with the keys `_state_keys`."""

    @abstractmethod
    def _checked_state(self, state: Mapping[str, Any], begun: bool, ended: Bools) -> Any:
        """State of the dynamics, checked, for `_take_up`; ``ended`` (N,) marks episodes that have ended."""

    @abstractmethod
    def _take_up(self, parts: Any) -> None:
        """Restores a checked state of the dynamics."""

    # -- randomness ---------------------------------------------------------------------------------------

    @property
    def np_random(self) -> Any:
        """The generators of the sub-envs, a tuple (N,)."""
        self._seed([None] * self.num_envs)
        return tuple(self._rngs)

    @np_random.setter
    def np_random(self, value: Any) -> None:
        self._rngs, self._rng_seeds = list(value), [-1] * self.num_envs

    @property
    def np_random_seed(self) -> Any:
        """The seeds of the sub-envs, a tuple (N,); -1 where the generator was set."""
        self._seed([None] * self.num_envs)
        return tuple(self._rng_seeds)

    def _seed(self, seeds: Sequence[int | None]) -> None:
        """Seeds the sub-envs for which a seed is given, and on the first call all others."""
        if not self._rngs:
            pairs = [seeding.np_random(seed) for seed in seeds]
            self._rngs, self._rng_seeds = [rng for rng, _ in pairs], [seed for _, seed in pairs]
            return
        for j, seed in enumerate(seeds):
            if seed is not None:
                self._rngs[j], self._rng_seeds[j] = seeding.np_random(seed)

    # -- reset --------------------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Starts an episode in every sub-env.

        Args:
            seed: sub-env i is seeded with seed + i, or with seed[i]; None continues its stream.
            options: those of the scalar env, each one value or an array (N,); "reset_mask", bool (N,): the sub-envs
                to reset; the others stay unchanged.

        Returns:
            Observations with a leading axis N, and info with the keys of ``step``.

        Raises:
            TypeError: a seed or an option of a wrong type.
            ValueError: an unknown option, one out of range, or one of a wrong shape. The env is unchanged then.
        """
        options = check_options(options, (*self._reset_options, "reset_mask"))
        mask = reset_mask(options.get("reset_mask"), self.num_envs, self._begun)
        rows = np.flatnonzero(mask)
        asked = self._asked(options, rows)
        seeds = sub_env_seeds(seed, self.num_envs)
        self._turn = []  # no step until this is complete
        self._seed([seeds[j] if mask[j] else None for j in range(self.num_envs)])
        episodes = [self._draw(self._rngs[j], one) for j, one in zip(rows, asked, strict=True)]
        self._begin(rows, episodes, stepped=False)
        self._ended[rows] = False
        self._any_ended = bool(self._ended.any())
        obs, info = self._first(rows, episodes)
        shaped, self._turn = self._shaped(obs), new_turn()
        return shaped, info

    @property
    def _begun(self) -> bool:
        """True if every sub-env has an episode and no step was interrupted."""
        return bool(self._turn)

    # -- step ---------------------------------------------------------------------------------------------

    def step(self, actions: Any) -> tuple[Any, Any, Bools, Bools, dict[str, Any]]:
        """Runs one bar in every sub-env; ended episodes are reset according to the autoreset mode.

        Args:
            actions: (N,) integers; continuous (N, 1) floats.

        Returns:
            Fresh arrays with a leading axis N.

        Raises:
            ResetNeeded: a sub-env has no running episode; the last step was interrupted, by Ctrl-C or an error; or
                another thread is inside a step.
            TypeError: actions of a wrong type.
            ValueError: actions of a wrong shape, or out of the action space; or equity or reward beyond float64.
        """
        turn = self._turn
        if not turn or (self._any_ended and self.autoreset_mode is AutoresetMode.DISABLED):
            raise refusal(_NEEDED)
        inputs = self._inputs(actions)
        try:
            turn.pop()  # an interrupt from here on leaves the turn empty
        except IndexError:
            raise refusal(_NEEDED) from None
        obs, reward, terminated, truncated, info, any_ended = self._advance(inputs, turn)
        if any_ended or self._any_ended:
            self._autoreset(terminated | truncated, obs, info)
        shaped = obs if self._flat else self._shaped(obs)
        turn.append(True)
        return shaped, reward, terminated, truncated, info

    def _autoreset(self, now: Bools, obs: Any, info: dict[str, Any]) -> None:
        """Resets the sub-envs that ended in this step (SAME_STEP) or in the last one (NEXT_STEP)."""
        same, final = self.autoreset_mode is AutoresetMode.SAME_STEP, {}
        rows = np.flatnonzero(now if same else self._ended)
        if same:
            final = self._final(rows, now, obs, info)
        else:
            self._ended, self._any_ended = now, bool(now.any())
        if len(rows):
            episodes = [self._draw(self._rngs[j]) for j in rows]
            self._begin(rows, episodes, stepped=same)
            self._show(rows, episodes, obs, info)
        info.update(final)

    def _final(self, rows: Any, now: Bools, obs: Any, info: dict[str, Any]) -> dict[str, Any]:
        """The last observation and info of the episodes that ended, in the form of Gymnasium's SyncVectorEnv."""
        final_obs = np.full(self.num_envs, None, dtype=object)
        for j in rows:
            last = obs[j].copy()
            final_obs[j] = last if self._flat else self._shaped(last)
        final_info = {key: np.zeros_like(values) for key, values in info.items()}
        for key, values in info.items():
            final_info[key][rows] = values[rows]
        return {"final_obs": final_obs, "_final_obs": now.copy(), "final_info": final_info, "_final_info": now.copy()}

    # -- state --------------------------------------------------------------------------------------------

    def get_state(self) -> env_state.State:
        """The running episodes and the random streams, as copies: arrays and plain JSON."""
        return {
            "autoreset_mode": self.autoreset_mode.value,
            "streams": env_state.get_streams(self.np_random),
            **env_state.read(self, _STATE),
            **self._own_state(),
        }

    def set_state(self, state: env_state.State) -> None:
        """Restores a state that `get_state` of an env with the same arguments returned.

        Raises:
            ValueError: the state belongs to another env or is invalid: an index outside the data, a number that is
                not finite, parts that contradict each other. The env is unchanged then.
        """
        env_state.check_keys(state, ("autoreset_mode", "streams", *_STATE, *self._state_keys))
        env_state.check_mode(state, self.autoreset_mode)
        rngs = self.np_random  # creates them if needed
        streams = check_streams(rngs, state["streams"])
        begun, any_ended = flag(state, "_begun"), flag(state, "_any_ended")
        ended = array_of(state, "_ended", np.bool_, (self.num_envs,))
        if begun:
            self._check_ended(ended, any_ended)
        parts, seeds = self._checked_state(state, begun, ended), ints_of(state, "_rng_seeds", self.num_envs)
        self._turn = []  # no step until this is complete
        self._take_up(parts)
        self._ended, self._any_ended, self._rng_seeds = ended, bool(ended.any()), seeds
        env_state.set_streams(rngs, streams)
        self._turn = new_turn() if begun else []

    def _check_ended(self, ended: Bools, any_ended: bool) -> None:
        """Raises ValueError unless the flags of ended episodes (N,) are possible in this autoreset mode."""
        kept = self.autoreset_mode is not AutoresetMode.SAME_STEP
        if any_ended != ended.any() or (any_ended and not kept):
            wanted = f"_ended.any() with autoreset_mode {self.autoreset_mode.value}"
            raise ValueError(f"state['_any_ended'] must be {wanted}, got {any_ended} and {ended.tolist()}")
