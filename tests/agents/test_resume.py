"""A run that ended early and goes on, against the same run without a break."""

import dataclasses
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
import zipfile
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch

import trading_env  # noqa: F401, registers the env
from agents.a2c import A2C
from agents.base.callbacks import Checkpoint
from agents.base.cli import main
from agents.common import checkpoints
from agents.common.locks import InUseError
from agents.common.streams import Streams
from agents.course_dqn import CourseDQN
from agents.dqn import DQN
from agents.ppo import PPO
from agents.pqn import PQN
from agents.q_learning import QLearning
from agents.qrdqn import QRDQN
from agents.rainbow import Rainbow
from agents.recurrent_a2c import RecurrentA2C
from agents.recurrent_dqn import RecurrentDQN
from agents.reinforce import REINFORCE
from agents.sac import SAC
from agents.td3 import TD3
from agents.td_lambda import TDLambda

TRADING = {"window": 3, "episode_length": 17, "random_start": True}
SMALL_DQN = {
    "net_arch": (8,),
    "learning_starts": 20,
    "batch_size": 8,
    "train_freq": 2,
    "target_update_interval": 50,
    "exploration_fraction": 0.9,
}
SMALL_BOX = {"net_arch": (8,), "learning_starts": 20, "batch_size": 8, "train_freq": 2}
LEARNERS = {
    "A2C": (A2C, {"net_arch": (8,), "learning_rate": "lin_1e-2"}),
    "PPO": (PPO, {"net_arch": (8,), "n_steps": 32, "batch_size": 16, "n_epochs": 2, "clip_range": "lin_0.2"}),
    "REINFORCE": (REINFORCE, {"net_arch": (8,), "n_episodes": 3, "learning_rate": "lin_1e-2"}),
    "DQN": (DQN, {**SMALL_DQN, "learning_rate": "lin_1e-2", "tau": 0.5}),
    "DQN, whole ring": (DQN, {**SMALL_DQN, "buffer_size": 90}),
    "Rainbow": (Rainbow, {**SMALL_DQN, "buffer_size": 90}),
    "PQN": (PQN, {"net_arch": (8,), "n_steps": 8, "batch_size": 6, "learning_rate": "lin_1e-2"}),
    "QRDQN": (QRDQN, {**SMALL_DQN, "n_quantiles": 5, "risk": "cvar_0.5", "n_steps": 2}),
    "CourseDQN": (CourseDQN, {"net_arch": (8,), "batch_size": 8, "exploration_decay": 0.99}),
    "RecurrentA2C": (RecurrentA2C, {"lstm_size": 6, "n_steps": 7, "learning_rate": "lin_1e-2"}),
    "RecurrentDQN": (
        RecurrentDQN,
        {"lstm_size": 6, "learning_starts": 30, "batch_size": 3, "burn_in": 2, "sequence_length": 4},
    ),
    "TDLambda": (TDLambda, {"net_arch": (8,), "loss_column": -1}),
    "SAC": (SAC, {**SMALL_BOX, "learning_rate": "lin_1e-2", "normalize_reward": True}),
    "SAC, fixed": (SAC, {**SMALL_BOX, "ent_coef": 0.1, "n_steps": 3, "target_update_interval": 3, "buffer_size": 90}),
    "TD3": (TD3, {**SMALL_BOX, "policy_delay": 3}),
}
TOTAL = 400


def trading_spec(**keywords):
    return dataclasses.replace(gym.spec("TradingEnv-v0"), kwargs=TRADING | keywords)


def suited_spec(algorithm):
    """TradingEnv with actions that an algorithm takes."""
    return trading_spec() if algorithm.takes_discrete_actions else trading_spec(actions="continuous")


def until(step):
    """A callback that ends training there."""
    return lambda agent: agent.num_timesteps < step


def interrupted(algorithm, env, step, path, **options):
    """The agent that was stopped at a step, written, and loaded."""
    algorithm(env, **options).learn(TOTAL, callback=until(step)).save(path, training=True)
    return algorithm.load(path, env=env)


def same_arrays(one, other):
    return all(torch.equal(array, other.state_dict()[name]) for name, array in one.state_dict().items())


