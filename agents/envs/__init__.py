"""The envs of all seeds as one vector env, and what agents ask of envs beyond Gymnasium."""
