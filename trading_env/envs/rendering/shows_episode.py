"""History, figures and renderings of the running episode of a scalar env."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.error import ResetNeeded

from trading_env.envs.task import Task
from trading_env.kernel.layout import LAST, OFFSET, ROW


class ShowsEpisode:
    """Base of an env that stores the orders of its episode and runs them again to show it."""

    task: Task
    render_mode: str | None
    metadata: dict[str, Any]
    _opened: tuple[int, int] | None  # market and first decision bar of the episode; None before the first
    _asked: Sequence[float]  # the orders so far
    _clock: Any  # rows of the episode (1, ...), see `trading_env.kernel.layout`
    _film: Any = None  # the Film that renders the episode, made at the first render

    @abstractmethod
    def _run(self) -> Sequence[float]:
        """The orders of the steps that the kernel has run (n,)."""

    def _started(self, name: str) -> tuple[int, int]:
        """Market index and first decision bar of the episode; ResetNeeded, naming the method, if there is none."""
        if self._opened is None:
            raise ResetNeeded(f"call reset before {name}: no episode has begun")
        return self._opened

    def _needed(self) -> str:
        """The reason why a step needs a reset first."""
        if self._opened is None:
            return "no episode has begun"
        (clock,) = self._clock
        if clock[ROW] < clock[LAST]:
            return "no episode is running"
        end = "the last bar of the data" if clock[ROW] + 1 == self._end() else "after its episode_length"
        return f"the episode ended at bar {clock[ROW] - clock[OFFSET]}, {end}"

    def _end(self) -> int:
        """The row after the last one of the episode's market."""
        market = self._started("step")[0]
        return self.task.offsets[market] + len(self.task.markets[market])

    def __repr__(self) -> str:
        return repr(self.task).replace("Task", type(self).__name__, 1)

    def history(self) -> Any:
        """The episode so far as a DataFrame, one row a step, indexed by the step's last bar.

        The kernel runs the orders of the episode again, so that the env stores only 8 bytes a step. Columns: time (if
        the market has it), close, action, order (target exposure or lots, NaN = hold), reward, and the keys of info.
        """
        return self._history("history").drop(columns=["target", "exit"])

    def render(self) -> Any:
        """Rendering of the episode so far, by ``render_mode``; None, with a warning, without one.

        "ansi" is a text of a few lines, "rgb_array" a picture (H, W, 3) of price, exposure, equity and drawdown.
        "human" prints the text, replacing the previous one in a terminal, and returns None; ``reset`` and ``step``
        call it themselves.

        Raises:
            ResetNeeded: no episode has begun.
            ImportError: "rgb_array" without matplotlib; the message names the extra.
        """
        if self.render_mode is None:
            gym.logger.warn(
                "render needs a render_mode: gym.make('trading_env:TradingEnv-v0', render_mode='rgb_array')"
            )
            return None
        opened = self._started("render")
        if self._film is None:
            from trading_env.envs.rendering.film import Film

            self._film = Film(self.task, self.metadata["render_fps"])
        return self._film.frame(self.render_mode, opened, self._asked)

    def film(self, path: str | os.PathLike[str], *, frames: int = 120, fps: float = 12.0) -> Path:
        """Writes the episode so far as an animated GIF, and returns the path; it needs no ffmpeg and no render_mode.

        Args:
            path: ends in .gif.
            frames: pictures at most, evenly apart.
            fps: frames a second.

        Raises:
            ResetNeeded: no episode has begun.
            ImportError: matplotlib or Pillow is missing; the message names the extra.
            ValueError: the path ends otherwise, or the episode has no step yet.
        """
        from trading_env.envs.rendering.gif import pictures, write_gif

        opened, orders = self._started("film"), self._run()
        return write_gif(pictures(self.task, opened, orders), len(orders), path, frames, fps)

    def close(self) -> None:
        """Frees the picture that ``render`` draws in; the env may still be used."""
        self._film = None

    def episode(self) -> Any:
        """The episode so far; `trading_env.envs.rendering.render.figure` makes a figure of it to save."""
        from trading_env.envs.rendering.episode import Episode

        return Episode.of(self.task, self._started("episode"), self._history("episode"))

    def _history(self, name: str) -> Any:
        """The episode so far, every column, for the method of this name."""
        from trading_env.envs.rendering.replay import history

        return history(self.task, self._started(name), self._run())
