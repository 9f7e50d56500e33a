"""One seed's policy and critic, forward and backward, compiled.

Numbers are copied one by one: an assignment of slices takes seconds to compile, since its error message does.

Axis letters: S seeds, L layers, B batch, D inputs, A outputs of the policy, K numbers per action, P parameters of a
seed.
"""

from typing import Any, NamedTuple

import numpy as np

from agents.common.compiled import compiled
from agents.nn.fused.distributions import categorical, categorical_gradient, gaussian, gaussian_gradient
from agents.nn.fused.perceptrons import backward, forward


class Networks(NamedTuple):
    """S policies and critics."""

    flat: Any  # [S * P]
    grad: Any  # [S * P]
    pi: Any  # layers of the policy's network [L, 4], see `agents.nn.fused.perceptrons`
    vf: Any  # those of the critic's; none if there is no critic, or if the policy's last output is the value
    n_outputs: int  # A
    log_std: int  # where log_std [S, 1, A] begins in `flat`; -1 for Discrete actions
    tanh: bool


class Room(NamedTuple):
    """What one seed's forward pass finds, the gradients in it, and room for the backward pass."""

    pi: Any  # outputs of all layers of the policy's network
    vf: Any  # the critic's
    parts: Any  # logarithms of probabilities, or standardised actions, [B, A]
    log_prob: Any  # [B]
    entropy: Any  # [B]
    value: Any  # [B], zero without a critic
    d_log_prob: Any  # [B]
    d_value: Any  # [B]
    d_pi: Any  # [B, A], or [B, A + 1] if the last output is the value
    d_vf: Any  # [B, 1]
    spare: Any  # [2, B * widest]


@compiled
def room_for(net: Any, B: int) -> Any:
    """Room for batches of B rows."""
    widest = net.pi[:, 2].max()
    if len(net.vf):
        widest = max(widest, net.vf[:, 2].max())
    numbers = np.zeros((5, B), np.float32)
    return Room(
        np.empty(B * net.pi[:, 3].sum(), np.float32),
        np.empty(B * net.vf[:, 3].sum(), np.float32),
        np.empty((B, net.n_outputs), np.float32),
        numbers[0],
        numbers[1],
        numbers[2],
        numbers[3],
        numbers[4],
        np.empty((B, net.pi[-1, 3]), np.float32),
        np.empty((B, 1), np.float32),
        np.empty((2, B * widest), np.float32),
    )


@compiled
def evaluate(net: Any, s: int, obs: Any, action: Any, room: Any) -> None:
    """Writes log-probabilities and entropies of seed s's policy, and its critic's values: obs [B, D], action [B, K]."""
    pi = forward(net.flat, net.pi, s, obs, room.pi, net.tanh)
    if net.log_std < 0:
        categorical(pi, action, room.parts, room.log_prob, room.entropy)
    else:
        gaussian(pi, action, log_std_of(net, net.flat, s), room.parts, room.log_prob, room.entropy)
    if len(net.vf):
        vf = forward(net.flat, net.vf, s, obs, room.vf, net.tanh)
        for b in range(len(obs)):
            room.value[b] = vf[b, 0]
    elif pi.shape[1] > net.n_outputs:
        for b in range(len(obs)):
            room.value[b] = pi[b, net.n_outputs]


@compiled
def differentiate(net: Any, s: int, obs: Any, action: Any, room: Any, d_entropy: Any) -> None:
    """Writes the gradient of sum(d_log_prob * log_prob + d_entropy * entropy + d_value * value), after `evaluate`."""
    if net.log_std < 0:
        categorical_gradient(room.parts, action, room.entropy, room.d_log_prob, d_entropy, room.d_pi)
    else:
        std, d_std = log_std_of(net, net.flat, s), log_std_of(net, net.grad, s)
        gaussian_gradient(room.parts, std, room.d_log_prob, d_entropy, room.d_pi, d_std)
    if room.d_pi.shape[1] > net.n_outputs:
        for b in range(len(obs)):
            room.d_pi[b, net.n_outputs] = room.d_value[b]
    backward(net.flat, net.grad, net.pi, s, obs, room.pi, room.d_pi, room.spare, net.tanh)
    if len(net.vf):
        for b in range(len(obs)):
            room.d_vf[b, 0] = room.d_value[b]
        backward(net.flat, net.grad, net.vf, s, obs, room.vf, room.d_vf, room.spare, net.tanh)


@compiled
def log_std_of(net: Any, flat: Any, s: int) -> Any:
    """Seed s's logarithms of standard deviations in `flat`, or their gradients in `grad`, a view [A]."""
    return flat[net.log_std + s * net.n_outputs : net.log_std + (s + 1) * net.n_outputs]
