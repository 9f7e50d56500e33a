"""TradingEnv: one price series as episodes of buy, hold and sell."""

from __future__ import annotations

import array
from typing import TYPE_CHECKING, Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded

from trading_env._checks import RenderModes, choice
from trading_env.envs import state as env_state
from trading_env.envs.arguments import check_options, continuous_action, discrete_action
from trading_env.envs.declaration import declaration
from trading_env.envs.keywords import config_of, shows_keywords
from trading_env.envs.rendering.shows_episode import ShowsEpisode
from trading_env.envs.rewards import RewardFunction, call_reward
from trading_env.envs.spec import HasSpec
from trading_env.envs.task import Task
from trading_env.envs.turns import Turn, beyond_float64, new_turn, refusal
from trading_env.kernel.compiled import Bound
from trading_env.kernel.layout import PAST_ROW, ROW
from trading_env.kernel.measure import KEYS
from trading_env.kernel.observe import observe_rows
from trading_env.kernel.rules import Bools
from trading_env.kernel.scalar import step_one

if TYPE_CHECKING:
    from trading_env.envs.what_if import Counterfactual


class TradingEnv(HasSpec, ShowsEpisode, gym.Env[Any, Any]):
    """Episodes of trading one price series, with an account that is exact to rounding.

    ## Description
    One step is one bar. The agent sees the bars up to t, including their closes, and chooses an action; its order fills
    as ``fill`` says; the reward covers the time from close t to close t + 1. The market is exogenous: prices do not
    react to the agent.

    ## Action Space
    | actions | space | meaning |
    |---|---|---|
    | "buy_hold_sell" | Discrete(3) | 0 sell: exposure 0, or -1 with allow_short; 1 hold: trade nothing; 2 buy: +1 |
    | tuple of k floats | Discrete(k) | target exposure: notional / equity after the trade |
    | "continuous" | Box(-1, 1, (1,)) | target exposure / max_leverage |
    | "lots" | Discrete(2 lots + 1) | trade -lots ... lots times lot_size units (1 unit unless given) |

    With allow_short=False, "continuous" is Box(0, 1, (1,)), and "lots" sells no more than the position; otherwise both
    may go short. An order of lots that would take the position beyond max_leverage at the fill, or below 0 where shorts
    are not allowed, is refused: nothing trades. A target exposure that cannot be reached, because the trade is below
    one lot or costs more than the account has, is not remembered: the same action tries it again.

    ## Observation Space
    Box float32, or a Dict of two. W = window, F = number of features.

    | index | content | unit |
    |---|---|---|
    | 0 ... W F - 1 | the last W rows of the feature table, oldest first | as the features |
    | -4 | exposure: units x close / equity; 0 if no equity is left | fraction |
    | -3 | the last target exposure chosen and reached; 0 after a liquidation | fraction |
    | -2 | unrealised log return of the open position since its average entry price, signed by its side | log |
    | -1 | drawdown of equity from the episode's peak | fraction |

    "dict" gives {"market": (W, F), "account": (4,)}; "compact" gives [row index, the four numbers of the account]: the
    index of the window's last row in the feature table (`env.unwrapped.task.features`). The tables of several datasets
    are stacked. The bounds are finite: those of float32, or the first and last row.

    ## Rewards
    | reward | value for a step from equity E to E' |
    |---|---|
    | "log_return" | log(E' / E), equity floored at ruin_fraction x initial_cash |
    | "pnl" | E' - E, currency |
    | "excess_log_return" | log_return less the log return of the close |
    | "differential_sharpe", DifferentialSharpe(eta=0.01) | differential Sharpe ratio of simple returns |
    | "mean_variance", MeanVariance(risk_aversion=1e-4) | (E' - E) - risk_aversion / 2 (E' - E)^2 |
    | callable | f(before, after) -> (N,), or a number of one account; accounts map info's keys to arrays (N,) |

    A callable must depend on its arguments only: `history`, `render` and `counterfactual` call it again.

    ## Starting State
    All cash, at the first bar with ``window`` complete feature rows, or at a random one.

    ## Margin calls
    If equity falls below maintenance times the notional of the position, the broker closes the position, which pays its
    costs and clears the remembered target; with maintenance 0 this happens when no equity is left. If the data has lows
    and highs, they are checked in every bar that the position is held through: it is closed at the price of the margin
    call, however the bar continues, or at the open if that is already beyond it. margin={"intrabar": False} checks the
    close only. With fill="next_close" the order of a bar with a margin call is void.

    ## Episode End
    Terminated by ruin: equity <= ruin_fraction x initial_cash. Truncated at the last bar or after ``episode_length``
    steps, without selling anything. A step that does both counts as terminated only.

    ## Info
    | key | meaning |
    |---|---|
    | equity, cash, units | the account after the step, currency and units |
    | exposure | units x close / equity |
    | price | fill price before spread, or what it would have been |
    | pnl | gain of the position before costs and financing |
    | commission, slippage | costs paid, >= 0; slippage includes half_spread |
    | financing | interest and borrow fee paid; negative = earned |
    | turnover | traded notional / equity before the step, liquidation included |
    | bar | index t of the last bar seen |
    | action_mask | `action_masks()`, bool (A,); with discrete actions only |

    In every step E' - E = pnl - commission - slippage - financing, to 1e-12 of the amounts that moved: the equity, the
    notional held at both closes, and the notional traded. If equity is a small part of the position, the error is a
    larger part of the equity.

    ## What if
    Prices do not react, so every action has one exact outcome. Before a step, `afterstates()` returns the observation
    right after each discrete action; after a step, `counterfactual()` returns the reward and next observation that each
    action would have had.

    ## Arguments
    | keyword | default | meaning |
    |---|---|---|
    | data | "us-stocks/AAPL" | dataset name, path, DataFrame, Market, or a list: one is drawn for each episode |
    | features | "default" | "default", column names, a callable Market -> DataFrame or array, or an array (T, F) |
    | scaler | None | a fitted FeatureScaler, or its to_dict() |
    | window | 30 | rows of history in the observation |
    | actions, lots | "buy_hold_sell", 1 | see Action Space |
    | allow_short | None | True: sell is -1; False: nothing goes short, nor may targets; None: sell is 0, others may |
    | sizing | None | "drift" trades when the chosen target changes (default, discrete), "rebalance" at each bar |
    | lot_size | None | units are multiples of it; None = fractional |
    | min_trade | 0.0 | no-trade band: a smaller trade, in exposure, is suppressed; the choice counts as reached |
    | fill | "next_open" | or "next_close"; "close" fills at the very price just observed, for replicating papers only |
    | costs | Costs() | commission, half_spread, slippage, fixed, minimum, per_unit; or a mapping |
    | margin | Margin() | max_leverage, maintenance, intrabar, ruin_fraction, rates; or a mapping |
    | initial_cash | 100_000.0 | currency |
    | bars_per_year | None | for financing; inferred from the timestamps unless given |
    | reward | "log_return" | see Rewards |
    | observation | "flat" | "flat", "dict" or "compact" |
    | random_start, episode_length | False, None | a start drawn uniformly; steps until truncation |
    | on_missing | "raise" | "raise", "drop" or "ffill": what to do with missing values |
    | render_mode | None | "ansi": a short text; "human": the same, printed after every reset and step; |
    | | | "rgb_array": price with trades, exposure, equity, drawdown (H, W, 3) |

    ``reset`` takes ``options={"start": bar, "data": index}``. `trading_env.EnvConfig` holds the keywords but data.

    ## Vectorized environment
    `gym.make_vec("trading_env:TradingEnv-v0", num_envs=N, ...)` makes a TradingVectorEnv, equal bit for bit.

    ## Version History
    * v0: initial version

    Raises:
        TypeError: an argument of a wrong type.
        ValueError: an argument out of range, or data that cannot be traded; the message names it.
    """

    metadata: dict[str, Any] = {"render_modes": RenderModes(("human", "ansi", "rgb_array")), "render_fps": 10}

    @shows_keywords
    def __init__(self, data: Any = "us-stocks/AAPL", *, render_mode: str | None = None, **keywords: Any) -> None:
        config = config_of(TradingEnv, keywords)
        if render_mode is not None:
            choice("render_mode", render_mode, tuple(self.metadata["render_modes"]))
        self._set_up(Task(data, config), {"data": data, **keywords}, render_mode)

    @classmethod
    def of_task(cls, task: Task, keywords: dict[str, Any], render_mode: str | None = None) -> TradingEnv:
        """An env that shares the ``task``, and so the validated keywords, of another env."""
        env = cls.__new__(cls)
        env._set_up(task, keywords, render_mode)
        return env

    def _set_up(self, task: Task, keywords: dict[str, Any], render_mode: str | None) -> None:
        """Sets all attributes from validated arguments."""
        self.render_mode = render_mode
        self._prints = render_mode == "human"
        self.keywords = keywords  # to make another env like this one
        self.task = task
        self.action_space, self.observation_space = task.action_space(), task.observation_space()
        self._orders: list[float] = task.orders.tolist()
        self._plain = task.observation != "dict" and task.function is None and not self._prints  # a short cut in `step`
        self._blank, self._no_mask = np.empty(task.width, np.float32), np.ones(len(self._orders), np.bool_)
        self._constants = (task.bars, task.table, task.rules)
        episode = self._begin(0, task.firsts[0])
        self._kernel = Bound.of(step_one, 0.0, *episode, *self._constants, self._blank, self._no_mask)
        self._opened: tuple[int, int] | None = None  # market and start bar of the episode
        self._set_episode([], *episode, array.array("d"))

    @property
    def env_config(self) -> dict[str, Any]:
        """This env's configuration as plain JSON; see `trading_env.envs.declaration.declaration`."""
        return declaration(self.task)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts an episode.

        Args:
            seed: seeds ``np_random``; None continues the current stream.
            options: "start": first decision bar, "data": index of the dataset; both are drawn unless given.

        Returns:
            The first observation, and info with the keys of ``step``; pnl, costs and the like are 0.

        Raises:
            TypeError: an option of a wrong type.
            ValueError: an unknown option, or one out of range. The env is unchanged then.
        """
        options = check_options(options, ("start", "data"))
        data, start = self.task.asked(options.get("data"), options.get("start"))
        super().reset(seed=seed)
        task = self.task
        self._set_episode([], self._state, self._clock, self._asked)  # no step until the reset is complete
        self._opened = None
        opened = task.draw(self.np_random, data, start)
        self._set_episode([], *self._begin(*opened), array.array("d"))
        obs, mask = self._observe()
        info: dict[str, Any] = dict.fromkeys(KEYS, 0.0)
        info["bar"] = opened[1]
        info["equity"] = info["cash"] = task.initial_cash
        self._before = self._info = dict(info)
        if self._orders:
            info["action_mask"] = mask
        shaped, self._opened = task.shaped(obs), opened
        if self._prints:
            self.render()
        self._set_episode(new_turn(), self._state, self._clock, self._asked)
        return shaped, info

    def _set_episode(self, turn: Turn, state: Any, clock: Any, asked: Any) -> None:
        """Sets what a step changes: turn, account, clock, and the orders so far, with which to run it again."""
        self._state, self._clock, self._asked = state, clock, asked
        self._episode = (turn, state, clock, asked)  # one tuple, so that no step mixes two episodes

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Runs one bar; see the class for actions, rewards and info.

        Raises:
            ResetNeeded: no episode is running; the last step was interrupted, by Ctrl-C or an error of the reward
                callable; or another thread is inside a step.
            TypeError: action of a wrong type.
            ValueError: action out of the action space; or equity or reward beyond float64.
        """
        turn, state, clock, asked = self._episode
        if type(action) is int and 0 <= action < len(self._orders):
            order = self._orders[action]
        elif turn:
            order = self._order(action)
        else:
            raise refusal(self._needed())
        obs, mask = self._blank.copy(), self._no_mask.copy()  # the fastest way to fresh arrays
        try:
            turn.pop()  # an interrupt from here on leaves the turn empty
        except IndexError:
            raise refusal(self._needed()) from None
        asked.append(order)  # the clock says how many of them the kernel has run
        (
            reward,
            terminated,
            truncated,
            bar,
            _,
            equity,
            cash,
            units,
            exposure,
            price,
            pnl,
            commission,
            slippage,
            financing,
            turnover,
        ) = self._kernel.call(order, state, clock, *self._constants, obs, mask)
        info = {  # written out: half the time of dict(zip(...)); names and order are INFO's
            "equity": equity,
            "cash": cash,
            "units": units,
            "exposure": exposure,
            "price": price,
            "pnl": pnl,
            "commission": commission,
            "slippage": slippage,
            "financing": financing,
            "turnover": turnover,
            "bar": bar,
        }
        if self._orders:
            info["action_mask"] = mask
        if terminated and truncated:
            raise beyond_float64(bar, equity)
        if not self._plain:
            if self.task.function is not None:
                reward = self._called_reward(self.task.function, info)
            if self._prints:
                self.render()
            obs = self.task.shaped(obs)
        if not (terminated or truncated):
            turn.append(True)
        return obs, reward, terminated, truncated, info

    def get_state(self) -> dict[str, Any]:
        """The running episode and the random stream, as copies: arrays and plain JSON."""
        state: dict[str, Any] = {"_running": bool(self._episode[0])}
        if self._opened is not None:
            state |= env_state.read(self, ("_state", "_clock", "_opened", "_before", "_info"))
            state["_asked"] = np.array(self._run())
        streams = env_state.get_streams([self.np_random])
        return {"fingerprint": env_state.fingerprint(self.task), "streams": streams, **state}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores a state that `get_state` of an env with the same keywords returned.

        Raises:
            ValueError: the state belongs to another env or is invalid: an index outside the data, a number that is
                not finite, an account out of balance. The env is unchanged then. Past orders are not run again.
        """
        from trading_env.envs.checked_state import check_episode, check_streams

        episode = check_episode(self.task, state)
        streams = check_streams([self.np_random], state["streams"])
        self._set_episode([], self._state, self._clock, self._asked)  # no step until the reset is complete
        self._opened = None
        env_state.set_streams([self.np_random], streams)
        if episode is not None:
            self._before, self._info = episode.before, episode.info
            moved = episode.account, episode.clock, array.array("d", episode.asked.tolist())
            self._set_episode([], *moved)
            self._opened = episode.opened
            self._set_episode(new_turn() if episode.running else [], *moved)

    def _order(self, action: Any) -> float:
        """Order of the action: a target exposure or lots, NaN = hold."""
        if self._orders:
            return self._orders[discrete_action(action, len(self._orders))]
        return continuous_action(action, self.task.least) * self.task.margin.max_leverage

    def _run(self) -> Any:
        """The orders that the kernel has run (n,); one whose step was interrupted before is left out."""
        assert self._opened is not None
        _, _, clock, asked = self._episode
        start = self.task.offsets[self._opened[0]] + self._opened[1]
        return asked[: int(clock[0, ROW]) - start]

    def _begin(self, i: int, start: int) -> tuple[Any, Any]:
        """State (...,) and clock (1, ...) at the start of an episode."""
        state, clock = self.task.begin(i, start)
        return state, np.array([clock])

    def _observe(self) -> tuple[Any, Bools]:
        """Flat observation (D,) and action mask (A,) of the account now."""
        obs, mask, task = self._blank.copy(), self._no_mask.copy(), self.task
        world = (task.closes, task.table, task.rules)
        observe_rows(np.zeros(1, np.int64), self._state[None], self._clock, *world, obs[None], mask[None])
        return obs, mask

    def _called_reward(self, function: RewardFunction, info: dict[str, Any]) -> float:
        """Reward of this step, computed by the user's callable."""
        self._before, self._info = self._info, {key: info[key] for key in KEYS}
        return float(call_reward(function, self._before, self._info)[0])

    def action_masks(self) -> Bools:
        """Valid discrete actions (A,), in the form that sb3-contrib's MaskablePPO expects.

        Invalid are lots beyond the margin at the last close and, for "buy_hold_sell" with sizing="drift", the side
        that is already chosen: "hold" does the same.

        Raises:
            ResetNeeded: no episode has begun.
            ValueError: the actions are continuous.
        """
        if not self._orders:
            raise ValueError("action_masks needs discrete actions, got actions='continuous'")
        self._started("action_masks")
        return self._observe()[1]

    def afterstates(self) -> Any:
        """Before a step: the observation (A, D) right after each discrete action, at the close just seen.

        Also available after the last step of an episode, since a truncated episode still has a value to bootstrap.

        Raises:
            ResetNeeded: no episode has begun.
            ValueError: the actions are continuous.
        """
        from trading_env.envs.what_if import afterstates, first_env

        self._started("afterstates")
        return first_env(afterstates(self.task, self._state[None], self._clock))

    def counterfactual(self) -> Counterfactual:
        """After a step: reward (A,) and next observation (A, D) that each action would have had.

        The pair has ``terminated`` (A,) as an attribute. For the action taken, the reward is that of the step.

        Raises:
            ResetNeeded: no step has been made.
            ValueError: the actions are continuous.
        """
        from trading_env.envs.what_if import Counterfactual, counterfactual, first_env

        if self._opened is None or self._clock[0, PAST_ROW] < 0:
            raise ResetNeeded("call step before counterfactual: no step has been made")
        reward, obs, terminated = counterfactual(self.task, self._state[None], self._clock, self._before)
        return Counterfactual(reward[0], first_env(self.task.shaped(obs)), terminated[0])
