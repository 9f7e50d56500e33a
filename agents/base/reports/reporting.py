"""Reports during training: a progress bar, lines on the terminal, TensorBoard.

TensorBoard gets Stable-Baselines3's keys, one run per seed. Axis letters: S seeds.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from agents.base.reports.loggers import Logger, write_to
from agents.common.extras import naming_extra
from agents.common.files import check_folder
from agents.envs.seed_envs import SeedEnvs

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

NONE_ENDED = "no episode has ended yet: ep_rew_mean and ep_len_mean are reported once one has"


@dataclass
class LastEpisodes:
    """Undiscounted returns and lengths of the last episodes of each seed."""

    returns: Sequence[Sequence[float]]
    lengths: Sequence[Sequence[int]]


class Reporter:
    """Shows the progress of training; a context manager, so that files and bar are always closed.

    Args:
        name: Name of the algorithm, and so of the run.
        seeds: One run per seed.
        envs: The envs whose episodes are reported, or these episodes.
        verbose: 1 prints a line at each report.
        tensorboard_log: Folder for TensorBoard, or None.
        bar: Length of the progress bar in timesteps, or None.
        num_timesteps: Steps per seed taken so far.
        logger: A `Logger` of `agents.base.reports.loggers`, whose values are reported too; or another one, to send each
            report to.
    """

    def __init__(
        self,
        name: str,
        seeds: Sequence[int],
        envs: SeedEnvs | LastEpisodes,
        verbose: int = 0,
        tensorboard_log: str | os.PathLike[str] | None = None,
        bar: int | None = None,
        num_timesteps: int = 0,
        logger: Any = None,
    ) -> None:
        self._seeds = seeds
        self._envs = envs
        self._verbose = verbose
        self._writers = _writers(tensorboard_log, name, seeds) if tensorboard_log is not None else []
        self._bar = tqdm(total=bar, unit="step", desc=name) if bar is not None else None
        self._left = bar or 0
        self._started, self._first_step = time.perf_counter(), num_timesteps
        self._reported = num_timesteps
        self._said = False  # True once the note on missing means was shown
        own = isinstance(logger, Logger)
        self._more: Logger | None = logger if own else None
        self._logger: Any = None if own else logger
        self.active = bool(self._writers or verbose or self._logger is not None)

    def __enter__(self) -> "Reporter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        for writer in self._writers:
            writer.close()

    def tick(self, timesteps: int) -> None:
        """Advances the bar."""
        if self._bar is not None:
            self._bar.update(min(timesteps, self._left))  # N envs may overshoot the end
            self._left -= timesteps

    def report(self, num_timesteps: int, values: Mapping[str, Any]) -> None:
        """Writes `values`, each a number or one per seed [S], the means of the last episodes, and the speed.

        Before the first episode has ended there are no means, and a note says so once; a seed without an ended episode
        is left out of means over seeds. A second report of the same timestep is skipped.
        """
        if num_timesteps == self._reported:
            return
        self._reported = num_timesteps
        values = {**values, **self._more.dump()} if self._more is not None else values
        table = {key: np.broadcast_to(np.asarray(value), len(self._seeds)) for key, value in values.items()}
        episodes = self._rollout()
        if not episodes:
            self._say_none(num_timesteps)
        table |= episodes | {"time/fps": self._speed(num_timesteps)}
        for s, writer in enumerate(self._writers):
            for key, value in table.items():
                if np.isfinite(value[s]):
                    writer.add_scalar(key, float(value[s]), num_timesteps)
        if self._logger is not None:
            write_to(self._logger, table, self._seeds, num_timesteps)
        if self._verbose:
            means = {key: np.nanmean(value) if key in episodes else np.mean(value) for key, value in table.items()}
            shown = "  ".join(f"{key.split('/')[-1]} {mean:.4g}" for key, mean in means.items())
            tqdm.write(f"step {num_timesteps:>9,}  {shown}")

    def _say_none(self, num_timesteps: int) -> None:
        """Explains once why there are no means of episodes."""
        if not self._said:
            self._said = True
            for writer in self._writers:
                writer.add_text("rollout/note", NONE_ENDED, num_timesteps)
            if self._verbose:
                tqdm.write(NONE_ENDED)

    def _rollout(self) -> dict[str, np.ndarray[Any, Any]]:
        """Means over the last episodes, NaN for seeds without an ended one."""

        def means(windows: Sequence[Any]) -> np.ndarray[Any, Any]:
            return np.array([np.mean(window) if window else np.nan for window in windows])

        if not any(self._envs.lengths):
            return {}
        return {
            "rollout/ep_rew_mean": means(self._envs.returns),
            "rollout/ep_len_mean": means(self._envs.lengths),
        }

    def _speed(self, num_timesteps: int) -> np.ndarray[Any, Any]:
        """Timesteps of all seeds together per second, once per seed."""
        elapsed = time.perf_counter() - self._started
        return np.full(len(self._seeds), len(self._seeds) * (num_timesteps - self._first_step) / elapsed)


def _writers(folder: str | os.PathLike[str], name: str, seeds: Sequence[int]) -> "list[SummaryWriter]":
    """One writer per seed, in `folder/NAME_k`, where k is the first unused number."""
    with naming_extra("tensorboard_log"):
        from torch.utils.tensorboard import SummaryWriter
    check_folder(folder, "tensorboard_log")
    k = 1
    while (run := Path(folder) / f"{name}_{k}").exists():
        k += 1
    folders = [run] if len(seeds) == 1 else [run / f"seed_{seed}" for seed in seeds]
    return [SummaryWriter(str(path)) for path in folders]
