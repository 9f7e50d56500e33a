"""sb3-contrib's RecurrentPPO, whose LSTM replaces the window: an observation is the last bar alone.

python examples/recurrent_ppo.py [timesteps]
"""

import sys

import torch
from sb3_contrib import RecurrentPPO

from trading_env import FeatureScaler, backtest, load
from trading_env.sb3 import TradingVecEnv

TIMESTEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000

torch.set_num_threads(1)
train, test = load("us-stocks/AAPL").split("2010-01-01")
settings = {"window": 1, "actions": (0.0, 1.0), "scaler": FeatureScaler().fit(train)}
env = TradingVecEnv(8, data=train, random_start=True, episode_length=250, **settings)
network = {"lstm_hidden_size": 64, "net_arch": []}
model = RecurrentPPO("MlpLstmPolicy", env, n_steps=128, batch_size=256, policy_kwargs=network, seed=0, device="cpu")
model.learn(TIMESTEPS)
print(backtest(model, test, **settings).summary())  # carries the LSTM's state from bar to bar
