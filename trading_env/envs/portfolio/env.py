"""PortfolioEnv: K instruments in one account, as episodes of choosing weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded

from trading_env._checks import RenderModes, brief, choice
from trading_env.envs import state as env_state
from trading_env.envs.arguments import check_options, discrete_action
from trading_env.envs.checked_state import check_streams
from trading_env.envs.keywords import shows_keywords_of
from trading_env.envs.portfolio import state as portfolio_state
from trading_env.envs.portfolio.accounts import KEYS, Portfolios
from trading_env.envs.portfolio.config import PortfolioConfig, portfolio_config_of
from trading_env.envs.portfolio.task import Drawn, PortfolioTask
from trading_env.envs.rendering.shows_portfolio import ShowsPortfolio
from trading_env.envs.rewards import call_reward
from trading_env.envs.spec import HasSpec
from trading_env.envs.turns import Turn, beyond_float64, new_turn, refusal
from trading_env.envs.what_if import Counterfactual, first_env
from trading_env.kernel.layout import LAST, OFFSET, PAST_ROW, ROW
from trading_env.kernel.portfolio import TOTALS
from trading_env.kernel.rules import Bools, Floats


class PortfolioEnv(HasSpec, ShowsPortfolio, gym.Env[Any, Any]):
    """Episodes of trading K instruments with one account, which is exact to rounding.

    ## Description
    One step is one row of the panel's clock. The agent sees the bars up to t and chooses weights; the orders fill as
    ``fill`` says; the reward covers the time from close t to close t + 1. All is as in TradingEnv, summed over the
    instruments; with one instrument it is TradingEnv with actions="continuous".

    ## Action Space
    | actions | space | target weights w: notional / equity after the trades |
    |---|---|---|
    | "continuous" | Box(0, 1, (K,)), or Box(-1, 1, (K,)) with allow_short | w = L a / max(1, sum abs(a)) |
    | "one_of" | Discrete(K + 1) | L in instrument 0, ..., K - 1; K: all cash |

    L is margin.max_leverage. The rest is cash. All trades are solved for at once, so that the weights after their costs
    are w to rounding. An instrument without a bar at the fill keeps its units; if gross exposure would be beyond L with
    it, the weights of the others shrink by one factor. Trades that their own cost would reverse, and those within
    ``min_trade``, are dropped together, and the others solved for again in the same way.

    With allow_hold=True a NaN, which lies outside the space, keeps an instrument's units: rules like buying and holding
    need it, learners do without.

    ## Observation Space
    Box float32, or a Dict. W = window, F = number of features.

    | flat index | key | content | shape |
    |---|---|---|---|
    | 0 ... W K F - 1 | market | the last W rows of features, oldest first, of each instrument | (W, K, F) |
    | next K | tradable | 1 if the instrument has a bar at t, else 0 | (K,) |
    | next K | weights | units x close / equity; 0 if no equity is left | (K,) |
    | -2 | cash_weight | cash / equity | (1,) |
    | -1 | drawdown | fall of equity from the episode's peak, a fraction | (1,) |

    Where an instrument has no bar, its features are those of its last bar; before its first ones are complete, zeros.

    ## Rewards
    Those of TradingEnv. "excess_log_return" is the log return less that of equal weights in all instruments that are
    listed at close t. A callable gets arrays (N,), and (N, K) of each instrument.

    ## Starting State
    All cash, at the first bar with ``window`` complete feature rows, or at a random one.

    ## Instruments without a bar
    Orders for them do nothing, and positions are worth the last close. After its last row, if the panel goes on, an
    instrument is delisted: the step that reaches its last bar closes the position at that close times (1 + delisting
    return), with costs.

    ## Margin calls
    If after the close equity is below maintenance times gross exposure, the broker closes all positions, with costs;
    those in instruments without a bar cannot be closed and stay. With one instrument, lows and highs count too, as in
    TradingEnv; those of several instruments are not reached at the same time, so that the bars do not tell.

    ## Episode End
    Terminated by ruin: equity <= ruin_fraction x initial_cash. Truncated at the last bar or after ``episode_length``
    steps, without selling anything.

    ## Info
    | key | meaning |
    |---|---|
    | equity, cash | the account after the step, currency |
    | exposure, gross | net and gross notional / equity |
    | pnl | gain of the positions before costs and financing; a delisting return is part of it |
    | commission, slippage, financing | as in TradingEnv |
    | turnover | traded notional / equity before the step, delistings and liquidations included |
    | bar | row t of the panel's clock |
    | weights, units (K,) | the positions after the step |
    | price (K,) | fill price before spread, or what it would have been; the last close without a bar |
    | tradable (K,) | True if the instrument has a bar at t |
    | delisted (K,) | True from the last bar of a delisted instrument on |
    | action_mask (K + 1,) | `action_masks()`; with actions="one_of" only |
    | instruments (K,) | the instrument at each place, an index into the panel's symbols; with shuffle_symbols only |

    In every step E' - E = pnl - commission - slippage - financing.

    ## Arguments
    | keyword | default | meaning |
    |---|---|---|
    | data | "us-stocks" | all that `load_panel` accepts, or a list of Panels: one is drawn for each episode |
    | actions, allow_short, allow_hold | "continuous", False, False | see Action Space |
    | costs | Costs() | of all instruments; or a mapping of symbols to Costs |
    | delisting_returns | None | a mapping of symbols to fractions, 0 for the others |
    | lot_size, min_trade | None, 0.0 | of each instrument's trade: units, and weight |
    | margin | Margin() | max_leverage caps gross exposure |
    | observation | "flat" | "flat" or "dict" |
    | shuffle_symbols | False | True: the order of the instruments is drawn for each episode |
    | features, scaler, window, fill, initial_cash | | as in TradingEnv; features of each instrument |
    | bars_per_year, reward, random_start, episode_length | | as in TradingEnv |
    | render_mode | None | "ansi", "human", or "rgb_array": weights, equity with drawdown, turnover (H, W, 3) |

    ``reset`` takes ``options={"start": bar, "data": index}``.

    ## Vectorized environment
    `gym.make_vec("trading_env:PortfolioEnv-v0", num_envs=N, ...)` makes a PortfolioVectorEnv, equal bit for bit.

    ## Version History
    * v0: initial version

    Raises:
        TypeError: an argument of a wrong type.
        ValueError: an argument out of range, or data that cannot be traded; the message names it.
    """

    metadata: dict[str, Any] = {"render_modes": RenderModes(("human", "ansi", "rgb_array")), "render_fps": 10}

    @shows_keywords_of(PortfolioConfig)
    def __init__(self, data: Any = "us-stocks", *, render_mode: str | None = None, **keywords: Any) -> None:
        config = portfolio_config_of(PortfolioEnv, keywords)
        if render_mode is not None:
            choice("render_mode", render_mode, tuple(self.metadata["render_modes"]))
        self._set_up(PortfolioTask(data, config), {"data": data, **keywords}, render_mode)

    @classmethod
    def of_task(cls, task: PortfolioTask, keywords: dict[str, Any], render_mode: str | None = None) -> PortfolioEnv:
        """An env that shares the ``task``, and so the validated keywords, of another env."""
        env = cls.__new__(cls)
        env._set_up(task, keywords, render_mode)
        return env

    def _set_up(self, task: PortfolioTask, keywords: dict[str, Any], render_mode: str | None) -> None:
        """Sets all attributes from validated arguments."""
        self.render_mode, self.task = render_mode, task
        self.keywords = keywords  # to make another env like this one
        self.action_space, self.observation_space = task.action_space(), task.observation_space()
        self._waiting = np.zeros(1, np.bool_)
        self._opened: Drawn | None = None
        self._turn: Turn = []
        self._account, self._asked = Portfolios(task, 1), []

    @property
    def symbols(self) -> tuple[str, ...]:
        """The instrument at each place, in the order of this episode; that of the first panel before any."""
        if self._opened is None:
            return self.task.markets[0].symbols
        return self.task.symbols_of(self._opened)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts an episode.

        Args:
            seed: seeds ``np_random``; None continues the current stream.
            options: "start": first decision bar, "data": index of the panel; both are drawn unless given.

        Returns:
            The first observation, and info with the keys of ``step``; what only a step has is 0.

        Raises:
            TypeError: an option of a wrong type.
            ValueError: an unknown option, or one out of range. The env is unchanged then.
        """
        options = check_options(options, ("start", "data"))
        data, start = self.task.asked(options.get("data"), options.get("start"))
        super().reset(seed=seed)
        self._turn, self._opened = [], None  # no step until the reset is complete
        opened = self.task.draw_episode(self.np_random, data, start)
        self._account, self._asked = self._account.fresh(), []
        self._account.begin(np.zeros(1, np.int64), [opened], stepped=False)
        out = self._account.outputs()
        self._account.show(np.zeros(1, np.int64), out.obs, out.totals, out.bar, out.held)
        info = self._info_of(out)
        self._before = self._info = {key: info[key] for key in KEYS}
        self._opened = opened
        if self.render_mode == "human":
            self.render()
        self._turn = new_turn()
        return self.task.shaped(out.obs[0]), info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Runs one bar; see the class for actions, rewards and info.

        Raises:
            ResetNeeded: no episode is running; the last step was interrupted, by Ctrl-C or an error of the reward
                callable; or another thread is inside a step.
            TypeError: action of a wrong type.
            ValueError: action out of the action space; or equity or reward beyond float64.
        """
        turn, account, asked = self._turn, self._account, self._asked
        if not turn:
            raise refusal(self._needed())
        weights = self._weights(action)
        try:
            turn.pop()  # an interrupt from here on leaves the turn empty
        except IndexError:
            raise refusal(self._needed()) from None
        asked.append(weights)  # the clock says how many of them the kernel has run
        out, n_ended = account.step(weights, self._waiting)
        if n_ended < 0:
            asked.pop()
            turn.append(True)
            raise self._beyond(action, -1 - n_ended)
        info = self._info_of(out)
        reward, terminated, truncated = out.reward.item(), out.terminated.item(), out.truncated.item()
        if terminated and truncated:
            raise beyond_float64(info["bar"], info["equity"])
        if self.task.function is not None:
            reward = self._called_reward(info)
        if self.render_mode == "human":
            self.render()
        if not n_ended:
            turn.append(True)
        return self.task.shaped(out.obs[0]), reward, terminated, truncated, info

    def get_state(self) -> dict[str, Any]:
        """The running episode and the random stream, as copies: arrays and plain JSON."""
        state: dict[str, Any] = {"_running": bool(self._turn)}
        if self._opened is not None:
            state |= dict(zip(("_accounts", "_orders", "_clock"), self._account.arrays, strict=True))
            state["_asked"] = np.array(self._run()).reshape(-1, self.task.n)
            state["_opened"] = [self._opened.market, self._opened.start]
            state |= env_state.read(self, ("_before", "_info"))
        streams = env_state.get_streams([self.np_random])
        return {"fingerprint": portfolio_state.fingerprint(self.task), "streams": streams, **state}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores a state that `get_state` of an env with the same keywords returned.

        Raises:
            ValueError: the state belongs to another env or is invalid: an index outside the data, a number that is
                not finite, an account out of balance. The env is unchanged then. Past orders are not run again.
        """
        episode = portfolio_state.check_episode(self.task, state)
        streams = check_streams([self.np_random], state["streams"])
        self._turn, self._opened = [], None  # no step until this is complete
        env_state.set_streams([self.np_random], streams)
        if episode is not None:
            self._account, self._asked = self._account.fresh(), list(episode.asked[:, None])
            self._account.take_up(*episode.arrays)
            self._before, self._info, self._opened = episode.before, episode.info, episode.opened
            self._turn = new_turn() if episode.running else []

    def _weights(self, action: Any) -> Floats:
        """The action in the form of Box (1, K), float64; its numbers are not checked."""
        task = self.task
        if task.discrete:
            return task.weights_of([discrete_action(action, task.n + 1)])
        if not isinstance(action, np.ndarray) or action.dtype.kind != "f" or action.shape != (task.n,):
            raise TypeError(f"action must be a float array of shape ({task.n},), got {brief(action)}")
        return action.astype(np.float64)[None]

    def _beyond(self, action: Any, k: int) -> ValueError:
        return ValueError(f"action[{k}] must be in [{self.task.least:g}, 1], got {action[k]}")

    def _info_of(self, out: Any) -> dict[str, Any]:
        """Info of the env: numbers, and arrays (K,)."""
        info: dict[str, Any] = dict(zip(TOTALS, out.totals[:, 0].tolist(), strict=True))
        held = out.held
        info["weights"], info["units"], info["price"] = held.weights[0], held.units[0], held.price[0]
        info["tradable"], info["delisted"], info["bar"] = held.tradable[0], held.delisted[0], out.bar.item()
        if self.task.discrete:
            info["action_mask"] = self.task.masks(self._account.clock, self._account.orders)[0]
        if self.task.shuffled:
            info["instruments"] = self._account.orders[0].copy()
        return info

    def _called_reward(self, info: dict[str, Any]) -> float:
        """Reward of this step, computed by the user's callable."""
        assert self.task.function is not None
        self._before, self._info = self._info, {key: info[key] for key in KEYS}
        return float(call_reward(self.task.function, as_arrays(self._before), as_arrays(self._info))[0])

    def _needed(self) -> str:
        """The reason why a step needs a reset first."""
        if self._opened is None:
            return "no episode has begun"
        (clock,) = self._account.clock
        if clock[ROW] < clock[LAST]:
            return "no episode is running"
        last = clock[ROW] - clock[OFFSET] + 1 == len(self.task.markets[self._opened.market])
        end = "the last bar of the data" if last else "after its episode_length"
        return f"the episode ended at bar {clock[ROW] - clock[OFFSET]}, {end}"

    def action_masks(self) -> Bools:
        """Discrete actions that can be filled at all (K + 1,): instruments that are listed, and cash.

        Raises:
            ResetNeeded: no episode has begun.
            ValueError: the actions are continuous.
        """
        if not self.task.discrete:
            raise ValueError(f"action_masks needs discrete actions, got actions={self.task.actions!r}")
        self._started("action_masks")
        mask: Bools = self.task.masks(self._account.clock, self._account.orders)[0]
        return mask

    def counterfactual(self) -> Counterfactual:
        """After a step: reward (A,) and next observation (A, D) that each of the A = K + 1 actions would have had.

        The pair has ``terminated`` (A,) as an attribute. For the action taken, the reward is that of the step.

        Raises:
            ResetNeeded: no step has been made.
            ValueError: the actions are continuous.
        """
        if self._opened is None or self._account.clock[0, PAST_ROW] < 0:
            raise ResetNeeded("call step before counterfactual: no step has been made")
        reward, obs = (pair := self._account.counterfactual(as_arrays(self._before)))
        return Counterfactual(reward[0], first_env(obs), pair.terminated[0])


def as_arrays(info: Mapping[str, Any]) -> dict[str, Any]:
    """Info with a leading axis of 1, as a reward callable reads it."""
    return {key: np.asarray(value)[None] for key, value in info.items()}
