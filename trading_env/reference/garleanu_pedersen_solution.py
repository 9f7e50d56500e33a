"""The optimum of trading on predictable returns under quadratic costs, in closed form. K = instruments, J = factors."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from trading_env.data.bars import Floats


class LinearQuadratic(NamedTuple):
    """The optimal policy x_t = x_{t-1} + rate (aim f_t - x_{t-1}), and what it earns.

    Attributes:
        rate: share of the way to the aim that is traded in a step.
        aim: positions aimed at, by factor (K, J).
        value: mean reward per step.
        position: standard deviation of the positions (K,).
        trade: standard deviation of the trades (K,).
    """

    rate: float
    aim: Floats
    value: float
    position: Floats
    trade: Floats


def closed_form(B: Floats, Phi: Floats, S: Floats, Omega: Floats, gamma: float, lam: float) -> LinearQuadratic:
    """The optimum of the mean of x'Bf - gamma/2 x'Sx - lam/2 dx'S dx, with f' = (I - Phi) f + eps, eps ~ N(0, Omega).

    With a = (sqrt(gamma^2 + 4 gamma lam) - gamma) / 2 the rate is a / lam, here in a form that holds for lam = 0 too,
    and the aim is (gamma S)^-1 B (I + a/gamma Phi)^-1.

    Args:
        B: expected returns of the instruments per unit of the factors (K, J).
        Phi: share of the factors that decays in a step (J, J).
        S: covariance of the returns (K, K).
        Omega: covariance of the factors' noise (J, J).
        gamma: risk aversion.
        lam: cost of a trade, as a multiple of S.

    Source: Garleanu & Pedersen (2013), "Dynamic trading with predictable returns and transaction costs", propositions
    1 to 4, without discounting.
    """
    rate = 2.0 * gamma / (gamma + math.sqrt(gamma * gamma + 4.0 * gamma * lam))
    persistence = np.eye(len(Phi)) - Phi  # [J, J]
    aim = np.linalg.solve(gamma * S, B) @ np.linalg.inv(np.eye(len(Phi)) + lam * rate / gamma * Phi)
    return _earned(rate, aim, persistence, B, S, stationary_covariance(persistence, Omega), gamma, lam)


def _earned(
    rate: float, aim: Floats, persistence: Floats, B: Floats, S: Floats, V: Floats, gamma: float, lam: float
) -> LinearQuadratic:
    """The policy with its stationary moments; V is the covariance of the factors."""
    kept = 1.0 - rate
    with_factors = rate * aim @ V @ np.linalg.inv(np.eye(len(V)) - kept * persistence.T)  # E[x_t f_t'] [K, J]
    with_next = with_factors @ persistence.T  # E[x_t f_{t+1}']
    cross = kept * rate * with_next @ aim.T
    covariance = (cross + cross.T + rate * rate * aim @ V @ aim.T) / (1.0 - kept * kept)  # E[x x'] [K, K]
    lagged = kept * covariance + rate * aim @ with_next.T  # E[x_t x_{t-1}']
    traded = 2.0 * covariance - lagged - lagged.T  # E[dx dx']
    value = (B * with_factors).sum() - 0.5 * gamma * (S * covariance).sum() - 0.5 * lam * (S * traded).sum()
    deviations = (np.sqrt(np.maximum(np.diag(moment), 0.0)) for moment in (covariance, traded))
    return LinearQuadratic(rate, aim, float(value), *deviations)


def stationary_covariance(persistence: Floats, noise: Floats) -> Floats:
    """The covariance V = A V A' + noise of f' = A f + eps (J, J), by doubling: V = sum over n of A^n noise A'^n."""
    total, power = noise, persistence
    while np.abs(power).max() > 0.0:
        more = power @ total @ power.T
        if np.abs(more).max() <= 1e-18 * np.abs(total).max():
            break
        total, power = total + more, power @ power
    return total


def root_of(covariance: Floats) -> Floats:
    """A matrix R with R R' = covariance (n, n), which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    root: Floats = vectors * np.sqrt(np.maximum(values, 0.0))
    return root
