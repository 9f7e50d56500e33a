"""Statistics of rows, whatever the blocks of seeds, the folds that are missing, and the ledger that is left."""

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.contenders.named import Contender
from benchmarks.reports import study as report
from benchmarks.study import analysis, job, retrained
from benchmarks.study.finished import finished
from benchmarks.study.folds import Plan
from benchmarks.study.ledger import OPENED, SCORED, TRIED, Ledger
from benchmarks.study.rows import Row, account_of, merged
from benchmarks.study.suite import Suite
from trading_env import Market, hindsight

BARS = 40
SUITE = Suite(
    name="mine",
    data=("one", "two"),
    walk_forward=Plan(folds=2, test=0.4, validation=20),
    env={"window": 2, "actions": (0.0, 1.0), "fill": "next_close"},
    seeds=3,
    block=2,
    contenders=(Contender(strategy="buy_and_hold"), Contender(agent="DQN"), Contender(agent="A2C")),
)


@pytest.fixture(autouse=True)
def markets(monkeypatch):
    days = np.datetime64("2001-01-01", "ns") + np.arange(200) * np.timedelta64(1, "D")
    for seed, name in enumerate(SUITE.data):
        close = np.exp(np.random.default_rng(seed).normal(0.0, 0.01, 200).cumsum())
        monkeypatch.setitem(job._LOADED, name, Market.from_arrays(close, time=days, name=name))


def row(contender, dataset, fold, seeds, seed=0):
    """A row with returns of its own for each seed."""
    draws = [np.random.default_rng([seed, s, fold, len(contender)]) for s in seeds]
    returns = np.array([rng.normal(0.005, 0.01, BARS) for rng in draws])
    equity = 1e4 * np.cumprod(np.column_stack([np.ones(len(seeds)), 1.0 + returns]), axis=1)
    side = np.array([rng.integers(0, 2, BARS) for rng in draws]).astype(float)
    start = np.datetime64("2001-01-01", "ns") + (100 + fold * BARS) * np.timedelta64(1, "D")
    money = dict.fromkeys(("commission", "slippage", "financing", "units"), 2.0 * side)
    growth = np.log1p(returns).mean(1)
    stress = {"costs": np.array([0.0, 0.1]), "growth_at_costs": np.stack([growth, growth - 0.1])}
    curve = {"steps": np.ones(2), "seconds": np.ones(2), "scores": np.ones((2, len(seeds)))}
    return Row(
        dataset,
        fold,
        contender,
        tuple(seeds),
        start + np.arange(BARS + 1) * np.timedelta64(1, "D"),
        365.0,
        {"equity": equity, "exposure": side, "turnover": side, **money},
        dict.fromkeys(("annual_return", "max_drawdown", "turnover"), growth),
        {**stress, "growth_a_bar_late": growth},
        None if contender == "buy_and_hold" else curve,
        10,
        1.0,
        {"config": contender, "data": job.data(dataset).fingerprint, "job": f"{contender} {dataset} {fold} {seeds}"},
    )


def rows(*without):
    """All rows of the suite but those of (contender, dataset, fold, first seed)."""
    return [
        row(one.contender, one.dataset, one.fold, one.seeds)
        for one in job.jobs_of(SUITE)
        if (one.contender, one.dataset, one.fold, one.seeds[0]) not in without
    ]


def results(of, tmp_path):
    return report.results(SUITE, of, Ledger(tmp_path / "ledger.jsonl"))


def test_seeds_in_blocks_count_as_seeds_in_one(tmp_path):
    whole = replace(SUITE, block=3)
    alike = [row(one.contender, one.dataset, one.fold, one.seeds) for one in job.jobs_of(whole)]
    cut, one = results(rows(), tmp_path), report.results(whole, alike, Ledger(tmp_path / "ledger.jsonl"))
    for name in ("DQN", "A2C"):
        assert cut["contenders"][name]["rows"] == 8
        for key in ("sharpe", "agreement", "stress", "less_benchmark", "annual_return"):
            assert cut["contenders"][name][key] == one["contenders"][name][key]


