"""Defects found in other trading environments, each with a test that this one does not have it."""

import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from stable_baselines3 import A2C

from tests.trading_env.markets import random_market
from trading_env import Costs, Margin, Market, TradingEnv, TradingVectorEnv
from trading_env.analysis import metrics

ID = "trading_env:TradingEnv-v0"
FREE = Costs(0, 0, 0)
KINDS = [{}, {"actions": (0.0, 0.5, 1.0)}, {"actions": "continuous"}, {"actions": "lots", "lot_size": 100.0}]


def prices_of(*closes, opens=None, **keywords):
    return Market.from_arrays(close=closes, open=opens or closes, **keywords)


def env_of(market, **keywords):
    return TradingEnv(market, **{"window": 1, "features": ["close"], **keywords})


def run(env, actions, seed=0):
    """The steps of an episode, to its end."""
    env.reset(seed=seed)
    steps = []
    for action in actions:
        steps.append(env.step(action))
        if steps[-1][2] or steps[-1][3]:
            break
    return steps


def in_a_new_process(code):
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return result.stdout.strip()


# -- gym-anytrading --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reward", ["log_return", "pnl"])
def test_reward_cannot_be_positive_while_wealth_falls(reward):
    env = TradingEnv(reward=reward, allow_short=True, episode_length=250, random_start=True)
    for seed in range(30):
        env.action_space.seed(seed)
        steps = run(env, (env.action_space.sample() for _ in range(250)), seed)
        wealth = steps[-1][4]["equity"]
        assert np.sign(sum(step[1] for step in steps)) == np.sign(wealth - 100_000.0)


def test_buy_and_hold_on_a_doubling_market_earns_its_log_return():
    steps = run(env_of(prices_of(*np.geomspace(100, 200, 40)), fill="close", costs=FREE), [2] * 39)
    assert sum(step[1] for step in steps) == pytest.approx(np.log(2))


def test_fees_can_be_set_and_are_in_the_reward():
    rewards = [run(env_of(prices_of(*[100.0] * 4), costs=Costs(f, 0, 0)), [2])[0][1] for f in (0.0, 0.01, 0.02)]
    assert rewards == pytest.approx([0.0, -np.log(1.01), -np.log(1.02)])


def test_reset_without_a_seed_leaves_the_action_space_alone():
    env = env_of(random_market(), actions="continuous")
    env.action_space.seed(5)
    expected = [env.action_space.sample() for _ in range(3)]
    env.action_space.seed(5)
    for sample in expected:
        env.reset()
        assert env.action_space.sample() == sample


def test_one_nan_price_is_refused_with_its_date():
    closes = random_market().close.copy()
    closes[7] = np.nan
    time = np.datetime64("2020-01-01", "ns") + np.arange(60).astype("timedelta64[D]")
    with pytest.raises(ValueError, match=r"close must be finite and positive, got nan at 2020-01-08 \(row 7\)"):
        Market.from_arrays(close=closes, time=time)


@pytest.mark.parametrize("observation", ["flat", "dict", "compact"])
def test_observations_are_no_views_of_the_envs_own_table(observation):
    env, twin = (env_of(random_market(), window=4, observation=observation) for _ in range(2))
    obs, expected = env.reset()[0], twin.reset()[0]
    for action in (2, 1, 0):
        old = list(obs.values()) if isinstance(obs, dict) else [obs]
        for part in old:
            part[...] = -1.0
        obs, expected = env.step(action)[0], twin.step(action)[0]
        np.testing.assert_equal(obs, expected)
        assert all((part == -1.0).all() for part in old)


def test_the_position_is_observed():
    short, flat, long = (run(env_of(random_market(), actions=(-1.0, 0.0, 1.0)), [action])[0][0] for action in range(3))
    assert short[-4] < -0.9
    assert flat[-4] == 0.0
    assert long[-4] > 0.9
    assert [short[-3], flat[-3], long[-3]] == [-1.0, 0.0, 1.0]


# -- Gym-Trading-Env -------------------------------------------------------------------------------------------


def test_interest_accumulates_over_bars():
    env = env_of(prices_of(*[100.0] * 12), allow_short=True, costs=FREE, margin=Margin(r_borrow=0.12), bars_per_year=12)
    steps = run(env, [0] * 11)
    paid = [step[4]["financing"] for step in steps]
    assert paid == pytest.approx([0.0] + [1000.0] * 10)  # 1% a month of 100,000 sold short
    assert steps[-1][4]["equity"] == pytest.approx(100_000.0 - 10 * 1000.0)


def test_ruin_costs_reward():
    env = env_of(prices_of(100.0, 100.0, 250.0, 250.0), allow_short=True, costs=FREE)
    steps = run(env, [0, 0])
    assert steps[-1][2]
    assert steps[-1][1] == pytest.approx(np.log(0.01))  # the floor of equity, as the docstring has it


