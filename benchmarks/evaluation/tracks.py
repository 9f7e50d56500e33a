"""Names under which results keep the metrics of test runs. K runs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trading_env.analysis import metrics
from trading_env.analysis.tracks import METRICS, Tracks

ENV_ID = "trading_env:TradingEnv-v0"
_SHORT = {
    "sharpe_ratio": "sharpe",
    "sharpe_standard_error": "sharpe_se",
    "sortino_ratio": "sortino",
    "calmar_ratio": "calmar",
    "annual_turnover": "turnover",
    "mean_exposure": "exposure",
}


def measures(tracks: Tracks) -> dict[str, npt.NDArray[np.float64]]:
    """The metrics of each run: name -> (K,)."""
    found = {_SHORT.get(name, name): tracks.metric(name) for name in METRICS}
    rate = tracks.bars_per_year or np.nan
    errors = [metrics.sharpe_standard_error(returns, rate, method="gmm") for returns in tracks.returns]
    return {**found, "sharpe_se_gmm": np.array(errors)}
