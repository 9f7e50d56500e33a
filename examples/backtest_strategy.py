"""Backtest strategies on a test period: summary, trades, picture.

python examples/backtest_strategy.py [--plot backtest.png]
"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np

from trading_env import Market, backtest, load
from trading_env.analysis import strategies

COSTS = {"commission": 5e-4, "slippage": 5e-4}


def breakout(market: Market, bars: int = 55) -> np.ndarray:
    """Your own strategy: long above the highest close of the last ``bars`` bars, flat below the lowest."""
    exposures, held = np.zeros(len(market)), 0.0
    for t in range(bars, len(market)):
        window = market.close[t - bars : t]
        held = 1.0 if market.close[t] > window.max() else 0.0 if market.close[t] < window.min() else held
        exposures[t] = held
    return exposures


def main() -> None:
    """Prints the table of all strategies, and the trades of one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", metavar="FILE", help="write the picture of the breakout strategy")
    arguments = parser.parse_args()

    _, test = load("us-stocks/IBM").split("2008-01-01")  # earlier bars stay as history
    crossover = partial(strategies.moving_average_crossover, fast=20, slow=100)
    together = backtest([breakout, crossover, strategies.buy_and_hold], test, costs=COSTS)
    print(together.summary())

    result = backtest(breakout, test, costs=COSTS)
    columns = ["entry_time", "exit_time", "entry_price", "exit_price", "net", "bars_held", "closed_by"]
    print(result.trades()[columns].tail(5).to_string(index=False))
    print(f"Sharpe {result.sharpe_ratio:.2f} ± {result.sharpe_standard_error:.2f}, worst {result.max_drawdown:.0%}")
    if arguments.plot:
        result.plot().savefig(arguments.plot)


if __name__ == "__main__":
    main()
