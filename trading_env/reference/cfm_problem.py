"""CFM's three problems, without their solution: trading on a mean-reverting signal, with costs and a limit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces

from trading_env._checks import choice, integer, number
from trading_env.data.bars import Floats
from trading_env.reference.problem import Problem

_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class CFMProblem(Problem):
    """The dynamics of CFMEnv; see there for the fields."""

    meant: ClassVar[tuple[str, ...]] = ("actions",)

    cost: str = "linear"
    psi: float = 4.0
    risk: float = 0.3
    limit: float = 10.0
    theta: float = 0.1
    sigma: float = 0.1
    actions: Any = "continuous"
    max_trade: float | None = None
    n_bars: int = 5000

    def __post_init__(self) -> None:
        choice("cost", self.cost, ("linear", "quadratic"))
        number("psi", self.psi, least=0.0)
        number("risk", self.risk, least=0.0)
        number("limit", self.limit, above=0.0)
        number("sigma", self.sigma, above=0.0)
        if not 0.0 < number("theta", self.theta) < 2.0:
            raise ValueError(f"theta must be in (0, 2), where the signal is stationary, got {self.theta!r}")
        integer("n_bars", self.n_bars, 3)
        if self.max_trade is not None:
            number("max_trade", self.max_trade, above=0.0)
        if isinstance(self.actions, (tuple, list, np.ndarray)):
            self._check_trades()
        elif self.actions != "continuous":
            raise ValueError(f"actions must be 'continuous' or a tuple of trades, got {self.actions!r}")

    def _check_trades(self) -> None:
        trades = tuple(number(f"actions[{i}]", trade) for i, trade in enumerate(self.actions))
        if not trades or len(set(trades)) < len(trades):
            raise ValueError(f"actions must be different trades, at least one, got {self.actions!r}")
        if self.max_trade is not None:
            raise ValueError(f"max_trade belongs to actions='continuous', got {self.max_trade!r} beside a tuple")
        object.__setattr__(self, "actions", trades)

    @property
    def meaning(self) -> dict[str, Any]:
        """Trades of the actions; continuous ones are multiples of the largest trade."""
        return super().meaning | {"largest_trade": self.largest_trade if self.actions == "continuous" else None}

    @property
    def largest_trade(self) -> float:
        """Units that the continuous action 1 trades."""
        return 2.0 * self.limit if self.max_trade is None else self.max_trade

    @property
    def episode_length(self) -> int:
        """The authors' path of T bars has T - 2 decisions: the first is made on X[1]."""
        return self.n_bars - 2

    def path(self, noise_seed: int) -> Floats:
        """Normalised signals p (T - 1, 1), drawn as the authors do."""
        noise = np.random.RandomState(noise_seed).normal(0.0, 1.0, self.n_bars)
        x, xs = 0.0, []
        for n in noise.tolist():
            x += -self.theta * x + self.sigma * n
            xs.append(x)
        signal: Floats = np.array(xs[1:]) / (self.sigma * math.sqrt(1.0 / (2.0 * self.theta)))
        return signal[:, None]

    def action_space(self) -> spaces.Space[Any]:
        """Box(-1, 1, (1,)) times the largest trade, or Discrete over the trades."""
        if self.actions == "continuous":
            return spaces.Box(-1.0, 1.0, (1,), np.float32)
        return spaces.Discrete(len(self.actions))

    def observation_space(self) -> spaces.Space[Any]:
        """Signal and position."""
        high = np.array([_FLOAT32_MAX, self.limit], np.float32)
        return spaces.Box(-high, high, dtype=np.float32)

    def clipped(self, position: Any) -> Any:
        """Positions within the limit."""
        return np.clip(position, -self.limit, self.limit)

    def moved(self, position: Floats, actions: Any) -> Floats:
        """Positions after the trades, within the limit."""
        if self.actions == "continuous":
            return np.asarray(self.clipped(position + actions[:, 0].astype(np.float64) * self.largest_trade))
        return np.asarray(self.clipped(position + np.array(self.actions)[actions]))

    def price_of(self, trade: Any) -> Any:
        """Cost of trades."""
        return self.psi * (np.abs(trade) if self.cost == "linear" else np.square(trade))

    def gain_of(self, signal: Any, position: Any) -> Any:
        """Reward of holding positions under signals, before costs."""
        return signal * position - self.risk * np.square(position)

    def reward(self, now: Floats, then: Floats, before: Floats, after: Floats) -> tuple[Floats, Floats]:
        """Reward p pi - risk pi^2 - cost(trade): the noise of the next price is left out, as the authors do."""
        cost: Floats = self.price_of(after - before)
        return self.gain_of(now[:, 0], after) - cost, cost

    def observe(self, seen: Floats, position: Floats) -> Any:
        """Signal and position (N, 2)."""
        return np.stack([seen[:, -1, 0], position], axis=1).astype(np.float32)
