"""check_causality finds planted leaks, names them, and passes everything that we ship."""

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest

from tests.trading_env.markets import random_market
from trading_env import FeatureScaler, Market, TradingEnv, TradingVectorEnv, check_causality, load
from trading_env.analysis.causality import CausalityWarning, LookAheadError, changed_future
from trading_env.features.named import DEFAULT_FEATURES
from trading_env.sb3 import TradingVecEnv

ID = "trading_env:TradingEnv-v0"
N = 160


def small_market(n=N):
    news = np.where(np.arange(n) < 4, np.nan, np.random.default_rng(0).integers(0, 2, n))
    return random_market(0, n, 0.02, whole=True, since="2019-03-01", columns={"news": news})


def swap_last(values, rows):
    """The values with the last rows replaced by the last value."""
    result = values.copy()
    result.iloc[-rows:] = values.iloc[-1]
    return result


LEAKS = {
    "centred mean": lambda frame: frame.close.rolling(5, center=True, min_periods=1).mean(),
    "full-sample normalisation": lambda frame: (frame.close - frame.close.mean()) / frame.close.std(),
    "full-sample maximum": lambda frame: frame.close / frame.close.max(),
    "full-sample minimum": lambda frame: frame.close / frame.close.min(),
    "tomorrow's close": lambda frame: frame.close.shift(-1).ffill(),
    "tomorrow's open": lambda frame: frame.open.shift(-1).ffill(),
    "tomorrow's high": lambda frame: (frame.high / frame.close).shift(-1).ffill(),
    "tomorrow's volume": lambda frame: frame.volume.shift(-1).ffill(),
    "tomorrow's news": lambda frame: frame.news.shift(-1).ffill().bfill(),
    "the distant future": lambda frame: frame.close.shift(-50).ffill(),
    "backward fill": lambda frame: frame.close.rolling(10).mean().bfill(),
    "share of the sample": lambda frame: pd.Series(np.arange(len(frame)) / len(frame)),
    "the last rows": lambda frame: swap_last(frame.close, 2),
    "a small part of tomorrow": lambda frame: frame.close + 1e-4 * frame.close.shift(-1).ffill(),
}


def with_leak(leak):
    def features(market):
        frame = market.to_frame().reset_index(drop=True)
        return pd.DataFrame({"honest": frame.close.pct_change(), "planted": LEAKS[leak](frame)})

    return features


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_caught_and_named_in_features(leak):
    with pytest.raises(LookAheadError, match=r"planted at 2019.* knows the future") as error:
        check_causality(with_leak(leak), small_market())
    assert error.value.name == "planted"
    assert error.value.bar <= error.value.cut


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_caught_in_an_env(leak):
    keywords = {"features": with_leak(leak), "window": 3}
    market = small_market()
    subjects = [keywords, lambda data: TradingEnv(data, **keywords), gym.make(ID, data=market, **keywords)]
    for subject in subjects:
        with pytest.raises(LookAheadError) as error:
            check_causality(subject, market)
        assert error.value.name == "planted"


def test_the_named_bar_is_the_one_that_knew():
    def features(market):
        frame = pd.DataFrame({"honest": market.close, "planted": market.close})
        if len(market) > 103:
            frame.loc[100, "planted"] = market.close[103]
        return frame

    market = small_market()
    with pytest.raises(LookAheadError, match=r"planted at 2019-06-09 \(row 100\)") as error:
        check_causality(features, market, cuts=[40, 100, 150])
    assert (error.value.bar, error.value.cut) == (100, 100)
    assert check_causality(features, market, cuts=[40, 99]).cuts == (40, 99)


class Leaky(TradingEnv):
    """An env that shows tomorrow's close in the place ``where``."""

    where = "info"

    def step(self, action):
        obs, reward, terminated, truncated, info = super().step(action)
        closes = self.task.closes
        tomorrow = closes[min(info["bar"] + 1, len(closes) - 1)]
        if self.where == "info":
            info["hint"] = tomorrow
        if self.where == "reward":
            reward += 1e-3 * tomorrow
        if self.where == "obs":
            obs[-4] += 1e-3 * tomorrow
        return obs, reward, terminated or (self.where == "end" and tomorrow > 150.0), truncated, info


class LeakyObs(Leaky):
    where = "obs"


@pytest.mark.parametrize(
    ("where", "name"),
    [("info", "info['hint']"), ("reward", "reward"), ("obs", "observation 'exposure'"), ("end", "terminated")],
)
def test_a_leak_beside_the_features_is_caught_and_named(where, name):
    class Planted(Leaky):
        def reset(self, **keywords):
            obs, info = super().reset(**keywords)
            return obs, {**info, "hint": 0.0} if where == "info" else info

    Planted.where = where
    with pytest.raises(LookAheadError) as error:
        check_causality(lambda market: Planted(market, window=3, features=["close"]), small_market())
    assert error.value.name == name


