"""The methods by which a scalar env shows its running episode: history, figures and renderings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
from gymnasium.error import ResetNeeded

from trading_env.envs.replay import history
from trading_env.envs.task import Task


class ShowsEpisode:
    """An env that keeps the orders of its episode, and shows it by running them again."""

    task: Task
    render_mode: str | None
    metadata: dict[str, Any]
    _opened: tuple[int, int] | None  # market and first decision bar of the episode; None before the first
    _asked: Sequence[float]  # the orders so far
    _film: Any = None  # what renders the episode, once that is asked for

    @abstractmethod
    def _run(self) -> Sequence[float]:
        """The orders of the steps that the kernel has run (n,)."""

    def _started(self, name: str) -> tuple[int, int]:
        """Index of the episode's market and its first decision bar; ResetNeeded where the method called has none."""
        if self._opened is None:
            raise ResetNeeded(f"call reset before {name}: no episode has begun")
        return self._opened

    def history(self) -> Any:
        """The episode so far as a DataFrame, one row a step, indexed by the step's last bar.

        The orders of the episode are run again through the kernel, so that keeping them costs 8 bytes a step.
        Columns: time (where the market has it), close, action, order (what it asks for: target exposure or lots,
        NaN = hold), reward, and the keys of info.
        """
        return history(self.task, self._started("history"), self._run()).drop(columns="exit")

    def render(self) -> Any:
        """The episode so far, as the ``render_mode`` says; None, with a warning, where none was given.

        "ansi" is a text of a few lines, "rgb_array" a picture (H, W, 3) of price, exposure, equity and drawdown.
        "human" prints the text, in a terminal in place of the one before, and returns None; ``reset`` and ``step``
        do so by themselves.

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
            from trading_env.envs.film import Film

            self._film = Film(self.task, self.metadata["render_fps"])
        return self._film.frame(self.render_mode, opened, self._asked)

    def close(self) -> None:
        """Frees the picture that ``render`` draws in; the env may still be used."""
        self._film = None

    def episode(self) -> Any:
        """The episode so far, of which `trading_env.envs.render.figure` makes a figure to save."""
        from trading_env.envs.episode import Episode

        opened = self._started("episode")
        return Episode.of(self.task, opened, history(self.task, opened, self._run()))
