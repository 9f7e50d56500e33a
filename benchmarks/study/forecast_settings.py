"""Options of the forecast study, and its suite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import tyro

from agents.base import commands
from benchmarks.contenders.named import Contender
from benchmarks.forecasting.forecasters import FORECASTERS
from benchmarks.study.folds import Plan
from benchmarks.study.suite import Suite
from benchmarks.tasks.checks import check_counts, check_distinct, check_name

STOCKS = ("us-stocks/AAPL", "us-stocks/GOOG", "us-stocks/IBM", "us-stocks/MSFT")  # FB's 196 bars are too few
INDICES = ("sp500", "nasdaq")
BASELINES = ("buy_and_hold", "flat")

DESCRIPTION = """\
Walks forward through each market: in each fold, forecasters fit on the past, choose their hyperparameters on a later
stretch, and forecast the next one. Prints their errors, their skill against the forecast of an unchanged price, with
intervals, and the results after costs of a trader that follows them, beside buying and holding and staying flat.
Writes results.json and forecast.png to FOLDER/NAME."""


@dataclass(frozen=True)
class ForecastSettings:
    """Options of ``python -m benchmarks forecast``."""

    quick: tyro.conf.FlagCreatePairsOff[bool] = False
    """A run of a few seconds that shows that everything works. Other options override it."""
    name: str = "forecast"
    """Folder under --folder for the results."""
    folder: Path = Path("results")
    """Where results are kept."""
    data: tuple[str, ...] = field(default_factory=lambda: (*STOCKS, *(INDICES if find_spec("arch") else ())))
    """Datasets: names, or paths of CSV or Parquet files."""
    window: int = 20
    """Bars in a forecaster's window."""
    horizon: int = 5
    """Bars whose return is forecast."""
    folds: int = 4
    """Test stretches; all forecasters are refitted before each."""
    first_test: float = 0.5
    """Start of the first test stretch, as a fraction of the market."""
    validation: int = 250
    """Bars of the validation stretch before each test stretch."""
    seeds: int = 5
    """Seeds 0..n-1 of the LSTM."""
    epochs: int = 10
    """Largest number of passes of the LSTM over its windows."""
    trees: int = 500
    """Trees of the forest."""
    rounds: int = 100
    """Rounds of boosting."""
    margins: tuple[float, ...] = (0.0, 0.0025, 0.005, 0.01)
    """Margins by which a forecast must exceed the cost of a round trip; the validation stretch chooses one."""
    commission: float = 5e-4
    """Rate on the traded notional (5e-4 is 5 bps)."""
    slippage: float = 5e-4
    """Adverse move of each fill, as a fraction of the price."""
    jobs: int | None = None
    """Threads of each forest; one unless given."""
    processes: int | None = None
    """Processes; one per core unless given."""
    wide: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print all columns of the tables, however wide that is."""
    progress: bool = True
    """Print a line for each job."""

    def __post_init__(self) -> None:
        counts = ("window", "horizon", "folds", "validation", "seeds", "epochs", "trees", "rounds")
        check_counts(self, (*counts, "jobs", "processes"))
        check_name(self.name)
        check_distinct("data", self.data)
        if self.window < 20:
            raise ValueError(f"window must be at least 20, for the mean of the last 20 returns, got {self.window}")
        if not 0.1 <= self.first_test < 1.0:
            raise ValueError(f"first_test must be in [0.1, 1), got {self.first_test}")
        if not self.margins or not all(0.0 <= margin < math.inf for margin in self.margins):
            raise ValueError(f"margins must have at least one entry, all finite and nonnegative, got {self.margins}")

    def suite(self) -> Suite:
        """The study: a trader for each forecaster, beside buying and holding and staying flat."""
        own: dict[str, dict[str, Any]] = {
            "forest": {"trees": self.trees, "jobs": self.jobs},
            "boosting": {"rounds": self.rounds},
            "lstm": {"epochs": self.epochs},
        }
        shared = {"window": self.window, "horizon": self.horizon, "margins": self.margins}
        traders = (
            Contender(
                forecast=name,
                name=name,
                seeds=self.seeds if name == "lstm" else 1,
                hyperparameters={**shared, **own.get(name, {})},
            )
            for name in FORECASTERS
        )
        return Suite(
            name=self.name,
            data=self.data,
            walk_forward=Plan(
                folds=self.folds, test=1.0 - self.first_test, validation=self.validation, horizon=self.horizon
            ),
            env={"window": self.window, "costs": {"commission": self.commission, "slippage": self.slippage}},
            scale=False,
            contenders=(*traders, *(Contender(strategy=name) for name in BASELINES)),
        )


QUICK: dict[str, Any] = {
    "name": "quick",
    "data": ("us-stocks/GOOG",),
    "folds": 2,
    "seeds": 2,
    "epochs": 1,
    "trees": 10,
    "rounds": 10,
}


def parse(arguments: Sequence[str], prog: str) -> ForecastSettings:
    """The settings of this command line; ``--quick`` changes the defaults of the others."""
    default = ForecastSettings(**QUICK) if "--quick" in arguments else ForecastSettings()
    options = {"default": default, "description": DESCRIPTION}
    found: ForecastSettings = commands.parse(prog, ForecastSettings, arguments, **options)
    return found
