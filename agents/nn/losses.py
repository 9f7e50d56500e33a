"""Losses of value errors as pure functions, with their derivatives for gradients by hand."""

import torch


def huber(error: torch.Tensor) -> torch.Tensor:
    """error^2 / 2 where |error| < 1, else |error| - 1/2, elementwise."""
    size = error.abs()
    return torch.where(size < 1.0, 0.5 * size.square(), size - 0.5)


def huber_derivative(error: torch.Tensor) -> torch.Tensor:
    """The derivative of `huber`, elementwise, as a new tensor."""
    return error.clamp(-1.0, 1.0)


def squared_derivative(error: torch.Tensor) -> torch.Tensor:
    """The derivative of error^2, elementwise, as a new tensor."""
    return 2.0 * error
