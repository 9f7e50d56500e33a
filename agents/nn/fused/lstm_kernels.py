"""An LSTM over time, forward and back, compiled: one seed's numbers stay in the cache from step to step.

Arrays are those of `agents.nn.fused.lstm.Memory`; `gates` go from the gates' inputs to their outputs, and on the way
back to the gradient in their inputs. `keep` [S, T + 1, B] is 0 where the state before a step is dropped: `hidden`
[S, T + 1, B, H] is what is left of the hidden state, `out` and `cell` are as the step before leaves them. Products are
`np.dot`, which numba hands to SciPy's BLAS.

Axis letters: S seeds, T time, B batch, D inputs, H hidden.
"""

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from agents.common.compiled import compiled

ZERO, HALF, ONE, TWO = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(2.0)
LOG2_E = np.float32(1.0 / math.log(2.0))
LN2_HIGH = np.float32(355.0 / 512.0)  # few bits, so that its products are exact
LN2_LOW = np.float32(math.log(2.0) - 355.0 / 512.0)
C3, C4, C5, C6, C7 = (np.float32(1.0 / math.factorial(n)) for n in range(3, 8))
LARGEST = np.float32(87.0)  # beyond it e^x leaves float32


def _expm1_of(x: Any) -> Any:
    """e^x - 1 to 2e-7 of its size: 2^k e^r with |r| <= log(2) / 2, and Taylor's series for e^r - 1.

    Unlike the library's function it is arithmetic alone, so that the compiler handles 8 or 16 numbers at once.
    """
    x = min(max(x, -LARGEST), LARGEST)
    k = np.floor(x * LOG2_E + HALF)
    r = x - k * LN2_HIGH - k * LN2_LOW
    series = r * (ONE + r * (HALF + r * (C3 + r * (C4 + r * (C5 + r * (C6 + r * C7))))))
    power = np.int32((np.int32(k) + np.int32(127)) << np.int32(23)).view(np.float32)  # 2^k by its bits
    return power * series + (power - ONE)


_expm1 = cast(Callable[[Any], Any], compiled(_expm1_of))


@compiled
def forward(
    x: Any,
    weight_x: Any,
    weight_h: Any,
    bias: Any,
    gates: Any,
    cell: Any,
    shown: Any,
    out: Any,
    hidden: Any,
    keep: Any,
    given: Any,
) -> None:
    """A pass over time, seed by seed: from x [S, T * B, D] to the rest; `given` [B, 4H] is scratch."""
    S, T, B, H = out.shape
    for s in range(S):
        np.dot(x[s], weight_x[s], gates[s].reshape(T * B, 4 * H))
        for t in range(T):
            np.dot(hidden[s, t], weight_h[s], given)
            for b in range(B):
                row, raw, shift = gates[s, t, b], given[b], bias[s, 0]
                for j in range(4 * H):
                    raw[j] += row[j] + shift[j]
                through_gates(raw, row)
                through_cell(
                    row,
                    cell[s, t, b],
                    keep[s, t, b],
                    cell[s, t + 1, b],
                    shown[s, t, b],
                    out[s, t, b],
                    hidden[s, t + 1, b],
                    keep[s, t + 1, b],
                )


@compiled
def through_gates(raw: Any, row: Any) -> None:
    """Writes the gates' outputs [4H] for their inputs [4H].

    Gates are slices, because an index that might be negative would keep the compiler from handling many at once.
    """
    H = len(raw) // 4
    for j in range(4 * H):
        row[j] = ONE / (TWO + _expm1(-raw[j]))
    raw, candidate = raw[2 * H : 3 * H], row[2 * H : 3 * H]
    for j in range(H):
        grown = _expm1(TWO * raw[j])
        candidate[j] = grown / (grown + TWO)


@compiled
def through_cell(row: Any, before: Any, kept: Any, after: Any, squashed: Any, said: Any, left: Any, keeps: Any) -> None:
    """Writes the cell after a step [H], its tanh, the hidden state, and what the next step uses of it."""
    H = len(before)
    forget, write, candidate, output = row[:H], row[H : 2 * H], row[2 * H : 3 * H], row[3 * H :]
    for j in range(H):
        c = kept * before[j] * forget[j] + write[j] * candidate[j]
        grown = _expm1(TWO * c)
        tanh_c = grown / (grown + TWO)
        after[j] = c
        squashed[j] = tanh_c
        said[j] = output[j] * tanh_c
        left[j] = keeps * output[j] * tanh_c


@compiled
def backward(
    d_out: Any,
    d_cells: Any,
    x: Any,
    weight_h: Any,
    gates: Any,
    cell: Any,
    shown: Any,
    hidden: Any,
    keep: Any,
    d_hidden: Any,
    d_cell: Any,
    d_weight_x: Any,
    d_weight_h: Any,
    d_bias: Any,
) -> None:
    """The way back, seed by seed: from d_out and d_cells [S, T, B, H] to the gradients of the rest.

    Leaves those in the gates' inputs in `gates`, and those in the state before the first step in `d_hidden` and
    `d_cell` [S, B, H].
    """
    S, T, B, H = d_out.shape
    for s in range(S):
        d_hidden[s] = ZERO
        d_cell[s] = ZERO
        for t in range(T - 1, -1, -1):
            for b in range(B):
                state = cell[s, t, b], shown[s, t, b], keep[s, t, b], keep[s, t + 1, b]
                step_back(d_out[s, t, b], d_cells[s, t, b], d_hidden[s, b], d_cell[s, b], gates[s, t, b], *state)
            np.dot(gates[s, t], weight_h[s].T, d_hidden[s])
        d_given = gates[s].reshape(T * B, 4 * H)
        np.dot(x[s].T, d_given, d_weight_x[s])
        np.dot(hidden[s, :T].reshape(T * B, H).T, d_given, d_weight_h[s])
        sum_rows(d_given, d_bias[s, 0])
        for b in range(B):
            d_hidden[s, b] *= keep[s, 0, b]


@compiled
def step_back(
    d_said: Any, d_after: Any, later: Any, d_c: Any, row: Any, before: Any, squashed: Any, kept: Any, keeps: Any
) -> None:
    """One step back of one row: all [H] but `row`, the gates' outputs [4H], which become gradients in their inputs.

    Args:
        d_said: Gradient in the hidden state after the step, by what uses it apart from the next step.
        d_after: The same of the cell.
        later: Gradient in the hidden state by the next step.
        d_c: Gradient in the cell after the step by the next one; becomes that in the cell before.
        row: Outputs of the gates.
        before: Cell before the step.
        squashed: tanh of the cell after it.
        kept: 0 where an episode begins at this step.
        keeps: 0 where one begins at the next.
    """
    H = len(before)
    forget, write, candidate, output = row[:H], row[H : 2 * H], row[2 * H : 3 * H], row[3 * H :]
    for j in range(H):
        o, tanh_c = output[j], squashed[j]
        d_h = d_said[j] + keeps * later[j]
        output[j] = d_h * tanh_c * o * (ONE - o)
        d_c[j] += d_after[j] + d_h * o * (ONE - tanh_c * tanh_c)
    for j in range(H):
        f, i, g, d = forget[j], write[j], candidate[j], d_c[j]
        forget[j] = d * kept * before[j] * f * (ONE - f)
        write[j] = d * g * i * (ONE - i)
        candidate[j] = d * i * (ONE - g * g)
        d_c[j] = kept * d * f


@compiled
def sum_rows(rows: Any, total: Any) -> None:
    """Writes the sum of rows [B, H] into `total` [H]."""
    total[:] = ZERO
    for b in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            total[j] += rows[b, j]
