"""What an env shows of its running episode, frame after frame, at a cost that does not grow with the episode.

The wants of the episode are run again through the kernel, as `history` does, but each of them once. S steps.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from trading_env.envs.picture import Picture
from trading_env.envs.render import Episode, ansi
from trading_env.kernel.accounting import Step

if TYPE_CHECKING:
    from trading_env.envs.trading_env import TradingEnv

_COLUMNS = ("want", "close", *Step._fields)


class Film:
    """Frames of the episodes of one env, made when they are asked for."""

    def __init__(self) -> None:
        self._wants: Any = None  # the env's own list of them, by which an episode is known
        self._n = 0  # steps that were run so far
        self._rows = np.empty((0, len(_COLUMNS)))
        self._picture: Picture | None = None
        self._printed, self._last_frame = 0, 0.0

    def __reduce__(self) -> Any:
        return Film, ()  # a copy of the env begins its own

    def frame(self, env: TradingEnv) -> Any:
        """The frame that the env's ``render_mode`` asks for: a text, pixels (H, W, 3), or None of what is printed."""
        episode = self._episode(env)
        if env.render_mode == "rgb_array":
            self._picture = self._picture or Picture(env.task.fill)
            return self._picture.pixels(episode)
        text = ansi(episode)
        if env.render_mode == "ansi":
            return text
        return self._print(text, env.metadata["render_fps"])

    def _print(self, text: str, fps: float) -> None:
        """Prints the text; in a terminal in place of the one before, and no faster than eyes can follow."""
        out = sys.stdout
        encoding = getattr(out, "encoding", None) or "utf-8"
        text = text.encode(encoding, "backslashreplace").decode(encoding)
        if out.isatty():
            time.sleep(max(0.0, self._last_frame + 1.0 / fps - time.monotonic()))
            self._last_frame = time.monotonic()
            text = f"\x1b[{self._printed}F\x1b[J{text}" if self._printed else text
            self._printed = text.count("\n")
        out.write(text if out.isatty() else f"{text}\n")
        out.flush()

    def _episode(self, env: TradingEnv) -> Episode:
        """The episode so far, with the steps that are new since the last frame."""
        assert env._opened is not None
        if env._asked is not self._wants or self._n > len(env._asked):
            self._wants, self._n = env._asked, 0
            self._state, self._clock = env._begin(*env._opened)
        obs, mask, market = env._blank.copy(), env._no_mask.copy(), env.task.markets[env._opened[0]]
        self._make_room(len(self._wants))
        for want in self._wants[self._n :]:
            step = env._kernel.call(want, self._state, self._clock, *env._constants, obs, mask)
            self._rows[self._n] = (want, market.close[step[_BAR]], *step)
            self._n += 1
        episode: Episode = env._shown(self._steps())
        return episode

    def _make_room(self, n: int) -> None:
        if n > len(self._rows):
            longer = np.empty((max(256, 2 * n), len(_COLUMNS)))
            longer[: self._n] = self._rows[: self._n]
            self._rows = longer

    def _steps(self) -> Any:
        """The columns of `history` that pictures are made of, S rows."""
        import pandas as pd

        return pd.DataFrame(self._rows[: self._n], columns=_COLUMNS, copy=False)


_BAR = Step._fields.index("bar")
