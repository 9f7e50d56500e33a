"""Markets of the reference envs that are TradingEnv: simulated paths whose best policy is known."""

from __future__ import annotations

import math

from trading_env._checks import number
from trading_env.data import simulators
from trading_env.data.market import Market
from trading_env.data.paths import BARS_PER_YEAR

_MOST_BARS = 20_000
_REACH = 25.0  # of the log price from its start: farther away, an account in float64 would lose digits
_LARGEST_SIGMA = 10.0  # of a log return


def null_market(sigma: float = 0.01, n_bars: int | None = None, market_seed: int = 0) -> Market:
    """A market whose simple returns have mean 0, and whose log returns are normal with deviation ``sigma``."""
    number("sigma", sigma, above=0.0, most=_LARGEST_SIGMA)
    return drift_market(-0.5 * sigma**2, sigma, n_bars, market_seed)


def drift_market(drift: float = 5e-4, sigma: float = 0.01, n_bars: int | None = None, market_seed: int = 0) -> Market:
    """A market with independent normal log returns of mean ``drift`` and deviation ``sigma``."""
    number("drift", drift)
    number("sigma", sigma, least=0.0, most=_LARGEST_SIGMA)
    n_bars = longest_path(drift, sigma**2) if n_bars is None else n_bars
    mu = (drift + sigma**2 / 2.0) * BARS_PER_YEAR
    return simulators.gbm(n_bars, market_seed, mu=mu, sigma=sigma * math.sqrt(BARS_PER_YEAR))


def regime_market(
    stay: float = 0.98, step: float = 0.001, sigma: float = 0.0, n_bars: int | None = None, market_seed: int = 0
) -> Market:
    """`simulators.regime_switching` with its state observed."""
    number("stay", stay, least=0.0, most=1.0)
    number("step", step, least=0.0, most=1.0)
    number("sigma", sigma, least=0.0, most=1.0)
    if n_bars is None:
        persistence = min(stay / (1.0 - stay), _MOST_BARS) if stay < 1.0 else _MOST_BARS
        n_bars = longest_path(0.5 * (step**2 + sigma**2), step**2 * persistence + sigma**2)
    return simulators.regime_switching(n_bars, market_seed, stay=stay, step=step, sigma=sigma)


def longest_path(drift: float, variance: float) -> int:
    """Number of bars, at most 20,000, for which drift and four standard deviations keep the log price within reach."""
    slowness = 2.0 * math.sqrt(variance) + math.sqrt(4.0 * variance + abs(drift) * _REACH)
    root = _REACH / max(slowness, 1e-300)  # of |drift| n + 4 sqrt(variance n) = reach, in sqrt(n)
    return max(2, int(min(root * root, _MOST_BARS)))
