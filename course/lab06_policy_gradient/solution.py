"""Lab 6, the text that its two notebooks are made of: `python -m course build policy_gradient`."""

# %% [markdown]
# # Lab 6. Policy gradient
#
# DQN learns values and acts by their maximum. Here the policy itself is the network: it gives the probability of each
# action, and learning makes actions more probable that were followed by high returns. You write REINFORCE: returns,
# the draw of an action, the loss. Then there is a challenge with a budget of episodes.

# %%
import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import course
from agents.reinforce import REINFORCE
from course import pictures
from trading_env import backtest
from trading_env.analysis.strategies import buy_and_hold
from trading_env.data.simulators import ornstein_uhlenbeck

pictures.set_up()

# %% [markdown]
# ## 1. Returns
#
# An action is to be judged by what came after it, not by what came before: the discounted return
#
# $$G_t = r_t + \gamma\, r_{t+1} + \gamma^2 r_{t+2} + \dots = r_t + \gamma\, G_{t+1}.$$
#
# The second form, from the end backwards, costs one multiplication a step.


# %%
def discounted_returns(reward, gamma):
    """Returns [T] of the rewards [T] of one episode."""
    # BEGIN SOLUTION
    returns, to_come = np.zeros(len(reward)), 0.0
    for t in reversed(range(len(reward))):
        to_come = reward[t] + gamma * to_come
        returns[t] = to_come
    return returns
    # END SOLUTION


# %%
course.check("policy_gradient", globals(), "discounted_returns")

# %% [markdown]
# ## 2. Drawing an action
#
# The network's outputs are logits, of which softmax makes probabilities, $\pi(a|s) = e^{z_a} / \sum_b e^{z_b}$. The
# agent *draws* its action from them; it needs no epsilon, since the policy explores by itself as long as it is unsure.


# %%
def draw_action(logits, rng):
    """An action, as an int, drawn with the probabilities of the logits [A] (a tensor)."""
    # BEGIN SOLUTION
    probabilities = torch.softmax(logits.double(), 0).numpy()
    return int(rng.choice(len(probabilities), p=probabilities / probabilities.sum()))
    # END SOLUTION


# %%
course.check("policy_gradient", globals(), "draw_action")

# %% [markdown]
# ## 3. Why one divides by pi
#
# We want to climb $J = \sum_a \pi(a)\, r(a)$, whose gradient is $\sum_a r(a)\, \nabla\pi(a)$. But we do not see all
# actions: we see one, drawn from $\pi$. Actions that are drawn often would push often. To weigh each action once, a
# push is divided by the probability with which it comes:
#
# $$\nabla J = \mathbb{E}_{a \sim \pi}\left[\frac{\nabla \pi(a)}{\pi(a)}\, r(a)\right]
#   = \mathbb{E}_{a \sim \pi}\left[\nabla \log \pi(a)\; r(a)\right].$$
#
# Here is a bandit with two arms, worth 1.0 and 1.2. At first the worse one has probability 0.95.

# %%
figure, axis = pictures.axis("Probability of the better arm, 20 runs each", "pull", "pi(better)")
for divide, colour in ((True, "tab:blue"), (False, "tab:orange")):
    for run in range(20):
        rng, theta, history = np.random.default_rng(run), -3.0, []
        for _ in range(3_000):
            p = 1.0 / (1.0 + np.exp(-theta))  # of the better arm
            better = rng.random() < p
            push = (1.0 if better else -1.0) * p * (1.0 - p)  # the slope of the probability of the arm that was pulled
            theta += 0.1 * (1.2 if better else 1.0) * (push / (p if better else 1.0 - p) if divide else push)
            history.append(p)
        label = None if run else f"{'with' if divide else 'without'} division"
        axis.plot(history, color=colour, alpha=0.5, linewidth=0.7, label=label)
axis.legend()
plt.show()

# %% [markdown]
# **Question 1.** Why does learning without the division end at the worse arm?

# %% [markdown] tags=["answer"]
# Both rewards are positive, so that every pull raises the probability of the arm pulled. The worse arm is pulled 19
# times as often and gets 19 pushes for one of the other, whose reward is only a fifth larger. Divided by pi, the
# expected pushes are in the proportion of the rewards.

# %% [markdown]
# ## 4. Normalised returns
#
# In CartPole all returns are positive: every action is pushed up, the better ones a bit more. With mean 0, the worse
# half is pushed down, and with deviation 1, the size of a step does not depend on the size of rewards (divisor
# $n - 1$; add $10^{-8}$ to the deviation).


# %%
def normalised(x):
    """The numbers [n] of a tensor, less their mean, divided by their standard deviation."""
    # BEGIN SOLUTION
    return (x - x.mean()) / (x.std() + 1e-8)
    # END SOLUTION


# %%
course.check("policy_gradient", globals(), "normalised")

# %% [markdown]
# ## 5. The loss
#
# Optimisers go downhill, so the loss is minus what is to grow, the mean over the steps of the episodes,
#
# $$L = -\frac{1}{B}\sum_t A_t \log \pi(a_t|s_t),$$
#
# where $A$ are the normalised returns. `torch.log_softmax` gives log probabilities without overflow.


