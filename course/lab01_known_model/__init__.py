"""Lab 1: known models."""
