"""The page against the tested functions; hostile names; long and empty accounts."""

import math

import numpy as np
import plotly.graph_objects as go
import pytest

from tests.pages import Reader
from tests.trading_env.markets import random_market
from tests.trading_env.report.sheets import bars_of, column, crossing, curve, figure, read
from trading_env import Market, backtest, tear_sheet
from trading_env.analysis import metrics, periods, strategies, tails
from trading_env.report.arrays import values_of
from trading_env.report.colours import THEMES
from trading_env.report.measures import MINUS
from trading_env.report.tear_sheet import page_of

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}<b>&amp;%{x}"
CLOSES = {"window": 2, "fill": "next_close", "features": ["log_return_1"]}


# -- every number -----------------------------------------------------------------------------------------------


def test_every_number_of_the_tables_is_that_of_the_tested_function():
    result = crossing()
    numbers = column(read(result), "numbers") | column(read(result), "trading-numbers")
    month = periods.period_returns(result.equity, result.time, "month").returns
    year = periods.period_returns(result.equity, result.time, "year").returns
    trades, rate, returns = result.trades(), result.bars_per_year, result.returns
    expected = {
        "total return": metrics.total_return(result.equity),
        "return per year": metrics.annual_return(result.equity, rate),
        "volatility": metrics.annual_volatility(returns, rate),
        "Sharpe ratio": metrics.sharpe_ratio(returns, rate),
        "its standard error": metrics.sharpe_standard_error(returns, rate),
        "Sortino ratio": metrics.sortino_ratio(returns, rate),
        "Calmar ratio": metrics.calmar_ratio(result.equity, rate),
        "largest drawdown": metrics.max_drawdown(result.equity),
        "its length": metrics.max_drawdown_length(result.equity),
        "ulcer index": tails.ulcer_index(result.equity),
        "value at risk, 95%": tails.value_at_risk(returns),
        "expected shortfall, 95%": tails.expected_shortfall(returns),
        "skewness": tails.skewness(returns),
        "kurtosis": tails.kurtosis(returns),
        "best bar": returns.max(),
        "worst bar": returns.min(),
        "hit rate": metrics.hit_rate(returns),
        "best month": month.max(),
        "worst month": month.min(),
        "months with a gain": np.mean(month > 0.0),
        "best year": year.max(),
        "worst year": year.min(),
        "mean exposure": metrics.mean_exposure(result.exposure),
        "bars with a position": np.mean(result.exposure != 0.0),
        "turnover per year": metrics.annual_turnover(result.turnover, rate),
        "costs paid": metrics.cost_paid(result.commission, result.slippage),
        "break-even cost": metrics.break_even_cost(result.equity, result.turnover, result.commission + result.slippage),
        "trades": len(trades),
        "trades with a gain": np.mean(trades["net"] > 0.0),
        "profit factor": tails.profit_factor(trades["net"].to_numpy()),
        "bars held": trades["bars_held"].mean(),
    }
    assert numbers == pytest.approx(expected, rel=1e-12)


def test_the_charts_show_the_curves_the_calendar_and_the_worst_drawdowns():
    result = crossing()
    reader = read(result)
    (growth,) = figure(reader, "growth")["data"]
    kept = curve(reader, growth)
    assert kept[[0, -1]] == pytest.approx([0.0, result.total_return], rel=1e-6)
    assert -curve(reader, figure(reader, "drawdown")["data"][0]).min() == pytest.approx(result.max_drawdown, rel=1e-6)
    month = periods.period_returns(result.equity, result.time, "month")
    cells = [value for row in figure(reader, "monthly")["data"][0]["z"] for value in row if value is not None]
    assert cells == pytest.approx(month.returns.tolist())
    years = periods.period_returns(result.equity, result.time, "year")
    assert figure(reader, "yearly")["data"][0]["y"] == pytest.approx(years.returns.tolist())
    assert list(column(reader, "years").values()) == pytest.approx(years.returns.tolist())
    worst = periods.worst_drawdowns(result.equity)
    assert list(column(reader, "drawdowns", 3).values()) == pytest.approx([one.depth for one in worst])
    trading = figure(reader, "trades")["trading"]
    trades = result.trades()
    entry, exit_ = bars_of(reader, trading["trades"])
    assert entry == (trades["entry_bar"] - result.first).tolist()
    assert exit_ == (trades["exit_bar"] - result.first).tolist()
    assert curve(reader, trading["trades"], "net") == pytest.approx(trades["net"].to_numpy(), rel=1e-5)


def test_rolling_numbers_are_those_of_their_windows():
    result = crossing()
    reader = read(result)
    (trace,) = figure(reader, "rolling-sharpe")["data"]
    window = round(result.bars_per_year / 2)
    assert len(result.returns) // 4 < window, "the window is a quarter of this short test"
    window = len(result.returns) // 4
    values = curve(reader, trace)
    assert values[0] == pytest.approx(metrics.sharpe_ratio(result.returns[:window], result.bars_per_year), rel=1e-5)
    assert values[-1] == pytest.approx(metrics.sharpe_ratio(result.returns[-window:], result.bars_per_year), rel=1e-5)


def test_many_runs_have_median_and_range_and_a_choice_of_run():
    result = crossing(seeds=4)
    reader = read(result)
    total = result.total_return
    for place, measure in enumerate((np.median, np.min, np.max), start=1):
        assert column(reader, "numbers", place)["total return"] == pytest.approx(measure(total))
    low, high, middle = figure(reader, "growth")["data"]
    ends = [curve(reader, one)[-1] for one in (low, middle, high)]
    assert ends == pytest.approx([total.min(), np.median(total), total.max()], rel=1e-6)
    (select,) = [given for tag, given in reader.tags if tag == "select"]
    assert select["data-choice"] == "run"
    assert reader.book["charts"]["trades"]["figures"].keys() == {"0", "1", "2", "3"}
    year = periods.period_returns(result.equity[2], result.time, "year").returns
    assert figure(reader, "yearly", "2")["data"][0]["y"] == pytest.approx(year.tolist())