# %%
def policy_loss(logits, action, advantage):
    """The loss, from logits [B, A], actions [B] and advantages [B]."""
    # BEGIN SOLUTION
    log_pi = torch.log_softmax(logits, dim=1)  # [B, A]
    taken = log_pi.gather(1, action[:, None])[:, 0]  # [B]
    return -(advantage * taken).mean()
    # END SOLUTION


# %%
course.check("policy_gradient", globals(), "policy_loss")

# %% [markdown]
# **Question 2.** This is no loss in the usual sense: its value says nothing about success. What is its value, about, at
# the start, with normalised returns?

# %% [markdown] tags=["answer"]
# About 0. All probabilities are alike, so the log is nearly a constant, and the advantages have mean 0. What matters is
# its gradient, which is that of the expected return.

# %% [markdown]
# ## 6. CartPole, with a budget
#
# The challenge: a mean of 195 steps over the last 20 episodes, within 140 episodes. Change the learning rate, gamma,
# the episodes per update, the width; what counts is the worst of three seeds.


# %%
class MyREINFORCE:
    """Your REINFORCE."""

    def __init__(self, n_inputs, n_actions, gamma=0.99, learning_rate=1e-2, per_update=4, width=64, seed=0):
        torch.manual_seed(seed)
        self.rng, self.gamma, self.per_update = np.random.default_rng(seed), gamma, per_update
        self.network = nn.Sequential(nn.Linear(n_inputs, width), nn.Tanh(), nn.Linear(width, n_actions))
        self.optimizer = torch.optim.Adam(self.network.parameters(), learning_rate)

    def episode(self, env):
        """Observations, actions and rewards of one episode."""
        (obs, _), steps, over = env.reset(seed=int(self.rng.integers(2**31))), [], False
        while not over:
            with torch.no_grad():
                action = draw_action(self.network(torch.as_tensor(obs)), self.rng)
            after, reward, terminated, truncated, _ = env.step(action)
            steps.append((obs, action, reward))
            obs, over = after, terminated or truncated
        return steps

    def learn(self, env, n_episodes):
        """Learns; returns the sum of rewards of each episode."""
        sums = []
        while len(sums) < n_episodes:
            episodes = [self.episode(env) for _ in range(self.per_update)]
            rewards = [[step[2] for step in steps] for steps in episodes]
            returns = np.concatenate([discounted_returns(reward, self.gamma) for reward in rewards])
            obs, action, _ = zip(*(step for steps in episodes for step in steps), strict=True)
            logits = self.network(torch.as_tensor(np.array(obs)))
            loss = policy_loss(logits, torch.as_tensor(action), normalised(torch.as_tensor(returns).float()))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            sums += [sum(reward) for reward in rewards]
        return np.array(sums)

    def predict(self, obs, state=None, episode_start=None, deterministic=True):
        """The most probable action."""
        with torch.no_grad():
            return self.network(torch.as_tensor(obs)).argmax(-1).numpy(), state


# %%
agents = [MyREINFORCE(4, 2, seed=seed) for seed in range(3)]
sums = [agent.learn(gym.make("CartPole-v1"), 140) for agent in agents]
figure, axis = pictures.axis("CartPole: steps of each episode, mean of 20", "episode", "steps")
for seed, row in enumerate(sums):
    axis.plot(pictures.smooth(row, 20), label=f"seed {seed}")
axis.axhline(195, color="gray", linewidth=0.8)
axis.legend()
plt.show()
print("mean of the last 20 episodes:", [f"{row[-20:].mean():.0f}" for row in sums])

# %%
pictures.cartpole_film([MyREINFORCE(4, 2, seed=5), agents[0]])

# %% [markdown]
# ## 7. Trading
#
# The market of lab 4: a simulated price that returns to its mean, costs included. The reward of a day is noise of 1%
# with a mean far below, and one number judges a whole episode: policy gradients need many episodes. The project's
# REINFORCE has four seeds here, and subtracts a value that it learns, the subject of lab 7.


# %%
def distance(market):
    """Feature of the simulated market: log of the price over its mean, in units of 2.5%."""
    return np.log(market.close / 100.0)[:, None].astype(np.float32) * 40.0


keywords = {"features": distance, "window": 1}
path, unseen = (ornstein_uhlenbeck(3_000, seed, kappa=0.1, sigma=0.01) for seed in (0, 1))
env = gym.make("trading_env:TradingEnv-v0", data=path, random_start=True, episode_length=100, **keywords)
held = backtest(buy_and_hold, unseen)
for baseline in (False, True):
    agent = REINFORCE(env, seeds=4, n_envs=8, value_baseline=baseline, learning_rate=3e-3, gamma=0.9).learn(100_000)
    growth = backtest(agent, unseen, **keywords).annual_return
    name = "with a value" if baseline else "returns alone"
    print(f"{name:14} a year on an unseen path: {min(growth):+.0%} to {max(growth):+.0%}")
print(f"holding: {held.annual_return:+.0%}")

# %% [markdown]
# **Question 3.** Costs are paid at once, and the gain of a good purchase comes over the next ten days. Which gamma
# would never buy?

# %% [markdown] tags=["answer"]
# With gamma 0 only the next day counts: a purchase costs 0.1%, and the expected gain of one day is a tenth of the
# distance from the mean, so that it pays only below -1%, and to sell again costs as much. The smaller gamma, the wider
# the band in which nothing is traded.
