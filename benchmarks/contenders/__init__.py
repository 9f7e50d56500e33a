"""Contenders of comparisons: our agents, Stable-Baselines3's, rules, random traders and forecast traders."""
