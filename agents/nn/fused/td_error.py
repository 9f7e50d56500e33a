"""The gradient of a loss of TD errors by hand, for `agents.nn.mlp.MLP`.

Axis letters: S seeds, B batch, K outcomes per transition (1, or one of every action), A actions.
"""

from collections.abc import Callable

import torch

from agents.nn.mlp import MLP


def td_gradient(
    q_net: MLP,
    obs: torch.Tensor,
    action: torch.Tensor,
    target: torch.Tensor,
    derivative: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Writes the gradient of a loss into `q_net.grad`; returns the errors Q(obs, action) - target, [S, B, K].

    The loss is the mean over B and K, and the sum over S.

    Args:
        q_net: The networks.
        obs: [S, B, D].
        action: [S, B, K].
        target: [S, B, K], through which no gradient flows.
        derivative: That of the loss of one error, elementwise, as a new tensor.
    """
    outputs = q_net.cached(obs)
    q = outputs[-1]  # [S, B, A]
    error = q.gather(-1, action).sub_(target)  # [S, B, K]
    d_error = derivative(error).div_(error[0].numel())
    q_net.backward(outputs, torch.zeros_like(q).scatter_(-1, action, d_error))
    return error
