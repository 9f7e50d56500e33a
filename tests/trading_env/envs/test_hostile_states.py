"""States that anyone may have written are refused by name before anything of them is taken, or safe."""

import contextlib
import copy
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from tests.trading_env.markets import random_market
from trading_env import TradingEnv, TradingVectorEnv

N, N_BARS = 3, 14


class WrongRewardError(Exception):
    """The reward callable divides by an equity that the state gave."""


def growth(before, after):
    if (before["equity"] < 1.0).any() or (abs(before["equity"]) > 1e300).any():
        raise WrongRewardError
    return after["equity"] / before["equity"] - 1.0


MARKETS = [random_market(0, N_BARS), random_market(1, 20)]
WORLD = {"data": MARKETS, "window": 2, "features": ["close", "log_return_1"], "random_start": True}
RITTER = "trading_env:reference/Ritter-v0"
ENVS = {
    "scalar": lambda: TradingEnv(**WORLD, allow_short=True),
    "episodes": lambda: TradingEnv(**WORLD, episode_length=6),
    "callable": lambda: TradingEnv(**WORLD, reward=growth),
    "vector": lambda: TradingVectorEnv(N, **WORLD),
    "vector, same step": lambda: TradingVectorEnv(N, **WORLD, autoreset_mode="SAME_STEP", episode_length=6),
    "vector, callable": lambda: TradingVectorEnv(N, **WORLD, reward=growth),
    "reference": lambda: gym.make(RITTER, n_steps=8).unwrapped,
    "reference vector": lambda: gym.make_vec(RITTER, N, "vector_entry_point", n_steps=8),
    "reference window": lambda: gym.make("trading_env:reference/MoodySaffell-v0", n_steps=8, window=3).unwrapped,
}


def begun(name, steps=4):
    """An env of that name after some steps."""
    env = ENVS[name]()
    env.reset(seed=5, options={"start": 4, "data": 0} if hasattr(env, "task") else None)
    env.action_space.seed(5)
    for _ in range(steps):
        env.step(env.action_space.sample())
    return env


def same(one, other):
    """Whether two states or steps are the same, kinds of numbers included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return one == other or (one != one and other != other)


def exercised(env):
    """Reads all that the state's numbers lead to, and goes on to the end of the data."""
    for name in ("history", "counterfactual", "afterstates", "action_masks"):
        if hasattr(env, name):
            with contextlib.suppress(ResetNeeded):
                getattr(env, name)()
    env.action_space.seed(1)
    with contextlib.suppress(ResetNeeded):
        for _ in range(25):
            env.step(env.action_space.sample())


def places(state, path=()):
    """Paths to every part of the state; of arrays to their first and last number too."""
    if path:
        yield path
    if isinstance(state, dict):
        for key, part in state.items():
            yield from places(part, (*path, key))
    elif isinstance(state, list):
        for i, part in enumerate(state):
            yield from places(part, (*path, i))
    elif isinstance(state, np.ndarray) and state.size:
        for index in np.ndindex(state.shape):
            yield (*path, index)


def changed(state, path, value):
    """A copy of the state with a value at a path; None where it cannot stand there."""
    state = copy.deepcopy(state)
    part = state
    for key in path[:-1]:
        part = part[key]
    if isinstance(part, np.ndarray):
        if not isinstance(value, (int, float)) or (part.dtype.kind in "ib" and value != value):
            return None
        try:
            part[path[-1]] = value
        except (OverflowError, ValueError):
            return None
        return state
    part[path[-1]] = value
    return state


VALUES = [None, True, "x", -1, 0, 1, 10**9, 2**62, 10**400, 1e308, float("nan"), float("inf"), -1e-300, [], {}]
VALUES += [[0, 10**9], (0, 3), np.zeros(0), np.zeros((N, 4), np.int64), np.full((1, 4), 2**62), np.array(3.0), object()]


@pytest.mark.parametrize("name", ENVS)
def test_a_state_with_any_part_changed_is_refused_or_safe(name):
    env, twin = begun(name), begun(name)
    state, n_refused = env.get_state(), 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of numbers that are finite, and too large for the features
        for path in places(state):
            for value in VALUES:
                other = changed(state, path, value)
                if other is None or same(other, state):
                    continue
                try:
                    env.set_state(other)
                except ValueError as error:
                    n_refused += refused_by_name(error)
                    assert same(env.get_state(), state)
                else:
                    with contextlib.suppress(WrongRewardError):
                        exercised(env)
                    env.set_state(state)
    assert n_refused > 300
    action = env.action_space.sample()
    assert same(env.step(action), twin.step(action))