def test_an_env_built_without_gym_make_is_checked_as_it_is():
    keywords = {"window": 3, "features": ["close"]}
    assert "info['equity']" in check_causality(TradingEnv(small_market(), **keywords)).names
    with pytest.raises(LookAheadError, match="exposure"):
        check_causality(LeakyObs(small_market(), **keywords))
    with pytest.raises(LookAheadError, match="exposure"):
        check_causality(LeakyObs(["us-stocks/AAPL", "us-stocks/IBM"], **keywords), small_market())
    with pytest.raises(ValueError, match=r"info of reset and of step must have the same keys.*hint"):
        check_causality(Leaky(small_market(), **keywords))


def test_a_reward_that_reads_the_future_of_its_market_is_caught():
    def make(market):
        ahead = np.append(market.close[1:], market.close[-1])
        return TradingEnv(market, reward=lambda before, after: ahead[after["bar"]] / 100.0)

    with pytest.raises(LookAheadError, match="reward"):
        check_causality(make, small_market())


INDICATORS = [
    "RSI_14",
    "MACD_12_26_9",
    "BBANDS_20",
    "ATR_14",
    "OBV",
    "ADX_14",
    "STOCH",
    "HT_DCPERIOD",
    "SAR",
    "KAMA_10",
]


@pytest.mark.parametrize(
    "features",
    [
        "default",
        [*DEFAULT_FEATURES],
        ["open", "high", "low", "close", "volume", "news"],
        ["doy", "dom", "month", "year", "n_holidays", "close"],
        INDICATORS,
    ],
    ids=lambda features: str(features)[:20],
)
def test_the_bundled_features_are_causal(features, recwarn):
    report = check_causality(features, small_market(), cuts=8 if "doy" in features else None)
    assert [*report.not_judged] == (["column 'news'"] if "news" in features else [])
    assert set(report.unmoved) <= {"doy", "dom", "month", "year", "n_holidays"}
    assert len(report.cuts) >= 8


def test_a_scaler_fitted_elsewhere_is_causal():
    market = small_market()
    train, _ = market.split(0.5)
    scaler = FeatureScaler().fit(train, ["close", "log_return_1"])
    report = check_causality(["close", "log_return_1"], market, scaler=scaler)
    assert report.names == ("close", "log_return_1")


ENVS = [
    {},
    {"actions": (-1.0, 0.0, 0.5, 1.0), "fill": "next_close", "reward": "pnl"},
    {"actions": "continuous", "fill": "close", "reward": "differential_sharpe", "random_start": True},
    {"actions": "lots", "lots": 2, "lot_size": 100.0, "reward": "mean_variance", "episode_length": 60},
    {"observation": "dict", "allow_short": True, "random_start": True, "episode_length": 90, "features": INDICATORS},
    {"observation": "compact", "sizing": "rebalance", "reward": "excess_log_return"},
    {"costs": {"commission": 0.001, "fixed": 1.0, "minimum": 3.0}, "min_trade": 0.1, "lot_size": 5.0, "window": 2},
    {
        "actions": (-2.0, 0.0, 2.0),
        "margin": {"max_leverage": 2.0, "maintenance": 0.4, "r_cash": 0.02, "r_margin": 0.1, "r_borrow": 0.05},
        "bars_per_year": 252.0,
        "fill": "next_open",
    },
    {"reward": lambda before, after: np.log(after["equity"] / before["equity"]), "features": ["news", "close"]},
]


@pytest.mark.parametrize("keywords", ENVS)
def test_every_env_option_is_causal(keywords, recwarn):
    report = check_causality(keywords, small_market())
    assert set(report.not_judged) == ({"column 'news'"} if "news" in keywords.get("features", ()) else set())
    assert report.unmoved == ()
    assert {"reward", "terminated", "truncated", "info['equity']", "info['price']"} <= set(report.names)
    assert {"observation 'exposure'", "observation 'drawdown'"} <= set(report.names)


def test_an_env_is_checked_on_its_own_data_unless_a_market_is_given():
    env = gym.make(ID, window=5)
    report = check_causality(env, cuts=4)
    assert max(report.cuts) == len(load("us-stocks/AAPL")) - 2
    assert max(check_causality(env, small_market(), cuts=4).cuts) == N - 2
    assert max(check_causality({"data": small_market()}, cuts=4).cuts) == N - 2


def test_values_made_beforehand_are_reported_as_unmoved():
    market = small_market()
    known = pd.DataFrame({"made before": market.close, "now": np.zeros(N)})

    def features(data):
        return known.iloc[: len(data)].assign(now=data.close)

    with pytest.warns(CausalityWarning, match=r"feature 'made before' \(it reacts to no change.*features \(it holds"):
        report = check_causality(features, market)
    assert report.unmoved == ("made before",)
    assert [*report.not_judged] == ["feature 'made before'", "features"]
    assert report.judged == ()


