"""Returns, advantages and targets as pure functions.

Axis letters: S seeds, N envs per seed, B batch, T time.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from agents.common.compiled import compiled

Floats = npt.NDArray[np.float32]


def td_target(reward: torch.Tensor, continues: torch.Tensor, next_value: torch.Tensor, gamma: float) -> torch.Tensor:
    """The one-step Bellman target, reward + gamma * continues * next_value, all [S, B].

    `continues` is 0 where the episode terminated, and 1 elsewhere: also where it was truncated, because a
    time limit does not change the value of the next state.
    """
    return torch.addcmul(reward, continues, next_value, value=gamma)


def discounted_returns(reward: npt.NDArray[Any], gamma: float, last_value: float = 0.0) -> npt.NDArray[np.float64]:
    """Discounted returns of one episode, G_t = reward_t + gamma * G_{t+1}, all [T].

    Args:
        reward: [T].
        gamma: Discount factor.
        last_value: G_T, the return after the last step: 0 if the episode terminated there.
    """
    returns = np.empty(len(reward))
    to_come = last_value
    for t in range(len(reward) - 1, -1, -1):
        to_come = float(reward[t]) + gamma * to_come
        returns[t] = to_come
    return returns


def gae(
    reward: npt.NDArray[Any],
    value: Floats,
    next_value: Floats,
    terminated: npt.NDArray[np.bool_],
    ended: npt.NDArray[np.bool_],
    gamma: float,
    gae_lambda: float,
) -> Floats:
    """Generalised advantage estimates, all [S, T, N]: discounted sums of the one-step errors within an episode.

        error_t = reward_t + gamma * (0 if terminated_t else next_value_t) - value_t
        advantage_t = error_t + gamma * gae_lambda * (0 if ended_t else advantage_{t+1})

    With gae_lambda = 0 this is the TD(0) error; with 1 it is the n-step return, up to the end of the episode or
    of the array, less value_t. Source: Schulman et al. 2016, equation 16.

    Args:
        reward: Rewards.
        value: Values of the observations.
        next_value: Values of the next observations; at the end of an episode, of its last one.
        terminated: True where an episode terminated, so that nothing follows.
        ended: True where it terminated or was truncated, so that the next row belongs to another.
        gamma: Discount factor.
        gae_lambda: Decay of the weight of later errors.
    """
    advantage = np.empty(reward.shape, np.float32)
    _gae(reward, value, next_value, terminated, ended, gamma, gae_lambda, advantage)
    return advantage


@compiled
def _gae(
    reward: Any, value: Any, next_value: Any, terminated: Any, ended: Any, gamma: float, decay: float, advantage: Any
) -> None:
    S, T, N = reward.shape
    for s in range(S):
        for n in range(N):
            total = 0.0  # of the discounted errors from step t on
            for t in range(T - 1, -1, -1):
                bootstrap = 0.0 if terminated[s, t, n] else gamma * next_value[s, t, n]
                total = 0.0 if ended[s, t, n] else gamma * decay * total
                total += reward[s, t, n] + bootstrap - value[s, t, n]
                advantage[s, t, n] = total


def normalized(x: torch.Tensor, counts: torch.Tensor | None = None) -> torch.Tensor:
    """Numbers normalised per seed to mean 0 and standard deviation 1, [S, B]; a single one is returned unchanged.

    Args:
        x: [S, B].
        counts: 1 for numbers that enter mean and deviation, else 0, [S, B]; None means all.
    """
    if x.shape[1] < 2:
        return x
    if counts is None:
        std, mean = torch.std_mean(x, 1, keepdim=True)  # [S, 1]
        return (x - mean).div_(std.add_(1e-8))
    n = counts.sum(1, keepdim=True)  # [S, 1]
    centred = x - (x * counts).sum(1, keepdim=True) / n.clamp(min=1.0)
    variance = (centred.square() * counts).sum(1, keepdim=True) / (n - 1.0).clamp(min=1.0)
    return torch.where(n > 1.0, centred / (variance.sqrt() + 1e-8), x)


def explained_variance(value: npt.NDArray[Any], returns: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """1 - var(returns - value) / var(returns) per seed: arrays [S, B] -> [S]; NaN where all returns are equal."""
    variance = returns.var(1)
    unexplained: npt.NDArray[Any] = (returns - value).var(1) / np.where(variance > 0, variance, np.nan)
    return 1.0 - unexplained
