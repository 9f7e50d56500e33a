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
from agents.nn.fused.optimizers import AdamArrays, adam_of_seed
from agents.nn.parameters import Flags

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
        for b in range(B):
            for i in range(D):  # faster than an assignment of slices
                obs[b, i] = rows[row, b, i]
            for i in range(D, width):
                action[b, i - D] = rows[row, b, i]
        evaluate(net, seeds[row], obs, action, room)
        advantage = advantages[row]
        if less_value:
            for b in range(B):
                advantage[b] -= room.value[b]
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


def clipped_epoch(
    net: Networks,
    adam: AdamArrays,
    rows: torch.Tensor,
    order: npt.NDArray[np.int64],
    batch_size: int,
    active: Flags,
    normalize: bool,
    target_kl: float | None,
    clip_range: float,
    clip_range_vf: float | None,
    ent_coef: float,
    vf_coef: float,
) -> tuple[Iterator[torch.Tensor], int, Flags]:
    """Steps down `agents.ppo.ppo_loss`, batch by batch, each seed's networks through all of them.

    Args:
        net: The networks.
        adam: Their optimiser.
        rows: A rollout, [S, M, D + K + 4]: inputs, actions, and the last four columns of `agents.ppo.Batch`.
        order: Each seed's rows in the order in which they make batches, [S, M].
        batch_size: Rows of a batch, except of the last one.
        active: Which seeds learn, [S].
        normalize: Whether to normalise advantages.
        target_kl: A seed stops before the batch whose KL divergence exceeds 1.5 times this; None for never.
        clip_range: See the loss.
        clip_range_vf: See the loss.
        ent_coef: Weight of the entropy.
        vf_coef: Weight of the critic.

    Returns:
        The loss's four terms, [S, rows up to where the last seed stopped]; the batches until there; and which seeds
        have not stopped, [S].
    """
    terms, active = np.empty((4, *order.shape), np.float32), active.copy()
    free, most_kl = (math.inf if limit is None else limit for limit in (clip_range_vf, target_kl))
    numbers = map(np.float32, (1.5 * most_kl, clip_range, free, ent_coef, vf_coef))
    taken = _clipped_epoch(net, adam, rows.numpy(), order, batch_size, active, normalize, *numbers, terms)
    return map(torch.from_numpy, terms[..., : taken * batch_size]), taken, active


@compiled
def _clipped_epoch(
    net: Any,
    adam: Any,
    rows: Any,
    order: Any,
    batch_size: int,
    active: Any,
    normalize: bool,
    most_kl: Any,
    clip: Any,
    clip_vf: Any,
    ent_coef: Any,
    vf_coef: Any,
    terms: Any,
) -> int:
    (S, M), taken = order.shape, 0
    for s in range(S):
        for start in range(0, M, batch_size):
            index, found = order[s, start : start + batch_size], terms[:, s, start : start + batch_size]
            taken = max(taken, start // batch_size + 1) if active[s] else taken
            room, obs, action = _clipped_loss(net, s, rows[s], index, normalize, clip, clip_vf, vf_coef, found)
            active[s] = active[s] and (most_kl == math.inf or _kl(found[3]) <= most_kl)
            if active[s]:
                differentiate(net, s, obs, action, room, -ent_coef / np.float32(len(index)))
                adam_of_seed(adam, s)
    return taken


@compiled
def _clipped_loss(
    net: Any, s: int, rows: Any, index: Any, normalize: bool, clip: Any, clip_vf: Any, vf_coef: Any, terms: Any
) -> Any:
    """Writes the terms [4, B] of seed s's loss on the rows index [B]; returns what its gradient takes."""
    B, D, width = len(index), net.pi[0, 2], rows.shape[1]
    room, share, end = room_for(net, B), ONE / np.float32(B), width - 4
    obs, action, old = np.empty((B, D), np.float32), np.empty((B, end - D), np.float32), np.empty((4, B), np.float32)
    for b in range(B):
        row = rows[index[b]]
        for i in range(D):  # faster than an assignment of slices
            obs[b, i] = row[i]
        for i in range(D, end):
            action[b, i - D] = row[i]
        for i in range(4):
            old[i, b] = row[end + i]
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
        terms[0, b] = -min(gain, clipped)
        terms[1, b] = error * error
        terms[2, b] = room.entropy[b]
        terms[3, b] = log_ratio
    return room, obs, action


@compiled
def _kl(log_ratio: Any) -> Any:
    """`agents.ppo.approx_kl` of one seed's batch [B]."""
    total = 0.0
    for x in log_ratio:
        total += np.expm1(x) - x
    return total / len(log_ratio)


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
