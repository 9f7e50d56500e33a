"""Lab 0, the text that its two notebooks are made of: `python -m course build by_hand`."""

# %% [markdown]
# # Lab 0. A market by hand
#
# Before anything learns, you play. Two classic environments first, to see what reset, step, terminated and truncated
# mean; then thirty bars of a stock, where you keep the account with a pencil and meet its costs.

# %%
from itertools import pairwise

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np

import course
from course import pictures
from trading_env import Costs, backtest, load

pictures.set_up()

# %% [markdown]
# ## 1. FrozenLake
#
# A walker on ice wants to get from S to G and not into a hole H. Actions: 0 left, 1 down, 2 right, 3 up. On slippery
# ice it goes where it wants in a third of the steps only, and else to one side.
#
# An episode ends in one of two ways. It is *terminated* if the task is over, here by a hole or the goal, and
# *truncated* if a time limit cuts it off. After either no step may follow. Write the loop that every agent contains.


# %%
def play(env, policy, seed):
    """Plays one episode; returns the sum of rewards, the number of steps, and whether it was terminated."""
    # BEGIN SOLUTION
    obs, _ = env.reset(seed=seed)
    total, steps = 0.0, 0
    while True:
        obs, reward, terminated, truncated, _ = env.step(policy(obs))
        total, steps = total + reward, steps + 1
        if terminated or truncated:
            return total, steps, terminated
    # END SOLUTION


# %%
course.check("by_hand", globals(), "play")

# %%
route = {0: 1, 4: 1, 8: 2, 9: 1, 13: 2, 14: 2}  # of each cell, the action that leads on to the goal
for slippery in (False, True):
    lake = gym.make("FrozenLake-v1", is_slippery=slippery)
    results = [play(lake, lambda cell: route.get(cell, 2), seed) for seed in range(200)]
    print(
        f"slippery={slippery}: the goal is reached in {np.mean([total for total, *_ in results]):.0%} of 200 episodes"
    )

# %% [markdown]
# ## 2. CartPole
#
# An observation has four numbers: position and velocity of the cart, angle and angular velocity of the pole (positive
# to the right). Actions: 0 pushes left, 1 pushes right. Each step is worth 1, and after 500 the time is over. Invent a
# rule that reaches 195 steps on average. One line is enough.


# %%
def push(obs):
    """0 or 1 for an observation (4,)."""
    # BEGIN SOLUTION
    return int(obs[2] + 0.5 * obs[3] > 0.0)
    # END SOLUTION


# %%
course.check("by_hand", globals(), "push")


# %%
class ByRule:
    """Your rule, with the `predict` that the film expects."""

    def predict(self, obs, deterministic=True):
        """The rule's action."""
        return push(obs), None


pictures.cartpole_film([ByRule()])

# %% [markdown]
# ## 3. Thirty bars of a stock
#
# At the close of bar $t$ you decide; the order fills at the **open** of bar $t+1$, at a price that is slippage $s$
# worse for you; the broker takes the commission $c$ of the notional traded; and the account is valued at the close of
# $t+1$.
#
# Buying with all of the cash $C$ at the open $p$ gives the units $u$ that can be paid, commission included:
#
# $$u\, p\,(1+s)(1+c) = C.$$


# %%
def buy_all(cash, price, commission, slippage):
    """Units, the commission and the slippage paid, both in currency, if all cash is spent at this price."""
    # BEGIN SOLUTION
    units = cash / (price * (1.0 + slippage) * (1.0 + commission))
    return units, units * price * (1.0 + slippage) * commission, units * price * slippage
    # END SOLUTION


# %%
course.check("by_hand", globals(), "buy_all")

# %% [markdown]
# Selling $u$ units at the open $p$ brings $u\, p\,(1-s)$, of which the broker takes its share.


# %%
def sell_all(units, price, commission, slippage):
    """Cash that the sale of all units brings, and the commission and the slippage paid."""
    # BEGIN SOLUTION
    notional = units * price * (1.0 - slippage)
    return notional * (1.0 - commission), notional * commission, units * price * slippage
    # END SOLUTION


