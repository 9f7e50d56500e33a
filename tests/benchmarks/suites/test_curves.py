import json
from dataclasses import asdict
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.env_util import make_vec_env

from agents.a2c import A2C
from agents.dqn import DQN
from agents.ppo import PPO
from benchmarks.__main__ import main
from benchmarks.contenders import sb3, training
from benchmarks.contenders.sb3_options import for_sb3
from benchmarks.contenders.training import Marking
from benchmarks.evaluation.world_scores import world_returns, world_scores
from benchmarks.reports.curves import print_curves
from benchmarks.study.learning_curves import Curve
from benchmarks.suites import curves
from benchmarks.suites.curves import CurveSettings
from benchmarks.tasks.worlds import WORLDS, recipe_of


def run(tmp_path, *options):
    where = ["--folder", str(tmp_path), "--figure", str(tmp_path / "curves.png"), "--no-progress"]
    return main(["curves", "--quick", "--algorithms", "PPO", "--envs", "regime", *options, *where])


def test_a_quick_run_draws_prints_and_keeps_its_curves(tmp_path, capsys, monkeypatch):
    assert run(tmp_path) == 0
    text = capsys.readouterr().out
    assert text.count("PPO") == 2
    assert "Stable-Baselines3" in text
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    kept = [json.loads((tmp_path / "regime" / f"PPO-{side}.json").read_text()) for side in curves.SIDES]
    ours, theirs = (one["curve"] for one in kept)
    assert kept[0]["setting"] == kept[1]["setting"]
    assert ours["steps"] == theirs["steps"]
    assert ours["steps"][0] == ours["seconds"][0] == theirs["seconds"][0] == 0
    for curve in (ours, theirs):
        assert np.shape(curve["scores"]) == (2, 4)  # 3 evaluations, and that of the untrained agent
        assert (np.diff(curve["seconds"]) > 0).all()

    def never(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(curves, "train", never)
    assert run(tmp_path) == 0
    assert capsys.readouterr().out == text
    with pytest.raises(AssertionError, match="trained again"):
        run(tmp_path, "--seeds", "3")


def test_the_table_is_printed_whole(capsys):
    scores = np.full((10, 2), -0.005)
    names = [("CartPole-v1", "DQN"), ("regime", "A2C")]
    steps = np.array([0.0, 123_456.0])
    print_curves({(*name, side): Curve(steps, steps, scores, 2) for name in names for side in curves.SIDES})
    text = capsys.readouterr().out
    assert "algorithm" in text
    assert "123,456.0" in text
    assert "…" not in text  # nothing is cut off


def test_the_optimal_policy_scores_1_on_the_regime_market():
    world = WORLDS["regime"]
    best = gym.make(world.env_id, **world.keywords).unwrapped.optimal_policy()
    assert world_scores(best, world, 3, 1) == [1.0]
    flat = SimpleNamespace(predict=lambda obs, **_: (np.zeros(len(obs), np.int64), None))
    assert world_scores(flat, world, 3, 1) == [0.0]


def test_seeds_evaluated_together_play_the_episodes_that_each_plays_alone():
    agent = PPO("CartPole-v1", seeds=[4, 5], n_steps=8, batch_size=8, net_arch=(8,))
    found = world_returns(agent, WORLDS["CartPole-v1"], 4, 2)
    assert found.shape == (2, 4)
    for s in range(2):
        assert (found[s] == world_returns(agent[s], WORLDS["CartPole-v1"], 4, 1)[0]).all()
    assert (found >= 8.0).all()
    right = SimpleNamespace(predict=lambda obs, **_: (np.ones(obs.shape[:-1], np.int64), None))
    same = world_returns(right, WORLDS["CartPole-v1"], 6, 2)
    assert (same[0] == same[1]).all()
    assert len(set(same[0])) > 1


@pytest.mark.parametrize("kind", [DQN, A2C, PPO])
@pytest.mark.parametrize("env", ["CartPole-v1", "regime"])
def test_both_sides_get_the_same_hyperparameters(kind, env):
    name = kind.__name__
    recipe = recipe_of(env, name)
    options = for_sb3(name, recipe.hyperparameters)
    envs = make_vec_env(WORLDS[env].spec().make, recipe.n_envs)
    model = sb3.algorithm_class(name)("MlpPolicy", envs, device="cpu", **options)
    ours = kind(WORLDS[env].spec(), n_envs=recipe.n_envs, **recipe.hyperparameters)
    for field in ("gamma", "n_steps", "batch_size", "n_epochs", "ent_coef", "vf_coef", "gae_lambda", "buffer_size"):
        if hasattr(ours.config, field):
            assert getattr(model, field) == getattr(ours.config, field)
    for remaining in (1.0, 0.25):
        assert model.lr_schedule(remaining) == pytest.approx(ours._learning_rate(remaining))
        if name == "PPO":
            assert model.clip_range(remaining) == pytest.approx(ours._clip_range(remaining))
    optimizer = model.policy.optimizer
    assert optimizer.defaults["eps"] == ours.optimizer.eps
    assert type(optimizer).__name__ == type(ours.optimizer).__name__
    net = ours.q_net if name == "DQN" else ours.net
    count = sum(parameter.numel() for parameter in (model.q_net if name == "DQN" else model.policy).parameters())
    assert count == net.flat.numel()


def test_marks_stop_the_clock_and_come_when_due(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(training.time, "perf_counter", lambda: now[0])

    def judge(model):
        now[0] += 100.0
        return model.num_timesteps / 10.0

    marking, model = Marking(judge, 4, 10), SimpleNamespace(num_timesteps=0)
    marking.mark(model)
    for _ in range(5):
        now[0] += 1.0
        model.num_timesteps += 2
        marking.tick(model)
    marking.mark(model)
    assert marking.marks == [(0, 0.0, 0.0), (4, 2.0, 0.4), (8, 4.0, 0.8), (10, 5.0, 1.0)]


def test_a_curve_says_from_where_on_its_middle_is_beyond_a_threshold():
    scores = np.array([[0.0, 1.0, 5.0], [0.0, 2.0, 6.0], [0.0, 3.0, 7.0], [0.0, 100.0, -100.0]])
    curve = Curve(np.array([0.0, 10.0, 20.0]), np.array([0.0, 1.0, 3.0]), scores, 2)
    assert curve.middle().tolist() == [0.0, 2.5, 5.5]
    back = Curve(curve.steps, curve.seconds, scores[:, [2, 0, 1]], 2)
    assert back.reached(2.0) == (20.0, 3.0)  # not where it was at first, by luck
    assert back.reached(0.0) == (0.0, 0.0)
    assert back.reached(3.0) is None
    assert curve.reached(2.5) == (10.0, 1.0)
    assert curve.reached(5.0) == (20.0, 3.0)
    assert curve.reached(6.0) is None
    low, high = curve.interval()
    assert (low[0], high[0]) == (0.0, 0.0)
    assert low[1] < 2.5 < high[1]


def test_bad_settings_are_named():
    for field, value in {"seeds": 0, "points": 0, "episodes": 0, "budget_scale": 0.0}.items():
        with pytest.raises(ValueError, match=field):
            CurveSettings(**{field: value})
    with pytest.raises(ValueError, match="shared_network"):
        for_sb3("A2C", asdict(A2C.Config(shared_network=True)))
