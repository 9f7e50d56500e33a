"""`portfolio_backtest`: policies over one panel, their accounts and metrics. R = runs, T = bars, K = instruments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from trading_env.analysis.summary import COLUMNS, HEADINGS, notes_on_years, period_of, row
from trading_env.analysis.table import Summary
from trading_env.analysis.tracks import CURVES, Floats, HasTracks, Tracks
from trading_env.data.panel import Panel
from trading_env.data.zones import pandas_index
from trading_env.envs.acting.greedy import greedy_steps
from trading_env.envs.acting.policies import as_policy, first_parameter
from trading_env.envs.acting.portfolio_policy import PortfolioPolicy, weights_of
from trading_env.envs.keywords import shows_keywords_of
from trading_env.envs.portfolio.config import PortfolioConfig, portfolio_config_of
from trading_env.envs.portfolio.task import PortfolioTask, load_panels
from trading_env.envs.portfolio.vector_env import PortfolioVectorEnv

if TYPE_CHECKING:
    import pandas as pd

WHOLE: dict[str, Any] = {"random_start": False, "episode_length": None, "shuffle_symbols": False}


@shows_keywords_of(PortfolioConfig)
def portfolio_backtest(
    policy: Any, data: Any = "us-stocks", *, config: PortfolioConfig | None = None, **keywords: Any
) -> PortfolioBacktest:
    """One greedy episode of each policy, from the first decision row of the panel to its last row.

    Args:
        policy: one of

            - an object with the `predict` of Stable-Baselines3: its models, and our agents, all seeds of which run;
            - a strategy: a function whose first parameter is called ``panel``, as those of
              `trading_env.analysis.portfolio.strategies`: Panel -> target weights (T, K). It may go short, and keep
              units by NaN;
            - any other function: one observation -> action;
            - a list of these, one run for each.
        data: what `load_panel` accepts, or a PortfolioEnv, whose panel and keywords are taken. The test part of
            `Panel.split` is traded from its own first row.
        config: keywords of PortfolioEnv. random_start, episode_length and shuffle_symbols are left out, since they are
            for training.
        **keywords: of PortfolioEnv, in place of the config's.

    Raises:
        TypeError: policy is none of these, or a keyword is unknown.
        ValueError: several panels, or a keyword that is for training.
    """
    panel, settings = _given(data, config, keywords)
    several = isinstance(policy, (list, tuple))
    parts = list(policy) if several else [policy]
    envs = PortfolioVectorEnv(1, panel, **vars(settings))
    first = envs.task.firsts[0]
    found = [weights_of(part, panel, first) if first_parameter(part) == "panel" else None for part in parts]
    settings = _allowing([weights for weights in found if weights is not None], settings)
    envs = PortfolioVectorEnv(1, panel, **vars(settings))
    made = [part if w is None else PortfolioPolicy(w, envs) for part, w in zip(parts, found, strict=True)]
    acting, runs = as_policy(made if several else made[0], envs)
    if runs != 1:
        envs = PortfolioVectorEnv(runs, panel, **vars(settings))
    tracks, weights = _record(acting, envs, settings.bars_per_year)
    envs.close()
    return PortfolioBacktest(_labels(parts, policy, runs), tracks, weights, panel, settings, first)


def _given(data: Any, config: PortfolioConfig | None, keywords: dict[str, Any]) -> tuple[Panel, PortfolioConfig]:
    """The panel, and the config of one whole episode."""
    task = getattr(getattr(data, "unwrapped", None), "task", None)
    if isinstance(task, PortfolioTask):
        data, config = list(task.markets), task.config if config is None else config
    own = {} if config is None else vars(config)
    settings = portfolio_config_of(portfolio_backtest, {**own, **keywords})
    if any(getattr(settings, name) != WHOLE[name] for name in keywords if name in WHOLE):
        raise ValueError(f"a backtest is one whole episode, in the panel's order: no {', no '.join(WHOLE)}")
    panels = load_panels(data)
    if len(panels) > 1:
        raise ValueError(f"data must be one panel: call portfolio_backtest for each of the {len(panels)}")
    return panels[0], replace(settings, **WHOLE)


class PortfolioBacktest(HasTracks):
    """The accounts of one policy or several over a panel.

    Metrics are attributes with the names of `trading_env.analysis.metrics`, such as sharpe_ratio, and so are the curves
    equity (T+1,) and returns, exposure, turnover, commission, slippage, financing (T,). With several runs, all have a
    leading axis R.

    Attributes:
        names: of the runs (R,): an agent's seeds, or the names of the policies.
        tracks: the curves, with the axis R even for one run.
        weights: notional / equity after each row, the first decision's row first (R, T+1, K).
        panel: the bars.
        config: the env's keywords.
        first: the first decision row.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        tracks: Tracks,
        weights: Floats,
        panel: Panel,
        config: PortfolioConfig,
        first: int,
    ) -> None:
        self.names, self.tracks, self.weights = names, tracks, weights
        self.panel, self.config, self.first = panel, config, first

    def __len__(self) -> int:
        return len(self.names)

    def to_frame(self) -> pd.DataFrame:
        """The equity of each run (T+1, R), by time, or by row where the panel has no timestamps."""
        import pandas as pd

        time = None if self.panel.time is None else pandas_index(self.panel.time)[self.first :].rename("time")
        return pd.DataFrame(self.tracks.equity.T, index=time, columns=list(self.names))

    def summary(self) -> Summary:
        """A table of the main metrics, a row for each run."""
        values = [self.tracks.metric(metric) for metric in COLUMNS]
        lines = [row(name, [column[r] for column in values])[:-1] for r, name in enumerate(self.names)]
        return Summary(f"{self.period}; costs included", HEADINGS[:-1], lines, notes_on_years(self.tracks))

    @property
    def period(self) -> str:
        """The panel's name, its first and last day, if known, and the number T of bars."""
        return period_of(self.panel, self.first)

    def __repr__(self) -> str:
        returns = ", ".join(
            f"{name} {value:+,.1%}" for name, value in zip(self.names, self.tracks.metric("total_return"), strict=True)
        )
        return f"<PortfolioBacktest on {self.period}: {returns}>"


