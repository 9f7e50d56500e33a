"""Lab 2, the text that its two notebooks are made of: `python -m course build q_table`."""

# %% [markdown]
# # Lab 2. A table that learns
#
# Nobody tells the probabilities now. The agent tries, and keeps what it learns in a table of action values that grows
# with its experience. You write Q-learning and Dyna-Q, which also learns from what it remembers. At the end stands a
# table of all methods so far, on a market whose optimum is known.

# %%
import time

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np

import course
from agents.q_learning import QLearning
from course import pictures
from trading_env.reference.ritter import Ritter, performance, ritter_solution

pictures.set_up()

# %% [markdown]
# ## 1. The table
#
# A row has the values of all actions in one state. States that were never seen have no row: `values` makes one of zeros
# when a state is met, and returns *the row itself*, so that who changes it changes the table.
#
# `choose` is epsilon-greedy. If several actions are equally good, it draws among them: at first all are 0, and an agent
# that always took the first of them would walk against the same wall for ever.
#
# `update` moves one entry a part of the way to what the step tells,
#
# $$Q(s,a) \leftarrow Q(s,a) + \alpha\left(r + \gamma\,(1-\mathrm{terminated}) \max_{b} Q(s',b) - Q(s,a)\right).$$


# %%
class QTable:
    """Action values of the states seen so far."""

    def __init__(self, n_actions, rate=0.1, gamma=0.99):
        self.n_actions, self.rate, self.gamma = n_actions, rate, gamma
        self.rows = {}

    def values(self, state):
        """The row of a state [A]: a new one of zeros, if it has none."""
        # BEGIN SOLUTION
        if state not in self.rows:
            self.rows[state] = np.zeros(self.n_actions)
        return self.rows[state]
        # END SOLUTION

    def choose(self, state, epsilon, rng):
        """An epsilon-greedy action, as an int; equals are drawn alike."""
        # BEGIN SOLUTION
        if rng.random() < epsilon:
            return int(rng.integers(self.n_actions))
        values = self.values(state)
        return int(rng.choice(np.flatnonzero(values == values.max())))
        # END SOLUTION

    def update(self, state, action, reward, next_state, terminated):
        """Learns from one transition."""
        # BEGIN SOLUTION
        target = reward if terminated else reward + self.gamma * self.values(next_state).max()
        row = self.values(state)
        row[action] += self.rate * (target - row[action])
        # END SOLUTION


# %%
course.check("q_table", globals(), "QTable.values")
course.check("q_table", globals(), "QTable.choose")
course.check("q_table", globals(), "QTable.update")

# %% [markdown]
# ## 2. Dyna-Q
#
# A step in the world is dear, a thought is cheap. Dyna-Q remembers for each state and action what followed last, and
# after each real step it repeats `n` remembered ones, drawn alike from all pairs (state, action) that it has tried.


# %%
def plan(table, model, n, rng):
    """Updates the table n times from a model: (state, action) -> (reward, next state, terminated)."""
    # BEGIN SOLUTION
    pairs = list(model)
    for i in rng.integers(len(pairs), size=n):
        state, action = pairs[i]
        table.update(state, action, *model[state, action])
    # END SOLUTION


# %%
course.check("q_table", globals(), "plan")


# %%
def learn(env, table, n_steps, planning=0, epsilon=0.1, seed=0):
    """Learns in the env; returns the sums of rewards of its episodes, and the number of rows after each step."""
    rng, model, sums, sizes, total = np.random.default_rng(seed), {}, [], [], 0.0
    state, _ = env.reset(seed=seed)
    for step in range(n_steps):
        action = table.choose(state, epsilon(step) if callable(epsilon) else epsilon, rng)
        after, reward, terminated, truncated, _ = env.step(action)
        table.update(state, action, reward, after, terminated)
        if planning:
            model[state, action] = reward, after, terminated
            plan(table, model, planning, rng)
        state, total = after, total + reward
        sizes.append(len(table.rows))
        if terminated or truncated:
            sums.append(total)
            (state, _), total = env.reset(), 0.0
    return np.array(sums), sizes


# %% [markdown]
# A walk along a cliff: each step costs 1, a fall 100, and the shortest way takes 13 steps. How many real steps does it
# take to find it?

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 2.8))
for planning in (0, 5, 30):
    table = QTable(4, rate=0.5)
    sums, sizes = learn(gym.make("CliffWalking-v1"), table, 3_000, planning)
    axes[0].plot(np.maximum(sums, -400), label=f"{planning} thoughts a step")
    axes[1].plot(sizes)
axes[0].set(title="CliffWalking: reward of each episode", xlabel="episode", xlim=(0, 60))
axes[1].set(title="Rows of the table", xlabel="step")
axes[0].legend()
plt.show()

# %% [markdown]
# **Question 1.** Dyna-Q remembers what followed *last*. On slippery ice, where the same action leads to different
# cells, what goes wrong?

# %% [markdown] tags=["answer"]
# It takes the last outcome for the only one, and learns it many times before the next real step: a lucky slip makes a
# bad action look good for a while. It would have to remember how often each outcome followed, and draw from them.

