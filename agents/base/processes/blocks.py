"""Blocks of seeds as agents of their own, with the state of their training, and an agent made of such blocks.

Axis letters: S seeds, N envs per seed, D observation.
"""

import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch

from agents.base.copies import detached
from agents.base.learner import Counters, Learner
from agents.common.rows import contiguous, cut, join, join_last
from agents.common.state import State
from agents.envs.env_blocks import cut_envs, join_envs, pickled

LOST = "the env can neither give its state nor be pickled: episodes end here, and new ones start if training goes on"


class Learnt(NamedTuple):
    """What an agent has learnt, in memory of its own."""

    arrays: dict[str, npt.NDArray[Any]]  # name -> [S, ...]
    counters: Counters
    last: Any  # what its metrics are computed from
    episodes: State | None  # counts of its envs' episodes


class Rest(NamedTuple):
    """All that an agent needs besides to continue; much, if it has a replay memory."""

    training: State
    envs: State | None  # None before the first step
    vector_env: bytes | None  # a pickle, if the envs cannot give their state


class Blocks(Learner):
    """A learner that can be cut along the seed axis, and put together again."""

    def block(self, start: int, stop: int) -> Self:
        """The seeds number `start` to `stop` as an agent that continues exactly as they would.

        Raises:
            ValueError: Naming the part, if the state of training has an array without the seed axis.
        """
        S, block = len(self.seeds), self.like(self.seeds[start:stop])
        whole = self.state_dict()
        for name, array in block.state_dict().items():
            array.copy_(whole[name][start:stop])
        block.set_counters(self.counters())
        block.load_training_state(cut(self.training_state(envs=False), start, stop, S))
        block.env_config, block._check_env = self.env_config, self._check_env
        if self._obs is not None and self._envs is not None and self._env is not None:
            block._envs = cut_envs(self._envs, self._env, self.seeds, start, stop)
            if block._envs is None:
                warnings.warn(LOST, RuntimeWarning, stacklevel=2)
                block._break_off(self._obs[start:stop])
        return block

    def learnt(self) -> Learnt:
        """A copy of everything learnt."""
        arrays = {name: array.detach().cpu().numpy().copy() for name, array in self.state_dict().items()}
        return Learnt(
            arrays, self.counters(), detached(self._last), None if self._envs is None else self._envs.counts()
        )

    def rest(self) -> Rest:
        """The state of training, envs included."""
        training = contiguous(self.training_state(envs=False))
        if self._envs is None or self._obs is None:
            return Rest(training, None, None)
        envs = self._envs.get_state()
        return Rest(training, envs, pickled(self._envs) if envs["episodes"] is None else None)

    def take_up(self, learnt: Sequence[Learnt]) -> None:
        """Takes over what blocks of seeds have learnt: all seeds, in their order, after the same number of steps."""
        for name, own in self.state_dict().items():
            own.copy_(torch.from_numpy(np.concatenate([block.arrays[name] for block in learnt])))
        self.set_counters(Counters(**join([block.counters._asdict() for block in learnt])))
        with suppress(ValueError):  # if some have not learnt yet, or not as often as others, the old ones stay
            self._last = join_last([block.last for block in learnt])
        episodes = [block.episodes for block in learnt]
        if self._envs is not None and None not in episodes:
            self._envs.set_counts(join(episodes))

    def take_up_rest(self, rest: Sequence[Rest]) -> None:
        """Takes over the state of training of the same blocks."""
        self.load_training_state(join([block.training for block in rest]))
        states = [block.envs for block in rest if block.envs is not None]
        if self._obs is None or self._envs is None:
            return
        joined = join_envs(self._envs, states, [block.vector_env for block in rest], self.seeds)
        if joined is None:
            warnings.warn(LOST, RuntimeWarning, stacklevel=2)
            self._break_off(self._obs)
            self._envs.set_state({"counts": join([state["counts"] for state in states]), "episodes": None})
        else:
            self._envs = joined
