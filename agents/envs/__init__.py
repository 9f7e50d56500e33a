"""The envs of all seeds as one vector env, and methods of envs beyond Gymnasium that agents use."""
