"""Packages of the extras `agents` and `benchmarks`: if one is missing, the error says how to install it."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

REQUIRED = ("torch", "scipy", "threadpoolctl", "safetensors", "cloudpickle", "tqdm")  # by every agent


def check_installed(*modules: str, extra: str = "agents") -> None:
    """Checks that the modules can be found, without importing them.

    Raises:
        ImportError: If some are missing; it names them, and the extra that installs them.
    """
    missing = [module for module in modules if not _is_found(module)]
    if missing:
        raise ImportError(f"{extra} needs {', '.join(missing)}: pip install 'trading-env[{extra}]'")


@contextmanager
def naming_extra(purpose: str) -> Iterator[None]:
    """Turns the error of an import inside it into one that names the purpose and the extra."""
    try:
        yield
    except ImportError as error:
        raise ImportError(f"{purpose} needs {error.name or error}: pip install 'trading-env[agents]'") from error


def _is_found(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # of a finder that refuses it; of a module without a spec
        return False
