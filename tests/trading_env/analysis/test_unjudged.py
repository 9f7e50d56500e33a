"""What was made before a check: the check names it, and screens it against the next returns."""

from functools import partial

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest

from tests.trading_env.markets import random_market
from trading_env import FeatureScaler, TradingEnv, check_causality
from trading_env.analysis.causality import CausalityWarning
from trading_env.analysis.held import data_held_by, rows_fitted
from trading_env.analysis.screen import innovations, screen
from trading_env.features.build import feature_table

N = 500


def market_with(seed=0, **columns):
    return random_market(seed, N, 0.02, whole=True, since="2019-03-01", columns=columns)


CLOSE = pd.Series(market_with().close)
LEAKS = {
    "tomorrow's close": CLOSE.shift(-1).ffill(),
    "the close in three days": CLOSE.shift(-3).ffill(),
    "centred mean": CLOSE.rolling(5, center=True, min_periods=1).mean(),
    "tomorrow's return in noise": CLOSE.pct_change().shift(-1).fillna(0.0)
    + np.random.default_rng(1).normal(0.0, 0.08, N),
    "whole-sample z-score": (CLOSE - CLOSE.mean()) / CLOSE.std(),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_column_made_with_the_future_is_a_suspect(leak):
    with pytest.warns(CausalityWarning, match=r"column 'planted' \(it is data.*Suspect: column 'planted'"):
        report = check_causality(["planted", "log_return_1"], market_with(planted=LEAKS[leak]), cuts=5)
    assert [one.name for one in report.suspects] == ["column 'planted'"]
    assert "suspect: column 'planted'" in str(report)
    assert report.judged == ("feature 'log_return_1'",)


def honest_columns(close):
    frame, rng = pd.Series(close), np.random.default_rng(len(close))
    return {
        "level": frame.to_numpy(),
        "momentum": frame.pct_change(20).to_numpy(),
        "place": (frame / frame.rolling(50).mean()).to_numpy(),
        "other price": np.cumsum(rng.standard_normal(len(close))),
        "news": rng.integers(0, 2, len(close)).astype(float),
    }


def test_honest_columns_of_fifty_markets_are_flagged_no_more_than_nominally():
    flagged = 0
    for seed in range(50):
        close = market_with(seed).close
        flagged += any(one.p_value <= 0.05 or one.standardised for one in screen(honest_columns(close), close))
    assert flagged <= 6  # of 50 at 5%: more with a probability of 1%


def test_the_level_of_a_price_is_tested_at_the_nominal_size():
    """The t-statistic of a regression of returns on the level rejects in a third of all random walks."""
    found = [screen({"level": (close := market_with(s).close)}, close)[0].p_value <= 0.05 for s in range(200)]
    assert sum(found) <= 20


def test_a_column_without_change_or_with_few_bars_has_no_p_value():
    close = market_with().close
    few = np.where(np.arange(N) < N - 20, np.nan, close)
    found = screen({"constant": np.ones(N), "few": few, "none": np.full(N, np.nan)}, close)
    assert all(np.isnan(one.p_value) and one.lead == 0 for one in found)


def test_p_values_are_corrected_for_the_number_of_columns():
    close = CLOSE.to_numpy()
    others = {str(i): np.random.default_rng(i).standard_normal(N) for i in range(9)}
    columns = {"leak": LEAKS["tomorrow's return in noise"].to_numpy(), **others}
    alone = screen({"leak": columns["leak"]}, close)[0].p_value
    assert 0.0 < alone < 1e-3
    assert screen(columns, close)[0].p_value == pytest.approx(10 * alone)


def test_a_column_that_falls_before_rises_is_as_suspect_as_one_that_rises():
    close = CLOSE.to_numpy()
    leak = LEAKS["tomorrow's return in noise"].to_numpy()
    up, down = (screen({"leak": sign * leak}, close)[0] for sign in (1.0, -1.0))
    assert up.correlation == pytest.approx(-down.correlation)
    assert up.p_value == pytest.approx(down.p_value)
    assert up.lead == down.lead


def test_a_p_value_is_of_both_sides_and_of_all_leads():
    """By simulation: in a market that cannot be foreseen, 5% of columns have a p-value below 5%."""
    found = []
    for seed in range(1500):
        rng = np.random.default_rng(seed)
        close = np.exp(rng.normal(0.0, 0.01, 300).cumsum())
        found.append(screen({"x": rng.standard_normal(300)}, close)[0].p_value)
    for level in (0.05, 0.2):
        assert 0.7 * level < np.mean(np.array(found) <= level) < 1.3 * level


def test_corrected_p_values_keep_the_order_of_the_uncorrected_ones():
    close = CLOSE.to_numpy()
    leak = LEAKS["tomorrow's return in noise"].to_numpy()
    alone = screen({"leak": leak}, close)[0].p_value
    found = screen({"one": leak, "same": leak, "other": np.random.default_rng(3).standard_normal(N)}, close)
    assert [one.p_value for one in found[:2]] == pytest.approx([3.0 * alone] * 2)  # not 3 and 2 times
    assert found[2].p_value >= found[0].p_value


def test_the_innovations_of_a_random_walk_are_its_steps():
    steps = np.random.default_rng(0).standard_normal(4000)
    np.testing.assert_allclose(innovations(np.cumsum(steps)), steps[1:] - steps[1:].mean(), atol=0.2)


# -- scalers ------------------------------------------------------------------------------------------------------


def scaler_of(part, features=("close", "log_return_5")):
    return FeatureScaler().fit(part, [*features])


def test_a_scaler_of_the_first_years_is_judged_and_one_of_all_years_is_named():
    market, features = market_with(), ["close", "log_return_5"]
    train, test = market.split(0.6)
    assert check_causality(features, market, scaler=scaler_of(train), cuts=5).judged[-1] == "scaler"
    assert check_causality(features, test, scaler=scaler_of(train), cuts=5).judged[-1] == "scaler"
    with pytest.warns(CausalityWarning, match=r"scaler \(it was fitted on all bars of this market.*Suspect: feature"):
        report = check_causality(features, market, scaler=scaler_of(market), cuts=5)
    assert {one.name for one in report.suspects} == {"feature 'close'", "feature 'log_return_5'"}
    assert report.judged == ()
    with pytest.warns(CausalityWarning, match="on bars that are not the first ones of this market"):
        check_causality(features, market, scaler=scaler_of(test), cuts=5)


@pytest.mark.parametrize("as_dict", [False, True])
def test_the_scaler_of_an_env_is_named_in_the_same_way(as_dict):
    market = market_with()
    scaler = scaler_of(market)
    keywords = {"features": ["close", "log_return_5"], "scaler": scaler.to_dict() if as_dict else scaler, "window": 2}
    with pytest.warns(CausalityWarning, match="scaler"):
        report = check_causality(gym.make("trading_env:TradingEnv-v0", data=market, **keywords), cuts=3)
    assert report.judged == ("reward",)


def test_the_rows_of_a_scaler_are_found_by_its_numbers():
    market = market_with()
    values = feature_table(market, ["close", "log_return_5"]).values
    assert rows_fitted(scaler_of(market.split(0.3)[0]), values, 5) == 150
    assert rows_fitted(scaler_of(market), values, 5) == N
    assert rows_fitted(scaler_of(market_with(1)), values, 5) is None


# -- rewards and other callables ----------------------------------------------------------------------------------


def log_growth(before, after, scale=1.0):
    return scale * np.log(after["equity"] / before["equity"])


def closing_over(prices):
    return lambda before, after: prices[after["bar"]] / 100.0


class Reward:
    def __init__(self, prices):
        self.prices = prices

    def __call__(self, before, after):
        return self.prices[after["bar"]] / 100.0


AHEAD = np.append(market_with().close[1:], market_with().close[-1])


@pytest.mark.parametrize(
    "reward",
    [
        closing_over(AHEAD),
        Reward(AHEAD),
        partial(lambda prices, before, after: prices[after["bar"]] / 100.0, AHEAD),
        lambda before, after: AHEAD[after["bar"]] / 100.0,
        lambda before, after, prices=AHEAD: prices[after["bar"]] / 100.0,
    ],
    ids=["closure", "object", "partial", "global", "default"],
)
def test_a_reward_that_holds_future_prices_is_named_and_a_suspect(reward):
    with pytest.warns(CausalityWarning, match=r"reward \(it holds data.*Suspect: reward"):
        report = check_causality(TradingEnv(market_with(), reward=reward, window=3), cuts=3)
    assert [one.name for one in report.suspects] == ["reward"]
    assert "reward" not in report.judged


def test_a_reward_without_data_is_judged():
    for reward in (log_growth, partial(log_growth, scale=2.0), lambda before, after: after["exposure"]):
        report = check_causality(TradingEnv(market_with(), reward=reward, window=3), cuts=3)
        assert report.judged[-1] == "reward"
        assert report.suspects == ()


def test_a_reward_made_of_each_market_is_judged():
    def make(market):
        return TradingEnv(market, reward=closing_over(np.append(0.0, market.close[:-1])), window=3)

    assert check_causality(make, market_with(), cuts=3).judged[-1] == "reward"


def test_a_wrapper_with_prices_of_its_own_is_named():
    class Hint(gym.Wrapper):
        def __init__(self, env, prices):
            super().__init__(env)
            self.prices = prices

        def step(self, action):
            obs, reward, terminated, truncated, info = self.env.step(action)
            return obs, reward + 1e-2 * self.prices[info["bar"]], terminated, truncated, info

    with pytest.warns(CausalityWarning, match=r"Hint \(it holds data that was made beforehand: prices\)"):
        report = check_causality(lambda market: Hint(TradingEnv(market, window=3), AHEAD), market_with(), cuts=3)
    assert [one.name for one in report.suspects] == ["reward"]
    assert "reward" not in report.judged


def test_a_column_that_no_feature_reads_is_screened_and_not_warned_of():
    report = check_causality("default", market_with(unread=LEAKS["tomorrow's close"]), cuts=3)
    assert report.not_judged == {}
    assert report.screen[0].name == "column 'unread'"
    assert report.screen[0].p_value < 1e-6


def test_data_is_found_wherever_a_callable_keeps_it():
    table = pd.DataFrame({"a": range(9)})

    def outer(before, after):
        return (lambda: table)()

    assert [*data_held_by(outer)] == ["table"]
    assert data_held_by(log_growth) == {}
    assert [*data_held_by(lambda m, levels=tuple(range(20)): m)] == ["a default value"]
