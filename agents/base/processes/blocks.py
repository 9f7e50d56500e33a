"""Blocks of seeds as agents of their own, with the state of their training, and an agent made of such blocks.

Axis letters: S seeds, N envs per seed, D observation.
"""

import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

import torch

from agents.base.learner import Counters, Learner
from agents.common.rows import cut, join, join_last
from agents.envs.env_blocks import cut_envs, join_envs

LOST = "the env can neither give its state nor be pickled: episodes end here, and new ones start if training goes on"


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

    def take_up(self, blocks: Sequence[Self]) -> None:
        """Takes over everything that blocks of seeds have learnt, and the state of their training.

        Args:
            blocks: Agents of all seeds, in their order, after the same number of steps.
        """
        arrays = [block.state_dict() for block in blocks]
        for name, own in self.state_dict().items():
            own.copy_(torch.cat([array[name] for array in arrays]))
        self.set_counters(Counters(**join([block.counters()._asdict() for block in blocks])))
        states = [block.training_state(envs=False) for block in blocks]
        lost = any(block._obs is None for block in blocks)
        if lost:
            states = [{**state, "obs": None, "episodes": None} for state in states]
        self.load_training_state(join(states))
        with suppress(ValueError):  # if some have not learnt yet, or not as often as others, the old ones stay
            self._last = join_last([block._last for block in blocks])
        self._take_up_envs(blocks, lost)

    def _take_up_envs(self, blocks: Sequence[Self], lost: bool) -> None:
        envs = [block._envs for block in blocks if block._envs is not None]
        assert self._envs is not None
        joined = None if lost else join_envs(self._envs, envs, self.seeds)
        if joined is not None:
            self._envs = joined
            return
        warnings.warn(LOST, RuntimeWarning, stacklevel=2)
        if self._obs is not None:
            self._break_off(self._obs)
        self._envs.set_state({"counts": join([one.get_state()["counts"] for one in envs]), "episodes": None})
