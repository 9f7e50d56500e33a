"""The compiled account: trades, financing, margin, rewards and observations. It imports nothing of ours."""
