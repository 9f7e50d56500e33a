"""Lab 4, the text that its two notebooks are made of: `python -m course build dqn`."""

# %% [markdown]
# # Lab 4. DQN, and reinforcement learning in trading
#
# You write the DQN of the course in plain PyTorch, about sixty lines: a replay memory, a network with a mask of
# actions, an epsilon-greedy choice, the Bellman target and the loss. You compare it number for number with the
# project's own, let it balance a pole, and then let it trade: first a simulated market that can be predicted, then a
# real stock, with a test period that is opened once.
#
# A cell with a hole raises `course.Hole` and names what is to be written. Below each part, `course.check` grades it;
# `python -m course check dqn dqn.ipynb` grades the whole file.

# %%
from collections import deque

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import course
from agents.course_dqn import CourseDQN
from agents.dqn import DQN
from benchmarks.statistics.estimates import gap_over_seeds_and_bars
from course import pictures
from trading_env import backtest, load
from trading_env.analysis.strategies import buy_and_hold, random_policy
from trading_env.data.simulators import ornstein_uhlenbeck

pictures.set_up()

# %% [markdown]
# ## 1. The replay memory
#
# Consecutive observations resemble each other, and a network that learns from them in order forgets what it knew of
# other situations. So DQN stores each transition (obs, action, reward, next_obs, done) in a memory of limited size and
# learns from batches drawn from it uniformly, **without repetition**. `done` is 1 where the episode *terminated*. An
# episode that a time limit cuts off is not done: its future has a value, although nobody saw it.
#
# Write `Memory.sample`. The five parts of a row belong together, so draw rows, not parts. `rng.choice` draws
# for you; `torch.as_tensor(np.array(list_of_rows))` makes a tensor.


# %%
class Memory:
    """The last `size` transitions."""

    def __init__(self, size):
        self.rows = deque(maxlen=size)

    def add(self, obs, action, reward, next_obs, done):
        """Stores one transition; the oldest one leaves when the memory is full."""
        self.rows.append((np.float32(obs), int(action), np.float32(reward), np.float32(next_obs), np.float32(done)))

    def sample(self, batch_size, rng):
        """Tensors obs [B, D], action [B], reward [B], next_obs [B, D], done [B] of B different rows."""
        # BEGIN SOLUTION
        chosen = rng.choice(len(self.rows), batch_size, replace=False)  # [B]
        parts = zip(*(self.rows[i] for i in chosen), strict=True)
        return tuple(torch.as_tensor(np.array(part)) for part in parts)
        # END SOLUTION


# %%
course.check("dqn", globals(), "Memory.sample")

# %% [markdown]
# **Question 1.** Why is a transition that is drawn twice in a batch no disaster, and why does the memory forget?

# %% [markdown] tags=["answer"]
# The gradient would weigh this transition twice, which adds variance but no bias over many draws. The memory forgets
# since old transitions come from an old policy, and show situations that the present policy no longer reaches.

# %% [markdown]
# ## 2. The network and its mask
#
# The network has one output per action, but a transition tells the value of *one* action. The course lets the network
# take a mask as its second input and multiply its outputs by it,
#
# $$Q_\theta(s, m) = m \odot f_\theta(s).$$
#
# With a mask of ones it returns all values; with the one-hot mask of the action taken, every other output is 0, as its
# target will be, and does not contribute to the error. Write the last line of `forward`.


