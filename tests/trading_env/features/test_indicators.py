import sys

import numpy as np
import pytest
import talib

from trading_env.data.datasets import load
from trading_env.data.market import Market
from trading_env.features.build import feature_table

STOCK = load("us-stocks/AAPL").split(300 / 3270)[0]


def values(name):
    table = feature_table(STOCK, [name])
    return dict(zip(table.names, table.values.T, strict=True))


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("RSI_14", "RSI_14"),
        ("RSI", "RSI"),
        (("RSI", {"timeperiod": 14}), "RSI_14"),
        (["RSI", {"timeperiod": 14.0}], "RSI_14"),
        (("RSI", {}), "RSI_14"),
    ],
)
def test_one_indicator_in_several_spellings(name, column):
    got = values(name)
    assert list(got) == [column]
    np.testing.assert_array_equal(got[column], talib.RSI(STOCK.close, 14).astype(np.float32))


def test_a_rising_price_has_an_rsi_of_100():
    table = feature_table(Market.from_arrays(np.arange(1.0, 40.0)), ["RSI_14"])
    assert table.warmup == 14
    assert (table.values[14:] == 100).all()


def test_names_that_contain_one_another_are_told_apart():
    np.testing.assert_array_equal(
        values("LINEARREG_SLOPE_10")["LINEARREG_SLOPE_10"],
        talib.LINEARREG_SLOPE(STOCK.close, 10).astype(np.float32),
    )


def test_several_outputs_give_several_columns_or_the_chosen_one():
    expected = dict(zip(("macd", "macdsignal", "macdhist"), talib.MACD(STOCK.close, 5, 10, 3), strict=True))
    for name in ("MACD_5_10_3", ("MACD", {"fastperiod": 5, "slowperiod": 10, "signalperiod": 3})):
        got = values(name)
        assert list(got) == [f"MACD_5_10_3.{output}" for output in expected]
        for output, column in expected.items():
            np.testing.assert_array_equal(got[f"MACD_5_10_3.{output}"], column.astype(np.float32))
    chosen = values("MACD_5_10_3.macdhist")
    assert list(chosen) == ["MACD_5_10_3.macdhist"]
    np.testing.assert_array_equal(chosen["MACD_5_10_3.macdhist"], expected["macdhist"].astype(np.float32))


def test_fractions_are_parameters_and_no_outputs():
    expected = talib.BBANDS(STOCK.close, 20, 2.5, 1.5)[0].astype(np.float32)
    np.testing.assert_array_equal(values("BBANDS_20_2.5_1.5.upperband")["BBANDS_20_2.5_1.5.upperband"], expected)


def test_parameters_do_not_stay_from_one_call_to_the_next():
    values("RSI_3")
    np.testing.assert_array_equal(values("RSI")["RSI"], talib.RSI(STOCK.close, 14).astype(np.float32))


@pytest.mark.parametrize("name", ["RSI_14", "MACD", "OBV", "ADX_14", "HT_DCPERIOD", "VAR_20", "CDLDOJI"])
def test_no_later_bar_moves_an_indicator_by_a_bit(name):
    whole = feature_table(STOCK, [name]).values
    for cut in (100, 151, 250, 299):
        part = STOCK.split(cut / 300)[0]
        assert feature_table(part, [name]).values.tobytes() == whole[:cut].tobytes()


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("NOPE_14", ValueError, "unknown feature 'NOPE_14': no column, and TA-Lib has no indicator"),
        (("NOPE", {}), ValueError, "unknown indicator 'NOPE'"),
        ("RSI_14_3", ValueError, r"'RSI_14_3' has the parameters \['timeperiod'\], got 2 numbers"),
        (("RSI", {"period": 14}), ValueError, r"has the parameters \['timeperiod'\], got \['period'\]"),
        (("RSI", {"timeperiod": "x"}), TypeError, "timeperiod"),
        (("RSI", {"timeperiod": 14.5}), TypeError, "timeperiod"),
        ("RSI_1", ValueError, "indicator 'RSI_1': TA_RSI function failed"),
        ("MACD.signal", ValueError, r"'MACD' has the outputs \['macd', 'macdsignal', 'macdhist'\], got 'MACD.signal'"),
        ("MAVP", ValueError, r"indicator 'MAVP' needs \['periods'\]"),
        ("ACOS", ValueError, "feature 'ACOS'"),
    ],
)
def test_an_indicator_that_cannot_be_raises(name, error, message):
    with pytest.raises(error, match=message):
        feature_table(STOCK, [name])


def test_a_column_that_the_market_lacks_is_named():
    with pytest.raises(ValueError, match=r"indicator 'ADX_14' needs \['high', 'low'\], which 'market' lacks"):
        feature_table(Market.from_arrays(STOCK.close), ["ADX_14"])


def test_without_talib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "talib", None)
    message = r"feature 'RSI_14', no column of .*, needs talib: pip install 'trading-env\[talib\]'"
    with pytest.raises(ImportError, match=message):
        feature_table(STOCK, ["RSI_14"])
