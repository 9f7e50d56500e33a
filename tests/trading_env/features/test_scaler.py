import copy
import json
import pickle

import numpy as np
import pandas as pd
import pytest

from trading_env.data.market import Market
from trading_env.data.simulators import gbm
from trading_env.features.build import feature_table
from trading_env.features.scaler import FeatureScaler, scaled_features
from trading_env.features.table import FeatureTable

ROWS = np.array([[np.nan, 1.0], [2.0, 1.0], [4.0, 1.0], [9.0, 1.0]])


def market(rows=4):
    return Market.from_arrays(np.arange(1.0, rows + 1))


def test_fit_takes_mean_and_deviation_of_the_complete_rows():
    scaler = FeatureScaler().fit(feature_table(market(), ROWS))
    assert scaler.names_ == ("feature_0", "feature_1")
    assert scaler.mean_.tolist() == [5.0, 1.0]
    assert scaler.scale_ == pytest.approx([np.sqrt(26 / 3), 1.0])  # no spread: divided by 1
    table = scaler.transform(feature_table(market(), ROWS))
    assert table.values.dtype == np.float32
    assert table.warmup == 1
    assert table.values[1:, 0] == pytest.approx(np.array([-3, -1, 4]) / np.sqrt(26 / 3))
    assert (table.values[:, 1] == 0).all()


def test_equal_values_have_no_spread_even_if_their_mean_rounds():
    values = np.full((1000, 1), 0.1)
    scaler = FeatureScaler().fit(feature_table(market(1000), values))
    assert scaler.scale_.tolist() == [1.0]


def test_one_number_rounded_in_two_ways_has_no_spread():
    one = np.float32(0.1)
    values = np.where(np.arange(1000) % 2, one, np.nextafter(one, np.float32(1)))[:, None]
    assert FeatureScaler().fit(feature_table(market(1000), values)).scale_.tolist() == [1.0]
    years = np.repeat([2004.0, 2005.0], 500)[:, None]
    assert FeatureScaler().fit(feature_table(market(1000), years)).scale_.tolist() == [0.5]


def test_the_training_split_alone_decides():
    whole = gbm(400, seed=1)
    train, test = whole.split(0.5)
    scaler = FeatureScaler().fit(train)
    values = scaled_features(train, scaler=scaler).values[20:].astype(float)
    assert values.mean(axis=0) == pytest.approx(np.zeros(5), abs=1e-6)
    assert values.std(axis=0) == pytest.approx(np.ones(5), abs=1e-6)
    scaled = scaled_features(test, scaler=scaler)
    assert scaled.values[: len(train)].tobytes() == scaled_features(train, scaler=scaler).values.tobytes()
    assert scaled.values[200:].mean() != pytest.approx(0, abs=1e-3)


def test_history_before_the_first_decision_is_not_fitted_on():
    data = np.r_[np.full(5, 100.0), np.arange(5.0)][:, None]
    part = market(10).split(0.5)[1]
    assert FeatureScaler().fit(part, data).mean_.tolist() == [2.0]


def test_a_fitted_scaler_is_frozen():
    scaler = FeatureScaler().fit(market(30))
    with pytest.raises(ValueError, match="the scaler is fitted already"):
        scaler.fit(market(30))
    with pytest.raises(ValueError, match="read-only"):
        scaler.mean_[0] = 0.0


