import dataclasses
import json

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from agents.envs.seed_envs import Spaces, check_finite, env_seeds, make_envs


def zeros(S: int, N: int) -> np.ndarray:
    return np.zeros((S, N), np.int64)


@pytest.mark.parametrize(
    "env", ["CartPole-v1", gym.spec("CartPole-v1"), gym.make("CartPole-v1"), lambda: gym.make("CartPole-v1")]
)
def test_every_way_of_naming_an_env_gives_the_same_envs(env):
    envs = make_envs(env, (0, 7), 3)
    assert envs.reset().shape == (2, 3, 4)
    assert np.array_equal(make_envs("CartPole-v1", (0, 7), 3).reset(), make_envs(env, (0, 7), 3).reset())


def test_a_copy_keeps_the_options_of_the_env_it_is_made_from():
    envs = make_envs(gym.make("CartPole-v1", max_episode_steps=7), (0,), 1)
    envs.reset()
    lengths = [envs.step(np.full((1, 1), i % 2)).ended.item() for i in range(7)]
    assert lengths == [False] * 6 + [True]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_reward_that_is_not_finite_is_refused(bad):
    env = gym.wrappers.TransformReward(gym.make("CartPole-v1"), lambda reward: bad)
    envs = make_envs(lambda: env, (0,), 1)
    envs.reset()
    with pytest.raises(ValueError, match="finite rewards"):
        envs.step(zeros(1, 1))