def check_exact(algorithm, env, step, path, **options):
    whole = algorithm(env, **options).learn(TOTAL)
    agent = interrupted(algorithm, env, step, path, **options)
    assert agent.num_timesteps < whole.num_timesteps
    assert not same_arrays(agent, whole)
    agent.resume()
    assert agent.num_timesteps == whole.num_timesteps
    assert (agent.n_updates, agent.exploration_rate) == (whole.n_updates, whole.exploration_rate)
    assert same_arrays(agent, whole)
    assert [list(window) for window in agent._envs.returns] == [list(window) for window in whole._envs.returns]
    assert [list(window) for window in agent._envs.lengths] == [list(window) for window in whole._envs.lengths]


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("shape", [{}, {"seeds": [5, 2], "n_envs": 3}], ids=["S1", "S2N3"])
def test_in_the_native_trading_env_a_resumed_run_ends_with_the_weights_of_an_unbroken_one(name, shape, tmp_path):
    algorithm, options = LEARNERS[name]
    check_exact(algorithm, suited_spec(algorithm), 201, tmp_path / "run", **options, **shape)


@pytest.mark.parametrize("name", ["A2C", "TDLambda"])
def test_and_so_it_does_in_scalar_envs_side_by_side(name, tmp_path):
    algorithm, options = LEARNERS[name]
    check_exact(
        algorithm, partial(gym.make, "trading_env:TradingEnv-v0", **TRADING), 97, tmp_path / "run", n_envs=2, **options
    )


@pytest.mark.parametrize("env", ["FrozenLake-v1", "Taxi-v4", "CliffWalking-v1", "Blackjack-v1"])
@pytest.mark.parametrize("step", [1, 257])
def test_on_toy_text_a_resumed_run_ends_with_the_table_of_an_unbroken_one(env, step, tmp_path):
    options = {"initial_value": 1.0, "visit_power": 0.6, "learning_rate": "lin_0.5"}
    check_exact(QLearning, env, step, tmp_path / "run", seeds=2, n_envs=2, **options)


def test_a_time_limit_goes_on_counting(tmp_path):
    check_exact(QLearning, partial(gym.make, "CliffWalking-v1", max_episode_steps=30), 40, tmp_path / "run")


def test_an_env_of_ones_own_is_asked_for_its_state(counter, tmp_path):
    class Kept(counter):
        def get_state(self):
            return {"t": self.t, "episode": self.episode, "number": self.number}

        def set_state(self, state):
            self.t, self.episode, self.number = state["t"], state["episode"], state["number"]

    made = []

    def make():
        counter.made = len(made) % 2  # the same numbers in the second run
        made.append(Kept())
        return made[-1]

    check_exact(A2C, make, 101, tmp_path / "run", n_envs=2, net_arch=(4,))


def test_a_run_can_be_broken_twice_and_saved_before_it_goes_on(tmp_path):
    whole = A2C(trading_spec(), net_arch=(8,)).learn(TOTAL)
    interrupted(A2C, trading_spec(), 52, tmp_path / "a", net_arch=(8,)).save(tmp_path / "b", training=True)
    A2C.load(tmp_path / "b", env=trading_spec()).resume(callback=until(203)).save(tmp_path / "c", training=True)
    assert same_arrays(A2C.load(tmp_path / "c", env=trading_spec()).resume(), whole)


def test_an_agent_that_a_callback_stopped_goes_on_without_a_file():
    whole = A2C(trading_spec(), net_arch=(8,)).learn(TOTAL)
    assert same_arrays(A2C(trading_spec(), net_arch=(8,)).learn(TOTAL, callback=until(52)).resume(), whole)


def test_learning_on_for_longer_is_the_same_with_and_without_a_file(tmp_path):
    agent = A2C(trading_spec(), net_arch=(8,)).learn(100)
    agent.save(tmp_path / "a", training=True)
    loaded = A2C.load(tmp_path / "a", env=trading_spec()).learn(50, reset_num_timesteps=False)
    assert same_arrays(loaded, agent.learn(50, reset_num_timesteps=False))


def test_prediction_by_chance_goes_on_too(tmp_path):
    agent = A2C(trading_spec(), net_arch=(8,)).learn(20)
    obs = np.ones((30, *agent.spaces.obs_shape))
    agent.predict(obs)
    agent.save(tmp_path / "a", training=True)
    assert np.array_equal(A2C.load(tmp_path / "a").predict(obs)[0], agent.predict(obs)[0])


