"""Models of Stable-Baselines3 and sb3-contrib, untrained, in `backtest` and `decide`."""

import gymnasium as gym
import numpy as np
import pytest
from sb3_contrib import MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, DQN

from tests.trading_env.markets import random_market
from trading_env import EnvConfig, backtest, decide
from trading_env.envs.standing import account_in
from trading_env.sb3 import CompactExtractor, keep_env_config, look_at

MARKET = random_market(5, 60, whole=True, since="2020-01-01")
CONFIG = EnvConfig(window=3, features=["log_return_1", "range"])
MODELS = {
    "DQN": (DQN, "MlpPolicy", {}, {"buffer_size": 10}),
    "A2C on dicts": (A2C, "MultiInputPolicy", {"observation": "dict"}, {}),
    "A2C continuous": (A2C, "MlpPolicy", {"actions": "continuous"}, {}),
    "MaskablePPO": (MaskablePPO, "MlpPolicy", {}, {}),
    "RecurrentPPO": (RecurrentPPO, "MlpLstmPolicy", {"window": 1}, {}),
}


def env_of(**keywords):
    return gym.make("trading_env:TradingEnv-v0", data=MARKET, **{**vars(CONFIG), **keywords})


@pytest.mark.parametrize("name", MODELS)
def test_a_model_acts_as_in_its_env(name):
    kind, policy, keywords, options = MODELS[name]
    env = env_of(**keywords)
    model = keep_env_config(kind(policy, env, seed=3, device="cpu", **options))
    obs, info = env.reset()
    state, start, truncated, equity = None, True, False, []
    while not truncated:
        masks = {"action_masks": info["action_mask"]} if name == "MaskablePPO" else {}
        action, state = model.predict(obs, state, np.array([start]), deterministic=True, **masks)
        if info["bar"] % 9 == 0:
            account = account_in(env.unwrapped._state)._asdict()
            given = {**account, "entry": account["entry"] or None}
            decision = decide(model, MARKET.to_frame().iloc[: info["bar"] + 1], **given)
            np.testing.assert_array_equal(decision.action, action)
        obs, _, _, truncated, info = env.step(action)
        start = False
        equity.append(info["equity"])
    assert backtest(model, MARKET).equity[1:].tolist() == equity


def test_a_model_with_compact_observations_must_look_at_the_data():
    env = env_of(observation="compact")
    model = A2C("MlpPolicy", env, policy_kwargs=CompactExtractor.of(env), device="cpu")
    config = {**vars(CONFIG), "observation": "compact"}
    assert len(backtest(model, MARKET, config=config).equity) > 1
    other = random_market(6, 60, whole=True, since="2020-01-01")
    with pytest.raises(ValueError, match="policy reads other data: first call"):
        backtest(model, other, config=config)
    look_at(model, gym.make("trading_env:TradingEnv-v0", data=other, **config))
    assert len(backtest(model, other, config=config).equity) > 1