# %%
course.check("by_hand", globals(), "sell_all")

# %% [markdown]
# Now play. Change the actions as you like: 0 sells, 1 does nothing, 2 buys. Look at the bars only up to the one at
# which you decide.

# %%
market = load("us-stocks/IBM")
env = gym.make("trading_env:TradingEnv-v0", data=market, window=1)
actions = [1, 2, 1, 1, 1, 1, 1, 0, 1, 1, 1, 2, 1, 1, 1, 0, 1, 2, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1]
_, info = env.reset(seed=0, options={"start": 500})
account = [info]
for action in actions:
    _, reward, *_, info = env.step(action)
    account.append(info | {"reward": reward})
print("bar   action  equity     units   commission  slippage   reward")
for action, row in list(zip(actions, account[1:], strict=True))[:8]:
    numbers = (row[key] for key in ("equity", "units", "commission", "slippage", "reward"))
    print("{:4}  {:4}   {:10.2f} {:9.2f} {:8.2f} {:9.2f}   {:+.5f}".format(row["bar"], action, *numbers))

# %%
cash, units = 100_000.0, 0.0
for action, row in zip(actions, account[1:], strict=True):
    price = market.column("open")[row["bar"]]
    if action == 2:
        units, _, _ = buy_all(cash, price, Costs().commission, Costs().slippage)
        cash = 0.0
    elif action == 0:
        cash, _, _ = sell_all(units, price, Costs().commission, Costs().slippage)
        units = 0.0
    assert abs(cash + units * market.close[row["bar"]] - row["equity"]) < 1e-6, row
print(f"by pencil {cash + units * market.close[row['bar']]:.2f}, by the env {row['equity']:.2f}")

# %% [markdown]
# ## 4. The identity
#
# Wherever money comes from and goes, the books must balance in every step:
#
# $$E_{t+1} - E_t = \mathrm{pnl} - \mathrm{commission} - \mathrm{slippage} - \mathrm{financing}.$$
#
# Here pnl is what the units earned by the moves of the price, before costs. Write what is left over, which should be 0.


# %%
def left_over(before, after):
    """The change of equity that the items of `after` do not explain; both are `info` dicts."""
    # BEGIN SOLUTION
    items = after["pnl"] - after["commission"] - after["slippage"] - after["financing"]
    return after["equity"] - before["equity"] - items
    # END SOLUTION


# %%
course.check("by_hand", globals(), "left_over")

# %%
worst = max(abs(left_over(*pair)) for pair in pairwise(account))
print(f"left over in 30 bars, at most: {worst:.0e} of 100,000")

# %% [markdown]
# **Question 1.** The reward is $\log(E_{t+1}/E_t)$. Why a logarithm?

# %% [markdown] tags=["answer"]
# The sum of an episode's rewards is then the log of the growth of the whole episode, whatever the size of the account,
# and a loss of half weighs as much as a doubling. A sum of simple returns has neither property.

# %% [markdown]
# ## 5. What trading often costs
#
# A policy that buys and sells in turn, every k bars, over ten years:

# %%
every = [1, 2, 5, 10, 20, 50, 100, 250]
rules = [lambda market, k=k: (np.arange(len(market)) // k) % 2.0 for k in every]
free = {"commission": 0.0, "slippage": 0.0}
results = {"with costs": backtest(rules, market), "without costs": backtest(rules, market, costs=free)}
figure, axis = pictures.axis("IBM: in and out every k bars", "k", "equity at the end")
for name, result in results.items():
    axis.loglog(every, result.tracks.equity[:, -1], "o-", label=name)
axis.axhline(100_000, color="gray", linewidth=0.8)
axis.legend()
plt.show()

# %% [markdown]
# **Question 2.** About how much of its equity does a policy lose in a year of 252 bars that trades at every bar, if it
# knows nothing?

# %% [markdown] tags=["answer"]
# Each trade costs 0.1% (commission 0.05% and slippage 0.05%). $0.999^{252} = 0.78$: it loses 22% of its equity a year.
