"""Forecasts of returns, walking forward."""
