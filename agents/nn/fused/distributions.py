"""Log-probabilities and entropies of actions with their gradients, of one seed's policy, compiled.

Axis letters: B batch, A outputs of the policy, K numbers per action.
"""

import math
from typing import Any

import numpy as np

from agents.common.compiled import compiled

LOG_ROOT_2_PI = np.float32(0.5 * math.log(2.0 * math.pi))
ONE, HALF, ZERO = np.float32(1.0), np.float32(0.5), np.float32(0.0)


@compiled
def categorical(pi: Any, action: Any, log_p: Any, log_prob: Any, entropy: Any) -> None:
    """Writes log_prob [B], entropy [B] and the logarithms of all probabilities [B, A].

    The first A numbers of a row of pi [B, A or more] are logits; action is [B, 1].
    """
    B, A = log_p.shape
    for b in range(B):
        top = pi[b, 0]
        for a in range(1, A):
            top = max(top, pi[b, a])
        total = ZERO
        for a in range(A):
            total += np.exp(pi[b, a] - top)
        norm = top + np.log(total)
        entropy[b] = ZERO
        for a in range(A):
            log_p[b, a] = pi[b, a] - norm
            entropy[b] -= np.exp(log_p[b, a]) * log_p[b, a]
        log_prob[b] = log_p[b, int(action[b, 0])]


@compiled
def categorical_gradient(log_p: Any, action: Any, entropy: Any, d_log_prob: Any, d_entropy: Any, d_pi: Any) -> None:
    """Writes into d_pi [B, A or more] the gradient of sum(d_log_prob * log_prob) + d_entropy * sum(entropy).

    d log p(a) / d logit_b = [a = b] - p(b); d entropy / d logit_b = -p(b) (log p(b) + entropy).
    """
    B, A = log_p.shape
    for b in range(B):
        for a in range(A):
            p = np.exp(log_p[b, a])
            d_pi[b, a] = -p * (d_log_prob[b] + d_entropy * (log_p[b, a] + entropy[b]))
        d_pi[b, int(action[b, 0])] += d_log_prob[b]


@compiled
def gaussian(pi: Any, action: Any, log_std: Any, z: Any, log_prob: Any, entropy: Any) -> None:
    """Writes log_prob [B], entropy [B] and z = (action - mean) / std [B, A]; log_std is [A]."""
    B, A = z.shape
    of_all = ZERO
    for a in range(A):
        of_all += log_std[a] + HALF + LOG_ROOT_2_PI
    for b in range(B):
        entropy[b], log_prob[b] = of_all, ZERO
        for a in range(A):
            z[b, a] = (action[b, a] - pi[b, a]) * np.exp(-log_std[a])
            log_prob[b] -= HALF * z[b, a] * z[b, a] + log_std[a] + LOG_ROOT_2_PI


@compiled
def gaussian_gradient(z: Any, log_std: Any, d_log_prob: Any, d_entropy: Any, d_pi: Any, d_log_std: Any) -> None:
    """As `categorical_gradient`; writes also that in log_std [A].

    d log p / d mean = z / std; d log p / d log std = z^2 - 1; d entropy / d log std = 1.
    """
    B, A = z.shape
    for a in range(A):
        inverse, total = np.exp(-log_std[a]), 0.0  # the sum in double precision
        for b in range(B):
            d_pi[b, a] = d_log_prob[b] * z[b, a] * inverse
            total += d_log_prob[b] * (z[b, a] * z[b, a] - ONE)
        d_log_std[a] = total + d_entropy * B
