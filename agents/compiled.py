"""The decorator of the few loops that NumPy and torch have no operation for."""

from collections.abc import Callable
from typing import cast

import numba

Kernel = Callable[..., None]


def compiled(kernel: Kernel) -> Kernel:
    """`kernel` compiled, and kept on disk; free to reorder sums, but not to assume away NaN and infinity."""
    fastmath = {"reassoc", "contract", "arcp", "nsz"}
    return cast(Kernel, numba.njit(cache=True, fastmath=fastmath, error_model="numpy")(kernel))
