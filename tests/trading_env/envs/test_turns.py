"""Steps that are broken off or run at once: nothing is read outside the data, and no number is wrong."""

import sys
import threading
from functools import partial
from itertools import count

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from tests.trading_env.markets import random_market
from trading_env import Market, TradingEnv, TradingVectorEnv

N, N_BARS = 3, 12
MARKET = random_market(0, N_BARS)
WORLD = {"data": MARKET, "window": 2, "features": ["close", "log_return_1"], "allow_short": True}


def growth(before, after):
    return after["equity"] / before["equity"] - 1.0


class Interrupted(KeyboardInterrupt):
    pass


def interrupted(call, at):
    """Whether the call was interrupted at its place number ``at``: instructions of step and reset, lines elsewhere."""
    seen = count()

    def trace(frame, event, argument):
        if "trading_env" not in frame.f_code.co_filename or "tests" in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = frame.f_code.co_name in ("step", "reset", "_set_episode")
        if event == ("opcode" if frame.f_trace_opcodes else "line") and next(seen) == at:
            raise Interrupted
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except Interrupted:
        return True
    finally:
        sys.settrace(before)
    return False


def vector(mode=AutoresetMode.NEXT_STEP, **keywords):
    return TradingVectorEnv(N, autoreset_mode=mode, **WORLD, **keywords)


def reference(n=None, mode="NEXT_STEP"):
    identifier, keywords = "trading_env:reference/Ritter-v0", {"n_steps": 6}
    if n is None:
        return gym.make(identifier, **keywords).unwrapped
    return gym.make_vec(identifier, n, "vector_entry_point", autoreset_mode=mode, **keywords)


ENVS = {
    "scalar": lambda: TradingEnv(**WORLD),
    "scalar with a callable": lambda: TradingEnv(**WORLD, reward=growth),
    "scalar with a dict": lambda: TradingEnv(**WORLD, observation="dict"),
    "vector": vector,
    "vector, same step": lambda: vector(AutoresetMode.SAME_STEP),
    "vector, no autoreset": lambda: vector(AutoresetMode.DISABLED),
    "vector with a callable": lambda: vector(reward=growth),
    "reference": reference,
    "reference vector": lambda: reference(N),
    "reference vector, same step": lambda: reference(N, "SAME_STEP"),
}


def action_of(env):
    return np.full(env.num_envs, 1) if hasattr(env, "num_envs") else 1


def outcome(call):
    """What the call gives; None where it asks for a reset."""
    try:
        return call()
    except ResetNeeded:
        return None


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (tuple, list)) or (isinstance(one, np.ndarray) and one.dtype == object):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other, equal_nan=True)


def told(env):
    """The history as it stands, and the state."""
    return env.history().to_numpy(np.float64) if hasattr(env, "history") else None


class Told:
    """What an uninterrupted env tells from reset(seed=4) on: each step, and the history before the first and after."""

    def __init__(self, name, n_steps):
        env = ENVS[name]()
        env.reset(seed=4)
        self.steps, self.histories = [], [told(env)]
        for _ in range(n_steps):
            self.steps.append(outcome(partial(env.step, action_of(env))))
            self.histories.append(told(env))


@pytest.mark.parametrize("end", [False, True], ids=["early", "in the last step"])
@pytest.mark.parametrize("name", ENVS)
def test_after_an_interrupt_inside_a_step_the_env_goes_on_rightly_or_asks_for_a_reset(name, end):
    env, other = ENVS[name](), ENVS[name]()
    action, n = action_of(env), (5 if "reference" in name else 8) if end else 1
    expected, fresh, n_asked = Told(name, n + 2), None, 0
    for at in count():
        env.reset(seed=4)
        for _ in range(n):
            env.step(action)
        if not interrupted(partial(env.step, action), at):
            break
        assert any(same(told(env), expected.histories[k]) for k in (n, n + 1))
        onward = outcome(partial(env.step, action))
        if onward is None:
            n_asked += 1
            other.set_state(env.get_state())  # is taken up, and asks for a reset as well
            assert outcome(partial(other.step, action)) is None
        else:
            assert any(same(onward, expected.steps[k]) for k in (n, n + 1))
        env.reset(seed=7)
        fresh = fresh or env.step(action)
        env.reset(seed=7)
        assert same(env.step(action), fresh)
    assert at > 30
    assert n_asked > at / 3


