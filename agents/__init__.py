"""Learners from scratch in torch, with the seed axis.

Agents load when first used, and with them torch and numba.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.a2c import A2C
    from agents.dqn import DQN
    from agents.ppo import PPO
    from agents.q_learning import QLearning
    from agents.recurrent_a2c import RecurrentA2C
    from agents.recurrent_dqn import RecurrentDQN
    from agents.reinforce import REINFORCE
    from agents.td_lambda import TDLambda

_HOMES = {
    "A2C": "a2c",
    "DQN": "dqn",
    "PPO": "ppo",
    "QLearning": "q_learning",
    "REINFORCE": "reinforce",
    "RecurrentA2C": "recurrent_a2c",
    "RecurrentDQN": "recurrent_dqn",
    "TDLambda": "td_lambda",
}

__all__ = ["A2C", "DQN", "PPO", "REINFORCE", "QLearning", "RecurrentA2C", "RecurrentDQN", "TDLambda"]


def __getattr__(name: str) -> Any:
    """Loads an agent from its module (PEP 562)."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
