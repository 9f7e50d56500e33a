"""Lab 1, the text that its two notebooks are made of: `python -m course build known_model`."""

# %% [markdown]
# # Lab 1. When the model is known
#
# If the probabilities of what follows are known, nothing needs to be tried: the best policy can be computed. You write
# value iteration and policy iteration, run them on FrozenLake, dry and slippery, and on a small trading problem, and
# compare with an optimum that the project computes in another way.

# %%
import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np

import course
from course import pictures
from trading_env.reference.ritter import Ritter, performance, price_transition, ritter_solution

pictures.set_up()

# %% [markdown]
# A model is two arrays: `chance[s, a, s']`, the probability of coming from state $s$ by action $a$ to $s'$, and the
# mean reward `reward[s, a]`. Where an episode terminates nothing follows: such a row of `chance` sums to less than 1.


# %%
def model_of(env):
    """Chances [S, A, S] and mean rewards [S, A] of a Gymnasium toy env, which tells them in `P`."""
    n, m = env.observation_space.n, env.action_space.n
    chance, reward = np.zeros((n, m, n)), np.zeros((n, m))
    for state, actions in env.unwrapped.P.items():
        for action, outcomes in actions.items():
            for probability, after, gain, over in outcomes:
                reward[state, action] += probability * gain
                chance[state, action, after] += 0.0 if over else probability
    return chance, reward


# %% [markdown]
# ## 1. The value of an action
#
# If the states that follow are worth $V$, an action is worth its reward and the discounted mean of what follows,
#
# $$Q(s, a) = r(s, a) + \gamma \sum_{s'} p(s'|s, a)\, V(s').$$


# %%
def action_values(chance, reward, values, gamma):
    """Q [S, A] from chances [S, A, S], rewards [S, A] and values [S]."""
    # BEGIN SOLUTION
    return reward + gamma * chance @ values
    # END SOLUTION


# %%
course.check("known_model", globals(), "action_values")

# %% [markdown]
# ## 2. Value iteration
#
# The optimal values solve $V(s) = \max_a Q(s, a)$. Start from 0 and put the equation's right side into its left, until
# no value changes by more than the tolerance. Each round shrinks the error by gamma at least.


# %%
def value_iteration(chance, reward, gamma, tolerance=1e-10):
    """The optimal values [S]."""
    # BEGIN SOLUTION
    values = np.zeros(len(reward))
    while True:
        improved = action_values(chance, reward, values, gamma).max(axis=1)
        if np.abs(improved - values).max() <= tolerance:
            return improved
        values = improved
    # END SOLUTION


# %%
course.check("known_model", globals(), "value_iteration")

# %% [markdown]
# ## 3. Policy iteration
#
# The values of a *given* policy $\pi$ need no iteration, since $V = r_\pi + \gamma P_\pi V$ is a linear system,
#
# $$(I - \gamma P_\pi)\, V = r_\pi,$$
#
# with $P_\pi$ [S, S] and $r_\pi$ [S] of the actions that the policy takes. `np.linalg.solve` solves it.


# %%
def policy_values(chance, reward, policy, gamma):
    """Values [S] of a policy [S] (an action for each state)."""
    # BEGIN SOLUTION
    rows = np.arange(len(policy))
    return np.linalg.solve(np.eye(len(policy)) - gamma * chance[rows, policy], reward[rows, policy])
    # END SOLUTION


# %%
course.check("known_model", globals(), "policy_values")

# %% [markdown]
# Then take the best action by these values in every state, and evaluate the new policy. A round never makes it worse,
# and there are finitely many policies: it ends when no round improves it. Stop when the *values* stop growing, not when
# the actions stay: two actions may be equally good, and rounding may exchange them for ever.


# %%
def policy_iteration(chance, reward, gamma):
    """An optimal policy [S], its values [S] and the number of rounds."""
    # BEGIN SOLUTION
    policy, before = np.zeros(len(reward), int), np.full(len(reward), -np.inf)
    rounds = 0
    while True:
        values = policy_values(chance, reward, policy, gamma)
        if (values <= before + 1e-12).all():
            return policy, values, rounds
        policy, before = action_values(chance, reward, values, gamma).argmax(axis=1), values
        rounds += 1
    # END SOLUTION


# %%
course.check("known_model", globals(), "policy_iteration")

# %% [markdown]
# ## 4. FrozenLake, dry and slippery

