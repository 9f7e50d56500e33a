"""Policies in envs: one interface for all of them, strategies among them, and the evaluation loop."""
