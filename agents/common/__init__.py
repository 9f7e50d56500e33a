"""Checks, random streams, schedules, states and files."""