# %%
class QNetwork(nn.Module):
    """Values of `n_actions` actions for observations of `n_inputs` numbers."""

    def __init__(self, n_inputs, n_actions, width=64):
        super().__init__()
        hidden = [nn.Linear(n_inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
        self.layers = nn.Sequential(*hidden, nn.Linear(width, n_actions))

    def forward(self, obs, mask=1.0):
        """Masked values [B, A] for observations [B, D] and a mask [B, A], or 1 for all."""
        # BEGIN SOLUTION
        return self.layers(obs) * mask  # [B, A]
        # END SOLUTION


# %%
course.check("dqn", globals(), "QNetwork.forward")

# %% [markdown]
# ## 3. Acting
#
# With probability epsilon the agent takes a random action, each of the $A$ actions alike, and otherwise the one of the
# highest value. Epsilon is 1 until learning begins at step `begin`, then falls by a factor a step down to a floor:
#
# $$\epsilon_k = \max\left(\epsilon_{\min},\; d^{\,\max(k - k_0,\, 0)}\right).$$


# %%
def act(network, obs, epsilon, rng):
    """An action for one observation [D], as an int."""
    # BEGIN SOLUTION
    with torch.no_grad():
        values = network(torch.as_tensor(obs)[None])[0]  # [A]
    if rng.random() < epsilon:
        return int(rng.integers(len(values)))
    return int(values.argmax())
    # END SOLUTION


def epsilon_at(step, begin=64, decay=0.999, floor=0.05):
    """The probability of a random action at a step."""
    # BEGIN SOLUTION
    return max(floor, decay ** max(step - begin, 0))
    # END SOLUTION


# %%
course.check("dqn", globals(), "act")
course.check("dqn", globals(), "epsilon_at")

# %%
steps = np.arange(5_000)
figure, axis = pictures.axis("Epsilon falls exponentially", "step", "probability of a random action")
for decay in (0.995, 0.999, 0.9995):
    axis.plot(steps, [epsilon_at(k, decay=decay) for k in steps], label=f"decay {decay}")
axis.legend()
plt.show()

# %% [markdown]
# ## 4. Target and loss
#
# The target of the action taken is the reward and, unless the episode is done, the discounted value of the best next
# action:
#
# $$y = r + \gamma\,(1 - \mathrm{done})\,\max_{a'} Q_{\theta^-}(s', a').$$
#
# $\theta^-$ are the weights of the target network. The first DQN of the course has none: it uses $\theta$ itself. In
# both cases no gradient flows through $y$, since a target is not something to be moved towards the guess.
#
# The loss is the mean over the batch and over all $A$ outputs of the squared difference of masked values and masked
# targets,
#
# $$L = \frac{1}{BA} \sum_{b,a} \left(m_{ba} f_\theta(s_b)_a - m_{ba} y_b\right)^2.$$


# %%
def bellman_target(reward, done, next_values, gamma):
    """Targets [B] from reward [B], done [B] and the values of the next actions [B, A]."""
    # BEGIN SOLUTION
    return reward + gamma * (1 - done) * next_values.max(dim=1).values
    # END SOLUTION


def masked_loss(network, target_network, batch, gamma):
    """The loss of a batch (obs, action, reward, next_obs, done), a number to call backward() on."""
    obs, action, reward, next_obs, done = batch
    # BEGIN SOLUTION
    with torch.no_grad():
        next_values = target_network(next_obs)  # [B, A]
        target = bellman_target(reward, done, next_values, gamma)  # [B]
    mask = nn.functional.one_hot(action, next_values.shape[1])  # [B, A]
    return (network(obs, mask) - mask * target[:, None]).square().mean()
    # END SOLUTION


# %%
course.check("dqn", globals(), "bellman_target")
course.check("dqn", globals(), "masked_loss")

# %% [markdown]
# **Question 2.** A batch of 64 and two actions: the loss divides by 128, though only 64 outputs can be wrong. What does
# this change, compared with the mean over the 64 errors?

# %% [markdown] tags=["answer"]
# The loss and its gradient are halved: with plain gradient descent it is a learning rate half as large. RMSprop divides
# by the size of the gradient, so it hardly changes anything, apart from `eps` in the denominator.

# %% [markdown]
# ## 5. The whole agent
#
# The rest is a loop: act, step, remember, learn from a batch, and copy the weights to the target network now and then.


# %%
class MyDQN:
    """Your DQN. `interval` is the number of steps between copies to the target network; 0 means there is none."""

    def __init__(self, n_inputs, n_actions, interval=0, gamma=0.99, learning_rate=1e-3, seed=0):
        torch.manual_seed(seed)
        self.rng = np.random.default_rng(seed)
        self.network = QNetwork(n_inputs, n_actions)
        self.target = QNetwork(n_inputs, n_actions) if interval else self.network
        self.target.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.RMSprop(self.network.parameters(), learning_rate, alpha=0.95, eps=0.01)
        self.memory, self.interval, self.gamma, self.batch_size = Memory(10_000), interval, gamma, 64

    def update(self, batch):
        """One step of RMSprop down the loss of a batch, which is returned."""
        loss = masked_loss(self.network, self.target, batch, self.gamma)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def learn(self, env, n_steps, decay=0.999):
        """Learns for a number of steps; returns the lengths of the episodes and the losses."""
        (obs, _), lengths, losses, length = env.reset(seed=0), [], [], 0
        for step in range(n_steps):
            action = act(self.network, obs, epsilon_at(step, decay=decay), self.rng)
            next_obs, reward, terminated, truncated, _ = env.step(action)
            self.memory.add(obs, action, reward, next_obs, terminated)
            obs, length = next_obs, length + 1
            if terminated or truncated:
                lengths.append(length)
                (obs, _), length = env.reset(), 0
            if len(self.memory.rows) >= self.batch_size:
                losses.append(self.update(self.memory.sample(self.batch_size, self.rng)))
            if self.interval and step % self.interval == 0:
                self.target.load_state_dict(self.network.state_dict())
        return np.array(lengths), np.array(losses)

    def predict(self, obs, state=None, episode_start=None, deterministic=True):
        """The best action of each observation, in Stable-Baselines3's form, which `backtest` and the films expect."""
        with torch.no_grad():
            return self.network(torch.as_tensor(obs)).argmax(-1).numpy(), state


# %% [markdown]
# ### The same as the project's
#
# `agents/course_dqn.py` is this algorithm for many seeds at once. Give both the same weights and the same batch: loss
# and weights after the step agree. `agents/dqn.py`, the DQN to train with, has its gradient by hand; a test of the
# project compares it with autograd in the same way, so you can trust code that you would not want to read first.

# %%
project = CourseDQN("CartPole-v1", learning_rate=1e-3, buffer_size=64, batch_size=64)
mine = MyDQN(4, 2)
pairs = list(zip(project.q_net.layers, mine.network.layers[::2], strict=True))
for (weight, bias), layer in pairs:  # theirs have a seed axis, [S, in, out]
    layer.weight.data, layer.bias.data = weight[0].T.clone(), bias[0, 0].clone()

draw = np.random.default_rng(0)
for _ in range(64):
    row = (draw.normal(size=4), draw.integers(2), draw.normal(), draw.normal(size=4), draw.random() < 0.1)
    mine.memory.add(*row)
    project.replay.add(*(np.asarray(part)[None] for part in row))
loss = mine.update(mine.memory.sample(64, draw))
project._update(learning_rate=1e-3)
apart = max((weight[0].T - layer.weight).abs().max().item() for (weight, _), layer in pairs)
print(f"loss {loss:.6f}, the project's {project._last.item():.6f}; the weights agree: {apart < 1e-6}")

# %% [markdown]
# ## 6. CartPole, with and without a target network

# %%
cartpole, runs, learnt = gym.make("CartPole-v1"), {}, {}
for name, interval in (("no target network", 0), ("copied every 200 steps", 200)):
    learnt[name] = MyDQN(4, 2, interval)
    runs[name] = learnt[name].learn(cartpole, 4_000)

figure, axes = plt.subplots(1, 2, figsize=(9, 3))
for name, (lengths, losses) in runs.items():
    axes[0].plot(lengths, label=name)
    axes[1].plot(pictures.smooth(losses, 100), label=name)
axes[0].set(title="CartPole: steps of each episode", xlabel="episode")
axes[1].set(title="Loss, mean of 100 updates", xlabel="update", yscale="log")
axes[0].legend()
plt.show()

# %% [markdown]
# The loss is no measure of success: it rises when values grow, and it is small for a network that is wrong everywhere
# by the same amount. Look at the values. With $\gamma = 0.99$ and a reward of 1 a step, an endless episode is worth
# $1 / (1 - 0.99) = 100$. A target network climbs there in small stairs: 20 copies are 20 steps of value iteration, and
# after these nobody can know of more than 20 rewards.

# %%
tilts = torch.linspace(-0.2, 0.2, 41)  # [B]
figure, axis = pictures.axis("Values of a tilted pole, everything else 0", "angle", "Q")
for name, agent in learnt.items():
    with torch.no_grad():
        values = agent.network(torch.nn.functional.pad(tilts[:, None], (2, 1)))  # [B, A]
    for action, style in enumerate(("-", "--")):
        axis.plot(tilts, values[:, action], style, label=f"{name}, push {('left', 'right')[action]}")
axis.legend(fontsize=7)
plt.show()

# %% [markdown]
# A film: before training on the left, after it on the right.

# %%
before = MyDQN(4, 2, seed=1)
pictures.cartpole_film([before, learnt["copied every 200 steps"]])

# %% [markdown]
# **Question 3.** Run both variants with five seeds each. Is one better? What would you have reported after one seed?

# %% [markdown] tags=["answer"]
# At this budget the ranges of the two overlap by far: one seed "shows" whichever you like. The target network pays in
# longer training, where values that chase themselves can run away.

# %% [markdown]
# ## 7. A market that can be predicted
#
# The env `TradingEnv` shows features of the last bars and the account; its actions are sell (0), hold (1), buy (2). The
# reward is the log return of equity **after costs**. First a simulated price whose logarithm returns to its mean: the
# only feature is the distance from the mean. The best policy buys below and sells above, with a band in between where
# a trade would not earn its cost.


# %%
def distance(market):
    """Feature of the simulated market: log of the price over its mean, in units of 2.5%."""
    return np.log(market.close / 100.0)[:, None].astype(np.float32) * 40.0


def market_env(seed, **keywords):
    """Episodes in a simulated market; rewards in percent, since networks like numbers near 1."""
    market = ornstein_uhlenbeck(3_000, seed, kappa=0.1, sigma=0.01)
    env = gym.make("trading_env:TradingEnv-v0", data=market, features=distance, window=1, **keywords)
    return gym.wrappers.TransformReward(env, lambda reward: 100.0 * reward)


trader = MyDQN(5, 3, interval=200, gamma=0.9)
trader.learn(market_env(0, random_start=True, episode_length=250), 4_000)
unseen = market_env(1)
result = backtest(trader, unseen)
held = backtest(buy_and_hold, unseen)
print(f"on an unseen path, a year, after costs: DQN {result.annual_return:+.0%}, holding {held.annual_return:+.0%}")

# %%
pictures.policy_map(trader.network, scale=2.5)
plt.show()

# %% [markdown]
# The map shows the greedy action for each price, for an account that is out of the market and for one that is
# invested. Where the two rows differ there is the band: whoever is in stays in, whoever is out stays out.
#
# **Question 4.** Make costs ten times as high (`costs={"commission": 5e-3, "slippage": 5e-3}`) and train again. What
# happens to the band?

# %% [markdown] tags=["answer"]
# It widens: a round trip costs about 2% then, so that only distances far from the mean promise more than that.

# %% [markdown]
# ## 8. Reinforcement learning in trading: a stock
#
# Now a real stock, ten years of daily bars of IBM. Rules of an honest study:
#
# 1. Three stretches in time: train, choose on the validation stretch, and open the **sealed test** once.
# 2. Several seeds, not the best one.
# 3. Baselines: holding; and random trades with the agent's turnover, which pay the same costs.
# 4. A difference with an interval, by bars *and* seeds.
#
# The training here is the project's DQN, eight seeds at once. What we choose is the learning rate.

# %%
train, validation, test = load("us-stocks/IBM").split(0.6, 0.8)
options = {"window": 5, "random_start": True, "episode_length": 250}
candidates = {}
for rate in (1e-4, 1e-3):
    env = gym.make("trading_env:TradingEnv-v0", data=train, **options)
    settings = {"learning_rate": rate, "gamma": 0.9, "target_update_interval": 500, "exploration_fraction": 0.5}
    candidates[rate] = DQN(env, seeds=8, normalize_reward=True, **settings).learn(5_000)
scores = {rate: float(np.mean(backtest(agent, validation).total_return)) for rate, agent in candidates.items()}
best = max(scores, key=scores.get)
print({rate: f"{score:+.1%}" for rate, score in scores.items()}, "chosen:", best)


# %% [markdown]
# Before you open the test, write the number that will be judged: the annualised Sharpe ratio of daily returns, their
# mean over their standard deviation (divisor $T - 1$), times the root of the days in a year.


# %%
def sharpe(returns, bars_per_year):
    """Annualised Sharpe ratio of returns [T]."""
    # BEGIN SOLUTION
    return np.mean(returns) / np.std(returns, ddof=1) * np.sqrt(bars_per_year)
    # END SOLUTION


# %%
course.check("dqn", globals(), "sharpe")

# %%
tested, holding = backtest(candidates[best], test), backtest(buy_and_hold, test)  # the seal is broken
turnover = float(np.mean(tested.annual_turnover))
by_chance = backtest([lambda market, s=s: random_policy(market, turnover, s) for s in range(8)], test)
for name, run in (("DQN, 8 seeds", tested), ("holding", holding), ("random trades", by_chance)):
    ratios = [sharpe(returns, 252) for returns in run.tracks.returns if returns.any()]  # not of those that never trade
    print(f"{name:14} median Sharpe {np.median(ratios):+.2f} ({min(ratios):+.2f} to {max(ratios):+.2f})")
for name, run in (("holding", holding), ("random trades", by_chance)):
    gap = gap_over_seeds_and_bars(np.log1p(tested.tracks.returns), np.log1p(run.tracks.returns))
    low, high = (25200 * bound for bound in gap.interval())
    print(f"log return a year, DQN less {name}: {25200 * gap.value:+.0f}% (95% interval {low:+.0f}% to {high:+.0f}%)")
print(f"a gap below {25200 * gap.detectable():.0f}% a year would be missed in more than one of five such tests")

# %%
figure, axis = pictures.axis("The sealed test: equity after costs", "bar of the test", "equity")
axis.plot(tested.tracks.equity.T, color="tab:blue", alpha=0.4, linewidth=0.8)
axis.plot(by_chance.tracks.equity.T, color="tab:gray", alpha=0.3, linewidth=0.8)
axis.plot(holding.equity, color="black", label="holding")
axis.plot([], color="tab:blue", label="DQN, 8 seeds")
axis.plot([], color="tab:gray", label="random trades")
axis.legend()
plt.show()

# %% [markdown]
# **Question 5.** Why does this study not show that DQN can trade this stock? Name three reasons.

# %% [markdown] tags=["answer"]
# (1) The baseline that counts is trading at random as often: both lose against holding in a rising market, since they
# are out of it half of the time and pay costs. The interval of that difference contains 0, and two and a half years of
# one stock are too short for any plausible edge: see the gap that such a test would detect. It takes many stocks and
# decades. (2) There is hardly anything to learn: daily returns of a large stock are close to unpredictable. In the
# simulated market the same code succeeds: this control says that the code is not at fault. (3) The seeds differ from
# each other more than from the baseline, so that a single one is an accident. And IBM was picked by somebody who knew
# that it survived.
