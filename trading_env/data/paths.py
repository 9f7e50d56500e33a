"""Building blocks of the simulators: price paths and their markets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from trading_env._checks import integer
from trading_env._extras import optional
from trading_env.data.bars import Floats
from trading_env.data.market import Market
from trading_env.data.zones import Times

BARS_PER_YEAR = 252.0


def market_of(name: str, close: Floats, columns: dict[str, Floats] | None = None, **parameters: Any) -> Market:
    """The simulator ``name``'s market of closes (T,), with each bar opening at the previous close."""
    before = np.concatenate([close[:1], close[:-1]])
    return Market.from_arrays(
        close,
        open=before,
        high=np.maximum(before, close),
        low=np.minimum(before, close),
        time=business_days(close.size),
        columns=columns,
        name=name,
        metadata={"source": f"simulators.{name}", "parameters": parameters},
        bars_per_year=BARS_PER_YEAR,
    )


def business_days(n_bars: int) -> Times | None:
    """``n_bars`` business days from 2000-01-03, or None if they would exceed datetime64[ns]."""
    if n_bars > 60_000:
        return None
    first = np.datetime64("2000-01-03", "D")
    days: Times = np.busday_offset(first, np.arange(n_bars)).astype("datetime64[ns]")
    return days


def exp_path(price: float, x: Floats) -> Floats:
    """Prices price * exp(x) (T,); infinite or 0 beyond float64, which Market refuses, naming the row."""
    with np.errstate(over="ignore", under="ignore"):
        result: Floats = price * np.exp(x)
    return result


def compound(price: float, log_returns: Floats) -> Floats:
    """Closes (n + 1,) from ``price`` on with log returns (n,)."""
    return exp_path(price, np.concatenate([[0.0], np.cumsum(log_returns)]))


def autoregression(start: float, decay: float, shocks: Floats) -> Floats:
    """The path (n + 1,) of x_0 = start, x_{t+1} = decay x_t + shock_t."""
    x = [start]
    for shock in shocks.tolist():
        x.append(decay * x[-1] + shock)
    return np.array(x)


def resampled_rows(n: int, count: int, block: float, rng: np.random.Generator) -> Any:
    """``count`` of the rows 0..n-1, resampled in blocks of geometric length, n rows at a time."""
    bootstrap = optional("arch.bootstrap", "arch", "simulators.stationary_bootstrap")
    resampler = bootstrap.StationaryBootstrap(block, np.arange(n), seed=rng)
    draws = [data[0] for data, _ in resampler.bootstrap(math.ceil(count / n))]
    return np.concatenate(draws)[:count]


def generator(n_bars: Any, seed: Any) -> np.random.Generator:
    """The Generator of ``seed``; checks both arguments."""
    integer("n_bars", n_bars, 2)
    return np.random.default_rng(integer("seed", seed, 0))