# %%
figure, axes = plt.subplots(1, 2, figsize=(7, 3.4))
for axis, slippery in zip(axes, (False, True), strict=True):
    lake = gym.make("FrozenLake-v1", is_slippery=slippery)
    chance, reward = model_of(lake)
    policy, values, rounds = policy_iteration(chance, reward, gamma=0.99)
    apart = np.abs(values - value_iteration(chance, reward, gamma=0.99)).max()
    print(f"slippery={slippery}: the start is worth {values[0]:.3f}, found in {rounds} rounds; apart {apart < 1e-8}")
    axis.imshow(values.reshape(4, 4), cmap="Blues", vmin=0, vmax=1.6)
    for cell, letter in enumerate(lake.unwrapped.desc.astype(str).ravel()):
        arrow = letter if letter in "HG" else "←↓→↑"[policy[cell]]
        axis.text(cell % 4, cell // 4, f"{arrow}\n{values[cell]:.2f}", ha="center", va="center")
    axis.set(title="slippery" if slippery else "dry", xticks=[], yticks=[])
plt.show()

# %% [markdown]
# **Question 1.** On slippery ice, the walker at the start pushes *left*, against the wall. Why?

# %% [markdown] tags=["answer"]
# A push leads where it points or to either side, each with probability 1/3. Left against the wall stays, or goes up or
# down along it: none of these is a hole. A push right might slip as well, and has a hole in reach from the next column.

# %% [markdown]
# ## 5. Trading a price that returns to its mean
#
# Ritter's problem, in small: a price on a grid of 60 ticks that returns to its mean, and a position of -2 to 2 lots.
# The state is both, 300 states; an action trades -2 to 2 lots, and costs a tick a share. Reward is the change of wealth
# less a penalty for its square, the aversion to risk.

# %%
problem = Ritter(n_prices=60, tick=1.0, mean=30.0, lot=10.0, max_trade=2, max_position=2, impact=0.0, sigma=0.12)
moves, lots = price_transition(problem), np.arange(-2, 3)  # [X, X], [M]
after = np.clip(lots[:, None] + np.arange(-2, 3), -2, 2)  # [M, A], the position after the trade
gain = problem.lot * after[None, :, :, None] * (problem.prices - problem.prices[:, None])[:, None, None]
wealth = gain - problem.price_of(after - lots[:, None])[None, ..., None]  # [X, M, A, X]
reward = (moves[:, None, None] * problem.utility(wealth)).sum(-1).reshape(300, 5)  # [S, A]
chance = np.zeros((60, 5, 5, 60, 5))
for m in range(5):
    for a in range(5):
        chance[:, m, a, :, after[m, a] + 2] = moves
chance = chance.reshape(300, 5, 300)

# %% [markdown]
# The optimum of the project is that of the mean reward per step, without discounting. With gamma close to 1 the
# discounted policy should be the same. `performance` computes the exact mean reward of any policy.

# %%
optimum = ritter_solution(problem).gain
for gamma in (0.0, 0.5, 0.9, 0.99):
    policy, _, rounds = policy_iteration(chance, reward, gamma)
    mean = performance(problem, policy.reshape(60, 5)).reward
    print(f"gamma {gamma:4}: {rounds} rounds, mean reward {mean:.4f} of the optimal {optimum:.4f}")

figure, axis = pictures.axis("Position after the optimal trade", "price", "position held before")
places = np.take_along_axis(after[None].repeat(60, 0), policy.reshape(60, 5, 1), 2)[..., 0]  # [X, M]
image = axis.imshow(places.T, origin="lower", aspect="auto", cmap="RdBu_r", extent=(1, 61, -2.5, 2.5))
figure.colorbar(image, label="lots held after it")
plt.show()

# %% [markdown]
# **Question 2.** Between the colours there is a region whose rows differ: what is held after the trade depends on what
# was held before. What is it, and what would make it vanish?

# %% [markdown] tags=["answer"]
# The no-trade region: the price is so near to its mean that the gain of a better position would not pay for the trade,
# so that each position is kept. Without costs the best position would depend on the price alone.

# %% [markdown]
# **Question 3.** Why is gamma 0 so much worse?

# %% [markdown] tags=["answer"]
# It sees the gain of one step against the whole cost of the trade, though the position goes on earning for several
# steps. So it trades too seldom.