def test_importing_and_making_an_env_leaves_the_warning_filters_alone():
    code = (
        "import warnings, gymnasium; before = list(warnings.filters); import trading_env; import numpy as np; "
        "trading_env.TradingEnv().reset(); print([f for f in warnings.filters if f not in before and f[0] == 'error'], "
        "before[:3] == warnings.filters[-len(before):][:3])"
    )
    assert in_a_new_process(code) == "[] True"


def test_an_observation_carries_nothing_of_the_episode_before():
    env = env_of(random_market(), window=5, allow_short=True)
    fresh = env.reset(seed=0)[0]
    run(env, [0, 2, 0, 0])
    np.testing.assert_array_equal(env.reset(seed=0)[0], fresh)
    np.testing.assert_array_equal(env.step(1)[0][-4:], [0.0, 0.0, 0.0, 0.0])


def test_the_global_numpy_generator_is_neither_read_nor_moved():
    def global_state():
        state = np.random.get_state(legacy=False)["state"]  # noqa: NPY002, it is what the test is about
        return state["pos"], state["key"].tolist()

    def episode():
        env = TradingEnv([random_market(seed=1), random_market(seed=2)], window=2, random_start=True, episode_length=5)
        return [env.reset(seed=3)[1]["bar"], *(env.reset()[1]["bar"] for _ in range(5))]

    bars = episode()
    before = global_state()
    assert episode() == bars
    assert global_state() == before


# -- tensortrade -----------------------------------------------------------------------------------------------


def test_an_order_does_not_fill_at_the_close_just_seen():
    env = env_of(prices_of(10.0, 20.0, 30.0, opens=[9.0, 19.0, 29.0]))
    assert run(env, [2])[0][4]["price"] == 19.0


def test_the_end_of_the_data_truncates_and_does_not_terminate():
    for keywords in KINDS:
        env = env_of(random_market(), **keywords)
        steps = run(env, (env.action_space.sample() for _ in range(100)))
        assert steps[-1][2:4] == (False, True)


def test_slippage_is_charged_on_every_trade():
    steps = run(env_of(random_market(), costs=Costs(0, 0, 0.01)), [2, 0] * 20)
    for *_, info in steps:
        assert info["slippage"] == pytest.approx(0.01 * info["turnover"] * info["equity"], rel=0.2)
        assert info["slippage"] > 0.0


def test_nan_never_becomes_zero():
    table = np.ones((60, 1))
    table[20] = np.nan
    with pytest.raises(ValueError, match="row 20"):
        env_of(random_market(), features=table)
    table[:21] = np.nan
    obs, info = env_of(random_market(), features=table, window=3).reset()
    assert (info["bar"], obs[:3].tolist()) == (23, [1.0, 1.0, 1.0])


# -- FinRL -----------------------------------------------------------------------------------------------------


def test_the_last_reward_is_paid_once():
    env = env_of(random_market())
    steps = run(env, [2] * 100)
    assert sum(step[1] for step in steps) == pytest.approx(np.log(steps[-1][4]["equity"] / 100_000.0))
    with pytest.raises(ResetNeeded):
        env.step(2)


def test_an_indicator_of_one_does_not_block_trading():
    for value in (0.0, 1.0):
        assert run(env_of(random_market(), features=np.full((60, 3), value)), [2])[0][4]["units"] > 0.0


def test_allocations_pay_their_costs():
    env = env_of(prices_of(*[100.0] * 4), actions="continuous", costs=Costs(0.01, 0, 0.02))
    info = run(env, [np.array([0.5], np.float32)])[0][4]
    assert info["commission"] + info["slippage"] == pytest.approx(100_000.0 - info["equity"])
    assert info["commission"] + info["slippage"] > 1400.0


def test_missing_prices_are_never_filled_from_the_future():
    frame = random_market().to_frame()
    frame.iloc[0] = np.nan
    with pytest.raises(ValueError, match="no value before it"):
        TradingEnv(frame, window=2, on_missing="ffill")
    with pytest.raises(ValueError, match="on_missing must be one of"):
        TradingEnv(frame, window=2, on_missing="bfill")


def test_no_dataset_is_dropped_for_a_gap_or_an_early_end():
    whole, gap = random_market(seed=1, name="whole"), random_market(seed=2).to_frame()
    gap.iloc[30:33] = np.nan
    gapped = Market.from_frame(gap, on_missing="drop", name="gapped")
    ended = random_market(n=12, seed=3, name="delisted")
    env = env_of([whole, gapped, ended])
    assert [m.name for m in env.task.markets] == ["whole", "gapped", "delisted"]
    assert gapped.metadata["on_missing"] == {
        "mode": "drop",
        "rows": 3,
        "first": "row 30",
        "last": "row 32",
        "columns": {"open": 3, "close": 3},
    }
    env.reset(seed=0)
    assert {env.episode().market.name for _ in range(40) if env.reset()} == {"whole", "gapped", "delisted"}


