"""A screen for columns that know what comes: each against the returns of the next bars. T = bars.

A column that was computed before the check cannot be judged by changing the data: it stays as it is. But if it holds
future prices, it predicts them. The screen finds what predicts, by skill or by a leak; it cannot tell which.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from trading_env.data.bars import Floats

LEADS = 5  # bars ahead
_FEWEST = 50  # bars
_EXACT = 1e-5  # a mean this close to 0 and a deviation this close to 1 are no coincidence


@dataclass(frozen=True)
class Screened:
    """What a column says about the returns of the bars that follow.

    Attributes:
        name: "column 'x'", "feature 'x'" or "reward".
        lead: number of bars ahead whose return it predicts best, from 1 to `LEADS`; 0 without a test.
        correlation: rank correlation of its changes, what it says of itself removed, with that return.
        p_value: that the column predicts no return, corrected for all leads and columns (Holm); NaN without a test,
            because the column does not vary or has too few bars.
        standardised: True if its mean is 0 and its standard deviation 1 over the whole market: it was standardised by
            bars of the future, too.
    """

    name: str
    lead: int
    correlation: float
    p_value: float
    standardised: bool

    def __str__(self) -> str:
        words = [f"p = {self.p_value:.2g}, correlation {self.correlation:.2f} with the return of bar t + {self.lead}"]
        return " and ".join([*(words * (self.lead > 0)), *["standardised over the whole market"] * self.standardised])


def screen(columns: Mapping[str, Floats], closes: Floats) -> tuple[Screened, ...]:
    """Each column (T,) against the log returns of closes (T,) on the next bars.

    A column's innovation is the residual of its regression on its own last value, so that trending columns, for which
    a regression of returns on levels rejects too often, are tested at the nominal size. The statistic is the sum of
    (centred rank of the innovation) times (centred return), divided by the root of the sum of its squares: normal for
    returns that cannot be foreseen, whatever their volatility.
    """
    returns = np.diff(np.log(closes), prepend=np.nan)
    found = [_screened(name, values, returns) for name, values in columns.items()]
    tested = sorted((one for one in found if not math.isnan(one.p_value)), key=lambda one: one.p_value)
    corrected, largest = {}, 0.0
    for i, one in enumerate(tested):
        largest = max(largest, min(1.0, one.p_value * (len(tested) - i)))
        corrected[one.name] = largest
    return tuple(replace(one, p_value=corrected.get(one.name, math.nan)) for one in found)


def _screened(name: str, column: Floats, returns: Floats) -> Screened:
    """One column, its p-value corrected for the leads alone."""
    known = np.flatnonzero(np.isfinite(column))
    values = np.asarray(column[known[0] :], np.float64) if known.size else np.zeros(0)
    if values.size < _FEWEST or not np.isfinite(values).all() or np.ptp(values) == 0.0:
        return Screened(name, 0, math.nan, math.nan, False)
    standardised = abs(values.mean()) < _EXACT and min(abs(values.std(ddof=d) - 1.0) for d in (0, 1)) < _EXACT
    ranks, later = _ranks(innovations(values)), returns[known[0] + 1 :]
    best, at, correlation = 0.0, 1, 0.0
    for lead in range(1, LEADS + 1):
        said, followed = ranks[:-lead], later[lead:]
        said, followed = said - said.mean(), followed - followed.mean()
        products = said * followed
        size = math.sqrt(float(products @ products))
        statistic = float(products.sum()) / size if size > 0.0 else 0.0
        if abs(statistic) > abs(best):
            scale = math.sqrt(float(said @ said) * float(followed @ followed))
            best, at, correlation = statistic, lead, float(products.sum()) / scale
    p_value = min(1.0, LEADS * math.erfc(abs(best) / math.sqrt(2.0)))
    return Screened(name, at, correlation, p_value, bool(standardised))


def innovations(values: Floats) -> Floats:
    """Residuals (T-1,) of the regression of a series (T,) on its last value and a constant."""
    before, now = values[:-1] - values[:-1].mean(), values[1:] - values[1:].mean()
    power = float(before @ before)
    rest: Floats = now - (float(before @ now) / power if power > 0.0 else 0.0) * before
    return rest


def _ranks(values: Floats) -> Floats:
    """Ranks as shares in (0, 1), ties at their mean."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray(((last - counts / 2.0) / values.size)[places], np.float64)
