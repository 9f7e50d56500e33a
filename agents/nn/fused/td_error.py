"""Steps down losses of TD errors, with gradients by hand, for `agents.nn.mlp.MLP` on the CPU.

The losses are defined in the algorithms' files; tests hold these gradients to autograd's. One compiled call takes each
seed in turn through its update: target network, network, loss, backward pass and Adam, while its numbers are in the
cache.

Axis letters: S seeds, B batch, D inputs, K outcomes per transition (1, or one of every action), A actions.
"""

from typing import Any

import numpy as np
import torch

from agents.common.compiled import compiled
from agents.nn.fused.optimizers import AdamArrays, adam_of_seed
from agents.nn.fused.perceptrons import backward, forward
from agents.nn.mlp import MLP

ZERO, ONE = np.float32(0.0), np.float32(1.0)


def td_step(
    q_net: MLP, target_net: MLP, adam: AdamArrays, batch: Any, gamma: float, squared: bool = False
) -> torch.Tensor:
    """Takes one step of Adam down a loss, whose gradient stays in `q_net.grad`; returns the errors, [S, B, K].

    The loss is `agents.dqn.dqn_loss`, or with K = A `agents.counterfactual_dqn.counterfactual_loss`.

    Args:
        q_net: The networks.
        target_net: The target networks.
        adam: The optimiser of `q_net`.
        batch: An `agents.memory.replay.Batch`.
        gamma: Discount factor.
        squared: Whether the loss of one error is its square in place of Huber's.
    """
    obs, next_obs = (q_net.inputs(part).contiguous().numpy() for part in (batch.obs, batch.next_obs))
    outcome = (part.numpy() for part in (batch.action, batch.reward, batch.continues))
    error = np.empty(batch.action.shape, np.float32)
    _td_step(adam, target_net.flat.numpy(), q_net.table, obs, next_obs, *outcome, np.float32(gamma), squared, error)
    return torch.from_numpy(error)


@compiled
def _td_step(
    adam: Any,
    target_flat: Any,
    layers: Any,
    obs: Any,
    next_obs: Any,
    action: Any,
    reward: Any,
    continues: Any,
    gamma: Any,
    squared: bool,
    error: Any,
) -> None:
    (S, B, K), A = action.shape, layers[-1, 3]
    kept, spare = np.empty(B * K * layers[:, 3].sum(), np.float32), np.empty((2, B * layers[:, 2].max()), np.float32)
    target, d_q, share = np.empty(B * K, np.float32), np.empty((B, A), np.float32), ONE / np.float32(B * K)
    for s in range(S):
        next_q = forward(target_flat, layers, s, next_obs[s], kept, False)
        for i in range(B * K):
            best = next_q[i, 0]
            for a in range(1, A):
                best = max(best, next_q[i, a])
            target[i] = reward[s, i] + gamma * continues[s, i] * best
        q = forward(adam.flat, layers, s, obs[s], kept, False)
        d_q[:] = ZERO
        for b in range(B):
            for k in range(K):
                a = action[s, b, k]
                wrong = q[b, a] - target[b * K + k]
                error[s, b, k] = wrong
                slope = wrong + wrong if squared else min(max(wrong, -ONE), ONE)
                d_q[b, a] += slope * share
        backward(adam.flat, adam.grad, layers, s, obs[s], kept, d_q, spare, False)
        adam_of_seed(adam, s)
