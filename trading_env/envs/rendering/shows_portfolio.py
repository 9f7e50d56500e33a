"""History and renderings of the running episode of a portfolio env."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.error import ResetNeeded

from trading_env.envs.portfolio.accounts import Portfolios
from trading_env.envs.portfolio.task import Drawn, PortfolioTask
from trading_env.kernel.layout import OFFSET, ROW
from trading_env.kernel.rules import Floats


class ShowsPortfolio:
    """Base of an env that stores the actions of its episode and runs them again to show it."""

    task: PortfolioTask
    render_mode: str | None
    metadata: dict[str, Any]
    _opened: Drawn | None  # the episode; None before the first
    _asked: list[Floats]  # the actions so far, each (1, K)
    _account: Portfolios
    _replay: Any = None  # the steps of the episode that is rendered, each run once

    def _started(self, name: str) -> Drawn:
        """The episode; ResetNeeded, naming the method, if there is none."""
        if self._opened is None:
            raise ResetNeeded(f"call reset before {name}: no episode has begun")
        return self._opened

    def _run(self) -> list[Floats]:
        """The actions that the kernel has run (S,); one whose step was interrupted before is left out."""
        clock = self._account.clock[0]
        return self._asked[: int(clock[ROW] - clock[OFFSET]) - self._started("history").start]

    def __repr__(self) -> str:
        return repr(self.task).replace("PortfolioTask", type(self).__name__, 1)

    def history(self) -> Any:
        """The episode so far as a long DataFrame: a row for each step and instrument.

        Columns: bar, time (if the panel has it), symbol; of the instrument close, action (as in Box), weights, units,
        price, tradable, delisted; of the account, the same in all rows of a step, equity, cash, exposure, gross, pnl,
        commission, slippage, financing, turnover, reward.
        """
        from trading_env.envs.rendering.portfolio_history import history

        return history(self.task, self._started("history"), self._run())

    def render(self) -> Any:
        """Rendering of the episode so far, by ``render_mode``; None, with a warning, without one.

        "ansi" is a text of a few lines, "rgb_array" a picture (H, W, 3) of weights, equity with drawdown, and turnover.
        "human" prints the text and returns None; ``reset`` and ``step`` call it themselves.

        Raises:
            ResetNeeded: no episode has begun.
            ImportError: "rgb_array" without matplotlib; the message names the extra.
        """
        if self.render_mode is None:
            gym.logger.warn(
                "render needs a render_mode: gym.make('trading_env:PortfolioEnv-v0', render_mode='rgb_array')"
            )
            return None
        opened = self._started("render")
        from trading_env.envs.rendering import portfolio_picture
        from trading_env.envs.rendering.portfolio_history import PortfolioReplay

        actions, replay = self._run(), self._replay
        if replay is None or replay.opened is not opened or replay.n_steps > len(actions):
            replay = self._replay = PortfolioReplay(self.task, opened)
        steps = replay.steps(actions)
        if self.render_mode == "rgb_array":
            return portfolio_picture.pixels(self.task, opened, steps)
        text = portfolio_picture.ansi(self.task, opened, steps)
        if self.render_mode == "ansi":
            return text
        print(text)
        return None

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
        from trading_env.envs.rendering.gif import write_gif
        from trading_env.envs.rendering.portfolio_history import PortfolioReplay
        from trading_env.envs.rendering.portfolio_picture import pixels

        opened, actions = self._started("film"), self._run()
        replay = PortfolioReplay(self.task, opened)

        def draw(count: int) -> Any:
            return pixels(self.task, opened, replay.steps(actions[:count]))

        return write_gif(draw, len(actions), path, frames, fps)
