"""Lab 7, the text that its two notebooks are made of: `python -m course build a2c`."""

# %% [markdown]
# # Lab 7. A2C
#
# From REINFORCE (lab 6) by three changes: a critic estimates the value of a state, so that one step tells whether an
# action was better than expected; learning needs no end of an episode; and the policy's entropy is rewarded, so that it
# does not stop exploring. You write the networks, the advantage, the entropy and the loss.

# %%
import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from torch import nn

import course
from agents.a2c import A2C
from course import pictures
from trading_env import backtest
from trading_env.analysis.strategies import buy_and_hold
from trading_env.data.simulators import ornstein_uhlenbeck

pictures.set_up()

# %% [markdown]
# ## 1. Two networks, or one with two heads
#
# The actor gives logits of the actions, the critic the value $V(s)$. They may share their hidden layer: what is worth
# seeing for one is worth seeing for the other. Or they may be separate: then the critic's errors, which are large at
# first, do not disturb the policy. Write `build_networks`: two modules of `nn.Sequential`, each a hidden layer with
# tanh and an output. If they share, the hidden `nn.Linear` is **the same object** in both.


# %%
def build_networks(n_inputs, n_actions, width, shared):
    """The actor, [B, D] -> [B, A], and the critic, [B, D] -> [B, 1]."""
    # BEGIN SOLUTION
    hidden = nn.Linear(n_inputs, width)
    own = hidden if shared else nn.Linear(n_inputs, width)
    actor = nn.Sequential(hidden, nn.Tanh(), nn.Linear(width, n_actions))
    critic = nn.Sequential(own, nn.Tanh(), nn.Linear(width, 1))
    return actor, critic
    # END SOLUTION


# %%
course.check("a2c", globals(), "build_networks")

# %% [markdown]
# ## 2. The advantage
#
# The TD(0) error compares what one step brought with what was expected,
#
# $$A_t = r_t + \gamma\,(1 - \mathrm{terminated}_t)\, V(s_{t+1}) - V(s_t).$$
#
# It is positive if the action was better than the critic thought, and **negative** if it was worse, although all
# rewards may be positive. After a termination nothing follows; after a time limit something would have.


# %%
def td_advantage(reward, value, next_value, terminated, gamma):
    """TD(0) errors [T], from tensors [T]; terminated has zeros and ones."""
    # BEGIN SOLUTION
    return reward + gamma * (1 - terminated) * next_value - value
    # END SOLUTION


# %%
course.check("a2c", globals(), "td_advantage")

# %% [markdown]
# ## 3. Entropy
#
# A policy that is sure explores no more, and may be sure too soon. Its entropy,
#
# $$H(s) = -\sum_a \pi(a|s) \log \pi(a|s),$$
#
# is $\log A$ if all $A$ actions are alike, and 0 if one is certain.


# %%
def entropy(logits):
    """Entropy [B] of the policies with logits [B, A], in nats."""
    # BEGIN SOLUTION
    log_pi = torch.log_softmax(logits, dim=1)  # [B, A]
    return -(log_pi.exp() * log_pi).sum(dim=1)
    # END SOLUTION


# %%
course.check("a2c", globals(), "entropy")

# %% [markdown]
# ## 4. The loss
#
# Three terms, each a mean over the batch:
#
# $$L = -\overline{A_t \log \pi(a_t|s_t)} \;-\; c_H\, \overline{H(s_t)} \;+\; c_V\, \overline{(V(s_t) - R_t)^2},$$
#
# where $R_t$ is the target of the critic, $r_t + \gamma (1 - \mathrm{terminated}_t) V(s_{t+1})$. Advantage and target
# are numbers that the past has fixed: no gradient flows through them. The critic learns by the third term alone.


