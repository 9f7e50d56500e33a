from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.dqn import DQN
from agents.ppo import PPO
from benchmarks.__main__ import main
from benchmarks.contenders.ours import agent_class
from benchmarks.reports import certify as certify_report
from benchmarks.statistics.certified_score import score_estimate
from benchmarks.study import provenance
from benchmarks.study import results as kept_results
from benchmarks.study.certificates import certified
from benchmarks.study.certificates import job as certify_job
from benchmarks.study.certificates.certified import AboveOptimumError, Certificate, optimal_rewards, path_rewards
from benchmarks.study.certificates.settings import CertifySettings, chosen, parse
from benchmarks.suites import curves
from benchmarks.tasks import entries
from benchmarks.tasks.problems import PROBLEMS, Entry


@pytest.mark.parametrize(
    "problem", ["regime", "ritter", "cfm-quadratic", "moody-saffell", "kelly", "garleanu-pedersen"]
)
def test_the_optimal_policy_earns_the_optimum_within_the_noise_of_its_paths(problem):
    import gymnasium as gym

    world = PROBLEMS[problem]
    env = gym.make(world.env_id, **{**world.keywords, **world.testing}).unwrapped
    rewards = optimal_rewards(problem)
    error = rewards.std(ddof=1) / np.sqrt(len(rewards))
    assert abs(rewards.mean() - env.optimum()) < 4 * error


def test_other_keywords_of_the_env_are_other_paths_of_the_optimal_policy_too():
    one, twenty = (optimal_rewards("moody-saffell", window=window) for window in (1, 20))
    assert np.array_equal(one, optimal_rewards("moody-saffell"))
    assert not np.allclose(one, twenty)
    np.testing.assert_array_equal(optimal_rewards("ritter"), optimal_rewards("ritter", observation="box"))


def test_the_published_paths_give_the_nine_trades_their_score():
    assert optimal_rewards("cfm-linear").mean() * 4998 == pytest.approx(1257, abs=1.0)
    np.testing.assert_allclose(entries.PUBLISHED_DDPG * 4998, 1242.03)


def test_seeds_tested_together_earn_what_each_earns_alone():
    agent = PPO(PROBLEMS["regime"].spec(), seeds=[4, 5], n_steps=8, batch_size=8, net_arch=(8,))
    together = path_rewards(agent, PROBLEMS["regime"], 2)
    alone = path_rewards(agent[1], PROBLEMS["regime"], 1)
    assert together.shape == (2, 20)
    np.testing.assert_allclose(together[1], alone[0], atol=1e-12)


def test_training_and_test_have_other_paths():
    for name, world in PROBLEMS.items():
        assert world.noise_seeds is not None or world.market_seeds is not None, name
    for name in ("regime", "drift", "null"):
        assert PROBLEMS[name].spec().kwargs.get("market_seed", 0) not in PROBLEMS[name].market_seeds
        assert len({*PROBLEMS[name].market_seeds}) == 20  # an independent path each


def certificate(rewards, problem="regime", **changes):
    optimal = np.ones(4) if not PROBLEMS[problem].optimum_is_zero else np.zeros(4)
    entry = Entry(problem, "DQN", "ours", 30, **changes)
    return Certificate(entry, np.array([0.0, 10.0, 20.0, 30.0]), np.arange(4.0), np.asarray(rewards), optimal)


def of_levels(*levels):
    return np.ones((len(levels), 3, 4)) * np.array(levels)[:, None, None]


def test_an_interval_above_the_optimum_fails_loudly():
    certified.check([certificate(of_levels(0.0, 0.5, 0.9, 1.0)), certificate(of_levels(0, 0, 0, 0), "null")])
    with pytest.raises(AboveOptimumError, match=r"DQN on regime: the whole interval, from 1\.01"):
        certified.check([certificate(of_levels(0.0, 0.5, 0.9, 1.01))])
    with pytest.raises(AboveOptimumError, match="DQN on null"):
        certified.check([certificate(of_levels(0, 0, 0, 1e-5), "null")])


def test_the_budget_is_counted_to_where_the_score_stays_above():
    assert certificate(of_levels(0.96, 0.5, 0.96, 0.97)).budget_to(0.95) == 20.0
    assert certificate(of_levels(0.0, 0.5, 0.96, 0.9)).budget_to(0.95) is None
    assert certificate(of_levels(0.96, 0.96, 0.96, 1.0)).budget_to(0.95) == 0.0


