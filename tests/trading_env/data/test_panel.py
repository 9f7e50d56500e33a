import copy
import itertools
import json
import pickle

import numpy as np
import pandas as pd
import pytest

from tests.trading_env.markets import gappy_panel, random_market
from trading_env import Market, Panel, load

DAYS = np.arange("2020-01-01", "2020-01-11", dtype="datetime64[D]").astype("datetime64[ns]")


def market(name, rows, **fields):
    """A market with bars on these days; its closes tell the day: 10 on the first."""
    close = 10.0 + np.asarray(rows, float)
    return Market.from_arrays(close, open=close - 0.5, volume=100.0 * close, time=DAYS[list(rows)], name=name, **fields)


def small():
    """A on all ten days but two, B listed on the fourth day, C delisted after the fifth."""
    return Panel.from_markets([market("A", [0, 1, 2, 5, 6, 7, 8, 9]), market("B", range(3, 10)), market("C", range(5))])


# -- one clock


def test_an_instrument_with_a_gap_at_the_end_of_a_part_is_not_delisted_there():
    part, rest = small().split("2020-01-05")
    assert part.ends.tolist() == [4, 4, 4]  # A's gap and C's last bar lie at the cut: nobody's bars have ended yet
    assert rest.ends.tolist() == [10, 10, 4]
    assert small().split("2020-01-06")[0].ends.tolist() == [5, 5, 4]


