"""Task: data, rules, spaces and drawing of episodes, shared by the scalar and the vector env."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from trading_env._checks import integer, number
from trading_env.config import Costs, Margin, as_config
from trading_env.data.datasets import load
from trading_env.data.market import Market
from trading_env.envs.config import FILLS, LONGEST_BAR, EnvConfig
from trading_env.envs.rewards import NAMES as REWARDS
from trading_env.envs.rewards import RewardFunction, parse_reward
from trading_env.features.scaler import scaled_features
from trading_env.features.table import FeatureTable
from trading_env.kernel.layout import CLOSES, new_state
from trading_env.kernel.observe import ACCOUNT_SIZE
from trading_env.kernel.rules import Float32s, Floats, Rules

FLOAT32_MAX = float(np.finfo(np.float32).max)
MAX_COMPACT_ROWS = 2**24  # float32 holds every integer up to here
PRICE_RANGE = (1e-15, 1e15)  # keeps every exposure and drawdown within float32


class Task:
    """Data and validated keywords of TradingEnv; see its docstring for each.

    Attributes:
        config: the keywords.
        markets: the datasets, one of which an episode runs on.
        firsts: first decision bar of each market, an index into it.
        offsets: first row of each market in the stacked arrays.
        bars: prices of all markets, stacked (K, T): closes; opens where orders fill there; all four where wicks count.
        closes: the first row of ``bars`` (T,).
        table: observed columns of each row (T, F), float32.
        rules: the kernel's constants and then the orders, as one array.
        orders: the order of each discrete action (A,), NaN = hold; empty for continuous actions.
        function: the reward callable, or None where the kernel computes the reward.
    """

    def __init__(self, data: Any, config: EnvConfig) -> None:
        self.config = config
        self.costs, self.margin = as_config(Costs, config.costs, "costs"), as_config(Margin, config.margin, "margin")
        self.fill, self.observation, self.window = config.fill, config.observation, config.window
        self.initial_cash, self.min_trade, self.lot_size = config.initial_cash, config.min_trade, config.lot
        self.episode_length, self.long_only = config.episode_length, config.long_only
        self.actions, self.orders = config.kind, config.orders
        self.markets = load_markets(data, config.on_missing)
        self._stack([scaled_features(market, config.features, config.scaler) for market in self.markets])
        self.years = [self._bar_years(market) for market in self.markets]
        self._check_costs()
        rules, self.function = self._rules()
        self.rules = np.concatenate([np.array(rules, dtype=np.float64), self.orders])

    # -- the parts of construction ------------------------------------------------------------------------

    def _stack(self, tables: Sequence[FeatureTable]) -> None:
        """Stacks the markets, so that the kernel gets one array of each kind."""
        names = {table.names for table in tables}
        if len(names) > 1:
            raise ValueError(f"the datasets of data give different features: {sorted(names)}")
        self.feature_names = tables[0].names
        for market in self.markets:
            if self.fill == "next_open" and market.open is None:
                raise ValueError(
                    f"fill='next_open' needs the column open, which {market.name!r} lacks; use fill='next_close'"
                )
        self.firsts = [max(m.first, t.warmup + self.window - 1) for m, t in zip(self.markets, tables, strict=True)]
        for market, first in zip(self.markets, self.firsts, strict=True):
            self._check_length(market, first)
            self._check_prices(market)
        lengths = [len(market) for market in self.markets]
        self.offsets = [sum(lengths[:i]) for i in range(len(lengths))]
        self.wicks = self._wicks_count()
        self.bars = np.concatenate([self._prices(market) for market in self.markets], axis=1)
        self.closes: Floats = self.bars[CLOSES]
        self.features = _stacked([table.values for table in tables])  # [T, F]
        self.table: Float32s = self.features
        if self.observation == "compact":
            if len(self.features) > MAX_COMPACT_ROWS:
                raise ValueError(
                    f"observation='compact' holds at most 2^24 rows in float32, data has {len(self.features)}"
                )
            self.table = np.arange(len(self.features), dtype=np.float32)[:, None]  # the row index is the window

    def _wicks_count(self) -> bool:
        """True if the data has lows or highs that can cause a margin call: a position may owe money or units."""
        known = any(market.low is not None or market.high is not None for market in self.markets)
        furthest = self.margin.max_leverage
        lowest, highest = (0.0 if self.long_only else -furthest), furthest
        if self.actions in ("targets", "buy_hold_sell"):
            lowest, highest = float(np.nanmin(self.orders)), float(np.nanmax(self.orders))
        owes = self.margin.maintenance > 0.0 or lowest < 0.0 or highest > 1.0
        return self.margin.intrabar and known and owes

    def _prices(self, market: Market) -> Floats:
        """Prices of the market (K, T), as in `bars`; NaN for a missing low or high."""
        if self.wicks:
            unknown = np.full(len(market), math.nan)
            low = unknown if market.low is None else market.low
            high = unknown if market.high is None else market.high
            return np.array([market.close, _first_prices(market), low, high])
        if self.fill == "next_open" and market.open is not None:
            return np.array([market.close, market.open])
        return market.close[None]

    def _check_length(self, market: Market, first: int) -> None:
        """Raises ValueError unless an episode of the given length fits after the first decision bar."""
        steps = self.episode_length or 1
        if len(market) < self.window + 2 or first + steps > len(market) - 1:
            needed = max(first + 1 + steps, self.window + 2)
            raise ValueError(
                f"{market.name!r} has {len(market)} rows, too few: features and window={self.window} put the first "
                f"decision at bar {first}, and episode_length={self.episode_length} needs {needed} rows"
            )

    def _check_prices(self, market: Market) -> None:
        """Raises ValueError unless the prices that the account uses are in PRICE_RANGE."""
        low, high = PRICE_RANGE
        for name in ("open", "high", "low", "close") if self.fill == "next_open" else ("high", "low", "close"):
            prices: Floats | None = getattr(market, name)
            if prices is None:
                continue
            if prices.min() < low or prices.max() > high:
                row = int(((prices < low) | (prices > high)).argmax())
                raise ValueError(
                    f"data: {name} of {market.name!r} must lie in [{low:g}, {high:g}] to be traded, "
                    f"got {prices[row]} at {market.time_of(row)}"
                )

    def _bar_years(self, market: Market) -> float:
        """Length of a bar in years; 0 if no rate is charged, since it does not matter then."""
        if self.config.bars_per_year is not None:
            return 1.0 / self.config.bars_per_year
        if self.margin.free:
            return 0.0
        if market.bars_per_year is None:
            raise ValueError(f"bars_per_year must be given: {market.name!r} has no timestamps to infer it from")
        return 1.0 / number("bars_per_year", market.bars_per_year, least=LONGEST_BAR)

    def _check_costs(self) -> None:
        """Raises ValueError if a trade to the largest exposure could cost its whole notional."""
        costs, leverage = self.costs, self.margin.max_leverage
        lowest = float(np.nanmin(self.bars))
        rate = max(costs.buy_rate, costs.sell_rate) + costs.per_unit / lowest
        if leverage * rate >= 1.0:
            raise ValueError(
                f"costs are too high for margin.max_leverage={leverage:g}: a trade costs up to {rate:g} of its "
                f"notional (per_unit at the lowest price {lowest:g}), and leverage times that must be below 1"
            )

    def _rules(self) -> tuple[Rules, RewardFunction | None]:
        """Constants of the kernel, and the callable that replaces its reward, if any."""
        costs, margin, config = self.costs, self.margin, self.config
        reward, parameter, function = parse_reward(config.reward)
        rules = Rules(
            spread=costs.spread,
            commission=costs.commission,
            fixed=costs.fixed,
            minimum=costs.minimum,
            per_unit=costs.per_unit,
            lot_size=self.lot_size,
            min_trade=self.min_trade,
            max_leverage=margin.max_leverage,
            maintenance=margin.maintenance,
            ruin_fraction=margin.ruin_fraction,
            r_cash=margin.r_cash,
            r_margin=margin.r_margin,
            r_borrow=margin.r_borrow,
            short_proceeds_earn=float(margin.short_proceeds_earn),
            fill=float(FILLS.index(self.fill)),
            rebalance=float(config.rebalances),
            lots=float(self.actions == "lots"),
            reward=float(REWARDS.index(reward)),
            reward_parameter=parameter,
            mask_repeats=float(self.actions == "buy_hold_sell" and not config.rebalances),
            wicks=float(self.wicks),
            long_only=float(self.long_only),
        )
        return rules, function

    def __repr__(self) -> str:
        market, first = self.markets[0], self.firsts[0]
        span = f"{market.name}, decisions at bars {first} to {len(market) - 2}"
        if market.time is not None:
            span += f" ({market.time_of(first).split()[0]} to {market.time_of(-2).split()[0]})"
        if len(self.markets) > 1:
            span = f"{len(self.markets)} datasets, {market.name} to {self.markets[-1].name}"
        shape = f"{self.features.shape[1]} features x {self.window} bars"
        return f"<Task: {span}; {shape}, actions {self.config.actions!r}, fill {self.fill!r}>"

    # -- spaces -------------------------------------------------------------------------------------------

    @property
    def least(self) -> float:
        """The lowest continuous action."""
        return 0.0 if self.long_only else -1.0

    @property
    def width(self) -> int:
        """Length of a flat observation: that of the market and that of the account."""
        return (1 if self.observation == "compact" else self.window * self.features.shape[1]) + ACCOUNT_SIZE

    def action_space(self) -> spaces.Space[Any]:
        """Discrete over the orders; for continuous actions Box(-1, 1, (1,)), or Box(0, 1, (1,)) if long only."""
        if self.actions == "continuous":
            return spaces.Box(self.least, 1.0, (1,), np.float32)
        return spaces.Discrete(len(self.orders))

    def observation_space(self) -> spaces.Space[Any]:
        """Box float32 with finite bounds, or a Dict of two."""
        if self.observation == "dict":
            market = _box((self.window, self.features.shape[1]))
            return spaces.Dict({"market": market, "account": _box((ACCOUNT_SIZE,))})
        space = _box((self.width,))
        if self.observation == "compact":
            space.low[0], space.high[0] = 0.0, len(self.features) - 1
            space = spaces.Box(space.low, space.high, dtype=np.float32)
        return space

    def shaped(self, obs: Float32s) -> Any:
        """Flat observations (..., D) in the shape of the observation space."""
        if self.observation != "dict":
            return obs
        market = obs[..., :-ACCOUNT_SIZE].reshape(*obs.shape[:-1], self.window, -1)
        return {"market": market, "account": obs[..., -ACCOUNT_SIZE:]}

    def orders_of(self, actions: Any) -> Floats:
        """Orders (n,) of actions (n,), or (n, 1) if continuous, that are in the action space."""
        continuous = self.actions == "continuous"
        orders: Floats = (
            actions[:, 0].astype(np.float64) * self.margin.max_leverage if continuous else self.orders[actions]
        )
        return orders

    def actions_of(self, orders: Floats) -> Any:
        """Actions (n,) that gave the orders (n,): indices, or numbers in [-1, 1] if continuous."""
        if self.actions == "continuous":
            return orders / self.margin.max_leverage
        same = (orders[:, None] == self.orders) | (np.isnan(orders[:, None]) & np.isnan(self.orders))  # [n, A]
        return same.argmax(1)

    # -- episodes -----------------------------------------------------------------------------------------

    @property
    def drawn(self) -> bool:
        """True if episodes are drawn: with a random start or several datasets."""
        return self.config.random_start or len(self.markets) > 1

    def asked(self, data: Any, start: Any) -> tuple[int | None, int | None]:
        """Options of a reset, checked before anything is drawn; None stays None.

        Raises:
            TypeError: data or start is no integer.
            ValueError: data or start is out of range; without data, start must fit every market that may be drawn.
        """
        if data is not None:
            data = integer("options['data']", data, 0, len(self.markets) - 1)
        if start is not None:
            rows = range(len(self.markets)) if data is None else (data,)
            first, end = max(self.firsts[i] for i in rows), min(len(self.markets[i]) for i in rows) - 1
            name = "options['start']" if len(rows) == 1 else "options['start'] of whichever data is drawn"
            try:
                start = integer(name, start, first, end - 1)
            except ValueError as error:
                why = "a step needs a next bar" if start >= end else f"the first {first} bars are history for a window"
                raise ValueError(f"{error}: {why}") from None
        return data, start

    def draw(self, rng: np.random.Generator, data: int | None = None, start: int | None = None) -> tuple[int, int]:
        """Market index and first decision bar of a new episode; whatever is None is drawn."""
        i = data
        if i is None:
            i = int(rng.integers(len(self.markets))) if len(self.markets) > 1 else 0
        if start is not None:
            return i, start
        first, end = self.firsts[i], len(self.markets[i]) - 1
        if self.config.random_start:
            return i, int(rng.integers(first, end - (self.episode_length or 1) + 1))
        return i, first

    def begin(self, i: int, start: int) -> tuple[Floats, list[int]]:
        """State and clock at the start of an episode on market i from bar ``start``."""
        return new_state(self.initial_cash, self.years[i]), self.clock(i, start)

    def clock(self, i: int, start: int) -> list[int]:
        """Clock at the start of such an episode."""
        end = len(self.markets[i]) - 1
        last = end if self.episode_length is None else min(start + self.episode_length, end)
        offset = self.offsets[i]
        return [offset + start, offset + last, offset, -1]


def load_markets(data: Any, on_missing: str) -> tuple[Market, ...]:
    """The datasets of ``data``: one, or a list of them."""
    items = list(data) if isinstance(data, (list, tuple)) else [data]
    if not items:
        raise ValueError("data must name at least one dataset, got an empty list")
    return tuple(load(item, on_missing=on_missing) for item in items)


def _box(shape: tuple[int, ...]) -> spaces.Box:
    return spaces.Box(-FLOAT32_MAX, FLOAT32_MAX, shape, np.float32)


def _first_prices(market: Market) -> Floats:
    """First price of each bar (T,): the open, or the previous close clipped to the range of the bar."""
    if market.open is not None:
        return market.open
    before = np.concatenate([market.close[:1], market.close[:-1]])
    low = market.close if market.low is None else market.low
    high = market.close if market.high is None else market.high
    first: Floats = np.clip(before, np.minimum(low, high), np.maximum(low, high))
    return first


def _stacked(arrays: Sequence[Any]) -> Any:
    """The arrays stacked; a single one is returned without a copy."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
