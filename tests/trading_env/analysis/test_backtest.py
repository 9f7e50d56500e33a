from functools import partial

import gymnasium as gym
import matplotlib.figure
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from agents import DQN, RecurrentA2C
from tests.trading_env.markets import random_market
from trading_env import Backtest, EnvConfig, FeatureScaler, Market, TradingEnv, backtest, load
from trading_env.analysis import metrics, strategies
from trading_env.analysis.strategies import StrategyPolicy
from trading_env.analysis.tracks import METRICS

ENV_ID = "trading_env:TradingEnv-v0"
RUINED = {"features": np.zeros((7, 1)), "window": 1, "margin": {"ruin_fraction": 0.5}}


class Coins:
    """A policy that ignores what it sees: run k plays the k-th list of random actions."""

    def __init__(self, runs, seed=0):
        self.actions = np.random.default_rng(seed).integers(3, size=(1000, runs))

    def __len__(self):
        return self.actions.shape[1]

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        step = 0 if state is None else state
        return self.actions[step, : len(observation)], step + 1


@pytest.fixture(scope="module")
def market():
    return load("us-stocks/IBM").split("2012-06-01")[1]


def falling_market():
    close = np.array([100.0, 100.0, 100.0, 40.0, 80.0, 160.0, 160.0])
    return Market.from_arrays(close, open=close, bars_per_year=252)


def test_a_backtest_is_the_episode_stepped_by_hand(market):
    coins = Coins(3)
    result = backtest(coins, market, window=5)
    frames = dict(list(result.to_frame().groupby("seed")))
    for k in range(3):
        env = gym.make(ENV_ID, data=market, window=5)
        _, info = env.reset()
        infos, truncated = [info], False
        while not truncated:
            *_, truncated, info = env.step(coins.actions[len(infos) - 1, k])
            infos.append(info)
        assert result.equity[k].tolist() == [info["equity"] for info in infos]
        for key in ("exposure", "turnover", "commission", "slippage", "financing"):
            assert getattr(result, key)[k].tolist() == [info[key] for info in infos[1:]]
        pd.testing.assert_frame_equal(frames[k].drop(columns="seed"), env.unwrapped.history())
    assert len(result.time) == result.equity.shape[1] == len(market) - market.first
    assert str(result.time[0])[:10] == "2012-06-01"
    assert result.time[-1] == market.time[-1]


@pytest.mark.parametrize("name", METRICS)
def test_metrics_are_attributes_by_their_own_names(market, name):
    assert callable(getattr(metrics, name))
    one, two = backtest(Coins(1), market), backtest(Coins(2), market)
    assert isinstance(getattr(one, name), float)
    assert getattr(two, name).shape == (2,)
    assert name in dir(one)


def test_metrics_are_those_of_the_curves(market):
    result = backtest(Coins(1), market)
    returns = metrics.simple_returns(result.equity)
    assert_array_equal(result.returns, returns)
    assert result.total_return == metrics.total_return(result.equity)
    assert result.sharpe_ratio == metrics.sharpe_ratio(returns, 252)
    assert result.sharpe_standard_error == metrics.sharpe_standard_error(returns, 252)
    assert result.max_drawdown == metrics.max_drawdown(result.equity)
    assert result.annual_turnover == metrics.annual_turnover(result.turnover, 252)
    assert result.cost_paid == metrics.cost_paid(result.commission, result.slippage)
    costs = result.commission + result.slippage
    assert result.break_even_cost == metrics.break_even_cost(result.equity, result.turnover, costs)
    with pytest.raises(AttributeError, match=r"no attribute 'sharpe'; metrics: .*sharpe_ratio"):
        _ = result.sharpe


@pytest.mark.parametrize("strategy", [strategies.buy_and_hold, partial(strategies.random_policy, turnover=9.0)])
def test_a_strategy_is_its_policy(market, strategy):
    env = gym.make(ENV_ID, data=market)
    assert_array_equal(
        backtest(strategy, market).equity, backtest(StrategyPolicy(strategy(market), env), market).equity
    )


