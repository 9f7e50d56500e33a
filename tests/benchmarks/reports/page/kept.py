"""The kept rows of a study, put together without the study's own functions."""

import numpy as np

from benchmarks.statistics.sharpe import Track
from benchmarks.study.job import data
from benchmarks.study.ledger import Ledger


def mine(study, contender, dataset=None, fold=None):
    return [
        row
        for row in study.rows
        if row.contender == contender and dataset in (None, row.dataset) and fold in (None, row.fold)
    ]


def curves_of(study, contender, dataset, fold, name):
    """A curve of all seeds, whatever the blocks in which they ran."""
    return np.concatenate([row.curves[name] for row in mine(study, contender, dataset, fold)])


def tracks(study, contender):
    """Returns of all seeds over both folds, by dataset, without the study's own function."""
    found = {}
    for dataset in study.suite.data:
        equity = [curves_of(study, contender, dataset, fold, "equity") for fold in (0, 1)]
        returns = np.concatenate([one[:, 1:] / one[:, :-1] - 1.0 for one in equity], axis=1)
        first = [mine(study, contender, dataset, fold)[0] for fold in (0, 1)]
        found[dataset] = Track(np.concatenate([row.time[1:] for row in first]), returns, first[0].bars_per_year)
    return found


def ledger(study):
    return Ledger(study.folder.parent / "ledger.jsonl")


def trials(study):
    return ledger(study).trials(data(name).fingerprint for name in study.suite.data)
