"""The page of a study: from its rows and results to sections of charts and tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.reports.page import comparisons, contender, facts, leaderboard
from benchmarks.reports.page.accounts import Joined, joined_of, prices_at
from benchmarks.reports.study import notes, sentence, warnings
from benchmarks.study.results import plain
from benchmarks.study.rows import Row
from benchmarks.study.suite import Suite
from trading_env.report.arrays import Arrays
from trading_env.report.calendar import DRAWDOWNS
from trading_env.report.page import Chart, Choice, Page, Section, Table

SEEDS = 20  # of a contender whose trades can be looked at
DRAWN = 5  # of random traders
LOOKS = 700  # seeds of all contenders on all datasets, at most, so that the page stays small
BOTH = ("contender", "dataset")
Accounts = Mapping[tuple[int, int], Joined]
"""By number of contender and dataset."""


def page_of(suite: Suite, rows: Sequence[Row], results: Mapping[str, Any], command: str) -> Page:
    """The page.

    Args:
        suite: of the study.
        rows: of all contenders on the same folds.
        results: of these rows, by `benchmarks.reports.study.results`.
        command: that runs the study.
    """
    arrays = Arrays()
    names = [one.name for one in suite.contenders if one.name in results["contenders"]]
    datasets = [name for name in suite.data if any(row.dataset == name for row in rows)]
    prices = [prices_at(suite, rows, dataset) for dataset in datasets]
    accounts = {
        (i, j): joined_of(rows, name, dataset, prices[j])
        for i, name in enumerate(names)
        for j, dataset in enumerate(datasets)
    }
    counts = _looked_at(suite, names, accounts, len(datasets))
    sections = [
        _leaders(results),
        _growth(names, accounts, arrays, len(datasets)),
        _folds(rows, names),
        _trades(suite.config.fill, counts, accounts, arrays),
        _contender(accounts, arrays),
        _learning(rows, names),
        _costs(results),
        Section("Statistics", [facts.statistics_of(results)], "Each with its meaning one click away."),
        _controls(results),
        Section("How it was made", [facts.data_table(results, rows), *facts.made_of(results, rows, command)]),
    ]
    best = results["best_learner"]
    first = names.index(best["name"]) if best else 0
    choices = [
        Choice("contender", "Contender", names, first),
        Choice("dataset", "Dataset", datasets),
        Choice("seed", "Seed", [f"{k}" for k in range(max(counts))], 0, "contender", counts),
    ]
    said = [*warnings(results), *_changed(suite, datasets, prices), *notes(results)]
    title, markets, numbers = f"Study {suite.name}", _markets(accounts, arrays), {"results": plain(results)}
    return Page(title, sentence(results), sections, arrays, choices, markets, numbers, said)


def _changed(suite: Suite, datasets: Sequence[str], prices: Sequence[Mapping[str, Any]]) -> list[str]:
    """A note on datasets whose bars are no longer those that were tested."""
    names = [name for name, own in zip(datasets, prices, strict=True) if not own and not suite.panels]
    return [f"The bars of {', '.join(names)} have changed since the study ran: trades are not drawn."] if names else []


def _looked_at(suite: Suite, names: Sequence[str], accounts: Accounts, datasets: int) -> list[int]:
    """Seeds of each contender whose trades can be looked at: so many that the page stays small."""
    runs = [len(accounts[i, 0].account.labels) for i in range(len(names))]
    most = [DRAWN if suite.contender(name).random is not None else SEEDS for name in names]
    for limit in range(SEEDS, 0, -1):
        counts = [min(*both, limit) for both in zip(runs, most, strict=True)]
        if sum(counts) * datasets <= LOOKS:
            break
    return counts


def _keyed(accounts: Accounts, make: Callable[[Joined], Any]) -> dict[str, Any]:
    """What ``make`` brings for each contender on each dataset, less what is None."""
    found = {f"{i}/{j}": make(joined) for (i, j), joined in accounts.items()}
    return {key: one for key, one in found.items() if one is not None}


def _leaders(results: Mapping[str, Any]) -> Section:
    count = len(results["contenders"])
    chart = Chart(
        "intervals",
        "Sharpe ratios with 95% intervals",
        "Mean over datasets and seeds, per year, after costs. Intervals are over seeds and dependent bars; two that "
        "overlap may still differ: the column 'less benchmark' is the test.",
        {"": comparisons.intervals_chart(results)},
        height=90 + 26 * count,
    )
    return Section("Leaderboard", [chart, leaderboard.table_of(results)])


def _growth(names: Sequence[str], accounts: Accounts, arrays: Arrays, datasets: int) -> Section:
    def each(draw: Any) -> dict[str, Any]:
        found = {}
        for j in range(datasets):
            own = {name: accounts[i, j].account for i, name in enumerate(names)}
            found[str(j)] = draw(own, arrays, contender.marks_of(accounts[0, j]))
        return found

    text = "Dotted lines are borders of folds: each trains anew on the past and begins in cash; they are compounded."
    return Section(
        "Equity and drawdown",
        [
            Chart(
                "growth",
                "Equity of all contenders",
                f"Median over seeds; the chosen contender is bold, with the range of its seeds as a band. {text}",
                each(comparisons.growth_chart),
                ("dataset",),
                height=520,
                marks="contender",
            ),
            Chart(
                "drawdowns",
                "Drawdown of all contenders",
                f"Median over seeds of the loss from the highest equity so far. {text}",
                each(comparisons.falls_chart),
                ("dataset",),
                height=420,
                marks="contender",
            ),
        ],
    )


def _folds(rows: Sequence[Row], names: Sequence[str]) -> Section:
    height = 90 + 26 * len(names)
    sharpe = comparisons.folds_chart(rows, names, "sharpe", ".1f")
    growth = comparisons.folds_chart(rows, names, "annual_return", ".0%")
    return Section(
        "Folds",
        [
            Chart(
                "folds",
                "Sharpe ratio by fold",
                "Mean over seeds, per year; empty if never invested.",
                {"": sharpe},
                height=height,
            ),
            Chart(
                "fold-returns",
                "Return per year by fold",
                "Mean over seeds, compounded to a year.",
                {"": growth},
                height=height,
            ),
        ],
    )


def _trades(fill: str, counts: Sequence[int], accounts: Accounts, arrays: Arrays) -> Section:
    figures = {
        f"{i}/{j}/{k}": contender.trading_chart(joined, k, fill, arrays, f"market {j}")
        for (i, j), joined in accounts.items()
        for k in range(counts[i])
    }
    text = (
        "Each beam joins entry and exit of a holding at the prices at which orders fill; it is dotted for a loss after "
        f"costs. Up to {max(counts)} seeds of a contender can be chosen, and {DRAWN} of random traders. Equity, "
        "drawdown and exposure are thinned out; drag or use the buttons to zoom."
    )
    chart = Chart("trades", "Trades of the chosen seed", text, figures, (*BOTH, "seed"), height=720, zoom=True)
    return Section("Trades", [chart])


def _markets(accounts: Accounts, arrays: Arrays) -> dict[str, Any]:
    """What the trading charts on each dataset share."""
    return {f"market {j}": contender.market_of(accounts[0, j], arrays) for j in sorted({j for _, j in accounts})}


def _contender(accounts: Accounts, arrays: Arrays) -> Section:
    years = max(_years(joined) for joined in accounts.values())

    def chart(name: str, title: str, text: str, make: Any, height: int = 320, half: bool = True) -> Chart:
        return Chart(name, title, text, _keyed(accounts, make), BOTH, height=height, half=half)

    return Section(
        "The chosen contender",
        [
            chart(
                "monthly",
                "Returns by month",
                "Mean over seeds, compounded within the month, after costs.",
                lambda joined: contender.monthly_chart(joined.account),
                80 + 26 * years,
                half=False,
            ),
            chart(
                "yearly",
                "Returns by year",
                "Mean over seeds; the whiskers are their range. The first and the last year may be parts.",
                lambda joined: contender.yearly_chart(joined.account),
            ),
            chart(
                "rolling",
                "Rolling Sharpe ratio",
                "Over half a year, per year; median and range of seeds. A gap: no volatility.",
                lambda joined: contender.rolling_chart(joined.account, arrays),
            ),
            chart(
                "exposure",
                "Exposure",
                "Value of the position over equity, mean over a point's bars; median and range of seeds.",
                lambda joined: contender.exposure_chart(joined, arrays),
            ),
            chart(
                "costs",
                "Costs",
                "Commission, slippage and financing so far, as a share of the initial equity; mean over seeds.",
                lambda joined: contender.costs_chart(joined.account, arrays),
            ),
            Table(
                "worst",
                "Ten worst drawdowns",
                "Of the seed with the median final equity.",
                DRAWDOWNS,
                _keyed(accounts, lambda joined: contender.drawdown_rows(joined.account)),
                BOTH,
            ),
        ],
        "Contender and dataset are chosen at the top.",
    )


def _years(joined: Joined) -> int:
    time = joined.account.time
    return 1 if time is None else int(time[-1].astype("datetime64[Y]") - time[0].astype("datetime64[Y]")) + 1


def _learning(rows: Sequence[Row], names: Sequence[str]) -> Section:
    text = "Log growth per year on validation: interquartile mean over seeds of the mean over folds and datasets."
    found = {by: comparisons.learning_chart(rows, names, by) for by in ("steps", "seconds")}
    charts = [
        Chart(
            f"learning-{by}",
            f"Learning by {by}",
            f"{text} The band is the 95% interval of the chosen contender.",
            {"": one},
            half=True,
            height=400,
            marks="contender",
        )
        for by, one in found.items()
        if one is not None
    ]
    return Section("Learning", charts, "" if charts else "No contender of this study learns.")


def _costs(results: Mapping[str, Any]) -> Section:
    fixed = comparisons.costs_chart(results, retrained=False)
    again = comparisons.costs_chart(results, retrained=True)
    charts = [
        Chart(
            "cost-curve",
            "Cost curve, policies as they are",
            "Log growth per year if trading had cost this much.",
            {"": fixed},
            height=440,
            marks="contender",
        )
    ]
    if again is not None:
        text = "The same, each learner trained at each cost."
        charts.append(
            Chart(
                "cost-curve-again", "Cost curve, trained at each cost", text, {"": again}, height=440, marks="contender"
            )
        )
    return Section("Costs of trading", [one for one in charts if one.figures[""] is not None])


def _controls(results: Mapping[str, Any]) -> Section:
    table = facts.controls_table(results)
    return Section(
        "Controls", [] if table is None else [table], "" if table else "No controls were run for this study."
    )
