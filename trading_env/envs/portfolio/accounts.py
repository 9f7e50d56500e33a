"""Portfolios: the accounts of N envs of one task, in the form in which the kernel reads and writes them.

Letters: N envs, K instruments, A = K + 1 discrete actions, D numbers of an observation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from trading_env.envs.portfolio.task import Drawn, PortfolioTask
from trading_env.envs.rewards import call_reward
from trading_env.envs.what_if import Counterfactual
from trading_env.kernel.compiled import Bound
from trading_env.kernel.layout import OFFSET, PAST_ROW, ROW
from trading_env.kernel.portfolio import PANEL, TOTALS, Held, show_portfolios, step_portfolios
from trading_env.kernel.portfolio_account import HEAD
from trading_env.kernel.portfolio_trades import N_FEES, N_SCRATCH
from trading_env.kernel.rules import Bools, Float32s, Floats, Ints

HELD = Held._fields
KEYS = (*TOTALS, *HELD, "bar")
"""Keys of info; the others are "action_mask" with discrete actions and "instruments" with shuffle_symbols."""


class Outputs(NamedTuple):
    """The arrays that a step writes to."""

    obs: Float32s  # (N, D)
    reward: Floats  # (N,)
    terminated: Bools  # (N,)
    truncated: Bools  # (N,)
    totals: Floats  # (len(TOTALS), N)
    bar: Ints  # (N,)
    held: Held  # (N, K) each


class Portfolios:
    """N accounts of a task.

    Attributes:
        accounts: now (N, HEAD + K).
        past: before the last step (N, HEAD + K).
        orders: the instrument at each place (N, K).
        past_orders: that of the last step (N, K).
        clock: rows of each env (N, 5).
    """

    def __init__(self, task: PortfolioTask, n: int) -> None:
        self.task, self.n = task, n
        self.accounts, self.past = np.zeros((n, HEAD + task.n)), np.zeros((n, HEAD + task.n))
        self.orders = np.tile(np.arange(task.n), (n, 1))
        self.past_orders = self.orders.copy()
        self.clock = np.zeros((n, PANEL + 1), np.int64)
        self._scratch = np.zeros((N_SCRATCH, task.n)), np.zeros((task.n, N_FEES))
        self._kernel: Bound | None = None  # step_portfolios for the types of these arrays

    def fresh(self) -> Portfolios:
        """As many other accounts of the task, with the same compiled kernel."""
        others = Portfolios(self.task, self.n)
        others._kernel = self._kernel
        return others

    def begin(self, rows: Any, episodes: Sequence[Drawn], stepped: bool) -> None:
        """Starts the episodes in the rows; ``stepped`` if they ended another one in this same step."""
        past = self.clock[rows, PAST_ROW]
        self.accounts[rows] = [self.task.new_account(episode.market) for episode in episodes]
        self.clock[rows] = [self.task.new_clock(episode.market, episode.start) for episode in episodes]
        self.orders[rows] = [episode.order for episode in episodes]
        if stepped:
            self.clock[rows, PAST_ROW] = past

    def outputs(self) -> Outputs:
        """Fresh arrays for a step."""
        n, shape = self.n, (self.n, self.task.n)
        held = Held(np.empty(shape), np.empty(shape), np.empty(shape), np.empty(shape, bool), np.empty(shape, bool))
        flags = np.empty(n, bool), np.empty(n, bool)
        obs, totals = np.empty((n, self.task.width), np.float32), np.empty((len(TOTALS), n))
        return Outputs(obs, np.empty(n), *flags, totals, np.empty(n, np.int64), held)

    def step(self, actions: Floats, waiting: Bools) -> tuple[Outputs, int]:
        """A bar of each env that is not waiting: outputs, and the kernel's count of ended episodes."""
        task, out = self.task, self.outputs()
        inputs = (actions, waiting, self.accounts, self.past, self.orders, self.clock, *self._scratch, task.world)
        arguments = (*inputs, task.least, task.config.allow_hold, task.shuffled, *out)
        if self._kernel is None:
            self._kernel = Bound.of(step_portfolios, *arguments)
        if task.shuffled:
            self.past_orders[:] = self.orders
        return out, self._kernel.call(*arguments)

    def show(self, rows: Ints, obs: Float32s, totals: Floats, bar: Ints, held: Held) -> None:
        """Writes observation and info of the rows as they stand."""
        task = self.task
        show_portfolios(rows, self.accounts, self.orders, self.clock, task.world, task.shuffled, obs, totals, held)
        bar[rows] = self.clock[rows, ROW] - self.clock[rows, OFFSET]

    def info(self, totals: Floats, bar: Ints, held: Held) -> dict[str, Any]:
        """Info of all envs, arrays (N,) and (N, K)."""
        info: dict[str, Any] = dict(zip(TOTALS, totals, strict=True))
        info.update(zip(HELD, held, strict=True))
        info["bar"] = bar
        if self.task.discrete:
            info["action_mask"] = self.task.masks(self.clock, self.orders)
        if self.task.shuffled:
            info["instruments"] = self.orders.copy()
        return info

    @property
    def arrays(self) -> tuple[Floats, Ints, Ints]:
        """Accounts now and before (N, 2 (HEAD + K)), orders now and before (N, 2 K), and clock: all that moves."""
        accounts = np.hstack([self.accounts, self.past])
        return accounts, np.hstack([self.orders, self.past_orders]), self.clock.copy()

    def take_up(self, accounts: Floats, orders: Ints, clock: Ints) -> None:
        """Restores `arrays`."""
        self.accounts[:], self.past[:] = np.hsplit(accounts, 2)
        self.orders[:], self.past_orders[:] = np.hsplit(orders, 2)
        self.clock[:] = clock

    def counterfactual(self, before: Mapping[str, Any] | None) -> Counterfactual:
        """Reward (N, A), next observation (N, A, D) and terminated (N, A) of every discrete action at the last step.

        Args:
            before: info as it was before the step, for a reward callable.

        Raises:
            ValueError: the actions are continuous.
        """
        task = self.task
        if not task.discrete:
            raise ValueError(f"counterfactual needs discrete actions, got actions={task.actions!r}")
        n_actions, rows = task.n + 1, np.flatnonzero(self.clock[:, PAST_ROW] >= 0)
        reward, terminated = np.zeros((self.n, n_actions)), np.zeros((self.n, n_actions), np.bool_)
        obs = np.zeros((self.n, n_actions, task.width), np.float32)
        if len(rows):
            tried = self._before_last_step(np.repeat(rows, n_actions))
            actions = np.tile(task.weights_of(np.arange(n_actions)), (len(rows), 1))
            out, _ = tried.step(actions, np.zeros(tried.n, np.bool_))
            values = out.reward
            if task.function is not None and before:
                old = {key: np.repeat(np.asarray(before[key])[rows], n_actions, axis=0) for key in KEYS}
                info = tried.info(out.totals, out.bar, out.held)
                values = call_reward(task.function, old, {key: info[key] for key in KEYS})
            reward[rows], terminated[rows] = (part.reshape(-1, n_actions) for part in (values, out.terminated))
            obs[rows] = out.obs.reshape(-1, n_actions, task.width)
        return Counterfactual(reward, task.shaped(obs), terminated)

    def _before_last_step(self, rows: Ints) -> Portfolios:
        """Copies of these rows' accounts as they were before their last step."""
        others = Portfolios(self.task, len(rows))
        others.accounts[:], others.clock[:] = self.past[rows], self.clock[rows]
        others.clock[:, ROW] = others.clock[:, PAST_ROW]
        others.orders[:] = self.past_orders[rows]
        offsets = np.asarray(self.task.offsets)
        others.clock[:, PANEL] = np.searchsorted(offsets, others.clock[:, ROW], "right") - 1
        others.clock[:, OFFSET] = offsets[others.clock[:, PANEL]]  # a reset may have gone to another panel since
        return others
