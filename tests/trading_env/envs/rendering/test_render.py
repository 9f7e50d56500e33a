"""Rendering: what the text says, where the marks stand, and that the pictures leave nothing behind."""

import copy
import gc
import io
import pickle
import sys
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import AddRenderObservation, RenderCollection

from tests.trading_env.markets import random_market
from trading_env import Costs, Market, TradingEnv, TradingVectorEnv
from trading_env.envs.rendering import render
from trading_env.envs.rendering.episode import trades_of
from trading_env.envs.rendering.picture import SIZE

ID = "trading_env:TradingEnv-v0"
FREE = Costs(0, 0, 0)


def flat_market(opens, closes=None, **keywords):
    return Market.from_arrays(open=opens, close=closes or opens, **keywords)


def random_walk(n=3100, step=0.02, dated=True):
    return random_market(0, n, step, since="2001-01-01" if dated else None, name="random walk")


def played(env, actions):
    env.reset(seed=0)
    for action in actions:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            break
    return env


def random_actions(env, n):
    return np.random.default_rng(1).integers(0, env.action_space.n, n)


# -- the trades ------------------------------------------------------------------------------------------------


def test_a_trade_stands_at_its_bar_and_its_fill_price():
    market = flat_market([10.0, 11.0, 12.0, 13.0, 14.0], [10.5, 11.5, 12.5, 13.5, 14.5])
    env = played(TradingEnv(market, window=1, features=["close"]), (2, 1, 0))
    trades = trades_of(env.episode())
    assert trades.bar.tolist() == [1, 3]
    assert trades.price.tolist() == [11.0, 13.0]
    assert np.sign(trades.units).tolist() == [1.0, -1.0]
    assert not trades.forced.any()


@pytest.mark.parametrize(("fill", "bar", "price"), [("close", 0, 10.5), ("next_close", 1, 11.5)])
def test_a_trade_at_the_close_stands_at_that_close(fill, bar, price):
    market = flat_market([10.0, 11.0, 12.0], [10.5, 11.5, 12.5])
    env = played(TradingEnv(market, window=1, features=["close"], fill=fill), (2,))
    trades = trades_of(env.episode())
    assert (trades.bar.tolist(), trades.price.tolist()) == ([bar], [price])


def test_a_liquidation_is_no_choice_of_the_agents_and_stands_at_the_close():
    market = flat_market([100.0, 100.0, 100.0, 70.0], [100.0, 100.0, 70.0, 70.0])
    keywords = {"actions": (0.0, 3.0), "margin": {"max_leverage": 3.0, "maintenance": 0.25}, "costs": FREE}
    env = played(TradingEnv(market, window=1, features=["close"], **keywords), (1, 1))
    trades = trades_of(env.episode())
    assert trades.forced.tolist() == [False, True]
    assert (trades.bar[1], trades.price[1]) == (2, 70.0)
    assert "closed by the broker" in render.ansi(env.episode())


def test_a_position_opened_and_liquidated_in_one_bar_is_shown_as_closed():
    market = flat_market([100.0, 100.0, 70.0], [100.0, 70.0, 70.0])
    keywords = {"actions": (0.0, 3.0), "margin": {"max_leverage": 3.0, "maintenance": 0.25}, "costs": FREE}
    trades = trades_of(played(TradingEnv(market, window=1, features=["close"], **keywords), (1,)).episode())
    assert (trades.forced.tolist(), trades.units.tolist(), trades.price.tolist()) == ([True], [0.0], [70.0])


def test_a_gap_that_eats_the_account_closes_it_at_the_fill():
    market = flat_market([100.0, 100.0, 350.0, 60.0], [100.0, 100.0, 60.0, 60.0])
    env = played(TradingEnv(market, window=1, features=["close"], allow_short=True, costs=FREE), (0, 2))
    trades = trades_of(env.episode())
    assert trades.forced.tolist() == [False, True]
    assert trades.price.tolist() == [100.0, 350.0]


def test_selling_all_lots_is_a_sale():
    env = TradingEnv(flat_market([10.0] * 5), window=1, features=["close"], actions="lots", lots=2, lot_size=5.0)
    trades = trades_of(played(env, (4, 0)).episode())
    assert trades.units.tolist() == [10.0, -10.0]
    assert not trades.forced.any()


