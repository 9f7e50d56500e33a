"""Seeded synthetic markets. T = n_bars; all draws come from a Generator seeded with ``seed``.

Each bar opens at the previous close (the first at its own close), and its high and low are the larger and the smaller
of open and close. So every fill works, and "next_open" trades at the close just observed. Bars are business days from
2000-01-03; markets of more than 60,000 bars have no timestamps, because datetime64[ns] could not hold them. A year has
252 bars. Prices are positive; if one leaves the range of float64, Market raises as for any infinite or zero price.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from trading_env._checks import flag, number
from trading_env._extras import optional
from trading_env.data.market import Market, checked_market
from trading_env.data.paths import (
    BARS_PER_YEAR,
    autoregression,
    compound,
    exp_path,
    generator,
    market_of,
    resampled_rows,
)

_LARGEST_DRAW = 14.0  # NumPy's normal draws are smaller in size: the tail of its ziggurat ends at 13.7


def gbm(n_bars: int, seed: int, *, mu: float = 0.05, sigma: float = 0.2, price: float = 100.0) -> Market:
    """Geometric Brownian motion: c' = c exp((mu - sigma^2/2) dt + sigma sqrt(dt) eps), dt = 1/252.

    Args:
        n_bars: number of bars, T.
        seed: seed of the Generator.
        mu: drift of the expected price, per year.
        sigma: volatility, per year.
        price: first close.

    Raises:
        TypeError: an argument is not a number, or n_bars or seed is not an int.
        ValueError: an argument is out of range.

    Source: Black & Scholes (1973), "The pricing of options and corporate liabilities".
    """
    rng = generator(n_bars, seed)
    number("mu", mu)
    number("sigma", sigma, least=0.0)
    number("price", price, above=0.0)
    dt = 1.0 / BARS_PER_YEAR
    returns = (mu - sigma**2 / 2.0) * dt + sigma * math.sqrt(dt) * rng.standard_normal(n_bars - 1)
    return market_of("gbm", compound(price, returns), seed=seed, mu=mu, sigma=sigma)


def garch(
    n_bars: int,
    seed: int,
    *,
    mu: float = 3e-4,
    omega: float = 2e-6,
    alpha: float = 0.1,
    beta: float = 0.88,
    price: float = 100.0,
) -> Market:
    """Log returns r = mu + e, e = sqrt(h) eps, h' = omega + alpha e^2 + beta h, after 500 bars of burn-in.

    Needs the extra ``arch``. The unconditional variance of a bar is omega / (1 - alpha - beta).

    Args:
        n_bars: number of bars, T.
        seed: seed of the Generator.
        mu: mean log return of a bar.
        omega: constant of the variance, above 0.
        alpha: weight of the last squared shock.
        beta: weight of the last variance; alpha + beta below 1.
        price: first close.

    Raises:
        ImportError: arch is missing.
        TypeError: an argument is not a number, or n_bars or seed is not an int.
        ValueError: an argument is out of range.

    Source: Bollerslev (1986), "Generalized autoregressive conditional heteroskedasticity", eq. 1-2.
    """
    rng = generator(n_bars, seed)
    number("mu", mu)
    number("alpha", alpha, least=0.0)
    number("beta", beta, least=0.0)
    number("omega", omega, above=0.0)
    number("price", price, above=0.0)
    if alpha + beta >= 1.0:
        raise ValueError(f"alpha + beta must be below 1, got {alpha} + {beta}")
    univariate = optional("arch.univariate", "arch", "simulators.garch")
    model = univariate.ConstantMean(
        None, volatility=univariate.GARCH(p=1, q=1), distribution=univariate.Normal(seed=rng)
    )
    returns = model.simulate([mu, omega, alpha, beta], nobs=n_bars, burn=500)["data"].to_numpy()[1:]
    return market_of("garch", compound(price, returns), seed=seed, mu=mu, omega=omega, alpha=alpha, beta=beta)


def stationary_bootstrap(market: Market, seed: int, *, n_bars: int | None = None, block: float = 20.0) -> Market:
    """A market whose bars, relative to the close before each, are resampled from ``market`` in blocks.

    Blocks start anywhere, wrap around, and have geometric lengths with mean ``block``: short memory is kept, long
    memory is lost. Bars are drawn whole, with open, high, low and volume but without further columns. The first bar
    is the market's own. From a part of a split, only its own bars are drawn. Needs the extra ``arch``.

    Args:
        market: the real series, with at least two bars from ``first`` on.
        seed: seed of the Generator.
        n_bars: number of bars, T; by default as many as the market has from ``first`` on.
        block: mean length of a block, in bars.

    Raises:
        ImportError: arch is missing.
        TypeError: an argument is of the wrong type.
        ValueError: an argument is out of range.

    Source: Politis & Romano (1994), "The stationary bootstrap".
    """
    checked_market(market)
    first, own = market.first, len(market) - market.first
    if own < 2:
        raise ValueError(f"market must have at least 2 bars, got {own}")
    n_bars = own if n_bars is None else n_bars
    rng = generator(n_bars, seed)
    number("block", block, least=1.0)
    rows = resampled_rows(own - 1, n_bars - 1, block, rng) + first + 1
    before = market.close[rows - 1]
    close = compound(market.close[first], np.log(market.close[rows] / before))
    bars: dict[str, Any] = {"close": close}  # one positive factor per bar keeps the order of its prices
    for name in ("open", "high", "low"):
        values = getattr(market, name)
        if values is not None:
            shape = values[rows] / market.close[rows]
            bars[name] = np.concatenate([values[first : first + 1], close[1:] * shape])
    if market.volume is not None:
        bars["volume"] = np.concatenate([market.volume[first : first + 1], market.volume[rows]])
    metadata = {"source": "simulators.stationary_bootstrap", "of": market.name, "seed": seed, "block": block}
    time = None if market.time is None or n_bars > own else market.time[first : first + n_bars]
    return Market.from_arrays(
        **bars,
        time=time,
        name=f"bootstrap of {market.name}",
        metadata=metadata,
        bars_per_year=market.bars_per_year,
    )


def ornstein_uhlenbeck(
    n_bars: int, seed: int, *, kappa: float = 0.1, sigma: float = 0.01, mean: float = 100.0, price: float = 100.0
) -> Market:
    """Mean-reverting log price x = log(c / mean): x' = a x + sigma sqrt((1 - a^2) / (2 kappa)) eps.

    a = exp(-kappa): the exact solution of dx = -kappa x dt + sigma dW, one bar apart.

    Args:
        n_bars: number of bars, T.
        seed: seed of the Generator.
        kappa: speed of reversion per bar, above 0.
        sigma: volatility per square root of a bar.
        mean: price to which it reverts.
        price: first close.

    Raises:
        TypeError: an argument is not a number, or n_bars or seed is not an int.
        ValueError: an argument is out of range.

    Source: Uhlenbeck & Ornstein (1930), "On the theory of the Brownian motion".
    """
    rng = generator(n_bars, seed)
    number("sigma", sigma, least=0.0)
    number("kappa", kappa, above=0.0)
    number("mean", mean, above=0.0)
    number("price", price, above=0.0)
    decay = math.exp(-kappa)
    shocks = sigma * math.sqrt(-math.expm1(-2.0 * kappa) / (2.0 * kappa)) * rng.standard_normal(n_bars - 1)
    x = autoregression(math.log(price / mean), decay, shocks)
    return market_of("ornstein_uhlenbeck", exp_path(mean, x), seed=seed, kappa=kappa, sigma=sigma, mean=mean)


def regime_switching(
    n_bars: int,
    seed: int,
    *,
    stay: float = 0.98,
    step: float = 0.001,
    sigma: float = 0.0,
    observed: bool = True,
    price: float = 100.0,
) -> Market:
    """Two states: c_{t+1} = c_t (1 + step s_t + sigma eps); s_{t+1} = s_t with probability stay, else -s_t.

    The state s_t in {-1, +1} is known at bar t and is the sign of the next mean return; with sigma = 0 the next return
    is exactly +step or -step. The first state is a fair coin flip. The column "state" holds the states, unless
    ``observed`` is False.

    Args:
        n_bars: number of bars, T.
        seed: seed of the Generator.
        stay: probability q of keeping the state, in [0, 1].
        step: mean absolute size m of a return, in [0, 1).
        sigma: standard deviation of the noise; step + 14 sigma below 1 keeps every price positive.
        observed: True to include the column "state".
        price: first close.

    Raises:
        TypeError: an argument is not a number, or n_bars or seed is not an int.
        ValueError: an argument is out of range.

    Source: Hamilton (1989), "A new approach to the economic analysis of nonstationary time series".
    """
    rng = generator(n_bars, seed)
    flag("observed", observed)
    number("stay", stay, least=0.0, most=1.0)
    number("step", step, least=0.0)
    number("sigma", sigma, least=0.0)
    number("price", price, above=0.0)
    if step + _LARGEST_DRAW * sigma >= 1.0:
        raise ValueError(f"step + 14 sigma must be below 1, got step={step!r} and sigma={sigma!r}")
    flips = np.where(rng.random(n_bars) < stay, 1.0, -1.0)
    flips[0] = 1.0 if rng.random() < 0.5 else -1.0
    state = np.cumprod(flips, dtype=np.float64)
    growth = 1.0 + step * state[:-1] + sigma * rng.standard_normal(n_bars - 1)
    close = np.cumprod(np.concatenate([[price], growth]))
    columns = {"state": state} if observed else None
    return market_of("regime_switching", close, columns, seed=seed, stay=stay, step=step, sigma=sigma)


def moody_saffell(
    n_bars: int, seed: int, *, k: float = 3.0, decay: float = 0.9, scale: float = 1553.7, trend: bool = False
) -> Market:
    """A price with a hidden trend: c = exp(p / scale), p' = p + b + k eps, b' = decay b + nu, from p = b = 0.

    eps and nu are independent standard normals. The authors scale by the range of the whole path, which looks
    ahead; here the scale is fixed.

    Args:
        n_bars: number of bars, T.
        seed: seed of the Generator.
        k: standard deviation of the noise relative to that of the trend's shocks, at least 0.
        decay: decay factor of the trend, in [0, 1].
        scale: divisor of p, above 0.
        trend: True to include the hidden b_t, the mean of the next change of p, as column "trend".

    Raises:
        TypeError: an argument is not a number, or n_bars or seed is not an int.
        ValueError: an argument is out of range.

    Source: Moody & Saffell (2001), "Learning to trade via direct reinforcement", section IV-A.
    """
    rng = generator(n_bars, seed)
    flag("trend", trend)
    number("k", k, least=0.0)
    number("decay", decay, least=0.0, most=1.0)
    number("scale", scale, above=0.0)
    nu, eps = rng.standard_normal((2, n_bars - 1))
    hidden = autoregression(0.0, decay, nu)
    p = np.concatenate([[0.0], np.cumsum(hidden[:-1] + k * eps)])
    columns = {"trend": hidden} if trend else None
    return market_of("moody_saffell", exp_path(1.0, p / scale), columns, seed=seed, k=k, decay=decay, scale=scale)


def sine_plus_noise(
    n_bars: int,
    seed: int,
    *,
    period: float = 50.0,
    amplitude: float = 0.1,
    sigma: float = 0.005,
    price: float = 100.0,
) -> Market:
    """A cycle with independent noise: c_t = price exp(amplitude sin(2 pi t / period) + sigma eps).

    Args:
        n_bars: number of bars, T.
        seed: seed of the Generator.
        period: length of the cycle in bars, above 0.
        amplitude: amplitude of the log price, at least 0.
        sigma: standard deviation of the log price around the cycle.
        price: centre of the cycle.

    Raises:
        TypeError: an argument is not a number, or n_bars or seed is not an int.
        ValueError: an argument is out of range.
    """
    rng = generator(n_bars, seed)
    number("amplitude", amplitude, least=0.0)
    number("sigma", sigma, least=0.0)
    number("period", period, above=0.0)
    number("price", price, above=0.0)
    wave = amplitude * np.sin(2.0 * np.pi * np.arange(n_bars) / period)
    close = exp_path(price, wave + sigma * rng.standard_normal(n_bars))
    return market_of("sine_plus_noise", close, seed=seed, period=period, amplitude=amplitude, sigma=sigma)
