"""The hindsight bound: no path is better, and its own actions reach it."""

import dataclasses
import itertools
import math

import gymnasium as gym
import numpy as np
import pytest

from tests.trading_env.markets import random_market
from trading_env import Market, TradingEnv, TradingVectorEnv, hindsight, load
from trading_env.analysis.hindsight import rebalanced_bound

PLAIN = {"window": 1, "features": ["close"]}
FILLS = ("next_open", "next_close", "close")
TARGETS = ((0.0, 1.0), (-1.0, 0.0, 1.0), (1.0, -0.5), (-2.0, 0.4, 2.0), (0.5,), "buy_hold_sell")
COSTS = ({"commission": 0.0, "slippage": 0.0}, {"commission": 2e-3, "half_spread": 1e-3, "slippage": 5e-3})
RATES = {"r_cash": 0.5, "r_margin": 3.0, "r_borrow": 2.0, "max_leverage": 2.0, "maintenance": 0.25}


def cases():
    for i, (targets, fill, sizing) in enumerate(itertools.product(TARGETS, FILLS, ("drift", "rebalance"))):
        margin = RATES if i % 2 else {"max_leverage": 2.0}
        yield {"actions": targets, "fill": fill, "sizing": sizing, "costs": COSTS[i % 3 > 0], "margin": margin, **PLAIN}


def name_of(case):
    return f"{case['actions']}-{case['fill']}-{case['sizing']}"


def replayed(env, actions, start=None):
    """Sum of the log rewards and the last info of the actions in the env."""
    _, info = env.reset(options=None if start is None else {"start": start})
    total = 0.0
    for k, action in enumerate(actions):
        _, reward, terminated, truncated, info = env.step(action)
        total += reward
        assert (terminated or truncated) == (k == len(actions) - 1)
    return total, info


def best_of_all_sequences(data, n_steps, **keywords):
    """The largest sum of log rewards over all action sequences, each in an env of its own."""
    n_actions = TradingVectorEnv(1, data, **keywords).single_action_space.n
    sequences = np.array(list(itertools.product(range(n_actions), repeat=n_steps)))
    envs = TradingVectorEnv(len(sequences), data, **keywords)
    envs.reset()
    totals, running = np.zeros(len(sequences)), np.ones(len(sequences), bool)
    for actions in sequences.T:
        _, reward, terminated, _, _ = envs.step(actions)
        totals[running] += reward[running]
        running &= ~terminated
    return totals.max()


@pytest.mark.parametrize("case", list(cases()), ids=name_of)
def test_no_sequence_of_actions_is_better(case):
    for seed in range(6):
        data = random_market(seed, 7, 0.05 + 0.06 * seed, bars_per_year=50.0)
        bound = hindsight(data, **case)
        assert bound.log_growth == pytest.approx(best_of_all_sequences(data, 6, **case), abs=1e-12)


@pytest.mark.parametrize("case", list(cases()), ids=name_of)
def test_replaying_its_actions_gives_the_bound(case):
    for seed in range(4):
        data = random_market(100 + seed, 150, 0.03 + 0.03 * seed, bars_per_year=50.0)
        bound = hindsight(data, **case)
        total, info = replayed(TradingEnv(data, **case), bound.actions)
        assert total == pytest.approx(bound.log_growth, abs=1e-9)
        if bound.log_growth > math.log(0.01):
            assert math.log(info["equity"] / 100_000.0) == pytest.approx(bound.log_growth, abs=1e-9)


def test_costs_interest_and_margin_calls_lower_the_bound():
    data = random_market(3, 200, 0.1, bars_per_year=50.0)
    keywords = {"actions": (-2.0, 0.0, 2.0), "margin": {"max_leverage": 2.0}, **PLAIN}
    free = hindsight(data, costs=COSTS[0], **keywords).log_growth
    assert hindsight(data, costs=COSTS[1], **keywords).log_growth < free
    keywords["margin"] = {"max_leverage": 2.0, "r_margin": 0.5, "r_borrow": 0.5}
    charged = hindsight(data, costs=COSTS[0], **keywords).log_growth
    assert charged < free
    keywords["margin"] = {**keywords["margin"], "maintenance": 0.45}
    assert hindsight(data, costs=COSTS[0], **keywords).log_growth < charged


def test_a_path_through_ruin_is_no_path():
    data = Market.from_arrays(close=np.array([100.0, 100.0, 160.0, 60.0, 60.0]))
    keywords = {"fill": "close", "margin": {"ruin_fraction": 0.5}, "costs": COSTS[0], **PLAIN}
    ruined = hindsight(data, actions=(-1.0,), **keywords)  # the short loses too much before the fall
    assert ruined.log_growth == math.log(0.5)
    assert len(ruined.actions) == 2
    assert replayed(TradingEnv(data, actions=(-1.0,), **keywords), ruined.actions)[0] == ruined.log_growth
    free = hindsight(data, actions=(-1.0, 0.0), **keywords)
    assert free.log_growth == pytest.approx(math.log(1.0 + (160 - 60) / 160))
    assert free.targets[1:3].tolist() == [0.0, -1.0]


