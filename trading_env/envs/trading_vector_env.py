"""TradingVectorEnv: N episodes of TradingEnv in one call of the kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from trading_env.envs import state as env_state
from trading_env.envs.arguments import as_array, check_kind, per_env, refuse_drawing
from trading_env.envs.checked_state import array_of, check_running, info_of
from trading_env.envs.declaration import declaration
from trading_env.envs.keywords import config_of, shows_keywords
from trading_env.envs.rewards import call_reward
from trading_env.envs.seeded_vector_env import SeededVectorEnv
from trading_env.envs.spec import HasSpec
from trading_env.envs.task import Task
from trading_env.envs.turns import Turn, beyond_float64
from trading_env.envs.what_if import Counterfactual, afterstates, counterfactual
from trading_env.kernel.compiled import Bound
from trading_env.kernel.lanes import step_rows
from trading_env.kernel.layout import PAST_ROW, SCRATCH, STATE, get_accounts, new_blocks, set_accounts
from trading_env.kernel.measure import INFO, KEYS
from trading_env.kernel.observe import observe_rows
from trading_env.kernel.rules import Bools, Floats, Ints

FLOAT32, INT64, BOOL = (np.dtype(kind) for kind in (np.float32, np.int64, np.bool_))  # faster than their names


class TradingVectorEnv(HasSpec, SeededVectorEnv):
    """N TradingEnv episodes in one call of the kernel, equal bit for bit to N scalar envs.

    Takes the keywords of TradingEnv. Sub-env i is seeded with seed + i, or by a list, and has its own random
    stream, as in SyncVectorEnv. With one dataset and without random_start all sub-envs run in lockstep and differ by
    their actions only.

    Info has the keys of TradingEnv as arrays (N,), without masks; after ``reset`` it is 0 for sub-envs that were not
    reset, except for their action masks. Under SAME_STEP autoreset, a step that ends episodes adds final_obs (object
    array), final_info (0 where no episode ended) and their masks _final_obs and _final_info.

    Args:
        num_envs: N.
        data: as in TradingEnv.
        autoreset_mode: NEXT_STEP (Gymnasium's default), SAME_STEP or DISABLED, as AutoresetMode or by name; only with
            a name can the spec of `gym.make_vec` be written to JSON.
        render_mode: None; use `gym.make_vec` with vectorization_mode="sync" to draw.
        **keywords: the other keywords of TradingEnv.

    Raises:
        TypeError: an argument of a wrong type.
        ValueError: an argument out of range; the message names it.
    """

    _reset_options = ("start", "data")
    _state_keys = ("_state", "_clock", "_before", "_past")

    @shows_keywords
    def __init__(
        self,
        num_envs: int = 1,
        data: Any = "us-stocks/AAPL",
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **keywords: Any,
    ) -> None:
        config = config_of(TradingVectorEnv, keywords)
        super().__init__(num_envs, autoreset_mode)
        refuse_drawing(render_mode)
        self.keywords = {"data": data, **keywords}  # of a TradingEnv like each sub-env
        self.task = Task(data, config)
        self._set_spaces(self.task.observation_space(), self.task.action_space())
        n = self.num_envs
        self._world = (self.task.bars, self.task.table, self.task.rules)
        self._flat, self._width = self.task.observation != "dict", self.task.width
        self._discrete = len(self.task.orders) > 0
        self._identity, self._indexed = np.arange(n), (n,)
        self._no_mask = np.empty((n, 0), np.bool_)
        self._shapes = (n, self._width), (len(INFO), n), (n, len(self.task.orders))  # of observation, info, mask
        self._now, self._past_accounts = new_blocks(n), new_blocks(n)  # a step reads one and writes the other
        self._initial = np.array([self.task.begin(i, 0)[0][: len(STATE)] for i in range(len(self.task.markets))])
        self._scratch = np.zeros(1, SCRATCH)
        self._clock = np.zeros((n, PAST_ROW + 1), np.int64)
        self._kernel: Bound | None = None  # step_rows for the types of this env's arrays
        self._before: dict[str, Any] = {}  # the last info, for a reward callable
        self._past: dict[str, Any] = {}  # the info before it

    @property
    def env_config(self) -> dict[str, Any]:
        """This env's configuration as plain JSON; see `trading_env.envs.declaration.declaration`."""
        return declaration(self.task)

    def __repr__(self) -> str:
        return repr(self.task).replace("Task:", f"{type(self).__name__} of {self.num_envs}:", 1)

    # -- reset --------------------------------------------------------------------------------------------

    def _asked(self, options: Mapping[str, Any], rows: Ints) -> list[tuple[int | None, int | None]]:
        """Market and first bar asked for in each of the rows; None = to be drawn."""
        starts, datas = (per_env(name, options, self.num_envs) for name in ("start", "data"))
        return [self.task.asked(datas[j], starts[j]) for j in rows]

    def _draw(self, rng: np.random.Generator, asked: Any = None) -> tuple[int, int]:
        return self.task.draw(rng, *(asked or (None, None)))

    def _first(self, rows: Ints, episodes: Sequence[tuple[int, int]]) -> tuple[Any, dict[str, Any]]:
        """Observations of all sub-envs; info, 0 for those that were not reset except for their action masks."""
        obs = np.empty((self.num_envs, self._width), FLOAT32)
        mask = np.empty((self.num_envs, len(self.task.orders)), BOOL)
        info: dict[str, Any] = dict(zip(INFO, np.zeros((len(INFO), self.num_envs)), strict=True))
        info["bar"] = np.zeros(self.num_envs, INT64)
        if self._discrete:
            info["action_mask"] = mask
        self._observe(self._identity, obs, mask)
        self._show_account(rows, episodes, info)
        return obs, info

    def _show(self, rows: Ints, episodes: Sequence[tuple[int, int]], obs: Any, info: dict[str, Any]) -> None:
        self._observe(rows, obs, info.get("action_mask", self._no_mask))
        self._show_account(rows, episodes, info)

    def _begin(self, rows: Ints, episodes: Sequence[tuple[int, int]], stepped: bool) -> None:
        set_accounts(self._now, rows, self._initial[[market for market, _ in episodes]])
        past = self._clock[rows, PAST_ROW]
        self._clock[rows] = [self.task.clock(*episode) for episode in episodes]
        if stepped:
            self._clock[rows, PAST_ROW] = past

    def _show_account(self, rows: Ints, episodes: Sequence[tuple[int, int]], info: dict[str, Any]) -> None:
        """Writes the info of new episodes in the rows, and stores it for the next call of a reward callable."""
        block: Any = info["equity"].base  # all values are rows of it, in the order of INFO
        block[:, rows] = 0.0
        block[:2, rows] = self.task.initial_cash  # equity, cash
        info["bar"][rows] = [start for _, start in episodes]
        self._remember(info, rows)

    def _observe(self, rows: Ints, obs: Any, mask: Bools) -> None:
        """Writes observation and mask of the given rows."""
        task = self.task
        accounts = get_accounts(self._now, rows)
        observe_rows(rows, accounts, self._clock, task.closes, task.table, task.rules, obs, mask)

    # -- step ---------------------------------------------------------------------------------------------

    def _inputs(self, actions: Any) -> tuple[Ints, Floats, tuple[Any, ...]]:
        """Indices and orders, and the arrays that a step writes to."""
        n, orders = self.num_envs, self.task.orders
        obs, info, mask = self._shapes
        if not (
            self._discrete
            and type(actions) is np.ndarray
            and actions.dtype is INT64
            and actions.shape == self._indexed
            and actions.flags.c_contiguous
        ):
            actions, orders = self._orders_of(as_array(actions))
        outputs = (
            np.empty(obs, FLOAT32),
            np.empty(n),
            np.empty(n, BOOL),
            np.empty(n, BOOL),
            np.empty(info),
            np.empty(n, INT64),
            np.empty(mask, BOOL),
        )
        return actions, orders, outputs

    def _advance(self, inputs: Any, turn: Turn) -> tuple[Any, Any, Bools, Bools, dict[str, Any], int]:
        indices, orders, outputs = inputs
        arguments = (indices, orders, self._ended, self._now, self._past_accounts, self._scratch, self._clock)
        if self._kernel is None:
            self._kernel = Bound.of(step_rows, *arguments, *self._world, *outputs)
        n_ended = self._kernel.call(*arguments, *self._world, *outputs)
        if n_ended < 0:
            j = -1 - n_ended
            turn.append(True)
            raise ValueError(f"actions[{j}] must be in [0, {len(orders) - 1}], got {indices[j]}")
        self._now, self._past_accounts = self._past_accounts, self._now  # with the clock, which has moved
        obs, reward, terminated, truncated, block, bar, mask = outputs
        if n_ended and (lost := terminated & truncated).any():
            j = int(lost.argmax())
            raise beyond_float64(bar[j], block[0, j])
        info: dict[str, Any] = dict(zip(INFO, block))  # noqa: B905  (any ``strict`` costs 0.2 us)
        info["bar"] = bar
        if self._discrete:
            info["action_mask"] = mask
        if self.task.function is not None:
            reward = self._called_reward(info)
        return obs, reward, terminated, truncated, info, n_ended

    def _shaped(self, obs: Any) -> Any:
        return self.task.shaped(obs)

    # -- state --------------------------------------------------------------------------------------------

    @property
    def _state(self) -> Floats:
        """Accounts now, and beside them the accounts before the last step (N, 2 len(STATE))."""
        return np.hstack([get_accounts(blocks, self._identity) for blocks in (self._now, self._past_accounts)])

    def get_state(self) -> dict[str, Any]:
        """The running episodes and the random streams, as copies: arrays and plain JSON."""
        return {"fingerprint": env_state.fingerprint(self.task), **super().get_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores a state that `get_state` of an env with the same arguments returned.

        Raises:
            ValueError: the state belongs to another env or is invalid: an index outside the data, a number that is
                not finite, parts that contradict each other. The env is unchanged then.
        """
        env_state.check_fingerprint(self.task, state)
        super().set_state(state)

    def _own_state(self) -> dict[str, Any]:
        return env_state.read(self, self._state_keys)

    def _checked_state(self, state: Mapping[str, Any], begun: bool, ended: Bools) -> tuple[Any, ...]:
        accounts = array_of(state, "_state", np.float64, (self.num_envs, 2 * len(STATE)))
        clock = array_of(state, "_clock", np.int64, (self.num_envs, PAST_ROW + 1))
        if begun:
            check_running(self.task, accounts, clock, ended)
        return accounts, clock, self._info_of(state, "_before"), self._info_of(state, "_past")

    def _take_up(self, parts: tuple[Any, ...]) -> None:
        accounts, self._clock[:], self._before, self._past = parts
        set_accounts(self._now, self._identity, accounts[:, : len(STATE)])
        set_accounts(self._past_accounts, self._identity, accounts[:, len(STATE) :])

    def _info_of(self, state: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Info for a reward callable, checked; empty if there is none."""
        if isinstance(state[name], dict) and not state[name] and (self.task.function is None or not state["_begun"]):
            return {}
        return info_of(state, name, (self.num_envs,))

    # -- what if ------------------------------------------------------------------------------------------

    def action_masks(self) -> Bools:
        """Valid discrete actions (N, A); see TradingEnv.

        Raises:
            ResetNeeded: not every sub-env has an episode.
            ValueError: the actions are continuous.
        """
        if not self._discrete:
            raise ValueError("action_masks needs discrete actions, got actions='continuous'")
        if not self._begun:
            raise ResetNeeded("call reset before action_masks: no episode has begun")
        mask = np.empty((self.num_envs, len(self.task.orders)), np.bool_)
        self._observe(self._identity, np.empty((self.num_envs, self.task.width), np.float32), mask)
        return mask

    def afterstates(self) -> Any:
        """Before a step: the observation (N, A, D) right after each discrete action, at the close just seen."""
        if not self._begun:
            raise ResetNeeded("call reset before afterstates: no episode is running")
        return afterstates(self.task, self._state, self._clock)

    def counterfactual(self) -> Counterfactual:
        """After a step: reward (N, A) and next observation (N, A, D) that each action would have had.

        The pair has ``terminated`` (N, A) as an attribute. Rows that were reset instead of stepped are zeros; rows
        that SAME_STEP reset after their step refer to that step.
        """
        if not self._begun:
            raise ResetNeeded("call step before counterfactual: no step has been made")
        reward, obs, terminated = counterfactual(self.task, self._state, self._clock, self._past or None)
        return Counterfactual(reward, self.task.shaped(obs), terminated)

    # -- the parts of a step ------------------------------------------------------------------------------

    def _orders_of(self, actions: Any) -> tuple[Ints, Floats]:
        """Indices (N,) into orders, and the orders: those of the discrete actions, or one per sub-env."""
        if self._discrete:
            check_kind(actions, "iu", f"integers of shape {self._indexed}", self._indexed)
            return np.ascontiguousarray(actions, np.int64), self.task.orders
        check_kind(actions, "f", f"floats of shape ({self.num_envs}, 1)", (self.num_envs, 1))
        wrong = ~((actions[:, 0] >= self.task.least) & (actions[:, 0] <= 1.0))  # NaN is wrong too
        if wrong.any():
            j = int(np.flatnonzero(wrong)[0])
            raise ValueError(f"actions[{j}] must be in [{self.task.least:g}, 1], got {actions[j, 0]}")
        return self._identity, self.task.orders_of(actions)

    def _remember(self, report: dict[str, Any], rows: Ints) -> None:
        """Stores the accounts of new episodes in the rows, for the next call of a reward callable."""
        if self.task.function is None:
            return
        if not self._before:
            self._before = {key: report[key].copy() for key in KEYS}
            self._past = {key: values.copy() for key, values in self._before.items()}
        for key, values in self._before.items():
            values[rows] = report[key][rows]

    def _called_reward(self, report: dict[str, Any]) -> Floats:
        """Rewards (N,) of this step, computed by the user's callable; 0 for sub-envs that it resets."""
        assert self.task.function is not None
        self._past = self._before
        self._before = after = {key: report[key].copy() for key in KEYS}
        for key, values in after.items():
            values[self._ended] = self._past[key][self._ended]
        reward = call_reward(self.task.function, self._past, after)
        return np.where(self._ended, 0.0, reward)