def test_goals_are_scores_or_rewards():
    assert certificate(of_levels(0, 0, 0, 0.9), goal=0.9).met is True
    assert certificate(of_levels(0, 0, 0, 0.89), goal=0.9).met is False
    assert certificate(of_levels(0, 0, 0, 0.89), goal_reward=0.89).met is True
    assert certificate(of_levels(0, 0, 0, 0.89)).met is None
    assert certificate(of_levels(0, 0, 0, -1.0), "null").met is True


def test_the_lower_end_of_the_interval_decides_and_the_words_say_so():
    rewards = of_levels(0, 0, 0, 1.0) * np.linspace(0.85, 1.1, 3)[:, None]
    found = certificate(rewards, goal=0.9)
    assert found.score > 0.9 > found.interval[0]
    assert found.met is False
    assert certify_report.cells(found)[9:11] == ["at least 90.0%", "NO"]
    below = certificate(of_levels(0, 0, 0, -2e-4), "null")
    assert certify_report.cells(below)[6:11] == ["-2.00 to -2.00", "-2.00", "", "at most 0", "yes"]


def test_what_git_keeps_is_written_where_it_is_asked_for_alone(tmp_path):
    part = parse(["--problems", "regime", "--agents", "PPO"], "certify")
    assert (part.table_path, part.figure_path) == (
        Path("results/certify/certify.md"),
        Path("results/certify/certify.png"),
    )
    asked = parse(["--docs"], "certify")
    assert (asked.table_path, asked.figure_path) == (Path("docs/certify.md"), Path("docs/certify.png"))
    elsewhere = replace(part, folder=tmp_path, table=tmp_path / "x.md")
    assert (elsewhere.table_path, elsewhere.figure_path) == (tmp_path / "x.md", tmp_path / "certify.png")
    assert curves.CurveSettings().figure_path == Path("results/curves/curves.png")
    assert curves.CurveSettings(docs=True).figure_path == Path("docs/curves.png")


def test_a_row_says_what_made_it():
    made = {**provenance.made(), "processor": "a|b [x](y)"}
    later = {**made, "date": "2031-01-01"}
    rows = [replace(certificate(of_levels(0, 0, 0, 0.5)), made=one) for one in ((made,), (made, later), ())]
    page = certify_report.page(rows, [], CertifySettings())
    assert [line.split(" | ")[-1] for line in page.splitlines() if line.startswith("| DQN")] == ["a |", "a, b |", "c |"]
    assert f"Made a: commit {made['commit']}" in page.replace("\\", "")
    assert r"a\|b \[x\](y)" in page
    assert f"Made c: {provenance.UNKNOWN}." in page
    assert {"python", "torch", "numpy"} <= set(made["versions"])
    assert provenance.processor()


def test_every_entry_can_be_built_and_has_a_name_of_its_own():
    names = [(entry.problem, entry.name) for entry in entries.ENTRIES]
    assert len(set(names)) == len(names)
    assert set(entries.QUICK) <= set(names)
    for entry in entries.ENTRIES:
        if entry.side == "sb3":
            assert certify_job.sb3_options(entry)
        elif entry.side == "ours":
            agent_class(entry.agent).Config(**entry.hyperparameters)


def test_an_agent_that_sees_the_future_lies_above_the_optimum():
    class Peeks:
        """Is long before a bar that rises, which it reads from the env."""

        def acting_in(self, envs):
            self.envs = envs.unwrapped
            return self

        def predict(self, obs, state=None, episode_start=None, deterministic=True):
            closes, row = self.envs.task.closes, self.envs._clock[:, 0]
            return (closes[row + 1] > closes[row]).astype(int), state

    rewards = path_rewards(Peeks(), PROBLEMS["regime"], 1)
    low, _ = score_estimate(rewards, optimal_rewards("regime")).interval(0.99)
    with pytest.raises(AboveOptimumError, match="Something knows the future"):
        certified.check_possible("peeks", low, 1.0)


