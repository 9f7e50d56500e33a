"""A thousand envs in one call: random starts on several datasets, masks, ends of episodes, a saved state.

They equal as many single envs bit for bit.

    python examples/many_envs.py [steps]
"""

import sys
import time

import gymnasium as gym
import numpy as np

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
N = 1024

envs = gym.make_vec(
    "trading_env:TradingEnv-v0",
    num_envs=N,
    data=["us-stocks/AAPL", "us-stocks/IBM", "us-stocks/MSFT"],  # one is drawn for each episode
    window=10,
    random_start=True,
    episode_length=100,
)
obs, info = envs.reset(seed=0)  # sub-env i has the seed i, whatever the others do
rng = np.random.default_rng(0)
episodes, returns = 0, []
envs.step(rng.integers(3, size=N))  # the first step of a new installation compiles the kernel: it is not measured

start = time.perf_counter()
for _ in range(STEPS):
    allowed = info["action_mask"]  # [N, 3], without the side that is chosen already
    action = (rng.random(allowed.shape) * allowed).argmax(1)
    obs, reward, terminated, truncated, info = envs.step(action)  # [N, D], [N], [N], [N]
    ended = terminated | truncated  # the next step resets these: Gymnasium's NEXT_STEP autoreset
    episodes += ended.sum()
    returns.extend(info["equity"][ended] / 100_000.0 - 1.0)
print(f"{N * STEPS / (time.perf_counter() - start):,.0f} steps per second, {episodes:,} episodes", end="")
print(f", mean return {np.mean(returns):+.1%}" if returns else "")

state = envs.unwrapped.get_state()  # arrays and plain JSON
first = envs.step(np.full(N, 2))
envs.unwrapped.set_state(state)
again = envs.step(np.full(N, 2))
assert np.array_equal(first[0], again[0])
assert np.array_equal(first[1], again[1])
print("the same steps again from the saved state")
