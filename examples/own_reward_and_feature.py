"""Your own feature and your own reward: checked for look-ahead, used in training, tested on later years.

python examples/own_reward_and_feature.py [timesteps per seed]
"""

import sys

import numpy as np
import pandas as pd

from agents import DQN
from trading_env import FeatureScaler, TradingEnv, backtest, check_causality, load

TIMESTEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000


def features(market):
    """Two columns, each row made of bars up to its own: momentum, and where the close lies in its 20-day range."""
    frame = market.to_frame()
    low, high = frame["low"].rolling(20).min(), frame["high"].rolling(20).max()
    columns = {"momentum": np.log(frame["close"]).diff(60), "place": (frame["close"] - low) / (high - low) - 0.5}
    return pd.DataFrame(columns)


def reward(before, after):
    """Growth less a penalty of 10 bps for each unit of turnover; both accounts are mappings of arrays."""
    return np.log(after["equity"] / before["equity"]) - 0.001 * after["turnover"]


market = load("us-stocks/IBM")
print(check_causality(features, market, cuts=10))  # raises an error that names a feature which knows the future

train, test = market.split("2010-01-01")
settings = {
    "features": features,
    "scaler": FeatureScaler().fit(train, features),  # the numbers of the training years, for both periods
    "window": 1,
    "actions": (0.0, 1.0),
}
env = {"data": train, "reward": reward, "random_start": True, "episode_length": 250}
agent = DQN(lambda: TradingEnv(**env, **settings), seeds=4, learning_rate=5e-4).learn(TIMESTEPS)
print(backtest(agent, test, **settings).summary())
