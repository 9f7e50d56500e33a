"""TradingEnv as Gymnasium and Stable-Baselines3 want it; episodes, options, errors; nothing knows the future."""

import json
import math
import warnings
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from tests.trading_env.markets import random_market
from trading_env import Costs, DifferentialSharpe, Margin, Market, MeanVariance, TradingEnv, TradingVectorEnv

ID = "trading_env:TradingEnv-v0"
OPTIONS = [
    {},
    {"actions": (-1.0, 0.0, 0.5, 1.0), "fill": "next_close", "reward": "pnl"},
    {"actions": "continuous", "fill": "close", "reward": "differential_sharpe", "random_start": True},
    {"actions": "lots", "lots": 2, "lot_size": 100.0, "reward": "mean_variance", "episode_length": 60},
    {"observation": "dict", "allow_short": True, "random_start": True, "episode_length": 100},
    {"observation": "compact", "sizing": "rebalance", "reward": "excess_log_return"},
    {"reward": DifferentialSharpe(0.1), "costs": Costs(commission=0.002)},
    {"reward": MeanVariance(1e-3)},
    {"data": ["us-stocks/AAPL", "us-stocks/IBM"], "window": 7, "features": ["log_return_1", "range"]},
    {"costs": {"commission": 0.001, "fixed": 1.0}, "margin": {"r_cash": 0.02, "maintenance": 0.1}},
]


def small_market(n=60, **fields):
    return random_market(0, n, 0.02, whole=True, **fields)


@pytest.mark.parametrize("keywords", OPTIONS)
def test_gymnasiums_checker_passes_without_a_warning(keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(ID, **keywords).unwrapped)