def test_without_the_training_in_it_a_file_is_small_and_nothing_can_be_resumed(tmp_path):
    agent = PPO(trading_spec(), n_envs=4, net_arch=(4,)).learn(20)
    agent.save(tmp_path / "small")
    agent.save(tmp_path / "large", training=True)
    assert (tmp_path / "small.safetensors").stat().st_size * 4 < (tmp_path / "large.safetensors").stat().st_size
    with pytest.raises(ValueError, match="no run to resume"):
        PPO.load(tmp_path / "small", env=trading_spec()).resume()
    with pytest.raises(ValueError, match="no env to learn in"):
        PPO.load(tmp_path / "large").resume()


def test_numbers_streams_and_parts_that_an_algorithm_adds_are_found_and_restored(tmp_path):
    class Noisy(A2C):
        def _build(self):
            super()._build()
            self.steps, self.window = 0, Streams(self.seeds, "replay", 1)
            self.chance = [np.random.default_rng(seed) for seed in self.seeds]

        def _advance(self, envs, obs, goal):
            self.steps += 1
            self._rate += self.window.draw().sum() + self.chance[0].random()
            self.net.flat += 1e-3 * self.window.draw().sum() + 1e-4 * self.chance[0].random() + 1e-5 * self.steps
            return super()._advance(envs, obs, goal)

    agent = Noisy(trading_spec(), net_arch=(4,))
    assert {"steps", "window", "chance", "rollout", "_rate"} <= agent.parts().keys()
    check_exact(Noisy, trading_spec(), 52, tmp_path / "a", net_arch=(4,))


@pytest.mark.parametrize("name", ["A2C", "PPO", "REINFORCE", "DQN", "RecurrentA2C", "RecurrentDQN"])
def test_where_the_env_cannot_give_its_state_episodes_start_anew_and_a_warning_says_so(name, tmp_path):
    algorithm, options = LEARNERS[name]
    agent = interrupted(algorithm, "CartPole-v1", 203, tmp_path / "run", **options)
    with pytest.warns(UserWarning, match="the running episodes start anew"):
        agent.resume()
    assert agent.num_timesteps >= TOTAL


def test_episodes_that_start_anew_are_not_those_of_the_start(tmp_path):
    first = A2C("CartPole-v1", net_arch=(4,))._envs.reset()
    agent = interrupted(A2C, "CartPole-v1", 52, tmp_path / "run", net_arch=(4,))
    seen = []
    with pytest.warns(UserWarning, match="start anew"):
        agent.resume(callback=lambda agent: seen.append(agent._obs) or False)
    assert np.abs(seen[0] - first).max() > 1e-3
    assert np.abs(seen[0]).max() < 1.0  # one step after a reset


def test_what_was_stored_of_an_episode_that_is_cut_off_ends_in_the_value_of_its_last_observation(tmp_path):
    agent = interrupted(A2C, "CartPole-v1", 53, tmp_path / "run", net_arch=(4,))
    rollout, last = agent.rollout, agent.net.value(agent._obs)  # [S, N]
    assert rollout.position == 3
    assert not rollout.ended[:, 2].any()
    with pytest.warns(UserWarning, match="start anew"):
        agent._next_obs(agent._connected())
    assert rollout.ended[:, 2].all()
    assert not rollout.terminated[:, 2].any()
    assert np.array_equal(rollout.final_value[:, 2], last)
    assert not rollout.ended[:, :2].any()


def test_transitions_of_n_steps_do_not_lead_from_an_episode_that_is_cut_off_into_the_next(tmp_path):
    agent = interrupted(Rainbow, "CartPole-v1", 53, tmp_path / "run", n_envs=2, n_steps=3, **SMALL_DQN)
    last = agent.replay.rows[0, 52:54, -1]
    assert agent.replay.size == 54
    assert not last.any()
    with pytest.warns(UserWarning, match="start anew"):
        agent._next_obs(agent._connected())
    assert last.all()


