"""A registered Gymnasium environment for trading: exact account, no look-ahead, fast."""
