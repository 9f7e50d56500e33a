"""Garleanu and Pedersen's problem: several instruments with predictable returns and quadratic costs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces

from trading_env._checks import brief, integer, number
from trading_env.data.bars import Floats
from trading_env.reference.envs import ReferenceEnv, ReferenceVectorEnv
from trading_env.reference.garleanu_pedersen_solution import (
    LinearQuadratic,
    closed_form,
    root_of,
    stationary_covariance,
)
from trading_env.reference.problem import Policy, Problem

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_WIDE = 8.0  # default limits, in standard deviations of the optimal policy
_NEVER = 5.0  # limits that bind in less than one step in a million
_MATRICES = ("B", "Phi", "S", "Omega")


@dataclass(frozen=True, eq=False)
class GarleanuPedersen(Problem):
    """The problem of GarleanuPedersenEnv with its solution; see there for the fields."""

    meant: ClassVar[tuple[str, ...]] = ("largest_trade",)

    B: Any = ((1.0, 0.0), (0.0, 1.0))
    Phi: Any = ((0.1, 0.0), (0.0, 0.3))
    S: Any = ((1.0, 0.3), (0.3, 0.5))
    Omega: Any = ((0.2, 0.0), (0.0, 0.1))
    gamma: float = 1.0
    lam: float = 4.0
    max_trade: float | None = None
    limit: float | None = None
    n_steps: int = 1000

    def __post_init__(self) -> None:
        for name in _MATRICES:
            object.__setattr__(self, name, _matrix(name, getattr(self, name)))
        number("gamma", self.gamma, above=0.0)
        number("lam", self.lam, least=0.0)
        integer("n_steps", self.n_steps, 1)
        self._check_matrices()
        for name, needed in (("max_trade", self.solution.trade), ("limit", self.solution.position)):
            if getattr(self, name) is not None and number(name, getattr(self, name)) < _NEVER * needed.max():
                raise ValueError(
                    f"{name} must be at least {_NEVER * needed.max():g}, {_NEVER:g} standard deviations of the "
                    f"optimal policy's, for a known optimum, got {getattr(self, name)!r}"
                )

    def _check_matrices(self) -> None:
        instruments, factors = self.B.shape
        for name, size in (("Phi", factors), ("S", instruments), ("Omega", factors)):
            if getattr(self, name).shape != (size, size):
                raise ValueError(
                    f"{name} must be {size} x {size}, since B is {instruments} x {factors} (instruments x factors), "
                    f"got shape {getattr(self, name).shape}"
                )
        for name, least in (("S", 1e-12), ("Omega", -1e-12)):
            matrix = getattr(self, name)
            values = np.linalg.eigvalsh(matrix) if np.allclose(matrix, matrix.T, rtol=1e-12, atol=0.0) else None
            if values is None or values[0] < least * values[-1] or values[-1] <= 0.0:
                kind = "positive definite" if name == "S" else "positive semidefinite and not zero"
                raise ValueError(f"{name} must be symmetric and {kind}, got {brief(matrix.tolist())}")
        radius = float(np.abs(np.linalg.eigvals(np.eye(factors) - self.Phi)).max())
        if radius >= 1.0:
            raise ValueError(
                f"Phi must make the factors stationary (eigenvalues of I - Phi below 1 in size), got {radius:g}"
            )
        if not self.solution.position.max() > 0.0:
            raise ValueError("B must load on factors that move: no instrument is ever worth holding")

    @cached_property
    def solution(self) -> LinearQuadratic:
        """The optimal policy and what it earns."""
        return closed_form(self.B, self.Phi, self.S, self.Omega, self.gamma, self.lam)

    @property
    def largest_trade(self) -> float:
        """Units that the action 1 trades."""
        return _WIDE * float(self.solution.trade.max()) if self.max_trade is None else self.max_trade

    @property
    def largest_position(self) -> float:
        """Units at which positions are clipped."""
        return _WIDE * float(self.solution.position.max()) if self.limit is None else self.limit

    @property
    def episode_length(self) -> int:
        """n_steps."""
        return self.n_steps

    @property
    def position_shape(self) -> tuple[int, ...]:
        """(K,)."""
        return (len(self.S),)

    def path(self, noise_seed: int) -> Floats:
        """Factors (n_steps + 1, J), from their stationary distribution on."""
        rng = np.random.default_rng(noise_seed)
        factors, persistence = len(self.Phi), np.eye(len(self.Phi)) - self.Phi
        start = root_of(stationary_covariance(persistence, self.Omega)) @ rng.standard_normal(factors)
        noise = rng.standard_normal((self.n_steps, factors)) @ root_of(self.Omega).T
        rows = [start]
        for shock in noise:
            rows.append(persistence @ rows[-1] + shock)
        return np.array(rows)

    def action_space(self) -> spaces.Space[Any]:
        """Box(-1, 1, (K,)) times the largest trade."""
        return spaces.Box(-1.0, 1.0, self.position_shape, np.float32)

    def observation_space(self) -> spaces.Space[Any]:
        """Factors and positions."""
        largest = np.full(self.position_shape, self.largest_position)
        high = np.concatenate([np.full(len(self.Phi), _FLOAT32_MAX), largest]).astype(np.float32)
        return spaces.Box(-high, high, dtype=np.float32)

    def moved(self, position: Floats, actions: Any) -> Floats:
        """Positions (N, K) after the trades, within the limit."""
        most = float(np.float32(self.largest_position))
        return np.asarray(np.clip(position + actions.astype(np.float64) * self.largest_trade, -most, most))

    def reward(self, now: Floats, then: Floats, before: Floats, after: Floats) -> tuple[Floats, Floats]:
        """Rewards x'Bf - gamma/2 x'Sx - cost (N,), and the costs lam/2 dx'S dx (N,)."""
        cost = 0.5 * self.lam * _quadratic(after - before, self.S)
        gain = _dots(after, _times(now, self.B.T))
        return gain - 0.5 * self.gamma * _quadratic(after, self.S) - cost, cost

    def observe(self, seen: Floats, position: Floats) -> Any:
        """Factors and positions (N, J + K)."""
        return np.concatenate([seen[:, -1], position], axis=1).astype(np.float32)

    def optimum(self) -> float:
        """By the closed form."""
        return self.solution.value

    def optimal_policy(self) -> Policy:
        """Trades a fixed share of the way to the aim portfolio."""
        return AimPolicy(self)


