"""Backtests and strategies of several instruments on one account."""
