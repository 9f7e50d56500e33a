"""Losses of value errors, with their derivatives, as pure functions.

Axis letters: S seeds, B batch, A actions.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch


def huber(error: torch.Tensor) -> torch.Tensor:
    """error^2 / 2 where |error| < 1, else |error| - 1/2, elementwise."""
    size = error.abs()
    return torch.where(size < 1.0, 0.5 * size.square(), size - 0.5)


def masked_mse(q: torch.Tensor, mask: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Each seed's mean of (q * mask - target * mask)^2 over B and A, [S], all [S, B, A].

    A network that takes an observation and a mask of actions, multiplies its output by the mask, and is fitted to a
    target masked alike has this loss. Where the mask is one-hot it is the mean squared error of the masked entries
    divided by A, gradient included; where it is all ones it compares every action.
    """
    return (q * mask - target * mask).square().mean((1, 2))


class Loss(NamedTuple):
    """An elementwise loss of errors."""

    value: Callable[[torch.Tensor], torch.Tensor]
    gradient: Callable[[torch.Tensor], torch.Tensor]
    """Its derivative, as a new tensor."""


LOSSES = {
    "huber": Loss(huber, lambda error: error.clamp(-1.0, 1.0)),
    "mse": Loss(torch.square, lambda error: 2.0 * error),
}
