"""A convolution over time, of torch's own layers: they are run for all seeds by `torch.vmap`.

Axis letters: B batch, D observation, T rows of the window, F features, R more numbers, C channels, K features learnt.
"""

import torch
from torch import nn

from agents.nn.examples.window import Window


class WindowCNN(nn.Module):
    """Features of a window by two convolutions over time; the other numbers of the observation go along.

        network = functools.partial(on_features, extractor=WindowCNN, window=30, rest=4)

    Args:
        obs_size: D.
        window: T.
        rest: R, numbers after the window: 4 in TradingEnv.
        channels: C.
        kernel: Rows that a convolution sees at once.
        features_dim: K.
    """

    def __init__(
        self, obs_size: int, window: int, rest: int = 0, channels: int = 16, kernel: int = 3, features_dim: int = 64
    ) -> None:
        super().__init__()
        self.window, self.features_dim = Window.of(obs_size, window, rest), features_dim
        self.first = nn.Conv1d(self.window.features, channels, kernel, padding="same")
        self.second = nn.Conv1d(channels, channels, kernel, padding="same")
        self.last = nn.Linear(channels * window + rest, features_dim)

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        """Features [B, K] of obs [B, D]."""
        rows, rest = self.window.split(obs)  # [B, T, F], [B, R]
        x = torch.relu(self.first(rows.mT))  # [B, C, T]
        x = torch.relu(self.second(x))  # [B, C, T]
        return torch.relu(self.last(torch.cat((x.flatten(1), rest), -1)))
