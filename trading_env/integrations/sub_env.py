"""SubEnv: a view of one sub-env of `trading_env.integrations.sb3.TradingVecEnv` that looks like a TradingEnv."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from trading_env.envs import state as env_state
from trading_env.envs.task import Task
from trading_env.envs.trading_env import TradingEnv
from trading_env.envs.trading_vector_env import TradingVectorEnv
from trading_env.envs.what_if import Counterfactual
from trading_env.kernel.layout import OFFSET, ROW
from trading_env.kernel.measure import KEYS
from trading_env.kernel.rules import Floats


class Owner(Protocol):
    """The part of TradingVecEnv that a SubEnv uses; TradingVecEnv imports this module, so that it is a Protocol."""

    envs: Any  # a TradingVectorEnv or a PortfolioVectorEnv
    sub_render_mode: str | None
    reset_infos: list[dict[str, Any]]

    def orders_of(self, i: int) -> Floats:
        """Orders of sub-env i in its running episode."""

    def answer(self, method_name: str) -> Any:
        """Result of a method of the vector env, with a leading axis N."""


class SubEnv:
    """Sub-env i of a TradingVecEnv, for its ``get_attr``, ``set_attr`` and ``env_method``.

    It has the attributes and methods of a TradingEnv that do not change it. These cannot be set, since most of them
    belong to all sub-envs; other attributes can.
    """

    def __init__(self, venv: Owner, i: int) -> None:
        object.__setattr__(self, "_place", (venv, i))

    _place: tuple[Owner, int]

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name) or name == "_place":
            raise AttributeError(f"{name!r} of a sub-env of TradingVecEnv cannot be set")
        object.__setattr__(self, name, value)

    @property
    def unwrapped(self) -> SubEnv:
        """Itself."""
        return self

    def has_wrapper_attr(self, name: str) -> bool:
        """True if there is an attribute of that name."""
        return hasattr(self, name)

    def get_wrapper_attr(self, name: str) -> Any:
        """The attribute: there are no wrappers."""
        return getattr(self, name)

    def set_wrapper_attr(self, name: str, value: Any, *, force: bool = True) -> bool:
        """Sets the attribute, a new one only with ``force``; True if it was set."""
        if force or hasattr(self, name):
            setattr(self, name, value)
            return True
        return False

    @property
    def render_mode(self) -> str | None:
        """The render mode of all sub-envs."""
        return self._place[0].sub_render_mode

    @property
    def keywords(self) -> dict[str, Any]:
        """Keywords with which TradingEnv makes an env like this one."""
        keywords: dict[str, Any] = self._envs.keywords
        return keywords

    @property
    def _envs(self) -> Any:
        return self._place[0].envs

    @property
    def spec(self) -> Any:
        """Spec of the vector env; None if `gym.make_vec` did not make it."""
        return self._envs.spec

    @property
    def metadata(self) -> dict[str, Any]:
        """The vector env's metadata."""
        metadata: dict[str, Any] = self._envs.metadata
        return metadata

    @property
    def task(self) -> Task:
        """The task, with the validated keywords."""
        task: Task = self._envs.task
        return task

    @property
    def env_config(self) -> dict[str, Any]:
        """This env's configuration as plain JSON; see `trading_env.envs.declaration.declaration`."""
        config: dict[str, Any] = self._envs.env_config
        return config

    @property
    def observation_space(self) -> spaces.Space[Any]:
        """Of one sub-env."""
        space: spaces.Space[Any] = self._envs.single_observation_space
        return space

    @property
    def action_space(self) -> spaces.Space[Any]:
        """Of one sub-env."""
        space: spaces.Space[Any] = self._envs.single_action_space
        return space

    @property
    def np_random(self) -> np.random.Generator:
        """The sub-env's own random stream."""
        generator: np.random.Generator = self._envs.np_random[self._place[1]]
        return generator

    @property
    def np_random_seed(self) -> int:
        """Seed of the random stream; -1 if the stream was set."""
        seed: int = self._envs.np_random_seed[self._place[1]]
        return seed

    def action_masks(self) -> Any:
        """Valid discrete actions (A,); see TradingEnv."""
        return self._answer("action_masks")

    def afterstates(self) -> Any:
        """The observation (A, D) right after each discrete action; see TradingEnv."""
        return self._answer("afterstates")

    def counterfactual(self) -> Any:
        """Reward (A,) and next observation (A, D) of every action at the last step; see TradingEnv."""
        return self._answer("counterfactual")

    def get_state(self) -> dict[str, Any]:
        """The running episode and the random stream, for ``set_state`` of a TradingEnv."""
        venv, i = self._place
        return state_of(self._envs, i, venv.reset_infos[i], venv.orders_of(i))

    def history(self) -> Any:
        """The episode so far as a DataFrame, one row a step; see TradingEnv."""
        return self._as_env().history()

    def episode(self) -> Any:
        """The episode so far as a `trading_env.envs.rendering.episode.Episode`; see TradingEnv."""
        return self._as_env().episode()

    def render(self) -> Any:
        """The episode so far, as the ``render_mode`` says; see TradingEnv."""
        return self._as_env().render()

    def _as_env(self) -> Any:
        """A TradingEnv in the state of this sub-env."""
        if "_single" not in self.__dict__:
            single = TradingEnv.of_task(self.task, self.keywords, self.render_mode)
            object.__setattr__(self, "_single", single)
        env: TradingEnv = self.__dict__["_single"]
        env.set_state(self.get_state())
        return env

    def _answer(self, method_name: str) -> Any:
        venv, i = self._place
        return row_of(venv.answer(method_name), i)


def state_of(envs: TradingVectorEnv, i: int, first: dict[str, Any], orders: Floats) -> dict[str, Any]:
    """The state of sub-env i in the form of `TradingEnv.get_state`.

    Args:
        envs: the vector env.
        i: which sub-env.
        first: info of the reset that began its episode; empty if there was none.
        orders: those of its actions since then.

    Raises:
        ResetNeeded: the sub-env has moved since, but not by these orders.
    """
    task, streams = envs.task, env_state.get_streams([envs.np_random[i]])
    state = {"fingerprint": env_state.fingerprint(task), "streams": streams, "_running": False}
    if not first:
        return state
    clock = envs._clock[i : i + 1].copy()
    start = int(first["bar"])
    if not envs._begun or clock[0, ROW] != clock[0, OFFSET] + start + len(orders):
        raise ResetNeeded(f"call reset: sub-env {i} was moved by other means than step and reset of the VecEnv")
    market = task.offsets.index(int(clock[0, OFFSET]))
    account = envs._state[i].copy()
    if len(orders) == 0:  # the vector env still has the account before the reset
        account, begun = task.begin(market, start)
        clock[0] = begun
    before = after = {key: first[key] for key in KEYS}
    if task.function is not None and len(orders):
        before, after = ({key: values[key][i].item() for key in KEYS} for values in (envs._past, envs._before))
    episode = {"_state": account, "_clock": clock, "_opened": [market, start], "_asked": np.array(orders)}
    return {**state, "_running": True, **episode, "_before": dict(before), "_info": dict(after)}


def row_of(values: Any, i: int) -> Any:
    """Row i of an array, of a dict of them, or of a counterfactual."""
    if isinstance(values, dict):
        return {key: row_of(value, i) for key, value in values.items()}
    if isinstance(values, Counterfactual):
        reward, obs = values
        return Counterfactual(reward[i], row_of(obs, i), values.terminated[i])
    return values[i]
