import contextlib
import io
import json
import sys
import types

import gymnasium as gym
import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.speed import agents as speed_agents
from benchmarks.speed import bound as speed_bound
from benchmarks.speed import cores as speed_cores
from benchmarks.speed import envs as speed_env
from benchmarks.speed import lstm as speed_lstm
from benchmarks.speed import sb3 as speed_sb3
from benchmarks.speed import start as speed_start


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """What a quick run prints and writes."""
    folder, printed = tmp_path_factory.mktemp("results"), io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["speed", "--quick", "--no-progress", "--folder", str(folder)]) == 0
    return printed.getvalue(), json.loads((folder / "speed" / "speed.json").read_text())


def test_every_part_reports_its_rates_and_ratios(quick):
    text, results = quick
    own = ["start", "env", "portfolio", "scale", "agents", "bound", "cores", "lstm", "sb3"]
    assert list(results["parts"]) == own  # the rivals must be named
    assert results["quick"] is True
    modules = {"env": speed_env, "agents": speed_agents, "cores": speed_cores, "lstm": speed_lstm, "sb3": speed_sb3}
    for part, module in modules.items():
        found = {item["name"]: item for item in results["parts"][part]["measured"]}
        assert list(found)[: len(module.GOALS)] == [goal.name for goal in module.GOALS]
        rates = results["parts"][part]["rates"]
        for goal in module.GOALS:
            if goal.contender in rates and goal.peer in rates:
                assert found[goal.name]["value"] > 0
                assert goal.name in text
    fractions = {item["name"]: item["value"] for item in results["parts"]["bound"]["measured"]}
    assert list(fractions) == [goal.name for goal in speed_bound.GOALS]
    assert all(0.0 < fraction < 1.5 for fraction in fractions.values())
    assert all(row in text for row in speed_bound.ROWS)
    assert "products/s" in text
    assert [item["unit"] for item in results["parts"]["start"]["measured"]] == ["s", "s", "s"]
    assert ">= 20 x" in text
    assert "<= 0.3 s" in text


def test_every_goal_is_measured(quick):
    goals = {item["name"]: item["goal"] for part in quick[1]["parts"].values() for item in part["measured"]}
    assert goals["1024 envs against copying their observations"] == 0.35
    assert goals["1024 envs against Gymnasium's native CartPole"] == 1.3
    assert goals["1024 envs, compact, against that CartPole"] == 2.0
    assert goals["1024 envs on many bars against few"] == 0.8
    assert goals["many bars from Parquet with default features"] == 15.0
    assert goals["peak memory of that"] == 2.5
    assert goals["first gym.make, reset and step, nothing compiled yet"] == 15.0
    for name, least in {"DQN": (3.0, 20.0), "A2C": (2.0, 12.0), "PPO": (2.0, 10.0)}.items():
        assert (
            goals[f"{name}, 1 seed, against SB3's {name}"],
            goals[f"{name}, 16 seeds, against SB3's {name}"],
        ) == least
    assert goals["DQN, 64 seeds, against SB3's DQN"] == 25.0
    for name in ("DQN", "A2C", "PPO"):
        assert goals[f"{name} x 16, 2 processes against 1"] == 1.8
    assert goals["a study of 16 seeds of DQN, against SB3 on all cores"] == 8.0
    assert goals["A2C with an LSTM, 16 seeds, against RecurrentPPO"] == 4.0
    assert goals["LSTM forecaster, 1 seed, against torch.nn.LSTM"] == 0.77
    assert goals["import trading_env"] == 0.3
    assert goals["first gym.make, reset and step"] == 1.0


def test_peers_that_are_not_installed_are_named_and_left_out(monkeypatch):
    monkeypatch.setattr(speed_env.importlib.util, "find_spec", lambda module: None)
    part = speed_env.measure(True, lambda: None)
    assert "gym-anytrading is not installed (pip install gym-anytrading): not compared with it" in part.remarks
    assert not any("anytrading" in name for name in part.rates)
    assert {item.name for item in part.measured if np.isnan(item.value)} == {
        goal.name for goal in speed_env.GOALS if "rading, " in goal.peer or "Env, " in goal.peer
    }


@pytest.mark.parametrize(
    ("peer", "env_id"), [("gym-anytrading", "same-window-stocks-v0"), ("Gym-Trading-Env", "TradingEnv")]
)
def test_a_peer_is_made_on_the_same_prices(monkeypatch, peer, env_id):
    seen = {}
    module = speed_env.PEERS[peer]
    monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
    envs = types.SimpleNamespace(StocksEnv=gym.Env)
    monkeypatch.setitem(sys.modules, f"{module}.envs", envs)
    monkeypatch.setattr(gym, "make", lambda name, **keywords: seen.update(name=name, **keywords))
    speed_env.peer_env(peer)
    assert seen["name"] == env_id
    assert 30 in (seen.get("window_size"), seen.get("windows"))
    closes = seen["df"].rename(columns=str.lower)["close"]
    np.testing.assert_array_equal(closes, speed_env.prices()["close"])
    assert "TradingEnv-v0" in gym.registry


def test_single_envs_are_compared_without_the_wrappers_of_gym_make_which_differ_from_env_to_env():
    compared = {name for goal in speed_env.GOALS for name in (goal.contender, goal.peer) if " x " not in name}
    assert compared == {"TradingEnv, raw", "CartPole, raw", "gym-anytrading, raw", "Gym-Trading-Env, raw"}


def test_the_measured_env_is_the_one_described():
    envs = gym.make_vec(speed_env.ENV_ID, 2, **speed_env.keywords())
    assert envs.single_observation_space.shape == (30 * 5 + 4,)
    assert len(envs.unwrapped.task.markets[0]) == 2500
    obs, _ = envs.reset(seed=0)
    assert speed_env.copy_block(obs)() == speed_env.vector_block(envs)() == 2 * speed_env.BLOCK


def test_a_failing_process_is_an_error():
    with pytest.raises(Exception, match="returned non-zero exit status"):
        speed_start.in_fresh_process("raise SystemExit(1)")
