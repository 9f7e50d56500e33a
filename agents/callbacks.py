"""What `learn` and `resume` may call after each step."""

import os

from agents.base import SeedAgent
from agents.checkpoints import with_suffix
from agents.validation import check_int


class Checkpoint:
    """Writes all of an agent's training every so many timesteps and at the end, so that a killed run can go on.

    The file is replaced whole: being killed while it is written leaves the one before it.

    Example:
        >>> DQN("CartPole-v1").learn(100_000, callback=Checkpoint("run.safetensors", every=10_000))
        >>> DQN.load("run.safetensors", env="CartPole-v1").resume(callback=Checkpoint("run.safetensors", 10_000))

    Args:
        path: The file; ".safetensors" is added if there is no suffix.
        every: Timesteps per seed between files.
    """

    def __init__(self, path: str | os.PathLike[str], every: int) -> None:
        self.path = with_suffix(path)
        self.every = check_int("every", every, 1)
        self._before: int | None = None  # timesteps at the last call

    def __call__(self, agent: SeedAgent) -> None:
        """Writes the file if it is time to."""
        steps = agent.num_timesteps
        before = self._before if self._before is not None and self._before < steps else steps - agent.n_envs
        self._before = steps
        if steps // self.every > before // self.every or steps >= agent.goal:
            agent.save(self.path, training=True)
