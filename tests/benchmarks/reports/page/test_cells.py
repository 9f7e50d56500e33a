"""Every cell of the leaderboard and every text of the statistics, read back from the page and computed again."""

import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.evaluation.stress import break_even
from benchmarks.evaluation.track_controls import best_of_random
from benchmarks.statistics import multiple_testing
from benchmarks.statistics.sharpe import (
    deflated_sharpe,
    mean_sharpe_over,
    minimum_track_record,
    sharpe_gap_over,
    sharpe_ratios,
)
from benchmarks.study.folds import folds_of
from benchmarks.study.job import data
from tests.benchmarks.reports.page.kept import curves_of, mine, tracks, trials
from tests.pages import Reader
from trading_env import hindsight
from trading_env.report.measures import decimal, percent

LEVEL = 1.0 - 0.05 / 3  # three rows that have a ratio, beside the benchmark
FOLDS = (0, 1)


@pytest.fixture(scope="module")
def reader(study):
    return Reader(study.page)


@pytest.fixture(scope="module")
def board(reader):
    """Name of the contender -> its cells as (text, number)."""
    return {row[0][0]: row for row in reader.tables["leaderboard"][1:]}


def names_of(study):
    return [one.name for one in study.suite.contenders]


def test_numbers_and_texts_of_the_sharpe_ratios(study, board):
    assert board.keys() == set(names_of(study))
    for name, row in board.items():
        sharpe = mean_sharpe_over(tracks(study, name))
        if name == "flat":
            assert [text for text, _ in row[2:7]] == [""] * 5
            continue
        numbers = [sharpe.value, sharpe.standard_error, sharpe.interval()[0]]
        assert [value for _, value in row[2:5]] == pytest.approx(numbers)
        low, high = map(decimal, sharpe.interval())
        assert [text for text, _ in row[2:5]] == [decimal(numbers[0]), decimal(numbers[1]), f"{low} to {high}"]


def test_differences_to_the_benchmark_hold_together(study, board):
    for name, row in board.items():
        if name in ("flat", "buy_and_hold"):
            assert [text for text, _ in row[5:7]] == ["", ""]
            continue
        gap = sharpe_gap_over(tracks(study, name), tracks(study, "buy_and_hold"))
        (low, high), least = gap.interval(LEVEL), gap.detectable(level=LEVEL)
        assert [value for _, value in row[5:7]] == pytest.approx([low, least])
        assert [text for text, _ in row[5:7]] == [f"{decimal(low)} to {decimal(high)}", decimal(least)]


def test_seeds_returns_drawdowns_turnover_and_a_bar_late_are_means_over_rows(study, board):
    for name, row in board.items():
        own = mine(study, name)
        mean = {
            key: np.mean(np.concatenate([one.metrics[key] for one in own]))
            for key in ("annual_return", "max_drawdown", "turnover")
        }
        late = np.mean([one.stress["growth_a_bar_late"].mean() * one.bars_per_year for one in own])
        seeds = len(tracks(study, name)[study.suite.data[0]].returns)
        numbers = [mean["annual_return"], mean["max_drawdown"], mean["turnover"]]
        assert row[1] == (str(seeds), seeds)
        assert [value for _, value in row[7:10]] == pytest.approx(numbers)
        assert row[11][1] == pytest.approx(late)
        assert [row[i][0] for i in (7, 8, 9)] == [percent(numbers[0]), percent(numbers[1]), f"{numbers[2]:.1f}"]
        assert row[11][0] == percent(late)
        turnover = np.mean([curves_of(study, name, d, f, "turnover").mean() for d in study.suite.data for f in FOLDS])
        assert row[9][1] == pytest.approx(turnover * own[0].bars_per_year)


def test_the_break_even_cost_is_where_the_growth_of_fixed_policies_is_zero(study, board):
    for name, row in board.items():
        own = mine(study, name)
        growth = np.mean([one.stress["growth_at_costs"].mean(1) * one.bars_per_year for one in own], axis=0)
        cost = break_even(own[0].stress["costs"], growth)
        text = "" if math.isnan(cost) else "more" if math.isinf(cost) else f"{1e4 * cost:.0f} bps"
        assert row[10] == (text, None if math.isnan(cost) else pytest.approx(cost))


