"""Our metrics, which need numpy alone, agree with those of empyrical, a library that many know."""

import empyrical
import numpy as np
import pytest

from trading_env.analysis import metrics

BARS_PER_YEAR = 252
PAIRS = {
    "total return": (lambda r, e: metrics.total_return(e), empyrical.cum_returns_final),
    "annual return": (lambda r, e: metrics.annual_return(e, BARS_PER_YEAR), empyrical.annual_return),
    "volatility": (lambda r, e: metrics.annual_volatility(r, BARS_PER_YEAR), empyrical.annual_volatility),
    "Sharpe ratio": (lambda r, e: metrics.sharpe_ratio(r, BARS_PER_YEAR), empyrical.sharpe_ratio),
    "Sortino ratio": (lambda r, e: metrics.sortino_ratio(r, BARS_PER_YEAR), empyrical.sortino_ratio),
    "Calmar ratio": (lambda r, e: metrics.calmar_ratio(e, BARS_PER_YEAR), empyrical.calmar_ratio),
    "drawdown": (lambda r, e: -metrics.max_drawdown(e), empyrical.max_drawdown),
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", PAIRS)
def test_ours_and_the_library_agree(name, seed):
    rng = np.random.default_rng(seed)
    returns = 0.01 * rng.standard_t(4, rng.integers(50, 1500)) + rng.normal(0.0, 1e-3)
    equity = 5e4 * np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    ours, theirs = PAIRS[name]
    assert ours(returns, equity) == pytest.approx(theirs(returns), rel=1e-9)
