"""Decisions from fresh bars: `decide`, a `Session` that keeps an account, and brokers."""
