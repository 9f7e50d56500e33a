"""Checks of lab 0."""

from itertools import pairwise
from typing import Any

import gymnasium as gym
import numpy as np

from course.checking import Checks, Wrong, agree, same
from trading_env import Market

CHECKS = Checks()


class Scripted(gym.Env[Any, Any]):
    """An episode of given rewards that ends in a given way, and complains of steps after it."""

    observation_space = gym.spaces.Discrete(100)
    action_space = gym.spaces.Discrete(3)

    def __init__(self, rewards: Any, terminated: bool) -> None:
        self.rewards, self.ends = rewards, terminated
        self.seed: int | None = None
        self.actions: list[int] = []

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        """Observation 0."""
        self.seed, self.actions = seed, []
        return 0, {}

    def step(self, action: Any) -> Any:
        """The next number, as observation."""
        if len(self.actions) == len(self.rewards):
            raise Wrong("a step follows the end of the episode: stop if terminated or truncated")
        self.actions.append(action)
        t = len(self.actions)
        over = t == len(self.rewards)
        return t, self.rewards[t - 1], over and self.ends, over and not self.ends, {}


@CHECKS.add("play", "sum of rewards and steps, to the end and no further", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    for terminated in (True, False):
        env, n = Scripted(rng.normal(size=12), terminated), 12
        found = student.play(env, lambda obs: obs % 3, 7)
        if not isinstance(found, tuple | list) or len(found) != 3:
            raise Wrong("play must return three things: sum of rewards, steps, terminated")
        if env.actions != [t % 3 for t in range(n)]:
            raise Wrong("the policy must see the newest observation of each step, the first one from reset")
        if env.seed != 7:
            raise Wrong("reset must get the seed")
        mistakes = {
            "the first reward is missing": env.rewards[1:].sum(),
            "the last reward is missing": env.rewards[:-1].sum(),
            "this is the last reward: add them up": env.rewards[-1],
        }
        agree("the sum of rewards", found[0], env.rewards.sum(), mistakes)
        agree("the number of steps", found[1], n)
        if bool(found[2]) != terminated:
            raise Wrong("terminated must be False after a time limit, and True otherwise")


@CHECKS.add("push", "195 steps on average", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    env, lengths = gym.make("CartPole-v1"), []
    for _ in range(20):
        obs, _ = env.reset(seed=int(rng.integers(1_000_000)))
        length, over = 0, False
        while not over:
            action = student.push(obs)
            if action not in (0, 1):
                raise Wrong(f"push must return 0 or 1, got {action!r}")
            obs, _, terminated, truncated, _ = env.step(int(action))
            length, over = length + 1, terminated or truncated
        lengths.append(length)
    mean = np.mean(lengths)
    if mean >= 195.0:
        return
    if mean < 15.0:
        raise Wrong(f"{mean:.0f} steps on average: does it push always the same way, or away from the fall?")
    raise Wrong(f"{mean:.0f} steps on average of 195: a rule that sees the angle alone swings; use its velocity, too")


def first_trade(rng: np.random.Generator) -> tuple[Any, Any, Any, Any]:
    """Open prices, costs, and the infos of a purchase and of the sale two bars later, in a drawn market."""
    close = 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.05, 12)))
    opens = close * np.exp(rng.normal(0.0, 0.02, 12))
    columns = {"open": opens, "high": np.maximum(opens, close), "low": np.minimum(opens, close)}
    market = Market.from_arrays(close=close, **columns)
    costs = {"commission": float(rng.uniform(0.01, 0.03)), "slippage": float(rng.uniform(0.005, 0.02))}
    env = gym.make("trading_env:TradingEnv-v0", data=market, features=("close",), window=1, costs=costs)
    infos = [env.reset(seed=0)[1], *(env.step(action)[-1] for action in (2, 1, 0))]
    return opens, costs, infos, market


def three(found: Any, name: str) -> Any:
    """What a function that returns three numbers returned."""
    if not isinstance(found, tuple | list) or len(found) != 3:
        raise Wrong(f"{name} must return three numbers")
    return found


@CHECKS.add("buy_all", "units and costs of the env", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    opens, costs, (start, bought, *_), _ = first_trade(rng)
    cash, price, (c, s) = start["cash"], opens[bought["bar"]], costs.values()
    units, commission, slippage = three(student.buy_all(cash, price, **costs), "buy_all")
    mistakes = {
        "costs are forgotten: the broker would lend you the commission": cash / price,
        "slippage is forgotten": cash / (price * (1 + c)),
        "the commission is forgotten": cash / (price * (1 + s)),
        "a buyer pays more than the price: 1 + slippage": cash / (price * (1 - s) * (1 + c)),
        "the commission is taken from the cash first; it is a part of the notional": cash * (1 - c) / (price * (1 + s)),
        "costs are subtracted from the units: divide by (1 + s)(1 + c)": cash / price * (1 - s) * (1 - c),
    }
    agree("units", units, bought["units"], mistakes, rtol=1e-9)
    wrong = {
        "the commission is of the price paid, slippage included": units * price * c,
        "the commission is of the notional, not of the cash": cash * c,
    }
    agree("the commission", commission, bought["commission"], wrong, rtol=1e-9)
    agree("slippage", slippage, bought["slippage"], {"slippage of one unit": price * s}, rtol=1e-9)


@CHECKS.add("sell_all", "cash and costs of the env", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    opens, costs, (_, _, held, sold), _ = first_trade(rng)
    units, price, (c, s) = held["units"], opens[sold["bar"]], costs.values()
    cash, commission, slippage = three(student.sell_all(units, price, **costs), "sell_all")
    mistakes = {
        "costs are forgotten": units * price,
        "slippage is forgotten": units * price * (1 - c),
        "the commission is forgotten": units * price * (1 - s),
        "a seller gets less than the price: 1 - slippage": units * price * (1 + s) * (1 - c),
        "a sale is no purchase turned round: multiply by (1 - s)(1 - c)": units * price / ((1 + s) * (1 + c)),
    }
    agree("cash", cash, sold["cash"], mistakes, rtol=1e-9)
    wrong = {"the commission is of the price got, slippage deducted": units * price * c}
    agree("the commission", commission, sold["commission"], wrong, rtol=1e-9)
    agree("slippage", slippage, sold["slippage"], rtol=1e-9)


@CHECKS.add("left_over", "0 where the books balance, and what is missing where not", 1)
def _(student: Any, rng: np.random.Generator) -> None:
    before = {"equity": float(rng.uniform(1, 9))}
    after = {key: float(rng.uniform(1, 9)) for key in ("equity", "pnl", "commission", "slippage", "financing")}
    change, costs = after["equity"] - before["equity"], after["commission"] + after["slippage"] + after["financing"]
    right = change - after["pnl"] + costs
    mistakes = {
        "costs are earned here: subtract them from pnl": change - after["pnl"] - costs,
        "costs are forgotten": change - after["pnl"],
        "financing is forgotten": right - after["financing"],
        "slippage is forgotten": right - after["slippage"],
        "the change of equity has the wrong sign": -change - after["pnl"] + costs,
        "the result has the wrong sign": -right,
    }
    agree("what is left", student.left_over(before, after), right, mistakes, rtol=1e-9)
    _, _, infos, _ = first_trade(rng)
    if not all(same(1.0 + student.left_over(*pair), 1.0, 1e-6) for pair in pairwise(infos)):
        raise Wrong("something is left over in a real episode")
