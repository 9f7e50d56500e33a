"""Anything may be passed to any argument: it is refused by a message that names it, or used as it was given."""

import datetime
import decimal
import fractions
import math
import operator

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.trading_env.markets import random_market
from trading_env import Costs, FeatureScaler, Margin, TradingEnv, TradingVectorEnv

fuzz = settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
N_BARS = 12
MARKET = random_market(0, N_BARS, bars_per_year=252.0)
NAMES = ["close", "log_return_1"]
WORLD = {"data": MARKET, "window": 2, "features": NAMES}

# -- junk ------------------------------------------------------------------------------------------------------

ODD = [
    10**400,
    -(10**400),
    2**63,
    5e-324,
    1e308,
    -0.0,
    math.nan,
    math.inf,
    1j,
    np.array(2),
    np.array([2]),
    np.array(0.5),
]
ODD += [
    np.float32(0.5),
    np.float16(1),
    np.int8(3),
    np.uint64(2**63),
    np.bool_(True),
    np.float64("nan"),
    np.longdouble(2),
]
ODD += [decimal.Decimal("0.5"), fractions.Fraction(1, 3)]
numbers = st.one_of(st.integers(), st.integers(-3, 15), st.floats(), st.floats(-2.0, 2.0), st.sampled_from(ODD))
things = st.sampled_from(
    [
        object(),
        ...,
        int,
        range(3),
        {1, 2},
        datetime.date(2020, 1, 1),
        memoryview(b"a"),
        np.ma.array([1, 0], mask=[1, 0]),
    ]
)
words = [
    "close",
    "drop",
    "pnl",
    "flat",
    "lots",
    "continuous",
    "drift",
    "RSI_14",
    "year",
    "~nobody/x.csv",
    "x" * 300 + ".csv",
]
texts = st.one_of(st.text(max_size=6), st.sampled_from(words), st.binary(max_size=4))
dtypes = st.one_of(hnp.scalar_dtypes(), st.just(np.dtype(object)))
arrays = hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3))
keys = st.one_of(st.text(max_size=6), st.integers(), st.none())
junk = st.recursive(
    st.one_of(numbers, st.none(), st.booleans(), texts, things, arrays),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple), st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=4,
)


def near(cls):
    """Mappings of the fields of a config to numbers."""
    values = st.one_of(numbers, st.floats(0.0, 0.2), st.floats(0.0, 50.0))
    return st.dictionaries(st.sampled_from(list(cls.__dataclass_fields__)), values, max_size=4)


scalers = st.fixed_dictionaries(
    {
        "names": st.one_of(junk, st.just(NAMES)),
        "mean": st.lists(numbers, max_size=3),
        "scale": st.lists(numbers, max_size=3),
    }
)
tables = hnp.arrays(np.float64, st.tuples(st.just(N_BARS), st.integers(0, 2)))
some_names = st.lists(st.sampled_from(["close", "open", "volume", "log_return_1", "RSI", "year", 3]), max_size=3)
targets = st.lists(st.floats(-1.5, 1.5), max_size=4)
NEAR = {
    "data": st.lists(st.one_of(st.just(MARKET), junk), max_size=2),
    "features": st.one_of(
        st.tuples(
            st.sampled_from(["RSI", "BBANDS", "RSI_nan"]), st.dictionaries(st.sampled_from(["timeperiod", 1]), junk)
        ).map(lambda indicator: [indicator]),
        st.from_regex(r"\A(RSI|BBANDS|MACD)(_[0-9.e]{1,4}){0,3}(\.[a-z]{1,5})?\Z").map(lambda name: [name]),
        tables,
        some_names,
        junk.map(lambda value: lambda market: value),
    ),
    "scaler": st.one_of(scalers, st.just(FeatureScaler())),
    "actions": st.one_of(targets, targets.map(tuple), targets.map(np.array)),
    "costs": near(Costs),
    "margin": near(Margin),
    "reward": junk.map(lambda value: lambda before, after: value),
    "random_start": st.booleans(),
}
PLAIN = ["window", "lots", "lot_size", "min_trade", "initial_cash", "bars_per_year", "episode_length"]
PLAIN += ["allow_short", "sizing", "fill", "observation", "on_missing", "render_mode"]
USED = {  # what shows that an accepted value is used as it is; None where it stands for a default
    "window": lambda env, value: env.task.window == value,
    "lots": lambda env, value: len(env.task.orders) == 2 * value + 1,
    "lot_size": lambda env, value: value is None or env.task.lot_size == float(value),
    "min_trade": lambda env, value: env.task.min_trade == float(value),
    "initial_cash": lambda env, value: env.reset()[1]["equity"] == float(value),
    "bars_per_year": lambda env, value: value is None or env.task.years == [1.0 / float(value)],
    "episode_length": lambda env, value: env.task.episode_length == value,
    "actions": lambda env, value: isinstance(value, str) or env.task.orders.tolist() == list(value),
    "costs": lambda env, value: all(getattr(env.task.costs, k) == float(v) for k, v in (value or {}).items()),
    "margin": lambda env, value: all(getattr(env.task.margin, k) == float(v) for k, v in (value or {}).items()),
    "allow_short": lambda env, value: (env.task.orders[0] == -1.0) == bool(value),
}


