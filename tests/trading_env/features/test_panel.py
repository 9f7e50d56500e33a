import numpy as np
import pandas as pd
import pytest

from tests.trading_env.markets import gappy_panel, random_market
from trading_env import FeatureScaler, Market, Panel, load_panel
from trading_env.features.build import feature_table
from trading_env.features.panel import panel_features
from trading_env.features.scaler import scaled_features


def test_a_gap_of_one_instrument_moves_nothing_else():
    whole = gappy_panel(seed=3, gaps=0.0)
    markets = [whole.market(symbol) for symbol in whole.symbols]
    frame = markets[0].to_frame().drop(index=markets[0].time[[25, 26, 40]])
    gap = Panel.from_markets([Market.from_frame(frame, name="A"), *markets[1:]])
    before, after = (panel_features(panel).values for panel in (whole, gap))
    assert np.array_equal(before[:, 1:], after[:, 1:])
    own = feature_table(gap.market("A")).values
    assert np.array_equal(after[24:28, 0], own[[24, 24, 24, 25]]), "in the gap the last row stands"
    assert np.array_equal(after[45:, 0], own[42:])


def test_zeros_where_not_listed_or_incomplete_and_the_last_row_after_the_end():
    panel = gappy_panel(gaps=0.0)
    table = panel_features(panel, ["log_return_5", "close"])
    assert table.values.shape == (60, 4, 2)
    assert table.names == ("log_return_5", "close")
    assert not table.values[:5, 0].any(), "not even the close, before all features are complete"
    assert table.values[5, 0].all()
    assert not table.values[:25, 1].any(), "listed at row 20"
    assert table.values[25, 1].all()
    assert np.array_equal(table.values[40:, 2], np.tile(table.values[39, 2], (20, 1)))
    assert np.isfinite(table.values).all()


def test_one_instrument_has_the_features_of_its_market():
    market = random_market(4, 60, whole=True, since="2020-01-01")
    panel = Panel.from_markets([market])
    scaler = FeatureScaler().fit(panel)
    assert scaler.to_dict() == FeatureScaler().fit(market).to_dict()
    own, table = scaled_features(market, scaler=scaler), panel_features(panel, scaler=scaler)
    assert table.warmup == own.warmup
    assert np.array_equal(table.values[own.warmup :, 0], own.values[own.warmup :])


def test_the_panel_begins_with_its_first_complete_instrument():
    assert panel_features(gappy_panel(gaps=0.0)).warmup == 20
    late = Panel.from_markets(
        [
            random_market(0, 30, whole=True, since="2020-02-01", name="late"),
            random_market(1, 50, whole=True, since="2020-01-11", name="early"),
        ]
    )
    assert panel_features(late, ["log_return_5"]).warmup == 5


def test_an_instrument_too_short_for_its_features_is_zero_throughout():
    short = random_market(1, 3, whole=True, since="2020-02-20", name="new")
    panel = Panel.from_markets([random_market(0, 60, whole=True, since="2020-01-01", name="old"), short])
    assert not panel_features(panel).values[:, 1].any()
    part = panel.split("2020-02-01")[0]
    assert not panel_features(part, scaler=FeatureScaler().fit(panel)).values[:, 1].any(), "not listed in this part"
    with pytest.raises(ValueError, match="'panel' has no row with complete features"):
        panel_features(Panel.from_markets([short]))


def test_the_scaler_has_one_mean_and_deviation_for_all_instruments():
    train = gappy_panel(seed=2).split(0.2, 0.8)[1]
    rows = []
    for symbol in train.symbols:
        market = train.market(symbol)
        own = market.time >= train.time[train.first]
        table = feature_table(market, ["log_return_1", "close"])
        rows.append(table.values[np.flatnonzero(own)[0] :] if table.warmup <= own.argmax() else table.values[1:])
    rows = np.concatenate(rows).astype(float)
    scaler = FeatureScaler().fit(train, ["log_return_1", "close"])
    assert scaler.mean_ == pytest.approx(rows.mean(0), rel=1e-6)
    assert scaler.scale_ == pytest.approx(rows.std(0), rel=1e-6)


def test_an_instrument_without_a_bar_of_its_own_in_the_part_fits_nothing():
    panel = gappy_panel(seed=2, gaps=0.0)  # C ends at row 40
    test = panel.split(0.75)[1]
    others = Panel.from_markets([panel.market(symbol) for symbol in ("A", "B", "D")]).split(0.75)[1]
    assert FeatureScaler().fit(test).to_dict() == FeatureScaler().fit(others).to_dict()


def test_features_of_a_row_do_not_depend_on_later_rows():
    panel = gappy_panel(seed=5)
    whole = panel_features(panel).values
    for part in panel.split(0.5, 0.7):
        assert np.array_equal(panel_features(part).values, whole[: len(part)])


def test_callables_get_each_instruments_market_and_arrays_are_on_the_clock():
    panel = gappy_panel()
    table = panel_features(panel, lambda market: pd.DataFrame({"level": market.close / 100.0}))
    known = panel.own_rows >= 0
    assert table.names == ("level",)
    assert table.values[..., 0][known] == pytest.approx(panel.last_close[known] / 100.0, rel=1e-6)
    array = np.where(panel.tradable, panel.close / 100.0, -5.0)[..., None]
    assert np.array_equal(panel_features(panel, array).values, table.values)


def test_wrong_features_name_the_instrument():
    panel = gappy_panel()
    for features, error, message in (
        (np.zeros((60, 3, 2)), ValueError, r"features must be an array \(60, 4, F\), got shape \(60, 3, 2\)"),
        (["no_such"], ValueError, "'A': unknown feature 'no_such'"),
        (lambda market: market.close, ValueError, "'A': the feature callable's result must have shape"),
        (3, TypeError, "'A': features must be"),
        (lambda m: pd.DataFrame({m.name: m.close}), ValueError, r"the same features, but 'A' has \['A'\] and 'B'"),
    ):
        with pytest.raises(error, match=message):
            panel_features(panel, features)
    bad = np.ones((60, 4, 1))
    bad[50, 3] = np.inf
    with pytest.raises(ValueError, match=r"'D': feature 'feature_0' must be finite .* got inf at 2020-02-20"):
        panel_features(panel, np.where(panel.tradable[..., None], bad, 0.0))
    with pytest.raises(TypeError, match="scaler must be a FeatureScaler"):
        panel_features(panel, scaler=3)


def test_the_bundled_stocks_have_the_features_of_their_markets():
    panel = load_panel("us-stocks")
    table = panel_features(panel)
    own = feature_table(panel.market("GOOG"))
    rows = panel.listed[2] + np.arange(len(own))
    assert np.array_equal(table.values[rows[20:], 2], own.values[20:])