# %%
def a2c_loss(logits, value, action, advantage, target, entropy_weight, value_weight):
    """The loss, from logits [B, A] and value, action, advantage and target [B]."""
    # BEGIN SOLUTION
    log_pi = torch.log_softmax(logits, dim=1).gather(1, action[:, None])[:, 0]  # [B]
    policy = -(advantage.detach() * log_pi).mean()
    critic = (value - target.detach()).square().mean()
    return policy - entropy_weight * entropy(logits).mean() + value_weight * critic
    # END SOLUTION


# %%
course.check("a2c", globals(), "a2c_loss")

# %% [markdown]
# **Question 1.** What would happen if the gradient did flow through the advantage?

# %% [markdown] tags=["answer"]
# The first term could then be lowered by moving V: where log pi is negative, as it always is, a lower advantage lowers
# the loss, so that V(s) would grow without regard to what the state is worth.

# %% [markdown]
# ## 5. The agent
#
# Eight envs step together, five steps per update. Episodes end within these steps, and the next ones begin.


# %%
class MyA2C:
    """Your A2C, on a vector env whose episodes begin anew in the step that ends one."""

    def __init__(self, n_inputs, n_actions, gamma=0.99, learning_rate=2e-3, weights=(0.01, 0.5), shared=False, seed=0):
        torch.manual_seed(seed)
        self.rng, self.gamma, self.weights = np.random.default_rng(seed), gamma, weights
        self.actor, self.critic = build_networks(n_inputs, n_actions, 64, shared)
        parameters = {*self.actor.parameters(), *self.critic.parameters()}
        self.optimizer = torch.optim.Adam(parameters, learning_rate)

    def draw(self, obs):
        """Actions [N], drawn from the policy."""
        with torch.no_grad():
            odds = torch.softmax(self.actor(torch.as_tensor(obs)), 1).numpy().cumsum(1)
        return (self.rng.random((len(obs), 1)) > odds[:, :-1]).sum(1)

    def learn(self, envs, n_updates, n_steps=5):
        """Learns; returns the lengths of episodes, and each update's mean and deviation of advantages, and entropy."""
        (obs, _), lengths, log, running = envs.reset(seed=0), [], [], np.zeros(envs.num_envs, int)
        for _ in range(n_updates):
            rows = []
            for _ in range(n_steps):
                action = self.draw(obs)
                after, reward, terminated, truncated, info = envs.step(action)
                last, over = after.copy(), terminated | truncated
                for i in np.flatnonzero(over):
                    last[i] = info["final_obs"][i]  # what the action led to, before the next episode began
                rows.append((obs, action, np.float32(reward), np.float32(terminated), last))
                obs, running = after, running + 1
                lengths += running[over].tolist()
                running[over] = 0
            log.append(self.update(*(torch.as_tensor(np.concatenate(part)) for part in zip(*rows, strict=True))))
        return np.array(lengths), np.array(log)

    def update(self, obs, action, reward, terminated, next_obs):
        """One step of Adam on B transitions."""
        with torch.no_grad():
            old, following = self.critic(obs)[:, 0], self.critic(next_obs)[:, 0]
        advantage = td_advantage(reward, old, following, terminated, self.gamma)
        logits, value = self.actor(obs), self.critic(obs)[:, 0]
        loss = a2c_loss(logits, value, action, advantage, advantage + old, *self.weights)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return advantage.mean().item(), advantage.std().item(), entropy(logits).mean().item()

    def predict(self, obs, state=None, episode_start=None, deterministic=True):
        """The most probable action."""
        with torch.no_grad():
            return self.actor(torch.as_tensor(obs)).argmax(-1).numpy(), state


# %%
mode = {"autoreset_mode": AutoresetMode.SAME_STEP}
agents = {shared: MyA2C(4, 2, shared=shared) for shared in (False, True)}
figure, axes = plt.subplots(1, 3, figsize=(9, 2.6))
for shared, agent in agents.items():
    envs = gym.make_vec("CartPole-v1", num_envs=8, vectorization_mode="sync", vector_kwargs=mode)
    lengths, log = agent.learn(envs, 1_500)
    name = "shared" if shared else "separate"
    axes[0].plot(pictures.smooth(lengths, 20), label=name)
    axes[1].plot(pictures.smooth(log[:, 0], 50), label=name)
    axes[2].plot(pictures.smooth(log[:, 2], 50), label=name)
