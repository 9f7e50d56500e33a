"""Tasks: problems whose optimum is known with their entries, and the envs of learning curves."""
