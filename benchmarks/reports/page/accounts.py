"""Accounts of a study's contenders on a dataset: the test stretches of all folds, joined. K = seeds, T = bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.statistics.intervals import Floats
from benchmarks.study.folds import folds_of
from benchmarks.study.job import data
from benchmarks.study.rows import Row, account_of, merged
from benchmarks.study.suite import Suite
from trading_env import Market
from trading_env.report.account import Account, prices_of

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Joined:
    """One contender on one dataset.

    Attributes:
        account: of its seeds (K) over the test stretches of all folds. Each fold begins in cash; returns are joined by
            compounding, and costs are scaled to the joined equity.
        firsts: the first close of each fold, as an index of the joined closes.
    """

    account: Account
    firsts: Sequence[int]


def joined_of(rows: Sequence[Row], contender: str, dataset: str, prices: Mapping[str, Floats]) -> Joined:
    """The account of a contender on a dataset, whose market has these prices at the joined closes."""
    folds = merged([row for row in rows if (row.contender, row.dataset) == (contender, dataset)])
    folds.sort(key=lambda row: row.fold)
    lengths = [len(row.time) - 1 for row in folds]
    labels = tuple(f"seed {seed}" for seed in folds[0].seeds)
    account = Account(contender, dataset, labels, account_of(folds), prices, None)
    return Joined(account, [0, *np.cumsum(lengths)[:-1].tolist()])


def _folds(rows: Sequence[Row]) -> list[int]:
    return sorted({row.fold for row in rows})


def prices_at(suite: Suite, rows: Sequence[Row], dataset: str) -> dict[str, Floats]:
    """Prices at the joined closes, and "fill", at which orders fill; none of a panel, or if the data changed."""
    if suite.panels:
        return {}
    mine = [row for row in rows if row.dataset == dataset]
    market = data(dataset)
    if any(row.facts.get("data") not in (None, market.fingerprint) for row in mine):
        return {}
    stretches = folds_of(market, suite.walk_forward, suite.purge)
    found = [stretches[fold].test for fold in _folds(mine)]
    places = np.concatenate([[found[0][0]], *(np.arange(start + 1, stop) for start, stop in found)])
    every = prices_of(market, 0, len(market))
    every["fill"] = _fill_prices(market, suite.config.fill)
    return {name: values[places] for name, values in every.items()}


def _fill_prices(market: Market, fill: str) -> Floats:
    return market.open if fill == "next_open" and market.open is not None else market.close


def holdings(joined: Joined, k: int, fill: str) -> tuple[Ints, Ints, Ints, Floats, Ints]:
    """Entry and exit of each holding of seed k, as closes; side; return after costs; 2 where a fold ended before it.

    A holding lasts as long as the exposure keeps its sign, within a fold. Its return is that of the account from the
    step of the entry to that of the exit; the step of a reversal belongs to the holding that it opens.
    """
    account = joined.account
    sides = np.sign(np.where(np.abs(account.tracks.exposure[k]) > 1e-9, account.tracks.exposure[k], 0.0)).astype(int)
    stops = [*joined.firsts[1:], sides.size]
    late = 0 if fill == "close" else 1  # closes from the decision to the fill
    parts = [_holdings(sides[start:stop], start, late) for start, stop in zip(joined.firsts, stops, strict=True)]
    entry, exit_, side, begin, end, by = (np.concatenate(one) for one in zip(*parts, strict=True))
    equity = account.tracks.equity[k]
    gain = np.divide(equity[end], equity[begin], out=np.ones(begin.size), where=equity[begin] > 0.0) - 1.0
    return entry, exit_, side, gain, by


def _holdings(sides: Ints, start: int, late: int) -> tuple[Ints, Ints, Ints, Ints, Ints, Ints]:
    """Entries, exits, sides, closes before and after each holding, and how it ended, of the steps of one fold."""
    before = np.concatenate([[0], sides[:-1]])
    begin = np.flatnonzero((sides != before) & (sides != 0))
    end = np.flatnonzero((sides != before) & (before != 0))  # the steps in which holdings end
    open_ = begin.size - end.size
    last = np.append(end, [sides.size - 1] * open_).astype(np.int64)
    by = np.concatenate([np.zeros(end.size), np.full(open_, 2)]).astype(np.int64)
    turned = np.isin(last, begin) & (by == 0)
    exits = np.where(by == 2, sides.size, last + late)
    after = np.where(turned, last, last + 1)
    return begin + start + late, exits + start, sides[begin], begin + start, after + start, by