for axis, title in zip(axes, ("CartPole: steps of an episode", "mean advantage", "entropy"), strict=True):
    axis.set(title=title, xlabel="episode" if axis is axes[0] else "update")
axes[0].legend()
plt.show()

# %% [markdown]
# At first the critic expects nothing, and every step is a pleasant surprise: all advantages are near 1. When it expects
# what comes, their mean is 0, and half of them are negative. Here is one episode that ends in a fall.

# %%
agent, env = agents[False], gym.make("CartPole-v1")
(obs, _), seen, over = env.reset(seed=3), [], False
while not over and len(seen) < 200:
    action = int(agent.draw(obs[None])[0]) if len(seen) < 40 else 0  # from step 40 on it pushes left, come what may
    after, reward, terminated, truncated, _ = env.step(action)
    seen.append((obs, after, np.float32(terminated)))
    obs, over = after, terminated or truncated
before, after, ended = (torch.as_tensor(np.array(part)) for part in zip(*seen, strict=True))
with torch.no_grad():
    values = agent.critic(before)[:, 0], agent.critic(after)[:, 0]
advantage = td_advantage(torch.ones(len(ended)), *values, ended, 0.99)
figure, axis = pictures.axis("An episode that ends in a fall", "step", "")
axis.plot(values[0], label="V")
axis.plot(advantage, label="advantage")
axis.axhline(0.0, color="gray", linewidth=0.8)
axis.legend()
plt.show()

# %% [markdown]
# **Question 2.** All rewards in CartPole are 1. How can an action have a negative advantage?

# %% [markdown] tags=["answer"]
# The critic expected many more of them. An action after which the pole tilts leads to a state of lower value, and the
# reward of 1 does not make up for the loss: the step was worse than expected.

# %% [markdown]
# ## 6. Trading
#
# The simulated market of lab 4 again, this time by the project's A2C, in all three forms of the advantage:
# `gae_lambda=0` is your TD(0) error, 1 the whole return of the rollout, and 0.95 in between.


# %%
def distance(market):
    """Feature of the simulated market: log of the price over its mean, in units of 2.5%."""
    return np.log(market.close / 100.0)[:, None].astype(np.float32) * 40.0


keywords = {"features": distance, "window": 1}
path, unseen = (ornstein_uhlenbeck(3_000, seed, kappa=0.1, sigma=0.01) for seed in (0, 1))
env = gym.make("trading_env:TradingEnv-v0", data=path, random_start=True, episode_length=250, **keywords)
settings = {"n_steps": 16, "gamma": 0.9, "ent_coef": 0.01, "normalize_reward": True, "learning_rate": "lin_2e-3"}
for trace in (0.0, 0.95, 1.0):
    agent = A2C(env, seeds=4, n_envs=8, gae_lambda=trace, **settings).learn(100_000)
    growth = backtest(agent, unseen, **keywords).annual_return
    print(f"gae_lambda {trace:4}: a year on an unseen path {min(growth):+.0%} to {max(growth):+.0%}")
held = backtest(buy_and_hold, unseen)
print(f"holding: {held.annual_return:+.0%}")

# %% [markdown]
# **Question 3.** Set `ent_coef` to 0, and to 1. Does the backtest change? What does it not show?

# %% [markdown] tags=["answer"]
# Hardly: all runs stay between +21% and +24% a year. The backtest takes the most probable action. With a weight of 1
# the policy that acted during training was close to chance, and it learnt all the same, since every action was tried
# often and the signal is strong. Where a good action is rare, a policy without entropy may settle before it has met it.
