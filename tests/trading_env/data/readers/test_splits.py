"""Splits that prices are not adjusted for are told by name and date, and adjusted on request; crashes are none."""

import warnings

import numpy as np
import pandas as pd
import pytest

from trading_env import load
from trading_env.data.datasets import _FOLDER
from trading_env.data.market import Market
from trading_env.data.readers.splits import adjusted_close

SIGMAS = (0.005, 0.02, 0.05)


def bars(seed=0, rows=300, sigma=0.02, first="2020-01-01"):
    """Bars of a market with gaps between its bars, in which nothing is split."""
    rng = np.random.default_rng(seed)
    gap, walk = rng.normal(0, sigma / 3, rows), rng.normal(0, sigma, (rows, 8)) / np.sqrt(8)
    inside = np.cumsum(walk, axis=1)
    start = np.log(100) + np.concatenate([[0], np.cumsum(gap + inside[:, -1])[:-1]]) + gap
    path = np.exp(np.concatenate([start[:, None], start[:, None] + inside], axis=1))
    data = {"Open": path[:, 0], "High": path.max(1), "Low": path.min(1), "Close": path[:, -1]}
    return pd.DataFrame({**data, "Volume": 1000.0}, index=pd.bdate_range(first, periods=rows, name="Date"))


def split(data, row, ratio):
    """The bars as they trade with a split of ratio:1 before ``row``."""
    data = data.copy()
    data.loc[data.index[row:], ["Open", "High", "Low", "Close"]] /= ratio
    data.loc[data.index[row:], "Volume"] *= ratio
    return data


