"""Forecasts and accounts of a study of forecasters, joined over its folds. Axis letters: S seeds, n forecasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.study.job import data
from benchmarks.study.rows import Row, account_of, merged
from trading_env import Market
from trading_env.analysis.tracks import Tracks

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Study:
    """The forecasts of one market and the accounts that followed them.

    Attributes:
        market: all of its bars.
        time: of the forecasts (n,); None where the market has none.
        truth: the returns that followed (n,).
        forecasts: name -> [S, n].
        margins: name -> the margin chosen in each fold, by each block of seeds.
        tracks: name of a forecaster or baseline -> its account.
    """

    market: Market
    time: npt.NDArray[Any] | None
    truth: Floats
    forecasts: Mapping[str, Floats]
    margins: Mapping[str, list[float]]
    tracks: Mapping[str, Tracks]


def study_of(rows: Sequence[Row], dataset: str) -> Study:
    """The rows of one dataset, whose folds are complete for each contender."""
    found: dict[str, list[Row]] = {}
    for row in sorted(merged([row for row in rows if row.dataset == dataset]), key=lambda row: row.fold):
        found.setdefault(row.contender, []).append(row)
    market, made = data(dataset), {name: mine for name, mine in found.items() if mine[0].forecasts}
    first = next(iter(made.values()))
    bar = np.concatenate([row.forecasts["bar"] for row in first]).astype(np.int64)
    return Study(
        market,
        None if market.local_time is None else market.local_time[bar],
        np.concatenate([row.forecasts["truth"] for row in first]),
        {name: np.concatenate([row.forecasts["forecast"] for row in mine], axis=1) for name, mine in made.items()},
        {name: [float(margin) for row in mine for margin in row.forecasts["margin"]] for name, mine in made.items()},
        {name: account_of(mine) for name, mine in found.items()},
    )
