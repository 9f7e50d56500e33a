import json

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest

from agents import DQN, RecurrentA2C, TDLambda
from tests.trading_env.markets import random_market
from trading_env import Decision, EnvConfig, FeatureScaler, Market, TradingEnv, decide, load
from trading_env.analysis import strategies
from trading_env.analysis.strategies import StrategyPolicy
from trading_env.envs.standing import account_in

MARKET = random_market(3, 80, 0.04, whole=True, since="2020-01-01", name="mine")
FRAME = MARKET.to_frame()
LEVERAGED = {"max_leverage": 1.5, "maintenance": 0.4, "r_margin": 0.05, "r_borrow": 0.1}
SCHEMES = [
    {},
    {"allow_short": True, "sizing": "rebalance", "min_trade": 0.05},
    {"actions": (-1.5, -0.5, 0.0, 0.7, 1.5), "margin": LEVERAGED, "lot_size": 7.0},
    {"actions": (0.0, 1.0), "costs": {"fixed": 20.0, "minimum": 30.0, "per_unit": 0.01}},
    {"actions": "continuous", "margin": LEVERAGED, "fill": "next_close"},
    {"actions": "continuous", "allow_short": False, "fill": "close", "observation": "dict"},
    {"actions": "lots", "lots": 40, "lot_size": 3.0, "margin": LEVERAGED, "min_trade": 0.01},
    {"window": 9, "features": ["log_return_5", "month", "close"], "fill": "close"},
    {"scaler": FeatureScaler().fit(MARKET, ["log_return_1", "range"]), "observation": "compact"},
    {"features": lambda market: np.log(market.close)[:, None], "window": 1},
]


def policy_for(env):
    """A function of the whole observation that takes all actions in turn."""
    weights = np.random.default_rng(0).normal(size=(env.task.width, max(1, len(env.task.orders))))

    def act(obs):
        if isinstance(obs, dict):
            obs = np.concatenate([obs["market"].ravel(), obs["account"]])
        scores = np.sin(40.0 * obs.astype(float)) @ weights
        return scores.argmax() if len(env.task.orders) else np.clip(scores, env.task.least, 1.0).astype(np.float32)

    return act


def known(env):
    """The account of an env as keywords of decide."""
    account = account_in(env._state)._asdict()
    return {**account, "entry": account["entry"] or None}


@pytest.mark.parametrize("scheme", SCHEMES, ids=range(len(SCHEMES)))
def test_every_decision_of_a_history_is_the_envs(scheme):
    config = EnvConfig(**{"window": 4, "features": ["log_return_1", "range"], **scheme})
    env = TradingEnv(MARKET, **vars(config))
    policy, seen = policy_for(env), set()
    obs, info = env.reset()
    ended = False
    while not ended:
        action = policy(obs)
        decision = decide(policy, FRAME.iloc[: info["bar"] + 1], **known(env), config=config)
        np.testing.assert_array_equal(decision.action, action)
        assert decision.close == MARKET.close[info["bar"]]
        assert decision.time == FRAME.index[info["bar"]]
        seen.add(str(action))
        units = info["units"]
        obs, _, terminated, truncated, info = env.step(action)
        if config.fill == "close" and info["exposure"] != 0.0:
            assert decision.order_units == info["units"] - units
        ended = terminated or truncated
    assert len(seen) > 1


def test_the_order_is_that_of_the_action():
    config = {"window": 1, "features": ["close"], "costs": {"commission": 0.0, "slippage": 0.0}}
    buy = decide(lambda obs: 2, FRAME, cash=1000.0, **config)
    assert (buy.action, buy.target) == (2, 1.0)
    assert buy.order_units == pytest.approx(1000.0 / MARKET.close[-1])
    assert buy.reason.startswith("target exposure 1: buy ")
    hold = decide(lambda obs: 1, FRAME, **config)
    assert (hold.target, hold.order_units, hold.reason) == (None, 0.0, "hold: the action trades nothing")
    sell = decide(lambda obs: 0, FRAME, units=3.0, cash=0.0, **config)
    assert (sell.target, sell.order_units) == (0.0, -3.0)
    again = decide(lambda obs: 2, FRAME, units=3.0, cash=0.0, **config)
    assert (again.target, again.order_units) == (1.0, 0.0)
    assert "sizing='drift'" in again.reason
    tiny = decide(lambda obs: 1, FRAME, actions=(0.0, 0.5), lot_size=1e6, **config)
    assert tiny.order_units == 0.0
    assert "below a lot" in tiny.reason