def quiet(data, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load(data, **options)


PRICES = ["open", "high", "low", "close"]


@pytest.mark.parametrize("ratio", [2, 3, 4, 5, 7, 10, 20, 1 / 2, 1 / 4, 1 / 10])
@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("columns", [["Open", "High", "Low", "Close", "Volume"], ["Close"]])
def test_a_split_is_told_by_name_and_date_and_adjusted(ratio, sigma, columns):
    whole = bars(sigma=sigma)[columns]
    data = split(bars(sigma=sigma), 170, ratio)[columns]
    name = f"{ratio}:1" if ratio > 1 else f"1:{1 / ratio:g}"
    where = rf"2020-08-26 \(row 170\), as at a {name} split; load\(..., adjust=True\) .*, adjust=False takes"
    with pytest.warns(UserWarning, match=rf"^ACME: the price moves by .*% at {where}"):
        unadjusted = load(data, name="ACME")
    assert np.array_equal(unadjusted.close, data["Close"])
    assert np.array_equal(quiet(data, adjust=False).close, data["Close"])
    market = quiet(data, adjust=True)
    for column in columns:
        np.testing.assert_allclose(
            market.column(column.lower()), whole[column] * (ratio if column == "Volume" else 1 / ratio)
        )
    assert market.metadata["adjust"] == {"splits": [{"at": "2020-08-26 (row 170)", "ratio": ratio}]}


def test_splits_are_found_where_they_are_and_nowhere_else():
    found = wrong = 0
    for seed in range(100):
        whole = bars(seed, rows=250)
        quiet(whole)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            load(split(whole, 60 + seed, 2))
        found += any("a 2:1 split" in str(entry.message) for entry in caught)
        wrong += len(caught) > 1
    assert found >= 98
    assert wrong == 0


def test_several_splits_are_one_warning_and_all_adjusted(tmp_path):
    whole = bars()
    data = split(split(whole, 50, 2), 200, 10)
    data.to_csv(tmp_path / "acme.csv")
    with pytest.warns(
        UserWarning, match=r"^acme: .*2:1 split \(and so at 1 more, the last 2020-10-07 \(row 200\)\)"
    ) as told:
        load(tmp_path / "acme.csv")
    assert len(told) == 1
    np.testing.assert_allclose(quiet(tmp_path / "acme.csv", adjust=True).close, whole["Close"] / 20)


@pytest.mark.parametrize("fall", [0.2, 0.33, 0.4, 0.5, 0.6])
@pytest.mark.parametrize("columns", [["Open", "High", "Low", "Close"], ["Close"]])
def test_a_crash_with_wide_bars_after_it_is_no_split(fall, columns):
    for seed in range(20):
        calm, wild = bars(seed, 150), bars(seed + 100, 150, sigma=0.1)
        after = wild * (calm["Close"].iloc[-1] * (1 - fall) / wild["Open"].iloc[0])
        after.index = pd.bdate_range(calm.index[-1], periods=151)[1:]
        quiet(pd.concat([calm, after])[columns])


@pytest.mark.parametrize("fall", [0.3, 0.5, 0.6])
def test_a_fall_within_a_bar_is_no_split(fall):
    data = bars()
    data.iloc[150, 2] *= 1 - fall
    data.iloc[150, 3] = data.iloc[150, 2]
    data.loc[data.index[151:], ["Open", "High", "Low", "Close"]] *= 1 - fall
    quiet(data)


def test_a_move_by_three_quarters_is_always_a_question():
    data = bars()
    data.loc[data.index[150:], ["Open", "High", "Low", "Close"]] *= 0.2236
    told = r"by -78.0% at 2020-07-29 \(row 150\), more than prices do; no split has that ratio; load\(..., adjust=False"
    with pytest.warns(UserWarning, match=told):
        load(data)
    quiet(data, adjust=False)
    with pytest.raises(ValueError, match=r"adjust=True: the price moves by .* \(row 150\).* no adjusted closes"):
        load(data, adjust=True)


def test_markets_that_always_jump_and_short_ones_are_not_asked_about():
    rng = np.random.default_rng(0)
    quiet(pd.DataFrame({"Close": np.exp(rng.normal(0, 1.5, 500))}, index=pd.bdate_range("2020-01-01", periods=500)))
    quiet(pd.DataFrame({"Close": [1.0, 2.0, 4.0, 1.0]}, index=pd.bdate_range("2020-01-01", periods=4)))
    for ticker in ("AAPL", "FB", "GOOG", "IBM", "MSFT"):
        quiet(_FOLDER / "us-stocks" / f"{ticker}.csv.gz")


# -- adjusted closes

LABELS = ["Adj Close", "adj_close", "Adj. Close", "adjClose", "Adjusted_close", "5. adjusted close", "closeadj"]


@pytest.mark.parametrize("label", LABELS)
def test_adjusted_closes_far_from_the_closes_are_told_and_used(label):
    whole, traded = bars(), split(bars(), 170, 4)
    data = traded.assign(**{label: whole["Close"] / 4 * np.linspace(0.98, 1, 300)})
    assert adjusted_close(data.columns) == 5
    message = r"ACME: the adjusted close is far from the close, 0.245 to 1 times it, .* at 2020-08-26 \(row 170\)"
    with pytest.warns(UserWarning, match=message) as told:
        assert np.array_equal(load(data, name="ACME").close, data["Close"])
    assert len(told) == 1
    assert "adjust=True" in str(told[0].message)
    assert "adjust=False" in str(told[0].message)
    assert np.array_equal(quiet(data, adjust=False).close, data["Close"])
    market = quiet(data, adjust=True, columns=PRICES)
    np.testing.assert_allclose(market.close, data[label], rtol=1e-14)
    np.testing.assert_allclose(market.high / market.low, whole["High"] / whole["Low"])
    assert market.metadata["adjust"] == {"by": "adjusted close"}


def test_a_warning_comes_from_files_too_and_whatever_columns_are_kept(tmp_path):
    data = split(bars(), 170, 4).assign(**{"Adj Close": bars()["Close"] / 4})
    data.to_csv(tmp_path / "a.csv")
    with pytest.warns(UserWarning, match=r"^a: the adjusted close is far"):
        assert load(tmp_path / "a.csv", columns=PRICES).column_names == tuple(PRICES)
    np.testing.assert_allclose(quiet(tmp_path / "a.csv", adjust=True).close, data["Adj Close"])


def test_dividends_of_a_few_years_are_not_far():
    data = bars().assign(**{"Adj Close": bars()["Close"] * np.linspace(0.92, 1, 300)})
    assert np.array_equal(quiet(data).close, data["Close"])
    np.testing.assert_allclose(quiet(data, adjust=True).close, data["Adj Close"])
    far = data.assign(**{"Adj Close": data["Close"] * np.linspace(0.6, 1, 300)})
    with pytest.warns(UserWarning, match="far from the close, 0.6 to 1 times it"):
        load(far)


def test_adjusted_closes_that_are_the_closes_leave_the_question():
    data = split(bars(), 170, 4)
    data["Adj Close"] = data["Close"]
    with pytest.warns(UserWarning, match="4:1 split"):
        load(data)
    np.testing.assert_allclose(quiet(data, adjust=True).close, bars()["Close"] / 4)


def test_wrong_adjusted_closes_are_named():
    data = bars().assign(**{"Adj Close": bars()["Close"] * 0.95})
    data.iloc[7, 5] = -1.0
    with pytest.raises(
        ValueError, match=r"the adjusted close must be finite and positive, got -1.0 at 2020-01-10 \(row 7"
    ):
        load(data, adjust=True)
    data.iloc[7, 5] = np.nan
    assert len(load(data, adjust=True, on_missing="drop")) == 299
    with pytest.raises(TypeError, match="adjust must be a bool, got 'yes'"):
        load(data, adjust="yes")
    with pytest.raises(TypeError, match=r"\['adjust'\] apply to files and DataFrames only"):
        load("us-stocks/AAPL", adjust=True)
    assert Market.from_frame(bars(), adjust=True).metadata["adjust"] == {"splits": []}