# -- ansi ------------------------------------------------------------------------------------------------------


def test_the_text_says_what_happened():
    time = np.arange("2020-01-01", "2020-01-05", dtype="M8[D]")
    market = flat_market([100.0, 100.0, 110.0, 99.0], time=time, name="a stock")
    env = TradingEnv(market, window=1, features=["close"], costs=Costs(0.001, 0, 0), render_mode="ansi")
    env.reset()
    assert env.render() == (
        "a stock, 2020-01-01 (bar 0), step 0\n"
        "price       100.00 (+0.00%)\n"
        "position    0 units, exposure +0.0%\n"
        "equity      100,000.00, return +0.00%\n"
        "drawdown    0.00%, at most 0.00%\n"
        "costs paid  0.00\n"
        "last trade  none\n"
    )
    for _ in range(3):
        env.step(2)
    assert env.render() == (
        "a stock, 2020-01-04 (bar 3), step 3\n"
        "price       99.00 (-10.00%)\n"
        "position    999.001 units, exposure +100.0%\n"
        "equity      98,901.10, return -1.10%\n"
        "drawdown    10.00%, at most 10.00%\n"
        "costs paid  99.90\n"
        "last trade  buy 999.001 units at 100.00, 2020-01-02 (bar 1)\n"
    )


def test_a_market_without_dates_counts_bars():
    env = TradingEnv(flat_market([1e-6] * 4), window=1, features=["close"], render_mode="ansi")
    text = played(env, (2,)).render()
    assert text.startswith("market, bar 1, step 1\n")
    assert "price       1e-06 " in text


# -- rgb_array -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_steps", [0, 1, 20, 3000])
@pytest.mark.parametrize("dated", [True, False])
def test_the_picture_is_an_array_of_pixels_with_something_on_it(n_steps, dated):
    env = TradingEnv(random_walk(dated=dated), window=10, allow_short=True, render_mode="rgb_array")
    pixels = played(env, random_actions(env, n_steps)).render()
    assert pixels.shape == (720, 960, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert 0.01 < (pixels < 250).any(axis=2).mean() < 0.6


def test_panels_share_one_time_axis_and_say_what_they_show_in_which_unit():
    env = played(TradingEnv(random_walk(), window=10), (2, 1, 1, 0, 1))
    panels = render.figure(env.episode()).axes
    labels = [panel.get_ylabel() for panel in panels]
    assert labels == ["price", "exposure (%)", "equity (currency)", "drawdown (%)"]
    assert len({panel.get_xlim() for panel in panels}) == 1
    legend = [text.get_text() for panel in panels if panel.get_legend() for text in panel.get_legend().get_texts()]
    assert legend == ["close", "buy", "sell", "start", "buy and hold, no costs", "equity"]


def test_curves_and_marks_are_those_of_the_history():
    env = played(TradingEnv(random_walk(dated=False), window=10, features=["close"]), (1, 2, 1, 1, 0, 1))
    history, episode = env.history(), env.episode()
    price, exposure, equity, drawdown = render.figure(episode).axes
    assert price.lines[0].get_ydata()[-1] == env.task.markets[0].close[history.index[-1]]
    assert price.lines[0].get_xdata()[[0, -1]].tolist() == [0, 15]
    marks = {mark.get_label(): mark.get_offsets().tolist() for mark in price.collections}
    assert marks == {"buy": [[11, history["price"][11]]], "sell": [[14, history["price"][14]]]}
    np.testing.assert_array_equal(equity.lines[1].get_ydata()[1:], history["equity"])
    np.testing.assert_array_equal(exposure.lines[0].get_ydata()[1:], 100.0 * history["exposure"])
    assert drawdown.lines[0].get_ydata().min() == -100.0 * episode.drawdown.max()


def test_nothing_beyond_the_last_bar_is_drawn():
    market = random_walk(n=200, dated=False)
    part = Market.from_arrays(open=market.open[:60], close=market.close[:60], name=market.name)
    pictures = [played(TradingEnv(m, window=3, render_mode="rgb_array"), [2] * 20).render() for m in (market, part)]
    np.testing.assert_array_equal(*pictures)


def test_an_exposure_near_ruin_does_not_flatten_the_others():
    prices = [100.0] * 300 + [199.99] + [100.0] * 299
    keywords = {"allow_short": True, "costs": FREE, "margin": {"ruin_fraction": 1e-9}}
    env = played(TradingEnv(flat_market(prices), window=1, features=["close"], **keywords), [0] * 500)
    panel = render.figure(env.episode()).axes[1]
    assert env.history()["exposure"].min() < -1000.0
    assert panel.get_ylim()[0] > -1000.0
    assert panel.texts[0].get_text().startswith("reaches -")


def test_pictures_leave_no_figure_behind():
    from matplotlib.figure import Figure

    def figures():
        gc.collect()
        return sum(type(thing) is Figure for thing in gc.get_objects())

    before = figures()
    env = played(TradingEnv(random_walk(), render_mode="rgb_array"), [2, 1, 0])
    for _ in range(3):
        render.rgb_array(env.episode())
    assert figures() == before
    frames = [env.render() for _ in range(3)]
    assert figures() == before + 1  # the one that all frames of an env are drawn in
    assert not np.shares_memory(frames[0], frames[1])
    env.close()
    assert figures() == before
    np.testing.assert_array_equal(env.render(), frames[0])  # a closed env may be used
    del env
    assert figures() == before
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    env = played(TradingEnv(random_walk(), render_mode="rgb_array"), [2])
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(ImportError, match=r"trading-env\[render\]"):
        env.render()


# -- frame after frame -----------------------------------------------------------------------------------------


def flaky_market(n, seed, dated=False):
    """Prices that jump now and then, so that scales change."""
    rng = np.random.default_rng(seed)
    prices = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, n) + (rng.random(n) < 0.05) * rng.normal(0, 0.5, n)))
    time = np.datetime64("2001-01-01", "ns") + np.arange(n).astype("timedelta64[h]") if dated else None
    return Market.from_arrays(open=prices, close=prices, time=time, name=f"walk {seed}")


