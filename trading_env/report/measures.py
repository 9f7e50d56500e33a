"""The rows of a tear sheet's table: each a tested function of the curves, with its unit and definition. K = runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from trading_env.analysis import metrics, periods, relative, tails
from trading_env.analysis.tracks import METRICS, Floats
from trading_env.report.account import Account

MINUS = "\N{MINUS SIGN}"


def percent(value: float) -> str:
    """0.1234 as "12.3%"; very large ones as a power of ten."""
    return _shown(value, lambda x: f"{x:z,.1%}" if abs(x) < 1e4 else f"{100.0 * x:.1e}%")


def decimal(value: float) -> str:
    """1.234 as "1.23"."""
    return _shown(value, lambda x: f"{x:z,.2f}")


def whole(value: float) -> str:
    """1234.5 as "1,234"; halves stay."""
    return _shown(value, lambda x: f"{x:z,.0f}" if x == int(x) else f"{x:z,.1f}")


def points(value: float) -> str:
    """0.0005 as "5.0 bps"."""
    return _shown(value, lambda x: f"{1e4 * x:z,.1f} bps")


def _shown(value: float, form: Callable[[float], str]) -> str:
    if math.isnan(value):
        return "n/a"
    return ("∞" if value > 0 else f"{MINUS}∞") if math.isinf(value) else form(value).replace("-", MINUS)


class Measure(NamedTuple):
    """A number of each run."""

    name: str
    meaning: str
    form: Callable[[float], str]
    of: Callable[[Account, int], float]
    needs: Sequence[str] = ()
    """Curves of the tracks; "time" or "trades" if these must be known."""


def _metric(name: str) -> Callable[[Account, int], float]:
    return lambda account, k: METRICS[name](account.tracks.run(k))


def _returns(measure: Callable[[Floats], float]) -> Callable[[Account, int], float]:
    return lambda account, k: measure(account.tracks.returns[k])


def _period(unit: str, measure: Callable[[Floats], float]) -> Callable[[Account, int], float]:
    def of(account: Account, k: int) -> float:
        equity = account.until_ruin(k)
        assert account.time is not None
        return measure(periods.period_returns(equity, account.time[: equity.size], unit).returns)

    return of


def _trade(column: str, measure: Callable[[Any], float]) -> Callable[[Account, int], float]:
    def of(account: Account, k: int) -> float:
        values = account.trades[k][column].to_numpy(np.float64) if account.trades is not None else np.empty(0)
        return measure(values) if values.size else math.nan

    return of


def _gains(values: Floats) -> float:
    """Share of gains."""
    return float(np.mean(values > 0.0))


def _count(account: Account, k: int) -> float:
    return float(len(account.trades[k])) if account.trades is not None else math.nan


STRATEGY = (
    Measure("total return", "Last equity over first, minus 1.", percent, _metric("total_return")),
    Measure("return per year", "Total return, compounded to a year.", percent, _metric("annual_return")),
    Measure("volatility", "Standard deviation of the bars' returns, per year.", percent, _metric("annual_volatility")),
    Measure(
        "Sharpe ratio",
        "Mean return over its standard deviation, per year, without a risk-free rate.",
        decimal,
        _metric("sharpe_ratio"),
    ),
    Measure(
        "its standard error", "Lo's, for independent returns, per year.", decimal, _metric("sharpe_standard_error")
    ),
    Measure(
        "Sortino ratio",
        "Mean return over the root mean square of the losses, per year.",
        decimal,
        _metric("sortino_ratio"),
    ),
    Measure("Calmar ratio", "Return per year over the largest drawdown.", decimal, _metric("calmar_ratio")),
    Measure("largest drawdown", "Largest loss from an earlier peak of equity.", percent, _metric("max_drawdown")),
    Measure(
        "its length", "Bars from that peak until equity is back, or to the end.", whole, _metric("max_drawdown_length")
    ),
    Measure(
        "ulcer index",
        "Root of the mean squared drawdown.",
        percent,
        lambda account, k: tails.ulcer_index(account.until_ruin(k)),
    ),
    Measure(
        "value at risk, 95%", "Loss of a bar that one bar in twenty exceeds.", percent, _returns(tails.value_at_risk)
    ),
    Measure("expected shortfall, 95%", "Mean loss of these bars.", percent, _returns(tails.expected_shortfall)),
    Measure("skewness", "Third standardised moment of the bars' returns.", decimal, _returns(tails.skewness)),
    Measure("kurtosis", "Fourth standardised moment; 3 for a normal distribution.", decimal, _returns(tails.kurtosis)),
    Measure("best bar", "Largest return of a bar.", percent, _returns(tails.best)),
    Measure("worst bar", "Smallest return of a bar.", percent, _returns(tails.worst)),
    Measure("hit rate", "Share of gains among the bars with a gain or a loss.", percent, _metric("hit_rate")),
    Measure("best month", "Largest return of a calendar month.", percent, _period("month", tails.best), ("time",)),
    Measure("worst month", "Smallest return of a calendar month.", percent, _period("month", tails.worst), ("time",)),
    Measure("months with a gain", "Share of calendar months.", percent, _period("month", _gains), ("time",)),
    Measure("best year", "Largest return of a calendar year.", percent, _period("year", tails.best), ("time",)),
    Measure("worst year", "Smallest return of a calendar year.", percent, _period("year", tails.worst), ("time",)),
)
TRADING = (
    Measure(
        "mean exposure", "1 is fully invested, negative is short.", percent, _metric("mean_exposure"), ("exposure",)
    ),
    Measure(
        "bars with a position",
        "Share of bars at whose close a position is held.",
        percent,
        lambda account, k: float(np.mean(np.abs(account.tracks.exposure[k]) > 1e-9)),
        ("exposure",),
    ),
    Measure(
        "turnover per year",
        "Notional traded per year over equity; buying and selling everything once is 2.",
        decimal,
        _metric("annual_turnover"),
        ("turnover",),
    ),
    Measure(
        "costs paid",
        "Commission and slippage of all bars, in currency.",
        whole,
        _metric("cost_paid"),
        ("commission", "slippage"),
    ),
    Measure(
        "break-even cost",
        "Cost per notional traded at which the same trades would have broken even.",
        points,
        _metric("break_even_cost"),
        ("turnover", "commission", "slippage"),
    ),
    Measure(
        "trades", "Closed positions or parts of them; one still open at the end counts.", whole, _count, ("trades",)
    ),
    Measure("trades with a gain", "Share of trades with a net gain.", percent, _trade("net", _gains), ("trades",)),
    Measure(
        "profit factor",
        "Net gains of all trades over net losses.",
        decimal,
        _trade("net", tails.profit_factor),
        ("trades",),
    ),
    Measure("bars held", "Mean bars from entry to exit.", decimal, _trade("bars_held", np.mean), ("trades",)),
)


def measures_of(account: Account) -> list[Measure]:
    """Those measures whose curves are known."""
    known = {"time": account.time is not None, "trades": account.trades is not None}
    return [
        one
        for one in (*STRATEGY, *TRADING)
        if all(known.get(name) if name in known else account.knows(name) for name in one.needs)
    ]


class Beside(NamedTuple):
    """A number of each run beside the benchmark."""

    name: str
    meaning: str
    form: Callable[[float], str]
    of: Callable[[Floats, Floats, float], float]
    """Of the returns, the benchmark's and the bars per year."""
    yearly: bool = True


