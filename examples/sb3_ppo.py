"""Stable-Baselines3's PPO on 16 envs in one process.

One torch thread: networks this small gain nothing from more, and threads of busy cores wait for each other. Measured
on two busy cores, this trained 6,000 steps per second with one thread and 200 to 1,200 with torch's default.

    python examples/sb3_ppo.py [timesteps]
"""

import sys
import time

import torch
from stable_baselines3 import PPO

from trading_env import backtest, load
from trading_env.sb3 import TradingVecEnv

TIMESTEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000

torch.set_num_threads(1)
train, test = load("us-stocks/MSFT").split("2010-01-01")
settings = {"window": 10, "actions": (0.0, 1.0)}
env = TradingVecEnv(16, data=train, random_start=True, episode_length=250, **settings)
model = PPO("MlpPolicy", env, n_steps=128, batch_size=256, seed=0, device="cpu")

start = time.perf_counter()
model.learn(TIMESTEPS)
print(f"{model.num_timesteps / (time.perf_counter() - start):,.0f} steps per second")
print(backtest(model, test, **settings).summary())
