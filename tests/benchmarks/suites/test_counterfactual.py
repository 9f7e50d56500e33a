import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.suites.counterfactual import CounterfactualSettings, Scores, cases, deviation, log_growth, table
from trading_env import Market


def scores(plain, full, aim=1.0):
    return Scores(cases(quick=True)[0], np.array(plain), np.array(full), aim)


def test_the_steps_are_those_from_which_on_the_median_seed_stays_at_the_aim():
    low, high = [0.9, 0.9, 2.0], [0.0, 0.96, 0.97]  # medians 0.9 and 0.96
    one = scores([low, high], [high, high])
    assert (one.steps(one.plain), one.steps(one.counterfactual)) == (400, 200)
    never = scores([high, low], [low, low])
    assert (never.steps(never.plain), never.steps(never.counterfactual)) == (None, None)


class FlatAndLong:
    def __len__(self):
        return 2

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return np.array([0, 1]), state


def test_growth_is_the_mean_log_return_of_the_equity():
    market = Market.from_arrays(
        close=np.array([100.0, 110.0, 121.0, 133.1]),
        open=np.array([100.0, 100.0, 110.0, 121.0]),
        bars_per_year=252.0,
    )
    keywords = {
        "features": deviation,
        "window": 1,
        "actions": (0.0, 1.0),
        "fill": "close",
        "costs": {"commission": 0.0, "slippage": 0.0},
    }
    growth = log_growth(FlatAndLong(), market, keywords)
    np.testing.assert_allclose(growth, [0.0, np.log(1.1)], atol=1e-12)


def test_a_quick_run_prints_a_row_for_each_market(capsys):
    assert main(["counterfactual", "--quick", "--seeds", "2"]) == 0
    printed = capsys.readouterr().out
    for case in cases(quick=True):
        assert case.name in printed
    assert "median of 2 seeds" in printed


def test_no_seeds_are_refused_by_name():
    with pytest.raises(ValueError, match="seeds must be at least 1"):
        CounterfactualSettings(seeds=0)


def test_the_ratio_says_how_many_times_as_many_steps_the_plain_agent_needs():
    shown = table([scores([[0.0], [1.0]], [[1.0], [1.0]])])
    assert shown.numbers[-1] == "ratio"
    assert [row[-1] for row in shown.rows] == ["2.0"]