@pytest.mark.parametrize("keywords", OPTIONS)
def test_sb3s_checker_passes_without_a_warning(keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if keywords.get("observation") == "dict":  # its advice on 2-D boxes is meant for images
            warnings.filterwarnings("ignore", message=".*observation.*")
        check_env_sb3(gym.make(ID, **keywords))


@pytest.mark.parametrize("keywords", OPTIONS)
def test_a_spec_read_back_from_json_makes_the_same_env(keywords):
    spec = gym.make(ID, **keywords).spec
    again = gym.make(EnvSpec.from_json(spec.to_json()))
    envs = [gym.make(spec), again]
    for env in envs:
        env.reset(seed=4)
        env.action_space.seed(0)
    for _ in range(5):
        (obs, *first), (obs_again, *second) = (env.step(env.action_space.sample()) for env in envs)
        np.testing.assert_equal(obs, obs_again)
        np.testing.assert_equal(first, second)


def test_a_seed_reproduces_an_episode_and_resets_go_on_from_it():
    env = gym.make(ID, random_start=True, episode_length=20)

    def bars(seed):
        return [env.reset(seed=seed)[1]["bar"], env.reset()[1]["bar"], env.reset()[1]["bar"]]

    assert bars(1) == bars(1)
    assert bars(1) != bars(2)


def test_reset_restores_everything():
    env = TradingEnv(small_market(), window=4, allow_short=True, reward="differential_sharpe")

    def episode():
        outputs = [env.reset(seed=0)]
        outputs += [env.step(action) for action in (2, 0, 2, 2, 1, 0)]
        return outputs

    np.testing.assert_equal(episode(), episode())


def test_the_episode_runs_from_the_first_complete_window_to_the_last_bar():
    market = small_market(n=60)
    env = TradingEnv(market, window=4)
    info = env.reset()[1]
    assert info["bar"] == 20 + 3  # log_return_20 and volatility_20 begin at bar 20
    while True:
        _, _, terminated, truncated, info = env.step(1)
        if terminated or truncated:
            break
    assert (terminated, truncated, info["bar"]) == (False, True, 59)


def test_nothing_is_sold_at_the_end_of_the_data():
    env = TradingEnv(small_market(), window=4)
    env.reset()
    truncated = False
    while not truncated:
        _, _, _, truncated, info = env.step(2)
    assert info["units"] > 0


def test_random_starts_are_uniform_over_the_bars_that_leave_the_episode_its_length():
    env = TradingEnv(small_market(n=30), window=2, features=["close"], random_start=True, episode_length=20)
    env.reset(seed=0)
    starts = [env.reset()[1]["bar"] for _ in range(900)]
    counts = np.bincount(starts)
    assert np.flatnonzero(counts).tolist() == list(range(1, 10))
    assert counts[1:].min() > 60


def test_the_test_split_decides_first_at_its_first_bar():
    train, test = small_market(n=100).split(0.6)
    env = TradingEnv(test, window=10)
    assert env.reset()[1]["bar"] == 60
    with pytest.raises(ValueError, match="start"):
        env.reset(options={"start": 59})
    assert TradingEnv(train, window=10).task.markets[0].close.shape == (60,)


def test_observation_is_the_window_oldest_first_then_the_account():
    market = small_market()
    table = np.arange(120.0).reshape(60, 2)
    env = TradingEnv(market, features=table, window=3, costs=Costs(0, 0, 0), allow_short=True)
    obs = env.reset()[0]
    assert obs.tolist() == [0, 1, 2, 3, 4, 5, 0, 0, 0, 0]
    env.step(0)
    obs, _, _, _, info = env.step(1)
    exposure, target, unrealised, drawdown = obs[-4:]
    assert obs[:6].tolist() == [4, 5, 6, 7, 8, 9]
    assert exposure == np.float32(info["units"] * market.close[4] / info["equity"])
    assert target == -1.0
    assert unrealised == np.float32(-np.log(market.close[4] / market.open[3]))
    peak = max(100_000.0, env.history()["equity"].max())
    assert drawdown == pytest.approx(1 - info["equity"] / peak, abs=1e-6)


def test_entry_price_averages_what_was_bought_and_ignores_what_was_sold():
    prices = [10.0, 10.0, 20.0, 20.0, 20.0]
    market = Market.from_arrays(close=prices, open=prices)
    env = TradingEnv(market, window=1, features=["close"], actions="lots", lots=4, costs=Costs(0, 0, 0))
    env.reset()
    env.step(7)  # 3 lots at 10
    obs = env.step(5)[0]  # 1 lot at 20
    assert obs[-2] == pytest.approx(np.log(20 / 12.5), rel=1e-6)
    assert env.step(2)[0][-2] == pytest.approx(np.log(20 / 12.5), rel=1e-6)


def test_compact_observation_names_the_row_whose_window_the_flat_one_shows():
    market = small_market()
    flat, compact = (TradingEnv(market, window=3, observation=kind) for kind in ("flat", "compact"))
    obs, small = flat.reset()[0], compact.reset()[0]
    for _ in range(4):
        row = int(small[0])
        np.testing.assert_array_equal(compact.task.features[row - 2 : row + 1].ravel(), obs[:-4])
        np.testing.assert_array_equal(small[1:], obs[-4:])
        obs, small = flat.step(2)[0], compact.step(2)[0]


def test_history_is_the_episode_as_it_was_told():
    env = TradingEnv(small_market(time=np.arange("2020-01-01", "2020-03-01", dtype="M8[D]")), window=5)
    env.reset()
    told = [env.step(action) for action in (2, 1, 0, 2, 2)]
    history = env.history()
    assert history["reward"].tolist() == [step[1] for step in told]
    for key in ("equity", "cash", "units", "exposure", "price", "pnl", "commission", "slippage", "turnover"):
        assert history[key].tolist() == [step[4][key] for step in told]
    assert history.index.tolist() == [step[4]["bar"] for step in told]
    assert str(history["time"].iloc[0])[:10] == "2020-01-26"


@pytest.mark.parametrize(
    ("keywords", "actions"),
    [
        ({}, [2, 1, 0, 2]),
        ({"actions": (0.5, 0.0, -1.0)}, [0, 2, 1, 0]),
        ({"actions": "lots", "lots": 2}, [4, 0, 2, 3]),
        ({"actions": "continuous", "margin": {"max_leverage": 2.0}}, [0.5, -0.25, 1.0, 0.0]),
    ],
)
def test_history_has_the_actions_and_the_rewards_of_a_callable(keywords, actions):
    def gain(before, after):
        return after["equity"] - before["equity"] + 0.001 * after["bar"] * before["units"]

    env = TradingEnv(small_market(), window=5, reward=gain, **keywords)
    env.reset()
    assert env.history()["action"].tolist() == []
    continuous = env.action_space.shape == (1,)
    rewards = [env.step(np.array([a], np.float32) if continuous else a)[1] for a in actions]
    assert env.history()["action"].tolist() == actions
    assert env.history()["reward"].tolist() == rewards


def test_info_keeps_its_keys():
    env = TradingEnv(small_market(), window=5)
    _, first = env.reset()
    info = env.step(2)[4]
    keys = "equity cash units exposure price pnl commission slippage financing turnover bar"
    assert set(first) == set(info) == {*keys.split(), "action_mask"}
    assert type(info["bar"]) is int
    assert all(type(info[key]) is float for key in keys.split()[:-1])
    assert {k for k in keys.split() if first[k]} == {"equity", "cash", "bar"}


def test_a_doubling_market_rewards_buy_and_hold_with_log_two():
    closes = np.linspace(100.0, 200.0, 50)
    env = TradingEnv(Market.from_arrays(close=closes), window=1, features=["close"], fill="close", costs=Costs(0, 0, 0))
    env.reset()
    total = sum(env.step(2)[1] for _ in range(49))
    assert total == pytest.approx(np.log(2), rel=1e-12)


def test_rewards_add_up_to_the_growth_of_wealth():
    env = TradingEnv(small_market(), window=5, allow_short=True)
    env.reset(seed=0)
    env.action_space.seed(1)
    steps = [env.step(env.action_space.sample()) for _ in range(30)]
    assert sum(step[1] for step in steps) == pytest.approx(np.log(steps[-1][4]["equity"] / 100_000.0), rel=1e-10)


@pytest.mark.parametrize("fill", ["next_open", "next_close", "close"])
def test_changing_all_data_after_bar_t_changes_nothing_up_to_t(fill):
    base = small_market(n=70)
    actions = np.random.default_rng(3).integers(0, 3, 70)

    def run(market, last):
        env = TradingEnv(market, window=6, fill=fill, allow_short=True)
        outputs = [env.reset()]
        outputs += [env.step(action) for action in actions[: last - outputs[0][1]["bar"]]]
        return outputs

    rng = np.random.default_rng(9)
    for cut in (27, 40, 55):
        arrays = {}
        factor = np.exp(rng.normal(0, 0.5, 70 - cut - 1))
        for name in ("open", "high", "low", "close", "volume"):
            arrays[name] = getattr(base, name).copy()
            arrays[name][cut + 1 :] *= factor
        np.testing.assert_equal(run(Market.from_arrays(**arrays), cut), run(base, cut))


def test_fill_price_is_the_documented_one():
    market = small_market()
    for fill, price in (
        ("next_open", lambda t: market.open[t + 1]),
        ("next_close", lambda t: market.close[t + 1]),
        ("close", lambda t: market.close[t]),
    ):
        env = TradingEnv(market, window=5, fill=fill)
        t = env.reset()[1]["bar"]
        assert env.step(2)[4]["price"] == price(t)


def test_a_callable_reward_sees_both_accounts():
    def turnover_penalty(before, after):
        return np.log(after["equity"] / before["equity"]) - after["turnover"]

    env = TradingEnv(small_market(), window=5, reward=turnover_penalty)
    _, before = env.reset()
    _, reward, _, _, info = env.step(2)
    assert reward == np.log(info["equity"] / before["equity"]) - info["turnover"]


WRONG = [
    ({"fill": "open"}, "fill must be one of"),
    ({"window": 0}, "window must be at least 1, got 0"),
    ({"window": 2.5}, "window must be an integer, got 2.5"),
    ({"window": 59}, "too few"),
    ({"actions": (0.0, 2.0)}, "max_leverage"),
    ({"actions": ()}, "non-empty"),
    ({"actions": (0.0, 0.0)}, "different"),
    ({"actions": (0.0, float("nan"))}, r"actions\[1\]"),
    ({"actions": "sell"}, "actions must be"),
    ({"actions": "continuous", "sizing": "drift"}, "drift"),
    ({"actions": "continuous", "allow_short": True}, "allow_short"),
    ({"lots": 3}, "lots"),
    ({"sizing": "fixed"}, "sizing must be one of"),
    ({"costs": {"comission": 0.1}}, "comission"),
    ({"costs": Costs(commission=0.4), "margin": Margin(max_leverage=3.0)}, "costs are too high"),
    ({"costs": 0.001}, "costs must be a Costs"),
    ({"margin": {"max_leverage": 0.0}}, "max_leverage"),
    ({"margin": {"r_cash": 0.01}}, "bars_per_year must be given"),
    ({"initial_cash": 0.0}, "initial_cash"),
    ({"initial_cash": float("inf")}, "initial_cash"),
    ({"reward": "profit"}, "reward must be one of"),
    ({"reward": 3}, "reward must be one of .* got 3"),
    ({"reward": None}, "reward must be one of .* got None"),
    ({"reward": ["pnl"]}, r"reward must be one of .* got \['pnl'\]"),
    ({"reward": DifferentialSharpe}, r"reward must be one of .* got <class .*DifferentialSharpe'>"),
    ({"observation": "image"}, "observation must be one of"),
    ({"random_start": 1}, "random_start must be a bool"),
    ({"episode_length": 0}, "episode_length"),
    ({"episode_length": 55}, "too few"),
    ({"min_trade": -0.1}, "min_trade"),
    ({"lot_size": 0.0}, "lot_size"),
    ({"features": ["closing"]}, "closing"),
    ({"render_mode": "window"}, "render_mode"),
    ({"colour": "red"}, "colour"),
]


@pytest.mark.parametrize(("keywords", "message"), WRONG)
def test_a_wrong_argument_raises_at_construction_and_is_named(keywords, message):
    with pytest.raises((TypeError, ValueError), match=message):
        TradingEnv(small_market(), **{"window": 5, **keywords})


@pytest.mark.parametrize("field", ["commission", "half_spread", "slippage", "fixed", "minimum", "per_unit"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "1", None, True])
def test_a_wrong_cost_raises_and_is_named(field, value):
    with pytest.raises((TypeError, ValueError), match=rf"Costs\.{field}"):
        Costs(**{field: value})


def test_data_without_an_open_refuses_next_open():
    with pytest.raises(ValueError, match="next_open"):
        TradingEnv(Market.from_arrays(close=np.ones(50) + np.arange(50)), window=2, features=["close"])


@pytest.mark.parametrize("action", [3, -1, 1.0, "buy", None, np.array([1, 2]), np.array([1])])
def test_an_action_out_of_space_raises_and_changes_nothing(action):
    env, twin = (TradingEnv(small_market(), window=5) for _ in range(2))
    env.reset(), twin.reset()
    with pytest.raises((TypeError, ValueError)):
        env.step(action)
    np.testing.assert_equal(env.step(2), twin.step(2))


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (np.array([1.5], np.float32), ValueError, r"action must be in \[-1, 1\], got 1.5"),
        (np.array([np.nan], np.float32), ValueError, r"action must be in \[-1, 1\], got nan"),
        (0.3, TypeError, r"action must be a float array of shape \(1,\), got 0.3"),
        ([0.1], TypeError, "action must be a float array"),
        (np.array([1]), TypeError, "action must be a float array"),
    ],
)
def test_a_continuous_action_out_of_space_raises(action, error, message):
    env = TradingEnv(small_market(), window=5, actions="continuous")
    env.reset()
    with pytest.raises(error, match=message):
        env.step(action)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"begin": 3}, "begin"),
        ({"start": 1}, "start"),
        ({"start": 59}, "start"),
        ({"start": 30.0}, "start"),
        ({"data": 1}, "data"),
    ],
)
def test_wrong_reset_options_raise_and_are_named(options, message):
    env = TradingEnv(small_market(), window=5)
    with pytest.raises((TypeError, ValueError), match=message):
        env.reset(options=options)


