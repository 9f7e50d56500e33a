"""TradingEnv and TradingVectorEnv, and their parts."""
