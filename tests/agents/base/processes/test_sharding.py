"""Seeds spread over processes: the same agent as in one, whatever ends training."""

import copy
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import cloudpickle
import gymnasium as gym
import numpy as np
import pytest
import torch
from tqdm import tqdm

import agents
from agents.base.callbacks import Checkpoint, CheckpointCallback, EvalCallback
from agents.base.cli import main
from agents.base.processes.sharding import edges
from agents.base.processes.worker import Meter
from agents.base.processes.workers import quickest_context
from agents.common.processes import check_processes, interrupts_noted, usable_cores
from agents.common.rows import cut, join, join_last

ROOT = Path(__file__).parents[4]
LEARNERS = [name for name in agents.__all__ if hasattr(getattr(agents, name), "learn")]
STEPS = 90
SEEDS = [4, 1, 7, 2]


def until(step):
    """A callback that ends training there."""
    return lambda agent: agent.num_timesteps < step


def check_same(agent, blocks, training=True):
    """That an agent has learnt what blocks of its seeds have, and goes on from where they are."""
    for name, array in agent.state_dict().items():
        assert torch.equal(array, torch.cat([block.state_dict()[name] for block in blocks])), name
    assert {block.num_timesteps for block in blocks} == {agent.num_timesteps}
    assert [list(window) for window in agent._envs.returns] == [list(r) for b in blocks for r in b._envs.returns]
    if training:
        S = len(agent.seeds)
        whole, start = cut(agent.training_state(envs=False), 0, S, S), 0
        for block in blocks:
            stop = start + len(block.seeds)
            expected = cut(block.training_state(envs=False), 0, stop - start, stop - start)
            assert same(cut(whole, start, stop, S), expected)
            start = stop


