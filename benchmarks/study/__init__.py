"""Scores and their records."""
