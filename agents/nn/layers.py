"""Perceptrons for S seeds at once, their hand-written gradients, and Adam with clipping per seed.

Tiny networks spend most of their time in per-operation overhead. So seeds are a batch dimension of every operation,
and all parameters of all seeds are views of one flat buffer, their gradients of another: copying to a target
network and optimising are one operation each. The buffer runs layer by layer, and within a layer seed by
seed: each weight [S, in, out] is then contiguous, which batched matrix products want (measured: the
backward pass of 16 seeds takes 0.7 times as long as with the seed outermost).

Axis letters: S seeds, B batch, D inputs, H hidden, A outputs, P parameters per seed.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Self, cast

import numpy as np
import numpy.typing as npt
import torch

from agents.common.compiled import compiled
from agents.common.streams import generator
from agents.nn.extractors import Features

Layer = tuple[torch.Tensor, torch.Tensor]  # weight [S, in, out], bias [S, 1, out]
Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


class Activation(NamedTuple):
    """The activation between two layers."""

    in_place: Callable[[torch.Tensor], torch.Tensor]
    gradient: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """Gradient in the input from the one in the output, and the output."""
    on_cpu: Callable[[Floats], Any]
    """The same as `in_place`, of a NumPy array."""


RELU = Activation(
    in_place=torch.relu_,
    gradient=lambda d_out, out: torch.ops.aten.threshold_backward(d_out, out, 0),  # zero where ReLU was off
    on_cpu=lambda x: np.maximum(x, 0, out=x),
)
TANH = Activation(
    in_place=torch.tanh_,
    gradient=torch.ops.aten.tanh_backward,
    on_cpu=lambda x: np.tanh(x, out=x),
)
ACTIVATIONS = {"relu": RELU, "tanh": TANH}


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

    def copy_from(self, values: Mapping[str, torch.Tensor]) -> None:
        """Copies the named arrays `values`, [S, *shape] each."""
        for name, value in self.values.items():
            value.copy_(values[name])


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


class MLP(Parameters):
    """S perceptrons with ReLU between their layers.

    Initial weights and biases are uniform in +-1/sqrt(inputs), as `torch.nn.Linear` has it (and so SB3's
    DQN), drawn from each seed's own stream.

    Args:
        sizes: Widths from input to output, (D, H, ..., A).
        seeds: One seed per network.
        device: Device of the parameters.
        features: Extractor of the networks' inputs; None means the observation itself.
    """

    def __init__(
        self, sizes: Sequence[int], seeds: Sequence[int], device: torch.device, features: Features | None = None
    ) -> None:
        shapes: dict[str, tuple[int, ...]] = {}
        for i, (inputs, outputs) in enumerate(pairwise(sizes)):
            shapes |= {f"{i}.weight": (inputs, outputs), f"{i}.bias": (1, outputs)}
        super().__init__(len(seeds), shapes, device)
        self._features = features
        self.layers, self.layer_grads = self.layers_of(self.values), self.layers_of(self.grads)
        draw_uniform(self.layers, seeds)
        self._on_cpu = [(w.numpy(), b.numpy()) for w, b in self.layers] if device.type == "cpu" else None

    def forward(self, obs: torch.Tensor) -> list[torch.Tensor]:
        """The input and the output of each layer, the last one [S, B, A], for obs [S, B, D]."""
        return forward(obs if self._features is None else self._features(obs), self.layers)

    def backward(self, outputs: Sequence[torch.Tensor], d_out: torch.Tensor) -> None:
        """Writes the gradient of sum(d_out * last output) into `grads`, given what `forward` returned."""
        backward(outputs, d_out, self.layers, self.layer_grads)

    def act(self, obs: Floats) -> Floats:
        """Outputs [S, B, A] for observations [S, B, D], NumPy to NumPy."""
        if self._on_cpu is None:
            with torch.inference_mode():
                out = self.forward(torch.from_numpy(obs).to(self.flat.device))[-1]
                return cast(Floats, out.cpu().numpy())
        return forward_numpy(obs if self._features is None else self._features.of(obs), self._on_cpu)


def draw_uniform(layers: Sequence[Layer], seeds: Sequence[int]) -> None:
    """Draws weights and biases uniform in +-1/sqrt(inputs), of each seed from its own stream."""
    for s, seed in enumerate(seeds):
        stream = generator(seed, "weights")
        for weight, bias in layers:
            bound = 1.0 / math.sqrt(weight.shape[1])
            for value in (weight[s], bias[s]):
                drawn = stream.uniform(-bound, bound, tuple(value.shape)).astype(np.float32)
                value.copy_(torch.from_numpy(drawn))


def forward(x: torch.Tensor, layers: Sequence[Layer], activation: Activation = RELU) -> list[torch.Tensor]:
    """The input [S, B, D] and the output of each layer, [S, B, H] ..., the last one [S, B, A]."""
    outputs = [x]
    for i, (weight, bias) in enumerate(layers):
        if i:
            activation.in_place(outputs[-1])
        outputs.append(torch.baddbmm(bias, outputs[-1], weight))
    return outputs


def forward_numpy(x: Floats, layers: Sequence[tuple[Floats, Floats]], activation: Activation = RELU) -> Floats:
    """The last layer's output [S, B, A] for x [S, B, D]: for the tiny batches of acting twice as fast as torch."""
    for i, (weight, bias) in enumerate(layers):
        if i:
            activation.on_cpu(x)
        x = x @ weight  # [S, B, H]
        x += bias
    return x


