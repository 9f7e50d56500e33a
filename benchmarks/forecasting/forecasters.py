"""scikit-learn's forecasters with the interface of `agents.forecasters`, and all forecasters by name.

Axis letters: n windows, W bars of a window, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.forecasters import (
    Forecaster,
    LastValue,
    LSTMForecaster,
    MeanOfLast,
    Validation,
    check_fitted,
    check_rows,
    check_validation,
    check_windows,
)

RIDGE_ALPHAS = (1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)


class Regression:
    """A regressor of scikit-learn on flattened windows.

    Args:
        candidates: functions that return a new regressor. Of several, the one with the least squared error on the
            validation rows is kept. Without validation rows, the candidates are compared on the last fifth of the
            rows, which must be in time order, and the best one is refitted on all rows.
    """

    def __init__(self, *candidates: Callable[[], Any]) -> None:
        if not candidates:
            raise ValueError("candidates must have at least one entry")
        self._candidates = candidates
        self.model: Any = None
        self._fitted: tuple[int, ...] | None = None  # (W, F)

    def fit(self, X: npt.NDArray[Any], y: npt.NDArray[Any], validation: Validation | None = None) -> Regression:
        """Fits windows X [n, W, F] and their returns y [n], and returns itself."""
        X, y = check_rows(X, y)
        validation = check_validation(validation)
        self._fitted = X.shape[1:]
        if len(self._candidates) == 1:
            self.model = self._candidates[0]().fit(_flat(X), y)
        elif validation is not None:
            check_fitted(validation[0], self._fitted)
            self.model = self._best(X, y, validation)[1]
        else:
            tail = -max(len(X) // 5, 1)
            if len(X) < 2:
                raise ValueError(f"X must be two windows or more to choose among candidates, got {len(X)}")
            best, _ = self._best(X[:tail], y[:tail], (X[tail:], y[tail:]))
            self.model = best().fit(_flat(X), y)
        return self

    def _best(self, X: npt.NDArray[Any], y: npt.NDArray[Any], validation: Validation) -> tuple[Callable[[], Any], Any]:
        """The candidate with the least validation error after fitting (X, y), and its fitted model."""
        models = [make().fit(_flat(X), y) for make in self._candidates]
        best = int(np.argmin([_error(model, *validation) for model in models]))
        return self._candidates[best], models[best]

    def predict(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Forecasts [1, n] of the returns of windows X [n, W, F]."""
        windows = check_windows(X)
        check_fitted(windows, self._fitted)
        return np.asarray(self.model.predict(_flat(windows)), np.float64)[None]


def _flat(X: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return X.reshape(len(X), -1)


def _error(model: Any, X: npt.NDArray[Any], y: npt.NDArray[Any]) -> float:
    return float(np.square(model.predict(_flat(X)) - y).mean())


def ridge() -> Regression:
    """Ridge regression on standardised features, with the penalty chosen by `Regression`."""
    return Regression(*(partial(_scaled_ridge, alpha) for alpha in RIDGE_ALPHAS))


def _scaled_ridge(alpha: float) -> Any:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), Ridge(alpha))


def random_forest(trees: int = 500, seed: int = 0, jobs: int | None = None) -> Regression:
    """A random forest; each split considers sqrt(number of features) features, each tree half of the rows."""
    from sklearn.ensemble import RandomForestRegressor

    options = {"n_estimators": trees, "max_features": "sqrt", "min_samples_leaf": 20, "max_samples": 0.5}
    return Regression(partial(RandomForestRegressor, **options, random_state=seed, n_jobs=jobs))


def boosting(rounds: int = 100, seed: int = 0) -> Regression:
    """Histogram gradient boosting with a small learning rate."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    options = {"max_iter": rounds, "learning_rate": 0.05, "max_leaf_nodes": 8, "early_stopping": False}
    return Regression(partial(HistGradientBoostingRegressor, **options, random_state=seed))


def make(name: str, horizon: int, seeds: tuple[int, ...], **options: Any) -> Forecaster:
    """A new forecaster.

    Args:
        name: one of `FORECASTERS`; the first is the benchmark of skill.
        horizon: bars whose return is forecast.
        seeds: of the LSTM; the others make the same forecasts whatever the seed.
        options: trees and jobs of "forest", rounds of "boosting", and those of `LSTMForecaster`.

    Raises:
        ValueError: there is no such forecaster.
        TypeError: it has no such option.
    """
    if name not in FORECASTERS:
        raise ValueError(f"forecast must be one of {list(FORECASTERS)}, got {name!r}")
    return FORECASTERS[name](horizon, seeds, **options)


FORECASTERS: Mapping[str, Callable[..., Forecaster]] = {
    "last_value": lambda horizon, seeds: LastValue(),
    "mean_of_20": lambda horizon, seeds: MeanOfLast(20, horizon),
    "ridge": lambda horizon, seeds: ridge(),
    "forest": lambda horizon, seeds, trees=500, jobs=None: random_forest(trees, jobs=jobs),
    "boosting": lambda horizon, seeds, rounds=100: boosting(rounds),
    "lstm": lambda horizon, seeds, **options: LSTMForecaster(seeds, **options),
}