@pytest.mark.parametrize("keywords", [{"allow_short": True}, {"actions": (-3.0, 0.0, 3.0)}, {"fill": "next_close"}])
def test_every_frame_is_the_picture_that_would_be_drawn_alone(keywords):
    data = [flaky_market(90, seed, dated) for seed, dated in ((0, True), (1, False), (2, True))]
    margin = {"max_leverage": 3.0, "maintenance": 0.3, "ruin_fraction": 1e-9}
    env = TradingEnv(data, window=4, render_mode="rgb_array", margin=margin, random_start=True, **keywords)
    rng = np.random.default_rng(0)
    for seed in range(3):
        env.reset(seed=seed)
        for t in range(36):
            if t % 6 == seed:
                np.testing.assert_array_equal(env.render(), render.rgb_array(env.episode()), err_msg=f"{seed} {t}")
            _, _, terminated, truncated, _ = env.step(rng.integers(env.action_space.n))
            if terminated or truncated:
                break
        np.testing.assert_array_equal(env.render(), render.rgb_array(env.episode()))


def test_frames_follow_a_state_that_is_set_and_a_copy():
    env = played(TradingEnv(random_walk(200), render_mode="rgb_array"), [2] * 20)
    state, then = env.get_state(), env.render()
    for action in (0, 1, 2):
        env.step(action)
    later = env.render()
    twin = copy.deepcopy(env)
    env.set_state(state)
    np.testing.assert_array_equal(env.render(), then)
    np.testing.assert_array_equal(twin.render(), later)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(twin)).render(), later)


def test_most_frames_draw_only_what_moves(monkeypatch):
    whole, parts = [], []
    env = TradingEnv(random_walk(900), render_mode="rgb_array")
    env.reset(seed=0)
    env.render()
    picture = env._film._picture
    draw = picture._canvas.draw
    monkeypatch.setattr(picture._canvas, "draw", lambda: (whole.append(1), draw()))
    for panel in picture._panels:
        monkeypatch.setattr(panel, "draw", lambda renderer, draw=panel.draw: (parts.append(1), draw(renderer)))
    for action in random_actions(env, 200):
        env.step(action)
        env.render()
    assert len(whole) < 15
    assert len(parts) - 4 * len(whole) < 40


