"""Processes of a study end with it, its seconds are those of one clock, and none of them is spent compiling."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents.a2c import A2C
from agents.dqn import DQN
from agents.ppo import PPO
from agents.q_learning import QLearning
from agents.recurrent_dqn import RecurrentDQN
from benchmarks.contenders import ours, sb3
from benchmarks.evaluation.warm_up import warm_up

ROOT = Path(__file__).parents[3]
STUDY = """
from benchmarks.contenders import sb3
if __name__ == "__main__":
    sb3.train("DQN", "CartPole-v1", 3, 10**9, processes=3, progress_bar=False)
"""


def descendants(process):
    """Processes started by it, and by those."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
            found.append((int(entry.name), parent))
    family, before = {process}, 0
    while len(family) > before:
        before = len(family)
        family |= {child for child, parent in found if parent in family}
    return family - {process}


def until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.2)
    return condition()


def test_workers_end_with_a_study_that_is_killed(tmp_path):
    script = tmp_path / "study.py"
    script.write_text(STUDY)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, str(script)], env=environment) as study:
        assert until(lambda: len(descendants(study.pid)) >= 3, 90)
        time.sleep(1.0)
        family = descendants(study.pid)
        study.send_signal(signal.SIGKILL)
        study.wait()
    assert until(lambda: not any(Path(f"/proc/{process}").exists() for process in family), 20)


def test_a_clock_that_is_set_back_changes_no_seconds(monkeypatch):
    now = iter(range(1_700_000_000, 0, -86_400))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    spec = sb3.env_spec("CartPole-v1")
    counter = sb3.multiprocessing.get_context("spawn").Value("q", 0)
    monkeypatch.setattr(sb3, "_steps", counter)
    run = sb3._run(sb3._Job("DQN", "MlpPolicy", spec, 0, 50, 1, None, 0, {"learning_starts": 10}))
    assert 0.0 < run.end - run.start < 60.0


@pytest.mark.parametrize(
    ("kind", "env", "n_envs", "options"),
    [
        (DQN, "CartPole-v1", 1, {"learning_starts": 20_000, "batch_size": 32}),
        (DQN, "CartPole-v1", 16, {"learning_starts": 20_000, "batch_size": 128, "train_freq": 2}),
        (A2C, "CartPole-v1", 4, {}),
        (PPO, "CartPole-v1", 2, {"n_steps": 16, "batch_size": 16}),
        (RecurrentDQN, "CartPole-v1", 2, {"learning_starts": 5_000, "batch_size": 8}),
        (QLearning, "FrozenLake-v1", 2, {}),
    ],
)
def test_a_warm_up_reaches_an_update(kind, env, n_envs, options, monkeypatch):
    agents = []
    whole = kind.learn

    def watched(agent, *args, **keywords):
        before = [array.clone() for array in agent.state_dict().values()]
        whole(agent, *args, **keywords)
        agents.append((before, list(agent.state_dict().values())))

    monkeypatch.setattr(kind, "learn", watched)
    assert warm_up(kind, env, n_envs, **options) < 20_000
    (before, after), *others = agents
    assert not others
    changed = any(not (old == new).all() for old, new in zip(before, after, strict=True))
    assert changed or kind is QLearning  # in which nothing may have been won yet


def test_our_agents_are_warm_before_their_clock_runs(monkeypatch):
    order = []
    monkeypatch.setattr(ours, "warm_up", lambda *args, **keywords: order.append("warm"))
    monkeypatch.setattr(time, "perf_counter", lambda: order.append("clock") or float(len(order)))
    monkeypatch.setattr(DQN, "learn", lambda *args, **keywords: order.append("learn"))
    ours.train("DQN", "CartPole-v1", 2, 100, progress_bar=False)
    assert order[0] == "warm"
    assert order[-3:] == ["clock", "learn", "clock"]
