"""One seed's perceptron, forward and backward, compiled: its numbers stay in the cache from product to product.

Products are `np.dot`, which numba hands to SciPy's BLAS. For matrices as small as these it is faster than torch's
batched products, and so is the rational function in place of torch's tanh.

A network is a table of its layers [L, 4]: where the weights of all seeds begin in the flat buffer, where their biases
do, inputs, outputs. Seed s has the s-th block of each.

Axis letters: S seeds, L layers, B batch, D inputs, A outputs, P parameters per seed.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from agents.common.compiled import compiled
from agents.nn.parameters import Parameters

# tanh(x) = x P(x^2) / Q(x^2) to a relative error of 1e-8 before rounding, for |x| < 8; beyond, it is 1 in single
# precision. A fit by iterated weighted least squares on Chebyshev nodes
P1, P2, P3, P4 = (np.float32(c) for c in (1.3444512e-1, 3.5716144e-3, 2.1894929e-5, 1.5230786e-8))
Q1, Q2, Q3, Q4 = (np.float32(c) for c in (4.6777839e-1, 2.6164505e-2, 3.4113207e-4, 8.5225977e-7))
ZERO, ONE, EIGHT = np.float32(0.0), np.float32(1.0), np.float32(8.0)


def layers_table(net: Parameters, prefix: str = "") -> npt.NDArray[np.int64]:
    """The table [L, 4] of the layers whose arrays are named prefix + "0.weight", prefix + "0.bias", ..."""
    starts = {name: view.storage_offset() for name, view in net.values.items()}
    depth = sum(name.startswith(prefix) and name.endswith(".weight") for name in net.values)
    names = [f"{prefix}{i}" for i in range(depth)]
    rows = [(starts[f"{n}.weight"], starts[f"{n}.bias"], *net.values[f"{n}.weight"].shape[1:]) for n in names]
    return np.array(rows, np.int64).reshape(-1, 4)


@compiled
def outputs(flat: Any, layers: Any, x: Any, tanh: bool, out: Any) -> None:
    """Writes all seeds' outputs for x [S, B, D] into out [S, B, A]."""
    S, B = x.shape[:2]
    kept = np.empty(B * layers[:, 3].sum(), np.float32)
    for s in range(S):
        y = forward(flat, layers, s, x[s], kept, tanh)
        for b in range(B):
            for a in range(out.shape[2]):
                out[s, b, a] = y[b, a]


@compiled
def forward(flat: Any, layers: Any, s: int, x: Any, kept: Any, tanh: bool) -> Any:
    """Seed s's outputs [B, A] for x [B, D]; those of each layer are written one after the other into `kept`."""
    B, start = len(x), 0
    for i in range(len(layers)):
        stop = start + B * layers[i, 3]
        y = kept[start:stop].reshape(B, layers[i, 3])
        np.dot(x, weight_of(flat, layers, i, s), y)
        add_to_rows(y, bias_of(flat, layers, i, s))
        if i < len(layers) - 1:
            activate(kept[start:stop], tanh)
        x, start = y, stop
    return x


@compiled
def backward(flat: Any, grad: Any, layers: Any, s: int, x: Any, kept: Any, d_out: Any, spare: Any, tanh: bool) -> None:
    """Writes into `grad` seed s's gradient of sum(d_out * outputs).

    Args:
        flat: Parameters of all seeds.
        grad: Their gradients.
        layers: The table of layers.
        s: The seed.
        x: What the network was given, [B, D].
        kept: What `forward` kept.
        d_out: Gradient in the outputs, [B, A].
        spare: Room for the gradients in two layers' outputs, [2, B * the widest].
        tanh: As in `forward`.
    """
    B = len(x)
    stop = B * layers[:-1, 3].sum()  # where the last hidden layer's outputs end
    for i in range(len(layers) - 1, 0, -1):
        inputs = layers[i, 2]
        size = B * inputs
        y = kept[stop - size : stop]
        write_layer(grad, layers, i, s, y.reshape(B, inputs), d_out)
        d_y = spare[i % 2, :size]
        np.dot(d_out, weight_of(flat, layers, i, s).T, d_y.reshape(B, inputs))
        through_activation(d_y, y, tanh)
        d_out, stop = d_y.reshape(B, inputs), stop - size
    write_layer(grad, layers, 0, s, x, d_out)


@compiled
def weight_of(flat: Any, layers: Any, i: int, s: int) -> Any:
    """Layer i's weight of seed s, a view [inputs, outputs]."""
    size = layers[i, 2] * layers[i, 3]
    start = layers[i, 0] + s * size
    return flat[start : start + size].reshape(layers[i, 2], layers[i, 3])


@compiled
def bias_of(flat: Any, layers: Any, i: int, s: int) -> Any:
    """Layer i's bias of seed s, a view [outputs]."""
    start = layers[i, 1] + s * layers[i, 3]
    return flat[start : start + layers[i, 3]]


@compiled
def write_layer(grad: Any, layers: Any, i: int, s: int, x: Any, d_out: Any) -> None:
    """Writes the gradients of layer i, which was given x [B, inputs], from that in its outputs."""
    np.dot(x.T, d_out, weight_of(grad, layers, i, s))
    d_bias = bias_of(grad, layers, i, s)
    d_bias[:] = ZERO
    for b in range(d_out.shape[0]):
        for a in range(d_out.shape[1]):
            d_bias[a] += d_out[b, a]


@compiled
def add_to_rows(y: Any, bias: Any) -> None:
    """Adds bias [A] to each row of y [B, A]."""
    for b in range(y.shape[0]):
        for a in range(y.shape[1]):
            y[b, a] += bias[a]


@compiled
def activate(y: Any, tanh: bool) -> None:
    """Tanh or else ReLU of each number, in place."""
    if not tanh:
        for i in range(len(y)):
            y[i] = max(y[i], ZERO)
        return
    for i in range(len(y)):
        x = min(max(y[i], -EIGHT), EIGHT)
        z = x * x
        above = (((P4 * z + P3) * z + P2) * z + P1) * z + ONE
        below = (((Q4 * z + Q3) * z + Q2) * z + Q1) * z + ONE
        y[i] = x * above / below


@compiled
def through_activation(d: Any, y: Any, tanh: bool) -> None:
    """Takes gradients in an activation's outputs y to those in its inputs, in place."""
    if tanh:
        for i in range(len(d)):
            d[i] *= ONE - y[i] * y[i]
    else:
        for i in range(len(d)):
            d[i] = d[i] if y[i] > ZERO else ZERO
