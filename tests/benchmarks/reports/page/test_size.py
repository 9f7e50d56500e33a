"""A page of a large study stays below 8 MB: four datasets, five folds, twenty contenders of twenty seeds each."""

import numpy as np
import pandas as pd

from benchmarks.evaluation.tracks import measures
from benchmarks.reports import study as report
from benchmarks.reports.page.study import page_of
from benchmarks.study.folds import folds_of
from benchmarks.study.job import data
from benchmarks.study.ledger import Ledger
from benchmarks.study.rows import Row
from benchmarks.study.suite import Suite
from tests.pages import Reader
from tests.trading_env.markets import random_bars
from trading_env.analysis.tracks import Tracks

BARS, CONTENDERS, SEEDS = 3_000, 20, 20
HOLDING = 6  # bars that a position lasts, on average


def large_suite(folder):
    names = []
    for seed in range(4):
        time = pd.bdate_range("2001-01-01", periods=BARS)
        pd.DataFrame({"date": time, **random_bars(seed, BARS, 0.01)}).to_csv(folder / f"{seed}.csv", index=False)
        names.append(str(folder / f"{seed}.csv"))
    contenders = [
        {"strategy": "buy_and_hold"},
        *({"agent": "DQN", "name": f"DQN {i}", "hyperparameters": {}} for i in range(1, CONTENDERS)),
    ]
    plan = {"folds": 5, "test": 0.55, "validation": 100}
    text = {"name": "large", "data": names, "seeds": SEEDS, "walk_forward": plan, "contenders": contenders}
    return Suite._of(text)


def row_of(suite, contender, dataset, fold, rng):
    """A row of random trading, of all seeds at once."""
    market = data(dataset)
    start, stop = folds_of(market, suite.walk_forward, suite.purge)[fold].test
    seeds = tuple(range(1 if contender == "buy_and_hold" else SEEDS))
    shape = (len(seeds), stop - start - 1)
    switched = np.cumsum(rng.random(shape) < 1.0 / HOLDING, axis=1)
    exposure = ((switched + rng.integers(0, 2, (len(seeds), 1))) % 2) * rng.uniform(0.98, 1.0, shape)
    growth = 1.0 + exposure * rng.normal(3e-4, 0.01, shape)
    equity = 1e5 * np.cumprod(np.column_stack([np.ones(len(seeds)), growth]), axis=1)
    traded = np.abs(np.diff(exposure, axis=1, prepend=0.0))
    paid = 5e-4 * traded * equity[:, :-1]
    curves = {"exposure": exposure, "turnover": traded, "commission": paid, "slippage": paid, "financing": 0.0 * paid}
    tracks = Tracks(market.time[start:stop], 252.0, equity, **curves)
    late = np.log(growth).mean(1)
    stress = {
        "costs": np.array([0.0, 5e-4, 1e-3, 2e-3, 5e-3]),
        "growth_at_costs": np.stack([late - cost * traded.mean(1) for cost in (0.0, 5e-4, 1e-3, 2e-3, 5e-3)]),
        "growth_a_bar_late": late,
    }
    learning = {"steps": np.arange(5) * 1000, "seconds": np.arange(5.0), "scores": rng.normal(0, 1e-3, (5, len(seeds)))}
    curves["equity"] = equity
    facts = {"data": market.fingerprint, "commit": "none", "versions": None}
    return Row(
        dataset,
        fold,
        contender,
        seeds,
        market.time[start:stop],
        252.0,
        curves,
        measures(tracks),
        stress,
        None if contender == "buy_and_hold" else learning,
        5_000,
        5.0,
        facts,
    )


def test_the_page_of_a_large_study_stays_below_eight_megabytes(tmp_path):
    suite, rng = large_suite(tmp_path), np.random.default_rng(0)
    rows = [
        row_of(suite, one.name, dataset, fold, rng)
        for one in suite.contenders
        for dataset in suite.data
        for fold in range(5)
    ]
    results = report.results(suite, rows, Ledger(tmp_path / "ledger.jsonl"))
    text = page_of(suite, rows, results, "python -m benchmarks run large").html()
    book = Reader(text).book
    assert sum(len(row.time) - 1 for row in rows if row.contender == "DQN 1") > 4 * 1_600
    assert len(book["charts"]["trades"]["figures"]) > 600
    assert len(text.encode()) < 8e6
    kept = [(one["dtype"], one["bdata"]) for one in book["arrays"]]
    assert len(kept) == len(set(kept)), "no array is kept twice"
