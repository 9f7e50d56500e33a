"""Lab 0: a market by hand."""