def test_agreement_is_that_of_all_seeds_of_a_bar():
    sides = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    blocks = [row("DQN", "one", 0, seeds) for seeds in ((0, 1), (2,))]
    made = [replace(block, curves={**block.curves, "exposure": sides[list(block.seeds)]}) for block in blocks]
    assert analysis.agreement(made) == pytest.approx(2 / 3)  # two of three on each bar
    assert math.isnan(analysis.agreement(made[1:]))


def test_a_block_of_seeds_is_no_fold_of_an_account():
    blocks = [row("DQN", "one", fold, seeds) for fold in (1, 0) for seeds in ((2,), (0, 1))]
    account = account_of(blocks)
    assert account.equity.shape == (3, 2 * BARS + 1)
    first, second = (np.concatenate([one.returns for one in blocks[i : i + 2][::-1]]) for i in (2, 0))
    expected = np.prod(1.0 + np.concatenate([first, second], axis=1), axis=1)
    np.testing.assert_allclose(account.equity[:, -1] / account.equity[:, 0], expected)
    assert (np.diff(account.time) > np.timedelta64(0)).all()
    paid = np.concatenate([blocks[1].curves["commission"], blocks[0].curves["commission"]]) / 1e4  # of fold 1
    np.testing.assert_allclose(account.commission[:, BARS], paid[:, 0] * account.equity[:, BARS])


def test_a_row_of_all_blocks_has_their_seeds_in_order():
    (found,) = merged([row("DQN", "one", 0, (2,)), row("DQN", "one", 0, (0, 1))])
    assert found.seeds == (0, 1, 2)
    assert found.stress["growth_at_costs"].shape == (2, 3)
    assert found.stress["costs"].tolist() == [0.0, 0.1]
    assert found.learning["scores"].shape == (2, 3)
    assert (found.seconds, found.learning["seconds"].tolist()) == (2.0, [2.0, 2.0])


# -- what is missing --------------------------------------------------------------------------------------------


def test_contenders_are_compared_on_folds_that_all_have_finished_with_a_note_on_the_rest(tmp_path):
    less = rows(("DQN", "one", 1, 0), ("A2C", "two", 0, 2))  # a block each
    found = results(less, tmp_path)
    assert found["missing"] == "2 of 4 folds are compared; not finished: DQN on 1, A2C on 1"
    common = [one for one in less if (one.dataset, one.fold) in (("one", 0), ("two", 1))]
    assert found["contenders"].keys() == {"buy_and_hold", "DQN", "A2C"}
    expected = results(common, tmp_path)
    for name, one in found["contenders"].items():
        for key in ("sharpe", "stress"):
            assert one[key] == expected["contenders"][name][key]
    assert found["superior"] == expected["superior"]
    assert [one["rows"] for one in found["contenders"].values()] == [4, 7, 7]
    assert report.warnings(found)[0] == f"{found['missing']}."


def test_a_contender_without_a_finished_fold_is_left_out_and_costs_the_others_nothing(tmp_path):
    less = [one for one in rows() if one.contender != "DQN" or one.seeds == (2,)]
    found = finished(SUITE, less)
    assert found.missing == "4 of 4 folds are compared; left out: DQN"
    assert {one.contender for one in found.rows} == {"buy_and_hold", "A2C"}
    assert len(found.rows) == 12
    assert "DQN" not in results(less, tmp_path)["contenders"]


def test_without_a_common_fold_the_contenders_with_the_fewest_are_left_out():
    less = [one for one in rows() if one.contender == "buy_and_hold" or (one.contender == "DQN") == (one.fold == 0)]
    found = finished(SUITE, less)
    assert found.missing == "2 of 4 folds are compared; not finished: DQN on 2; left out: A2C"
    assert {(one.contender, one.fold) for one in found.rows} == {("buy_and_hold", 0), ("DQN", 0)}


def test_blocks_alone_are_no_result_yet(tmp_path, capsys):
    found = results([row("DQN", "one", 0, (0, 1))], tmp_path)
    assert found["contenders"] == {}
    report.show(found)
    assert "No row can be compared with buy_and_hold yet." in capsys.readouterr().out


