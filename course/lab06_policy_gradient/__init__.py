"""Lab 6: policy gradients."""
