"""An env that takes up the state of another one goes on exactly as it does."""

import json

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from tests.trading_env.markets import random_market as market
from trading_env import DifferentialSharpe, TradingEnv, TradingVectorEnv
from trading_env.envs.rendering.render import ansi

N, STEPS = 4, 40
MODES = [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP]


def excess(before, after):
    return np.log(after["equity"] / before["equity"]) - 0.01 * after["turnover"] - 0.001 * (before["bar"] % 3)


COMMON = {
    "random_start": True,
    "window": 3,
    "features": ["log_return_1"],
    "data": market(1),
    "episode_length": 11,
}
CASES = {
    "default": COMMON,
    "two markets": {**COMMON, "data": [market(1), market(2)]},
    "to the end": {**COMMON, "episode_length": None},
    "ruin": {**COMMON, "allow_short": True, "margin": {"ruin_fraction": 0.95}},
    "sharpe": {**COMMON, "reward": DifferentialSharpe(), "costs": {"fixed": 2.0}},
    "continuous": {**COMMON, "actions": "continuous", "margin": {"r_cash": 0.05}, "bars_per_year": 252},
    "dict": {**COMMON, "observation": "dict"},
    "compact": {**COMMON, "observation": "compact"},
    "callable": {**COMMON, "reward": excess},
}


def through_json(state):
    """The state after its plain parts went through JSON, which an array would not survive."""

    def plain(value):
        if isinstance(value, np.ndarray):
            return value
        if isinstance(value, dict):
            return {key: plain(part) for key, part in value.items()}
        return [plain(part) for part in value] if isinstance(value, list) else json.loads(json.dumps(value))

    return plain(state)


def assert_same(one, other):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (tuple, list)) or (isinstance(one, np.ndarray) and one.dtype == object):
        for pair in zip(one, other, strict=True):
            assert_same(*pair)
    else:
        np.testing.assert_array_equal(one, other)


def actions_of(space, n_steps, seed=0):
    space.seed(seed)
    return [space.sample() for _ in range(n_steps)]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("begun", [True, False])
def test_a_vector_env_goes_on_where_another_one_stood(case, mode, begun):
    make = lambda: TradingVectorEnv(N, autoreset_mode=mode, **CASES[case])  # noqa: E731
    env, other = make(), make()
    env.reset(seed=3)
    if begun:
        other.reset(seed=8)
        other.step(other.action_space.sample())
    actions = actions_of(env.action_space, STEPS)
    for action in actions[:17]:
        env.step(action)
    state = through_json(env.get_state())
    rest = [env.step(action) for action in actions[17:]]  # the state is a copy
    other.set_state(state)
    assert_same([other.step(action) for action in actions[17:]], rest)
    assert_same(other.get_state(), env.get_state())
    if case != "continuous":
        assert_same(other.counterfactual(), env.counterfactual())
        assert_same(other.afterstates(), env.afterstates())
    assert_same(other.reset(), env.reset())


def play(env, actions):
    """Steps, with a reset after the end of each episode."""
    results = []
    for action in actions:
        results.append(env.step(action))
        if results[-1][2] or results[-1][3]:
            results.append(env.reset())
    return results


@pytest.mark.parametrize("case", CASES)
def test_a_scalar_env_goes_on_where_another_one_stood(case):
    env, other = TradingEnv(**CASES[case]), TradingEnv(**CASES[case])
    env.reset(seed=3)
    actions = actions_of(env.action_space, STEPS)
    play(env, actions[:15])
    state = through_json(env.get_state())
    rest = play(env, actions[15:])
    other.set_state(state)
    assert_same(play(other, actions[15:]), rest)
    assert_same(other.get_state(), env.get_state())
    if case != "continuous":
        assert_same(other.counterfactual(), env.counterfactual())


def test_the_history_of_an_episode_goes_with_it():
    env, other = TradingEnv(**COMMON), TradingEnv(**COMMON)
    env.reset(seed=3)
    for action in (2, 1, 0, 2):
        env.step(action)
    other.set_state(through_json(env.get_state()))
    assert len(other.history()) == 4
    assert other.history().equals(env.history())
    assert ansi(other.episode()) == ansi(env.episode())


def test_an_env_that_was_never_reset_has_a_state_too():
    env, other = TradingEnv(**COMMON), TradingEnv(**COMMON)
    other.reset(seed=1)
    other.set_state(env.get_state())
    with pytest.raises(ResetNeeded):
        other.step(0)
    assert_same(other.reset(), env.reset())