def test_the_steps_of_an_episode_that_is_cut_off_are_forgotten_by_reinforce(tmp_path):
    agent = interrupted(REINFORCE, "CartPole-v1", 53, tmp_path / "run", net_arch=(4,))
    assert agent._running.length.sum() > 0
    with pytest.warns(UserWarning, match="start anew"):
        agent._next_obs(agent._connected())
    assert agent._running.length.sum() == 0


@pytest.mark.parametrize(
    "other",
    [
        trading_spec(initial_cash=5.0),
        trading_spec(data="us-stocks/MSFT"),
        lambda: gym.make("trading_env:TradingEnv-v0", **TRADING),
    ],
    ids=["keywords", "data", "scalar"],
)
def test_episodes_do_not_go_on_in_another_env(other, tmp_path):
    agent = interrupted(A2C, trading_spec(), 52, tmp_path / "run", net_arch=(8,))
    agent.save(tmp_path / "again", training=True)
    with pytest.raises(ValueError, match=r"other data|cannot go on"):
        A2C.load(tmp_path / "again", env=other).resume()
    A2C.load(tmp_path / "again", env=other).learn(10)  # new episodes may run anywhere


# Checkpoints


def test_a_checkpoint_is_written_every_so_many_steps_and_at_the_end(tmp_path):
    checkpoint, seen = Checkpoint(tmp_path / "run", every=20), []
    checkpoint_of = lambda: A2C.load(tmp_path / "run").num_timesteps  # noqa: E731

    def callback(agent):
        checkpoint(agent)
        if agent.num_timesteps >= 21:
            seen.append((agent.num_timesteps, checkpoint_of()))

    A2C("CartPole-v1", n_envs=3, net_arch=(4,)).learn(60, callback=callback)
    assert seen[:3] == [(21, 21), (24, 21), (27, 21)]
    assert (42, 42) in seen
    assert seen[-1] == (60, 60)
    assert os.listdir(tmp_path) == ["run.safetensors"]


def test_a_checkpoint_needs_a_number_of_steps(tmp_path):
    with pytest.raises(ValueError, match="every must be at least 1"):
        Checkpoint(tmp_path / "run", every=0)


def test_a_memory_of_100000_transitions_is_written_by_its_filled_rows_alone_and_quickly(tmp_path):
    agent = DQN("CartPole-v1", net_arch=(4,))
    agent.replay.reserve(200_000)
    agent.replay.size = agent.replay.position = 100_000
    start = time.perf_counter()
    agent.save(tmp_path / "run", training=True)
    assert time.perf_counter() - start < 2.0
    width = agent.replay.rows.shape[2]
    assert (tmp_path / "run.safetensors").stat().st_size < 1.1 * 100_000 * width * 4


# Files that are not what they should be


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "run.safetensors"
    interrupted(A2C, trading_spec(), 52, path, net_arch=(8,))
    return path


@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.7, 0.999])
def test_a_truncated_checkpoint_is_refused_and_left_alone(run, part):
    content = run.read_bytes()
    run.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ValueError, match=r"run\.safetensors is corrupt"):
        A2C.load(run, env=trading_spec())
    assert run.read_bytes() == content[: int(part * len(content))]


@pytest.mark.parametrize("at", [0.45, 0.8, 0.999])
def test_a_flipped_bit_is_found(run, at):
    content = bytearray(run.read_bytes())
    content[int(at * len(content))] ^= 4
    run.write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.safetensors is corrupt"):
        A2C.load(run, env=trading_spec())


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("kind", ["pickle", "zip", "torch"])
def test_a_foreign_file_is_neither_executed_nor_overwritten(kind, run, tmp_path, capsys):
    bomb = Bomb(str(tmp_path / "boom"))
    if kind == "pickle":
        run.write_bytes(pickle.dumps(bomb))
    elif kind == "zip":
        with zipfile.ZipFile(run, "w") as file:
            file.writestr("data.pkl", pickle.dumps(bomb))
    else:
        torch.save({"bomb": bomb}, run)
    content = run.read_bytes()
    with pytest.raises(ValueError, match="corrupt or no safetensors file"):
        QLearning.load(run)
    for resume in ([], ["--resume"]):
        with pytest.raises(SystemExit, match=r"corrupt or no safetensors file|exists"):
            main(QLearning, {}, [*CLI, "--checkpoint", str(run), *resume])
    assert run.read_bytes() == content
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("training", "goal"), "x"),
        (("training", "obs"), None),
        (("training", "memory", "rollout", "position"), 5),
        (("training", "memory", "_acting", "used"), 1.5),
        (("training", "memory", "_acting", "before", 0, "state", "state"), -1),
        (("training", "episodes", "counts"), {}),
        (("training", "episodes", "episodes", "envs"), None),
        (("training", "episodes", "episodes", "envs", "streams", 0, "bit_generator"), "MT19937"),
        (("counters",), []),
        (("seeds",), "x"),
    ],
)
def test_facts_that_cannot_be_are_refused(path, value, run):
    arrays, facts = checkpoints.read(run)
    part = facts
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    checkpoints.write(run, arrays, facts)
    with pytest.raises(ValueError, match=r"does not hold a whole A2C|cannot go on|must"):
        A2C.load(run, env=trading_spec()).resume()


