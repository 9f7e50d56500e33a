"""Lab 13, the text that its two notebooks are made of: `python -m course build find_the_bug`."""

# %% [markdown]
# # Lab 13. Find the bug
#
# Five studies with splendid results. In all of their markets there is **nothing to earn** after costs, by construction,
# so each has a flaw, one of these, each once:
#
# `"same close"` trades at the very price that the decision was made from; `"no costs"`; `"best seed"` reports the best
# of many runs; `"leak"` uses numbers of the future; `"survivors"` left out what failed.
#
# You write four controls, run them, and name the flaws.

# %%
import numpy as np
from scipy import stats

import course
from course import pictures
from trading_env import Market, backtest
from trading_env.analysis.strategies import random_policy
from trading_env.data.simulators import gbm

pictures.set_up()
FREE = {"commission": 0.0, "slippage": 0.0}


# %% [markdown]
# ## The studies


# %%
def bars(close, true):
    """A market of these closes that opens at the true price of the bar before."""
    opens = np.append(true[0], true[:-1])
    return Market.from_arrays(close=close, open=opens, high=np.maximum(opens, close), low=np.minimum(opens, close))


def quoted(seed):
    """A random walk whose closes are quoted 1% too high or too low, its opens exactly."""
    price, noise = gbm(1_500, seed, mu=0.0).close, np.random.default_rng(1_000 + seed).choice([-0.01, 0.01], 1_500)
    return bars(price * (1.0 + noise), price)


def echoing(seed):
    """A price whose returns have an autocorrelation of 0.12."""
    shocks, returns = np.random.default_rng(seed).normal(0.0, 0.01, 1_500), np.zeros(1_500)
    for t in range(1, 1_500):
        returns[t] = 0.12 * returns[t - 1] + shocks[t]
    price = 100.0 * np.exp(np.cumsum(returns))
    return bars(price, price)


def after_a_fall(market):
    """Holds for a day after a fall."""
    return np.append(0.0, np.diff(market.close) < 0.0).astype(float)


def after_a_rise(market):
    """Holds for a day after a rise."""
    return np.append(0.0, np.diff(market.close) > 0.0).astype(float)


def cheap(market):
    """Holds while the scaled price is below its mean."""
    return ((market.close - market.close.mean()) / market.close.std() < 0.0).astype(float)


def random_runs():
    """Returns a year of 60 random policies over two years of one random walk."""
    policies = [lambda market, s=s: random_policy(market, 10.0, s) for s in range(60)]
    return backtest(policies, gbm(504, 0, mu=0.0, sigma=0.3)).annual_return


KEYWORDS = {"features": ["close"], "window": 1, "bars_per_year": 252, "sizing": "rebalance"}


def study_a():
    """A momentum rule on a market with echoes."""
    return [backtest(after_a_rise, echoing(seed), costs=FREE, **KEYWORDS).annual_return for seed in range(10)]


def study_b():
    """A portfolio of the stocks of an index, bought ten years ago and held."""
    prices = [gbm(2_520, seed, mu=0.0, sigma=0.4).close for seed in range(100)]
    return [(price[-1] / price[0]) ** 0.1 - 1.0 for price in prices if price[-1] > 80.0]


def study_c():
    """A rule that buys after falls."""
    settings = KEYWORDS | {"fill": "close"}
    return [backtest(after_a_fall, quoted(seed), **settings).annual_return for seed in range(10)]


def study_d():
    """A policy with random first weights, here simply random."""
    return [max(random_runs())]


def study_e():
    """A contrarian rule on scaled prices."""
    return [backtest(cheap, gbm(252, seed, mu=0.0, sigma=0.3), **KEYWORDS).annual_return for seed in range(40)]


for study in (study_a, study_b, study_c, study_d, study_e):
    print(f"{study.__name__}: {np.mean(study()):+.1%} a year   {study.__doc__}")

# %% [markdown]
# ## Control 1: a bar late
#
# An edge that is real fades slowly. If it vanishes when all decisions come one bar later, look at how orders fill.


# %%
def late(exposures):
    """The exposures [T] one bar later; 0 at the first bar."""
    # BEGIN SOLUTION
    return np.append(0.0, exposures[:-1])
    # END SOLUTION


# %%
course.check("find_the_bug", globals(), "late")

# %% [markdown]
# ## Control 2: change the future
#
# What was decided up to some bar may not depend on later bars. Replace the closes **after** the bar by others, and see
# whether an exposure **up to and including** the bar changes.