class Refusal:
    """A block that may raise a TypeError or a ValueError whose message has the name; nothing else."""

    def __init__(self, name):
        self.name, self.raised = name, False

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None or not issubclass(kind, (TypeError, ValueError)):
            return False
        if self.name not in str(error).lower():
            raise AssertionError(f"the message does not name {self.name!r}: {error}") from error
        self.raised = True
        return True


def play(env, n_steps=N_BARS):
    """Steps at random to the end; every step is checked."""
    obs, info = env.reset(seed=0)
    env.action_space.seed(0)
    assert obs in env.observation_space
    for _ in range(n_steps):
        before = info
        obs, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert obs in env.observation_space
        assert math.isfinite(reward)
        terms = info["pnl"] - info["commission"] - info["slippage"] - info["financing"]
        traded, held = info["turnover"] * before["equity"], abs(before["exposure"]) * before["equity"]
        size = before["equity"] + abs(info["equity"]) + abs(info["units"]) * MARKET.close[info["bar"]] + held + traded
        assert info["equity"] - before["equity"] == pytest.approx(terms, abs=1e-12 * size)
        assert not (terminated and truncated)
        if terminated or truncated:
            break


# -- constructors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keyword", [*NEAR, *PLAIN])
@given(data=st.data())
@fuzz
def test_an_argument_is_used_as_given_or_refused_by_name(keyword, data):
    plain = st.one_of(numbers, junk) if keyword in PLAIN else junk
    value = data.draw(st.one_of(NEAR.get(keyword, plain), plain))
    keywords = {**WORLD, **({"actions": "lots"} if keyword == "lots" else {}), keyword: value}
    name = keyword.rstrip("s")  # costs are named Costs.fixed, features a feature
    with Refusal(name) as refusal:
        env = TradingEnv(**keywords)
    if refusal.raised:
        return
    assert USED.get(keyword, lambda env, value: True)(env, value)
    with Refusal(name) as refusal:
        play(env)
    assert not refusal.raised or callable(value)