class AimPolicy(Policy):
    """x_t = x_{t-1} + rate (aim f_t - x_{t-1})."""

    def __init__(self, problem: GarleanuPedersen) -> None:
        self.problem = problem

    def _act(self, obs: Any, state: Any, start: Any) -> tuple[Any, Any]:
        factors, position = np.split(np.asarray(obs, np.float64), [len(self.problem.Phi)], axis=1)
        solution = self.problem.solution
        trade = solution.rate * (_times(factors, solution.aim.T) - position)
        return np.clip(trade / self.problem.largest_trade, -1.0, 1.0).astype(np.float32), state


def _times(rows: Floats, matrix: Floats) -> Floats:
    """Rows (N, a) times a matrix (a, b), added up in one order however many rows there are, unlike ``@``."""
    total = np.zeros((len(rows), matrix.shape[1]))
    for column, factors in zip(rows.T, matrix, strict=True):
        total += column[:, None] * factors
    return total


def _dots(left: Floats, right: Floats) -> Floats:
    """Dot products (N,) of rows (N, K), added up in one order."""
    total = np.zeros(len(left))
    for one, other in zip(left.T, right.T, strict=True):
        total += one * other
    return total


def _quadratic(rows: Floats, matrix: Floats) -> Floats:
    """The quadratic forms x'Mx (N,) of rows x (N, K)."""
    return _dots(rows, _times(rows, matrix))


def _matrix(name: str, value: Any) -> Floats:
    """``value`` as a read-only matrix; a number is one of 1 x 1."""
    try:
        matrix = np.array(value, np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a matrix of numbers, got {brief(value)}") from error
    matrix = matrix.reshape(1, 1) if matrix.ndim == 0 else matrix
    if matrix.ndim != 2 or matrix.size == 0 or not np.isfinite(matrix).all():
        raise ValueError(f"{name} must be a matrix of finite numbers, got {brief(value)}")
    matrix.flags.writeable = False
    return matrix


class GarleanuPedersenEnv(ReferenceEnv):
    """Trading several instruments on observed factors that predict their returns, with quadratic costs.

    ## Description
    Factors f' = (I - Phi) f + eps, eps ~ N(0, Omega), predict the instruments' returns B f, of covariance S. The agent
    trades dx_t = x_t - x_{t-1}, and is paid the expected return, without the return's noise, less a penalty for risk
    and the cost of the trade. With one instrument, Phi = .1, Omega = .2, gamma = .6 and lam = 2 it is
    `reference/CFMQuadratic-v0`.

    ## Action Space
    Box(-1, 1, (K,)), the trades over max_trade. Positions are clipped to the limit, and costs are charged for the units
    actually traded.

    ## Observation Space
    Box float32 (J + K,).

    | index | content | unit |
    |---|---|---|
    | 0 to J - 1 | factors f_t | those of the parameters |
    | J to J + K - 1 | positions x_{t-1} | units |

    ## Rewards
    x_t'B f_t - gamma/2 x_t'S x_t - lam/2 dx_t'S dx_t.

    ## Starting State
    No positions; factors of their stationary distribution.

    ## Episode End
    Truncated after n_steps. Never terminated.

    ## Info
    position (K,), cost (contained in the reward), noise_seed (which reproduces the path), t (steps made).

    ## Arguments
    | keyword | default | meaning |
    |---|---|---|
    | B | identity (2 x 2) | expected returns by factor (K, J); a number where K = J = 1, as below |
    | Phi | diag(.1, .3) | decay of the factors (J, J) |
    | S | [[1, .3], [.3, .5]] | covariance of the returns (K, K) |
    | Omega | diag(.2, .1) | covariance of the factors' noise (J, J) |
    | gamma, lam | 1, 4 | risk aversion; cost of trades |
    | max_trade | None | units that the action 1 trades; None: 8 standard deviations of the optimal policy's trades |
    | limit | None | largest position; None: 8 standard deviations of the optimal policy's positions |
    | n_steps | 1000 | of an episode |

    ``reset`` takes ``options={"noise_seed": int}``.

    ## Vectorized environment
    `gym.make_vec("reference/GarleanuPedersen-v0", num_envs=N)` makes a GarleanuPedersenVectorEnv, equal bit for bit.

    ## Optimum
    Trade a fixed share, a/lam, of the way to the aim portfolio (gamma S)^-1 B (I + Phi a/gamma)^-1 f, with
    a = (sqrt(gamma^2 + 4 gamma lam) - gamma) / 2: exact. Going straight to the portfolio that is best without costs,
    (gamma S)^-1 B f, loses money with the default parameters. Limits that bind are refused.

    ## Source
    Garleanu & Pedersen (2013), "Dynamic trading with predictable returns and transaction costs".

    ## Version History
    * v0: initial version
    """

    problem_class = GarleanuPedersen


class GarleanuPedersenVectorEnv(ReferenceVectorEnv):
    """N GarleanuPedersenEnvs at once."""

    problem_class = GarleanuPedersen