def same(one, other):
    """True if two states are equal."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(part, other[name]) for name, part in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    floats = isinstance(one, float) or (isinstance(one, np.ndarray) and one.dtype.kind == "f")
    return np.array_equal(one, other, equal_nan=floats)


# Blocks of seeds, in one process


def sent(agent):
    """The agent as another process receives it."""
    return pickle.loads(cloudpickle.dumps(agent))


@pytest.mark.parametrize("name", LEARNERS)
def test_blocks_of_seeds_learn_what_they_would_together(name, small):
    options = {"seeds": SEEDS, "n_envs": 2}
    agent, whole = (small(name, **options).learn(STEPS, callback=until(50)) for _ in range(2))
    blocks = [sent(agent.block(0, 2)), sent(agent.block(2, 4))]
    for block in blocks:
        block.resume()
    agent.take_up([sent(block.learnt()) for block in blocks])
    agent.take_up_rest([sent(block.rest()) for block in blocks])
    check_same(agent, blocks)
    check_same(agent, [whole.resume()])
    assert agent._metrics().keys() == whole._metrics().keys()
    check_same(agent.learn(30, reset_num_timesteps=False), [whole.learn(30, reset_num_timesteps=False)])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("DQN", {"normalize_reward": True, "n_steps": 3}),
        ("Rainbow", {"normalize_reward": True}),
        ("CourseDQN", {}),
        ("PPO", {"target_kl": 1e-4}),
        ("REINFORCE", {"value_baseline": True}),
        ("A2C", {"env": "Pendulum-v1", "normalize_reward": True}),
    ],
)
def test_options_change_nothing_of_that(name, options, small):
    agent = small(name, seeds=SEEDS, **options).learn(STEPS, callback=until(50))
    whole = sent(agent).resume()
    blocks = [sent(agent.block(0, 2)).resume(), sent(agent.block(2, 4)).resume()]
    agent.take_up([block.learnt() for block in blocks])
    agent.take_up_rest([block.rest() for block in blocks])
    check_same(agent, [whole], training=name != "REINFORCE")  # numbers of whose blocks differ
    check_same(agent.learn(30), [whole.learn(30)], training=False)


def test_blocks_that_have_not_begun_change_nothing(small):
    agent, same_one = (small("DQN", seeds=SEEDS) for _ in range(2))
    blocks = [agent.block(0, 2), agent.block(2, 4)]
    agent.take_up([block.learnt() for block in blocks])
    agent.take_up_rest([block.rest() for block in blocks])
    check_same(agent.learn(STEPS), [same_one.learn(STEPS)])


def test_a_part_without_the_seed_axis_is_named(small):
    class Odd(agents.A2C):
        def _build(self):
            super()._build()
            self._odd = np.zeros(3)

        def parts(self):
            return super().parts() | {"_odd": self._odd}

    agent = Odd("CartPole-v1", seeds=2, net_arch=(4,))
    with pytest.raises(ValueError, match=r"memory: _odd: its first axis must be the seeds .*, 2, but it has 3"):
        agent.block(0, 1)


def test_states_are_cut_along_their_first_axis_and_joined_along_it():
    state = {
        "a": np.arange(6).reshape(3, 2),
        "b": [["x"], ["y"], ["z"]],
        "c": {"d": torch.arange(3), "e": 5},
        "f": None,
    }
    parts = [cut(state, 0, 1, 3), cut(state, 1, 3, 3)]
    assert parts[1]["b"] == [["y"], ["z"]]
    joined = join(parts)
    assert same(joined, {**state, "c": {"d": np.arange(3), "e": 5}})
    assert join([{"n": 2}, {"n": 3}]) == {"n": 3}
    with pytest.raises(ValueError, match="g: the blocks have different values"):
        join([{"g": "x"}, {"g": "y"}])
    with pytest.raises(ValueError, match="different parts"):
        join([{"g": 1}, {"h": 1}])
    with pytest.raises(ValueError, match="no axis of seeds in None"):
        join_last([None, torch.zeros(1)])


def test_seeds_are_cut_into_blocks_of_neighbours_of_nearly_equal_size():
    assert edges(7, 3) == [0, 3, 5, 7]
    assert edges(4, 4) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("wrong", "error"), [(0, ValueError), (-1, ValueError), ("all", ValueError), (1.5, TypeError), (True, TypeError)]
)
def test_a_number_of_processes_that_cannot_be_is_refused(wrong, error, small):
    with pytest.raises(error, match="processes must be"):
        small("A2C").learn(10, processes=wrong)
    with pytest.raises(error, match="processes must be"):
        small("A2C").learn(10).resume(processes=wrong)
    assert check_processes("auto") == usable_cores()


def test_all_blocks_stop_at_the_same_step_whenever_they_are_stopped():
    chance = np.random.default_rng(0)
    for _ in range(50):
        meter, steps = Meter(multiprocessing.get_context("spawn"), 3), [0, 0, 0]
        meter.begin(0, 1_000)
        running = {block for block in range(3) if meter.goes_on(block, 0)}
        moment = chance.integers(60)
        while running:
            if moment == 0:
                meter.halt()
            moment -= 1
            block = int(chance.choice(sorted(running)))
            steps[block] += 4
            if not meter.goes_on(block, steps[block]):
                running.remove(block)
        assert len(set(steps)) == 1
        assert steps[0] < 400
        assert meter.slowest == steps[0]


@pytest.fixture
def interruptible():
    """Ctrl-C raises KeyboardInterrupt, even if the tests run in the background, where it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_the_first_interrupt_is_noted_and_the_second_raised():
    with interrupts_noted() as noted:
        signal.raise_signal(signal.SIGINT)
        assert noted
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


# Processes


@pytest.fixture
def spawned():
    """Processes are spawned, as on other systems than Linux."""
    multiprocessing.set_start_method("spawn", force=True)
    yield
    multiprocessing.set_start_method(None, force=True)


def test_processes_are_forked_only_where_that_is_safe(monkeypatch):
    def method():
        return quickest_context().get_start_method()

    with tqdm(total=1, disable=True):
        assert method() == "fork"
    end = threading.Event()
    other = threading.Thread(target=end.wait)
    other.start()
    assert method() == "spawn"
    end.set()
    other.join()
    with monkeypatch.context() as patch:
        patch.setattr(torch.accelerator, "is_available", lambda: True)
        assert method() == "spawn"
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "darwin")
        assert method() == "spawn"
    assert method() == "fork"