def refused_by_name(error):
    assert "state" in str(error)
    return True


def changing(state, **parts):
    return {**state, **parts}


def with_number(state, name, index, value):
    values = state[name].copy()
    values[index] = value
    return changing(state, **{name: values})


SCALAR = {
    "an episode of no bar": (lambda s: changing(s, _opened=(0, 10**9)), "_opened"),
    "an episode of no market": (lambda s: changing(s, _opened=[9, 3]), "_opened"),
    "an episode of a negative bar": (lambda s: changing(s, _opened=[0, -1]), "_opened"),
    "an episode of another bar": (
        lambda s: changing(s, _opened=[s["_opened"][0], s["_opened"][1] + 1]),
        "_opened|_asked",
    ),
    "more orders than steps": (lambda s: changing(s, _asked=np.tile(s["_asked"], 50)), "_asked"),
    "fewer orders than steps": (lambda s: changing(s, _asked=s["_asked"][:-1]), "_asked"),
    "an order of no action": (lambda s: with_number(s, "_asked", 0, 0.3), "_asked"),
    "orders of another kind": (lambda s: changing(s, _asked=s["_asked"].astype(object)), "_asked"),
    "a clock on the last bar while running": (
        lambda s: with_number(s, "_clock", (0, 0), s["_clock"][0, 1]),
        r"_clock.* with a next bar for",
    ),
    "a clock beyond the data": (lambda s: with_number(s, "_clock", (0, 1), 10**9), "_clock"),
    "a clock in another market": (lambda s: with_number(s, "_clock", (0, 2), N_BARS - s["_clock"][0, 2]), "_clock"),
    "a clock between markets": (lambda s: with_number(s, "_clock", (0, 2), 5), "_clock"),
    "a past row elsewhere": (lambda s: with_number(s, "_clock", (0, 3), 2), "_clock|_state"),
    "cash that is no number": (lambda s: with_number(s, "_state", 0, np.nan), "_state.* must be finite"),
    "endless units": (lambda s: with_number(s, "_state", 1, np.inf), "_state.* must be finite"),
    "equity out of nowhere": (lambda s: with_number(s, "_state", 3, 1e9), "_state.* that steps can lead to"),
    "another initial equity": (lambda s: with_number(s, "_state", 6, 1.0), "_state.* that steps can lead to"),
    "a bar of another length": (lambda s: with_number(s, "_state", 9, 1e6), "_state.* that steps can lead to"),
    "info without a key": (lambda s: changing(s, _info={"equity": 1.0}), "_info"),
    "info that is no number": (lambda s: changing(s, _before={**s["_before"], "cash": "1"}), r"_before.*cash"),
    "no stream": (lambda s: changing(s, streams=[]), "random streams"),
    "a stream of no generator": (lambda s: changing(s, streams=[{"bit_generator": "PCG64"}]), "streams"),
    "another fingerprint": (lambda s: changing(s, fingerprint=np.zeros(3)), "other data or other keywords"),
    "no state": (lambda s: [1], "state must be a dict"),
}


@pytest.mark.parametrize("case", SCALAR)
def test_a_scalar_state_that_leads_astray_is_refused_and_nothing_of_it_is_taken(case):
    change, message = SCALAR[case]
    env, twin = begun("scalar"), begun("scalar")
    other = begun("scalar", steps=2)
    before = other.get_state()
    with pytest.raises(ValueError, match=message):
        other.set_state(change(env.get_state()))
    assert same(other.get_state(), before)
    assert same(env.step(2), twin.step(2))
    other.history()


VECTOR = {
    "a clock on the last bar while running": (
        lambda s: with_number(s, "_clock", (1, 0), s["_clock"][1, 1]),
        r"_clock.* with a next bar for",
    ),
    "ended without any ended": (lambda s: with_number(s, "_ended", 1, True), "_any_ended"),
    "any ended without ended": (lambda s: changing(s, _any_ended=True), "_any_ended"),
    "ended without a step": (
        lambda s: changing(with_number(with_number(s, "_ended", 1, True), "_clock", (1, 3), -1), _any_ended=True),
        "_ended.* that have not stepped",
    ),
    "an account that is no number": (lambda s: with_number(s, "_state", (2, 4), np.nan), "_state.* finite"),
    "a ruined account that runs": (
        lambda s: with_number(s, "_state", (0, slice(0, 6)), [1.0, 0.0, 0.0, 1.0, 0.0, 100_000.0]),
        "_state",
    ),
    "accounts of fewer": (lambda s: changing(s, _state=s["_state"][:2]), "_state"),
    "flags of another kind": (lambda s: changing(s, _ended=s["_ended"].astype(int)), "_ended"),
    "seeds that are none": (lambda s: changing(s, _rng_seeds=[1.5] * N), "_rng_seeds"),
    "info where none is kept": (lambda s: changing(s, _before={"equity": np.zeros(N)}), "_before"),
}  # fmt: skip


