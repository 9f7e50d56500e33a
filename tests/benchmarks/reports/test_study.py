"""The sentence of a study says what is shown, and no more."""

import math

import numpy as np
import pytest

from benchmarks.reports import beside
from benchmarks.reports.study import _less_benchmark, sentence
from benchmarks.statistics.sharpe import Track


def results(intervals, deflated=0.5):
    contenders = {
        name: {"less_benchmark": {"value": sum(ends) / 2.0, "interval": ends, "detectable": 0.5 + i}}
        for i, (name, ends) in enumerate(intervals.items())
    }
    return {
        "suite": {"benchmark": "hold"},
        "contenders": {"hold": {}, **contenders},
        "shown_from": {name: one["less_benchmark"]["detectable"] for name, one in contenders.items()},
        "best_learner": {"name": "DQN", "deflated_sharpe": deflated},
        "trials": {"count": 40},
    }


def test_nothing_shown_is_said_with_what_could_have_been_shown():
    said = sentence(results({"DQN": (-0.5, 0.4), "PPO": (-0.9, -0.1)}))
    assert said.startswith("No row is shown to have a higher Sharpe ratio than hold; PPO is shown to have a lower one.")
    assert "must be 0.5 to 1.5 a year" in said


@pytest.mark.parametrize(("deflated", "doubted"), [(0.6, True), (0.97, False)])
def test_a_better_row_is_doubted_unless_it_beats_the_luckiest_of_all_attempts(deflated, doubted):
    said = sentence(results({"DQN": (0.1, 0.8)}, deflated))
    assert said.startswith("DQN is shown to have a higher Sharpe ratio than hold")
    assert ("40 attempts may have found it by luck" in said) == doubted


def test_without_a_gap_nothing_is_compared():
    assert sentence(results({"DQN": (math.nan, math.nan)})) == "No row can be compared with hold yet."


def test_a_row_without_a_ratio_is_no_comparison_and_widens_no_interval():
    rng, bars = np.random.default_rng(0), np.arange(500)
    hold, other = ({"IBM": Track(bars, rng.normal(5e-4, 0.01, (1, 500)), 252.0)} for _ in range(2))
    flat = {"IBM": Track(bars, np.zeros((1, 500)), 252.0)}
    alone, beside_flat = (
        _less_benchmark(tracks, "hold")
        for tracks in (
            {"hold": hold, "other": other},
            {"hold": hold, "other": other, "flat": flat},
        )
    )
    assert alone["other"]["interval"] == beside_flat["other"]["interval"]
    assert alone["other"]["detectable"] == beside_flat["other"]["detectable"]


def test_several_rows_are_shown():
    said = sentence(results({"DQN": (-0.9, -0.1), "PPO": (-0.9, -0.1)}))
    assert "; DQN, PPO are shown to have a lower one." in said


def test_coins_agree_more_often_than_half():
    assert [beside.coins_agree(n) for n in (1, 2, 3)] == [1.0, 0.75, 0.75]
    assert beside.coins_agree(20) == pytest.approx(0.588, abs=1e-3)


def test_each_row_has_its_growth_before_and_after_costs_and_where_it_breaks_even():
    moved = {"growth_per_year_in_time": 0.1, "growth_per_year_a_bar_late": -0.02}
    stress = {"costs": [0.0, 1e-3, 5e-3], "growth_per_year": [0.25, 0.1, -0.1], "break_even": 3e-3, **moved}
    held = {**stress, "growth_per_year": [0.1, 0.1, 0.1], "break_even": math.inf}
    table = beside.costs_table({"contenders": {"PPO": {"stress": stress}, "held": {"stress": held}}})
    assert list(table.numbers) == ["0 bps", "10 bps", "50 bps", "in the\nstudy", "a bar\nlate", "breaks\neven"]
    assert table.rows[0] == ["PPO", "25%", "10%", "-10%", "10%", "-2%", "30 bps"]
    assert table.rows[1][-1] == "> 50 bps"
