"""Replay buffers, rollouts and episodes."""
