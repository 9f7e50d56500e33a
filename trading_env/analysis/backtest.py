"""`backtest`: one policy over one market, with account, trades, metrics and picture. K = runs, T = bars."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trading_env._checks import brief, flag
from trading_env.analysis.summary import HEADINGS, notes, period_of, table_of
from trading_env.analysis.table import Summary
from trading_env.analysis.tracks import CURVES, Floats, HasTracks, Tracks
from trading_env.data.datasets import load
from trading_env.data.market import Market
from trading_env.envs.acting.greedy import greedy_steps
from trading_env.envs.acting.learnt import Config, check_learnt, config_for
from trading_env.envs.acting.policies import actions_for_strategies, as_policy, looking_at
from trading_env.envs.keywords import shows_keywords
from trading_env.envs.task import Task
from trading_env.envs.trading_vector_env import TradingVectorEnv

if TYPE_CHECKING:
    import pandas as pd

KEYS = (*CURVES, "units")
WHOLE: dict[str, Any] = {"random_start": False, "episode_length": None}


@shows_keywords
def backtest(
    policy: Any,
    data: Any = "us-stocks/AAPL",
    *,
    config: Config = None,
    check_env: bool = True,
    **keywords: Any,
) -> Backtest:
    """One greedy episode of the policy, from the first decision bar of the data to its last bar.

    Args:
        policy: one of

            - an object with the `predict` of Stable-Baselines3: its models, recurrent ones too, and our agents, all
              seeds of which run at once;
            - a strategy: a function whose first parameter is called ``market``, as those of
              `trading_env.analysis.strategies`: Market -> target exposures (T,). Without ``actions`` it trades with
              buy_hold_sell if its exposures are 0 and 1, else with "continuous";
            - any other function: one observation -> action;
            - a list of these, one run for each.
        data: a dataset's name, a path, a DataFrame, rows or a Market, as `load` takes them, or an env, whose data and
            keywords are taken. The test part of `Market.split` is traded from its own first bar.
        config: keywords of TradingEnv, as an EnvConfig or a mapping; by default those of the env that the policy learnt
            in, if it keeps them. random_start and episode_length are left out, since they are for training.
        check_env: True to refuse a policy that learnt from other observations or actions, if it keeps their meaning.
        **keywords: of TradingEnv, in place of the config's.

    Returns:
        A Backtest.

    Raises:
        TypeError: policy is none of these, or a keyword is unknown.
        ValueError: several datasets; random_start or episode_length among the keywords; or a policy that learnt from
            other observations or actions.
    """
    task = getattr(getattr(data, "unwrapped", None), "task", None)
    if isinstance(task, Task):
        data, config = list(task.markets), task.config if config is None else config
    settings = config_for(backtest, policy, config, keywords, learnt=flag("check_env", check_env))
    asked = replace(settings, **WHOLE)
    if any(getattr(settings, name) != WHOLE[name] for name in keywords if name in WHOLE):
        raise ValueError("a backtest is one whole episode: no random_start, no episode_length")
    market = _one_market(data, settings.on_missing)
    if config is None and "actions" not in keywords:
        asked = replace(asked, **actions_for_strategies(policy, market))
    envs = TradingVectorEnv(1, market, **vars(asked))
    if check_env:
        check_learnt(policy, envs.task)
    acting, runs = as_policy(policy, envs)
    if runs != 1:
        envs = TradingVectorEnv(runs, market, **vars(asked))
    with looking_at(acting, envs):
        record, orders = _record(acting, envs)
    envs.close()
    first = envs.task.firsts[0]
    time = None if market.local_time is None else market.local_time[first:]
    tracks = Tracks(time, asked.bars_per_year or market.bars_per_year, **record)
    return Backtest(_name(policy), _labels(policy, runs), tracks, envs.task, orders)


class Backtest(HasTracks):
    """The account of a policy over a market, of one run or several.

    Metrics are attributes with the names of `trading_env.analysis.metrics`: total_return, annual_return,
    annual_volatility, sharpe_ratio, sharpe_standard_error, sortino_ratio, calmar_ratio, max_drawdown,
    max_drawdown_length, annual_turnover, mean_exposure, hit_rate, cost_paid, break_even_cost; and so are the curves
    equity (T+1,) and returns, exposure, turnover, commission, slippage, financing, units (T,). With several runs, all
    have a leading axis K.

    Attributes:
        policy: name of the policy.
        seeds: labels of the runs (K,): seeds of an agent, names of different policies in a list, or else 0 to K - 1.
        tracks: the curves with the axis K even for one run.
        market: the bars.
        config: the env's keywords.
        first: the first decision bar.
    """

    def __init__(
        self, policy: str, seeds: tuple[Any, ...], tracks: Tracks, task: Task, orders: Sequence[Floats]
    ) -> None:
        self.policy, self.seeds, self.tracks = policy, seeds, tracks
        self.market: Market = task.markets[0]
        self.config, self.first = task.config, task.firsts[0]
        self._task, self._orders = task, orders

    def __len__(self) -> int:
        return len(self.seeds)

    @property
    def time(self) -> Any:
        """Local timestamps of the T+1 closes; None where the market has none."""
        return self.tracks.time

    @property
    def bars_per_year(self) -> float | None:
        """Of the config or the market; None if unknown: metrics per year are NaN then."""
        return self.tracks.bars_per_year

    @property
    def period(self) -> str:
        """The market's name, its first and last day, if known, and the number T of bars."""
        return period_of(self.market, self.first)

    # -- tables -------------------------------------------------------------------------------------------

    def to_frame(self) -> pd.DataFrame:
        """Every bar, as `TradingEnv.history` has it; several runs one below the other, with a column seed."""
        return self._joined([episode.steps.drop(columns=["target", "exit"]) for episode in self._episodes])

    def trades(self) -> pd.DataFrame:
        """A row for each trade, as `trading_env.analysis.trades` defines it; with a column seed for several runs."""
        return self._joined(self.trades_of_runs)

    def summary(self) -> Summary:
        """A table of the main metrics: a row for each run, median and range of several, and holding without costs."""
        trades, close = [len(trades) for trades in self.trades_of_runs], self.market.close[self.first :]
        names = [seed if isinstance(seed, str) else f"seed {seed}" for seed in self.seeds]
        lines = table_of(self.tracks, trades, names, close, alike=names != list(self.seeds))
        return Summary(f"{self.policy} on {self.period}", HEADINGS, lines, notes(self.tracks, self.config))

    @cached_property
    def _episodes(self) -> list[Any]:
        from trading_env.envs.rendering.episode import Episode
        from trading_env.envs.rendering.replay import history

        opened = (0, self.first)
        return [Episode.of(self._task, opened, history(self._task, opened, orders)) for orders in self._orders]

    @cached_property
    def trades_of_runs(self) -> list[pd.DataFrame]:
        """The trades of each run (K,)."""
        from trading_env.analysis.trades import trades_table

        return [trades_table(self._task, episode) for episode in self._episodes]

    def _joined(self, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
        import pandas as pd

        if len(self) == 1:
            return frames[0].copy()
        labelled = [frame.copy() for frame in frames]
        for seed, frame in zip(self.seeds, labelled, strict=True):
            frame.insert(0, "seed", seed)
        return pd.concat(labelled, ignore_index=labelled[0].index.name is None)

    # -- showing ------------------------------------------------------------------------------------------

    def plot(self, seed: Any = None) -> Any:
        """A matplotlib Figure: price with trades, exposure, equity against holding, drawdown; notebooks show it.

        Args:
            seed: label of the run; by default that of the median final equity (the lower of two). Equity of the
                other runs is drawn thin.

        Raises:
            ImportError: matplotlib is missing; the message names the extra.
            ValueError: there is no such run.
        """
        from trading_env.envs.rendering.render import figure

        k = self._shown(seed)
        drawn = figure(self._episodes[k])
        if len(self) > 1:
            self._add_others(drawn.axes[2], k)
        return drawn

    def film(self, path: str | os.PathLike[str], seed: Any = None, *, frames: int = 120, fps: float = 12.0) -> Path:
        """Writes the episode of a run as an animated GIF, and returns the path.

        Args:
            path: ends in .gif.
            seed: label of the run; by default as `plot` chooses it.
            frames: pictures at most, evenly apart.
            fps: frames a second.

        Raises:
            ImportError: matplotlib or Pillow is missing; the message names the extra.
            ValueError: there is no such run, or the path ends otherwise.
        """
        from trading_env.envs.rendering.gif import pictures, write_gif

        orders = self._orders[self._shown(seed)]
        return write_gif(pictures(self._task, (0, self.first), orders), len(orders), path, frames, fps)

    def _shown(self, seed: Any) -> int:
        """The run of this label, or that of the median final equity, the lower of two."""
        if seed is not None and seed not in self.seeds:
            raise ValueError(f"seed must be one of {list(self.seeds)}, got {brief(seed)}")
        middle = np.argsort(self.tracks.equity[:, -1], kind="stable")[(len(self) - 1) // 2]
        return int(middle) if seed is None else self.seeds.index(seed)

    def _add_others(self, panel: Any, k: int) -> None:
        """Draws the equity of all runs but k thinly behind that of run k."""
        x = panel.lines[-1].get_xdata()
        for j, equity in enumerate(self.tracks.equity):
            if j != k:
                panel.plot(x, equity[: len(x)], color="#0072B2", alpha=0.25, linewidth=0.6, zorder=1)
        shown = self.tracks.equity
        if panel.get_yscale() == "log":  # has no place for the equity of a ruined run
            shown = shown[shown > 0.0]
        low, high = panel.get_ylim()
        panel.set_ylim(min(low, shown.min()), max(high, shown.max()))

    def __repr__(self) -> str:
        runs = "" if len(self) == 1 else f"{len(self)} runs, "
        returns = self.tracks.metric("total_return")
        span = f"{returns.min():+,.1%} to {returns.max():+,.1%}" if len(self) > 1 else f"{returns[0]:+,.1%}"
        return f"<Backtest of {self.policy} on {self.period}; {runs}return {span}>"


def _one_market(data: Any, on_missing: str) -> Market:
    """The market of the data; a list of one dataset counts as that one."""
    several = isinstance(data, (list, tuple)) and len(data) > 0 and isinstance(data[0], (str, Market))
    if several and len(data) > 1:
        raise ValueError(f"data must be one dataset: call backtest for each of the {len(data)}")
    return load(data[0] if several else data, on_missing=on_missing)


def _name(policy: Any) -> str:
    """A name for the policy: its class or function."""
    if isinstance(policy, (list, tuple)):
        return f"{len(policy)} policies"
    inner = getattr(policy, "func", policy)  # of a partial
    name = getattr(inner, "__name__", type(inner).__name__)
    return "a function" if name == "<lambda>" else str(name)


def _labels(policy: Any, runs: int) -> tuple[Any, ...]:
    """Labels of the runs: an agent's seeds, the names of different policies in a list, or else 0 to K - 1."""
    several = isinstance(policy, (list, tuple))
    found = [_name(part) for part in policy] if several else getattr(policy, "seeds", None)
    distinct = isinstance(found, Sequence) and len(set(found)) == len(found) == runs
    return tuple(found if distinct else range(runs))  # type: ignore[arg-type]


def _record(policy: Any, envs: Any) -> tuple[dict[str, Floats], list[Floats]]:
    """The record of the episode, equity (K, T+1) and the rest (K, T), and the orders of each run until its end."""
    task = envs.task
    steps = len(task.markets[0]) - 1 - task.firsts[0]
    record = {key: np.zeros((envs.num_envs, steps)) for key in KEYS}
    orders, lengths = np.zeros((envs.num_envs, steps)), np.zeros(envs.num_envs, np.int64)
    obs, info = envs.reset()
    equity = np.repeat(info["equity"][:, None], steps + 1, axis=1)
    for t, step in enumerate(greedy_steps(policy, envs, obs)):
        equity[:, t + 1] = np.where(step.running, step.info["equity"], equity[:, t])
        orders[:, t] = task.orders_of(step.action)
        lengths += step.running
        for key, values in record.items():
            values[:, t] = np.where(step.running, step.info[key], 0.0)
    equity[:, t + 1 :] = equity[:, t + 1, None]  # all ruined before the end
    return {"equity": equity, **record}, [row[:n] for row, n in zip(orders, lengths, strict=True)]
