import math
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading_env import markets
from trading_env.data.market import Market
from trading_env.features import build
from trading_env.features.build import default_features, feature_table
from trading_env.features.named import NAMED_FEATURES, NamedFeature, volume_change

DEFAULTS = ("log_return_1", "log_return_5", "log_return_20", "range", "volume_change", "volatility_20")
DAYS = pd.bdate_range("2020-01-01", periods=200).to_numpy()


def random_market(rows, seed=0, **changes):
    return markets.random_market(seed, rows, 0.02, whole=True, **{"time": DAYS[:rows], **changes})


def bits(table, stop):
    return table.values[:stop].tobytes()


# -- the default set


def test_default_features_by_hand():
    # a price that doubles each bar, then stays; volume 1, 2, 3, ...
    close = [2.0 ** min(t, 22) for t in range(25)]
    market = Market.from_arrays(close, high=[2 * c for c in close], low=[c / 2 for c in close], volume=range(1, 26))
    table = feature_table(market)
    assert table.names == DEFAULTS
    assert table.warmup == 20
    values = dict(zip(table.names, table.values.T, strict=True))
    log2 = math.log(2)
    assert values["log_return_1"][[1, 22, 23]] == pytest.approx([log2, log2, 0])
    assert values["log_return_5"][[5, 22, 24]] == pytest.approx([5 * log2, 5 * log2, 3 * log2])
    assert values["log_return_20"][[20, 24]] == pytest.approx([20 * log2, 18 * log2])
    assert values["range"] == pytest.approx(np.full(25, 2 * log2))
    assert values["volume_change"][19] == pytest.approx(20 / 10.5 - 1)  # mean of 1..20
    assert values["volume_change"][24] == pytest.approx(25 / 15.5 - 1)  # mean of 6..25
    assert values["volatility_20"][22] == pytest.approx(0, abs=1e-7)
    assert values["volatility_20"][24] == pytest.approx(log2 * math.sqrt(0.9 * 0.1))  # 18 ones, 2 zeros


def test_default_features_agree_with_pandas():
    market = random_market(200)
    frame = market.to_frame()
    returns = np.log(frame["close"]).diff()
    expected = pd.DataFrame(
        {
            "log_return_1": returns,
            "log_return_5": np.log(frame["close"]).diff(5),
            "log_return_20": np.log(frame["close"]).diff(20),
            "range": np.log(frame["high"] / frame["low"]),
            "volume_change": frame["volume"] / frame["volume"].rolling(20).mean() - 1,
            "volatility_20": returns.rolling(20).std(ddof=0),
        }
    )
    np.testing.assert_allclose(feature_table(market).values, expected, rtol=1e-5, atol=1e-6)


