"""Drawings that several labs share. B points, T steps."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def set_up() -> None:
    """Keeps notebooks small and fast: pictures of few pixels, and one thread for networks of a few neurons."""
    import matplotlib.pyplot as plt
    import torch

    plt.rcParams.update({"figure.dpi": 65, "figure.constrained_layout.use": True, "font.size": 8})
    torch.set_num_threads(1)


def axis(title: str, x: str = "", y: str = "", size: tuple[float, float] = (6.0, 3.0)) -> Any:
    """A figure with one axis, and the axis."""
    import matplotlib.pyplot as plt

    figure, only = plt.subplots(figsize=size)
    only.set(title=title, xlabel=x, ylabel=y)
    return figure, only


def smooth(values: npt.ArrayLike, width: int) -> Floats:
    """Mean of the last `width` values at each place where there are so many."""
    return np.convolve(np.asarray(values, np.float64), np.full(width, 1.0 / width), "valid")


def policy_map(network: Any, scale: float) -> None:
    """Draws the greedy action of a network over the price's distance from its mean, in percent, and the position.

    Args:
        network: Maps observations (feature, exposure, target, 0, 0) to values of sell, hold and buy.
        scale: Percent of distance in one unit of the feature.
    """
    import torch
    from matplotlib.colors import ListedColormap

    x = np.linspace(-3.0, 3.0, 121, dtype=np.float32)
    obs = np.zeros((2, len(x), 5), np.float32)
    obs[..., 0], obs[1, :, 1:3] = x, 1.0  # row 1 is invested
    with torch.no_grad():
        action = network(torch.from_numpy(obs)).argmax(-1).numpy()  # [2, B]
    # what the action leads to: to hold keeps the position, and to buy again changes nothing
    leads = np.where(action == 1, [[0], [1]], action // 2)
    _, only = axis("Greedy policy: what is held after the action", "price above its mean, %", size=(6.0, 1.8))
    only.pcolormesh(x * scale, [0, 1], leads, cmap=ListedColormap(["#dddddd", "#0072B2"]), vmin=0, vmax=1)
    only.set_yticks([0, 1], ["out", "invested"])
    for colour, name in (("#dddddd", "out"), ("#0072B2", "invested")):
        only.plot([], [], "s", color=colour, label=f"then {name}")
    only.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7)


def cartpole_film(agents: Sequence[Any], frames: int = 60, every: int = 2) -> Any:
    """A GIF of one episode of each agent in CartPole, side by side, for a notebook.

    Args:
        agents: With Stable-Baselines3's `predict`.
        frames: At most so many pictures.
        every: Steps between them.
    """
    from IPython.display import Image
    from PIL import Image as Pictures

    episodes = [_cartpole_states(agent, frames * every)[::every] for agent in agents]
    length = max(map(len, episodes))
    drawn = []
    for t in range(length):
        states = [episode[min(t, len(episode) - 1)] for episode in episodes]
        drawn.append(Pictures.fromarray(np.hstack([_cartpole(state) for state in states])).quantize(8))
    file = io.BytesIO()
    drawn[0].save(file, "gif", save_all=True, append_images=drawn[1:], duration=40 * every, loop=0)
    return Image(data=file.getvalue(), format="gif")


def _cartpole_states(agent: Any, n_steps: int) -> list[Floats]:
    import gymnasium as gym

    env = gym.make("CartPole-v1")
    obs, _ = env.reset(seed=0)
    states = [obs]
    for _ in range(n_steps):
        obs, _, terminated, truncated, _ = env.step(int(agent.predict(obs, deterministic=True)[0]))
        states.append(obs)
        if terminated or truncated:
            break
    return states


def _cartpole(state: Floats, width: int = 180, height: int = 90) -> npt.NDArray[np.uint8]:
    """Cart and pole as a picture (height, width, 3)."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    x, floor = width / 2 * (1 + state[0] / 2.6), height - 15
    draw.line([0, floor + 6, width, floor + 6], fill="gray")
    draw.line([width - 1, 0, width - 1, height], fill="gray")
    draw.rectangle([x - 14, floor - 6, x + 14, floor + 6], fill="black")
    tip = x + 55 * np.sin(state[2]), floor - 6 - 55 * np.cos(state[2])
    draw.line([x, floor - 6, *tip], fill="#D55E00", width=4)
    return np.asarray(picture)