@pytest.mark.usefixtures("spawned")
def test_spawned_processes_learn_the_same(small):
    assert quickest_context().get_start_method() == "spawn"
    agent, blocks = small("DQN", seeds=SEEDS), [small("DQN", seeds=seeds) for seeds in (SEEDS[:2], SEEDS[2:])]
    agent.learn(STEPS, callback=until(50), log_interval=10, processes=2).resume(processes=2)
    check_same(agent, [block.learn(STEPS, callback=until(50)).resume() for block in blocks])


def test_processes_do_not_share_global_random_numbers(tmp_path):
    def tell(step):
        if step == 1:
            drawn = np.random.random()  # noqa: NPY002, as an env might
            (tmp_path / str(os.getpid())).write_text(f"{drawn} {random.random()} {torch.rand(())}")

    agents.A2C(lambda: Telling(tell), seeds=2, net_arch=(4,)).learn(20, processes=2)
    one, other = (file.read_text().split() for file in tmp_path.iterdir())
    assert all(a != b for a, b in zip(one, other, strict=True))


def test_a_callback_has_the_weights_and_what_it_collects(small, monkeypatch, tmp_path):
    fetched, given = [], agents.DQN.rest
    monkeypatch.setattr(agents.DQN, "rest", lambda agent: tempfile.mkstemp(dir=tmp_path) and given(agent))
    alone, seen = small("DQN", seeds=SEEDS), []

    def look(agent):
        step = until(agent.num_timesteps)
        check_same(agent, [alone.resume(step) if seen else alone.learn(80, callback=step)], training=False)
        seen.append(agent.num_timesteps)
        fetched.append(len(list(tmp_path.iterdir())))
        if agent.num_timesteps == 40:
            assert agent.replay_buffer.size == alone.replay_buffer.size == 40
            check_same(copy.deepcopy(agent), [alone])

    small("DQN", seeds=SEEDS).learn(80, callback=look, log_interval=20, processes=2)
    assert seen == [20, 40, 60, 80]
    assert fetched == [0, 0, 2, 2]
    assert len(list(tmp_path.iterdir())) == 4  # at the end


def test_an_error_in_a_callback_leaves_the_agent_at_that_step(small):
    def fail(agent):
        if agent.num_timesteps == 40:
            raise ArithmeticError("by the callback")

    agent, same_one = (small("DQN", seeds=SEEDS) for _ in range(2))
    with pytest.raises(ArithmeticError, match="by the callback"):
        agent.learn(80, callback=fail, log_interval=20, processes=2)
    same_one.learn(80, callback=until(40))
    check_same(agent, [same_one])
    check_same(agent.resume(), [same_one.resume()])