@pytest.mark.parametrize("make", [TradingEnv, partial(gym.make, "trading_env:TradingEnv-v0")])
def test_stepping_before_reset_or_after_the_end_raises(make):
    env = make(data=small_market(), window=5, episode_length=1)
    with pytest.raises(ResetNeeded):
        env.step(1)
    env.reset()
    env.step(1)
    with pytest.raises(ResetNeeded):
        env.step(1)


def test_costs_as_a_mapping_equal_costs():
    spec = gym.make(ID, costs={"commission": 0.01}).spec
    assert json.loads(spec.to_json())["kwargs"]["costs"] == {"commission": 0.01}
    assert TradingEnv(costs={"commission": 0.01}).task.costs == Costs(commission=0.01)


def growth(before, after):
    return np.log(after["equity"] / before["equity"])


@pytest.mark.parametrize(
    "one_account",
    [
        lambda before, after: growth(before, after)[0],
        lambda before, after: float(growth(before, after)[0]),
        lambda before, after: math.log(after["equity"] / before["equity"]),
        lambda before, after: growth(before, after) if after["equity"] > 0.0 else 0.0,
    ],
)
def test_a_reward_callable_of_one_account_serves_every_env(one_account):
    """It may return a number, or need numbers in place of arrays."""
    env, same = (TradingEnv(small_market(), reward=reward) for reward in (one_account, growth))
    envs = TradingVectorEnv(3, small_market(), reward=one_account)
    for each in (env, same, envs):
        each.reset()
    for actions in ([2, 1, 0], [0, 2, 1], [2, 0, 2]):
        reward = env.step(actions[0])[1]
        assert type(reward) is float
        assert reward == same.step(actions[0])[1] == envs.step(np.array(actions))[1][0]
    assert len(set(envs.step(np.array([2, 1, 0]))[1])) > 1, "each env has its own"
    assert np.array_equal(env.history()["reward"], same.history()["reward"])
    assert np.array_equal(env.counterfactual()[0], same.counterfactual()[0])