def test_a_new_named_feature_is_found_by_its_name_and_is_not_a_default(monkeypatch):
    market = random_market(40)
    before = feature_table(market)
    monkeypatch.setitem(NAMED_FEATURES, "gap", NamedFeature(("open", "close"), 1, lambda o, c: o[1:] / c[:-1] - 1.0))
    after = feature_table(market)
    assert after.names == before.names == DEFAULTS
    assert after.values.tobytes() == before.values.tobytes()
    gaps = feature_table(market, ["gap"]).values[1:, 0]
    np.testing.assert_allclose(gaps, market.open[1:] / market.close[:-1] - 1.0, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("size", [9e306, 1.7e308])
def test_volume_change_of_volumes_whose_sum_is_too_large(size):
    volume = np.where(np.arange(60) < 30, 0.0, size)
    volume[::7] *= 0.5
    values = feature_table(random_market(60, volume=volume), ["volume_change"]).values
    expected = feature_table(random_market(60, volume=volume / 2.0**64), ["volume_change"]).values
    assert np.array_equal(values, expected, equal_nan=True)
    assert values[-1] > 0
    assert np.array_equal(volume_change(volume, 20), volume_change(volume / 2.0**64, 20))


def test_volume_change_is_zero_where_nothing_traded():
    market = random_market(60, volume=np.concatenate([np.zeros(30), np.ones(30)]))
    values = feature_table(market, ["volume_change"]).values[:, 0]
    assert (values[19:30] == 0).all()
    assert values[30] == 19.0


def test_a_giant_of_the_past_does_not_blur_later_rows():
    volume = np.r_[1e17, np.full(59, 100.0)]
    assert (feature_table(random_market(60, volume=volume), ["volume_change"]).values[20:] == 0).all()


@pytest.mark.parametrize(
    ("missing", "left"),
    [
        (("volume",), ("log_return_1", "log_return_5", "log_return_20", "range", "volatility_20")),
        (("high", "low"), ("log_return_1", "log_return_5", "log_return_20", "volume_change", "volatility_20")),
        (("open", "high", "low", "volume"), ("log_return_1", "log_return_5", "log_return_20", "volatility_20")),
    ],
)
def test_the_default_set_leaves_out_what_the_market_lacks(missing, left):
    market = random_market(40, **dict.fromkeys(missing))
    assert default_features(market) == feature_table(market).names == left
    with pytest.raises(ValueError, match=r"feature 'range' needs \['high', 'low'\]|'volume_change' needs \['volume'\]"):
        feature_table(market, DEFAULTS)


def test_values_are_float32_contiguous_and_read_only_also_after_pickling():
    table = feature_table(random_market(40))
    for each in (table, pickle.loads(pickle.dumps(table))):
        assert each.values.dtype == np.float32
        assert each.values.flags.c_contiguous
        assert each.warmup == 20
        with pytest.raises(ValueError, match="read-only"):
            each.values[0, 0] = 1.0


# -- causality, bit for bit


@pytest.mark.parametrize("chunk", [7, 1 << 16])
def test_no_later_bar_moves_a_row_by_a_bit(monkeypatch, chunk):
    monkeypatch.setattr(build, "_CHUNK", chunk)
    rows = 120
    whole = feature_table(random_market(rows))
    one, other = (markets.random_bars(seed, rows, 0.02) for seed in (0, 1))
    for cut in range(21, rows):
        cut_off = random_market(rows).split(cut / rows)[0]
        assert len(cut_off) == cut
        assert bits(feature_table(cut_off), cut) == bits(whole, cut)
        mixed = {key: np.concatenate([one[key][:cut], 1e3 * other[key][cut:]]) for key in one}
        changed = feature_table(Market.from_arrays(**mixed, time=DAYS[:rows]))
        assert bits(changed, cut) == bits(whole, cut)
        assert (changed.values[cut] != whole.values[cut]).any()


def test_chunks_do_not_show(monkeypatch):
    whole = feature_table(random_market(200))
    monkeypatch.setattr(build, "_CHUNK", 3)
    assert bits(feature_table(random_market(200)), 200) == bits(whole, 200)


def test_a_split_with_history_has_the_rows_of_the_whole():
    market = random_market(200)
    whole = feature_table(market)
    for part in market.split(0.4, 0.7):
        table = feature_table(part)
        assert table.warmup == 20
        assert bits(table, len(part)) == bits(whole, len(part))


@given(st.integers(0, 2**32 - 1), st.integers(22, 90), st.floats(1e-3, 1e3))
@settings(max_examples=50)
def test_default_features_are_scale_free(seed, rows, scale):
    data = markets.random_bars(seed, rows)
    one = feature_table(Market.from_arrays(**data)).values
    other = feature_table(Market.from_arrays(**{k: v * scale for k, v in data.items()})).values
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


# -- features by name, callable and array


def test_columns_of_the_market_come_by_name_before_all_others():
    market = random_market(40, columns={"Adj Close": np.arange(40.0), "range": np.full(40, 7.0)})
    table = feature_table(market, ["close", "Adj Close", "range", "log_return_5"])
    assert table.names == ("close", "Adj Close", "range", "log_return_5")
    assert np.array_equal(table.values[:, 0], market.close.astype(np.float32))
    assert (table.values[:, 2] == 7).all()
    assert table.warmup == 5


def test_the_default_set_is_computed_whatever_the_markets_columns_are_called():
    plain = random_market(40)
    named = random_market(40, columns={name: np.full(40, 7.0) for name in DEFAULTS})
    assert bits(feature_table(named), 40) == bits(feature_table(plain), 40)
    assert feature_table(named).names == DEFAULTS
    assert (feature_table(named, DEFAULTS).values == 7).all()


def test_leading_nan_of_a_column_count_as_warmup():
    column = np.r_[np.full(33, np.nan), np.ones(7)]
    assert feature_table(random_market(40, columns={"x": column}), ["x", "log_return_1"]).warmup == 33


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame])
def test_callables_and_arrays_give_tables(kind):
    market = random_market(40)

    def two(market):
        return kind(np.stack([market.close, market.open], axis=1))

    by_call = feature_table(market, two)
    assert by_call.values.tolist() == np.float32([market.close, market.open]).T.tolist()
    assert len(by_call.names) == 2
    array = np.array(two(market))
    by_array = feature_table(market, array)
    assert by_array.names == ("feature_0", "feature_1")
    array[:] = 0.0
    assert np.array_equal(by_array.values, by_call.values)