@pytest.mark.parametrize("make", [TradingEnv, lambda **keywords: TradingVectorEnv(2, **keywords)])
@pytest.mark.parametrize(
    "change", [{"data": market(9)}, {"initial_cash": 5.0}, {"episode_length": 5}, {"fill": "close"}]
)
def test_the_state_of_another_env_is_refused(make, change):
    env, other = make(**COMMON), make(**COMMON | change)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="state is that of an env with other data or other keywords"):
        other.set_state(env.get_state())


def test_a_state_that_leads_out_of_the_data_is_refused():
    env = TradingVectorEnv(2, **COMMON)
    env.reset(seed=0)
    for column, value in ((0, 60), (0, 1), (1, 60), (2, -1), (3, -2)):
        state = env.get_state()
        state["_clock"][0, column] = value
        with pytest.raises(ValueError, match=r"state\['_clock'\] must name rows of a table of 60"):
            env.set_state(state)
    state = env.get_state()
    state["_state"] = state["_state"][:1]
    with pytest.raises(ValueError, match=r"state\['_state'\] must be an array"):
        env.set_state(state)
    state.pop("_state")
    with pytest.raises(ValueError, match=r"state must have \['_state'\]"):
        env.set_state(state)
    with pytest.raises(ValueError, match="2 random streams, this env has 3"):
        TradingVectorEnv(3, **COMMON).set_state(env.get_state())


REFERENCES = {
    "Ritter": {"n_steps": 10},
    "MoodySaffell": {"n_steps": 10, "window": 3},
    "CFMLinear": {"n_bars": 12},
    "RegimeAdditive": {"n_steps": 10},
    "RegimeObserved": {"episode_length": 10},
}


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("mode", MODES)
def test_reference_envs_go_on_too(name, mode):
    identifier = f"trading_env:reference/{name}-v0"
    options = {"autoreset_mode": mode, **REFERENCES[name]}
    make = lambda: gym.make_vec(identifier, N, "vector_entry_point", **options)  # noqa: E731
    env, other = make(), make()
    env.reset(seed=3)
    actions = actions_of(env.action_space, STEPS)
    for action in actions[:17]:
        env.step(action)
    state = through_json(env.get_state())
    rest = [env.step(action) for action in actions[17:]]
    other.set_state(state)
    assert_same([other.step(action) for action in actions[17:]], rest)
    assert_same(other.get_state(), env.get_state())

    single, another = (gym.make(identifier, **REFERENCES[name]).unwrapped for _ in range(2))
    single.reset(seed=3)
    actions = actions_of(single.action_space, 25)
    play(single, actions[:13])
    another.set_state(through_json(single.get_state()))
    assert_same(play(another, actions[13:]), play(single, actions[13:]))


def test_a_reference_env_refuses_the_state_of_another_one():
    env, other = (gym.make("trading_env:reference/Ritter-v0", n_steps=n).unwrapped for n in (10, 5))
    env.reset(seed=3)
    for action in actions_of(env.action_space, 8):
        env.step(action)
    with pytest.raises(ValueError, match=r"state\['row'\] must be rows"):
        other.set_state(env.get_state())
    other = gym.make("trading_env:reference/Ritter-v0", n_steps=10, sigma=0.2).unwrapped
    with pytest.raises(ValueError, match="env with other keywords"):
        other.set_state(env.get_state())


REFUSED = [
    {"seed": 5, "options": {"start": 1}},
    {"options": {"start": 59}},
    {"options": {"start": 45}},  # one of the two markets ends before
    {"seed": 5, "options": {"data": 2}},
    {"seed": 5, "options": {"start": 9, "data": 0.0}},
    {"seed": 5, "options": {"begin": 9}},
    {"seed": 5, "options": 3},
    {"seed": -1, "options": {"start": 9}},
    {"seed": 2.5},
]
BY_ENV = [
    {"seed": 5, "options": {"start": np.array([9, 9, 9, 1])}},
    {"seed": 5, "options": {"data": [0, 1, 0, 2]}},
    {"seed": 5, "options": {"reset_mask": np.zeros(4, bool)}},
    {"seed": [1, 2, 3]},
    {"seed": [1, 2, 3, -1]},
]


