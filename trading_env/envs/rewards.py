"""Rewards: those that the kernel computes, by name, and callables."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from trading_env._checks import brief, number

Floats = npt.NDArray[np.float64]
Account = Mapping[str, Floats]
RewardFunction = Callable[[Account, Account], Floats | float]

NAMES = ("log_return", "pnl", "excess_log_return", "differential_sharpe", "mean_variance")


@dataclass(frozen=True)
class DifferentialSharpe:
    """Differential Sharpe ratio of simple returns (Moody & Saffell 1998, eq. 6), adaptation rate ``eta``.

    The moving averages A of R and B of R^2 start at 0; the reward is 0 until B - A^2 > 1e-12.
    """

    eta: float = 0.01

    def __post_init__(self) -> None:
        _check(self, "eta", self.eta, 1.0)


@dataclass(frozen=True)
class MeanVariance:
    """dv - (risk_aversion / 2) dv^2 of the change dv of equity, in currency (Ritter 2017)."""

    risk_aversion: float = 1e-4

    def __post_init__(self) -> None:
        _check(self, "risk_aversion", self.risk_aversion, math.inf)


ParametricReward = DifferentialSharpe | MeanVariance
PARAMETRIC: dict[str, type[ParametricReward]] = {
    "differential_sharpe": DifferentialSharpe,
    "mean_variance": MeanVariance,
}
Reward = str | ParametricReward | Mapping[str, float] | RewardFunction


def _check(owner: object, name: str, value: Any, high: float) -> None:
    """Makes ``owner.name`` a float; raises unless it is a number in (0, high]."""
    object.__setattr__(owner, name, number(f"{type(owner).__name__}.{name}", value, above=0.0, most=high))


def reward_of(reward: Reward) -> str | ParametricReward | RewardFunction:
    """The checked reward; a mapping of one field, as in JSON, becomes the reward object.

    Raises:
        ValueError: an unknown name or field.
        TypeError: neither a name, a reward object nor a callable.
    """
    if isinstance(reward, Mapping):
        known = {field.name: kind for kind in PARAMETRIC.values() for field in fields(kind)}
        if len(reward) == 1 and set(reward) <= set(known):
            return known[next(iter(reward))](**reward)
        raise ValueError(f"reward as a mapping must have the field {' or '.join(known)}, got {brief(dict(reward))}")
    if isinstance(reward, str):
        if reward not in NAMES:
            raise ValueError(f"reward must be one of {NAMES} or a callable, got {brief(reward)}")
    elif isinstance(reward, type) or not (callable(reward) or isinstance(reward, ParametricReward)):
        objects = ", ".join(f"{kind.__name__}()" for kind in PARAMETRIC.values())
        raise TypeError(f"reward must be one of {NAMES}, {objects} or a callable, got {brief(reward)}")
    return reward


def parse_reward(reward: Reward) -> tuple[str, float, RewardFunction | None]:
    """Name and parameter of the reward in the kernel, and the callable that replaces it, if any; see `reward_of`."""
    reward = reward_of(reward)
    if isinstance(reward, str):
        default = PARAMETRIC.get(reward, MeanVariance)()  # the kernel ignores the parameter of other rewards
        return reward, astuple(default)[0], None
    if isinstance(reward, ParametricReward):
        name = next(name for name, kind in PARAMETRIC.items() if isinstance(reward, kind))
        return name, astuple(reward)[0], None
    return "log_return", 0.0, reward


def call_reward(function: RewardFunction, before: Account, after: Account) -> Floats:
    """Checked rewards ``function(before, after)``, float64 (N,); the function gets read-only arrays.

    A function of one account is called for each: one that returns a number with arrays (1,), and one that cannot
    compute with arrays (a TypeError, or an array as a condition) with plain numbers.

    Raises:
        TypeError: the result holds no real numbers.
        ValueError: the result has another shape, or is not finite.
    """
    before, after = _read_only(before), _read_only(after)
    rows = range(len(after["equity"]))
    returned: Any
    try:
        returned = function(before, after)
    except (TypeError, ValueError) as error:
        if isinstance(error, ValueError) and "truth value" not in str(error):
            raise
        returned = [function(_numbers(before, i), _numbers(after, i)) for i in rows]
    else:
        if len(rows) > 1 and isinstance(returned, (int, float, np.number)):
            returned = [function(_row(before, i), _row(after, i)) for i in rows]
    return _checked_rewards(returned, after)


def _checked_rewards(returned: Any, after: Account) -> Floats:
    """What the callable returned, as float64 (N,); a number stands for the reward of one account."""
    shape = after["equity"].shape
    if isinstance(returned, np.ma.MaskedArray):
        raise TypeError(f"the reward callable must return a plain array, got {brief(returned)}")
    try:
        reward = np.asarray(returned)
    except ValueError as error:  # nested lists of different lengths
        raise ValueError(f"the reward callable must return shape {shape}, got {brief(returned)}") from error
    if reward.dtype.kind not in "biuf":
        raise TypeError(f"the reward callable must return real numbers, got {brief(returned)}")
    if reward.ndim == 0 and shape == (1,):
        reward = reward[None]
    if reward.shape != shape:
        raise ValueError(f"the reward callable must return shape {shape}, got {reward.shape}")
    with np.errstate(over="ignore"):  # overflow is refused as infinite
        reward = reward.astype(np.float64)
    if not np.isfinite(reward).all():
        raise ValueError(f"the reward callable returned {reward[~np.isfinite(reward)][0]} at {dict(after)}")
    return reward


def _numbers(account: Account, i: int) -> Mapping[str, Any]:
    """Account i of several, as plain numbers, and of each instrument an array (K,)."""
    return {key: values[i].item() if values.ndim == 1 else values[i] for key, values in account.items()}


def _row(account: Account, i: int) -> Account:
    """Account i of several, as arrays (1,)."""
    return {key: values[i : i + 1] for key, values in account.items()}


def _read_only(account: Account) -> Account:
    """Read-only views of the account; arrays (1,) of one whose values are numbers."""
    views = {key: np.atleast_1d(values).view() for key, values in account.items()}
    for values in views.values():
        values.flags.writeable = False
    return views