def test_fractional_strategies_get_continuous_actions_unless_others_are_given(market):
    result = backtest(strategies.volatility_target, market)
    assert result.config.actions == "continuous"
    assert 0.0 < result.mean_exposure < 1.0
    with pytest.raises(ValueError, match=r"no action for the exposure .*actions='continuous' offers all"):
        backtest(strategies.volatility_target, market, actions=(0.0, 1.0))
    with pytest.raises(ValueError, match="no action for the exposure"):
        backtest(strategies.volatility_target, market, config=EnvConfig())


def test_a_function_of_the_observation_is_a_policy(market):
    def follow(obs):
        return 2 if obs[-10] > 0.0 else 0

    env, moves = gym.make(ENV_ID, data=market), []
    obs, info = env.reset()
    truncated = False
    while not truncated:
        obs, _, _, truncated, info = env.step(follow(obs))
        moves.append(info["equity"])
    assert backtest(follow, market).equity[1:].tolist() == moves


def test_all_seeds_of_an_agent_are_one_backtest_and_each_is_its_own(market):
    env = gym.make(ENV_ID, data=market, window=3)
    agent = DQN(env, seeds=[4, 7], learning_starts=10).learn(60)
    result = backtest(agent, market, window=3)
    assert result.seeds == (4, 7)
    for k in range(2):
        assert_array_equal(backtest(agent[k], market, window=3).equity, result.equity[k])
    assert set(result.to_frame()["seed"]) == {4, 7}


def test_recurrent_policies_carry_their_state(market):
    env = gym.make(ENV_ID, data=market, window=1)
    agent = RecurrentA2C(env, seeds=2, n_steps=8).learn(16)
    result = backtest(agent, market, window=1)
    obs, _ = env.reset()
    state, start, truncated, equity = None, True, False, []
    while not truncated:
        action, state = agent[1].predict(obs[None], state, np.array([start]), deterministic=True)
        obs, _, _, truncated, info = env.step(action[0])
        start = False
        equity.append(info["equity"])
    assert result.equity[1, 1:].tolist() == equity


def test_masks_are_given_to_policies_that_take_them(market):
    class First:
        def predict(self, observation, state=None, episode_start=None, deterministic=True, action_masks=None):
            return action_masks.argmax(1), None

    actions = backtest(First(), market).to_frame()["action"]
    assert actions.unique().tolist() == [1]  # sell is masked while the target is 0


def test_a_list_of_policies_is_a_run_each(market):
    both = backtest([strategies.buy_and_hold, strategies.flat], market)
    assert_array_equal(both.equity[0], backtest(strategies.buy_and_hold, market).equity)
    assert (both.equity[1] == 100_000.0).all()
    assert (len(both), both.seeds) == (2, ("buy_and_hold", "flat"))
    assert [row[0] for row in both.summary().rows] == ["buy_and_hold", "flat", "holding"]
    assert backtest([strategies.flat] * 2, market).seeds == (0, 1)


