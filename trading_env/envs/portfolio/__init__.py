"""PortfolioEnv and its native vector form: configuration, task, accounts, states."""
