"""Learners from scratch in torch, with the seed axis.

Agents are imported when they are first used, and with them torch and numba.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from agents.common.extras import REQUIRED, check_installed

check_installed(*REQUIRED)

if TYPE_CHECKING:
    from agents.a2c import A2C as A2C
    from agents.counterfactual_dqn import CounterfactualDQN as CounterfactualDQN
    from agents.course_dqn import CourseDQN as CourseDQN
    from agents.dqn import DQN as DQN
    from agents.ppo import PPO as PPO
    from agents.pqn import PQN as PQN
    from agents.q_learning import QLearning as QLearning
    from agents.qrdqn import QRDQN as QRDQN
    from agents.rainbow import Rainbow as Rainbow
    from agents.recurrent_a2c import RecurrentA2C as RecurrentA2C
    from agents.recurrent_dqn import RecurrentDQN as RecurrentDQN
    from agents.reinforce import REINFORCE as REINFORCE
    from agents.sac import SAC as SAC
    from agents.td3 import TD3 as TD3
    from agents.td_lambda import TDLambda as TDLambda

AGENTS = {
    "A2C": "agents.a2c",
    "CounterfactualDQN": "agents.counterfactual_dqn",
    "CourseDQN": "agents.course_dqn",
    "DQN": "agents.dqn",
    "PPO": "agents.ppo",
    "PQN": "agents.pqn",
    "QLearning": "agents.q_learning",
    "QRDQN": "agents.qrdqn",
    "REINFORCE": "agents.reinforce",
    "Rainbow": "agents.rainbow",
    "RecurrentA2C": "agents.recurrent_a2c",
    "RecurrentDQN": "agents.recurrent_dqn",
    "SAC": "agents.sac",
    "TD3": "agents.td3",
    "TDLambda": "agents.td_lambda",
}
"""The module of each agent, by its name; the agent itself is `getattr(agents, name)`."""

__all__ = [*AGENTS, "load"]


def load(path: Any, env: Any = None, **options: Any) -> Any:
    """The agent saved in a file, of any algorithm; arguments and errors are those of the algorithm's `load`."""
    from agents.common import checkpoints
    from agents.common.checks import short

    name = checkpoints.read(path)[1].get("algorithm")
    if not isinstance(name, str) or name not in AGENTS:
        raise ValueError(f"{path} holds {short(name)} as its algorithm, known are {', '.join(AGENTS)}")
    return getattr(import_module(AGENTS[name]), name).load(path, env, **options)


def __getattr__(name: str) -> Any:
    """Imports an agent from its module (PEP 562)."""
    if name in AGENTS:
        return getattr(import_module(AGENTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