def test_lots_have_the_target_that_they_reach():
    config = {"window": 1, "features": ["close"], "actions": "lots", "lots": 2, "lot_size": 5.0}
    decision = decide(lambda obs: 4, FRAME, **config)
    assert decision.order_units == 10.0
    assert decision.target == pytest.approx(10.0 * MARKET.close[-1] / 1e5, rel=1e-3)
    assert decide(lambda obs: 2, FRAME, **config).target is None
    refused = decide(lambda obs: 4, FRAME, cash=1.0, **config)
    assert (refused.order_units, refused.reason) == (0.0, "+2 lots: refused, beyond the margin or below min_trade")


def test_what_is_not_given_of_the_account_is_guessed_from_units_and_cash():
    seen = []
    config = {"window": 1, "features": ["close"]}
    decide(lambda obs: seen.append(obs[-4:].tolist()) or 1, FRAME, **config)
    decide(lambda obs: seen.append(obs[-4:].tolist()) or 1, FRAME, units=90.0 / MARKET.close[-1], cash=10.0, **config)
    decide(lambda obs: seen.append(obs[-4:].tolist()) or 1, FRAME, cash=90.0, peak=80.0, **config)
    decide(lambda obs: seen.append(obs[-4:].tolist()) or 1, FRAME, cash=90.0, peak=100.0, **config)
    assert seen[0] == seen[2] == [0.0, 0.0, 0.0, 0.0]
    assert seen[3] == [0.0, 0.0, 0.0, pytest.approx(0.1)]
    assert seen[1] == [pytest.approx(0.9), 1.0, 0.0, 0.0]


def test_a_strategy_decides_by_its_exposure_at_the_last_bar():
    exposures = strategies.moving_average_crossover(MARKET, 3, 8)

    def crossover(market):
        return strategies.moving_average_crossover(market, 3, 8)

    for bar in range(60, 80):
        assert decide(crossover, FRAME.iloc[: bar + 1], window=1, features=["close"]).target == exposures[bar]
    daily = decide(strategies.volatility_target, FRAME, window=1, features=["close"])
    assert daily.target == pytest.approx(strategies.volatility_target(MARKET)[-1], rel=1e-6)
    with pytest.raises(ValueError, match="give the strategy, a function of the market"):
        decide(StrategyPolicy(exposures, TradingEnv(MARKET, window=1)), FRAME, window=1)
    with pytest.raises(ValueError, match="policy must return 80 finite exposures"):
        decide(lambda market: [1.0], FRAME, window=1, actions=(0.0, 1.0))


@pytest.mark.parametrize("kind", [DQN, TDLambda, RecurrentA2C])
def test_agents_decide_as_in_their_env(kind):
    config = {"window": 2, "features": ["log_return_1"], "initial_cash": 700.0}
    env = TradingEnv(MARKET, **config)
    agent = kind(env_of(config), seeds=2).learn(40)
    policy = agent[1].acting_in(env) if hasattr(agent, "acting_in") else agent[1]
    obs, info = env.reset()
    state, start, ended, checked = None, True, False, 0
    while not ended:
        action, state = policy.predict(obs[None], state, np.array([start]), deterministic=True)
        if info["bar"] % 7 == 0:
            decision = decide(agent[1], FRAME.iloc[: info["bar"] + 1], **known(env))
            assert decision.action == action[0]
            checked += 1
        obs, _, terminated, truncated, info = env.step(int(action[0]))
        start, ended = False, terminated or truncated
    assert checked > 5
    with pytest.raises(ValueError, match=r"policy must be one run, got 2: give one of them, such as agent\[0\]"):
        decide(agent, FRAME)


def env_of(config):
    return gym.make("trading_env:TradingEnv-v0", data=MARKET, **config)


