"""Task: data, rules, spaces and drawing of episodes, shared by the scalar and the vector env."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from trading_env.config import Costs, Margin, as_config
from trading_env.data.datasets import load
from trading_env.data.market import Market
from trading_env.envs.account_rules import PRICE_RANGE, account_rules, check_costs
from trading_env.envs.config import EnvConfig
from trading_env.envs.episodes import Episodes
from trading_env.features.scaler import scaled_features
from trading_env.features.table import FeatureTable
from trading_env.kernel.layout import CLOSES, new_state
from trading_env.kernel.observe import ACCOUNT_SIZE
from trading_env.kernel.rules import Float32s, Floats

FLOAT32_MAX = float(np.finfo(np.float32).max)
MAX_COMPACT_ROWS = 2**24  # float32 holds every integer up to here


class Task(Episodes):
    """Data and validated keywords of TradingEnv; see its docstring for each.

    Attributes:
        config: the keywords.
        markets: the datasets, one of which an episode runs on.
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
        self.episode_length, self.random_start = config.episode_length, config.random_start
        self.long_only = config.long_only
        self.actions, self.orders = config.kind, config.orders
        self.markets = load_markets(data, config.on_missing)
        self._stack([scaled_features(market, config.features, config.scaler) for market in self.markets])
        self.years = [self._bar_years(market, config.bars_per_year) for market in self.markets]
        check_costs(self.costs, self.margin, float(np.nanmin(self.bars)))
        rules, self.function = account_rules(config, self.wicks)
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
        self._place([max(m.first, t.warmup + self.window - 1) for m, t in zip(self.markets, tables, strict=True)])
        for market in self.markets:
            self._check_prices(market)
        self.wicks = self._wicks_count()
        self.bars = np.concatenate([self._prices(market) for market in self.markets], axis=1)
        self.closes: Floats = self.bars[CLOSES]
        self.features = stacked([table.values for table in tables])  # [T, F]
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
            return np.array([market.close, first_prices(market), low, high])
        if self.fill == "next_open" and market.open is not None:
            return np.array([market.close, market.open])
        return market.close[None]

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
            market = float_box((self.window, self.features.shape[1]))
            return spaces.Dict({"market": market, "account": float_box((ACCOUNT_SIZE,))})
        space = float_box((self.width,))
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

    def begin(self, i: int, start: int) -> tuple[Floats, list[int]]:
        """State and clock at the start of an episode on market i from bar ``start``."""
        return new_state(self.initial_cash, self.years[i]), self.clock(i, start)


def load_markets(data: Any, on_missing: str) -> tuple[Market, ...]:
    """The datasets of ``data``: one, or a list of them."""
    items = list(data) if isinstance(data, (list, tuple)) else [data]
    if not items:
        raise ValueError("data must name at least one dataset, got an empty list")
    return tuple(load(item, on_missing=on_missing) for item in items)


def float_box(shape: tuple[int, ...]) -> spaces.Box:
    """A Box of finite float32 numbers."""
    return spaces.Box(-FLOAT32_MAX, FLOAT32_MAX, shape, np.float32)


def first_prices(market: Market) -> Floats:
    """First price of each bar (T,): the open, or the previous close clipped to the range of the bar."""
    if market.open is not None:
        return market.open
    before = np.concatenate([market.close[:1], market.close[:-1]])
    low = market.close if market.low is None else market.low
    high = market.close if market.high is None else market.high
    first: Floats = np.clip(before, np.minimum(low, high), np.maximum(low, high))
    return first


def stacked(arrays: Sequence[Any]) -> Any:
    """The arrays stacked; a single one is returned without a copy."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
