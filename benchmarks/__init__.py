"""Experiments, statistics, reports and speed."""
