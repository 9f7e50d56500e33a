"""Features: causal tables of numbers computed from a market, for observations."""
