"""Random markets and panels, and bars with a changed value, for tests."""

import numpy as np

from trading_env import Market, Panel


def random_bars(seed=0, n=60, volatility=0.05):
    """Open, high, low, close and volume (n,): opens and closes alternate along one random walk."""
    rng = np.random.default_rng(seed)
    prices = 50.0 * np.exp(np.cumsum(rng.normal(0.0, volatility, 2 * n)))
    start, close = prices[::2], prices[1::2]
    up, down = np.exp(rng.exponential(0.01, (2, n)))
    volume = np.where(rng.random(n) < 0.1, 0.0, rng.integers(1, 10**6, n))
    high, low = np.maximum(start, close) * up, np.minimum(start, close) / down
    return {"open": start, "high": high, "low": low, "close": close, "volume": volume}


def random_market(seed=0, n=60, volatility=0.05, *, whole=False, since=None, **fields):
    """A market of random opens and closes.

    whole: with high, low and volume; since: the date of the first of n daily bars; fields: of Market, in their place.
    """
    bars = random_bars(seed, n, volatility)
    if not whole:
        bars = {"open": bars["open"], "close": bars["close"]}
    if since is not None:
        bars["time"] = np.datetime64(since, "ns") + np.arange(n).astype("timedelta64[D]")
    return Market.from_arrays(**{**bars, **fields})


def changed(values, row, value):
    """A copy of the values (T,) with another value in one row."""
    values = np.array(values, dtype=float)
    values[row] = value
    return values


def gappy_panel(seed=0, n=60, instruments=4, gaps=0.1, **fields):
    """A panel of random daily bars with gaps, in which the second instrument is listed late and the third delisted."""
    rng = np.random.default_rng(seed)
    days = np.datetime64("2020-01-01", "ns") + np.arange(n).astype("timedelta64[D]")
    markets = []
    for k in range(instruments):
        own = rng.random(n) >= gaps
        own[: n // 3 if k == 1 else 0] = False
        own[2 * n // 3 if k == 2 else n :] = False
        own[[n // 3, n // 2]] = True
        markets.append(random_market(seed + k, int(own.sum()), whole=True, time=days[own], name="ABCDEFGH"[k]))
    return Panel.from_markets(markets, **fields)
