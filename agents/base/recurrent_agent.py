"""Base classes of agents with an LSTM: networks, the recurrent state of each env, and acting.

Axis letters: S seeds, N envs per seed, B batch, T time, D observation, H hidden, K outputs of the network.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode

from agents.base.agent import SeedAgent
from agents.base.learner import Actions, Recurrent
from agents.common.state import Parts
from agents.common.streams import generator
from agents.envs.seed_envs import Floats
from agents.nn.lstm import LSTM, State, draw_weights, lstm_shapes, weights_in
from agents.nn.parameters import Flags, Parameters

Recalled = tuple[Floats, Floats]  # recurrent state: hidden state and cell, [S, B, H] each


class RecurrentNet(Parameters):
    """S networks, each an LSTM and one linear layer on its hidden state.

    Args:
        obs_size: D.
        hidden_size: H.
        gains: One per output: its initial weights are uniform in +-gain/sqrt(H). Biases are 0.
        seeds: One seed per network, from whose own stream weights are drawn.
        device: Device of the parameters.
        log_std: Initial logarithms of the standard deviations of Box actions.
    """

    def __init__(
        self,
        obs_size: int,
        hidden_size: int,
        gains: Sequence[float],
        seeds: Sequence[int],
        device: torch.device,
        log_std: Sequence[float] = (),
    ) -> None:
        shapes = lstm_shapes(obs_size, hidden_size)
        shapes |= {"head.weight": (hidden_size, len(gains)), "head.bias": (1, len(gains))}
        shapes |= {"log_std": (1, len(log_std))} if log_std else {}
        super().__init__(len(seeds), shapes, device)
        self.memory_size = hidden_size
        self.lstm = LSTM(weights_in(self.values), weights_in(self.grads))
        self.weight, self.bias = self.values["head.weight"], self.values["head.bias"]
        self.log_std = self.values.get("log_std")  # [S, 1, A]
        bound = np.asarray(gains) / math.sqrt(hidden_size)
        for s, seed in enumerate(seeds):
            stream = generator(seed, "weights")
            draw_weights(self.lstm.weights, s, stream)
            drawn = stream.uniform(-1.0, 1.0, tuple(self.weight.shape[1:])) * bound
            self.weight[s].copy_(torch.from_numpy(drawn.astype(np.float32)))
        if self.log_std is not None:
            self.log_std.copy_(torch.tensor(log_std))
        self._on_cpu = (self.weight.numpy(), self.bias.numpy()) if device.type == "cpu" else None

    def act(self, obs: Floats, before: Recalled) -> tuple[Floats, Recalled]:
        """Outputs [S, B, K] for obs [S, B, D], and the recurrent state after them, NumPy to NumPy."""
        after = self.lstm.act(obs, *before)
        if self._on_cpu is not None:
            return after[0] @ self._on_cpu[0] + self._on_cpu[1], after
        with torch.inference_mode():
            return self.head(torch.from_numpy(after[0]).to(self.flat.device)).cpu().numpy(), after

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        """Outputs for hidden states, [S, B, H] -> [S, B, K]."""
        return torch.baddbmm(self.bias, hidden, self.weight)

    def forward(self, obs: torch.Tensor, state: State, starts: torch.Tensor) -> torch.Tensor:
        """Outputs for sequences, [S, T * B, K]; arguments as in `LSTM.forward`."""
        out = self.lstm.forward(obs, state, starts)  # [S, T, B, H]
        return self.head(out.flatten(1, 2))

    def backward(self, d_out: torch.Tensor) -> None:
        """Writes the gradient of sum(d_out * outputs) of the last `forward`, d_out [S, T * B, K]."""
        out = self.lstm.states().hidden  # [S, T, B, H]
        torch.bmm(out.flatten(1, 2).mT, d_out, out=self.grads["head.weight"])
        torch.sum(d_out, 1, keepdim=True, out=self.grads["head.bias"])
        self.lstm.backward(torch.bmm(d_out, self.weight.mT).view(out.shape))


class RecurrentActorCritic(RecurrentNet):
    """S policies and S critics, each with an LSTM of its own: rows 2s and 2s + 1 of one network of 2S.

    Outputs are [S, B, A + 1], the policy's and the value; recurrent states are [S, B, 2H], the policy's and the
    critic's. So gradients of policy and critic are clipped separately. Their initial LSTMs are the same.

    Args:
        obs_size: D.
        hidden_size: H.
        n_outputs: A.
        seeds: One seed per policy.
        device: Device of the parameters.
        log_std: Initial logarithms of the standard deviations of Box actions.
    """

    def __init__(
        self,
        obs_size: int,
        hidden_size: int,
        n_outputs: int,
        seeds: Sequence[int],
        device: torch.device,
        log_std: Sequence[float] = (),
    ) -> None:
        gains = [0.01] * n_outputs + [1.0]  # the first policy hardly prefers an action
        super().__init__(obs_size, hidden_size, gains, [seed for seed in seeds for _ in range(2)], device, log_std)
        self.memory_size = 2 * hidden_size
        if self.log_std is not None:
            self.log_std = self.values["log_std"][0::2]  # [S, 1, A]

    def act(self, obs: Floats, before: Recalled) -> tuple[Floats, Recalled]:
        """Outputs [S, B, A + 1] for obs [S, B, D], and the recurrent state after them, NumPy to NumPy."""
        S, B, _ = obs.shape
        rows = [part.reshape(S, B, 2, -1).swapaxes(1, 2).reshape(2 * S, B, -1) for part in before]
        out, after = super().act(np.repeat(obs, 2, 0), (rows[0], rows[1]))
        both = [part.reshape(S, 2, B, -1).swapaxes(1, 2).reshape(S, B, -1) for part in after]
        return np.concatenate((out[0::2, :, :-1], out[1::2, :, -1:]), -1), (both[0], both[1])

    def forward(self, obs: torch.Tensor, state: State, starts: torch.Tensor) -> torch.Tensor:
        """Outputs for sequences, [S, T * B, A + 1]; arguments as in `LSTM.forward`."""
        S, B, _ = state.hidden.shape
        rows = State(*(part.reshape(S, B, 2, -1).transpose(1, 2).reshape(2 * S, B, -1) for part in state))
        out = super().forward(obs.repeat_interleave(2, 0), rows, starts.repeat_interleave(2, 0))
        return torch.cat((out[0::2, :, :-1], out[1::2, :, -1:]), -1)

    def backward(self, d_out: torch.Tensor) -> None:
        """Writes the gradient of sum(d_out * outputs) of the last `forward`, d_out [S, T * B, A + 1]."""
        rows = d_out.new_zeros(2 * len(d_out), *d_out.shape[1:])
        rows[0::2, :, :-1], rows[1::2, :, -1] = d_out[..., :-1], d_out[..., -1]
        super().backward(rows)


class Carried(Parts):
    """Recurrent state of each env from step to step, zero at the start of an episode.

    With SAME_STEP, an env whose episode ended returns the first observation of the next one at once. With NEXT_STEP it
    returns the last one; the action on that is ignored, its row is dead, and the following step returns the first.

    Args:
        n_seeds: S.
        n_envs: N.
        hidden_size: H.
        mode: Autoreset mode of the envs.

    Attributes:
        hidden: Hidden state before the next step, zero where an episode begins, [S, N, H].
        cell: Cell, the same.
        starts: True where the observation to act on next is the first of an episode, [S, N].
        alive: True where the action on it counts, [S, N].
    """

    def __init__(self, n_seeds: int, n_envs: int, hidden_size: int, mode: AutoresetMode) -> None:
        if mode is AutoresetMode.DISABLED:
            raise ValueError("mode must be SAME_STEP or NEXT_STEP, got DISABLED")
        self._same_step = mode is AutoresetMode.SAME_STEP
        self.hidden: Floats = np.zeros((n_seeds, n_envs, hidden_size), np.float32)
        self.cell = np.zeros_like(self.hidden)
        self.starts: Flags = np.ones((n_seeds, n_envs), np.bool_)
        self.alive = np.ones_like(self.starts)

    def reset(self) -> None:
        """Starts an episode in every env."""
        self.hidden[:], self.cell[:] = 0.0, 0.0
        self.starts, self.alive = np.ones_like(self.starts), np.ones_like(self.alive)

    def step(self, after: Recalled, ended: Flags) -> None:
        """Stores the recurrent state after a step that ended the episodes of some envs, `ended` [S, N]."""
        self.starts = ended.copy() if self._same_step else ~self.alive
        self.alive = np.ones_like(ended) if self._same_step else ~ended
        for mine, theirs in ((self.hidden, after[0]), (self.cell, after[1])):
            np.multiply(theirs, ~self.starts[..., None], out=mine)

    @property
    def recalled(self) -> Recalled:
        """Hidden state and cell before the next step, [S, N, H] each."""
        return self.hidden, self.cell

    def parts(self) -> dict[str, Any]:
        """The attributes above, by name."""
        return {"hidden": self.hidden, "cell": self.cell, "starts": self.starts, "alive": self.alive}


class RecurrentAgent(SeedAgent):
    """An agent of a `RecurrentNet`, `self.net`."""

    net: RecurrentNet

    @classmethod
    def _weight_shapes(cls, config: Any, spaces: Any, inputs: int) -> Iterator[tuple[int, ...]]:
        return iter([(inputs, 4 * config.lstm_size), (config.lstm_size, 4 * config.lstm_size)])

    def _build_carried(self) -> None:
        sizes = (len(self.seeds), self.n_envs, self.net.memory_size)
        self.carried = Carried(*sizes, self.envs_type.autoreset_mode)

    def _begin(self, total_timesteps: int) -> None:
        if self.num_timesteps == 0 or self._obs is None:  # all episodes are new
            self.carried.reset()

    def _cut(self, obs: Floats) -> None:
        self.carried.reset()

    @abstractmethod
    def _best(self, outputs: Floats) -> Actions:
        """Greedy actions, [S, B] or [S, B, *action_shape], from the network's outputs [S, B, K]."""

    @abstractmethod
    def _by_chance(self, outputs: Floats) -> Actions:
        """Actions as drawn in training, in the shape of `_best`'s."""

    def _greedy(self, obs: Floats) -> Actions:
        """Greedy actions for first observations of episodes, [S, B, D]."""
        return self._best(self.net.act(obs, self._nothing(obs.shape[1]))[0])

    def _nothing(self, batch: int) -> Recalled:
        shape = (len(self.seeds), batch, self.net.memory_size)
        return np.zeros(shape, np.float32), np.zeros(shape, np.float32)

    def _respond(
        self, obs: Floats, state: Recurrent, episode_start: Any, deterministic: bool
    ) -> tuple[Actions, Recurrent]:
        outputs, after = self.net.act(obs, self._before(state, episode_start, obs.shape[1]))
        return (self._best(outputs) if deterministic else self._by_chance(outputs)), after

    def _before(self, state: Any, episode_start: Any, batch: int) -> Recalled:
        """Hidden state and cell before a step, [S, B, H] each, from the arguments of `predict`."""
        nothing = self._nothing(batch)
        if state is None:
            return nothing
        given = tuple(np.asarray(part, np.float32) for part in state)
        if len(given) != 2 or any(part.shape != nothing[0].shape for part in given):
            raise ValueError(f"state must be two arrays {nothing[0].shape}, got {[part.shape for part in given]}")
        if episode_start is None:
            return given[0], given[1]
        starts = np.asarray(episode_start, np.bool_)
        starts = np.broadcast_to(starts if starts.size == 1 else starts.reshape(-1, batch), nothing[0].shape[:2])
        return given[0] * ~starts[..., None], given[1] * ~starts[..., None]
