"""Lab 8: networks for sequences."""
