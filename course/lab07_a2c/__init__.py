"""Lab 7: A2C."""
