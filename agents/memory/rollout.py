"""The last T steps of S seeds with N envs each, which a policy learns from once and then discards.

Axis letters: S seeds, N envs per seed, B = T * N batch, T time, D observation, K numbers per action.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from agents.common.checks import check_int
from agents.common.returns import gae
from agents.common.state import Parts, State
from agents.envs.seed_envs import Floats, Step


class Rollout(Parts):
    """Steps in the order in which they were taken.

    Args:
        n_seeds: S.
        n_steps: T.
        n_envs: N.
        obs_size: D.
        action_size: K.

    Attributes:
        rows: Observation and action of each step side by side, [S, T, N, D + K].
        reward: [S, T, N].
        terminated: [S, T, N].
        ended: Terminated or truncated, [S, T, N].
        final_value: Value of an episode's last observation where it was truncated, elsewhere 0, [S, T, N].
        position: Steps stored.
    """

    def __init__(self, n_seeds: int, n_steps: int, n_envs: int, obs_size: int, action_size: int) -> None:
        shape = (n_seeds, n_steps, n_envs)
        self.n_steps, self.obs_size = n_steps, obs_size
        self.rows: Floats = np.zeros((*shape, obs_size + action_size), np.float32)
        self.reward: Floats = np.zeros(shape, np.float32)
        self.terminated = np.zeros(shape, np.bool_)
        self.ended = np.zeros(shape, np.bool_)
        self.final_value: Floats = np.zeros(shape, np.float32)
        self.position = 0

    def add(self, obs: Floats, action: npt.NDArray[Any], step: Step, final_value: Floats | None) -> None:
        """Stores one step of each env: obs [S, N, D], action [S, N] or [S, N, K], final_value [S, N]."""
        t = self.position
        self.rows[:, t, :, : self.obs_size] = obs
        self.rows[:, t, :, self.obs_size :] = action.reshape(*action.shape[:2], -1)
        self.reward[:, t] = step.reward
        self.terminated[:, t] = step.terminated
        self.ended[:, t] = step.ended
        self.final_value[:, t] = 0.0 if final_value is None else final_value
        self.position += 1

    @property
    def obs(self) -> Floats:
        """Observations as a batch, [S, B, D]."""
        S, T, N, _ = self.rows.shape
        return self.rows[..., : self.obs_size].reshape(S, T * N, self.obs_size)

    @property
    def full(self) -> bool:
        """True if all T steps are stored."""
        return self.position == self.n_steps

    def clear(self) -> None:
        """Discards all steps."""
        self.position = 0

    def cut(self, value: Floats) -> None:
        """Ends the running episodes here as truncated, with value [S, N] as that of their last observations."""
        if self.position:
            t = self.position - 1
            self.final_value[:, t] = np.where(self.ended[:, t], self.final_value[:, t], value)
            self.ended[:, t] = True

    def parts(self) -> dict[str, Any]:
        """The stored steps, by attribute."""
        ends = {"terminated": self.terminated, "ended": self.ended, "final_value": self.final_value}
        return {"rows": self.rows, "reward": self.reward, **ends, "position": self.position}

    def set_state(self, state: State) -> None:
        """Restores what `get_state` returned; ValueError if it does not fit."""
        check_int("position", state["position"], 0, below=self.n_steps)
        super().set_state(state)

    def whole(self, steps: int) -> int:
        """Steps per seed, `steps` rounded up so that the last rollout is whole, as Stable-Baselines3 does."""
        N = int(self.reward.shape[2])
        size, stored = self.n_steps * N, self.position * N
        return -(-(stored + steps) // size) * size - stored

    def batch(self, device: torch.device) -> torch.Tensor:
        """Observations and actions as a batch, [S, B, D + K]; on the CPU it shares memory."""
        S, T, N, width = self.rows.shape
        return torch.from_numpy(self.rows).view(S, T * N, width).to(device)

    def advantage(self, value: Floats, last_value: Floats, gamma: float, gae_lambda: float) -> Floats:
        """Generalised advantage estimates [S, T, N] of all steps.

        Args:
            value: Of the observations, [S, T, N].
            last_value: Of the observations to act on next, [S, N].
            gamma: Discount factor.
            gae_lambda: See `agents.common.returns.gae`.
        """
        next_value = np.concatenate((value[:, 1:], last_value[:, None]), 1)  # [S, T, N]
        next_value = np.where(self.ended, self.final_value, next_value)
        return gae(self.reward, value, next_value, self.terminated, self.ended, gamma, gae_lambda)