def test_facts_must_be_an_object(run):
    checkpoints.write(run, {}, [1])
    with pytest.raises(ValueError, match="facts are no JSON object"):
        A2C.load(run)


def test_a_checkpoint_whose_buffers_do_not_fit_is_refused(run):
    with pytest.raises(ValueError, match="rows must be an array"):
        A2C.load(run, env=trading_spec(), n_steps=7)


# The command line

CLI = ["--env", "FrozenLake-v1", "--total-timesteps", "3000", "--eval-episodes", "0", "--no-progress-bar"]


def command(checkpoint, save, *more):
    options = [*CLI, "--seeds", "2", "--initial-value", "1", "--checkpoint-every", "500"]
    return [*options, "--checkpoint", str(checkpoint), "--save", str(save), *more]


def test_a_killed_run_goes_on_by_the_same_command_and_ends_with_the_same_weights(tmp_path, capsys):
    checkpoint = tmp_path / "run.safetensors"
    slow = (
        "import time; from agents.q_learning import *; from agents.base.cli import main; advance = QLearning._advance\n"
        "def slowed(*arguments): time.sleep(0.001); return advance(*arguments)\n"
        f"QLearning._advance = slowed; main(QLearning, {{}}, {command(checkpoint, tmp_path / 'killed')!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", slow])
    until_then = time.monotonic() + 60
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < until_then:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed.safetensors").exists()
    assert 0 < QLearning.load(checkpoint).num_timesteps < 3000

    main(QLearning, {}, command(checkpoint, tmp_path / "resumed", "--resume"))
    assert "goes on after step" in capsys.readouterr().out
    main(QLearning, {}, command(tmp_path / "other", tmp_path / "whole", "--resume"))
    resumed, whole = QLearning.load(tmp_path / "resumed"), QLearning.load(tmp_path / "whole")
    assert resumed.num_timesteps == whole.num_timesteps == 3000
    assert resumed.table.std() > 0
    assert same_arrays(resumed, whole)


def test_a_run_that_reached_its_end_is_not_run_again(tmp_path, capsys):
    arguments = command(tmp_path / "run", tmp_path / "agent", "--resume")
    main(QLearning, {}, arguments)
    before = (tmp_path / "run.safetensors").read_bytes()
    main(QLearning, {}, arguments)
    assert "goes on after step 3,000 of 3,000" in capsys.readouterr().out
    assert (tmp_path / "run.safetensors").read_bytes() == before


def test_an_ended_run_stays_as_it_is_in_envs_without_a_state_too(tmp_path):
    DQN("CartPole-v1").learn(20).save(tmp_path / "run", training=True)
    assert DQN.load(tmp_path / "run", env="CartPole-v1").resume().num_timesteps == 20  # and no warning


def test_a_checkpoint_is_not_overwritten_by_another_run(tmp_path):
    main(QLearning, {}, command(tmp_path / "run", tmp_path / "agent"))
    with pytest.raises(SystemExit, match=r"exists: go on from it with --resume"):
        main(QLearning, {}, command(tmp_path / "run", tmp_path / "agent"))
    for other, name in ((["--gamma", "0.5"], "config"), (["--total-timesteps", "9"], "total_timesteps")):
        with pytest.raises(SystemExit, match=f"of another run: its {name} is"):
            main(QLearning, {}, command(tmp_path / "run", tmp_path / "agent", "--resume", *other))
    with pytest.raises(SystemExit, match="--resume needs --checkpoint"):
        main(QLearning, {}, [*CLI, "--resume"])