REFUSED = [
    ({"initial_cash": 10**400}, "initial_cash"),
    ({"costs": {"fixed": 10**400}}, "Costs.fixed"),
    ({"margin": {"max_leverage": 10**400}}, "Margin.max_leverage"),
    ({"costs": {1: 2, "a": 3}}, "costs"),
    ({"actions": np.array([0.0, 1.0]), "allow_short": True}, "allow_short"),
    ({"lots": 10**12, "actions": "lots"}, "lots"),
    ({"data": "~nobody-of-that-name/x.csv"}, "data"),
    ({"data": "x" * 300 + ".csv"}, "data"),
    ({"data": "a\0b.csv"}, "data"),
    ({"scaler": {"names": 3, "mean": [], "scale": []}}, "scaler"),
    ({"scaler": {None: 1, "names": 2}}, "scaler"),
    ({"scaler": {"names": NAMES, "mean": [0, 0], "scale": [1, 1e-90]}}, "scaler"),
    ({"features": lambda market: [[1.0], [1.0, 2.0]]}, "feature"),
    ({"initial_cash": 5e-324}, "initial_cash"),
    ({"bars_per_year": 1e-320}, "bars_per_year"),
    ({"features": ["RSI_nan"]}, "feature"),
    ({"features": [("RSI", {"timeperiod": None})]}, "feature"),
    ({"features": [(0, {})]}, "feature"),
    ({"features": ["RSI_10"]}, "features and window=2 put the first decision at bar 11"),
    ({"features": np.ma.array(np.ones((N_BARS, 1)), mask=np.eye(N_BARS, 1))}, "feature"),
    ({"actions": np.array(False)}, "actions"),
    ({"render_mode": np.array([])}, "render_mode"),
]


@pytest.mark.parametrize(("keywords", "name"), REFUSED)
def test_what_the_fuzz_found_is_refused_by_name(keywords, name):
    with pytest.raises((TypeError, ValueError), match=name):
        TradingEnv(**{**WORLD, **keywords})


RETURNED = ["0.5", 1j, [1.0, 2.0], [[1.0], [1.0, 2.0]], None, [10**400], np.nan, {}, np.array([1 + 2j])]


@pytest.mark.parametrize("returned", RETURNED)
def test_a_reward_callable_that_returns_no_reals_of_the_right_shape_is_refused(returned):
    for env in (TradingEnv, TradingVectorEnv):
        env = env(**WORLD, reward=lambda before, after: returned)
        env.reset()
        with pytest.raises((TypeError, ValueError), match="reward"):
            env.step(0 if isinstance(env, TradingEnv) else np.array([0]))


@given(n=st.one_of(numbers, junk), mode=junk)
@fuzz
def test_the_vector_envs_own_arguments_are_used_or_refused_by_name(n, mode):
    if not (isinstance(n, (int, np.integer)) and 1000 < n < 2**31):  # a million sub-envs may be asked for
        with Refusal("num_envs") as refusal:
            env = TradingVectorEnv(n, **WORLD)
        assert refusal.raised or env.reset()[0].shape[0] == n
    with Refusal("autoreset_mode"):
        TradingVectorEnv(2, autoreset_mode=mode, **WORLD)


# -- reset and step --------------------------------------------------------------------------------------------

LIST = {**WORLD, "data": [MARKET, MARKET], "random_start": True, "episode_length": 4}
option_values = st.one_of(junk, st.integers(-1, N_BARS), st.lists(st.integers(-1, N_BARS), min_size=2, max_size=2))
options = st.one_of(
    junk,
    st.fixed_dictionaries({}, optional={"start": option_values, "data": option_values, "reset_mask": option_values}),
)


@given(options=options)
@example(options={1: 2, "a": 3})
@example(options=[1, 2])
@example(options={"start": [[1], [1, 2]]})
@fuzz
def test_reset_options_are_used_or_refused_by_name(options):
    for env in (TradingEnv(**LIST), TradingVectorEnv(2, **LIST)):
        env.reset(seed=0)
        with Refusal("option") as refusal:
            _, info = env.reset(options=options)
        if not refusal.raised and options and options.get("start") is not None:
            starts = np.broadcast_to(np.array(options["start"], dtype=object), (2,)).tolist()
            bars = np.broadcast_to(info["bar"], (2,)).tolist()
            assert all(start in (None, bar) for start, bar in zip(starts, bars, strict=True))


