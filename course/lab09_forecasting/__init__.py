"""Lab 9: forecasting."""
