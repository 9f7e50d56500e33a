"""Lab 5: tuning, and its price."""