@given(seed=st.one_of(junk, st.lists(st.integers(-1, 3), min_size=2, max_size=2)))
@example(seed=[0.7, 1.7])
@example(seed=-1)
@fuzz
def test_seeds_of_the_vector_env_are_used_or_refused_by_name(seed):
    env = TradingVectorEnv(2, **LIST)
    with Refusal("seed") as refusal:
        env.reset(seed=seed)
    if not refusal.raised and seed is not None:
        expected = [seed, seed + 1] if np.ndim(seed) == 0 else list(seed)
        assert all(s in (None, own) for s, own in zip(expected, env.np_random_seed, strict=True))


SPACES = [{}, {"actions": "continuous"}, {"actions": "lots", "lots": 2}]
near_actions = st.one_of(
    st.integers(-1, 5),
    st.booleans(),
    st.sampled_from([np.int8(1), np.uint64(2**64 - 1), np.array(2), np.array([1]), np.float32(1), np.array(["1"])]),
    hnp.arrays(st.sampled_from([np.float16, np.float32, np.float64]), st.sampled_from([(), (1,), (2,), (1, 1)])),
)


@pytest.mark.parametrize("keywords", SPACES)
@given(action=st.one_of(junk, near_actions))
@fuzz
def test_a_scalar_action_is_used_or_refused_and_then_changes_nothing(keywords, action):
    env, twin = (TradingEnv(**WORLD, allow_short=not keywords, **keywords) for _ in range(2))
    env.reset(), twin.reset()
    with Refusal("action") as refusal:
        step = env.step(action)
    if not refusal.raised:
        discrete = isinstance(env.action_space, spaces.Discrete)
        as_meant = operator.index(action) if discrete else action.astype(np.float64)
        assert discrete or (np.abs(action) <= 1.0).all()
        np.testing.assert_equal(step, twin.step(as_meant))
    valid = twin.action_space.high if "continuous" in keywords.values() else 2
    np.testing.assert_equal(env.step(valid), twin.step(valid))


batches = st.one_of(
    hnp.arrays(hnp.scalar_dtypes(), st.sampled_from([(2,), (2, 1), (1,), (3,), (2, 2)])),
    hnp.arrays(hnp.integer_dtypes(), (2,), elements=st.integers(0, 5)),
    hnp.arrays(np.float32, (2, 1), elements=st.floats(-1.25, 1.25, width=32)),
    st.lists(st.integers(-1, 5), min_size=2, max_size=2),
    st.sampled_from([np.array([2, 1, 0, 1])[::2], np.array([1, 2], ">i4")]),
)


@pytest.mark.parametrize("keywords", SPACES)
@given(actions=st.one_of(junk, batches))
@example(actions=np.array([2, 1, 0, 1])[::2])
@example(actions=np.array([0.5, 0.1, -0.5, 0.1])[::2, None])
@fuzz
def test_vector_actions_are_used_or_refused_and_then_change_nothing(keywords, actions):
    env, twin = (TradingVectorEnv(2, **WORLD, **keywords) for _ in range(2))
    valid = np.ones((2, 1)) if "continuous" in keywords.values() else np.array([2, 0])
    for each in (env, twin):
        each.reset()
        each.step(valid)
    with Refusal("action") as refusal:
        step = env.step(actions)
    if not refusal.raised:
        exact = np.array(actions, np.float64 if "continuous" in keywords.values() else np.int64)
        np.testing.assert_equal(step, twin.step(exact))
    np.testing.assert_equal(env.step(valid), twin.step(valid))


@pytest.mark.parametrize("vector", [False, True])
def test_before_a_reset_every_call_asks_for_one(vector):
    env = TradingVectorEnv(2, **WORLD) if vector else TradingEnv(**WORLD, render_mode="ansi")
    calls = [lambda: env.step(np.array([0, 0]) if vector else 0), env.action_masks, env.afterstates, env.counterfactual]
    for call in calls if vector else [*calls, env.history, env.render]:
        with pytest.raises(ResetNeeded, match=r"reset|step"):
            call()