@pytest.mark.parametrize("case", VECTOR)
def test_a_vector_state_that_leads_astray_is_refused_and_nothing_of_it_is_taken(case):
    change, message = VECTOR[case]
    env, other = begun("vector", steps=1), begun("vector", steps=3)
    before = other.get_state()
    with pytest.raises(ValueError, match=message):
        other.set_state(change(env.get_state()))
    assert same(other.get_state(), before)


def test_same_step_keeps_no_ended_episode():
    env = begun("vector, same step")
    state = env.get_state()
    with pytest.raises(ValueError, match="_any_ended"):
        env.set_state(changing(state, _ended=np.array([True, False, False]), _any_ended=True))


def test_places_in_a_generators_buffer_are_checked():
    env = ENVS["scalar"]()
    for kind, name in ((np.random.MT19937, "pos"), (np.random.Philox, "buffer_pos")):
        env.np_random = np.random.Generator(kind(3))
        env.reset()
        state = env.get_state()
        env.set_state(state)
        stream = state["streams"][0]
        (stream["state"] if name == "pos" else stream)[name] = 10**6
        with pytest.raises(ValueError, match="places inside a buffer"):
            env.set_state(state)


EPISODES = {
    "a row beyond the path": (lambda e: with_number(e, "row", 0, 9), "row"),
    "the last row while running": (lambda e: with_number(e, "row", 0, 8), "row"),
    "a negative row": (lambda e: with_number(e, "row", 0, -1), "row"),
    "a negative noise seed": (lambda e: with_number(e, "noise_seed", 0, -1), "noise_seed"),
    "a position that is no number": (lambda e: with_number(e, "position", 0, np.nan), "position"),
    "a last step of none": (lambda e: changing(e, last=[np.array([7]), *e["last"][1:]]), "last"),
    "a last step of four": (lambda e: changing(e, last=e["last"][:4]), "last"),
    "a last step that is no number": (
        lambda e: changing(e, last=[*e["last"][:3], np.full(1, np.inf), e["last"][4]]),
        "last",
    ),
    "other paths": (lambda e: changing(e, now=e["now"] + 1.0), "other keywords"),
}


@pytest.mark.parametrize("case", EPISODES)
def test_a_reference_state_that_leads_astray_is_refused_and_nothing_of_it_is_taken(case):
    change, message = EPISODES[case]
    env, other = begun("reference"), begun("reference", steps=2)
    before, state = other.get_state(), env.get_state()
    with pytest.raises(ValueError, match=message):
        other.set_state({**state, "episodes": change(state["episodes"])})
    assert same(other.get_state(), before)


@pytest.mark.parametrize("name", ["reference", "reference vector"])
def test_a_reference_env_that_was_never_reset_has_a_state_too(name):
    env, other = ENVS[name](), begun(name)
    other.set_state(env.get_state())
    with pytest.raises(ResetNeeded):
        other.step(other.action_space.sample())
    assert same(other.reset(seed=2), env.reset(seed=2))


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_every_state_that_steps_leave_is_taken(mode):
    env = TradingVectorEnv(N, **{**WORLD, "episode_length": 5}, autoreset_mode=mode)
    other = TradingVectorEnv(N, **{**WORLD, "episode_length": 5}, autoreset_mode=mode)
    env.reset(seed=1)
    env.action_space.seed(1)
    for _ in range(60):
        ends = env.step(env.action_space.sample())[2:4]
        other.set_state(env.get_state())
        assert same(other.get_state(), env.get_state())
        if mode is AutoresetMode.DISABLED and np.any(ends):
            env.reset(options={"reset_mask": ends[0] | ends[1]})
            other.set_state(env.get_state())


def test_the_wants_of_continuous_actions_lie_within_the_leverage():
    env = TradingEnv(**WORLD, actions="continuous", allow_short=False)
    env.reset(options={"start": 4, "data": 0})
    for _ in range(3):
        env.step(np.array([0.5]))
    state = env.get_state()
    env.set_state(state)
    for order in (1.5, -0.5, np.nan):
        with pytest.raises(ValueError, match="_asked"):
            env.set_state(with_number(state, "_asked", 1, order))
