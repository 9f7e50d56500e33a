"""Lab 10: buying and selling with an LSTM."""