# %%
def looks_ahead(strategy, close, bar, rng):
    """Whether exposures up to the bar depend on closes after it; strategy: a Market -> exposures [T]."""
    # BEGIN SOLUTION
    changed = close.copy()
    changed[bar + 1 :] *= np.exp(rng.normal(0.0, 0.2, len(close) - bar - 1))
    before, after = (strategy(Market.from_arrays(close=prices)) for prices in (close, changed))
    return not np.array_equal(before[: bar + 1], after[: bar + 1])
    # END SOLUTION


# %%
course.check("find_the_bug", globals(), "looks_ahead")

# %% [markdown]
# ## Control 3: the cost that it can bear
#
# What is earned without costs, per unit traded: above which cost of a trade nothing is left? Compare it with 0.1%, what
# a trade costs here.


# %%
def break_even(returns, turnover):
    """The cost per unit of turnover at which the sum of the returns [T], earned without costs, is used up."""
    # BEGIN SOLUTION
    return np.sum(returns) / np.sum(turnover)
    # END SOLUTION


# %%
course.check("find_the_bug", globals(), "break_even")

# %% [markdown]
# ## Control 4: the best of many
#
# The largest of $n$ independent normal numbers with mean 0 and deviation $\sigma$ is, on average, about
#
# $$\sigma\left[(1 - \gamma_E)\,\Phi^{-1}\!\left(1 - \tfrac{1}{n}\right)
#   + \gamma_E\, \Phi^{-1}\!\left(1 - \tfrac{1}{n e}\right)\right], \qquad \gamma_E = 0.5772\dots$$


# %%
def best_of_noise(n, deviation):
    """Expected largest of n normal numbers with this deviation, by the formula."""
    # BEGIN SOLUTION
    quantiles = stats.norm.ppf([1.0 - 1.0 / n, 1.0 - 1.0 / (n * np.e)])
    return deviation * ((1.0 - np.euler_gamma) * quantiles[0] + np.euler_gamma * quantiles[1])
    # END SOLUTION


# %%
course.check("find_the_bug", globals(), "best_of_noise")

# %% [markdown]
# ## The controls at work

# %%
studied = {after_a_rise: echoing(0), after_a_fall: quoted(0), cheap: gbm(252, 0, mu=0.0, sigma=0.3)}
for rule, market in studied.items():
    ahead = looks_ahead(rule, market.close, 125, np.random.default_rng(0))
    free, real = (backtest(rule, market, costs=costs, **KEYWORDS) for costs in (FREE, {}))
    behind = backtest(lambda market, rule=rule: late(rule(market)), market, costs=FREE, **KEYWORDS)
    bears = break_even(free.returns, free.turnover)
    years = [f"{result.annual_return:+.1%}" for result in (free, behind, real)]
    print(f"{rule.__name__}: looks ahead {ahead}; bears a cost of {bears:.3%} a trade; a year")
    print("  {} free, {} a bar late, {} with costs".format(*years))

settings = [KEYWORDS | {"fill": fill} for fill in ("close", "next_open")]
means = [np.mean([backtest(after_a_fall, quoted(s), **one).annual_return for s in range(10)]) for one in settings]
print(f"after_a_fall, filled at the close just seen {means[0]:+.1%}, at the next open {means[1]:+.1%}")

growth = random_runs()
expected = growth.mean() + best_of_noise(60, growth.std())
print(f"random policies: mean {growth.mean():+.1%}, the best {growth.max():+.1%}, expected of the best {expected:+.1%}")

whole = np.array([gbm(2_520, seed, mu=0.0, sigma=0.4).close[-1] / 100.0 for seed in range(100)])
print(f"all 100 stocks: {np.mean(whole**0.1 - 1.0):+.1%} a year; {np.mean(whole < 0.8):.0%} fell by a fifth or more")


# %% [markdown]
# ## Your verdict


# %%
def flaw(study):
    """The flaw of a study, "a" to "e": "same close", "no costs", "best seed", "leak" or "survivors"."""
    # BEGIN SOLUTION
    return {"a": "no costs", "b": "survivors", "c": "same close", "d": "best seed", "e": "leak"}[study]
    # END SOLUTION


# %%
course.check("find_the_bug", globals(), "flaw")

# %% [markdown]
# **Question 1.** Which of the five would a reader of the paper have found without the code?

# %% [markdown] tags=["answer"]
# None for certain. That costs are missing and that one seed of many is shown can be asked; survivors and the same close
# stand in the data and in the order of two lines; the leak in one word, the mean of all prices. So a study hands over
# its code, its data, its costs, all of its runs, and its controls: `benchmarks` runs such controls with every study.