def test_a_callables_frame_names_its_columns():
    table = feature_table(random_market(40), lambda m: m.to_frame()[["close"]].pct_change().rename(columns=str.upper))
    assert table.names == ("CLOSE",)
    assert table.warmup == 1


def with_hole(market):
    return pd.DataFrame({"a": np.ones(40), "b": np.r_[np.ones(5), np.nan, np.ones(34)]})


@pytest.mark.parametrize(
    ("given_features", "error", "message"),
    [
        ("close", TypeError, "features must be 'default', a list of names, a callable or an array .*, got 'close'"),
        (None, TypeError, "features must be 'default', a list of names"),
        ([], ValueError, "features must have at least one name"),
        (["nope"], ValueError, r"unknown feature 'nope'; known: \['log_return_1'.*columns \['open'.*'doy'.*RSI_14"),
        ([3], ValueError, "unknown feature 3; known"),
        (["close", "close"], ValueError, "features must have different names, got 'close' twice"),
        (np.ones(40), ValueError, r"features must have shape \(40, F\) with F >= 1, got \(40,\)"),
        (np.ones((39, 2)), ValueError, r"features must have shape \(40, F\) with F >= 1, got \(39, 2\)"),
        (np.ones((40, 0)), ValueError, r"features must have shape \(40, F\) with F >= 1, got \(40, 0\)"),
        (np.full((40, 1), "a"), TypeError, "features must hold real numbers, got dtype <U1"),
        (np.full((40, 1), True), TypeError, "features must hold real numbers, got dtype bool"),
        (np.full((40, 1), np.nan), ValueError, "feature 'feature_0' has no value: 40 rows are too few"),
        (np.full((40, 1), 1e39), ValueError, r"feature 'feature_0' must be finite .* got inf at 2020-01-01 \(row 0\)"),
        (lambda m: m.close, ValueError, r"callable's result must have shape \(40, F\)"),
        (with_hole, ValueError, r"feature 'b' must be finite .* got nan at 2020-01-08 \(row 5\)"),
        (lambda m: m.to_frame().dropna().shift(freq="D"), ValueError, "must have the market's dates, got 2020-01-02"),
    ],
)
def test_features_that_cannot_be_raise(given_features, error, message):
    with pytest.raises(error, match=message):
        feature_table(random_market(40), given_features)


def test_a_return_beyond_float64_raises_and_does_not_warn():
    market = Market.from_arrays([1e308, 1e-308, *np.ones(30)])
    with pytest.raises(ValueError, match=r"feature 'log_return_1' must be finite .* got -inf at row 1"):
        feature_table(market)


def test_too_few_rows_raise():
    with pytest.raises(ValueError, match="feature 'log_return_20' has no value: 20 rows are too few for it"):
        feature_table(random_market(20))
    assert len(feature_table(random_market(21))) == 21
