"""Losses of value errors as pure functions."""

import torch


def huber(error: torch.Tensor) -> torch.Tensor:
    """error^2 / 2 where |error| < 1, else |error| - 1/2, elementwise."""
    size = error.abs()
    return torch.where(size < 1.0, 0.5 * size.square(), size - 0.5)