@pytest.mark.parametrize("name", ["scalar", "vector", "reference", "reference vector"])
def test_after_an_interrupt_inside_a_reset_the_env_asks_for_a_reset_or_goes_on_as_before(name):
    env, new = ENVS[name](), ENVS[name]()
    action, expected = action_of(env), Told(name, 2)
    new.reset(seed=9)
    renewed = new.step(action)
    for at in count():
        env.reset(seed=4)
        env.step(action)
        if not interrupted(partial(env.reset, seed=9), at):
            break
        onward = outcome(partial(env.step, action))
        if onward is not None:
            assert same(onward, expected.steps[1]) or same(onward, renewed)
            assert told(env) is None or len(told(env)) in (1, 2)
    assert at > 30


def stepped_by_threads(env, action, n_threads=4, most=4000):
    """What the steps of several threads gave, in any order; each thread stops at the end."""
    results, errors = [], []

    def work():
        for _ in range(most):
            try:
                results.append(env.step(action))
            except ResetNeeded as error:
                errors.append(str(error))
                if not env._episode[0] and results and (results[-1][2] or results[-1][3]):
                    return
            except Exception as error:
                errors.append(repr(error))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(n_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    return results, errors


def test_steps_of_several_threads_are_refused_by_name_or_told_as_they_were():
    prices = 50.0 * np.exp(np.cumsum(np.random.default_rng(1).normal(0.0, 0.01, 3000)))
    env = TradingEnv(Market.from_arrays(open=prices, close=prices), window=2, features=["close"])
    for _ in range(3):
        env.reset(seed=0)
        results, errors = stepped_by_threads(env, 2)
        bars = [info["bar"] for *_, info in results]
        assert len(set(bars)) == len(bars)
        assert sorted(bars) == list(range(2, 2 + len(bars)))
        assert all("another thread is inside one" in error for error in errors)
        history = env.history()
        assert history.index.tolist() == sorted(bars)
        equities = {info["bar"]: info["equity"] for *_, info in results}
        assert history["equity"].to_dict() == equities


def test_a_step_inside_a_step_is_refused_by_name():
    nested = []

    def reward(before, after):
        try:
            env.step(1)
        except ResetNeeded as error:
            nested.append(str(error))
        return np.zeros(1)

    env = TradingEnv(**WORLD, reward=reward)
    env.reset(seed=0)
    env.step(1)
    env.step(1)
    assert len(nested) == 2
    assert "another thread is inside one" in nested[0]


@pytest.mark.parametrize("name", ["vector", "reference vector"])
def test_a_broken_off_step_needs_a_reset_of_all_sub_envs(name):
    env = ENVS[name]()
    env.reset(seed=0)
    for at in count(40):
        assert interrupted(partial(env.step, action_of(env)), at)
        if outcome(partial(env.step, action_of(env))) is None:
            break
    with pytest.raises(ValueError, match="leaves out a sub-env"):
        env.reset(options={"reset_mask": np.array([True, False, False])})
    with pytest.raises(ResetNeeded):
        env.afterstates()
    env.reset()
    env.step(action_of(env))


def test_an_actions_error_is_no_broken_off_step():
    for env, wrong in ((ENVS["scalar"](), 9), (vector(), np.array([1, 9, 0])), (reference(), 99)):
        env.reset(seed=0)
        with pytest.raises(ValueError, match="action"):
            env.step(wrong)
        env.step(action_of(env))