# The best seed


def test_the_best_seed_is_chosen_on_another_env_and_of_equal_ones_the_first(match_env):
    agent = A2C(match_env, seeds=[4, 7, 9], net_arch=())
    for s, gain in enumerate((-5.0, 5.0, 5.0)):
        agent.net.values["pi.0.weight"][s] = gain * torch.eye(3)
    best = agent.best_on(match_env, episodes=3)
    assert best.seeds == (7,)
    assert torch.equal(best.net.values["pi.0.weight"], agent.net.values["pi.0.weight"][1:2])


def breaking(function):
    """The function, which then does as Ctrl-C does."""

    def broken(*arguments):
        function(*arguments)
        raise KeyboardInterrupt

    return broken


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("where", ["step", "train"])
def test_a_run_that_ctrl_c_broke_in_mid_step_goes_on_with_new_episodes(name, where, tmp_path):
    algorithm, options = LEARNERS[name]
    agent = algorithm(suited_spec(algorithm), **options)
    agent.learn(TOTAL, callback=until(120))
    owner, method = (agent, "_train") if where == "train" and hasattr(agent, "_train") else (agent._envs, "step")
    real = getattr(owner, method)
    setattr(owner, method, breaking(real))
    with pytest.raises(KeyboardInterrupt):
        agent.resume()
    setattr(owner, method, real)
    agent.save(tmp_path / "broken", training=True)
    for one in (agent, algorithm.load(tmp_path / "broken", env=suited_spec(algorithm))):
        one.resume()
        assert one.num_timesteps >= one.goal
        assert all(torch.isfinite(array).all() for array in one.state_dict().values())


def test_no_transition_leads_over_a_broken_step():
    class Count(gym.Env):
        observation_space = gym.spaces.Box(0.0, np.inf, (1,), np.float32)
        action_space = gym.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.t = 0
            return np.zeros(1, np.float32), {}

        def step(self, action):
            self.t += 1
            return np.full(1, self.t, np.float32), 1.0, False, False, {}

    agent = DQN(Count, learning_starts=10**6)
    real, calls = agent._store, []

    def store(*arguments):
        calls.append(1)
        if len(calls) == 31:
            raise KeyboardInterrupt
        return real(*arguments)

    agent._store = store
    with pytest.raises(KeyboardInterrupt):
        agent.learn(60)
    agent.resume()
    rows = agent.replay.rows[0, : agent.replay.size]
    assert (rows[:, 1] == rows[:, 0] + 1.0).all()
    assert np.flatnonzero(rows[:, 0] == 0.0).tolist() == [0, 30]


def test_a_memory_in_a_file_keeps_its_size(tmp_path):
    agent = DQN(trading_spec(), buffer_size=50, learning_starts=10)
    agent.learn(80).save(tmp_path / "run", training=True)
    with pytest.raises(ValueError, match="holds a memory with buffer_size=50, it cannot be 200"):
        DQN.load(tmp_path / "run", buffer_size=200)
    agent.save(tmp_path / "weights")
    assert DQN.load(tmp_path / "weights", buffer_size=200).config.buffer_size == 200


# A checkpoint that cannot be written, or that another writes

RUN = ["--env", "CartPole-v1", "--total-timesteps", "1000000", "--eval-episodes", "0", "--no-progress-bar"]


def endless(checkpoint):
    """A process that trains and writes its checkpoint every 20 steps."""
    arguments = [*RUN, "--checkpoint", checkpoint, "--checkpoint-every", "20"]
    code = f"from agents.dqn import DQN; from agents.base.cli import main; main(DQN, {{}}, {arguments!r})"
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)


