"""Gradients by hand of the built-in networks on the CPU: the same numbers as autograd's, sooner."""
