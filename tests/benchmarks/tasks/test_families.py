"""Certificates at other parameters: a row per point, and the worst seed decides."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

from agents.a2c import A2C
from benchmarks.reports import certify as certify_report
from benchmarks.study.certificates.certified import Certificate, optimal_rewards, path_rewards
from benchmarks.study.certificates.settings import FAMILY_SETTINGS, CertifySettings, chosen, parse
from benchmarks.suites import certify
from benchmarks.tasks import families
from benchmarks.tasks.entries import ENTRIES, QUICK
from benchmarks.tasks.problems import PROBLEMS, Entry


def test_every_point_has_the_same_hyperparameters_and_budget_as_the_others():
    for family in families.FAMILIES:
        found = list(families.entries_of(family, ENTRIES))
        assert {entry.name for entry in found} == {*families.TRAINED_ON[family]}
        for name in families.TRAINED_ON[family]:
            ours = [entry for entry in found if entry.name == name]
            assert len({entry.problem for entry in ours}) == len(ours) >= 4
            base = next(e for e in ENTRIES if (e.problem, e.name) == (family, name))
            assert all(replace(one, problem=family, goal=base.goal) == base for one in ours)


def test_five_to_ten_points_of_each_problem_are_drawn_within_their_ranges():
    for family, count in families.POINTS_OF.items():
        assert 5 <= count <= 10
        mine = [problem for problem in families.POINTS.values() if problem.family == family]
        assert len(mine) == count
        for problem in mine:
            if family == "regime":
                assert 0.9 <= problem.keywords["stay"] <= 0.98
                assert 0.0 <= problem.keywords["sigma"] <= 0.01
                assert 5e-4 <= problem.keywords["costs"]["commission"] <= 2e-3
            else:
                assert 0.0 <= problem.keywords["cost"] <= 5.0
    assert [problem.point for problem in families.drawn()] == [one.point for one in families.POINTS.values()]
    assert {one.point for one in families.drawn(1)}.isdisjoint({one.point for one in families.drawn(2)})


def test_each_point_has_paths_of_its_own():
    seen = [seed for one in families.POINTS.values() for seed in one.market_seeds or one.noise_seeds]
    others = [PROBLEMS[family] for family in families.FAMILIES]
    assert len(set(seen)) == len(seen)
    assert not set(seen) & {seed for one in others for seed in one.market_seeds or one.noise_seeds}


REGIME, TREND = (next(name for name in families.POINTS if name.startswith(f)) for f in families.FAMILIES)


@pytest.mark.parametrize("point", [REGIME, TREND])
def test_the_optimal_policy_earns_the_optimum_on_fresh_paths(point):
    world = PROBLEMS[point]
    rewards = optimal_rewards(point)
    assert len(rewards) == world.n_paths >= 20
    optimum = gym.make(world.env_id, **world.keywords).unwrapped.optimum()
    assert abs(rewards.mean() - optimum) < 4 * rewards.std(ddof=1) / np.sqrt(len(rewards))


def test_paths_of_different_markets_are_different_paths_and_the_same_for_every_seed():
    world = PROBLEMS[REGIME]
    assert len(set(np.round(optimal_rewards(REGIME), 12))) == world.n_paths
    agent = A2C(world.spec(), seeds=[4, 5], net_arch=(8,), device="cpu")
    few = replace(world, market_seeds=world.market_seeds[:3])
    together, alone = path_rewards(agent, few, 2), path_rewards(agent[1], few, 1)
    np.testing.assert_allclose(together[1], alone[0], atol=1e-12)


def test_training_never_sees_a_market_of_the_test():
    for name, world in families.POINTS.items():
        seed = world.spec().kwargs.get("market_seed", 0)
        assert world.market_seeds is None or seed not in world.market_seeds, name


def certificate(*levels, key=TREND):
    rewards = np.ones((1, len(levels), 100)) * np.array(levels)[:, None]
    return Certificate(Entry(key, "DQN", "ours", 30, goal=0.9), np.zeros(1), np.zeros(1), rewards, np.ones(100))


def test_the_lower_end_decides_at_a_point_and_the_failures_stand_beside_it():
    bad, good = certificate(1.0, 1.0, 1.0, 0.5), certificate(1.0, 1.0, 0.95, 0.99)
    assert (bad.worst, bad.failures, bad.met) == (0.5, 1, False)
    assert (round(good.worst, 9), good.failures, good.met) == (0.95, 0, True)
    assert {"50.0%", "1 of 4, 1 to 81%"} <= {*certify_report.cells(bad)}


def test_an_agent_is_summed_up_over_its_points():
    other = [name for name in families.POINTS if name.startswith("moody")][1]
    found = [certificate(1.0, 1.0, 0.99, 0.97), certificate(1.0, 0.95, 0.5, 0.9, key=other)]
    [table] = certify_report.family_tables(found)
    cost = PROBLEMS[other].point
    assert table.rows == [["DQN", "2", "91.4%", "83.8%", cost, "50.0%", "1 of 8, 0 to 53%", "1 of 2"]]
    page = certify_report.page(found, [], CertifySettings(**FAMILY_SETTINGS, family=True))
    assert f"| DQN: {cost} |" in page
    assert "agents over all points" in page
    assert "drawn at random after" in page
    assert "certify --family" in page


def test_the_options_choose_families():
    settings = parse(["--family", "--problems", "regime", "--agents", "A2C"], "certify")
    assert len(list(chosen(settings))) == 8
    assert settings.table_path.name == "certify-family.md"
    assert parse(["--family", "--docs"], "certify").table_path.as_posix() == "docs/certify-family.md"
    assert not any(PROBLEMS[name].family for name in CertifySettings().problems)
    with pytest.raises(ValueError, match="problems must be of"):
        CertifySettings(**{**FAMILY_SETTINGS, "problems": ("null",), "family": True})
    quick = list(chosen(parse(["--family", "--quick"], "certify")))
    assert {entry.total_timesteps for entry in quick} <= {*QUICK.values()}


def test_a_family_is_trained_kept_and_reported(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(families, "POINTS", dict(list(families.POINTS.items())[:2]))
    where = ["--folder", str(tmp_path), "--processes", "0"]
    line = ["--family", "--quick", "--problems", "regime", "--agents", "REINFORCE", *where]
    assert certify.main(line) == 0
    page = (tmp_path / "certify-family.md").read_text()
    assert f"REINFORCE: {PROBLEMS[REGIME].point}" in page
    assert len(list((tmp_path / "rows").glob("*.npz"))) == 2
    printed = capsys.readouterr()
    assert "worst seed" in printed.out
    assert "2/2 done: REINFORCE on regime" in printed.err
    assert certify.main(line) == 0
    assert "2/2 kept" in capsys.readouterr().err
