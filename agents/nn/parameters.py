"""The parameters of S networks in one flat buffer, and their gradients in another.

Tiny networks spend most of their time in per-operation overhead. So seeds are a batch dimension of every operation,
and all parameters of all seeds are views of one buffer, their gradients of another: copying to a target network,
zeroing gradients and optimising are one operation each. The buffer runs layer by layer, and within a layer seed by
seed: each weight [S, in, out] is then contiguous, which batched matrix products want (measured: the backward pass of
16 seeds takes 0.7 times as long as with the seed outermost).

A `SeedNetwork` is a `torch.nn.Module` on such a buffer. Its torch parameters are views of `flat` and their `.grad`
views of `grad`, so `loss.backward()` adds to `grad` in place, and whatever writes to `flat` changes the network.

Axis letters: S seeds, P parameters per seed.
"""

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

Layer = tuple[torch.Tensor, torch.Tensor]  # weight [S, in, out], bias [S, 1, out]
Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


class Parameters:
    """Named arrays of S seeds in one flat buffer, and their gradients in another.

    Attributes:
        flat: [S * P], layer by layer, within a layer seed by seed.
        grad: [S * P], the same order.
        values: name -> view of `flat`, [S, *shape].
        grads: name -> view of `grad`, [S, *shape].
    """

    _made: tuple[tuple[Any, ...], dict[str, Any]]  # what it was made with

    def __new__(cls, *args: Any, **keywords: Any) -> Self:
        """A blank one, which stores the arguments it is made with."""
        made = super().__new__(cls)
        made._made = (args, keywords)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """For copies and pickles, which are made anew: copied one by one, the views would not share memory."""
        return _remade, (type(self), *self._made, self.flat.detach().cpu(), self.grad.detach().cpu())

    def __init__(self, n_seeds: int, shapes: Mapping[str, tuple[int, ...]], device: torch.device) -> None:
        self.n_seeds = n_seeds
        self.sizes = tuple(math.prod(shape) for shape in shapes.values())
        self.flat = torch.zeros(n_seeds * sum(self.sizes), device=device)
        self.grad = torch.zeros_like(self.flat)
        self._shapes = dict(shapes)
        self.values = self.named(self.flat)
        self.grads = self.named(self.grad)

    def named(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        """Views of any buffer laid out like `flat`, by name, [S, *shape] each."""
        views, start = {}, 0
        for (name, shape), size in zip(self._shapes.items(), self.sizes, strict=True):
            stop = start + self.n_seeds * size
            views[name] = flat[start:stop].view(self.n_seeds, *shape)
            start = stop
        return views

    def layers_of(self, named: Mapping[str, torch.Tensor]) -> list[Layer]:
        """Named arrays "x.weight", "x.bias", "y.weight", ... as layers."""
        arrays = list(named.values())
        return list(zip(arrays[::2], arrays[1::2], strict=True))

    def spread(self, per_seed: torch.Tensor) -> torch.Tensor:
        """A buffer like `flat` in which each number is its seed's of `per_seed` [S]."""
        parts = [per_seed.repeat_interleave(size) for size in self.sizes]
        return torch.cat(parts).to(self.flat.device)


def _remade(
    kind: type[Parameters],
    args: tuple[Any, ...],
    keywords: dict[str, Any],
    flat: torch.Tensor,
    grad: torch.Tensor,
) -> Parameters:
    """Parameters made with the same arguments, with these numbers [S * P]."""
    made = kind(*args, **keywords)
    made.flat.copy_(flat)
    made.grad.copy_(grad)
    return made


def clip_per_seed_(parameters: Parameters, max_norm: float) -> torch.Tensor:
    """Scales each seed's gradient to a norm of at most `max_norm`; returns the norms before that, [S]."""
    grads = [grad.view(parameters.n_seeds, -1) for grad in parameters.grads.values()]
    norms: torch.Tensor = torch.linalg.vector_norm(torch.cat(grads, dim=1), dim=1)  # [S]
    scale = (max_norm / (norms + 1e-6)).clamp_(max=1.0)[:, None]
    for grad in grads:
        grad.mul_(scale)
    return norms


class SeedNetwork(Parameters, torch.nn.Module):
    """S networks as one module of seed-batched layers: it maps observations [S, B, D] to outputs [S, B, ...].

    A subclass makes its layers as any module does, with one seed each, and calls `flatten_parameters` at the end of its
    constructor: from then on each parameter has a row per seed, which is a view of the buffers.
    """

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)

    def flatten_parameters(self, n_seeds: int, device: torch.device, seed_axis: bool = True) -> None:
        """Moves all parameters to the buffers, as [S, *shape]; they are zero until they are drawn.

        Args:
            n_seeds: S.
            device: Device of the buffers.
            seed_axis: Whether parameters have a first axis of 1, as those of seed-batched layers, which becomes S.
        """
        shapes = {name: tuple(p.shape[1:] if seed_axis else p.shape) for name, p in self.named_parameters()}
        Parameters.__init__(self, n_seeds, shapes, device)
        for name, parameter in self.named_parameters():
            parameter.data, parameter.grad = self.values[name], self.grads[name]

    def zero_grad(self, set_to_none: bool = False) -> None:
        """Zeroes all gradients at once; they stay views of the buffer whatever `set_to_none` says."""
        self.grad.zero_()

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        """Refuses `to(...)`, `half()` and the like, after which parameters would not be views of the buffer."""
        raise TypeError(f"{type(self).__name__} stays on the device and of the type that it was made with")
