"""Rows: the results of jobs, one file each, written whole or not at all. S seeds, T bars, P points, n forecasts."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from agents.common import files
from benchmarks.statistics.intervals import Floats
from benchmarks.study.results import KeptError, plain
from trading_env.analysis.tracks import Tracks

if TYPE_CHECKING:
    import pandas as pd

CURVES = ("equity", "exposure", "turnover", "commission", "slippage", "financing", "units")


@dataclass(frozen=True)
class Row:
    """The test of one contender with a block of seeds on one fold, or its learning curve on a task.

    Attributes:
        dataset, fold, contender, seeds: which; the dataset may be a task.
        time: of the T+1 closes, or bar numbers; empty for a task.
        bars_per_year: NaN if unknown.
        curves: name in `CURVES` -> (S, T), equity (S, T+1); rows of earlier versions have no units.
        metrics: name -> (S,).
        stress: costs (C,), growth_at_costs (C, S) and growth_a_bar_late (S,), as `benchmarks.evaluation.stress`.
        forecasts: of a trader that follows forecasts: forecast (S, n), truth (n,) and margin (1,); else empty.
        learning: steps (P,), seconds (P,) and validation scores (P, S) of the training; None without one.
        steps, seconds: of the training; None without one.
        facts: hashes, hyperparameters, commit, versions and processor.
    """

    dataset: str
    fold: int
    contender: str
    seeds: tuple[int, ...]
    time: npt.NDArray[Any]
    bars_per_year: float
    curves: Mapping[str, Floats]
    metrics: Mapping[str, Floats]
    stress: Mapping[str, Floats]
    learning: Mapping[str, Floats] | None
    steps: int | None
    seconds: float | None
    facts: Mapping[str, Any]
    forecasts: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def returns(self) -> Floats:
        """Simple returns (S, T); 0 after a ruin."""
        equity = self.curves["equity"]
        before = equity[:, :-1]
        return np.divide(equity[:, 1:], before, out=np.ones_like(before), where=before > 0.0) - 1.0

    @property
    def log_returns(self) -> Floats:
        """Log returns (S, T); -inf at a ruin."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log1p(self.returns))

    def write(self, path: Path) -> None:
        """Writes the row, whole or not at all; OSError names the file."""
        scalars = {name: getattr(self, name) for name in _SCALARS}
        header = json.dumps(plain({**scalars, "seeds": list(self.seeds), "facts": dict(self.facts)}), default=str)
        arrays: dict[str, Any] = {"header": np.array(header), "time": self.time}
        for part in (*_PARTS, "learning"):
            arrays |= {f"{part}.{name}": values for name, values in (getattr(self, part) or {}).items()}
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)
        with files.naming("a row", path):
            files.write(path, content.getvalue())

    @classmethod
    def read(cls, path: Path) -> Row:
        """The row of a file; KeptError if it is damaged."""
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
                header = json.loads(str(kept["header"]))
                parts: dict[str, dict[str, Any]] = {part: {} for part in (*_PARTS, "learning")}
                for name in kept.files:
                    part, _, key = name.partition(".")
                    if key:
                        parts[part][key] = kept[name]
                scalars = {name: header[name] for name in _SCALARS}
                rate = scalars.pop("bars_per_year")
                learning = parts.pop("learning") or None
                return cls(
                    **scalars,
                    bars_per_year=float("nan") if rate is None else rate,
                    seeds=tuple(header["seeds"]),
                    facts=header["facts"],
                    time=kept["time"],
                    learning=learning,
                    **parts,
                )
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise KeptError(f"{path} is no row of a study, remove it to run its job again: {error}") from error


_SCALARS = ("dataset", "fold", "contender", "bars_per_year", "steps", "seconds")
_PARTS = ("curves", "metrics", "stress", "forecasts")


def frame_of(rows: list[Row]) -> pd.DataFrame:
    """A line for each seed of each row: dataset, fold, contender, seed, its metrics, steps and seconds, and commit."""
    import pandas as pd

    lines = []
    for row in rows:
        for s, seed in enumerate(row.seeds):
            which = {"dataset": row.dataset, "fold": row.fold, "contender": row.contender, "seed": seed}
            ends = [str(time) for time in row.time[[0, -1]]] if row.time.size else ["", ""]
            period = {"first": ends[0], "last": ends[1], "bars": max(len(row.time) - 1, 0)}
            numbers = {name: float(values[s]) for name, values in row.metrics.items()}
            training = {"steps": row.steps, "seconds": row.seconds, "commit": row.facts.get("commit")}
            lines.append({**which, **period, **numbers, **training})
    return pd.DataFrame(lines)


def account_of(rows: Sequence[Row]) -> Tracks:
    """One contender's folds on one dataset, oldest first, as one account that goes on with the equity of each."""
    growth = np.concatenate([1.0 + row.returns for row in rows], axis=1)  # [S, T]
    equity = rows[0].curves["equity"][:, :1] * np.cumprod(np.column_stack([np.ones(len(growth)), growth]), axis=1)
    time = np.concatenate([rows[0].time[:1], *(row.time[1:] for row in rows)])
    rest = {name: _joined(rows, name) for name in CURVES if name != "equity"}
    rate = rows[0].bars_per_year
    return Tracks(time, None if math.isnan(rate) else rate, equity, **rest)


def _joined(rows: Sequence[Row], name: str) -> Floats:
    """A curve over all folds; NaN where earlier versions kept none."""
    return np.concatenate([row.curves.get(name, np.full(row.returns.shape, np.nan)) for row in rows], axis=1)
