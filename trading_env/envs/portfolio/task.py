"""PortfolioTask: panels, rules, spaces and drawing of episodes, shared by the scalar and the vector env.

Letters: P panels, K instruments, T rows of all panels, F features, W window, D numbers of an observation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from trading_env._checks import brief, did_you_mean
from trading_env.config import Costs, Margin, as_config
from trading_env.data.market import Market
from trading_env.data.panel import Panel
from trading_env.data.panel_datasets import load_panel
from trading_env.envs.account_rules import PRICE_RANGE, account_rules, check_costs
from trading_env.envs.episodes import Episodes
from trading_env.envs.portfolio.config import PortfolioConfig
from trading_env.envs.task import first_prices, float_box, stacked
from trading_env.features.panel import PanelFeatures, panel_features
from trading_env.kernel.layout import ROW
from trading_env.kernel.portfolio import PANEL, World
from trading_env.kernel.portfolio_account import CASH, EQUITY, HEAD, INITIAL, PEAK, YEARS
from trading_env.kernel.portfolio_trades import Fees
from trading_env.kernel.rules import Bools, Float32s, Floats, Ints

NEVER = np.iinfo(np.int64).max  # the row at which an instrument that is not delisted ends


class Drawn(NamedTuple):
    """An episode: its panel, its first decision bar, and the instrument at each place (K,)."""

    market: int
    start: int
    order: Ints


class PortfolioTask(Episodes):
    """Data and validated keywords of PortfolioEnv; see its docstring for each.

    Attributes:
        config: the keywords.
        markets: the panels, one of which an episode runs on.
        n: K.
        features: observed columns of each row (T, K, F), float32.
        feature_names: F of them.
        world: what the kernel reads.
        function: the reward callable, or None where the kernel computes the reward.
    """

    def __init__(self, data: Any, config: PortfolioConfig) -> None:
        self.config = config
        self.margin = as_config(Margin, config.margin, "margin")
        self.fill, self.observation, self.window = config.fill, config.observation, config.window
        self.initial_cash, self.shuffled = config.initial_cash, config.shuffle_symbols
        self.episode_length, self.random_start = config.episode_length, config.random_start
        self.actions, self.least = config.actions, -1.0 if config.allow_short else 0.0
        self.markets: tuple[Panel, ...] = load_panels(data)
        self.n = _common_size(self.markets)
        self._check_symbols()
        self._check_data()
        tables = [panel_features(panel, config.features, config.scaler) for panel in self.markets]
        self._place([max(p.first, t.warmup + self.window - 1) for p, t in zip(self.markets, tables, strict=True)])
        self.years = [self._bar_years(panel, config.bars_per_year) for panel in self.markets]
        self.features = self._stacked_features(tables)
        self.wicks = self._wicks_count()
        rules, self.function = account_rules(config.account_config, self.wicks)
        costs = [config.costs_of(symbol) for panel in self.markets for symbol in panel.symbols]
        highest = {name: max(getattr(cost, name) for cost in costs) for name in ("fixed", "minimum", "per_unit")}
        self.rules = np.array(rules._replace(**highest), np.float64)
        self.world = self._world()

    # -- the parts of construction ------------------------------------------------------------------------

    def _check_symbols(self) -> None:
        """Raises ValueError for a symbol without costs, and for costs or returns of an unknown symbol."""
        known = list(dict.fromkeys(symbol for panel in self.markets for symbol in panel.symbols))
        costs, returns = self.config.costs, self.config.delisting_returns
        for name, given in (("costs", costs), ("delisting_returns", returns)):
            for symbol in given if isinstance(given, Mapping) else ():
                if symbol not in known:
                    raise ValueError(
                        f"{name} names {brief(symbol)}, which data has not: {brief(known)}{did_you_mean(symbol, known)}"
                    )
        missing = [symbol for symbol in known if isinstance(costs, Mapping) and symbol not in costs]
        if missing:
            raise ValueError(f"costs must be given for every instrument, got none for {brief(missing)}")

    def _check_data(self) -> None:
        """Raises ValueError unless the account can use the prices and pay the costs."""
        names = ("open", "high", "low", "close") if self.fill == "next_open" else ("high", "low", "close")
        for panel in self.markets:
            if self.fill == "next_open" and panel.open is None:
                raise ValueError(
                    f"fill='next_open' needs the column open, which {panel.name!r} lacks; use fill='next_close'"
                )
            for name in names:
                if name in panel.columns:
                    _check_prices(panel, name)
            for k, symbol in enumerate(panel.symbols):
                lowest = min(float(np.nanmin(_own(panel, name, k), initial=np.inf)) for name in ("open", "close"))
                one = isinstance(self.config.costs, Costs)
                whose = f"costs of {symbol!r}" if one else f"costs[{symbol!r}]"
                check_costs(self.config.costs_of(symbol), self.margin, lowest, whose)

    def _stacked_features(self, tables: Sequence[PanelFeatures]) -> Float32s:
        names = {table.names for table in tables}
        if len(names) > 1:
            raise ValueError(f"the panels of data give different features: {sorted(names)}")
        self.feature_names = tables[0].names
        features: Float32s = stacked([table.values for table in tables])
        features.flags.writeable = False  # always, so that the kernel is compiled for one kind of arrays
        return features

    def _wicks_count(self) -> bool:
        """True if lows and highs can cause a margin call: with one instrument that may owe money or units."""
        known = any(panel.low is not None or panel.high is not None for panel in self.markets)
        owes = self.margin.maintenance > 0.0 or self.least < 0.0 or self.margin.max_leverage > 1.0
        return self.n == 1 and self.margin.intrabar and known and owes

    def _world(self) -> World:
        """Everything that the kernel reads, of all panels."""
        marks = [np.where(np.isnan(panel.last_close), 0.0, panel.last_close) for panel in self.markets]
        shift = 0 if self.fill == "close" else 1  # rows from an order to its fill
        fills, fillable, ends, recovery, fees = [], [], [], [], []
        for panel, mark, offset in zip(self.markets, marks, self.offsets, strict=True):
            prices = mark if self.fill != "next_open" else np.where(panel.tradable, panel.column("open"), mark)
            fills.append(_later(prices, shift))
            listed = np.arange(len(panel))[:, None] < panel.ends  # at the decision
            fillable.append(_later(panel.tradable, shift) & listed)
            ends.append(np.where(panel.ends < len(panel), panel.ends + offset, NEVER))
            returns = self.config.delisting_returns or {}
            recovery.append([1.0 + returns.get(symbol, 0.0) for symbol in panel.symbols])
            fees.append([_fees(self.config.costs_of(symbol)) for symbol in panel.symbols])
        return World(
            marks=stacked(marks),
            fills=stacked(fills),
            fillable=stacked(fillable),
            tradable=np.concatenate([panel.tradable for panel in self.markets]),
            ends=np.array(ends, np.int64),
            recovery=np.array(recovery),
            fees=np.array(fees),
            ranges=self._ranges(),
            table=self.features,
            values=self.rules,
        )

    def _ranges(self) -> Floats:
        """First, lowest and highest price of each row (3, T) if wicks count; else (3, 0)."""
        if not self.wicks:
            return np.empty((3, 0))
        return np.concatenate([_range(panel.market(panel.symbols[0])) for panel in self.markets], axis=1)

    def __repr__(self) -> str:
        panel, first = self.markets[0], self.firsts[0]
        span = f"{panel.name}, {self.n} instruments, decisions at bars {first} to {len(panel) - 2}"
        if len(self.markets) > 1:
            span = f"{len(self.markets)} panels of {self.n} instruments, {panel.name} to {self.markets[-1].name}"
        shape = f"{self.features.shape[2]} features x {self.window} bars each"
        return f"<PortfolioTask: {span}; {shape}, actions {self.actions!r}, fill {self.fill!r}>"

    # -- spaces -------------------------------------------------------------------------------------------

    @property
    def discrete(self) -> bool:
        """True if the actions are Discrete."""
        return self.actions == "one_of"

    @property
    def width(self) -> int:
        """D of a flat observation."""
        n_features: int = self.features.shape[2]
        return self.window * self.n * n_features + 2 * self.n + 2

    def action_space(self) -> spaces.Space[Any]:
        """Box([0 or -1], 1, (K,)), or Discrete(K + 1)."""
        if self.discrete:
            return spaces.Discrete(self.n + 1)
        return spaces.Box(self.least, 1.0, (self.n,), np.float32)

    def observation_space(self) -> spaces.Space[Any]:
        """Box float32 with finite bounds, or a Dict of five."""
        if self.observation == "flat":
            return float_box((self.width,))
        shapes = {
            "market": (self.window, self.n, self.features.shape[2]),
            "tradable": (self.n,),
            "weights": (self.n,),
            "cash_weight": (1,),
            "drawdown": (1,),
        }
        return spaces.Dict({name: float_box(shape) for name, shape in shapes.items()})

    def shaped(self, obs: Float32s) -> Any:
        """Flat observations (..., D) in the shape of the observation space."""
        if self.observation == "flat":
            return obs
        n, shape = self.n, obs.shape[:-1]
        market = obs[..., : -2 * n - 2].reshape(*shape, self.window, n, -1)
        tail = obs[..., -2 * n - 2 :]
        parts = {"tradable": tail[..., :n], "weights": tail[..., n : 2 * n]}
        return {"market": market, **parts, "cash_weight": tail[..., 2 * n : -1], "drawdown": tail[..., -1:]}

    def weights_of(self, actions: Any) -> Floats:
        """Actions (n, K) in the form of Box for each action (n,) of Discrete(K + 1)."""
        weights: Floats = np.eye(self.n + 1, self.n)[actions]
        return weights

    @property
    def closes(self) -> Floats:
        """The last close of each instrument at each row (T, K); 0 before the first."""
        return self.world.marks

    def masks(self, clock: Ints, orders: Ints) -> Bools:
        """Discrete actions (n, K + 1) that can ever be filled from here on: instruments that are listed, and cash.

        Args:
            clock: of each env (n, 5).
            orders: the instrument at each place (n, K).
        """
        row, panel = clock[:, ROW, None], clock[:, PANEL, None]
        listed = (self.world.marks[row, orders] > 0.0) & (self.world.ends[panel, orders] > row)
        mask: Bools = np.concatenate([listed, np.ones((len(clock), 1), np.bool_)], axis=1)
        return mask

    # -- episodes -----------------------------------------------------------------------------------------

    def draw_episode(self, rng: np.random.Generator, data: int | None = None, start: int | None = None) -> Drawn:
        """A new episode; whatever is None is drawn."""
        i, first = self.draw(rng, data, start)
        order = rng.permutation(self.n) if self.shuffled else np.arange(self.n)
        return Drawn(i, first, order.astype(np.int64))

    def symbols_of(self, episode: Drawn) -> tuple[str, ...]:
        """The instrument at each place of an episode."""
        symbols = self.markets[episode.market].symbols
        return tuple(symbols[i] for i in episode.order)

    def new_account(self, market: int) -> Floats:
        """The account at the start of an episode (HEAD + K,): all cash."""
        account = np.zeros(HEAD + self.n)
        account[[CASH, EQUITY, PEAK, INITIAL]] = self.initial_cash
        account[YEARS] = self.years[market]
        return account

    def new_clock(self, market: int, start: int) -> list[int]:
        """Clock at the start of an episode."""
        return [*self.clock(market, start), market]


def load_panels(data: Any) -> tuple[Panel, ...]:
    """The panels of ``data``: several if it is a list of Panels, else one."""
    if isinstance(data, (list, tuple)) and any(isinstance(item, Panel) for item in data):
        for item in data:
            if not isinstance(item, Panel):
                raise TypeError(f"data must be a list of Panels alone, got {brief(item)} among them")
        return tuple(data)
    return (load_panel(data),)


def _common_size(panels: Sequence[Panel]) -> int:
    """K; ValueError unless all panels have as many instruments."""
    for panel in panels:
        if len(panel.symbols) != len(panels[0].symbols):
            raise ValueError(
                f"all panels of data must have as many instruments, got {len(panels[0].symbols)} in "
                f"{panels[0].name!r} and {len(panel.symbols)} in {panel.name!r}"
            )
    return len(panels[0].symbols)


def _own(panel: Panel, name: str, k: int) -> Floats:
    """A column of one instrument, its own bars only; empty if there is none."""
    if name not in panel.columns:
        return np.empty(0)
    values: Floats = panel.column(name)[panel.tradable[:, k], k]
    return values


def _check_prices(panel: Panel, name: str) -> None:
    """Raises ValueError unless the prices of a column are in PRICE_RANGE."""
    low, high = PRICE_RANGE
    wrong = panel.tradable & ~((panel.column(name) >= low) & (panel.column(name) <= high))
    if wrong.any():
        row, k = (int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"data: {name} of {panel.symbols[k]!r} must lie in [{low:g}, {high:g}] to be traded, "
            f"got {panel.column(name)[row, k]} at {panel.time_of(row)}"
        )


def _fees(costs: Costs) -> Fees:
    """The kernel's Fees of an instrument."""
    return Fees(costs.spread, costs.commission, costs.fixed, costs.minimum, costs.per_unit)


def _range(market: Market) -> Floats:
    """First, lowest and highest price of each bar (3, T); NaN for a missing low or high."""
    unknown = np.full(len(market), np.nan)
    low = unknown if market.low is None else market.low
    high = unknown if market.high is None else market.high
    return np.array([first_prices(market), low, high])


def _later(values: Any, shift: int) -> Any:
    """The values (T, K) ``shift`` rows later; the last row, which no order is given at, stays."""
    return np.concatenate([values[shift:], values[len(values) - shift :]]) if shift else values
