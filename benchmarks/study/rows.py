"""Rows: the results of jobs, one file each, written whole or not at all. S seeds, T bars, P points, n forecasts."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
_MONEY = ("commission", "slippage", "financing", "units")  # which scale with the equity


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


def merged(rows: Sequence[Row]) -> list[Row]:
    """The rows with all seeds of a contender on a fold in one: its blocks, by seed. Facts are those of the first."""
    found: dict[tuple[str, str, int], list[Row]] = {}
    for row in rows:
        found.setdefault((row.contender, row.dataset, row.fold), []).append(row)
    return [_one(sorted(blocks, key=lambda row: row.seeds)) for blocks in found.values()]


def _one(blocks: list[Row]) -> Row:
    """The blocks of a contender on a fold as one row."""
    first = blocks[0]
    if len(blocks) == 1:
        return first
    curves = [row.learning for row in blocks if row.learning is not None]
    seconds = [row.seconds for row in blocks if row.seconds is not None]
    together = (
        {
            "steps": curves[0]["steps"],
            "seconds": np.sum([curve["seconds"] for curve in curves], axis=0),
            "scores": np.concatenate([curve["scores"] for curve in curves], axis=1),
        }
        if curves
        else None
    )
    return replace(
        first,
        seeds=tuple(seed for row in blocks for seed in row.seeds),
        learning=together,
        seconds=sum(seconds) if seconds else None,
        **{part: _seeds_joined([getattr(row, part) for row in blocks]) for part in _PARTS},
    )


def _seeds_joined(parts: Sequence[Mapping[str, Floats]]) -> dict[str, Floats]:
    """The arrays that all blocks have, joined along their seeds, if they have such an axis."""
    names = [name for name in parts[0] if all(name in part for part in parts)]
    return {
        name: parts[0][name]
        if name in ("costs", "bar", "truth")
        else np.concatenate([part[name] for part in parts], axis=1 if name == "growth_at_costs" else 0)
        for name in names
    }


def account_of(rows: Sequence[Row]) -> Tracks:
    """One contender's seeds on one dataset over all folds, as accounts that begin with an equity of 1.

    Each fold begins in cash with what the fold before it left: returns are compounded, and costs and units are scaled
    to the joined equity.
    """
    folds = sorted(merged(rows), key=lambda row: row.fold)
    growth = np.concatenate([1.0 + row.returns for row in folds], axis=1)  # [S, T]
    equity = np.cumprod(np.column_stack([np.ones(len(growth)), growth]), axis=1)
    before = np.concatenate([row.curves["equity"][:, :-1] for row in folds], axis=1)
    scale = np.divide(equity[:, :-1], before, out=np.zeros_like(before), where=before > 0.0)
    curves = {name: _joined(folds, name) for name in CURVES if name != "equity"}
    curves |= {name: curves[name] * scale for name in _MONEY}
    time = np.concatenate([folds[0].time[:1], *(row.time[1:] for row in folds)])
    rate = folds[0].bars_per_year
    return Tracks(time if time.dtype.kind == "M" else None, None if math.isnan(rate) else rate, equity, **curves)


def _joined(rows: Sequence[Row], name: str) -> Floats:
    """A curve over all folds; NaN where earlier versions kept none."""
    return np.concatenate([row.curves.get(name, np.full(row.returns.shape, np.nan)) for row in rows], axis=1)
