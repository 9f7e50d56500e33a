"""Bridges to other libraries: Stable-Baselines3, and torch modules for compact observations."""