@pytest.mark.parametrize("twin", [lambda s: s, copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_no_attribute_can_be_rebound_nor_a_copys(twin):
    original = FeatureScaler().fit(market(30))
    scaler = twin(original)
    for name in ("names_", "mean_", "scale_", "other"):
        with pytest.raises(AttributeError, match=f"{name} of a FeatureScaler cannot be set"):
            setattr(scaler, name, getattr(scaler, name, None))
        with pytest.raises(AttributeError, match=f"{name} of a FeatureScaler cannot be set"):
            setattr(twin(FeatureScaler()), name, ())
    for values in (scaler.mean_, scaler.scale_):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0.0
    assert scaler.to_dict() == original.to_dict()
    assert not twin(FeatureScaler()).fitted


def test_other_columns_are_refused():
    scaler = FeatureScaler().fit(market(30), ["close"])
    with pytest.raises(ValueError, match=r"the scaler was fitted on \['close'\], got \['log_return_1'\]"):
        scaled_features(market(30), ["log_return_1"], scaler)


def test_an_unfitted_scaler_transforms_and_saves_nothing():
    with pytest.raises(ValueError, match="the scaler is not fitted: call fit on the training split first"):
        scaled_features(market(30), scaler=FeatureScaler())
    with pytest.raises(ValueError, match="the scaler is not fitted: there is nothing to save"):
        FeatureScaler().to_dict()


def test_something_else_is_no_scaler():
    with pytest.raises(TypeError, match=r"scaler must be a FeatureScaler, its to_dict\(\) or None, got 3"):
        scaled_features(market(30), scaler=3)


def test_json_brings_the_scaler_back_to_the_bit():
    table = feature_table(gbm(100, seed=0))
    scaler = FeatureScaler().fit(table)
    state = json.loads(json.dumps(scaler.to_dict()))
    back = FeatureScaler.from_dict(state)
    assert back.transform(table).values.tobytes() == scaler.transform(table).values.tobytes()
    assert scaled_features(gbm(100, seed=0), scaler=state).values.tobytes() == back.transform(table).values.tobytes()
    with pytest.raises(ValueError, match="fitted already"):
        back.fit(table)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"extra": 1}, ValueError, r"keys names, mean and scale, got \['extra', 'mean', 'names', 'scale'\]"),
        ({"mean": ["0", "1"]}, TypeError, "a scaler's mean must be real numbers"),
        ({"scale": [True, True]}, TypeError, "a scaler's scale must be real numbers"),
        ({"mean": [0.0]}, ValueError, "needs a mean and a scale for each of its names"),
        ({"names": [], "mean": [], "scale": []}, ValueError, "a scaler's mean must have at least one row"),
        ({"names": ["a", "a"]}, ValueError, r"names must differ, got \['a', 'a'\]"),
        ({"names": "ab"}, TypeError, "names must be a list of strings, got str: 'ab'"),
        ({"names": [["a"], "b"]}, TypeError, "names must be a list of strings"),
        ({"mean": 5.0}, ValueError, "a scaler's mean must be one-dimensional"),
        ({"mean": None}, (TypeError, ValueError), "a scaler's mean must be"),
        ({"mean": [0.0, float("nan")]}, ValueError, "mean must be finite"),
        ({"scale": [1.0, 0.0]}, ValueError, "scale finite and positive"),
    ],
)
def test_a_wrong_state_raises(change, error, message):
    with pytest.raises(error, match=message):
        FeatureScaler.from_dict({"names": ["a", "b"], "mean": [0.0, 0.0], "scale": [1.0, 1.0], **change})


@pytest.mark.parametrize("state", [None, 3, ["names", "mean", "scale"], "names", pd.DataFrame()])
def test_a_state_that_is_no_mapping_is_named(state):
    with pytest.raises(TypeError, match=f"a scaler's state must be a mapping, .*got {type(state).__name__}: "):
        FeatureScaler.from_dict(state)


@pytest.mark.parametrize("table", [None, np.zeros((3, 5)), pd.DataFrame({"close": [1.0]}), market(30)])
def test_something_else_than_a_table_is_not_transformed(table):
    for scaler in (FeatureScaler(), FeatureScaler().fit(market(30))):
        with pytest.raises(TypeError, match=f"a scaler transforms a FeatureTable.*got {type(table).__name__}: "):
            scaler.transform(table)


def test_fit_refuses_other_data_and_no_rows():
    with pytest.raises(TypeError, match="fitted on a Market, a Panel or a FeatureTable, got DataFrame"):
        FeatureScaler().fit(pd.DataFrame())
    incomplete = FeatureTable(np.full((2, 1), np.nan, np.float32), ("a",), 2)
    with pytest.raises(ValueError, match="no row to fit on: 2 rows, of which 2 are incomplete"):
        FeatureScaler().fit(incomplete)