def test_data_are_whatever_load_takes_or_an_env(market, tmp_path):
    frame = load("us-stocks/IBM").to_frame().loc["2012":]
    frame.to_csv(tmp_path / "ibm.csv")
    equity = backtest(strategies.buy_and_hold, frame).equity
    assert_array_equal(equity, backtest(strategies.buy_and_hold, tmp_path / "ibm.csv").equity)
    assert_array_equal(equity, backtest(strategies.buy_and_hold, [load(frame)]).equity)
    rows = [[stamp.value // 10**6, *row] for stamp, *row in frame.itertuples()]
    assert_array_equal(equity, backtest(strategies.buy_and_hold, rows).equity)
    env = gym.make(ENV_ID, data=market, costs={"slippage": 0.01}, random_start=True, episode_length=5)
    same = backtest(strategies.buy_and_hold, market, costs={"slippage": 0.01})
    assert_array_equal(backtest(strategies.buy_and_hold, env).equity, same.equity)
    with pytest.raises(ValueError, match="data must be one dataset: call backtest for each of the 2"):
        backtest(strategies.flat, ["us-stocks/IBM", "us-stocks/AAPL"])


def test_the_keywords_are_given_once_for_training_and_test(market):
    config = EnvConfig(window=4, costs={"commission": 0.01}, random_start=True, episode_length=9, initial_cash=500.0)
    given = backtest(Coins(1), market, config=config)
    plain = backtest(Coins(1), market, window=4, costs={"commission": 0.01}, initial_cash=500.0)
    assert_array_equal(given.equity, plain.equity)
    assert_array_equal(backtest(Coins(1), market, config=config.to_dict()).equity, plain.equity)
    assert backtest(Coins(1), market, config=config, initial_cash=700.0).equity[0] == 700.0
    with pytest.raises(TypeError, match="config must be an EnvConfig or a mapping"):
        backtest(Coins(1), market, config=3)
    with pytest.raises(TypeError, match="backtest got an unexpected keyword argument 'window_size'"):
        backtest(Coins(1), market, window_size=3)


def test_an_agent_brings_the_keywords_that_it_learnt_with_and_is_refused_where_they_mean_something_else(market):
    keywords = {"window": 3, "costs": {"commission": 0.01}, "scaler": FeatureScaler().fit(market)}
    env = gym.make(ENV_ID, data=market, random_start=True, episode_length=9, **keywords)
    agent = DQN(env, learning_starts=10).learn(30)
    result = backtest(agent, market)
    assert_array_equal(result.equity, backtest(agent, market, config=EnvConfig(**keywords)).equity)
    assert result.config.costs.commission == 0.01
    assert backtest(agent, market, costs={"commission": 0.0}).config.window == 3
    with pytest.raises(ValueError, match=r"policy learnt with scaler=.*but here it is scaler=None; check_env"):
        backtest(agent, market, config=EnvConfig(window=3))
    with pytest.raises(ValueError, match="policy learnt with window=3, but here it is window=4"):
        backtest([strategies.flat, agent], market, window=4)
    assert backtest(agent, market, config=EnvConfig(window=3), check_env=False).config.scaler is None


@pytest.mark.parametrize("keywords", [{"random_start": True}, {"episode_length": 5}])
def test_only_whole_episodes_are_run(market, keywords):
    with pytest.raises(ValueError, match="one whole episode"):
        backtest(Coins(1), market, **keywords)


def test_after_a_ruin_the_account_stands_still():
    result = backtest([strategies.buy_and_hold, strategies.flat], falling_market(), **RUINED)
    assert result.equity[0, 3] == pytest.approx(40_000, rel=0.01)
    assert (result.equity[0, 3:] == result.equity[0, 3]).all()
    assert (result.exposure[0, 3:] == 0.0).all()
    assert (result.returns[0, 3:] == 0.0).all()
    assert result.to_frame()["seed"].value_counts().to_dict() == {"buy_and_hold": 3, "flat": 6}
    assert result.plot(seed="buy_and_hold").axes


def test_without_bars_per_year_figures_per_year_are_unknown_and_the_summary_says_so():
    market = random_market(n=40)
    result = backtest(strategies.buy_and_hold, market, window=2)
    assert np.isfinite([result.total_return, result.max_drawdown]).all()
    assert np.isnan([result.sharpe_ratio, result.annual_return, result.annual_turnover]).all()
    assert "n/a" in str(result.summary())
    assert "give bars_per_year=" in str(result.summary())
    known = backtest(strategies.flat, market, window=2, bars_per_year=252.0)
    assert "bars_per_year is unknown" not in str(known.summary())


# -- what it shows -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bars", "said"), [(2, "2 bars of 252"), (62, "62 bars of 252"), (63, None)])
def test_a_stretch_too_short_for_figures_per_year_has_a_note(bars, said):
    market = random_market(n=bars + 1)
    result = backtest(strategies.buy_and_hold, market, features=["close"], window=1, bars_per_year=252.0)
    notes = [line for line in result.summary().notes if "figures per year say little" in line]
    assert [line.split(" a year")[0] for line in notes] == ([] if said is None else [said])


def test_the_summary_shows_the_run_beside_holding(market):
    result = backtest(strategies.moving_average_crossover, market)
    lines = str(result.summary()).splitlines()
    assert lines[0] == "moving_average_crossover on us-stocks/IBM, 2012-06-01 to 2013-03-01, 186 bars"
    policy, holding = (next(line.split() for line in lines if line.startswith(name)) for name in ("policy", "holding"))
    assert policy[1] == f"{result.total_return:+.1%}"
    assert policy[4:7] == [f"{result.sharpe_ratio:.2f}", "±", f"{result.sharpe_standard_error:.2f}"]
    assert policy[-1] == str(len(result.trades()))
    close = market.close[market.first :]
    assert holding[1] == f"{close[-1] / close[0] - 1.0:+.1%}"


def test_the_summary_of_many_seeds_has_a_row_for_each_and_their_median_and_range(market):
    result = backtest(Coins(5), market)
    rows = {row[0]: row for row in result.summary().rows}
    assert list(rows) == [*(f"seed {k}" for k in range(5)), "median", "lowest", "highest", "holding"]
    assert rows["median"][1] == f"{np.median(result.total_return):+.1%}"
    assert rows["lowest"][1] == f"{result.total_return.min():+.1%}"
    assert rows["highest"][5] == f"{result.max_drawdown.max():.1%}"


@pytest.mark.parametrize("growth", [1e-3, 0.05])
def test_a_summary_fits_80_columns_whatever_the_numbers(growth):
    close = 100.0 * np.exp(growth * np.arange(500))
    long_name = Market.from_arrays(close, open=close, name="a name " * 30, bars_per_year=252.0)
    result = backtest([strategies.buy_and_hold] * 101, long_name, features=["close"], window=2)
    assert max(map(len, str(result.summary()).splitlines())) <= 80
    assert "drawdown" in str(result.summary())
    assert repr(result.summary()) == str(result.summary())


def test_the_summary_shows_itself_in_notebooks(market):
    named = Market.from_frame(market.to_frame(), name="<b>&")
    page = backtest(strategies.buy_and_hold, named).summary()._repr_html_()
    assert page.count("<tr>") == 3
    assert "&lt;b&gt;&amp;" in page
    assert "<b>" not in page


def test_it_says_what_it_is(market):
    text = repr(backtest(strategies.buy_and_hold, market))
    assert text.startswith("<Backtest of buy_and_hold on us-stocks/IBM, 2012-06-01 to 2013-03-01, 186 bars; return +")
    assert "; 2 runs, return " in repr(backtest(Coins(2), market))
    plain = backtest(lambda obs: 1, random_market(), window=1)
    assert repr(plain) == "<Backtest of a function on market, 39 bars; return +0.0%>"
    assert isinstance(backtest(lambda obs: 1, market), Backtest)


def test_the_plot_has_price_with_trades_exposure_equity_and_drawdown_and_shows_itself(market):
    result = backtest(Coins(3), market)
    figure = result.plot()
    assert isinstance(figure, matplotlib.figure.Figure)
    names = [panel.get_ylabel() for panel in figure.axes]
    assert names == ["price", "exposure (%)", "equity (currency)", "drawdown (%)"]
    middle = np.argsort(result.equity[:, -1])[1]
    curves = {tuple(line.get_ydata()) for line in figure.axes[2].lines}
    assert {tuple(equity) for equity in result.equity} <= curves
    heavy = max(figure.axes[2].lines, key=lambda line: line.get_linewidth())
    assert tuple(heavy.get_ydata()) == tuple(result.equity[middle])
    low, high = figure.axes[2].get_ylim()
    assert low <= result.equity.min()
    assert result.equity.max() <= high
    assert figure._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"seed must be one of \[0, 1, 2\], got 3"):
        result.plot(seed=3)


def test_a_missing_matplotlib_is_named(market, monkeypatch):
    import sys

    result = backtest(strategies.flat, market)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"needs matplotlib: pip install 'trading-env\[render\]'"):
        result.plot()


def test_the_env_config_is_kept(market):
    result = backtest(Coins(1), market, window=3)
    assert TradingEnv(market, **result.config.to_dict()).task.window == 3


def test_tracks_say_how_many_runs_and_bars_they_hold(market):
    tracks = backtest(Coins(3), market).tracks
    assert repr(tracks).startswith(f"<Tracks: 3 runs of {len(market) - 1 - market.first} bars; equity at the end ")


def test_a_ruined_run_is_drawn_beside_one_whose_equity_grows_on_a_log_scale():
    growing = Market.from_arrays(np.r_[np.ones(5), np.geomspace(3.0, 90.0, 55)], bars_per_year=252.0)
    keywords = {"features": np.zeros((60, 1)), "window": 1, "fill": "next_close", "actions": (-1.0, 1.0)}
    result = backtest([lambda obs: 0, lambda obs: 1], growing, **keywords)
    assert result.equity[0].min() < 0.0
    panel = result.plot(seed=1).axes[2]
    assert panel.get_yscale() == "log"
    assert panel.get_ylim()[0] > 0.0
