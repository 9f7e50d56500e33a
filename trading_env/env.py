"""TradingEnv: one price series as episodes of buy, hold and sell."""

from __future__ import annotations

import array
import operator
from collections.abc import Mapping
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded

from trading_env.accounting import FIRST_INFO, INFO, Step, observe_rows, step_one
from trading_env.rewards import call_reward
from trading_env.task import Task

KEYS = ("bar", *INFO)
FIRST_KEY = FIRST_INFO - 1


class TradingEnv(gym.Env[Any, Any]):
    """ENV_DOC."""

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(self, data: Any = "us-stocks/AAPL", *, render_mode: str | None = None, **keywords: Any) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(f"render_mode must be one of {self.metadata['render_modes']}, got {render_mode!r}")
        self.render_mode = render_mode
        self.task = Task(data, **keywords)
        self.action_space = self.task.action_space()
        self.observation_space = self.task.observation_space()
        self._wants = self.task.wants.tolist()
        self._flat = self.task.observation != "dict"
        self._running = False
        self._opened: tuple[int, int] | None = None  # market and start bar of the episode
        self._asked = array.array("d")  # the wants of the episode so far: enough to run it again

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts an episode.

        Args:
            seed: seeds ``np_random``; None goes on with it.
            options: "start": first decision bar, "data": index of the dataset; what is not given is drawn.

        Returns:
            The first observation, and info with the keys of ``step``, 0 where nothing has happened.

        Raises:
            TypeError: an option of a wrong type.
            ValueError: an unknown option, or one out of range.
        """
        super().reset(seed=seed)
        options = check_options(options, ("start", "data"))
        self._opened = self.task.draw(self.np_random, options.get("data"), options.get("start"))
        self._state, self._clock = self._begin(*self._opened)
        self._asked = array.array("d")
        self._running = True
        task = self.task
        obs = np.empty((1, task.width), np.float32)
        observe_rows(np.zeros(1, np.int64), self._state, self._clock, task.closes, task.table, obs)
        info = dict.fromkeys(KEYS, 0.0)
        info["bar"] = self._opened[1]
        info["equity"] = info["cash"] = task.initial_cash
        self._info = info
        return task.shaped(obs[0]), dict(info)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Runs one bar; see the class for actions, rewards and info.

        Raises:
            ResetNeeded: no episode is running.
            TypeError: action of a wrong type.
            ValueError: action out of the action space.
        """
        if not self._running:
            raise ResetNeeded("call reset before step: no episode is running")
        want = self._want(action)
        task = self.task
        obs = np.empty((1, task.width), np.float32)
        result = step_one(want, self._state, self._clock, task.opens, task.closes, task.table, task.rules, obs)
        reward, terminated, truncated = result[:FIRST_KEY]
        info = dict(zip(KEYS, result[FIRST_KEY:], strict=True))
        self._asked.append(want)
        if terminated or truncated:
            self._running = False
        if task.function is not None:
            reward = self._called_reward(info)
        return obs[0] if self._flat else task.shaped(obs[0]), reward, terminated, truncated, info

    def _want(self, action: Any) -> float:
        """What the action asks for: a target exposure or lots, NaN = hold."""
        if self._wants:
            index = operator.index(action)
            if 0 <= index < len(self._wants):
                return float(self._wants[index])
            raise ValueError(f"action must be in [0, {len(self._wants) - 1}], got {action!r}")
        if not self.action_space.contains(action):
            raise ValueError(f"action must be a float32 array of shape (1,) in [-1, 1], got {action!r}")
        return float(action[0]) * self.task.margin.max_leverage

    def _begin(self, i: int, start: int) -> tuple[Any, Any]:
        """State (1, ...) and clock (1, 3) at the start of an episode."""
        state, clock = self.task.begin(i, start)
        return state[None], np.array([clock])

    def _called_reward(self, info: dict[str, Any]) -> float:
        """The reward callable's word on the step from the last info to this one."""
        assert self.task.function is not None
        before, after = ({key: np.array([value]) for key, value in side.items()} for side in (self._info, info))
        self._info = dict(info)
        return float(call_reward(self.task.function, before, after)[0])

    def history(self) -> Any:
        """The episode so far as a DataFrame, one row a step, indexed by the step's last bar.

        The wants of the episode are run again through the kernel, so that keeping them costs 8 bytes a step.
        Columns: time (where the market has it), close, want (target exposure or lots, NaN = hold), reward of
        the kernel, and the keys of info.
        """
        import pandas as pd

        if self._opened is None:
            raise ResetNeeded("call reset before history: no episode has begun")
        task = self.task
        state, clock = self._begin(*self._opened)
        obs = np.empty((1, task.width), np.float32)
        steps = [
            step_one(want, state, clock, task.opens, task.closes, task.table, task.rules, obs) for want in self._asked
        ]
        frame = pd.DataFrame.from_records(steps, columns=Step._fields).set_index("bar")
        market = task.markets[self._opened[0]]
        frame.insert(0, "want", np.array(self._asked))
        frame.insert(0, "close", market.close[frame.index])
        if market.time is not None:
            frame.insert(0, "time", market.time[frame.index])
        return frame.drop(columns=["terminated", "truncated"])


def check_options(options: Mapping[str, Any] | None, known: tuple[str, ...]) -> dict[str, Any]:
    """The options of reset as a dict; ValueError names what is unknown."""
    options = dict(options or {})
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"reset options {unknown} are unknown; known are {list(known)}")
    return options
