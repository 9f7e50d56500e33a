"""Networks to start from: a convolution over a window of features, and a small transformer."""