# -- names ------------------------------------------------------------------------------------------------------


def test_hostile_names_are_text_and_no_markup_or_script():
    result = crossing(name=HOSTILE)
    result.policy = HOSTILE
    harmless = read(crossing(), random_market(n=300, since="2018-01-01"), title="t")
    hostile = read(result, random_market(n=300, since="2018-01-01", name=HOSTILE), title=HOSTILE)
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in harmless.tags]
    assert len(hostile.scripts) == 3
    assert "alert" not in hostile.scripts[1] + hostile.scripts[2]
    text = page_of(result, title=HOSTILE).html()
    assert text.count("<script>") == 2
    assert "49" not in text.partition("</h1>")[0].partition("<h1>")[2]
    names = [trace["name"] for trace in figure(hostile, "growth")["data"]]
    assert all("<" not in name for name in names), "plotly reads tags in names"


# -- figures ----------------------------------------------------------------------------------------------------


def resolved(value, arrays, key=""):
    """What the page's script makes of a figure, with the colours of the light theme."""
    if isinstance(value, dict):
        return (
            values_of(arrays, value)
            if "$" in value
            else {name: resolved(one, arrays, name) for name, one in value.items()}
        )
    if isinstance(value, list):
        return [resolved(one, arrays, key) for one in value]
    if isinstance(value, str) and value.startswith("@"):
        return THEMES["light"][value[1:].partition("/")[0]]
    return value


def test_every_figure_is_valid_plotly_and_has_a_text():
    reader = read(crossing(seeds=3), random_market(seed=2, n=900, since="2018-01-01"))
    for chart in reader.book["charts"].values():
        for found in chart["figures"].values():
            assert found["alt"].endswith(".")
            if "data" in found:
                go.Figure(resolved(found["data"], reader.book["arrays"]), resolved(found["layout"], []))


# -- long, short, empty -----------------------------------------------------------------------------------------


def test_a_hundred_thousand_bars_stay_usable():
    result = backtest(
        strategies.buy_and_hold, random_market(n=100_000, volatility=1e-3, whole=True, since="1900-01-01")
    )
    page = page_of(result)
    reader = Reader(page.html())
    levels = figure(reader, "trades")["trading"]["market"]
    sizes = [len(curve(reader, level["columns"], "x")) for level in levels]
    assert sizes[0] == len(result.equity)
    assert 100 <= sizes[-1] <= 600
    size, coarsest = levels[-1]["bars"], levels[-1]["columns"]
    starts = range(0, sizes[0], size)
    for name, measure in (("open", lambda x: x[0]), ("high", np.max), ("low", np.min), ("close", lambda x: x[-1])):
        values = getattr(result.market, name)[result.first :]
        expected = [measure(values[start : start + size]) for start in starts]
        assert curve(reader, coarsest, name) == pytest.approx(expected, rel=1e-6)
    assert len(page.html()) < 15e6


def test_a_policy_that_never_trades_has_an_empty_page_and_no_wrong_number():
    reader = read(backtest(strategies.flat, random_market(n=300, since="2020-01-01"), **CLOSES))
    numbers = column(reader, "numbers")
    assert numbers["total return"] == 0.0
    assert numbers["Sharpe ratio"] is None
    assert {row[0][0]: row[1][0] for row in reader.tables["numbers"]}["Sharpe ratio"] == "n/a"
    assert column(reader, "trading-numbers")["trades"] == 0.0
    assert len(reader.tables["drawdowns"]) == 1
    assert bars_of(reader, figure(reader, "trades")["trading"]["trades"]) == ([], [])


def test_without_timestamps_there_are_no_months():
    reader = read(backtest(strategies.buy_and_hold, random_market(n=300), **CLOSES))
    assert "monthly" not in reader.book["charts"]
    assert "best month" not in column(reader, "numbers")
    assert math.isfinite(column(reader, "numbers")["total return"])


def test_a_ruin_ends_the_calendar_and_keeps_the_last_drawdown():
    close = np.concatenate([np.linspace(100.0, 120.0, 50), np.full(50, 1.0)])
    time = np.datetime64("2020-01-01", "ns") + np.arange(100) * np.timedelta64(1, "D")
    wild = backtest(
        lambda market: np.full(len(market), 3.0),
        Market(close, time=time),
        actions=[0.0, 3.0],
        margin={"max_leverage": 3.0},
        **CLOSES,
    )
    assert wild.equity[-1] < 0.0
    reader = read(wild)
    cells = [value for row in figure(reader, "monthly")["data"][0]["z"] for value in row if value is not None]
    assert len(cells) == 2
    falls = curve(reader, figure(reader, "drawdown")["data"][0])
    assert falls[-1] == falls.min() == pytest.approx(-wild.max_drawdown, rel=1e-6)


def test_the_page_is_written_whole_into_a_new_folder(tmp_path):
    path = tear_sheet(crossing(), tmp_path / "new" / "page.html", title="Mine")
    assert path.read_text().rstrip().endswith("</html>")
    assert "<title>Mine</title>" in path.read_text()
    assert [one.name for one in path.parent.iterdir()] == ["page.html"]


def test_losses_carry_a_minus_sign():
    assert any(MINUS in row[1][0] for row in read(crossing()).tables["numbers"][1:])
