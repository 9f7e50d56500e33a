"""FeatureWindows: expands compact observations to flat ones inside a torch network.

Axis letters: B batch, T rows of the feature table, F features, W window, K = W F + 4, N sub-envs.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from trading_env._checks import brief, integer
from trading_env.envs.task import MAX_COMPACT_ROWS, Task
from trading_env.kernel.observe import ACCOUNT_SIZE

try:
    import torch
except ImportError as error:
    raise ImportError("feature windows need torch: pip install 'trading-env[agents]'") from error

COMPACT_SIZE = 1 + ACCOUNT_SIZE


class FeatureWindows:
    """Maps compact observations (..., 5) to the flat ones (..., K), bit for bit.

    A row index below the first row with a complete window is read as that row. No env returns one, but learners that
    pad their batches with zeros do (sb3-contrib's RecurrentPPO), and the NaN of earlier rows would spoil gradients.

    One object serves any number of networks: copying it returns the object itself, so that a network and its target
    share one table per device. It has no parameters and is in no state dict; a pickle holds the table once.

    Args:
        table: the rows of all datasets, stacked, as `env.unwrapped.task.features` has them (T, F).
        window: W.

    Attributes:
        table: float32 (T, F), on the CPU.
        window: W.
        features_dim: K.

    Raises:
        TypeError, ValueError: the table is no float32 array (T, F) with W complete rows or more.
    """

    def __init__(self, table: npt.NDArray[np.float32], window: int) -> None:
        self.window = integer("window", window, 1)
        self.table = _checked(table, self.window)
        self._first = _first_window(self.table, self.window)
        self.features_dim = self.window * self.table.shape[1] + ACCOUNT_SIZE
        self._windows: dict[torch.device, torch.Tensor] = {}  # views of one table each

    @classmethod
    def of(cls, env: Any) -> FeatureWindows:
        """FeatureWindows of a TradingEnv or of any vector env of them, wrapped or not.

        Vector envs are TradingVectorEnv, Gymnasium's SyncVectorEnv and AsyncVectorEnv, Stable-Baselines3's
        DummyVecEnv and SubprocVecEnv, and `trading_env.sb3.TradingVecEnv`.

        Raises:
            TypeError: the env is of another kind.
            ValueError: it does not observe compactly, or its sub-envs have different tables.
        """
        task = _task(env)
        return cls(task.features, task.window)

    def __call__(self, obs: torch.Tensor) -> torch.Tensor:
        """Flat observations (..., K) of compact ones (..., 5)."""
        rows = obs.reshape(-1, COMPACT_SIZE)  # [B, 5]
        last = rows[:, 0].to(torch.int64)  # row of the window's last bar
        first = (last - (self.window - 1)).clamp(min=self._first)
        market = self._on(obs.device).index_select(0, torch.where(last < 0, last, first))  # [B, W F]
        return torch.cat((market, rows[:, 1:]), 1).view(*obs.shape[:-1], self.features_dim)

    def look_at(self, env: Any) -> None:
        """Takes the table of another env with the same features, for all networks that share this object.

        A row index is only valid for the table that it belongs to: call this before acting in an env with other data
        than in training, for example in a test period.

        Raises:
            ValueError: the env has another window or another number of features.
        """
        task = _task(env)
        if task.window != self.window or task.features.shape[1] != self.table.shape[1]:
            raise ValueError(
                f"env must have window {self.window} and {self.table.shape[1]} features as before, "
                f"got {task.window} and {task.features.shape[1]}"
            )
        table = _checked(task.features, self.window)
        self.table, self._first = table, _first_window(table, self.window)
        self._windows.clear()

    def _on(self, device: torch.device) -> torch.Tensor:
        """All windows (T - W + 1, W F) on the device: overlapping views of one table."""
        if device not in self._windows:
            with warnings.catch_warnings():  # about a read-only table: nothing here writes to it
                warnings.simplefilter("ignore", UserWarning)
                table = torch.from_numpy(self.table).to(device)
            shape = (len(table) - self.window + 1, self.features_dim - ACCOUNT_SIZE)
            self._windows[device] = table.as_strided(shape, (table.shape[1], 1))
        return self._windows[device]

    def __copy__(self) -> FeatureWindows:
        return self

    def __deepcopy__(self, memo: Any) -> FeatureWindows:
        return self

    def __reduce__(self) -> Any:
        return FeatureWindows, (self.table, self.window)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FeatureWindows):
            return NotImplemented
        return self.window == other.window and _same(self.table, other.table)

    __hash__ = None  # type: ignore[assignment]  # its table may change

    def __repr__(self) -> str:
        return f"FeatureWindows(table={self.table.shape}, window={self.window})"


def _task(env: Any) -> Task:
    """The task of the env, which must have compact observations and, if it is a vector env, one table."""
    tasks = list(_tasks(env))
    if not tasks or not all(isinstance(task, Task) for task in tasks):
        raise TypeError(f"env must be a TradingEnv or a vector of them, got {brief(env)}")
    task: Task = tasks[0]
    for i, other in enumerate(tasks):
        if other.observation != "compact":
            raise ValueError(f"env must have observation='compact', got {brief(other.observation)}")
        if other.window != task.window or not _same(other.features, task.features):
            raise ValueError(f"all sub-envs must have one table and window, but sub-env {i} has another than sub-env 0")
    return task


def _tasks(env: Any) -> Iterator[Any]:
    """The task of the env, or the tasks of its sub-envs (N,); None for an env without one."""
    bare = getattr(env, "unwrapped", env)
    if hasattr(bare, "task"):
        yield bare.task
    elif hasattr(bare, "get_attr"):  # a vector env of Gymnasium or Stable-Baselines3
        try:
            yield from bare.get_attr("task")
        except AttributeError:  # of the sub-envs
            yield None


def _same(table: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> bool:
    return table is other or np.array_equal(table, other, equal_nan=True)


def _first_window(table: npt.NDArray[np.float32], window: int) -> int:
    """The first row that begins a window without NaN.

    Raises:
        ValueError: there is no such row.
    """
    complete = np.flatnonzero(~np.isnan(table).any(axis=1))
    if len(complete) == 0 or complete[0] + window > len(table):
        raise ValueError(f"table must have {window} complete rows, got NaN in all but {len(complete)}")
    return int(complete[0])


def _checked(table: Any, window: int) -> npt.NDArray[np.float32]:
    """The table, contiguous."""
    if not isinstance(table, np.ndarray) or table.dtype != np.float32 or table.ndim != 2:
        raise TypeError(f"table must be a float32 array (T, F), got {brief(table)}")
    if not window <= len(table) <= MAX_COMPACT_ROWS or table.shape[1] == 0:
        raise ValueError(f"table must have {window} to 2^24 rows and a feature, got shape {table.shape}")
    return np.ascontiguousarray(table)
