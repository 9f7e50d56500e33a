"""Lab 3, the text that its two notebooks are made of: `python -m course build td_gammon`."""

# %% [markdown]
# # Lab 3. TD-Gammon's idea
#
# TD-Gammon learnt backgammon from games against itself, with two ideas: it values the board *after* the move and before
# the dice, and it passes each surprise back to the positions before it. Both fit trading: after the trade and before
# prices move, the account is known exactly. You write traces, TD(lambda) and the choice among afterstates.

# %%
import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np

import course
from agents.td_lambda import TDLambda
from course import pictures
from trading_env import backtest
from trading_env.analysis.strategies import buy_and_hold
from trading_env.data.simulators import regime_switching

pictures.set_up()

# %% [markdown]
# ## 1. Traces
#
# TD(0) corrects the value of one state, the last. A surprise concerns the states before it, too, the less the longer
# ago they were. Each state has a trace, which fades at every step and is raised by 1 when the state is visited:
#
# $$e \leftarrow \gamma \lambda\, e, \qquad e(s_t) \leftarrow e(s_t) + 1.$$


# %%
def mark(trace, state, gamma, trace_decay):
    """The traces [S] after a visit of a state (an index)."""
    # BEGIN SOLUTION
    faded = gamma * trace_decay * trace
    faded[state] += 1.0
    return faded
    # END SOLUTION


# %%
course.check("td_gammon", globals(), "mark")

# %% [markdown]
# ## 2. TD(lambda)
#
# In every step the error of the state's value corrects all states in proportion to their traces,
#
# $$\delta_t = r_t + \gamma (1 - \mathrm{terminated}_t) V(s_{t+1}) - V(s_t), \qquad V \leftarrow V + \alpha\,\delta_t\,
# e.$$
#
# With $\lambda = 0$ only the state itself is corrected. With $\lambda = 1$ every state learns from the whole return. An
# episode begins with traces of 0.


# %%
def td_lambda(values, episode, rate, gamma, trace_decay):
    """The values [S] after an episode: a list of (state, reward, next_state, terminated)."""
    # BEGIN SOLUTION
    values, trace = values.copy(), np.zeros(len(values))
    for state, reward, next_state, terminated in episode:
        following = 0.0 if terminated else values[next_state]
        error = reward + gamma * following - values[state]
        trace = mark(trace, state, gamma, trace_decay)
        values += rate * error * trace
    return values
    # END SOLUTION


# %%
course.check("td_gammon", globals(), "td_lambda")

# %% [markdown]
# A drunkard's walk: 19 places in a row, one step left or right at random, the end on the right pays 1. A place is worth
# the probability of ending there, $(i + 1) / 20$. How good are the values after ten walks, by lambda and rate?


# %%
def walk(rng, n=19):
    """One walk from the middle, as an episode."""
    state, episode = n // 2, []
    while True:
        after = state + (1 if rng.random() < 0.5 else -1)
        over = after in (-1, n)
        episode.append((state, float(after == n), 0 if over else after, over))
        if over:
            return episode
        state = after


@np.errstate(all="ignore")  # with high rates and lambdas the values diverge
def error_after_ten(rate, trace_decay, seed):
    """Root mean squared error of the values after ten walks."""
    rng, values = np.random.default_rng(seed), np.full(19, 0.5)
    for _ in range(10):
        values = td_lambda(values, walk(rng), rate, 1.0, trace_decay)
    return np.sqrt(np.mean((values - np.arange(1, 20) / 20) ** 2))


rates = np.linspace(0.02, 0.9, 15)
figure, axis = pictures.axis("Random walk: error of the values after 10 walks", "rate", "root mean squared error")
for trace_decay in (0.0, 0.5, 0.8, 0.95, 1.0):
    errors = [np.mean([error_after_ten(rate, trace_decay, seed) for seed in range(8)]) for rate in rates]
    axis.plot(rates, errors, label=f"lambda {trace_decay}")
axis.set_ylim(0.0, 0.5)
axis.legend()
plt.show()

# %% [markdown]
# **Question 1.** Why is the best lambda neither 0 nor 1?

# %% [markdown] tags=["answer"]
# With 0, news of the end move back by one place in a walk, and ten walks are too few. With 1, each place learns from
# the whole return of a walk, 0 or 1, whose noise is that of all the steps to the end. In between the news travel far,
# and the values on the way damp the noise.

# %% [markdown]
# ## 3. Afterstates
#
# A market has a regime, up or down, that can be seen. The position is 0 or 1, and changing it costs $c$. The afterstate
# of an action is (regime, position after it); how the position came about does not matter any more, but what it cost
# does:
#
# $$Q(\mathrm{regime}, p, a) = -c\,|a - p| + V(\mathrm{regime}, a).$$
#
# Four values tell the worth of eight pairs of state and action.


# %%
def best_position(values, regime, position, cost):
    """The position, 0 or 1, to take; values [2, 2] are those of the afterstates, values[regime, position]."""
    # BEGIN SOLUTION
    gains = [values[regime, after] - cost * abs(after - position) for after in (0, 1)]
    return int(np.argmax(gains))
    # END SOLUTION


# %%
course.check("td_gammon", globals(), "best_position")

# %% [markdown]
# **Question 2.** At which difference of the values of (up, 1) and (up, 0) does one who is out of the market buy, and at
# which does one who is in it sell?

# %% [markdown] tags=["answer"]
# Out buys if it is more than $c$, in sells if it is less than $-c$. In between everybody keeps what they have: the band
# without trades comes from the costs alone, and need not be learnt.

# %% [markdown]
# ## 4. TD(lambda) in the trading env
#
# `TradingEnv.afterstates()` returns the observation right after each action, before prices move. The project's
# TD(lambda) has a network for V, so that a trace belongs to each weight: the gradient of V takes the place of the
# visit.

# %%
keywords = {"features": ["state"], "window": 1, "actions": (0.0, 1.0), "fill": "close", "costs": {"commission": 0.001}}
path, unseen = (regime_switching(6_000, seed, stay=0.9, step=0.01) for seed in (1, 2))
env = gym.make("trading_env:TradingEnv-v0", data=path, random_start=True, episode_length=200, **keywords)
env.reset(seed=0)
print("feature, exposure, target, gain, drawdown, after each of the two actions:")
print(env.unwrapped.afterstates().round(4))

settings = {"gamma": 0.9, "loss_column": -1, "clip_obs": 1.0, "learning_rate": "lin_0.05"}
best = backtest(lambda market: (market.column("state") > 0).astype(float), unseen, **keywords, bars_per_year=252)
held = backtest(buy_and_hold, unseen, **keywords, bars_per_year=252)
for trace_decay in (0.0, 0.7):
    agent = TDLambda(env, seeds=4, trace_decay=trace_decay, **settings).learn(6_000)
    result = backtest(agent, unseen, **keywords, bars_per_year=252)
    shares = np.log(result.tracks.equity[:, -1] / 1e5) / np.log(best.equity[-1] / 1e5)
    print(f"lambda {trace_decay}: {min(shares):.1%} to {max(shares):.1%} of the log growth of knowing the regime")
print(f"holding: {np.log(held.equity[-1] / 1e5) / np.log(best.equity[-1] / 1e5):.1%}")

# %% [markdown]
# **Question 3.** Backgammon has 10^20 positions, and yet a network of 80 units learnt it. What did it need that trading
# a stock does not offer?

# %% [markdown] tags=["answer"]
# As many games as one likes, in a world whose law does not change and that is known exactly. A stock has one past,
# which cannot be played again, with a law that may change, and its signal is far below the noise.
