"""Who is compared: our agents, Stable-Baselines3's, and rule-based traders."""