def test_the_quick_form_certifies_and_keeps_what_it_found(tmp_path, capsys, monkeypatch):
    where = ["--folder", str(tmp_path), "--figure", str(tmp_path / "c.png"), "--table", str(tmp_path / "c.md")]
    where += ["--processes", "0"]
    assert main(["certify", "--quick", "--no-progress", *where]) == 0
    page = (tmp_path / "c.md").read_text()
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert "one-bar peek" in page
    settings = parse(["--quick"], "certify")
    jobs = list(certify_job.jobs_of(list(chosen(settings)), settings.seeds, settings.points))
    last = {(one.entry.problem, one.entry.name): one.score for one in certify_job.certificates_of(jobs, tmp_path)}
    for agent in ("A2C", "PPO", "REINFORCE", "TDLambda"):
        assert last["regime", agent] >= 0.99
    assert last["cfm-quadratic", "PPO"] >= 0.95
    assert last["moody-saffell", "CounterfactualDQN, window of 20"] >= 0.85
    capsys.readouterr()

    def never(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(certify_job, "train", never)
    assert main(["certify", "--quick", "--no-progress", "--no-controls", *where]) == 0
    assert "REINFORCE" in capsys.readouterr().out
    more = ["certify", "--quick", "--no-progress", "--no-controls", "--seeds", "3", *where]
    with pytest.raises(SystemExit, match="has no results of these settings"):
        main(more)
    assert "failed: A2C on regime, seeds 100-102; see" in capsys.readouterr().out  # it would be trained again
    with pytest.raises(SystemExit, match="has no results of these settings"):
        main([*more, "--no-train"])
    assert (tmp_path / "c.md").read_text() == page.split("\n## Controls")[0]  # the page of the last run stands
    (tmp_path / "c.png").unlink()
    assert main(["certify", "--quick", "--no-progress", "--no-controls", "--problems", "null", *where]) == 0
    assert "null" in (tmp_path / "c.md").read_text()
    assert "![scores]" not in (tmp_path / "c.md").read_text()
    assert not (tmp_path / "c.png").exists()  # no optimum to divide by, nothing to draw


def test_seeds_are_trained_in_blocks_that_meet_in_one_row(tmp_path, monkeypatch):
    monkeypatch.setattr(certify_job, "BLOCK", 2)
    entry = replace(next(one for one in entries.ENTRIES if one.agent == "A2C"), total_timesteps=400)
    jobs = list(certify_job.jobs_of([entry], 3, 2))
    assert [job.seeds for job in jobs] == [(100, 101), (102,)]
    rows = [job.run(None) for job in jobs]
    found = certify_job.certificate(entry, rows)
    assert found.rewards.shape == (3, 3, 20)
    np.testing.assert_array_equal(found.rewards[:, 2:], rows[1].learning["scores"])
    assert found.seconds[-1] == pytest.approx(sum(row.learning["seconds"][-1] for row in rows))
    assert certify_job.certificates_of(jobs, tmp_path) == []
    rows[0].write(tmp_path / "rows" / f"{jobs[0].id}.npz")
    assert certify_job.certificates_of(jobs, tmp_path) == []  # a certificate has all its seeds
    rows[1].write(tmp_path / "rows" / f"{jobs[1].id}.npz")
    [kept] = certify_job.certificates_of(jobs, tmp_path)
    np.testing.assert_array_equal(kept.rewards, found.rewards)
    assert [one["commit"] for one in kept.made] == [provenance.commit()]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"problems": ("ritters",)}, "problems must be of"),
        ({"agents": ("X",)}, "agents"),
    ],
)
def test_a_wrong_option_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(CertifySettings(), **changes)


def test_sb3_is_certified_in_the_same_way():
    entry = replace(
        next(one for one in entries.ENTRIES if one.side == "sb3" and one.agent == "PPO"), total_timesteps=2_048
    )
    [job] = certify_job.jobs_of([entry], 2, 2)
    found = certify_job.certificate(entry, [job.run(None)])
    assert found.rewards.shape == (3, 2, 20)
    assert found.steps.tolist() == [0.0, 1024.0, 2048.0]


def test_a_dqn_of_one_action_more_is_refused_by_the_paths_of_another_problem():
    agent = DQN(PROBLEMS["ritter"].spec(observation="box"), net_arch=(4,))
    with pytest.raises(ValueError, match="observation must have shape"):
        path_rewards(agent, PROBLEMS["regime"], 1)


@pytest.mark.parametrize("text", ['{"setting": {"ent', "[1, 2]", "{}"])
def test_a_kept_result_that_is_not_whole_is_named(tmp_path, text):
    path = tmp_path / "kept.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"kept\.json is no result of an earlier run, remove it to train anew"):
        kept_results.read_kept(path, ("setting", "steps"))
    kept_results.keep(path, 1, steps=2)
    assert kept_results.kept(path, 1, ["steps"]) == {"setting": 1, "steps": 2}
    assert kept_results.kept(path, 2, ["steps"]) is None
    assert [one.name for one in tmp_path.iterdir()] == ["kept.json"]