# %% [markdown]
# ## 3. Ritter's market
#
# The problem of lab 1: a price that returns to its mean, positions of -2 to 2 lots, costs and aversion to risk. The
# best mean reward per step is known. `performance` computes exactly what a greedy policy earns, without the noise of a
# test.

# %%
size = {"n_prices": 60, "tick": 1.0, "mean": 30.0, "lot": 10.0, "max_trade": 2, "max_position": 2, "impact": 0.0}
problem = Ritter(sigma=0.12, **size)
optimum = ritter_solution(problem).gain
market = gym.make("trading_env:reference/Ritter-v0", sigma=0.12, n_steps=500, **size)


def earned(table):
    """Exact mean reward of the greedy policy; where nothing was learnt it does not trade (action 2)."""
    rows = [table.rows.get(state, np.eye(5)[2]) for state in range(300)]
    return performance(problem, np.argmax(rows, axis=1).reshape(60, 5)).reward


def falling(step):
    """Exploration: from 1 to 0.1 in 30,000 steps."""
    return max(0.1, 1.0 - step / 30_000)


curves, table = [], QTable(5, rate=0.1, gamma=0.9)
for part in range(8):
    learn(market, table, 5_000, epsilon=lambda step, part=part: falling(step + 5_000 * part), seed=part)
    curves.append(earned(table) / optimum)
dyna = QTable(5, rate=0.1, gamma=0.9)
learn(market, dyna, 10_000, planning=5, epsilon=lambda step: falling(3 * step))
figure, axis = pictures.axis("Mean reward, as a fraction of the optimum", "steps")
axis.plot(5_000 * np.arange(1, 9), curves, "o-", label="Q-table")
axis.plot(10_000, earned(dyna) / optimum, "s", label="Dyna-Q, 5 thoughts a step")
axis.axhline(1.0, color="gray", linewidth=0.8)
axis.legend()
plt.show()

# %% [markdown]
# Where does the table go wrong? Left what the optimal policy holds after its trade, right the table's.

# %%
after = np.clip(np.arange(-2, 3)[:, None] + np.arange(-2, 3), -2, 2)  # [M, A]
learnt = np.argmax([table.rows.get(state, np.eye(5)[2]) for state in range(300)], axis=1).reshape(60, 5)
figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), sharey=True)
for axis, actions, title in zip(axes, (ritter_solution(problem).actions, learnt), ("optimal", "learnt"), strict=True):
    held = np.take_along_axis(after[None].repeat(60, 0), actions[..., None], 2)[..., 0]  # [X, M]
    axis.imshow(held.T, origin="lower", aspect="auto", cmap="RdBu_r", extent=(1, 61, -2.5, 2.5))
    axis.set(title=f"Position after the trade, {title}", xlabel="price")
axes[0].set_ylabel("position before")
plt.show()

# %% [markdown]
# **Question 2.** Name two places of the map where the table is wrong, and the reason of each.

# %% [markdown] tags=["answer"]
# Far from the mean the price comes seldom, so that these rows were updated a few times only, or never. Near the mean
# the best actions differ by little, while the reward of a step is noise that is much larger: the maximum of noisy
# entries decides. Both cost little: the first states are rare, and the second errors small. Since the price says
# nothing of its neighbour to a table, it learns each row by itself; a network would not.

# %% [markdown]
# ## 4. All methods so far


# %%
def timed(title, steps, run):
    """Prints a line of the table."""
    began = time.perf_counter()
    actions = run()
    spent = time.perf_counter() - began
    print(f"{title:28} {steps:>8} {performance(problem, actions).reward / optimum:8.1%} {spent:8.1f} s")


def by_table(planning, n_steps):
    """Greedy actions of a new table."""
    one = QTable(5, rate=0.1, gamma=0.9)
    learn(market, one, n_steps, planning, lambda step: falling(step * 40_000 / n_steps))
    return np.argmax([one.rows.get(state, np.eye(5)[2]) for state in range(300)], axis=1).reshape(60, 5)


print(f"{'method':28} {'steps':>8} {'optimum':>8} {'time':>8}")
timed("value iteration, known model", "none", lambda: ritter_solution(problem).actions)
timed("Q-table", "20,000", lambda: by_table(0, 20_000))
timed("Dyna-Q, 5 thoughts", "20,000", lambda: by_table(5, 20_000))
project = QLearning(market, gamma=0.9, learning_rate="lin_0.2", exploration_fraction=0.8)
timed("the project's Q-learning", "50,000", lambda: project.learn(50_000).table[0].argmax(-1).reshape(60, 5))

# %% [markdown]
# **Question 3.** Each method knows something that the next does not. What, and what does the ignorance cost?

# %% [markdown] tags=["answer"]
# Value iteration knows all probabilities and rewards, and needs no step. Q-learning knows only the states and what it
# tries: it pays with thousands of steps, and stays a few percent below the optimum. Dyna-Q builds a model from the same
# steps, with which it repeats them; here the market is random, and the last outcome is a poor model of it.
