"""Certificates at other parameters: a row per point, and the worst seed decides."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

from agents.a2c import A2C
from benchmarks.reports import certify as certify_report
from benchmarks.study.certified import Certificate, optimal_rewards, path_rewards
from benchmarks.study.certify_settings import FAMILY_SETTINGS, CertifySettings, chosen, parse
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


def test_the_points_are_those_of_the_goal():
    names = {*families.POINTS}
    for stay in ("0.9", "0.95", "0.98"):
        for costs in ("x1", "x4"):
            for noise in ("no noise", "noise 0.01"):
                assert f"regime, stay {stay}, costs {costs}, {noise}" in names
    assert {f"moody-saffell, cost {cost}" for cost in ("0", "0.001", "0.003", "0.005")} <= names


@pytest.mark.parametrize("point", ["regime, stay 0.98, costs x4, noise 0.01", "moody-saffell, cost 0.003"])
def test_the_optimal_policy_earns_the_optimum_on_fresh_paths(point):
    world = PROBLEMS[point]
    rewards = optimal_rewards(point)
    assert len(rewards) == world.n_paths >= 20
    optimum = gym.make(world.env_id, **world.keywords).unwrapped.optimum()
    assert abs(rewards.mean() - optimum) < 4 * rewards.std(ddof=1) / np.sqrt(len(rewards))


def test_paths_of_different_markets_are_different_paths_and_the_same_for_every_seed():
    world = PROBLEMS["regime, stay 0.95, costs x1, noise 0.01"]
    assert len(set(np.round(optimal_rewards("regime, stay 0.95, costs x1, noise 0.01"), 12))) == world.n_paths
    agent = A2C(world.spec(), seeds=[4, 5], net_arch=(8,), device="cpu")
    few = replace(world, market_seeds=world.market_seeds[:3])
    together, alone = path_rewards(agent, few, 2), path_rewards(agent[1], few, 1)
    np.testing.assert_allclose(together[1], alone[0], atol=1e-12)


def test_training_never_sees_a_market_of_the_test():
    for name, world in families.POINTS.items():
        seed = world.spec().kwargs.get("market_seed", 0)
        assert world.market_seeds is None or seed not in world.market_seeds, name


def certificate(*levels):
    key = "moody-saffell, cost 0.003"
    rewards = np.ones((1, len(levels), 100)) * np.array(levels)[:, None]
    return Certificate(Entry(key, "DQN", "ours", 30, goal=0.9), np.zeros(1), np.zeros(1), rewards, np.ones(100))


def test_the_worst_seed_decides_at_a_point_and_stands_beside_the_mean():
    bad, good = certificate(1.0, 1.0, 1.0, 0.5), certificate(1.0, 1.0, 0.95, 0.91)
    assert (bad.worst, bad.met) == (0.5, False)
    assert (round(good.worst, 9), good.met) == (0.91, True)
    assert "50.0%" in certify_report.cells(bad)
    page = certify_report.page([bad, good], [], CertifySettings(**FAMILY_SETTINGS, family=True))
    assert "| DQN: cost 0.003 |" in page
    assert "worst seed" in page
    assert "certify --family" in page


def test_the_options_choose_families():
    settings = parse(["--family", "--problems", "regime", "--agents", "A2C"], "certify")
    assert len(list(chosen(settings))) == 12
    assert settings.table_path.name == "certify-family.md"
    assert parse(["--family", "--docs"], "certify").table_path.as_posix() == "docs/certify-family.md"
    assert not any(PROBLEMS[name].family for name in CertifySettings().problems)
    with pytest.raises(ValueError, match="problems must be of"):
        CertifySettings(**{**FAMILY_SETTINGS, "problems": ("null",), "family": True})
    quick = list(chosen(parse(["--family", "--quick"], "certify")))
    assert {entry.total_timesteps for entry in quick} <= {*QUICK.values()}


def test_a_family_is_trained_kept_and_reported(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(families, "POINTS", dict(list(families.POINTS.items())[:2]))
    where = ["--folder", str(tmp_path), "--no-progress"]
    certify.main(["--family", "--quick", "--problems", "regime", "--agents", "REINFORCE", *where])
    page = (tmp_path / "certify-family.md").read_text()
    assert "REINFORCE: stay 0.9, costs x1, no noise" in page
    assert (tmp_path / "regime-stay-0.9-costs-x1-no-noise" / "reinforce.json").exists()
    assert "worst seed" in capsys.readouterr().out
