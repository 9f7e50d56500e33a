"""The periods and the env of a comparison, and the record of one contender."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym

from benchmarks.contenders.settings import CompareSettings
from benchmarks.evaluation.tracks import ENV_ID
from trading_env import FeatureScaler, Market, backtest, load
from trading_env.analysis.tracks import Tracks


@dataclass(frozen=True)
class Setup:
    """The two periods and the env, which all rows of the table share.

    Attributes:
        settings: the options.
        data: the dataset's name or path.
        train, test: the market before and after the split; rows of ``test`` before its ``first`` are history.
        keywords: of TradingEnv, with a scaler fitted on the training period alone.
    """

    settings: CompareSettings
    data: str
    train: Market
    test: Market
    keywords: dict[str, Any]

    @classmethod
    def of(cls, settings: CompareSettings, data: str | None = None) -> Setup:
        """Loads a dataset, the first of the settings unless given, splits it and fits the scaler."""
        data = settings.data[0] if data is None else data
        market = load(data)
        try:
            train, test = market.split(settings.split)
        except (TypeError, ValueError) as error:
            ends = " to ".join(market.time_of(bar) for bar in (market.first, len(market) - 1))
            raise ValueError(f"split must lie within data {data!r}, {ends}: {error}") from error
        keywords = {**settings.env_keywords(), "scaler": FeatureScaler().fit(train)}
        return cls(settings, data, train, test, keywords)

    def training_env(self) -> gym.Env[Any, Any]:
        """An env on the training period whose episodes start at random bars; learners make copies of it."""
        episodes: dict[str, Any] = {"random_start": True, "episode_length": self.settings.episode_length}
        return gym.make(ENV_ID, data=self.train, **episodes, **self.keywords)

    @property
    def long_or_flat(self) -> dict[str, Any]:
        """Keywords of TradingEnv for rules, which never sell short."""
        return {**self.keywords, "allow_short": False}

    def tested(self, policy: Any) -> Tracks:
        """The learner's runs over the whole test period."""
        return backtest(policy, self.test, **self.keywords).tracks


@dataclass(frozen=True)
class Row:
    """A row of the table: the test runs of a policy, and its training speed if it was trained.

    Attributes:
        tracks: K runs.
        steps_per_second: training steps of all seeds together per second.
        seconds: duration of the training.
    """

    tracks: Tracks
    steps_per_second: float | None = None
    seconds: float | None = None
