"""Covers of all pairs of options, and the comparison of what two envs return, for tests."""

import itertools

import numpy as np


def pairwise_cover(options, go_together):
    """Rows {option: value} in which each pair of values that go together meets at least once; greedy."""
    items = [[(name, value) for value in values] for name, values in options.items()]
    missing = {
        frozenset(pair): None  # a dict keeps its order, a set of strings does not
        for one, other in itertools.combinations(items, 2)
        for pair in itertools.product(one, other)
        if go_together(*pair)
    }
    while missing:
        row = dict(sorted(next(iter(missing))))
        for values in items:
            if values[0][0] in row:
                continue
            able = [v for v in values if all(go_together(v, chosen) for chosen in row.items())]
            name, value = max(able, key=lambda v: sum(frozenset({v, chosen}) in missing for chosen in row.items()))
            row[name] = value
        for pair in itertools.combinations(row.items(), 2):
            missing.pop(frozenset(pair), None)
        yield row


def assert_same(ours, theirs):
    """The same bits and dtypes; of a dict without SyncVectorEnv's `_key` masks."""
    if isinstance(theirs, dict):
        theirs = {key: value for key, value in theirs.items() if not key.startswith("_")}
        ours = {key: value for key, value in ours.items() if not key.startswith("_")}
        assert set(ours) == set(theirs)
        for key, value in theirs.items():
            assert_same(ours[key], value)
    elif isinstance(theirs, np.ndarray) and theirs.dtype == object:
        for a, b in zip(ours, theirs, strict=True):
            assert (a is None) == (b is None)
            if b is not None:
                assert_same(a, b)
    else:
        np.testing.assert_array_equal(ours, theirs, strict=True)
