"""PortfolioVectorEnv: N episodes of PortfolioEnv in one call of the kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from trading_env.envs.arguments import as_array, check_kind, per_env, refuse_drawing
from trading_env.envs.keywords import shows_keywords_of
from trading_env.envs.portfolio import state as portfolio_state
from trading_env.envs.portfolio.accounts import KEYS, Outputs, Portfolios
from trading_env.envs.portfolio.config import PortfolioConfig, portfolio_config_of
from trading_env.envs.portfolio.task import Drawn, PortfolioTask
from trading_env.envs.rewards import call_reward
from trading_env.envs.seeded_vector_env import SeededVectorEnv
from trading_env.envs.spec import HasSpec
from trading_env.envs.turns import Turn, beyond_float64
from trading_env.envs.what_if import Counterfactual
from trading_env.kernel.portfolio import Held
from trading_env.kernel.rules import Bools, Floats, Ints


class PortfolioVectorEnv(HasSpec, SeededVectorEnv):
    """N PortfolioEnv episodes in one call of the kernel, equal bit for bit to N scalar envs.

    Takes the keywords of PortfolioEnv. Seeds, info and autoreset are as in TradingVectorEnv; info has arrays (N,), and
    (N, K) of each instrument, without masks. After ``reset`` it is 0 for sub-envs that were not reset, except for their
    action masks and the order of their instruments.

    Args:
        num_envs: N.
        data: as in PortfolioEnv.
        autoreset_mode: NEXT_STEP (Gymnasium's default), SAME_STEP or DISABLED, as AutoresetMode or by name; only with
            a name can the spec of `gym.make_vec` be written to JSON.
        render_mode: None; use `gym.make_vec` with vectorization_mode="sync" to draw.
        **keywords: the other keywords of PortfolioEnv.

    Raises:
        TypeError: an argument of a wrong type.
        ValueError: an argument out of range; the message names it.
    """

    _reset_options = ("start", "data")
    _state_keys = ("_accounts", "_orders", "_clock", "_before", "_past")

    @shows_keywords_of(PortfolioConfig)
    def __init__(
        self,
        num_envs: int = 1,
        data: Any = "us-stocks",
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **keywords: Any,
    ) -> None:
        config = portfolio_config_of(PortfolioVectorEnv, keywords)
        super().__init__(num_envs, autoreset_mode)
        refuse_drawing(render_mode)
        self.keywords = {"data": data, **keywords}  # of a PortfolioEnv like each sub-env
        self.task = PortfolioTask(data, config)
        self._set_spaces(self.task.observation_space(), self.task.action_space())
        self._flat = self.task.observation == "flat"
        self._portfolios = Portfolios(self.task, self.num_envs)
        self._before: dict[str, Any] = {}  # the last info, for a reward callable
        self._past: dict[str, Any] = {}  # the info before it

    def __repr__(self) -> str:
        return repr(self.task).replace("PortfolioTask:", f"{type(self).__name__} of {self.num_envs}:", 1)

    # -- reset --------------------------------------------------------------------------------------------

    def _asked(self, options: Mapping[str, Any], rows: Ints) -> list[tuple[int | None, int | None]]:
        """Panel and first bar asked for in each of the rows; None = to be drawn."""
        starts, datas = (per_env(name, options, self.num_envs) for name in ("start", "data"))
        return [self.task.asked(datas[j], starts[j]) for j in rows]

    def _draw(self, rng: np.random.Generator, asked: Any = None) -> Drawn:
        return self.task.draw_episode(rng, *(asked or (None, None)))

    def _begin(self, rows: Ints, episodes: Sequence[Drawn], stepped: bool) -> None:
        self._portfolios.begin(rows, episodes, stepped)

    def _first(self, rows: Ints, episodes: Sequence[Drawn]) -> tuple[Any, dict[str, Any]]:
        """Observations of all sub-envs; info, 0 for those that were not reset except for masks and orders."""
        out = self._portfolios.outputs()
        self._portfolios.show(np.arange(self.num_envs), out.obs, out.totals, out.bar, out.held)
        info = self._portfolios.info(out.totals, out.bar, out.held)
        others = np.ones(self.num_envs, np.bool_)
        others[rows] = False
        for key in KEYS:
            info[key][others] = 0
        self._remember(info, rows)
        return out.obs, info

    def _show(self, rows: Ints, episodes: Sequence[Drawn], obs: Any, info: dict[str, Any]) -> None:
        held = Held(*(info[name] for name in Held._fields))
        self._portfolios.show(rows, obs, info["equity"].base, info["bar"], held)
        for key, values in self._portfolios.info(info["equity"].base, info["bar"], held).items():
            if key not in KEYS:
                info[key] = values
        self._remember(info, rows)

    # -- step ---------------------------------------------------------------------------------------------

    def _inputs(self, actions: Any) -> Floats:
        """Actions in the form of Box (N, K), float64."""
        n, task, actions = self.num_envs, self.task, as_array(actions)
        if not task.discrete:
            check_kind(actions, "f", f"floats of shape ({n}, {task.n})", (n, task.n))
            return np.ascontiguousarray(actions, np.float64)
        check_kind(actions, "iu", f"integers of shape ({n},)", (n,))
        wrong = (actions < 0) | (actions > task.n)
        if wrong.any():
            j = int(wrong.argmax())
            raise ValueError(f"actions[{j}] must be in [0, {task.n}], got {actions[j]}")
        return task.weights_of(actions)

    def _advance(self, inputs: Any, turn: Turn) -> tuple[Any, Any, Bools, Bools, dict[str, Any], int]:
        out, n_ended = self._portfolios.step(inputs, self._ended)
        if n_ended < 0:
            j, k = divmod(-1 - n_ended, self.task.n)
            turn.append(True)
            raise ValueError(f"actions[{j}, {k}] must be in [{self.task.least:g}, 1], got {inputs[j, k]}")
        if n_ended and (lost := out.terminated & out.truncated).any():
            j = int(lost.argmax())
            raise beyond_float64(out.bar[j], out.totals[0, j])
        info = self._portfolios.info(out.totals, out.bar, out.held)
        reward = out.reward if self.task.function is None else self._called_reward(out, info)
        return out.obs, reward, out.terminated, out.truncated, info, n_ended

    def _shaped(self, obs: Any) -> Any:
        return self.task.shaped(obs)

    def _remember(self, info: dict[str, Any], rows: Ints) -> None:
        """Stores the accounts of new episodes in the rows, for the next call of a reward callable."""
        if self.task.function is None:
            return
        if not self._before:
            self._before = {key: info[key].copy() for key in KEYS}
            self._past = {key: values.copy() for key, values in self._before.items()}
        for key, values in self._before.items():
            values[rows] = info[key][rows]

    def _called_reward(self, out: Outputs, info: dict[str, Any]) -> Floats:
        """Rewards (N,) of this step, computed by the user's callable; 0 for sub-envs that it resets."""
        assert self.task.function is not None
        self._past = self._before
        self._before = after = {key: info[key].copy() for key in KEYS}
        for key, values in after.items():
            values[self._ended] = self._past[key][self._ended]
        reward = call_reward(self.task.function, self._past, after)
        return np.where(self._ended, 0.0, reward)

    # -- state --------------------------------------------------------------------------------------------

    def get_state(self) -> dict[str, Any]:
        """The running episodes and the random streams, as copies: arrays and plain JSON."""
        return {"fingerprint": portfolio_state.fingerprint(self.task), **super().get_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores a state that `get_state` of an env with the same arguments returned.

        Raises:
            ValueError: the state belongs to another env or is invalid: an index outside the data, a number that is
                not finite, parts that contradict each other. The env is unchanged then.
        """
        portfolio_state.check_fingerprint(self.task, state)
        super().set_state(state)

    def _own_state(self) -> dict[str, Any]:
        infos = [{key: values.copy() for key, values in info.items()} for info in (self._before, self._past)]
        return dict(zip(self._state_keys, (*self._portfolios.arrays, *infos), strict=True))

    def _checked_state(self, state: Mapping[str, Any], begun: bool, ended: Bools) -> tuple[Any, ...]:
        infos = [self._info_of(state, name) for name in ("_before", "_past")]
        arrays = portfolio_state.check_arrays(self.task, state, self.num_envs, ended) if begun else None
        return arrays, *infos

    def _take_up(self, parts: tuple[Any, ...]) -> None:
        arrays, self._before, self._past = parts
        if arrays is not None:
            self._portfolios.take_up(*arrays)

    def _info_of(self, state: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Info for a reward callable, checked; empty if there is none."""
        if isinstance(state[name], dict) and not state[name] and (self.task.function is None or not state["_begun"]):
            return {}
        return portfolio_state.info_of(state, name, (self.num_envs,), self.task.n)

    # -- what if ------------------------------------------------------------------------------------------

    def action_masks(self) -> Bools:
        """Valid discrete actions (N, K + 1); see PortfolioEnv.

        Raises:
            ResetNeeded: not every sub-env has an episode.
            ValueError: the actions are continuous.
        """
        if not self.task.discrete:
            raise ValueError(f"action_masks needs discrete actions, got actions={self.task.actions!r}")
        if not self._begun:
            raise ResetNeeded("call reset before action_masks: no episode has begun")
        return self.task.masks(self._portfolios.clock, self._portfolios.orders)

    def counterfactual(self) -> Counterfactual:
        """After a step: reward (N, A) and next observation (N, A, D) that each action would have had.

        The pair has ``terminated`` (N, A) as an attribute. Rows that were reset instead of stepped are zeros; rows
        that SAME_STEP reset after their step refer to that step.
        """
        if not self._begun:
            raise ResetNeeded("call step before counterfactual: no step has been made")
        return self._portfolios.counterfactual(self._past or None)
