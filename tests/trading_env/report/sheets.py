"""A backtest to report on, and the page of a report as its reader finds it."""

import numpy as np

from tests.pages import Reader
from tests.trading_env.markets import random_market
from trading_env import backtest
from trading_env.analysis import strategies
from trading_env.report.arrays import values_of
from trading_env.report.tear_sheet import page_of


def crossing(seeds=1, **market):
    """Backtests of traders that cross averages of different lengths on daily bars."""
    rules = [lambda market, k=k: strategies.moving_average_crossover(market, 3 + k, 15) for k in range(seeds)]
    return backtest(rules if seeds > 1 else rules[0], random_market(n=700, whole=True, since="2018-06-01", **market))


def read(*arguments, **keywords):
    return Reader(page_of(*arguments, **keywords).html())


def column(reader, table, place=1):
    """Name of the row -> number in this column."""
    return {row[0][0]: row[place][1] for row in reader.tables[table][1:]}


def figure(reader, name, key=""):
    return reader.book["charts"][name]["figures"][key]


def bars_of(reader, trades):
    """Bars of entries and of exits."""
    entry = np.cumsum(curve(reader, trades, "gap"))
    return entry.tolist(), (entry + curve(reader, trades, "held")).tolist()


def curve(reader, trace, axis="y"):
    return values_of(reader.book["arrays"], trace[axis])
