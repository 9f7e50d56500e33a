"""Where networks live, and how many threads torch and BLAS use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import scipy.linalg  # noqa: F401, loads the BLAS of compiled products
import torch
from threadpoolctl import ThreadpoolController

from agents.common.checks import check_int

MOST_THREADS = 128  # more where there are more cores


def as_device(device: str | torch.device) -> torch.device:
    """The named device; "auto" is CUDA if there is any, else the CPU.

    Raises:
        TypeError: If it is neither a name nor a device.
        ValueError: If torch knows no such device, or this machine has none.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not isinstance(device, str | torch.device):
        raise TypeError(f"device must be a name or a torch.device, got {device!r}")
    try:
        named = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device must be auto, cpu, cuda or another that torch knows, got {device!r}") from error
    if named.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device must be one of this machine, which has no CUDA, got {device!r}")
    return named


def check_threads(threads: int) -> int:
    """`threads` as an int; ValueError if there are more than a machine can start, which would end the program."""
    number, most = check_int("threads", threads, 1), max(MOST_THREADS, os.cpu_count() or 1)
    if number > most:
        raise ValueError(f"threads must be at most {most} here, got {number}")
    return number


@contextmanager
def torch_threads(number: int | None) -> Iterator[None]:
    """Sets the number of threads of torch, and of NumPy's and SciPy's BLAS, for a block; None changes nothing."""
    if number is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        with _blas().limit(limits=number):
            yield
    finally:
        torch.set_num_threads(before)


@cache
def _blas() -> ThreadpoolController:
    """The BLAS libraries that are loaded."""
    return ThreadpoolController().select(user_api="blas")