# -- TradeMaster -----------------------------------------------------------------------------------------------


def test_opening_and_closing_a_short_at_one_price_costs_nothing_but_the_costs():
    opened, closed = run(env_of(prices_of(*[100.0] * 4), allow_short=True, costs=FREE), [0, 2])
    assert opened[4]["units"] == -1000.0
    assert opened[4]["equity"] == closed[4]["equity"] == 100_000.0


def test_a_reward_uses_no_price_beyond_its_own_step():
    base = random_market()
    actions = np.random.default_rng(0).integers(0, 3, 40)
    rewards = [step[1] for step in run(env_of(base, allow_short=True), actions)]
    for cut in (5, 17, 33):
        opens, closes = base.open.copy(), base.close.copy()
        opens[cut + 1 :] *= 3.0
        closes[cut + 1 :] *= 0.2
        other = Market.from_arrays(open=opens, close=closes)
        assert [step[1] for step in run(env_of(other, allow_short=True), actions[:cut])] == rewards[:cut]


# -- TorchTrade ------------------------------------------------------------------------------------------------


def test_it_is_a_gymnasium_env_that_stable_baselines3_trains_on():
    assert isinstance(gym.make(ID).unwrapped, gym.Env)
    assert isinstance(gym.make_vec(ID, num_envs=2), gym.vector.VectorEnv)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        A2C("MlpPolicy", gym.make(ID), n_steps=16, seed=0, device="cpu").learn(64)


def test_filling_at_the_very_close_is_only_on_request():
    base = random_market()
    fills = {fill: run(env_of(base, fill=fill), [2])[0][4]["price"] for fill in ("next_open", "next_close", "close")}
    assert fills == {"next_open": base.open[1], "next_close": base.close[1], "close": base.close[0]}
    assert run(env_of(base), [2])[0][4]["price"] == fills["next_open"]


def test_a_short_needs_no_leverage():
    info = run(env_of(prices_of(100.0, 100.0, 100.0), allow_short=True, costs=FREE), [0])[0][4]
    assert (info["exposure"], info["units"]) == (-1.0, -1000.0)


def test_slippage_costs_in_either_direction_and_never_pays():
    def equity(slippage):
        env = env_of(prices_of(*[100.0] * 42), allow_short=True, costs=Costs(0, 0, slippage), margin=Margin(r_cash=0))
        return [step[4]["equity"] for step in run(env, [2, 0] * 20)]

    assert np.all(np.diff([100_000.0, *equity(0.001)]) < 0.0)
    assert np.all(np.array(equity(0.002)) < np.array(equity(0.001)))


def test_importing_it_needs_the_core_dependencies_only():
    code = """
import sys
core = {"numpy", "gymnasium", "numba", "llvmlite", "pandas", "dateutil", "six", "cloudpickle",
        "farama_notifications", "typing_extensions", "trading_env", "pytz", "tzdata"}
class OnlyCore:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in core | sys.stdlib_module_names and not top.startswith("_"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, OnlyCore())
import trading_env
for name in trading_env.__all__:
    getattr(trading_env, name)
env = trading_env.TradingEnv()
env.reset(seed=0)
print(env.step(2)[4]["units"] > 0, len(env.history()))
"""
    assert in_a_new_process(code) == "True 1"


def test_walk_forward_folds_follow_one_another_and_know_nothing_later():
    whole = random_market(n=100)
    folds = whole.split(0.4, 0.6, 0.8)
    firsts = [env_of(fold, window=5).reset()[1]["bar"] for fold in folds]
    assert firsts == [4, 40, 60, 80]
    assert [len(fold) for fold in folds] == [40, 60, 80, 100]
    for fold in folds:
        last = run(env_of(fold, window=5), [2] * 100)[-1]
        assert last[4]["bar"] == len(fold) - 1


def test_a_sharpe_ratio_comes_with_its_standard_error():
    env = env_of(random_market(n=500), fill="next_close")
    run(env, [2] * 500)
    returns = metrics.simple_returns([100_000.0, *env.history()["equity"]])
    error = metrics.sharpe_standard_error(returns, 252.0)
    assert error == pytest.approx(np.sqrt(252.0 / len(returns)), rel=0.1)


# -- all of them -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keywords", KINDS)
def test_gymnasiums_checker_passes(keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(ID, **keywords).unwrapped, skip_render_check=True)


def test_scalar_and_vector_engines_are_one():
    keywords = {"data": random_market(), "window": 3, "features": ["close"], "allow_short": True}
    vector, env = TradingVectorEnv(2, **keywords), TradingEnv(**keywords)
    vector.reset(seed=0), env.reset(seed=0)
    for action in (2, 0, 1, 0, 2):
        ours, own = vector.step(np.array([action, action])), env.step(action)
        np.testing.assert_array_equal(ours[0], [own[0], own[0]])
        assert ours[1].tolist() == [own[1], own[1]]