def test_a_second_training_on_a_checkpoint_is_named_and_the_first_goes_on(tmp_path, capsys):
    path = tmp_path / "run.safetensors"
    process = endless(str(path))
    try:
        until_then = time.monotonic() + 60
        while not path.exists() and process.poll() is None and time.monotonic() < until_then:
            time.sleep(0.01)
        said = rf"run\.safetensors is being written by another running training \(process {process.pid}\)"
        with pytest.raises(InUseError, match=said):
            A2C("CartPole-v1").learn(20, callback=Checkpoint(path, every=10))
        with pytest.raises(SystemExit):
            main(DQN, {}, [*RUN, "--checkpoint", str(path), "--resume"])
        assert f"another running training (process {process.pid})" in capsys.readouterr().err
        with pytest.raises(InUseError, match=said):
            A2C("CartPole-v1").learn(20, callback=lambda agent: Checkpoint(path, every=10)(agent))
        A2C("CartPole-v1", net_arch=(4,)).save(tmp_path / "other")
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    A2C("CartPole-v1", net_arch=(4,)).learn(20, callback=Checkpoint(path, every=10))  # the lock ended with its process
    assert sorted(os.listdir(tmp_path)) == ["other.safetensors", "run.safetensors"]


def test_one_program_trains_on_the_same_file_again_and_again(tmp_path):
    first, path = A2C("CartPole-v1", net_arch=(4,)), tmp_path / "run"
    kept = Checkpoint(path, every=5)
    first.learn(20, callback=[kept, until(12)])
    first.resume(callback=Checkpoint(path, every=5))
    first.learn(20, callback=lambda agent: kept(agent) or agent.num_timesteps < 12)
    first.resume(callback=Checkpoint(path, every=5))  # takes over from one that knows no end of training
    assert os.listdir(tmp_path) == ["run.safetensors"]


def test_two_trainings_of_one_program_do_not_share_a_file(tmp_path):
    def inner(agent):
        with pytest.raises(InUseError, match=f"process {os.getpid()}"):
            A2C("CartPole-v1", net_arch=(4,)).learn(5, callback=Checkpoint(tmp_path / "run", every=5))

    A2C("CartPole-v1", net_arch=(4,)).learn(5, callback=[Checkpoint(tmp_path / "run", every=5), inner])


def test_a_full_disk_is_warned_of_and_training_goes_on(tmp_path):
    path = tmp_path / "run"
    agent = A2C("CartPole-v1", net_arch=(4,)).learn(10, callback=Checkpoint(path, every=10))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))  # as if no more bytes would fit
    try:
        with pytest.warns(UserWarning, match=r"run\.safetensors could not be written at step 30, training goes on: "):
            agent.learn(30, callback=Checkpoint(path, every=30))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert agent.num_timesteps == 30
    assert A2C.load(path).num_timesteps == 10
    assert os.listdir(tmp_path) == ["run.safetensors"]


@pytest.mark.parametrize("option", ["--checkpoint", "--save", "--tensorboard-log"])
def test_a_place_that_cannot_be_written_is_refused_before_training(option, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(DQN, "learn", lambda *args, **keywords: pytest.fail("it trains"))
    with pytest.raises(SystemExit) as left:
        main(DQN, {}, [*RUN, option, str(tmp_path / "file" / "x")])
    assert left.value.code == 2
    name = option.removeprefix("--").replace("-", "_")
    assert f"error: {name} cannot be written: Not a directory" in capsys.readouterr().err


def test_and_so_it_is_by_learn(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(A2C, "_advance", lambda *args: pytest.fail("it trains"))
    with pytest.raises(OSError, match="tensorboard_log cannot be written"):
        A2C("CartPole-v1", tensorboard_log=tmp_path / "file").learn(10)
    with pytest.raises(OSError, match="the lock of a checkpoint cannot be written"):
        A2C("CartPole-v1").learn(10, callback=Checkpoint(tmp_path / "file" / "run", every=5))


def test_a_trained_agent_that_cannot_be_written_is_still_evaluated(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("agents.base.saving.write", lambda *args: os.mkdir(tmp_path))
    arguments = ["--env", "CartPole-v1", "--total-timesteps", "20", "--eval-episodes", "2", "--no-progress-bar"]
    with pytest.raises(SystemExit) as left:
        main(DQN, {}, [*arguments, "--save", str(tmp_path / "agent")])
    assert left.value.code == 1
    captured = capsys.readouterr()
    assert "agent could not be written: " in captured.err
    assert "Return of 2 greedy episodes" in captured.out