def _allowing(weights: Sequence[Any], config: PortfolioConfig) -> PortfolioConfig:
    """The config, with short positions and NaN allowed where weights have them."""
    arrays = [np.asarray(each, np.float64) for each in weights]
    short = any(np.nanmin(each, initial=0.0) < 0.0 for each in arrays)
    hold = any(bool(np.isnan(each).any()) for each in arrays)
    return replace(config, allow_short=config.allow_short or short, allow_hold=config.allow_hold or hold)


def _labels(parts: Sequence[Any], policy: Any, runs: int) -> tuple[str, ...]:
    """Names of the runs: of different policies, or of an agent's seeds."""
    if len(parts) == runs:
        inner = [getattr(part, "func", part) for part in parts]
        found = [str(getattr(part, "__name__", type(part).__name__)) for part in inner]
        return tuple(name if found.count(name) == 1 else f"{name} {i}" for i, name in enumerate(found))
    return tuple(f"seed {seed}" for seed in (getattr(policy, "seeds", None) or range(runs)))


def _record(policy: Any, envs: Any, bars_per_year: float | None) -> tuple[Tracks, Floats]:
    """The curves of an episode, and the weights after each row (R, T+1, K)."""
    panel, first = envs.task.markets[0], envs.task.firsts[0]
    steps = len(panel) - 1 - first
    record = {key: np.zeros((envs.num_envs, steps)) for key in CURVES}
    obs, info = envs.reset()
    equity = np.repeat(info["equity"][:, None], steps + 1, axis=1)
    weights = np.zeros((envs.num_envs, steps + 1, len(panel.symbols)))
    for t, step in enumerate(greedy_steps(policy, envs, obs)):
        equity[:, t + 1] = np.where(step.running, step.info["equity"], equity[:, t])
        weights[:, t + 1] = np.where(step.running[:, None], step.info["weights"], 0.0)
        for key, values in record.items():
            values[:, t] = np.where(step.running, step.info[key], 0.0)
    equity[:, t + 1 :] = equity[:, t + 1, None]  # all ruined before the end
    time = None if panel.local_time is None else panel.local_time[first:]
    return Tracks(time, bars_per_year or panel.bars_per_year, equity, **record), weights
