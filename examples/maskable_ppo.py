"""sb3-contrib's MaskablePPO: orders of up to 3 lots of 100 shares, those beyond the margin masked.

python examples/maskable_ppo.py [timesteps]
"""

import sys

import torch
from sb3_contrib import MaskablePPO

from trading_env import TradingEnv, load
from trading_env.sb3 import TradingVecEnv

TIMESTEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000

torch.set_num_threads(1)
train, test = load("us-stocks/GOOG").split("2010-01-01")
settings = {"actions": "lots", "lots": 3, "lot_size": 100.0, "window": 10, "allow_short": False}
env = TradingVecEnv(8, data=train, random_start=True, episode_length=250, **settings)
model = MaskablePPO("MlpPolicy", env, n_steps=128, batch_size=256, seed=0, device="cpu").learn(TIMESTEPS)

env = TradingEnv(test, **settings)
obs, info = env.reset()
ended, masked = False, 0
while not ended:
    masked += (~info["action_mask"]).sum()
    action, _ = model.predict(obs, deterministic=True, action_masks=info["action_mask"])
    assert info["action_mask"][action], "no masked action is taken"
    obs, reward, terminated, truncated, info = env.step(int(action))
    ended = terminated or truncated

history = env.history()
print(f"{masked} actions of {history.shape[0]} days were masked; {(history['turnover'] > 0).sum()} trades")
print(f"equity {info['equity']:,.0f} of {env.task.initial_cash:,.0f}")
