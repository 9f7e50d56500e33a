"""Models of Stable-Baselines3 keep the configuration of their env through their own save and load."""

import gymnasium as gym
import pytest
from gymnasium.wrappers import FlattenObservation
from stable_baselines3 import A2C
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from trading_env import EnvConfig, FeatureScaler, TradingEnv, load
from trading_env.sb3 import TradingVecEnv, keep_env_config

TRAIN = load("us-stocks/IBM").split(0.7)[0]
KEYWORDS = {"window": 3, "scaler": FeatureScaler().fit(TRAIN), "costs": {"commission": 0.01}}


def model_in(env):
    return A2C("MlpPolicy", env, device="cpu")


@pytest.mark.parametrize(
    "env",
    [
        lambda: TradingVecEnv(2, data=TRAIN, **KEYWORDS),
        lambda: gym.make("trading_env:TradingEnv-v0", data=TRAIN, **KEYWORDS),
        lambda: DummyVecEnv([lambda: TradingEnv(TRAIN, **KEYWORDS)]),
    ],
)
def test_a_saved_model_keeps_the_config_of_its_env(env, tmp_path):
    keep_env_config(model_in(env())).save(tmp_path / "model")
    config = EnvConfig.of(A2C.load(tmp_path / "model", device="cpu"))
    assert config.to_json() == EnvConfig(**KEYWORDS).to_json()


def test_wrappers_that_change_what_is_seen_are_named():
    flat = FlattenObservation(gym.make("trading_env:TradingEnv-v0", data=TRAIN, observation="dict", window=3))
    with pytest.raises(ValueError, match=r"behind the wrappers \['FlattenObservation'\]"):
        EnvConfig.of(keep_env_config(model_in(flat)))
    scaled = VecNormalize(TradingVecEnv(1, data=TRAIN, **KEYWORDS))
    with pytest.raises(ValueError, match=r"behind the wrappers \['VecNormalize'\]"):
        EnvConfig.of(keep_env_config(model_in(scaled)))


def test_a_model_of_another_env_or_of_none_is_refused(tmp_path):
    model = model_in("CartPole-v1")
    with pytest.raises(ValueError, match="model must have a TradingEnv as its env"):
        keep_env_config(model)
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match="model must have a TradingEnv as its env, got None"):
        keep_env_config(A2C.load(tmp_path / "model", device="cpu"))
    with pytest.raises(ValueError, match="A2C keeps no configuration of a TradingEnv"):
        EnvConfig.of(model)