class Sick(gym.Env):
    """Shows a bad number in a certain step, counted from 0 at the reset; an episode has two steps."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, bad: float, step: int) -> None:
        self.bad, self.sick = bad, step

    def _obs(self):
        return np.array([3.0, self.bad if self.t == self.sick else 1e30], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._obs(), {}

    def step(self, action):
        self.t += 1
        return self._obs(), 0.0, False, self.t == 2, {}


@pytest.mark.parametrize("bad", [float("nan"), float("-inf")])
@pytest.mark.parametrize("step", [0, 1, 2])
def test_an_observation_that_is_not_finite_is_refused(bad, step):
    envs = make_envs(lambda: Sick(bad, step), (0,), 1)

    def run():
        envs.reset()
        for _ in range(step):
            envs.step(zeros(1, 1))

    with pytest.raises(ValueError, match=r"finite observations that float32 can hold, got \[ *(nan|-inf)\]"):
        run()


def test_observations_whose_squares_overflow_are_taken():
    envs = make_envs(lambda: Sick(0.0, 9), (0,), 1)
    assert envs.reset().max() == np.float32(1e30)
    assert envs.step(zeros(1, 1)).next_obs.max() == np.float32(1e30)


def test_a_seed_has_the_same_envs_alone_and_among_others():
    among, alone = make_envs("CartPole-v1", (5, 3, 9), 2), make_envs("CartPole-v1", (3,), 2)
    rng = np.random.default_rng(0)
    assert np.array_equal(among.reset()[1], alone.reset()[0])
    for _ in range(200):  # past several ends of episodes
        action = rng.integers(2, size=(3, 2))
        a, b = among.step(action), alone.step(action[1:2])
        assert np.array_equal(a.obs[1], b.obs[0])
        assert np.array_equal(a.next_obs[1], b.next_obs[0])
    assert among.returns[1] == alone.returns[0]


def test_seeds_of_sub_envs_do_not_collide_and_do_not_depend_on_their_number():
    assert env_seeds(3, 2, "envs") == env_seeds(3, 5, "envs")[:2]
    every = [word for seed in range(50) for purpose in ("envs", "evaluate") for word in env_seeds(seed, 4, purpose)]
    assert len(set(every)) == len(every)


def test_gymnasiums_native_cartpole_is_not_used_because_its_seeds_mix():
    assert gym.spec("CartPole-v1").vector_entry_point is not None
    assert type(make_envs("CartPole-v1", (0,), 1).vector_env) is SyncVectorEnv


class Apart(CartPoleVectorEnv):
    """Declares what native vector envs must declare."""

    def __init__(self, num_envs: int = 1, autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP, **options):
        super().__init__(num_envs, **options)
        self.metadata = {**self.metadata, "autoreset_mode": autoreset_mode, "independent_sub_envs": True}


@pytest.fixture
def declared():
    gym.register("Declared-v0", "gymnasium.envs.classic_control:CartPoleEnv", vector_entry_point=Apart)
    yield "Declared-v0"
    del gym.registry["Declared-v0"]


def test_a_native_vector_env_that_declares_its_sub_envs_apart_is_used(declared):
    vector = make_envs(declared, (0, 1), 4).vector_env
    assert isinstance(vector, Apart)
    assert vector.num_envs == 8
    assert vector.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP


def test_it_is_not_used_for_an_env_with_wrappers_or_a_time_limit_it_does_not_know(declared):
    wrapped = gym.wrappers.TransformReward(gym.make(declared), abs)
    for env in (wrapped, gym.make(declared, max_episode_steps=9)):
        assert type(make_envs(env, (0,), 1).vector_env) is SyncVectorEnv


def test_next_obs_is_where_the_episode_ended_and_obs_where_the_next_began(counter):
    envs = make_envs(counter, (0, 1), 1)
    obs = envs.reset()
    for _ in range(30):
        step = envs.step(zeros(2, 1))
        before, after, shown = obs[:, 0], step.next_obs[:, 0], step.obs[:, 0]
        assert (after[:, :2] == before[:, :2]).all()  # the same env and episode
        assert (after[:, 2] == before[:, 2] + 1).all()  # one step on
        ended = step.ended[:, 0]
        assert (shown[ended, 1] == before[ended, 1] + 1).all()
        assert (shown[ended, 2] == 0).all()
        assert (shown[~ended] == after[~ended]).all()
        assert (step.terminated[:, 0] == (ended & (before[:, 1] % 2 == 0))).all()
        obs = step.obs
    assert obs.dtype == np.float32


def test_returns_and_lengths_of_episodes_are_counted_per_seed(counter):
    envs = make_envs(counter, (0, 1), 1)
    envs.reset()
    for _ in range(3 + 4 + 5):
        envs.step(zeros(2, 1))
    for s in range(2):
        assert list(envs.lengths[s]) == [3, 4, 5]
        assert list(envs.returns[s]) == [6.0, 10.0, 15.0]


def test_spaces_that_do_not_suit_are_refused_by_name():
    box, discrete = gym.spaces.Box(-1, 1, (3,)), gym.spaces.Discrete(2)
    for observation in (discrete, gym.spaces.Dict(a=box), gym.spaces.MultiBinary(3)):
        with pytest.raises(ValueError, match="observation_space must be a Box"):
            Spaces.of(observation, discrete)
    unbounded, scalar, ints = (
        gym.spaces.Box(-np.inf, 1, (3,)),
        gym.spaces.Box(-1, 1, ()),
        gym.spaces.Box(0, 9, (2,), int),
    )
    for action in (ints, gym.spaces.MultiDiscrete([2, 2])):
        with pytest.raises(ValueError, match="action_space must be Discrete or a Box of floats"):
            Spaces.of(box, action)
    for action in (unbounded, scalar):
        with pytest.raises(ValueError, match="action_space must have finite bounds"):
            Spaces.of(box, action)


def test_spaces_survive_json():
    for action in (gym.spaces.Discrete(3, start=2), gym.spaces.Box(-1, np.array([[1, 2], [3, 4]]), (2, 2), np.float64)):
        spaces = Spaces.of(gym.spaces.Box(-1, 1, (3, 2)), action)
        assert Spaces.from_facts(json.loads(json.dumps(dataclasses.asdict(spaces)))) == spaces


def test_box_actions_are_clipped_to_their_bounds_and_discrete_ones_count_from_their_start():
    box = gym.spaces.Box(-1, 1, (3,))
    spaces = Spaces.of(box, gym.spaces.Box(-1, np.array([[1, 2]]), (1, 2)))
    clipped = spaces.to_env(np.array([[[5.0, 5.0]], [[-3.0, 0.25]]]))
    assert clipped.tolist() == [[[1.0, 2.0]], [[-1.0, 0.25]]]
    assert clipped.dtype == np.float32
    assert Spaces.of(box, gym.spaces.Discrete(3, start=4)).to_env(np.array([0, 2])).tolist() == [4, 6]


def test_what_is_no_env_is_refused(match_env):
    with pytest.raises(TypeError, match="env must be an id"):
        make_envs(3, (0,), 1)
    with pytest.raises(TypeError, match="env must be an id"):
        make_envs(gym.make_vec("CartPole-v1", 2), (0,), 1)
    with pytest.raises(ValueError, match="env has no spec"):
        make_envs(match_env(), (0,), 1)
    with pytest.raises(gym.error.NameNotFound):
        make_envs("NoSuchEnv-v0", (0,), 1)


def test_every_vector_env_runs_in_same_step_mode():
    vector: VectorEnv = make_envs("CartPole-v1", (0,), 2).vector_env
    assert vector.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP


def test_actions_stay_inside_bounds_that_float32_cannot_hold():
    space = gym.spaces.Box(-0.1, 0.1, (2,), np.float64)
    spaces = Spaces.of(gym.spaces.Box(-1.0, 1.0, (3,), np.float32), space)
    actions = spaces.to_env(np.array([[5.0, -5.0], [0.05, 0.1]], np.float32))
    assert all(space.contains(action) for action in actions)
    assert actions[0].tolist() == pytest.approx([0.1, -0.1])


@pytest.mark.parametrize("number", [np.nan, -np.inf, 1e39])
def test_numbers_that_float32_cannot_hold_are_refused(number):
    check_finite("rewards", np.array([1.0, 3e38]))
    with pytest.raises(ValueError, match="the env must give finite rewards that float32 can hold"):
        check_finite("rewards", np.array([1.0, number]))
