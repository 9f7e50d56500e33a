"""The default `agent.logger`: extra values to report, with the methods of Stable-Baselines3's logger.

Axis letters: S seeds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


class Logger:
    """Holds recorded values until the next report, which shows them on the terminal and in TensorBoard.

    Attributes:
        name_to_value: Values recorded since the last report, by key.
    """

    def __init__(self) -> None:
        self.name_to_value: dict[str, Any] = {}
        self._counts: dict[str, int] = {}

    def record(self, key: str, value: Any, exclude: Any = None) -> None:
        """Records a number, or one per seed [S]; replaces an earlier one of the same key. `exclude` is not used."""
        self.name_to_value[key] = value

    def record_mean(self, key: str, value: Any, exclude: Any = None) -> None:
        """Records a number, or one per seed [S], to be averaged since the last report."""
        count = self._counts[key] = self._counts.get(key, 0) + 1
        before = np.asarray(self.name_to_value.get(key, 0.0), np.float64)
        self.name_to_value[key] = before + (np.asarray(value, np.float64) - before) / count

    def dump(self, step: int = 0) -> dict[str, Any]:
        """The recorded values, which are then cleared."""
        recorded, self.name_to_value, self._counts = self.name_to_value, {}, {}
        return recorded


def check_logger(logger: Any) -> Any:
    """`logger`, if it has `record` and `dump` as Stable-Baselines3's; TypeError if not."""
    if isinstance(logger, type) or not all(callable(getattr(logger, name, None)) for name in ("record", "dump")):
        raise TypeError(f"logger must have record(key, value) and dump(step), got {logger!r}")
    return logger


def write_to(logger: Any, table: Mapping[str, Any], seeds: Sequence[int], num_timesteps: int) -> None:
    """Sends a report to a logger like Stable-Baselines3's: means over seeds and, with several seeds, each one's values.

    Args:
        logger: See `check_logger`.
        table: Values per seed by key, [S] each.
        seeds: S seeds; values of seed 3 have the prefix `seed_3/` in their keys.
        num_timesteps: Steps per seed.
    """
    for key, values in table.items():
        known = values[np.isfinite(values)]
        if not len(known):
            continue
        logger.record(key, float(known.mean()))
        for seed, value in zip(seeds, values, strict=True) if len(seeds) > 1 else ():
            logger.record(f"seed_{seed}/{key}", float(value))
    logger.dump(num_timesteps)
