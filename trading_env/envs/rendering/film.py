"""Frames of the running episode of an env, at a cost that does not grow with the episode."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from trading_env.envs.rendering.episode import Episode
from trading_env.envs.rendering.picture import Picture
from trading_env.envs.rendering.render import ansi
from trading_env.envs.rendering.replay import Replay
from trading_env.envs.task import Task


class Film:
    """Renderer of the episodes of one env.

    Args:
        task: of the env.
        fps: most frames a second that "human" prints.
    """

    def __init__(self, task: Task, fps: float) -> None:
        self._task, self._fps = task, fps
        self._orders: Any = None  # the env's own list of them, which identifies the episode
        self._replay: Replay | None = None
        self._picture: Picture | None = None
        self._printed, self._last_frame = 0, 0.0

    def __reduce__(self) -> Any:
        return Film, (self._task, self._fps)  # a copy of the env starts its own

    def frame(self, mode: str, opened: tuple[int, int], orders: Sequence[float]) -> Any:
        """Frame of the episode so far: a text, pixels (H, W, 3), or None after printing the text.

        Args:
            mode: the env's ``render_mode``.
            opened: the episode's market, by its index, and its first decision bar.
            orders: its orders so far; the same, growing object throughout the episode.
        """
        if self._replay is None or orders is not self._orders or self._replay.n_steps > len(orders):
            self._orders, self._replay = orders, Replay(self._task, opened)
        episode = Episode.of(self._task, opened, self._replay.steps(orders))
        if mode == "rgb_array":
            self._picture = self._picture or Picture(self._task.fill)
            return self._picture.pixels(episode)
        text = ansi(episode)
        return text if mode == "ansi" else self._print(text)

    def _print(self, text: str) -> None:
        """Prints the text; in a terminal it replaces the previous one, at most ``fps`` times a second."""
        out = sys.stdout
        encoding = getattr(out, "encoding", None) or "utf-8"
        text = text.encode(encoding, "backslashreplace").decode(encoding)
        if out.isatty():
            time.sleep(max(0.0, self._last_frame + 1.0 / self._fps - time.monotonic()))
            self._last_frame = time.monotonic()
            text = f"\x1b[{self._printed}F\x1b[J{text}" if self._printed else text
            self._printed = text.count("\n")
        out.write(text if out.isatty() else f"{text}\n")
        out.flush()
