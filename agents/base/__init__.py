"""What every agent shares: the training loop, the interface of Stable-Baselines3, files, the command line."""
