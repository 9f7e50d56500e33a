"""Tuning of hyperparameters on validation stretches, by Optuna."""
