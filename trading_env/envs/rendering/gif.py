"""A film of an episode as an animated GIF, which needs no ffmpeg."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trading_env._checks import integer, number
from trading_env._extras import optional
from trading_env.envs.rendering.episode import Episode
from trading_env.envs.rendering.picture import Picture
from trading_env.envs.rendering.replay import Replay
from trading_env.envs.task import Task
from trading_env.kernel.rules import Floats

COLOURS = 64  # of a frame


def pictures(task: Task, opened: tuple[int, int], orders: Sequence[float] | Floats) -> Callable[[int], Any]:
    """Number of steps -> the picture of an episode after them, which must not get fewer.

    Args:
        task: of the env.
        opened: the episode's market, by its index, and its first decision bar.
        orders: of all its steps.
    """
    picture, replay = Picture(task.fill), Replay(task, opened)
    return lambda count: picture.pixels(Episode.of(task, opened, replay.steps(orders[:count])))


def write_gif(
    draw: Callable[[int], Any], steps: int, path: str | os.PathLike[str], frames: int = 120, fps: float = 12.0
) -> Path:
    """Writes the pictures of an episode as it grows, and returns the path.

    Args:
        draw: number of steps -> the picture after them (H, W, 3).
        steps: of the episode.
        path: ends in .gif.
        frames: pictures at most, evenly apart; the last one stays for two seconds.
        fps: frames a second, at most 50.

    Raises:
        ImportError: matplotlib or Pillow is missing; the message names the extra.
        ValueError: the path does not end in .gif, or there is no step.
    """
    target = Path(path)
    if target.suffix.lower() != ".gif":
        raise ValueError(f"path must end in .gif, got {os.fspath(path)!r}")
    integer("frames", frames, 2)
    pause = round(1000.0 / number("fps", fps, above=0.0, most=50.0))
    if not steps:
        raise ValueError("the episode has no step yet")
    image = optional("PIL.Image", "render", "a film")
    shots: list[Any] = []
    for count in np.unique(np.linspace(1, steps, frames).round().astype(int)).tolist():
        shots.append(image.fromarray(draw(count)).quantize(COLOURS, dither=image.Dither.NONE))
    content = io.BytesIO()
    durations = [pause] * (len(shots) - 1) + [2000]
    shots[0].save(content, "GIF", save_all=True, append_images=shots[1:], duration=durations, loop=0)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.getvalue())
    return target
