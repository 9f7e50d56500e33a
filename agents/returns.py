"""Returns and targets as pure functions.

Axis letters: S seeds, B batch.
"""

import torch


def td_target(reward: torch.Tensor, continues: torch.Tensor, next_value: torch.Tensor, gamma: float) -> torch.Tensor:
    """The one-step Bellman target, reward + gamma * continues * next_value, all [S, B].

    `continues` is 0 where the episode terminated, and 1 elsewhere: also where it was truncated, because a
    time limit says nothing of what the next state is worth.
    """
    return torch.addcmul(reward, continues, next_value, value=gamma)
