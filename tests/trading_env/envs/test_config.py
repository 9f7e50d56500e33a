"""EnvConfig: all keywords of TradingEnv in one frozen object that JSON can hold; wrong fields are named."""

import json
from dataclasses import FrozenInstanceError, fields, replace

import gymnasium as gym
import numpy as np
import pytest

from trading_env import Costs, DifferentialSharpe, EnvConfig, FeatureScaler, Margin, MeanVariance, TradingEnv, load

SCALER = FeatureScaler().fit(load("us-stocks/AAPL"))
VALUES = {  # of each field, others than the default
    "features": (["close", "log_return_5"], [["RSI", {"timeperiod": 14}], "volume"]),
    "scaler": (SCALER, SCALER.to_dict()),
    "window": (1, np.int64(4)),
    "actions": ("continuous", "lots", (-1.0, 0.0, 0.5), [0, 1], np.array([0.0, 1.0])),
    "lots": (3,),
    "allow_short": (True, False),
    "sizing": ("rebalance", "drift"),
    "lot_size": (2, 0.5),
    "min_trade": (0.01,),
    "fill": ("next_close", "close"),
    "costs": (Costs(fixed=1.0), {"commission": 0}),
    "margin": (Margin(r_cash=0.02), {"max_leverage": 2, "intrabar": False}),
    "initial_cash": (5, 1e6),
    "bars_per_year": (252,),
    "reward": ("pnl", "mean_variance", DifferentialSharpe(eta=0.1), {"risk_aversion": 0.5}, MeanVariance()),
    "observation": ("dict", "compact"),
    "random_start": (True,),
    "episode_length": (7,),
    "on_missing": ("drop", "ffill"),
}
BESIDE = {"lots": {"actions": "lots"}}  # what else a field needs
CASES = [(name, value) for name, values in VALUES.items() for value in values]
DATA = "us-stocks/AAPL"


def test_every_field_is_tried():
    assert [field.name for field in fields(EnvConfig)] == list(VALUES)


@pytest.mark.parametrize(("name", "value"), CASES)
def test_a_config_comes_back_from_json_as_it_was(name, value):
    config = EnvConfig(**{name: value}, **BESIDE.get(name, {}))
    again = EnvConfig.from_json(config.to_json())
    assert again.to_json() == config.to_json() != EnvConfig(**BESIDE.get(name, {})).to_json()
    if name != "scaler":  # which is compared by identity
        assert again == config
        assert config != EnvConfig(**BESIDE.get(name, {}))


@pytest.mark.parametrize(("name", "value"), [case for case in CASES if case[0] != "features"])
def test_an_env_made_from_the_json_of_its_config_is_the_same(name, value):
    keywords = {name: value, **BESIDE.get(name, {})}
    env = TradingEnv(DATA, **keywords)
    again = gym.make("trading_env:TradingEnv-v0", data=DATA, **json.loads(env.task.config.to_json())).unwrapped
    again.set_state(env.get_state())  # which compares the fingerprints of rules, prices and features
    assert again.env_config == env.env_config


@pytest.mark.parametrize("bad", ["3", "null", "[1]", '"window"'])
def test_json_that_is_no_object_is_refused(bad):
    with pytest.raises(TypeError, match="must be an object of its fields"):
        EnvConfig.from_json(bad)


def test_wrong_fields_in_json_are_named():
    with pytest.raises(ValueError, match=r"unknown fields \['windw'\]; EnvConfig has .*'window'"):
        EnvConfig.from_json('{"windw": 5}')
    with pytest.raises(ValueError, match=r"costs has unknown fields \['fee'\]"):
        EnvConfig.from_json('{"costs": {"fee": 5}}')
    with pytest.raises(ValueError, match="window must be at least 1, got 0"):
        EnvConfig.from_json('{"window": 0}')
    assert EnvConfig.from_json("{}") == EnvConfig()


WRONG = [
    ({"window": 2.5}, TypeError, "window"),
    ({"lots": 2}, ValueError, "lots=2 belongs to actions='lots'"),
    ({"allow_short": True, "actions": "lots"}, ValueError, "allow_short=True belongs to"),
    ({"sizing": "drift", "actions": "continuous"}, ValueError, "sizing='drift' needs discrete"),
    ({"sizing": "rebalance", "actions": "lots"}, ValueError, "sizing='rebalance' has no meaning"),
    ({"actions": (0.0, 2.0)}, ValueError, "beyond margin.max_leverage=1"),
    ({"lot_size": 0}, ValueError, "lot_size"),
    ({"bars_per_year": 0}, ValueError, "bars_per_year"),
    ({"reward": "sharp"}, ValueError, "reward"),
    ({"reward": 3}, TypeError, "reward"),
    ({"scaler": {"names": 3}}, ValueError, "scaler"),
    ({"on_missing": "bfill"}, ValueError, "on_missing"),
    ({"costs": 3}, TypeError, "costs"),
]


@pytest.mark.parametrize(("keywords", "error", "message"), WRONG)
def test_a_wrong_field_is_named_without_any_data(keywords, error, message):
    with pytest.raises(error, match=message):
        EnvConfig(**keywords)


@pytest.mark.parametrize(
    ("name", "value"), [("features", lambda market: None), ("features", np.zeros((3, 1))), ("reward", max)]
)
def test_what_json_cannot_hold_is_named_with_what_to_give_instead(name, value):
    with pytest.raises(TypeError, match=f"an EnvConfig cannot be written to JSON with {name}=.*: give .* as {name}"):
        EnvConfig(**{name: value}).to_json()


def test_a_config_is_frozen_and_replaced_by_others():
    config = EnvConfig(actions="continuous")
    with pytest.raises(FrozenInstanceError):
        config.window = 3
    other = replace(config, actions="buy_hold_sell", sizing="rebalance")
    assert (config.rebalances, other.rebalances, EnvConfig().rebalances) == (True, True, False)
