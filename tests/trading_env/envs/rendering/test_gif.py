import gymnasium as gym
import numpy as np
import pytest
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


def test_a_film_of_another_format_or_of_nothing_is_refused(tmp_path):
    env = gym.make("trading_env:TradingEnv-v0", data=MARKET, window=5)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"path must end in \.gif, got 'a.mp4'"):
        env.unwrapped.film("a.mp4")
    with pytest.raises(ValueError, match="no step yet"):
        env.unwrapped.film(tmp_path / "a.gif")
