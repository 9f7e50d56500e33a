import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.study.learning_curves import Curve
from benchmarks.suites.counterfactual import CASES, CounterfactualSettings, steps_to, table
from benchmarks.tasks.worlds import WORLDS


def curve(*scores):
    """A curve with scores of each seed at steps 0, 200, 400, ..."""
    steps = 200.0 * np.arange(len(scores))
    return Curve(steps, steps, np.array(scores).T)


def test_the_steps_are_those_from_which_on_the_median_seed_stays_at_the_aim():
    low, high = [0.9, 0.9, 2.0], [0.0, 0.96, 0.97]  # medians 0.9 and 0.96
    assert steps_to(curve(high, low, high), 1.0) == 400
    assert steps_to(curve(low, high, high), 1.0) == 200
    assert steps_to(curve(low, high, low), 1.0) is None


def test_a_quick_run_prints_a_row_for_each_market_and_keeps_its_rows(tmp_path, capsys):
    line = ["counterfactual", "--quick", "--seeds", "2", "--folder", str(tmp_path), "--processes", "1"]
    assert main([*line, "--no-progress"]) == 0
    printed = capsys.readouterr().out
    for case in CASES:
        assert case.task in printed
    assert "median of 2 seeds, scored every 200 steps" in printed
    assert len(list((tmp_path / "counterfactual-quick" / "rows").glob("*.npz"))) == 4


def test_no_seeds_are_refused_by_name():
    with pytest.raises(ValueError, match="seeds must be at least 1"):
        CounterfactualSettings(seeds=0)


def test_the_ratio_says_how_many_times_as_many_steps_the_plain_agent_needs():
    slow, fast = curve([0.0], [0.0], [1.0]), curve([0.0], [1.0], [1.0])
    pairs = {(case.task, "DQN", "ours"): slow for case in CASES}
    pairs |= {(case.task, "CounterfactualDQN", "ours"): fast for case in CASES}
    shown = table(pairs)
    assert shown.numbers[-1] == "ratio"
    assert [row[-1] for row in shown.rows] == ["2.0", "2.0"]


def test_agents_learn_on_a_long_path_and_are_scored_on_another():
    for case in CASES:
        world = WORLDS[case.task]
        learnt, unseen = world.spec().kwargs["data"], world.unseen()
        assert len(learnt) == 4 * len(unseen)
        assert not np.array_equal(learnt.close[: len(unseen)], unseen.close)