def test_the_clock_is_the_union_and_nothing_is_filled():
    panel = small()
    assert panel.symbols == ("A", "B", "C")
    assert np.array_equal(panel.time, DAYS)
    assert panel.tradable.T.astype(int).tolist() == [
        [1, 1, 1, 0, 0, 1, 1, 1, 1, 1],
        [0, 0, 0, 1, 1, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
    ]
    for name in ("open", "close", "volume"):
        assert np.array_equal(np.isfinite(panel.column(name)), panel.tradable)
    assert panel.close[panel.tradable].tolist() == (10.0 + np.nonzero(panel.tradable)[0]).tolist()
    assert panel.high is None
    assert panel.low is None
    assert panel.listed.tolist() == [0, 3, 0]
    assert panel.ends.tolist() == [10, 10, 4]


def test_a_position_is_worth_its_last_close():
    nan = np.nan
    assert np.array_equal(
        small().last_close.T,
        [
            [10, 11, 12, 12, 12, 15, 16, 17, 18, 19],
            [nan, nan, nan, 13, 14, 15, 16, 17, 18, 19],
            [10, 11, 12, 13, 14, 14, 14, 14, 14, 14],
        ],
        equal_nan=True,
    )
    assert small().own_rows[:, 1].tolist() == [-1, -1, -1, 0, 1, 2, 3, 4, 5, 6]


def test_market_gives_back_the_bars_of_an_instrument():
    markets = [market("A", [0, 1, 2, 5]), market("B", range(3, 10), bars_per_year=300.0)]
    panel = Panel.from_markets(markets)
    for given in markets:
        back = panel.market(given.name)
        assert back.fingerprint == given.fingerprint
        assert back.bars_per_year == given.bars_per_year
    with pytest.raises(ValueError, match=r"'panel' has no instrument 'Aa'; it has \['A', 'B'\]; did you mean 'A'"):
        panel.market("Aa")


def test_arrays_are_read_only_and_copies_are_shared():
    panel = small()
    arrays = (panel.close, panel.tradable, panel.time, panel.ends, panel.last_close, panel.own_rows, panel.rates)
    for values in arrays:
        with pytest.raises(ValueError, match="read-only"):
            values[0] = values[1]
    with pytest.raises(TypeError):
        panel.columns["close"] = panel.close
    with pytest.raises(AttributeError):
        panel.first = 3
    assert copy.deepcopy(panel) is copy.copy(panel) is panel
    back = pickle.loads(pickle.dumps(panel.split(0.5)[1]))
    assert back.fingerprint == panel.split(0.5)[1].fingerprint
    assert not back.close.flags.writeable


# -- parts


def test_parts_keep_all_instruments_and_their_history():
    panel = small()
    train, test = panel.split("2020-01-03")
    assert (len(train), train.first, len(test), test.first) == (2, 0, 10, 2)
    assert train.symbols == test.symbols == panel.symbols
    assert train.listed.tolist() == [0, 2, 0]
    assert test.market("B").first == 0
    assert test.market("A").first == 2
    with pytest.raises(ValueError, match=r"'B' has no bar before this part of 'panel' ends: 2020-01-02 \(row 1\)"):
        train.market("B")
    assert train.close.base is not None, "a part is a view"


def test_a_part_knows_nothing_of_what_comes_after_it():
    panel = gappy_panel(seed=1)
    cut = panel.time[24]
    rest = [panel.market(symbol) for symbol in panel.symbols]
    train = panel.split(str(cut))[0]
    changed = [
        Market.from_arrays(np.where(m.time < cut, m.close, 2.0 * m.close), time=m.time, name=m.name) for m in rest
    ]
    part = Panel.from_markets(changed).split(str(cut))[0]
    assert np.array_equal(part.close, train.close, equal_nan=True)
    assert part.ends.tolist() == train.ends.tolist()
    assert panel.close[-1].tobytes() in pickle.dumps(panel)
    assert panel.close[-1].tobytes() not in pickle.dumps(train)


def test_the_panel_of_parts_begins_after_the_history_of_all():
    a, b = market("A", [0, 1, 2, 5, 6, 7]), market("B", range(3, 10))
    parts = [each.split("2020-01-05")[1] for each in (a, b)]  # A's first bar then is on the sixth day, B's on the fifth
    assert Panel.from_markets(parts).first == 4
    assert Panel.from_markets([parts[0], b]).first == 3


def test_a_market_without_a_bar_after_first_stands_at_its_last():
    assert small().split("2020-01-08")[1].market("C").first == 4


def test_split_takes_fractions_and_names_bad_cuts():
    assert [part.first for part in small().split(0.3, 0.5)] == [0, 3, 5]
    with pytest.raises(ValueError, match="split: cut '2021-01-01' falls on row 10"):
        small().split("2021-01-01")
    with pytest.raises(TypeError, match="split: a cut must be a date or a float"):
        small().split(3)


# -- facts


def test_facts_shared_by_all_are_the_panels_and_the_others_stand_by_symbol():
    a = market("A", range(10), metadata={"source": "x", "note": "a", "survivorship_biased": False})
    b = market("B", range(10), metadata={"source": "x", "survivorship_biased": True})
    panel = Panel.from_markets([a, b], metadata={"terms": "free"})
    assert panel.metadata == {
        "source": "x",
        "instruments": {"A": {"note": "a", "survivorship_biased": False}, "B": {"survivorship_biased": True}},
        "survivorship_biased": True,
        "terms": "free",
    }
    assert panel.market("A").metadata["survivorship_biased"] is False
    assert "survivorship_biased" not in Panel.from_markets([a, market("B", range(10))]).metadata
    json.dumps(panel.metadata)


def test_columns_that_some_lack_are_left_out_and_named():
    closes = Market.from_arrays(np.arange(1.0, 11.0), time=DAYS, name="V", columns={"yield": np.ones(10)})
    panel = Panel.from_markets([market("A", range(10)), closes])
    assert list(panel.columns) == ["close"]
    assert panel.open is None
    assert panel.metadata["left_out"] == {"open": ["V"], "volume": ["V"], "yield": ["A"]}
    with pytest.raises(ValueError, match=r"'panel' has no column 'open', which \['V'\] lack"):
        panel.column("open")


def test_bars_per_year_is_that_of_all_or_of_the_clock_or_given():
    stock = random_market(0, 40, time=pd.bdate_range("2020-01-01", periods=40), name="stock")
    coin = random_market(1, 56, time=pd.date_range("2020-01-01", periods=56), name="coin")
    assert Panel.from_markets([stock]).bars_per_year == 252.0
    mixed = Panel.from_markets([stock, coin])
    assert mixed.bars_per_year == 365.0
    assert [mixed.market(symbol).bars_per_year for symbol in mixed.symbols] == [252.0, 365.0]
    assert Panel.from_markets([stock, coin], bars_per_year=360.0).bars_per_year == 360.0


def test_repr_and_fingerprint():
    panel = small()
    assert repr(panel) == "<Panel 'panel': 3 instruments (A, B, C), 10 rows, 2020-01-01 to 2020-01-10>"
    assert repr(panel.split(0.5)[1]).endswith("5 rows after 5 of history, 2020-01-06 to 2020-01-10>")
    others = [panel.split(0.5)[0], panel.split(0.5)[1], Panel.from_markets([panel.market("A"), panel.market("B")])]
    assert len({each.fingerprint for each in (panel, *others)}) == 4
    assert small().fingerprint == panel.fingerprint


def test_the_long_frame_has_a_row_for_each_bar():
    frame = small().to_frame()
    assert list(frame.columns) == ["time", "symbol", "open", "close", "volume"]
    assert len(frame) == 20
    assert Panel.from_frame(frame).fingerprint == small().fingerprint


# -- bad input


def zoned(name, zone, hours=range(8)):
    time = pd.DatetimeIndex([f"2020-01-06 1{h % 10}:00" for h in hours]).tz_localize(zone)
    return Market.from_arrays(np.arange(1.0, len(time) + 1.0), time=time, name=name)


def test_instruments_need_one_kind_of_time():
    dates, plain = market("A", range(10)), Market.from_arrays([1.0, 2.0], name="P")
    york, sydney = zoned("Y", "America/New_York"), zoned("S", "Australia/Sydney")
    kinds = {
        "dates": dates,
        "no timestamps": plain,
        "times in America/New_York": york,
        "times in Australia/Sydney": sydney,
    }
    for (a, left), (b, right) in itertools.permutations(kinds.items(), 2):
        with pytest.raises(ValueError, match=f"one kind of time, but '{left.name}' has {a} and '{right.name}' has {b}"):
            Panel.from_markets([left, right])
    hours = Market.from_arrays([1.0, 2.0], time=["2020-01-01 09:00", "2020-01-01 10:00"], name="H")
    with pytest.raises(ValueError, match="'A' has dates and 'H' has times without a time zone"):
        Panel.from_markets([dates, hours])


def test_one_zone_keeps_local_time():
    panel = Panel.from_markets([zoned("A", "America/New_York"), zoned("B", "America/New_York", [1, 9])])
    assert panel.tz == "America/New_York"
    assert panel.time_of(0) == "2020-01-06T10:00 (row 0)"
    assert len(panel) == 9
    assert panel.split("2020-01-06 15:00")[1].first == 5


def test_without_timestamps_rows_are_aligned_by_number():
    a, b = (Market.from_arrays(np.arange(1.0, n + 1.0), name=f"M{n}") for n in (5, 6))
    panel = Panel.from_markets([a, a], ["x", "y"])
    assert panel.time is None
    assert panel.tradable.all()
    assert panel.market("y").fingerprint == a.fingerprint
    with pytest.raises(ValueError, match="need equally many bars, but 'M5' has 5 and 'M6' has 6"):
        Panel.from_markets([a, b])


def test_wrong_arguments_are_named():
    a = market("A", range(10))
    for given, error, message in (
        (([a, a],), ValueError, "each symbol must occur once, got 'A' twice"),
        (([],), ValueError, "at least one Market"),
        ((a,), TypeError, "markets must be a list of Markets"),
        ((["us-stocks/AAPL"],), TypeError, "market must be a Market, got 'us-stocks/AAPL'"),
        (([a], ["A", "B"]), ValueError, "symbols must name 1 markets, got 2"),
        (([a], [3]), TypeError, "a symbol must be a non-empty string, got 3"),
    ):
        with pytest.raises(error, match=message):
            Panel.from_markets(*given)
    with pytest.raises(TypeError, match="name must be a non-empty string"):
        Panel.from_markets([a], name="")
    with pytest.raises(ValueError, match="bars_per_year must be a finite number above 0"):
        Panel.from_markets([a], bars_per_year=-1.0)
    with pytest.raises(TypeError, match="metadata must hold JSON values"):
        Panel.from_markets([a], metadata={"x": object()})


def test_bundled_names_lose_their_folder():
    assert Panel.from_markets([load("us-stocks/AAPL"), load("us-stocks/FB")]).symbols == ("AAPL", "FB")