def test_a_frame_runs_and_draws_no_more_of_a_long_episode(monkeypatch):
    n = 20_000
    market = random_walk(n, step=0.001, dated=False)
    env = TradingEnv(market, window=2, features=["close"], costs=FREE, render_mode="rgb_array")
    played(env, random_actions(env, n - 10))
    env.render()
    calls, bound = [], env._film._replay._kernel
    kernel = SimpleNamespace(call=lambda *arguments: (calls.append(1), bound.call(*arguments))[1])
    monkeypatch.setattr(env._film._replay, "_kernel", kernel)
    env.step(2)
    env.render()
    assert len(calls) == 1
    picture = env._film._picture
    for line in (picture._close, picture._equity, picture._held, picture._drawdown):
        assert len(line.get_xdata()) <= 1700
        assert line.get_xdata()[-1] == env._clock[0, 0]
    assert picture._close.get_ydata().max() == env.task.markets[0].close[: env._clock[0, 0] + 1].max()
    assert sum(len(marks.get_offsets()) for marks in picture._marks.values()) < 8000


# -- names are text --------------------------------------------------------------------------------------------

NAMES = [
    r"$\frac$",
    r"$x^2$ \alpha",
    "a\x1b[31mred\x07",
    "two\nlines\ttab",
    "\u8d35\u5dde",
    "\udcff",
    "\u202eabc",
    "%s {x}",
    "_^",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_text_in_the_picture_and_steers_no_terminal(name):
    market = random_walk(80, dated=False)
    market = Market.from_arrays(open=market.open, close=market.close, name=name)
    env = played(TradingEnv(market, window=3, render_mode="rgb_array"), [2] * 9)
    assert env.render().shape == (720, 960, 3)
    title = render.figure(env.episode())._suptitle
    assert not title.get_parse_math()
    first, rest = render.ansi(env.episode()).split("\n", 1)
    assert first.isprintable()
    assert rest.startswith("price")
    if name.isprintable():
        assert first.startswith(name)
        assert title.get_text().startswith(name)


# -- as Gymnasium has it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["ansi", "rgb_array", "human"])
def test_gymnasiums_checker_passes_with_a_render_mode(mode):
    check_env(gym.make(ID, render_mode=mode).unwrapped)


@pytest.mark.parametrize("mode", ["ansi", "rgb_array", "human"])
def test_render_before_reset_raises(mode):
    with pytest.raises(ResetNeeded, match="reset"):
        TradingEnv(render_mode=mode).render()


def test_render_without_a_mode_warns_and_returns_none():
    env = TradingEnv(random_walk())
    env.reset()
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None


def test_wrappers_that_collect_frames_work():
    env = RenderCollection(gym.make(ID, render_mode="rgb_array"))
    env.reset(seed=0)
    for _ in range(2):
        env.step(2)
    assert [frame.shape for frame in env.render()] == [(720, 960, 3)] * 3
    env = AddRenderObservation(gym.make(ID, render_mode="rgb_array"), render_only=True)
    assert env.observation_space.contains(env.reset(seed=0)[0])
    assert env.metadata["render_fps"] > 0


def test_human_prints_the_text_after_every_reset_and_step(capsys):
    env = gym.make(ID, render_mode="human")
    env.reset(seed=0)
    for action in (2, 1):
        env.step(action)
    out = capsys.readouterr().out
    assert [line[-6:] for line in out.splitlines() if "step" in line] == ["step 0", "step 1", "step 2"]
    assert env.render() is None
    assert capsys.readouterr().out == render.ansi(env.unwrapped.episode()) + "\n"
    env.close()


def test_in_a_terminal_a_text_stands_in_place_of_the_one_before(monkeypatch):
    class Terminal(io.StringIO):
        encoding = "ascii"

        def isatty(self):
            return True

    market = random_walk(60, dated=False)
    env = TradingEnv(Market.from_arrays(open=market.open, close=market.close, name="\u8d35"), render_mode="human")
    slept = []
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setattr("time.sleep", slept.append)
    env.reset(seed=0)
    env.step(2)
    text = sys.stdout.getvalue()
    assert text.count("\x1b[7F\x1b[J") == 1  # seven lines up
    assert text.startswith("\\u8d35, bar")
    assert slept[0] == 0.0
    assert 0.0 < slept[1] <= 0.1


@pytest.mark.parametrize("mode", ["'%s'", "%d%%", 5, "window", ("ansi",)])
@pytest.mark.parametrize("name", ["TradingEnv-v0", "reference/Ritter-v0"])
@pytest.mark.filterwarnings("ignore:.*not in the possible render_modes")
def test_a_wrong_render_mode_is_refused_by_name(name, mode):
    spec = copy.deepcopy(gym.spec(name))
    spec.kwargs["render_mode"] = mode
    for make in (lambda: gym.make(name, render_mode=mode), lambda: gym.make(spec), lambda: gym.make_vec(spec)):
        with pytest.raises((TypeError, ValueError), match="render_mode must be"):
            make()


def test_text_frames_can_be_collected_by_gymnasium_make():
    env = gym.make(ID, render_mode="ansi_list")
    env.reset()
    env.step(2)
    assert [frame.splitlines()[0][-6:] for frame in env.render()] == ["step 0", "step 1"]


def test_the_vector_env_offers_no_rendering():
    with pytest.raises(ValueError, match=r"render_mode.*vectorization_mode='sync'"):
        TradingVectorEnv(2, render_mode="rgb_array")
    with pytest.raises(ValueError, match="vectorization_mode='sync'"):
        gym.make_vec(ID, 2, render_mode="rgb_array")
    envs = gym.make_vec(ID, 2, render_mode="rgb_array", vectorization_mode="sync")  # as the message says
    envs.reset(seed=0)
    assert [frame.shape for frame in envs.render()] == [(720, 960, 3)] * 2
    with pytest.raises(NotImplementedError):
        TradingVectorEnv(2).render()


@pytest.mark.parametrize(("scale", "name"), [(1e8, "a long name " * 20), (1e-8, "word" * 60), (1.0, "short")])
def test_everything_that_is_written_stands_inside_the_picture(scale, name):
    walk = random_walk(200)
    market = Market.from_arrays(open=walk.open * scale, close=walk.close * scale, name=name)
    figure = render.figure(played(TradingEnv(market, initial_cash=1e4 * scale), [2] + [1] * 99).episode())
    figure.canvas.draw()
    texts = [figure._suptitle, *(axis.yaxis.label for axis in figure.axes)]
    texts += [label for axis in figure.axes for label in axis.get_yticklabels() if axis.get_ylim()[0] <= label._y]
    for text in texts:
        box = text.get_window_extent()
        assert box.x0 >= 0.0
        assert box.x1 <= SIZE[0]
    assert figure._suptitle.get_text().endswith("1 trade")


def test_the_first_step_shows_its_exposure_and_a_mark_at_the_edge_is_whole():
    figure = render.figure(played(TradingEnv(random_walk(200)), [2]).episode())
    price, exposure, *_ = figure.axes
    assert np.ptp(exposure.collections[0].get_paths()[0].vertices[:, 0]) > 0.0
    assert exposure.collections[0].get_paths()[0].vertices[:, 1].max() > 99.0
    assert not price.collections[0].get_clip_on()


def test_ticks_of_large_prices_that_hardly_move_are_told_apart():
    close = 2.5e7 * (1.0 + 1e-7 * np.arange(100))
    figure = render.figure(
        played(TradingEnv(Market.from_arrays(close, open=close), features=["close"]), [2] + [1] * 50).episode()
    )
    figure.canvas.draw()
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(set(labels)) == len(labels)


def test_a_figure_shows_itself_in_a_notebook():
    figure = render.figure(played(TradingEnv(random_walk(100)), [2, 1, 0]).episode())
    assert figure._repr_png_().startswith(b"\x89PNG")
