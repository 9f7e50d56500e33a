import numpy as np

from benchmarks.evaluation.tracks import measures
from trading_env import backtest, load
from trading_env.analysis import metrics


def test_results_keep_every_metric_of_each_run_under_a_short_name():
    market = load("us-stocks/IBM").split("2012-06-01")[1]
    rng = np.random.default_rng(0)
    tracks = backtest([lambda obs: rng.integers(3), lambda obs: 2], market).tracks
    found = measures(tracks)
    returns = metrics.simple_returns(tracks.equity[0])
    assert found["sharpe"][0] == metrics.sharpe_ratio(returns, 252)
    assert found["sharpe_se"][0] == metrics.sharpe_standard_error(returns, 252)
    assert found["sharpe_se_gmm"][0] == metrics.sharpe_standard_error(returns, 252, method="gmm")
    assert found["turnover"][1] == metrics.annual_turnover(tracks.turnover[1], 252)
    assert {values.shape for values in found.values()} == {(2,)}
