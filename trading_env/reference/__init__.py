"""Problems whose optimum is known, as envs."""
