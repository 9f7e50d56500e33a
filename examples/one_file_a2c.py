"""A training loop in one file, in CleanRL's style: A2C in plain torch on a native vector env.

python examples/one_file_a2c.py [timesteps]
"""

import sys

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from torch import nn

TIMESTEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
N, T, GAMMA = 16, 32, 0.99  # envs, steps of a rollout, discount factor

torch.manual_seed(0)
torch.set_num_threads(1)
settings = {"data": "us-stocks/AAPL", "window": 10, "random_start": True, "episode_length": 250}
mode = AutoresetMode.SAME_STEP  # the step that ends an episode returns the first observation of the next one
envs = gym.make_vec("trading_env:TradingEnv-v0", num_envs=N, autoreset_mode=mode, **settings)
D, A = envs.single_observation_space.shape[0], envs.single_action_space.n
policy = nn.Sequential(nn.Linear(D, 64), nn.Tanh(), nn.Linear(64, A))
critic = nn.Sequential(nn.Linear(D, 64), nn.Tanh(), nn.Linear(64, 1))
optimizer = torch.optim.Adam([*policy.parameters(), *critic.parameters()], lr=7e-4)

obs, info = envs.reset(seed=0)  # [N, D]
for update in range(1, max(TIMESTEPS // (N * T), 1) + 1):
    batch = []
    for _ in range(T):
        with torch.no_grad():
            action = torch.distributions.Categorical(logits=policy(torch.from_numpy(obs))).sample()  # [N]
        next_obs, reward, terminated, truncated, info = envs.step(action.numpy())
        last = next_obs.copy()  # [N, D], what the action led to
        for i in np.flatnonzero(truncated | terminated):
            last[i] = info["final_obs"][i]
        batch.append([obs, action, reward, terminated, truncated, last])
        obs = next_obs
    seen, action, reward, terminated, truncated, last = (torch.as_tensor(np.array(x)) for x in zip(*batch, strict=True))
    with torch.no_grad():
        returns = critic(last)[..., 0] * ~terminated  # [T, N], the value of what follows; a time limit does not end it
        for t in reversed(range(T)):
            if t < T - 1:
                returns[t] = torch.where(terminated[t] | truncated[t], returns[t], returns[t + 1])
            returns[t] = reward[t] + GAMMA * returns[t]
    value = critic(seen)[..., 0]  # [T, N]
    advantage = returns - value.detach()
    chosen = torch.distributions.Categorical(logits=policy(seen))
    loss = -(advantage * chosen.log_prob(action)).mean() - 1e-4 * chosen.entropy().mean()
    loss = loss + 0.5 * (value - returns).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if update % 50 == 0 or update == 1:
        print(f"step {update * N * T:,}: reward per day {1e4 * reward.mean():+.1f} bps, loss {loss.item():.4f}")
