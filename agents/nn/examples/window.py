"""Observations that begin with a window of features, as those of TradingEnv do."""

from typing import NamedTuple

import torch


class Window(NamedTuple):
    """Sizes of an observation [T * F + R]: T rows of F features, from the oldest to the newest, and R more numbers."""

    rows: int  # T
    features: int  # F
    rest: int  # R

    @classmethod
    def of(cls, obs_size: int, rows: int, rest: int) -> "Window":
        """The sizes; ValueError if an observation is no whole number of rows."""
        features, over = divmod(obs_size - rest, rows)
        if over or features < 1:
            raise ValueError(f"window={rows} and rest={rest} do not fit observations of {obs_size} numbers")
        return cls(rows, features, rest)

    def split(self, obs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The window [..., T, F] and the rest [..., R] of observations [..., T * F + R]."""
        end = self.rows * self.features
        return obs[..., :end].unflatten(-1, (self.rows, self.features)), obs[..., end:]