class Telling(gym.Env):
    """Calls a function with the number of the step."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, tell):
        self.tell, self.steps = tell, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.ones(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        self.tell(self.steps)
        return self.np_random.random(2, np.float32), float(action), False, self.steps % 10 == 0, {}


def in_worker():
    return multiprocessing.parent_process() is not None


class Recorder:
    """A logger that keeps what it is told."""

    def __init__(self):
        self.values, self.reports = {}, []

    def record(self, key, value, exclude=None):
        self.values[key] = value

    def dump(self, step):
        self.reports.append((step, {key: value for key, value in self.values.items() if "fps" not in key}))
        self.values = {}


@pytest.mark.parametrize("name", ["DQN", "A2C", "PPO", "RecurrentA2C", "RecurrentDQN", "QLearning", "TDLambda"])
def test_processes_end_with_what_their_blocks_learn_in_one_process(name, small, tmp_path):
    agent = small(name, seeds=SEEDS, n_envs=2)
    assert agent.learn(STEPS, callback=until(50), log_interval=10, processes=2) is agent
    assert agent.num_timesteps == 50
    agent.save(tmp_path / "run", training=True)
    blocks = [small(name, seeds=seeds, n_envs=2).learn(STEPS, callback=until(50)) for seeds in (SEEDS[:2], SEEDS[2:])]
    check_same(agent, blocks)
    for block in blocks:
        block.resume().learn(30, reset_num_timesteps=False)
    agent.resume(processes=2).learn(30, reset_num_timesteps=False)
    check_same(agent, blocks)
    check_same(sent(agent), blocks)
    loaded = type(agent).load(tmp_path / "run", env=agent._env)
    assert loaded.num_timesteps == 50
    obs = np.zeros((4, *agent.spaces.obs_shape), np.float32)
    assert len(agent.predict(obs, deterministic=True)[0]) == 4


def test_reports_and_callbacks_come_at_the_same_steps_and_with_the_same_values(small, tmp_path):
    def run(folder, **how):
        agent, recorder, calls = small("DQN", seeds=SEEDS, n_envs=2), Recorder(), []
        agent.set_logger(recorder)
        callbacks = [
            EvalCallback("CartPole-v1", n_eval_episodes=2, eval_freq=15, log_path=folder, verbose=0),
            CheckpointCallback(20, folder, "some"),
            Checkpoint(folder / "run", every=25),
            lambda agent: calls.append((agent.num_timesteps, len(agent))) if agent.num_timesteps % 20 == 0 else None,
        ]
        agent.learn(STEPS, callbacks, log_interval=20, **how)
        return agent, recorder.reports, calls, callbacks[0]

    one, reports, calls, evaluation = run(tmp_path / "one")
    other, again, called, evaluated = run(tmp_path / "other", processes=2)
    assert called == calls
    assert [step for step, _ in again] == [step for step, _ in reports] == [20, 40, 60, 80, 90]
    for (_, values), (_, expected) in zip(again, reports, strict=True):
        assert same(values, expected)
    assert np.array_equal(evaluated.best_mean_reward, evaluation.best_mean_reward)
    assert evaluated.evaluations_timesteps == evaluation.evaluations_timesteps == [30, 60, 90]
    assert sorted(os.listdir(tmp_path / "other")) == sorted(os.listdir(tmp_path / "one"))
    loaded = agents.DQN.load(tmp_path / "other" / "run", env="CartPole-v1")
    assert loaded.num_timesteps == 90
    check_same(other, [one])


def test_progress_and_reports_do_not_stop_the_blocks(small, capfd, tmp_path):
    agent = small("QLearning", seeds=[0, 1], verbose=1, tensorboard_log=tmp_path)
    agent.learn(95, progress_bar=True, log_interval=30, processes=2)
    shown = capfd.readouterr()
    assert [line.split()[1] for line in shown.out.splitlines() if line.startswith("step ")] == ["30", "60", "90", "95"]
    assert "95/95" in shown.err
    assert len(list((tmp_path / "QLearning_1").iterdir())) == 2


def test_an_error_in_a_process_is_raised_with_its_seeds_and_leaves_the_agent_as_it_was():
    def tell(step):
        if step == 45 and in_worker():
            raise ArithmeticError(
                f"{torch.get_num_threads()} torch threads, {os.environ['OPENBLAS_NUM_THREADS']} of BLAS"
            )

    agent = agents.A2C(lambda: Telling(tell), seeds=[3, 8], net_arch=(4,))
    same_one = agents.A2C(lambda: Telling(tell), seeds=[3, 8], net_arch=(4,))
    with pytest.raises(ArithmeticError, match="1 torch threads, 1 of BLAS") as raised:
        agent.learn(
            60,
            callback=lambda agent: agent.collect() if agent.num_timesteps == 20 else None,
            log_interval=20,
            processes=2,
        )
    notes = "".join(raised.value.__notes__)
    assert "process that trains the seeds" in notes
    assert "in tell" in notes
    check_same(agent, [same_one.learn(60, callback=until(20))], training=False)  # as last collected
    assert not multiprocessing.active_children()
    check_same(agent.resume(), [same_one.resume()])


def test_after_an_error_the_metrics_are_those_of_the_agent_as_last_collected():
    def tell(step):
        if step == 45 and in_worker():
            raise ArithmeticError("on purpose")

    agent, seen = agents.A2C(lambda: Telling(tell), seeds=[3, 8], net_arch=(4,)), []
    assert agent._last is None  # no update yet
    with pytest.raises(ArithmeticError, match="on purpose"):
        agent.learn(60, callback=lambda agent: seen.append(agent._last), log_interval=20, processes=2)
    assert seen[0] is not None
    assert agent.num_timesteps == 0
    assert agent._last is None


def test_a_process_that_is_killed_is_named_and_takes_the_others_along():
    def tell(step):
        if step == 30 and in_worker():
            os.kill(os.getpid(), signal.SIGKILL)

    agent = agents.DQN(lambda: Telling(tell), seeds=[3, 8], net_arch=(4,))
    with pytest.raises(RuntimeError, match=r"the process that trains the seeds [38] was killed by signal 9"):
        agent.learn(60, processes=2)
    assert not multiprocessing.active_children()
    assert agent.num_timesteps == 0
    assert agent.learn(60).num_timesteps == 60


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_ctrl_c_stops_all_blocks_at_the_same_step_and_training_can_go_on(start_method, tmp_path):
    total, pid = 10**6, os.getpid()

    def make():
        mark = tmp_path / "begun"
        return Telling(lambda step: mark.touch() if step == 50 and in_worker() else None)

    def press():
        while not (tmp_path / "begun").exists():
            time.sleep(0.05)
        os.kill(pid, signal.SIGINT)

    agent = agents.A2C(make, seeds=SEEDS, net_arch=(4,))
    kind = {"fork": multiprocessing.get_context("fork").Process, "spawn": threading.Thread}[start_method]
    presser = kind(target=press)  # beside a thread, processes are spawned
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        agent.learn(total, processes=2)
    presser.join()
    steps = agent.num_timesteps
    assert 50 <= steps < total
    blocks = [agents.A2C(make, seeds=seeds, net_arch=(4,)) for seeds in (SEEDS[:2], SEEDS[2:])]
    for block in blocks:
        block.learn(total, callback=until(steps))
    check_same(agent, blocks)
    more = until(steps + 20)
    check_same(agent.resume(more), [block.resume(more) for block in blocks])


def test_what_cannot_be_sent_to_a_process(small):
    lock = threading.Lock()
    with pytest.raises(TypeError, match="env of the agent cannot be copied"):
        small("A2C", lambda: gym.make("CartPole-v1", render_mode=None if lock else "x"), seeds=2).learn(9, processes=2)

    def make():
        env = gym.make("CartPole-v1")
        env.lock = threading.Lock()
        return env

    agent = small("A2C", make, seeds=2, learning_rate=lambda remaining: 0.01 * remaining)
    with pytest.warns(RuntimeWarning, match="the env can neither give its state nor be pickled"):
        agent.learn(40, processes=2)
    assert agent.learn(8, reset_num_timesteps=False).num_timesteps == 48


SCRIPT = """
import agents
if __name__ == "__main__":
    agents.QLearning("FrozenLake-v1", seeds=2).learn(10**9, processes=2)
