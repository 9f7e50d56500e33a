"""The gates of one step of an LSTM, forward and back: compiled for the CPU, and in torch operations for the rest.

Arrays are those of `agents.nn.lstm.Memory`; `gates` go from what the gates are given to what they say, and on the way
back to the gradient of the former. `keep` [S, T + 1, B] is 0 where what is remembered before a step is forgotten:
`hidden` [S, T + 1, B, H] is what is left of it, `out` and `cell` are as the step before leaves them.

Axis letters: S seeds, T time, B batch, H hidden.
"""

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch

from agents.common.compiled import compiled
from agents.nn.parameters import Floats

ONE, TWO, HALF = np.float32(1.0), np.float32(2.0), np.float32(0.5)
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
def cells_forward(
    given: Floats, t: int, gates: Floats, cell: Floats, shown: Floats, out: Floats, hidden: Floats, keep: Floats
) -> None:
    """Step t: from what the gates are given [S, B, 4H] to what they say, and to the state before step t + 1.

    Gates are slices, because an index that might be negative would keep the compiler from handling many at once.
    """
    S, _, B, H = out.shape
    for s in range(S):
        for b in range(B):
            row, raw = gates[s, t, b], given[s, b]
            forget, write, candidate, output = row[:H], row[H : 2 * H], row[2 * H : 3 * H], row[3 * H :]
            for j in range(4 * H):
                row[j] = ONE / (TWO + _expm1(-raw[j]))
            raw = raw[2 * H : 3 * H]
            for j in range(H):
                grown = _expm1(TWO * raw[j])
                candidate[j] = grown / (grown + TWO)
            before, after, squashed = cell[s, t, b], cell[s, t + 1, b], shown[s, t, b]
            said, left = out[s, t, b], hidden[s, t + 1, b]
            kept, keeps = keep[s, t, b], keep[s, t + 1, b]
            for j in range(H):
                c = kept * before[j] * forget[j] + write[j] * candidate[j]
                grown = _expm1(TWO * c)
                tanh_c = grown / (grown + TWO)
                after[j] = c
                squashed[j] = tanh_c
                said[j] = output[j] * tanh_c
                left[j] = keeps * output[j] * tanh_c


@compiled
def cells_backward(
    d_out: Floats, d_hidden: Floats, d_cell: Floats, t: int, gates: Floats, cell: Floats, shown: Floats, keep: Floats
) -> None:
    """Step t back: d_out [S, T, B, H]; d_hidden [S, B, H] is of `hidden` before step t + 1, d_cell of the cell after t.

    Leaves the gradient of what the gates were given in `gates`, and of the cell before step t in `d_cell`.
    """
    S, _, B, H = d_out.shape
    for s in range(S):
        for b in range(B):
            row, before, squashed = gates[s, t, b], cell[s, t, b], shown[s, t, b]
            forget, write, candidate, output = row[:H], row[H : 2 * H], row[2 * H : 3 * H], row[3 * H :]
            loss, later, d_c = d_out[s, t, b], d_hidden[s, b], d_cell[s, b]
            kept, keeps = keep[s, t, b], keep[s, t + 1, b]
            for j in range(H):
                o, tanh_c = output[j], squashed[j]
                d_h = loss[j] + keeps * later[j]
                output[j] = d_h * tanh_c * o * (ONE - o)
                d_c[j] += d_h * o * (ONE - tanh_c * tanh_c)
            for j in range(H):
                f, i, g, d = forget[j], write[j], candidate[j], d_c[j]
                forget[j] = d * kept * before[j] * f * (ONE - f)
                write[j] = d * g * i * (ONE - i)
                candidate[j] = d * i * (ONE - g * g)
                d_c[j] = kept * d * f


def cells_forward_torch(
    given: torch.Tensor,
    t: int,
    gates: torch.Tensor,
    cell: torch.Tensor,
    shown: torch.Tensor,
    out: torch.Tensor,
    hidden: torch.Tensor,
    keep: torch.Tensor,
) -> None:
    """`cells_forward` in torch operations."""
    H, row = out.shape[-1], gates[:, t]
    torch.sigmoid(given, out=row)
    torch.tanh(given[..., 2 * H : 3 * H], out=row[..., 2 * H : 3 * H])
    forget, write, candidate, output = row.chunk(4, -1)  # [S, B, H] each
    torch.add(keep[:, t, :, None] * cell[:, t] * forget, write * candidate, out=cell[:, t + 1])
    torch.tanh(cell[:, t + 1], out=shown[:, t])
    torch.mul(output, shown[:, t], out=out[:, t])
    torch.mul(out[:, t], keep[:, t + 1, :, None], out=hidden[:, t + 1])


def cells_backward_torch(
    d_out: torch.Tensor,
    d_hidden: torch.Tensor,
    d_cell: torch.Tensor,
    t: int,
    gates: torch.Tensor,
    cell: torch.Tensor,
    shown: torch.Tensor,
    keep: torch.Tensor,
) -> None:
    """`cells_backward` in torch operations."""
    f, i, g, o = gates[:, t].clone().chunk(4, -1)  # [S, B, H] each
    before, tanh_c = keep[:, t, :, None] * cell[:, t], shown[:, t]
    d_h = d_out[:, t] + keep[:, t + 1, :, None] * d_hidden
    d_c = d_cell + d_h * o * (1.0 - tanh_c.square())
    parts = (d_c * before * f * (1.0 - f), d_c * g * i * (1.0 - i), d_c * i * (1.0 - g.square()))
    torch.cat((*parts, d_h * tanh_c * o * (1.0 - o)), -1, out=gates[:, t])
    torch.mul(d_c * f, keep[:, t, :, None], out=d_cell)