def test_it_is_the_bound_of_the_episode_that_the_env_would_run():
    env = gym.make("trading_env:TradingEnv-v0", episode_length=40)
    bound = hindsight(env)
    assert len(bound.actions) == 40
    assert bound.start == env.reset()[1]["bar"] == 49
    assert replayed(env, bound.actions)[0] == pytest.approx(bound.log_growth, abs=1e-9)
    assert bound.growth == math.exp(bound.log_growth)
    later = hindsight(env, start=300)
    assert replayed(env, later.actions, start=300)[0] == pytest.approx(later.log_growth, abs=1e-9)
    assert hindsight("us-stocks/AAPL", episode_length=40).log_growth == bound.log_growth
    assert hindsight(TradingVectorEnv(3, episode_length=40)).log_growth == bound.log_growth


def test_it_finds_the_chosen_dataset_in_the_stack():
    datasets = [random_market(1, 50, 0.1, bars_per_year=50.0), random_market(2, 60, 0.1, bars_per_year=50.0)]
    env = TradingEnv(datasets, fill="close", **PLAIN)
    for i, data in enumerate(datasets):
        alone = hindsight(data, fill="close", **PLAIN).log_growth
        assert hindsight(env, index=i).log_growth == alone
    with pytest.raises(ValueError, match="index"):
        hindsight(env, index=2)


def test_the_sp500_bounds_of_free_rebalancing():
    close = load("sp500").close
    returns = np.diff(close) / close[:-1]
    assert close[-1] / close[0] - 1 == pytest.approx(1.0412, abs=5e-5)
    assert rebalanced_bound(returns, (0.0, 1.0), cost=1e-3).log_growth == pytest.approx(18.3285, abs=5e-5)
    assert rebalanced_bound(returns, (-1.0, 0.0, 1.0), cost=1e-3).log_growth == pytest.approx(35.5760, abs=5e-5)


def test_free_rebalancing_is_the_best_of_all_paths():
    rng = np.random.default_rng(0)
    targets, cost, initial = (-1.0, 0.0, 0.5, 1.0), 0.01, 0.5
    for _ in range(20):
        returns = rng.normal(0.0, 0.05, 5)
        best, best_path = -np.inf, None
        for path in itertools.product(targets, repeat=5):
            total, held = 0.0, initial
            for w, r in zip(path, returns, strict=True):
                total += math.log(1 - cost * abs(w - held)) + math.log(1 + w * r)
                held = w
            if total > best:
                best, best_path = total, path
        bound = rebalanced_bound(returns, targets, cost=cost, initial=initial)
        assert bound.log_growth == pytest.approx(best, abs=1e-12)
        assert tuple(bound.targets) == best_path


def test_free_rebalancing_survives_a_bar_that_ruins_a_target():
    assert rebalanced_bound([0.1, -1.0, 0.1], (0.0, 1.0)).log_growth == pytest.approx(2 * math.log(1.1))
    assert rebalanced_bound([-1.0], (1.0,)).log_growth == -math.inf


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"costs": {"fixed": 1.0}}, r"costs proportional .* fixed=1\.0"),
        ({"costs": {"minimum": 2.0}}, r"costs proportional .* minimum=2\.0"),
        ({"costs": {"per_unit": 0.1}}, r"costs proportional .* per_unit=0\.1"),
        ({"lot_size": 1.0}, r"lot_size=1\.0"),
        ({"min_trade": 0.1}, r"min_trade=0\.1"),
        ({"actions": "continuous"}, "'continuous'"),
        ({"actions": "lots"}, "'lots'"),
        ({"start": 3}, "start"),
    ],
)
def test_what_has_no_exact_bound_is_refused(keywords, message):
    with pytest.raises(ValueError, match=message):
        hindsight("us-stocks/AAPL", **keywords)


def test_keywords_beside_an_env_are_refused():
    with pytest.raises(TypeError, match="fill"):
        hindsight(TradingEnv(), fill="close")


@pytest.mark.parametrize(
    ("returns", "keywords", "message"),
    [
        ([], {}, "returns"),
        ([0.1, np.nan], {}, "returns"),
        ([0.1], {"targets": ()}, "targets"),
        ([0.1], {"targets": (np.inf,)}, r"targets\[0\]"),
        ([0.1], {"cost": 1.0}, "cost"),
        ([0.1], {"cost": -0.1}, "cost"),
    ],
)
def test_free_rebalancing_names_a_wrong_argument(returns, keywords, message):
    with pytest.raises(ValueError, match=message):
        rebalanced_bound(returns, **keywords)


@pytest.mark.parametrize("returns", [["0.1"], [True, False], [[0.1]], []])
def test_returns_that_are_no_series_are_named(returns):
    with pytest.raises((TypeError, ValueError), match="returns must"):
        rebalanced_bound(returns)


def test_a_time_limit_is_the_end_of_the_bounds_episode_too():
    env = gym.make("trading_env:TradingEnv-v0", actions=(0.0, 1.0), max_episode_steps=50)
    best = hindsight(env)
    assert len(best.actions) == 50
    env.reset()
    for action in best.actions:
        *_, truncated, info = env.step(action)
    assert truncated
    assert math.log(info["equity"] / 100_000.0) == pytest.approx(best.log_growth, abs=1e-9)
    assert best.growth == pytest.approx(math.exp(best.log_growth))


def test_a_growth_beyond_float64_is_infinite():
    assert dataclasses.replace(hindsight("us-stocks/AAPL"), log_growth=1240.0).growth == math.inf
