"""Intraday bars of an exchange with hours, and hourly bars of crypto that never closes.

Both files are synthetic. What differs is in the data: the time zone, the bars per year, the financing.

    python examples/intraday_and_crypto.py
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from trading_env import backtest, load
from trading_env.analysis.strategies import moving_average_crossover


def write_bars(path, time, volatility, seed):
    """Bars of a random walk as a CSV file."""
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, volatility, len(time))))
    opens = np.concatenate([[100.0], close[:-1]])
    high, low = np.maximum(opens, close) * 1.0005, np.minimum(opens, close) * 0.9995
    pd.DataFrame({"time": time, "open": opens, "high": high, "low": low, "close": close}).to_csv(path, index=False)


folder = Path(tempfile.mkdtemp())
days = pd.bdate_range("2024-01-02", periods=60)
minutes = pd.timedelta_range("9:35:00", "16:00:00", freq="5min")
write_bars(folder / "stock_5min.csv", [day + minute for day in days for minute in minutes], 5e-4, seed=0)
write_bars(folder / "coin_1h.csv", pd.date_range("2024-01-01", periods=2_000, freq="h", tz="UTC"), 5e-3, seed=1)

stock = load(folder / "stock_5min.csv", tz="America/New_York")  # the file's clock, daylight saving included
coin = load(folder / "coin_1h.csv")
for market in (stock, coin):
    print(f"{market.name}: {len(market)} bars, zone {market.tz or 'UTC'}, {market.bars_per_year:,.0f} bars per year")


def crossover(market):
    """Long while the mean of an hour is above that of a day."""
    return moving_average_crossover(market, 12, 78)


def always_short(obs):
    """Action 0: exposure -1."""
    return 0


settings = {"window": 1, "features": ["log_return_1"], "costs": {"commission": 2e-4, "slippage": 1e-4}}
print(backtest(crossover, stock, actions=(0.0, 1.0), **settings).summary())

margin = {"max_leverage": 2.0, "maintenance": 0.05, "r_borrow": 0.1}  # a short pays 10% a year, hour by hour
short = backtest(always_short, coin, actions=(-1.0, 0.0, 1.0), margin=margin, **settings)
print(short.summary())
hours = short.to_frame()
print(f"{hours['financing'].sum():,.0f} of fees in {len(hours)} hours")