def test_a_policy_with_memory_runs_through_the_bars_before():
    class Counts:
        def predict(self, observation, state=None, episode_start=None, deterministic=True):
            count = np.where(episode_start, 0, 0 if state is None else state) + 1
            return count % 3, count

    for bars in range(1, 12):
        assert decide(Counts(), FRAME.iloc[: bars + 1], window=2, features=["close"]).action == bars % 3


def test_masks_are_given_to_policies_that_take_them():
    class Last:
        def predict(self, observation, state=None, episode_start=None, deterministic=True, action_masks=None):
            return np.where(action_masks[:, 2], 2, 1), None

    assert decide(Last(), FRAME, window=1).action == 2
    assert decide(Last(), FRAME, units=10.0, cash=0.0, window=1).action == 1


def test_the_first_decision_needs_no_more_bars_than_its_features():
    assert decide(lambda obs: 1, FRAME.iloc[:6], window=5, features=["log_return_1"]).time == FRAME.index[5]
    with pytest.raises(ValueError, match=r"has 5 rows, too few: features and window=5 need 6 for a decision"):
        decide(lambda obs: 1, FRAME.iloc[:5], window=5, features=["log_return_1"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop(columns="high"), "'high'"),
        (lambda frame: frame.drop(columns="open"), "needs the column open"),
        (lambda frame: frame.assign(low=frame["low"].where(frame.index != frame.index[-1])), "low"),
        (lambda frame: frame.iloc[::-1], "time"),
    ],
)
def test_data_whose_features_cannot_be_made_are_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        decide(lambda obs: 1, change(FRAME), window=2, features=["log_return_1", "range"])


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"units": "3"}, TypeError, "units must be a number"),
        ({"cash": np.nan}, ValueError, "cash must be a finite number"),
        ({"units": -1e9}, ValueError, "equity must be above 0"),
        ({"entry": 0.0}, ValueError, "entry must be a finite number above 0"),
        ({"peak": -1.0}, ValueError, "peak must be a finite number above 0"),
        ({"window_size": 3}, TypeError, "decide got an unexpected keyword argument 'window_size'"),
        ({"check_env": 1}, TypeError, "check_env must be a bool"),
    ],
)
def test_wrong_arguments_are_refused_by_name(keywords, error, message):
    with pytest.raises(error, match=message):
        decide(lambda obs: 1, FRAME, **{"window": 2, **keywords})


@pytest.mark.parametrize(
    ("action", "actions", "error"),
    [
        (3, (0.0, 1.0), ValueError),
        (-1, (0.0, 1.0), ValueError),
        (0.5, (0.0, 1.0), TypeError),
        (True, (0.0, 1.0), TypeError),
        (1.5, "continuous", ValueError),
        (np.nan, "continuous", ValueError),
    ],
)
def test_an_action_outside_of_the_action_space_is_refused(action, actions, error):
    with pytest.raises(error, match="action must be"):
        decide(lambda obs: action, FRAME, window=2, actions=actions)


def test_an_agent_is_refused_where_observations_mean_something_else():
    agent = DQN(env_of({"window": 2, "scaler": FeatureScaler().fit(MARKET)}), learning_starts=5).learn(10)
    assert decide(agent, FRAME).close == MARKET.close[-1]
    with pytest.raises(ValueError, match="policy learnt with scaler="):
        decide(agent, FRAME, config=EnvConfig(window=2))


def test_a_decision_is_json():
    decision = decide(lambda obs: [0.25], FRAME, actions="continuous", window=1)
    plain = json.loads(decision.to_json())
    assert plain == decision.to_dict()
    assert (plain["action"], plain["time"]) == (0.25, FRAME.index[-1].isoformat())
    assert isinstance(decision, Decision)
    timeless = Market.from_arrays(MARKET.close, open=MARKET.open)
    assert decide(lambda obs: 1, timeless, window=1).to_dict()["time"] is None


def test_local_time_is_that_of_the_data():
    hours = pd.date_range("2024-01-01 09:00", periods=40, freq="h", tz="Europe/Berlin")
    frame = FRAME.iloc[:40].set_axis(hours)
    assert decide(lambda obs: 1, frame, window=1).time == hours[-1]


def test_a_split_decides_in_its_own_part():
    _, test = load("us-stocks/IBM").split("2013-02-20")
    assert str(decide(lambda obs: 1, test).time)[:10] == "2013-03-01"
