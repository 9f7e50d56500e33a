"""Learners from scratch in torch, with the seed axis."""
