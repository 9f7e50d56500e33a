"""TradingEnv, scalar and vector, and what both are made of."""
