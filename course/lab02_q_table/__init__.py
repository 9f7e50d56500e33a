"""Lab 2: a table of values."""