"""


def children(process):
    """Processes that it has started."""
    return (Path(f"/proc/{process}/task/{process}/children").read_text()).split()


def test_the_processes_end_with_the_one_that_started_them(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with subprocess.Popen([sys.executable, str(script)], env={**os.environ, "PYTHONPATH": str(ROOT)}) as run:
        end = time.monotonic() + 120
        while len(children(run.pid)) < 2 and time.monotonic() < end:
            time.sleep(0.1)
        family = children(run.pid)
        run.send_signal(signal.SIGKILL)
    assert len(family) == 2
    end = time.monotonic() + 60
    while any(Path(f"/proc/{one}").exists() for one in family) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{one}").exists() for one in family)


def test_the_command_line_spreads_seeds_and_resumes(tmp_path, capsys):
    words = ["--env", "FrozenLake-v1", "--seeds", "3", "--total-timesteps", "60", "--eval-episodes", "0"]
    words += ["--checkpoint", str(tmp_path / "run"), "--checkpoint-every", "20"]
    main(agents.QLearning, {}, [*words, "--processes", "3"])
    assert "180 steps of 3 seeds" in capsys.readouterr().out
    made = agents.QLearning.load(tmp_path / "run")
    assert np.array_equal(made.table, agents.QLearning("FrozenLake-v1", seeds=3).learn(60).table)
    main(agents.QLearning, {}, [*words, "--processes", "auto", "--resume"])
    with pytest.raises(SystemExit, match="processes must be at least 1"):
        main(agents.QLearning, {}, [*words, "--resume", "--processes", "0"])
