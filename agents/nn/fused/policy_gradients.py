"""Gradients of the losses of A2C, REINFORCE and PPO by hand, for built-in networks on the CPU.

The losses are defined in the algorithms' files; tests hold these gradients to autograd's. One compiled call takes each
seed in turn through a batch: forward, loss and backward, while its numbers are in the cache.

Axis letters: S seeds, M rows of a rollout, B of them in a batch, D inputs, K numbers per action.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from agents.common.compiled import compiled
from agents.nn.fused.actor_critics import Networks, differentiate, evaluate, room_for

ZERO, ONE, TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)


def advantage_gradient(
    net: Networks,
    seeds: Sequence[int],
    rows: torch.Tensor,
    returns: torch.Tensor,
    advantage: torch.Tensor | None,
    normalize: bool,
    ent_coef: float,
    vf_coef: float,
) -> Iterator[torch.Tensor]:
    """Writes the gradient of `agents.a2c.a2c_loss` or `agents.reinforce.reinforce_loss`; returns its 3 terms, [S, B].

    Args:
        net: The networks.
        seeds: The seeds that the rows belong to, S of them.
        rows: Inputs and actions side by side, [S, B, D + K].
        returns: Targets of the critic, [S, B].
        advantage: [S, B]; None means the returns less the critic's values.
        normalize: Whether to normalise advantages.
        ent_coef: Weight of the entropy.
        vf_coef: Weight of the critic.
    """
    terms, coefs = np.empty((3, *returns.shape), np.float32), (np.float32(ent_coef), np.float32(vf_coef))
    weight = (returns if advantage is None else advantage).numpy().copy()  # normalised in place
    batch = (np.array(seeds), rows.numpy(), returns.numpy(), weight)
    _advantage_gradient(net, *batch, advantage is None, normalize, *coefs, terms)
    return map(torch.from_numpy, terms)


@compiled
def _advantage_gradient(
    net: Any,
    seeds: Any,
    rows: Any,
    returns: Any,
    advantages: Any,
    less_value: bool,
    normalize: bool,
    ent_coef: Any,
    vf_coef: Any,
    terms: Any,
) -> None:
    S, B, width = rows.shape
    room, D, share = room_for(net, B), net.pi[0, 2], ONE / np.float32(B)
    obs, action = np.empty((B, D), np.float32), np.empty((B, width - D), np.float32)
    for row in range(S):
        obs[:], action[:] = rows[row, :, :D], rows[row, :, D:]
        evaluate(net, seeds[row], obs, action, room)
        advantage = advantages[row]
        if less_value:
            advantage -= room.value
        if normalize and B > 1:
            normalise(advantage)
        for b in range(B):
            error = room.value[b] - returns[row, b]
            room.d_log_prob[b] = -advantage[b] * share
            room.d_value[b] = TWO * vf_coef * error * share
            terms[0, row, b] = -advantage[b] * room.log_prob[b]
            terms[1, row, b] = error * error
            terms[2, row, b] = room.entropy[b]
        differentiate(net, seeds[row], obs, action, room, -ent_coef * share)


def clipped_gradient(
    net: Networks,
    rows: torch.Tensor,
    index: npt.NDArray[np.int64],
    normalize: bool,
    clip_range: float,
    clip_range_vf: float | None,
    ent_coef: float,
    vf_coef: float,
) -> Iterator[torch.Tensor]:
    """Writes the gradient of `agents.ppo.ppo_loss`; returns its 4 terms, [S, B].

    Args:
        net: The networks.
        rows: A rollout, [S, M, D + K + 4]: inputs, actions, and the last four columns of `agents.ppo.Batch`.
        index: The rows of each seed's batch, [S, B].
        normalize: Whether to normalise advantages.
        clip_range: See the loss.
        clip_range_vf: See the loss.
        ent_coef: Weight of the entropy.
        vf_coef: Weight of the critic.
    """
    terms = np.empty((4, *index.shape), np.float32)
    free = math.inf if clip_range_vf is None else clip_range_vf
    numbers = map(np.float32, (clip_range, free, ent_coef, vf_coef))
    _clipped_gradient(net, rows.numpy(), np.ascontiguousarray(index), *numbers, normalize, terms)
    return map(torch.from_numpy, terms)


@compiled
def _clipped_gradient(
    net: Any,
    rows: Any,
    index: Any,
    clip: Any,
    clip_vf: Any,
    ent_coef: Any,
    vf_coef: Any,
    normalize: bool,
    terms: Any,
) -> None:
    (S, B), D = index.shape, net.pi[0, 2]
    room, width, share = room_for(net, B), rows.shape[2], ONE / np.float32(B)
    obs, action = np.empty((B, D), np.float32), np.empty((B, width - 4 - D), np.float32)
    old = np.empty((4, B), np.float32)
    for s in range(S):
        for b in range(B):
            row = rows[s, index[s, b]]
            obs[b], action[b], old[:, b] = row[:D], row[D : width - 4], row[width - 4 :]
        old_log_prob, old_value, advantage, returns = old[0], old[1], old[2], old[3]
        if normalize and B > 1:
            normalise(advantage)
        evaluate(net, s, obs, action, room)
        for b in range(B):
            log_ratio = room.log_prob[b] - old_log_prob[b]
            ratio = np.exp(log_ratio)
            gain = ratio * advantage[b]
            clipped = min(max(ratio, ONE - clip), ONE + clip) * advantage[b]
            room.d_log_prob[b] = -gain * share if gain <= clipped else ZERO  # the clipped branch has no gradient
            moved = room.value[b] - old_value[b]
            error = room.value[b] - returns[b]
            if abs(moved) > clip_vf:
                error = old_value[b] + min(max(moved, -clip_vf), clip_vf) - returns[b]
            room.d_value[b] = TWO * vf_coef * error * share if abs(moved) <= clip_vf else ZERO
            terms[0, s, b] = -min(gain, clipped)
            terms[1, s, b] = error * error
            terms[2, s, b] = room.entropy[b]
            terms[3, s, b] = log_ratio
        differentiate(net, s, obs, action, room, -ent_coef * share)


@compiled
def normalise(x: Any) -> None:
    """Normalises x [B] to mean 0 and standard deviation 1, in place, as `agents.common.returns.normalized`."""
    mean, square = 0.0, 0.0
    for number in x:
        mean += number
    mean /= len(x)
    for number in x:
        square += (number - mean) ** 2
    scale = 1.0 / (math.sqrt(square / (len(x) - 1)) + 1e-8)
    for i in range(len(x)):
        x[i] = (x[i] - mean) * scale
