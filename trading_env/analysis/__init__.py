"""Metrics, strategies, the hindsight bound, and the test for look-ahead."""