def backward(
    outputs: Sequence[torch.Tensor],
    d_out: torch.Tensor,
    layers: Sequence[Layer],
    grads: Sequence[Layer],
    activation: Activation = RELU,
) -> None:
    """Writes into `grads` the gradient of sum(d_out * last output), given what `forward` returned.

    Twice as fast as autograd, which builds and walks a graph of the same products. A test compares the two.
    """
    for i in range(len(layers) - 1, -1, -1):
        torch.bmm(outputs[i].mT, d_out, out=grads[i][0])  # [S, H, A]
        torch.sum(d_out, 1, keepdim=True, out=grads[i][1])  # [S, 1, A]
        if i:
            d_in = torch.bmm(d_out, layers[i][0].mT)  # [S, B, H]
            d_out = activation.gradient(d_in, outputs[i])


class Adam:
    """Adam on the flat buffer, with the gradient clipped per seed by its global norm.

    Source: Kingma and Ba 2015, algorithm 1, in torch's form. On the CPU one compiled loop clips and steps
    seed by seed, while the seed's numbers are in the cache; elsewhere the same in torch operations. Each seed
    counts its own steps, because one may rest while others go on.

    Args:
        parameters: The parameters to optimise.
        max_grad_norm: Maximum norm of one seed's gradient.
        betas: Decay of the two moments.
        eps: Added to the denominator.

    Attributes:
        steps_of: Steps that each seed has taken, [S].
    """

    def __init__(
        self,
        parameters: Parameters,
        max_grad_norm: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        self.parameters = parameters
        self.max_grad_norm = max_grad_norm
        self.betas = betas
        self.eps = eps
        self.mean = torch.zeros_like(parameters.flat)  # [S * P]
        self.square = torch.zeros_like(parameters.flat)  # [S * P]
        self.steps_of = torch.zeros(parameters.n_seeds, dtype=torch.int64)  # [S]
        self._sizes = np.array(parameters.sizes)
        self._all = np.ones(parameters.n_seeds, np.bool_)
        self._bind()

    def _bind(self) -> None:
        """Chooses the implementation of a step, and makes NumPy views of the buffers."""
        self._step = self._step_torch
        if self.parameters.flat.device.type == "cpu":
            self._step = self._step_compiled
            buffers = (self.parameters.flat, self.parameters.grad, self.mean, self.square)
            self._buffers = tuple(buffer.numpy() for buffer in buffers)

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: everything except what `_bind` makes."""
        return {name: value for name, value in vars(self).items() if name not in ("_step", "_buffers")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._bind()

    @property
    def steps(self) -> int:
        """Steps taken, of the seed that took most."""
        return int(self.steps_of.max())

    @steps.setter
    def steps(self, steps: int) -> None:
        self.steps_of.fill_(steps)

    def step(self, learning_rate: float, active: Flags | None = None) -> None:
        """One step down the gradient that lies in the parameters' `grad`; `grad` itself may be overwritten.

        Args:
            learning_rate: The step size.
            active: Which seeds take it, [S]; the others stay as they are. None means all.
        """
        self._step(learning_rate, self._all if active is None else active)

    def state(self) -> dict[str, torch.Tensor]:
        """The state of the optimiser by name, [S, ...] each, sharing memory."""
        means = {f"mean.{name}": view for name, view in self.parameters.named(self.mean).items()}
        squares = {f"square.{name}": view for name, view in self.parameters.named(self.square).items()}
        return {**means, **squares, "steps": self.steps_of}

    def _step_compiled(self, rate: float, active: Flags) -> None:
        scalars = map(np.float32, (self.max_grad_norm, *self.betas, self.eps))
        clip_and_adam(*self._buffers, self._sizes, self.steps_of.numpy(), active, rate, *self.betas, *scalars)

    def _step_torch(self, rate: float, active: Flags) -> None:
        grad, on = self.parameters.grad, self.parameters.spread(torch.from_numpy(active))  # [S * P]
        clip_per_seed_(self.parameters, self.max_grad_norm)
        self.steps_of += torch.from_numpy(active)
        beta1, beta2 = self.betas
        steps = self.steps_of.clamp(min=1).double()  # [S]
        sizes = self.parameters.spread((rate / (1.0 - beta1**steps)).float())  # [S * P]
        correction = self.parameters.spread((1.0 - beta2**steps).rsqrt().float())  # [S * P]
        self.mean.copy_(torch.where(on, self.mean.lerp(grad, 1.0 - beta1), self.mean))
        square = (self.square * beta2).addcmul_(grad, grad, value=1.0 - beta2)
        self.square.copy_(torch.where(on, square, self.square))
        self.parameters.flat.addcdiv_(self.mean * sizes * on, self.square.sqrt() * correction + self.eps, value=-1.0)


def clip_per_seed_(parameters: Parameters, max_norm: float) -> torch.Tensor:
    """Scales each seed's gradient to a norm of at most `max_norm`; returns the norms before that, [S]."""
    grads = [grad.view(parameters.n_seeds, -1) for grad in parameters.grads.values()]
    norms: torch.Tensor = torch.linalg.vector_norm(torch.cat(grads, dim=1), dim=1)  # [S]
    scale = (max_norm / (norms + 1e-6)).clamp_(max=1.0)[:, None]
    for grad in grads:
        grad.mul_(scale)
    return norms


@compiled
def clip_and_adam(
    flat: Floats,
    grad: Floats,
    mean: Floats,
    square: Floats,
    sizes: npt.NDArray[np.int64],
    steps: npt.NDArray[np.int64],
    active: Flags,
    learning_rate: float,
    decay1: float,
    decay2: float,
    max_norm: np.float32,
    beta1: np.float32,
    beta2: np.float32,
    eps: np.float32,
) -> None:
    """Clips each active seed's gradient and takes Adam's step, in place; buffers are [S * P] as in `Parameters`.

    `decay1` and `decay2` are `beta1` and `beta2` in double precision, for the bias correction.

    Moments of inactive units would decay into subnormal numbers, which processors handle ten times slower: they are
    set to zero before that.
    """
    one, tiny, n_seeds = np.float32(1.0), np.float32(1e-36), len(steps)
    for s in range(n_seeds):
        if not active[s]:
            continue
        steps[s] += 1
        rate = np.float32(learning_rate / (1.0 - decay1 ** float(steps[s])))
        correction = np.float32(1.0 / math.sqrt(1.0 - decay2 ** float(steps[s])))
        total = np.float32(0.0)
        offset = 0
        for size in sizes:
            g = grad[offset + s * size :]
            for i in range(size):
                total += g[i] * g[i]
            offset += n_seeds * size
        scale = min(one, max_norm / (np.sqrt(total) + np.float32(1e-6)))
        offset = 0
        for size in sizes:
            start = offset + s * size
            p, g, m, v = flat[start:], grad[start:], mean[start:], square[start:]
            for i in range(size):
                clipped = g[i] * scale
                mean_i = beta1 * m[i] + (one - beta1) * clipped
                square_i = beta2 * v[i] + (one - beta2) * clipped * clipped
                m[i] = mean_i if abs(mean_i) > tiny else np.float32(0.0)
                v[i] = square_i if square_i > tiny else np.float32(0.0)
                p[i] -= rate * mean_i / (np.sqrt(square_i) * correction + eps)
            offset += n_seeds * size
