import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.evaluation import evaluate_policy

from agents.base.cli import main
from agents.base.evaluation import evaluate
from agents.q_learning import PRESETS, QLearning, TableSpaces, choose, update

LAKE = "FrozenLake-v1"


class Loop(gym.Env):
    """StopOrGo of the other tests as a table: state `start` only, of as many as the space says."""

    def __init__(self, space=None, truncates=False):
        self.observation_space = space or gym.spaces.Discrete(1)
        self.action_space = gym.spaces.Discrete(2, start=3)
        self.truncates = truncates

    def _show(self):
        space = self.observation_space
        if isinstance(space, gym.spaces.Tuple):
            return tuple(part.start for part in space.spaces)
        return space.start

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._show(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        over = action == 3
        reward = 2.0 if over else 1.0
        return self._show(), reward, bool(over and not self.truncates), bool(over and self.truncates), {}


class Digits(gym.Env):
    """Two parts of an observation; the action that names the second earns 1. Ten steps."""

    def __init__(self, space):
        self.observation_space, self.action_space = space, gym.spaces.Discrete(3)

    def _show(self):
        self.shown = self.observation_space.sample()
        return self.shown

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.t = 0
        return self._show(), {}

    def step(self, action):
        reward = float(action == self.shown[1] + 4)
        self.t += 1
        return self._show(), reward, False, self.t == 10, {}


MULTI = gym.spaces.MultiDiscrete([4, 3], start=[2, -4])
PAIR = gym.spaces.Tuple([gym.spaces.Discrete(4, start=2), gym.spaces.Discrete(3, start=-4)])


def model(env, gamma):
    """Chances [states, A, states] of going on, and mean rewards [states, A], of a toy-text env."""
    n, A = env.observation_space.n, env.action_space.n
    chance, reward = np.zeros((n, A, n)), np.zeros((n, A))
    for state, actions in env.unwrapped.P.items():
        for action, outcomes in actions.items():
            for p, after, r, over in outcomes:
                reward[state, action] += p * r
                chance[state, action, after] += 0 if over else p
    return chance, reward


def best_values(env, gamma):
    """Values [states] of the optimal policy, by value iteration."""
    (chance, reward), values, change = model(env, gamma), np.zeros(env.observation_space.n), 1.0
    while change > 1e-10:
        improved = (reward + gamma * chance @ values).max(1)
        values, change = improved, np.abs(improved - values).max()
    return values


def policy_values(env, policy, gamma):
    """Values [states] of a policy [states], solved exactly."""
    chance, reward = model(env, gamma)
    rows = np.arange(len(policy))
    return np.linalg.solve(np.eye(len(policy)) - gamma * chance[rows, policy], reward[rows, policy])


# ------------------------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize("power", [0.0, 0.7])
def test_updates_are_those_of_a_plain_reference(power):
    S, N, n, A = 2, 3, 5, 4
    rng = np.random.default_rng(0)
    table, error = rng.normal(size=(S, n, A)), np.zeros((S, N))
    visits = np.zeros((S, n if power else 0, A), np.int64)
    expected, counts = table.copy(), np.zeros((S, n, A))
    for _ in range(200):
        state, after, action = rng.integers(n, size=(S, N)), rng.integers(n, size=(S, N)), rng.integers(A, size=(S, N))
        reward, terminated = rng.normal(size=(S, N)), rng.random((S, N)) < 0.3
        update(table, visits, state, action, reward, terminated, after, 0.2, power, 0.9, error)
        for s in range(S):
            for k in range(N):
                here = s, state[s, k], action[s, k]
                counts[here] += 1
                target = reward[s, k] + (0.0 if terminated[s, k] else 0.9 * max(expected[s, after[s, k]]))
                difference = target - expected[here]
                expected[here] += 0.2 / counts[here] ** power * difference
                assert error[s, k] == pytest.approx(difference, rel=1e-12)
    np.testing.assert_allclose(table, expected, rtol=1e-12)
    assert np.array_equal(visits, counts if power else visits)


def test_a_rate_of_one_over_visits_averages():
    table, visits, error = np.full((1, 1, 1), 5.0), np.zeros((1, 1, 1), np.int64), np.zeros((1, 1))
    zero, over, rewards = np.zeros((1, 1), np.int64), np.ones((1, 1), bool), np.random.default_rng(0).normal(size=50)
    for reward in rewards:
        update(table, visits, zero, zero, np.full((1, 1), reward), over, zero, 1.0, 1.0, 0.9, error)
    assert table.item() == pytest.approx(rewards.mean(), rel=1e-12)


def test_choices_are_greedy_one_of_equals_or_random():
    table = np.array([[[0.0, 2.0, 2.0], [3.0, 1.0, 0.0]], [[0.0, 0.0, 0.0], [0.0, 1.0, 5.0]]])  # [2, 2, 3]
    state, action = np.array([[0, 1], [0, 1]]), np.full((2, 2), -1)
    choose(table, state, np.full((2, 4), 0.5), 0.5, action)
    assert action.tolist() == [[2, 0], [1, 2]]
    choose(table, state, np.array([[0.9, 0.9, 0.49, 0.99], [0.9, 0.9, 0.99, 0.99]]), 0.5, action)
    assert action.tolist() == [[1, 0], [2, 2]]
    choose(table, state, np.array([[0.1, 0.1, 0.0, 0.99], [0.1, 0.9, 0.5, 0.0]]), 0.5, action)
    assert action.tolist() == [[0, 2], [1, 2]]


@pytest.mark.parametrize(("truncates", "best", "worth"), [(False, 4, [2.0, 10.0]), (True, 3, [20.0, 19.0])])
def test_truncation_bootstraps_and_termination_does_not(truncates, best, worth):
    agent = QLearning(lambda: Loop(truncates=truncates), seeds=2, gamma=0.9, exploration_final_eps=0.5).learn(3_000)
    np.testing.assert_allclose(agent.table[:, 0], [worth, worth], rtol=1e-6)
    assert (agent.predict([0, 0], deterministic=True)[0] == best).all()


# ----------------------------------------------------------------------------------------------- seed axis


def test_a_seed_learns_the_same_table_alone_and_among_others_bit_for_bit():
    among = QLearning("CliffWalking-v1", seeds=4, n_envs=2).learn(2_000)
    alone = QLearning("CliffWalking-v1", seeds=[2], n_envs=2).learn(2_000)
    assert np.array_equal(among.table[2], alone.table[0])
    assert among.table[2].any()
    assert not np.array_equal(among.table[2], among.table[1])


def test_one_seed_of_several_is_an_agent_of_its_own():
    agent = QLearning(LAKE, seeds=[4, 8], visit_power=0.5).learn(2_000)
    every, table = np.arange(16), agent.table.copy()
    together = agent.predict(np.stack([every, every]), deterministic=True)[0]
    assert np.array_equal(agent[1].predict(every, deterministic=True)[0], together[1])
    agent[1].learn(500)
    assert np.array_equal(agent.table, table)


# ------------------------------------------------------------------------------------------------ learning


@pytest.mark.parametrize("slippery", [False, True])
def test_frozen_lake_is_solved_up_to_value_iteration(slippery):
    env, config = gym.make(LAKE, is_slippery=slippery), PRESETS[LAKE][1]
    agent = QLearning(env, seeds=2, **vars(config)).learn(50_000 if slippery else 10_000)
    best = best_values(env, config.gamma)[0]
    for table in agent.table:
        assert policy_values(env, table.argmax(1), config.gamma)[0] >= 0.98 * best
        if not slippery:
            assert table[0].max() == pytest.approx(best, rel=1e-2)


def test_cliff_walking_reaches_its_optimum():
    env = gym.make("CliffWalking-v1", max_episode_steps=200)
    agent = QLearning(env, seeds=3, **vars(PRESETS["CliffWalking-v1"][1])).learn(8_000)
    assert (evaluate(agent, env, episodes=1) == -13.0).all()


def test_taxi_comes_near_its_optimum():
    timesteps, config = PRESETS["Taxi-v4"]
    agent = QLearning("Taxi-v4", **vars(config)).learn(timesteps)
    env = gym.make("Taxi-v4")
    starts = np.flatnonzero(env.unwrapped.initial_state_distrib)
    scores = policy_values(env, agent.table[0].argmax(1), 0.99)[starts]
    best = best_values(env, 0.99)[starts]
    assert (best - scores).mean() < 0.1


@pytest.mark.parametrize("space", [MULTI, PAIR])
def test_observations_of_several_parts_have_a_row_for_each_combination(space):
    agent = QLearning(lambda: Digits(space), seeds=2, n_envs=2, gamma=0.0).learn(2_000)
    assert agent.table.shape == (2, 12, 3)
    assert (evaluate(agent, lambda: Digits(space), episodes=5) == 10.0).all()
    assert agent[0].predict((5, -2), deterministic=True)[0] == 2
    assert agent.predict(np.full((2, 7, 2), [2, -4]), deterministic=True)[0].tolist() == [[0] * 7] * 2


def test_rows_begin_at_the_smallest_observation():
    agent = QLearning(lambda: Loop(gym.spaces.Discrete(3, start=7))).learn(50)
    assert agent.table[0, 0].any()
    assert not agent.table[0, 1:].any()
    assert agent[0].predict(9)[0] in (3, 4)


# --------------------------------------------------------------------------------------- interface and files


def test_predict_has_sb3s_shapes_and_gives_a_scalar_for_one_observation():
    agent = QLearning(LAKE)
    action, state = agent.predict(3, deterministic=True)
    assert (np.shape(action), state) == ((), None)
    gym.make(LAKE).unwrapped.P[0][action]  # can be a key
    assert agent.predict([3, 4, 5])[0].shape == (3,)
    several = QLearning(LAKE, seeds=2)
    assert several.predict([3, 4])[0].shape == (2,)
    assert several.predict([[3, 4, 5], [1, 2, 3]])[0].shape == (2, 3)
    with pytest.raises(ValueError, match="observation must have shape"):
        several.predict(3)


@pytest.mark.parametrize("bad", [16, -1, 1.5, float("nan")])
def test_an_observation_that_has_no_row_is_refused(bad):
    with pytest.raises(ValueError, match="observation must be one of"):
        QLearning(LAKE).predict(bad, deterministic=True)


def test_sb3s_evaluate_policy_runs_on_a_tuple_of_observations():
    agent = QLearning(lambda: Loop(PAIR)).learn(200)
    assert agent.predict((2, -4), deterministic=True)[0].shape == ()
    mean, deviation = evaluate_policy(QLearning("Blackjack-v1").learn(500), gym.make("Blackjack-v1"), 5, warn=False)
    assert -1.0 <= mean <= 1.0
    assert deviation >= 0.0


def test_sb3s_evaluate_policy_runs_on_one_seed():
    env = gym.make(LAKE, is_slippery=False)
    agent = QLearning(env, seeds=2, learning_rate=0.5, initial_value=1.0).learn(5_000)
    assert evaluate_policy(agent[1], env, n_eval_episodes=2, warn=False) == (1.0, 0.0)


def test_what_is_saved_is_loaded_and_learns_on(tmp_path):
    for power in (0.0, 0.5):
        agent = QLearning(LAKE, seeds=[3, 5], visit_power=power).learn(1_000)
        agent.save(tmp_path / "agent")
        loaded = QLearning.load(tmp_path / "agent", env=LAKE)
        assert (loaded.config, loaded.seeds, loaded.spaces) == (agent.config, agent.seeds, agent.spaces)
        assert np.array_equal(loaded.table, agent.table)
        assert np.array_equal(loaded.visits, agent.visits)
        assert loaded.visits.any() == (power > 0)
        assert loaded.learn(100, reset_num_timesteps=False).num_timesteps == 1_100
    with pytest.raises(ValueError, match="agent was made for"):
        QLearning.load(tmp_path / "agent", env="CliffWalking-v1").learn(1)


def test_tensorboard_gets_sb3s_keys(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    QLearning(LAKE, tensorboard_log=tmp_path).learn(300, log_interval=100)
    log = EventAccumulator(str(tmp_path / "QLearning_1")).Reload()
    keys = {"rollout/exploration_rate", "rollout/ep_rew_mean", "train/loss", "train/learning_rate", "time/fps"}
    assert keys <= set(log.Tags()["scalars"])


def test_the_command_line_trains_with_the_presets(tmp_path, capsys):
    main(QLearning, PRESETS, ["--env", LAKE, "--total-timesteps", "500", "--save", str(tmp_path / "a")])
    assert "Return of 100 greedy episodes" in capsys.readouterr().out
    loaded = QLearning.load(tmp_path / "a")
    assert loaded.config == PRESETS[LAKE][1]
    assert torch.equal(loaded.state_dict()["table"], torch.from_numpy(loaded.table))


def test_help_explains_every_option():
    command = [sys.executable, "-m", "agents.q_learning", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env={"COLUMNS": "200"}).stdout
    for text in ("python -m agents.q_learning", "--visit-power", "--initial-value", "CliffWalking-v1", "lin_FLOAT"):
        assert text in shown


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"learning_rate": 0.0}, ValueError),
        ({"visit_power": -1.0}, ValueError),
        ({"gamma": 1.1}, ValueError),
        ({"initial_value": float("nan")}, ValueError),
        ({"exploration_fraction": 1.5}, ValueError),
        ({"exploration_initial_eps": "1"}, TypeError),
        ({"exploration_final_eps": -0.1}, ValueError),
    ],
)
def test_bad_arguments_are_refused_by_name(bad, error):
    with pytest.raises(error, match=next(iter(bad))):
        QLearning(LAKE, **bad)


def test_spaces_that_no_table_has_room_for_are_refused_by_name():
    box, discrete = gym.spaces.Box(-1, 1, (3,)), gym.spaces.Discrete(2)
    for observation in (box, gym.spaces.Tuple([discrete, box]), gym.spaces.MultiDiscrete([[2, 2]])):
        with pytest.raises(ValueError, match="observation_space must be Discrete"):
            TableSpaces.of(observation, discrete)
    with pytest.raises(ValueError, match="at most 16,777,216 values"):
        TableSpaces.of(gym.spaces.MultiDiscrete([5_000, 5_000]), discrete)
    with pytest.raises(ValueError, match="action_space must be Discrete"):
        TableSpaces.of(discrete, box)
    with pytest.raises(ValueError, match="observation_space must be Discrete"):
        QLearning("CartPole-v1")
