"""Experiments, statistics, reports and speed."""

from agents.common.extras import check_installed

check_installed("tyro", "rich", "matplotlib", "sklearn", "stable_baselines3", "sb3_contrib", extra="benchmarks")