def test_the_share_of_seeds_that_agree_is_that_of_the_most_common_side(study, board):
    for name, row in board.items():
        shares = []
        for dataset in study.suite.data:
            for fold in FOLDS:
                exposure = curves_of(study, name, dataset, fold, "exposure")
                for bar in exposure.T:
                    sides = np.where(bar > 1e-9, 1, np.where(bar < -1e-9, -1, 0))
                    shares.append(np.unique(sides, return_counts=True)[1].max() / len(sides))
        single = len(exposure) == 1
        share = None if single else np.mean(shares)
        assert row[12] == ("" if single else percent(share), None if single else pytest.approx(share))


def test_the_leaderboard_is_in_order_of_the_sharpe_ratio(reader):
    ratios = [row[2][1] for row in reader.tables["leaderboard"][1:] if row[2][1] is not None]
    assert ratios == sorted(ratios, reverse=True)


# -- statistics -------------------------------------------------------------------------------------------------


def test_the_tests_of_all_rows_are_those_of_their_mean_log_returns(study, reader):
    pooled = {
        name: np.mean([np.log1p(one.returns).mean(0) for one in tracks(study, name).values()], axis=0)
        for name in names_of(study)
    }
    losses = {name: -values for name, values in pooled.items() if name != "buy_and_hold"}
    found = multiple_testing.superior(losses, -pooled["buy_and_hold"])
    assert reader.facts["SPA p-value"].strip() == f"{found.p_value:.3f}"
    assert f"From {found.p_lower:.3f} (liberal) to {found.p_upper:.3f}." in study.page
    assert reader.facts["better by StepM"].strip() == (", ".join(found.better) or "none")
    best = ["buy_and_hold" if name == "benchmark" else name for name in found.confidence_set]
    assert reader.facts["may be the best by MCS"].strip() == ", ".join(best)
    overfitting = multiple_testing.probability_of_backtest_overfitting(np.column_stack(list(pooled.values())), 16)
    assert reader.facts["overfitting, PBO"].strip() == percent(overfitting)


def test_the_best_learner_is_deflated_by_all_attempts(study, reader):
    learners = {name: mean_sharpe_over(tracks(study, name)).value for name in names_of(study)[3:]}
    best, attempts = max(learners, key=learners.get), trials(study)
    assert reader.facts["attempts N"].strip() == str(attempts.count) == "5"
    assert reader.facts["best learner"].strip() == best
    every = [one for track in tracks(study, best).values() for one in track.returns]
    moments = [(one.mean() / one.std(ddof=1), stats.skew(one), stats.kurtosis(one, fisher=False)) for one in every]
    ratio, skew, kurtosis = np.mean(moments, axis=0)
    bars = len(every[0])
    deflated = deflated_sharpe(ratio, bars, skew, kurtosis, attempts.count, attempts.variance)
    assert reader.facts["its deflated Sharpe ratio"].strip() == decimal(deflated)
    needed = minimum_track_record(ratio, 0.0, skew, kurtosis)
    text = f"{math.ceil(needed):,} bars" if math.isfinite(needed) else "no number of bars"
    assert reader.facts["its minimum track record"].strip() == text


def test_luck_and_hindsight_are_those_of_the_best_row(study, reader):
    others = [name for name in names_of(study) if name not in ("random", "buy_and_hold", "flat")]
    scores = {name: mean_sharpe_over(tracks(study, name)).value for name in others}
    ratios = [sharpe_ratios(one.returns).ratio * one.bars_per_year**0.5 for one in tracks(study, "random").values()]
    p_value, _ = best_of_random(max(scores.values()), np.mean(ratios, axis=0), trials(study).count)
    assert reader.facts["luck of random traders, p"].strip() == f"{p_value:.3f}"
    shares = []
    for dataset in study.suite.data:
        market = data(dataset)
        for fold, stretch in enumerate(folds_of(market, study.suite.walk_forward, study.suite.purge)):
            bound = hindsight(stretch.markets(market)[2], **study.suite.env).log_growth
            for name in names_of(study)[3:]:
                equity = curves_of(study, name, dataset, fold, "equity")
                shares.append(np.log(equity[:, -1] / equity[:, 0]).max() / bound)
    assert reader.facts["share of hindsight"].strip() == percent(max(shares))


def test_no_fact_is_left_unread(reader):
    assert reader.facts.keys() == {
        "attempts N",
        "SPA p-value",
        "better by StepM",
        "may be the best by MCS",
        "overfitting, PBO",
        "best learner",
        "its deflated Sharpe ratio",
        "its minimum track record",
        "luck of random traders, p",
        "share of hindsight",
    }
