"""The experiments, each a command of python -m benchmarks."""