BESIDE = (
    Beside("beta", "Slope of the returns on the benchmark's.", decimal, lambda a, b, _: relative.beta(a, b), False),
    Beside("alpha per year", "Intercept of that regression, times bars per year.", percent, relative.alpha),
    Beside(
        "correlation",
        "Of the bars' returns with the benchmark's.",
        decimal,
        lambda a, b, _: relative.correlation(a, b),
        False,
    ),
    Beside(
        "tracking error",
        "Standard deviation of the difference of the returns, per year.",
        percent,
        relative.tracking_error,
    ),
    Beside(
        "information ratio",
        "Mean difference over its standard deviation, per year.",
        decimal,
        relative.information_ratio,
    ),
)


def rolling(returns: Floats, window: int, ends: Any, name: str, rate: float, benchmark: Floats | None = None) -> Floats:
    """The number of this name ("sharpe", "sortino", "volatility", "beta") of the window before each end."""
    if name == "beta":
        assert benchmark is not None
        return periods.moving(returns, window, ends, relative.beta, benchmark)
    measure = {
        "sharpe": metrics.sharpe_ratio,
        "sortino": metrics.sortino_ratio,
        "volatility": metrics.annual_volatility,
    }
    return periods.moving(returns, window, ends, lambda values: measure[name](values, rate))