@pytest.mark.parametrize(
    ("make", "refused"),
    [
        *((TradingEnv, reset) for reset in REFUSED),
        *((lambda **keywords: TradingVectorEnv(N, **keywords), reset) for reset in [*REFUSED, *BY_ENV]),
    ],
)
def test_a_refused_reset_changes_nothing(make, refused):
    keywords = {**COMMON, "data": [market(1), market(2, 40)], "reward": excess}
    env, twin = make(**keywords), make(**keywords)
    for each in (env, twin):
        each.reset(seed=3)
    for step, action in enumerate(actions_of(env.action_space, 4)):
        if step == 2:
            with pytest.raises((TypeError, ValueError, gym.error.Error)):
                env.reset(**refused)
        assert_same(env.step(action), twin.step(action))
    assert env.np_random_seed == twin.np_random_seed
    assert_same(env.get_state(), twin.get_state())
    assert_same(env.reset(), twin.reset())


@pytest.mark.parametrize("case", ["default", "two markets", "ruin"])
@pytest.mark.parametrize("mode", MODES)
def test_a_state_of_any_step_is_taken_up_right_after_an_episodes_end_too(case, mode):
    env, other = (TradingVectorEnv(N, autoreset_mode=mode, **CASES[case]) for _ in range(2))
    env.reset(seed=3)
    for action in actions_of(env.action_space, STEPS):
        result = env.step(action)
        other.set_state(env.get_state())
        assert_same(other.counterfactual(), env.counterfactual())
        if mode is AutoresetMode.DISABLED and (result[2] | result[3]).any():
            env.reset()


def test_the_state_of_another_autoreset_mode_is_refused():
    env = TradingVectorEnv(N, **COMMON)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="autoreset_mode NextStep, this one has SameStep"):
        TradingVectorEnv(N, autoreset_mode="SAME_STEP", **COMMON).set_state(env.get_state())


@pytest.mark.parametrize("mode", MODES)
def test_after_an_error_in_a_step_both_envs_need_a_reset(mode):
    def failing(before, after):
        return np.where(after["bar"] == 20, np.nan, 0.0)

    keywords = {"data": market(1, 21), "window": 3, "features": ["log_return_1"], "reward": failing}
    envs, env = TradingVectorEnv(2, autoreset_mode=mode, **keywords), TradingEnv(**keywords)
    for one, action in ((envs, np.array([2, 0])), (env, 2)):
        _, info = one.reset(seed=0)
        for _ in range(20 - np.max(info["bar"]) - 1):
            one.step(action)
        with pytest.raises(ValueError, match="the reward callable returned nan"):
            one.step(action)
        with pytest.raises(ResetNeeded):
            one.step(action)
        one.reset()
        one.step(action)


@pytest.mark.parametrize("key", ["streams", "_clock", "_ended", "_begun", "autoreset_mode"])
def test_a_state_without_a_part_is_refused_and_changes_nothing(key):
    env, twin = (TradingVectorEnv(N, **COMMON) for _ in range(2))
    env.reset(seed=0), twin.reset(seed=0)
    state = env.get_state()
    del state[key]
    env.step(np.full(N, 2)), twin.step(np.full(N, 2))
    with pytest.raises(ValueError, match=rf"state must have \['{key}'\]"):
        env.set_state(state)
    assert_same(env.get_state(), twin.get_state())


def test_a_refused_state_leaves_a_scalar_env_as_it_was():
    env, twin = TradingEnv(**COMMON), TradingEnv(**COMMON)
    for one in (env, twin):
        one.reset(seed=4)
        one.step(2)
    state = env.get_state()
    for wrong in ({k: v for k, v in state.items() if k != "_asked"}, {**state, "_state": np.zeros(3)}):
        with pytest.raises(ValueError, match="state"):
            env.set_state(wrong)
        assert_same(env.get_state(), twin.get_state())
    with pytest.raises(ValueError, match="state must have"):
        env.set_state({k: v for k, v in state.items() if k != "_clock"})
    assert_same(env.step(1), twin.step(1))


def test_a_refused_state_leaves_a_vector_env_with_a_reward_callable_as_it_was():
    env = TradingVectorEnv(N, **CASES["callable"])
    env.reset(seed=0)
    state = env.get_state()
    with pytest.raises(ValueError, match="_clock"):
        env.set_state({**state, "_clock": state["_clock"].astype(np.int32)})
    env.step(np.full(N, 2))


@pytest.mark.parametrize("change", [{"features": ["close"]}, {"data": market(1).split(0.5)[1]}])
def test_the_state_of_a_compact_env_with_other_features_or_another_first_bar_is_refused(change):
    keywords = {**COMMON, "observation": "compact"}
    env = TradingEnv(**keywords)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="other data or other keywords"):
        TradingEnv(**{**keywords, **change}).set_state(env.get_state())
