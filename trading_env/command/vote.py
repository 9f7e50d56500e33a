"""All seeds of an agent as one policy: each chooses, and the majority acts. S = seeds, K = runs."""

from __future__ import annotations

from typing import Any

import numpy as np


class Vote:
    """One policy of an agent with S seeds: the action that most seeds choose, or the median of continuous actions.

    Of actions with equally many votes it takes the one nearest to the median, and of two such the smaller.
    """

    def __init__(self, agent: Any) -> None:
        self.agent = agent
        self.env_config = agent.env_config

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """The action (1,) for an observation (1, D), and the states of the seeds."""
        seeds = len(self.agent)
        seen = np.repeat(np.asarray(observation), seeds, axis=0)  # [S, D]
        starts = None if episode_start is None else np.repeat(episode_start, seeds)
        actions, state = self.agent.predict(seen, state, starts, deterministic=deterministic)
        return self._chosen(np.asarray(actions))[None], state

    @staticmethod
    def _chosen(actions: Any) -> Any:
        if actions.dtype.kind == "f":
            return np.median(actions, axis=0).astype(actions.dtype)
        values, votes = np.unique(actions, return_counts=True)
        most = values[votes == votes.max()]
        return most[np.abs(most - np.median(actions)).argmin()]


def one_policy(agent: Any) -> Any:
    """The agent if it has one seed, else its vote."""
    return agent if len(agent) == 1 else Vote(agent)
