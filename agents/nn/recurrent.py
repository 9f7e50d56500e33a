"""Networks with an LSTM for S seeds at once.

Axis letters: S seeds, B batch, T time, D observation, H hidden, K outputs of the network, A of the policy.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch

from agents.common.streams import generator
from agents.nn.layers import SeedLinear
from agents.nn.lstm import SeedLSTM, State, draw_weights
from agents.nn.parameters import Floats, SeedNetwork

Recalled = tuple[Floats, Floats]  # recurrent state: hidden state and cell, [S, B, H] each


class RecurrentNet(SeedNetwork):
    """S networks, each an LSTM and one linear layer on its hidden state.

    Args:
        obs_size: D.
        hidden_size: H.
        gains: One per output: its initial weights are uniform in +-gain/sqrt(H). Biases are 0.
        seeds: One seed per network, from whose own stream weights are drawn.
        device: Device of the parameters.
        fused: Whether to use the compiled LSTM, which gives the same numbers sooner, on the CPU.
        log_std: Initial logarithms of the standard deviations of Box actions.
    """

    def __init__(
        self,
        obs_size: int,
        hidden_size: int,
        gains: Sequence[float],
        seeds: Sequence[int],
        device: torch.device,
        fused: bool = True,
        log_std: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.lstm, self.head = SeedLSTM(obs_size, hidden_size), SeedLinear(hidden_size, len(gains))
        self.log_std = torch.nn.Parameter(torch.zeros(1, 1, len(log_std))) if log_std else None  # [S, 1, A]
        self.flatten_parameters(len(seeds), device)
        self.memory_size = hidden_size
        self._draw([gain / math.sqrt(hidden_size) for gain in gains], seeds, log_std)
        on_cpu = device.type == "cpu"
        if fused and on_cpu:
            self.lstm.fuse()
        self._head = [self.values[f"head.{name}"].numpy() for name in ("weight", "bias")] if on_cpu else None

    @torch.no_grad()
    def _draw(self, bounds: Sequence[float], seeds: Sequence[int], log_std: Sequence[float]) -> None:
        for s, seed in enumerate(seeds):
            stream = generator(seed, "weights")
            draw_weights(self.lstm.weights, s, stream)
            drawn = stream.uniform(-1.0, 1.0, tuple(self.head.weight.shape[1:])) * bounds
            self.head.weight[s].copy_(torch.from_numpy(drawn.astype(np.float32)))
        self.head.bias.zero_()
        if self.log_std is not None:
            self.log_std.copy_(torch.tensor(log_std))

    def forward(self, obs: torch.Tensor, state: State, starts: torch.Tensor) -> tuple[torch.Tensor, State]:
        """Outputs for sequences, [S, T, B, K], and the recurrent state after each step; see `SeedLSTM.forward`."""
        after = self.lstm(obs, state, starts)  # [S, T, B, H]
        return self.head(after.hidden.flatten(1, 2)).unflatten(1, obs.shape[1:3]), after

    def act(self, obs: Floats, before: Recalled) -> tuple[Floats, Recalled]:
        """Outputs [S, B, K] for obs [S, B, D], and the recurrent state after them, NumPy to NumPy."""
        after = self.lstm.act(obs, *before)
        if self._head is not None:
            return after[0] @ self._head[0] + self._head[1], after
        with torch.no_grad():
            return self.head(torch.from_numpy(after[0]).to(self.flat.device)).cpu().numpy(), after


class RecurrentActorCritic(RecurrentNet):
    """S policies and S critics, each with an LSTM of its own: rows 2s and 2s + 1 of one network of 2S.

    Outputs are [S, ..., A + 1], the policy's and the value; recurrent states are [S, ..., 2H], the policy's and the
    critic's. So gradients of policy and critic are clipped separately. Their initial LSTMs are the same.

    Args:
        obs_size: D.
        hidden_size: H.
        n_outputs: A.
        seeds: One seed per policy.
        device: Device of the parameters.
        fused: As in `RecurrentNet`.
        log_std: Initial logarithms of the standard deviations of Box actions.
    """

    def __init__(
        self,
        obs_size: int,
        hidden_size: int,
        n_outputs: int,
        seeds: Sequence[int],
        device: torch.device,
        fused: bool = True,
        log_std: Sequence[float] = (),
    ) -> None:
        gains = [0.01] * n_outputs + [1.0]  # the first policy hardly prefers an action
        rows = [seed for seed in seeds for _ in range(2)]
        super().__init__(obs_size, hidden_size, gains, rows, device, fused, log_std)
        self.memory_size = 2 * hidden_size

    @property
    def policy_log_std(self) -> torch.Tensor | None:
        """Logarithms of the standard deviations of Box actions, [S, 1, A]; None for Discrete ones."""
        return None if self.log_std is None else self.log_std[0::2]

    def forward(self, obs: torch.Tensor, state: State, starts: torch.Tensor) -> tuple[torch.Tensor, State]:
        """Outputs for sequences, [S, T, B, A + 1], and the recurrent states of all 2S rows after each step."""
        S, B, _ = state.hidden.shape
        rows = State(*(part.reshape(S, B, 2, -1).transpose(1, 2).reshape(2 * S, B, -1) for part in state))
        out, after = super().forward(obs.repeat_interleave(2, 0), rows, starts.repeat_interleave(2, 0))
        return torch.cat((out[0::2, ..., :-1], out[1::2, ..., -1:]), -1), after

    def act(self, obs: Floats, before: Recalled) -> tuple[Floats, Recalled]:
        """Outputs [S, B, A + 1] for obs [S, B, D], and the recurrent state after them, NumPy to NumPy."""
        S, B, _ = obs.shape
        rows = [part.reshape(S, B, 2, -1).swapaxes(1, 2).reshape(2 * S, B, -1) for part in before]
        out, after = super().act(np.repeat(obs, 2, 0), (rows[0], rows[1]))
        both = [part.reshape(S, 2, B, -1).swapaxes(1, 2).reshape(S, B, -1) for part in after]
        return np.concatenate((out[0::2, :, :-1], out[1::2, :, -1:]), -1), (both[0], both[1])