@pytest.mark.parametrize(
    ("keywords", "reason"),
    [
        ({}, "the episode ended at bar 59, the last bar of the data"),
        ({"episode_length": 3}, "the episode ended at bar 41, after its episode_length"),
    ],
)
def test_a_step_after_the_end_says_where_the_episode_ended(keywords, reason):
    env = TradingEnv(small_market(), window=19, **keywords)
    with pytest.raises(ResetNeeded, match="call reset before step: no episode has begun"):
        env.step(1)
    env.reset()
    while not env.step(1)[3]:
        pass
    with pytest.raises(ResetNeeded, match=f"call reset before step: {reason}"):
        env.step(1)


@pytest.mark.parametrize("kind", [TradingEnv, TradingVectorEnv])
def test_a_start_without_a_step_says_why(kind):
    env = kind(data=small_market(), window=19)
    with pytest.raises(ValueError, match=r"must be in \[38, 58\], got 59: a step needs a next bar"):
        env.reset(options={"start": 59})
    with pytest.raises(ValueError, match=r"got 5: the first 38 bars are history for a window"):
        env.reset(options={"start": 5})


def test_the_repr_says_what_an_env_trades():
    env = TradingEnv("us-stocks/AAPL", actions=(0.0, 1.0))
    assert repr(env) == (
        "<TradingEnv: us-stocks/AAPL, decisions at bars 49 to 3268 (2000-05-10 to 2013-02-28); "
        "6 features x 30 bars, actions (0.0, 1.0), fill 'next_open'>"
    )
    assert repr(TradingVectorEnv(8, small_market())).startswith("<TradingVectorEnv of 8: market, decisions at bars ")
    assert repr(env.task) == repr(env).replace("TradingEnv", "Task")
    assert "2 datasets, us-stocks/IBM to us-stocks/FB" in repr(TradingEnv(["us-stocks/IBM", "us-stocks/FB"]))


def test_a_callable_reward_may_not_write_what_it_reads():
    def greedy(before, after):
        gain = after["equity"]
        gain -= before["equity"]
        return gain

    for env, action in (
        (TradingEnv(small_market(), reward=greedy), 2),
        (TradingVectorEnv(2, small_market(), reward=greedy), [2, 0]),
    ):
        env.reset()
        with pytest.raises(ValueError, match="read-only"):
            env.step(action)


@pytest.mark.parametrize(
    ("name", "keywords", "refused"),
    [
        ("TradingEnv-v0", {}, {"options": {"start": -5}}),
        ("TradingEnv-v0", {}, {"seed": -1}),
        ("reference/Ritter-v0", {}, {"options": {"noise_seed": -1}}),
        ("reference/RegimeObserved-v0", {}, {"options": {"begin": 3}}),
    ],
)
def test_after_a_refused_first_reset_the_next_one_and_its_steps_work_under_make(name, keywords, refused):
    env = gym.make(f"trading_env:{name}", **keywords)
    with pytest.raises((ValueError, gym.error.Error)):
        env.reset(**refused)
    env.reset(seed=3)
    env.action_space.seed(3)
    for _ in range(3):
        env.step(env.action_space.sample())