def test_retrained_curves_are_of_folds_that_all_have_finished_at_every_cost(tmp_path):
    every = {cost: [row(*_of(one), seed=i) for one in ones] for i, (cost, ones) in enumerate(_at_costs())}
    last = max(every)
    cut = {**every, last: [one for one in every[last] if (one.contender, one.fold) != ("A2C", 1)]}
    found = retrained.retrained_curves(SUITE, cut)
    assert found["growth_per_year"].keys() == {"buy_and_hold", "DQN", "A2C"}
    for name, growth in found["growth_per_year"].items():
        for value, ones in zip(growth, every.values(), strict=True):
            mine = [one for one in ones if (one.contender, one.fold) == (name, 0)]
            folds = [np.concatenate([one.log_returns for one in mine if one.dataset == data]) for data in SUITE.data]
            assert value == pytest.approx(365.0 * np.mean([fold.mean() for fold in folds]))
    assert found["missing"] == "at 50 bps, 2 of 4 folds are compared; not finished: A2C on 2"
    told = report.results(
        SUITE, rows(), Ledger(tmp_path / "l"), {"retrained": {**found, "of": retrained.identity(SUITE)}}
    )
    assert f"Trained at each cost: {found['missing']}." in report.warnings(told)


def _at_costs():
    return retrained.jobs_at_costs(SUITE).items()


def _of(one):
    return one.contender, one.dataset, one.fold, one.seeds


# -- attempts ---------------------------------------------------------------------------------------------------


def test_a_lost_ledger_makes_no_fewer_attempts_than_there_are_rows_and_says_so(tmp_path):
    found = results(rows(), tmp_path)
    assert found["trials"]["count"] == found["trials_not_in_ledger"] == 3
    assert found["trials"]["variance"] > 0.0
    assert "WARNING: 3 of the configurations of these rows are not in the ledger" in report.warnings(found)[0]
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for one in rows():
        if one.contender == "A2C":
            continue
        line = {key: one.facts[key] for key in ("config", "data", "job")}
        ledger.append(event=OPENED, **line)
        ledger.append(event=SCORED, sharpe_per_bar=analysis.mean_ratio(one.returns), **line)
    ledger.append(event=TRIED, config="tuned", data=job.data("one").fingerprint)
    again = results(rows(), tmp_path)
    assert again["trials"] == {"count": 4, "variance": pytest.approx(found["trials"]["variance"])}
    assert again["trials_not_in_ledger"] == 1


def test_a_test_at_another_cost_is_in_the_ledger_and_no_attempt(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for counted in ({}, {"counted": False}):
        ledger.append(event=SCORED, config=f"{counted}", data="x", sharpe_per_bar=1.0, **counted)
    assert len(ledger.lines()) == 2
    assert ledger.trials(["x"]) == (1, 0.0)
    ledger.append(event=SCORED, config=f"{counted}", data="x", sharpe_per_bar=0.0)  # tested for itself, too
    assert ledger.trials(["x"]) == (2, 0.5)
    assert not any(one.counted for _, ones in _at_costs() for one in ones)


# -- bounds, and nothing to compare -----------------------------------------------------------------------------


@pytest.mark.parametrize("env", [{"actions": "continuous"}, {"costs": {"minimum": 1.0}}, {"lot_size": 1.0}])
def test_an_env_without_a_hindsight_bound_leaves_that_number_empty(env, tmp_path):
    with pytest.raises(ValueError, match="hindsight needs"):
        hindsight(job.data("one"), **{**SUITE.env, **env})
    suite = replace(SUITE, env={**SUITE.env, **env})
    assert analysis.hindsight_of(suite, rows()) is None
    found = report.results(suite, rows(), Ledger(tmp_path / "ledger.jsonl"))
    report.show(found)
    assert found["hindsight"] is None
    assert analysis.hindsight_of(SUITE, rows()) is not None


def test_rows_like_the_benchmark_have_a_table_and_a_sentence(tmp_path, capsys):
    held = [one for one in rows() if one.contender == "buy_and_hold"]
    suite = replace(SUITE, contenders=(SUITE.contenders[0], Contender(strategy="flat")))
    found = report.results(suite, [*held, *(replace(one, contender="flat") for one in held)], Ledger(tmp_path / "l"))
    assert found["shown_from"] == {}
    report.show(found)
    assert "No row is shown to have a higher Sharpe ratio than buy_and_hold." in capsys.readouterr().out
