"""Reports of a training: the terminal, TensorBoard."""