@pytest.mark.parametrize("up", [True, False])
def test_a_changed_future_is_valid_and_keeps_the_past(up):
    market = small_market()
    changed = changed_future(market, 90, np.random.default_rng(0), up=up)
    for name in market.column_names:
        before, after = market.column(name), changed.column(name)
        np.testing.assert_array_equal(after[:91], before[:91])
        assert (after[91:] != before[91:]).all(), name
    assert ((changed.close[91:] > market.close[91:]) == up).all()
    assert set(np.unique(changed.column("news")[91:])) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("subject", "keywords", "error", "message"),
    [
        (np.zeros((N, 2)), {}, TypeError, "an array of features"),
        (lambda: TradingEnv(small_market(), features=np.zeros((N, 2))), {}, TypeError, "the callable that computes it"),
        (lambda: gym.make(ID, data=small_market(), features=np.zeros((N, 2))), {}, TypeError, "an array of features"),
        ({"features": np.zeros((N, 2))}, {}, TypeError, "an array of features"),
        (lambda: TradingVectorEnv(2, small_market()), {}, TypeError, "a vector env .* give one with the same keywords"),
        (lambda: gym.make_vec(ID, 2), {"market": small_market()}, TypeError, "a vector env"),
        (lambda: TradingVecEnv(2, data=small_market()), {}, TypeError, "a vector env"),
        (lambda: gym.wrappers.TimeLimit(TradingEnv(small_market()), 9), {}, TypeError, "no spec"),
        (lambda: gym.make("CartPole-v1"), {}, TypeError, "must be a TradingEnv"),
        (lambda: gym.make(ID, data=["us-stocks/AAPL", "us-stocks/IBM"]), {}, TypeError, "several datasets"),
        ("default", {"market": None}, TypeError, "market must be given"),
        ("default", {"cuts": [N - 1]}, ValueError, r"cuts\[0\]"),
        ("default", {"cuts": 0}, ValueError, "cuts"),
        ("default", {"tolerance": -1.0}, ValueError, "tolerance"),
        ("default", {"market": small_market(21)}, ValueError, "too few"),
        ({}, {"scaler": FeatureScaler()}, TypeError, "scaler"),
    ],
)
def test_a_wrong_argument_is_named(subject, keywords, error, message):
    if callable(subject):
        subject, keywords = subject(), {"market": None, **keywords}
    with pytest.raises(error, match=message):
        check_causality(subject, **{"market": small_market(), **keywords})


def test_an_env_that_makes_its_array_from_the_market_is_checked_and_a_vector_env_is_not():
    def make(market):
        return TradingEnv(market, features=market.close[:, None], window=3)

    assert "feature_0" in check_causality(make, small_market(), cuts=4).names
    with pytest.raises(TypeError, match="a vector env"):
        check_causality(lambda market: TradingVectorEnv(2, market), small_market())


class Peek(gym.Wrapper):
    """Shows a share of the next bar's return in the reward, from bar 100 on."""

    def step(self, action):
        obs, reward, terminated, truncated, info = self.env.step(action)
        closes, bar = self.unwrapped.task.closes, info["bar"]
        known = closes[min(bar + 1, len(closes) - 1)] / closes[bar] - 1.0 if bar >= 100 else 0.0
        return obs, reward + known, terminated, truncated, info


@pytest.mark.parametrize("length", [1, 2, 5, 11, 12, None])
def test_a_leak_is_caught_in_episodes_of_any_length(length):
    market = small_market(200)
    with pytest.raises(LookAheadError, match="reward"):
        check_causality(lambda m: Peek(TradingEnv(m, window=4, episode_length=length)), market)
    with pytest.raises(LookAheadError, match="reward"):
        check_causality(lambda m: gym.wrappers.TimeLimit(Peek(TradingEnv(m, window=4)), length or 7), market)


def test_metadata_and_a_parts_own_history_may_be_read():
    market = Market.from_arrays(small_market(200).close, metadata={"scale": 2.0})
    check_causality(lambda m: m.to_frame()[["close"]] * m.metadata["scale"], market)
    test = market.split(0.5)[1]
    check_causality(lambda m: (m.close / m.close[: max(m.first, 1)].mean())[:, None], test)


def test_every_bar_can_be_a_cut_and_none_cannot():
    report = check_causality("default", small_market(60), cuts=10**9)
    assert report.cuts == tuple(range(report.cuts[0], 59))
    with pytest.raises(ValueError, match="cuts must have at least one bar"):
        check_causality("default", small_market(60), cuts=[])
