import sys
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import RecordVideo
from PIL import Image

from tests.trading_env.markets import random_market
from trading_env import backtest
from trading_env.analysis import strategies
from trading_env.envs.rendering.picture import SIZE
from trading_env.envs.rendering.render import rgb_array

MARKET = random_market(n=150, whole=True, since="2020-01-01")


def shots(path):
    """The frames of a GIF as arrays, with their durations."""
    with Image.open(path) as film:
        for i in range(film.n_frames):
            film.seek(i)
            yield np.asarray(film.convert("RGB")), film.info["duration"]


def test_a_film_of_a_running_episode_ends_with_its_picture(tmp_path):
    env = gym.make("trading_env:TradingEnv-v0", data=MARKET, window=5)
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(40):
        env.step(env.action_space.sample())
    path = env.unwrapped.film(tmp_path / "new" / "film.gif", frames=5, fps=10)
    frames, durations = zip(*shots(path), strict=True)
    assert len(frames) == 5
    assert durations == (100, 100, 100, 100, 2000)
    assert frames[0].shape == (SIZE[1], SIZE[0], 3)
    assert np.any(frames[0] != frames[-1])
    real = rgb_array(env.unwrapped.episode()).astype(int)
    assert np.abs(frames[-1] - real).mean() < 2.0, "but for the palette, the last frame is the episode's picture"


def test_a_film_of_a_backtest_shows_the_run_asked_for(tmp_path):
    result = backtest([strategies.buy_and_hold, strategies.flat], MARKET, window=5)
    whole = {seed: list(shots(result.film(tmp_path / f"{seed}.gif", seed, frames=3))) for seed in result.seeds}
    assert len(whole["flat"]) == 3
    assert np.any(whole["flat"][-1][0] != whole["buy_and_hold"][-1][0])
    with pytest.raises(ValueError, match="seed must be one of"):
        result.film(tmp_path / "a.gif", "nobody")


def test_a_film_of_a_portfolio_ends_with_its_picture(tmp_path):
    env = gym.make(
        "trading_env:PortfolioEnv-v0",
        data=[random_market(i, 60, since="2020-01-01", name=f"m{i}") for i in range(3)],
        render_mode="rgb_array",
    )
    env.reset(seed=0)
    with pytest.raises(ValueError, match="no step yet"):
        env.unwrapped.film(tmp_path / "a.gif")
    env.action_space.seed(0)
    for _ in range(9):
        env.step(env.action_space.sample())
    frames, durations = zip(*shots(env.unwrapped.film(tmp_path / "film.gif", frames=4, fps=10)), strict=True)
    assert durations == (100, 100, 100, 2000)
    assert np.any(frames[0] != frames[-1])
    assert np.abs(frames[-1] - env.render().astype(int)).mean() < 2.0


class Clip:
    """In place of moviepy's, which writes the frames of a video: keeps them."""

    kept: ClassVar = []

    def __init__(self, frames, fps):
        self.kept.append((np.stack(frames), fps))

    def write_videofile(self, path, logger=None):
        Path(path).touch()


@pytest.mark.parametrize(("name", "count"), [("TradingEnv", 1), ("PortfolioEnv", 2)])
def test_record_video_has_a_frame_of_one_size_for_the_reset_and_each_step(tmp_path, monkeypatch, name, count):
    places = ("moviepy", "moviepy.video", "moviepy.video.io", "moviepy.video.io.ImageSequenceClip")
    for place in places:
        monkeypatch.setitem(sys.modules, place, SimpleNamespace(ImageSequenceClip=Clip, __path__=[]))
    monkeypatch.setattr(Clip, "kept", [])
    data = [random_market(i, 60, whole=True, since="2020-01-01", name=f"m{i}") for i in range(count)]
    made = gym.make(f"trading_env:{name}-v0", data=data if count > 1 else data[0], render_mode="rgb_array")
    env = RecordVideo(made, str(tmp_path / "new"), episode_trigger=lambda episode: True)
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(5):
        env.step(env.action_space.sample())
    env.close()
    ((frames, fps),) = Clip.kept
    assert frames.shape == (6, SIZE[1], SIZE[0], 3)
    assert frames.dtype == np.uint8
    assert fps == made.metadata["render_fps"]
    assert np.any(frames[0] != frames[-1])
    assert len(list((tmp_path / "new").glob("*.mp4"))) == 1


def test_a_film_of_another_format_or_of_nothing_is_refused(tmp_path):
    env = gym.make("trading_env:TradingEnv-v0", data=MARKET, window=5)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"path must end in \.gif, got 'a.mp4'"):
        env.unwrapped.film("a.mp4")
    with pytest.raises(ValueError, match="no step yet"):
        env.unwrapped.film(tmp_path / "a.gif")
