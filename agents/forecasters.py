"""Forecasters of returns from windows of features, with the interface `fit(X, y)` and `predict(X)`.

X [n, W, F] are windows of W bars, oldest first; y [n] are the returns from the last bar of each window to the bar that
is forecast. Arrays and lists are accepted. `predict` takes windows of the same shape (W, F) and returns one row of
forecasts per seed, [S, n]; S is 1 for deterministic forecasters. Forecasters learn only from the rows given to `fit`;
means and deviations for scaling come from these rows too. `validation` is a pair (X, y) of later rows, used only to
select hyperparameters or the epoch at which to stop.

Axis letters: S seeds, n windows, W bars of a window, F features, B batch, H hidden.
"""

from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch

from agents.common.checks import check_flag, check_float, check_int, check_seeds
from agents.common.streams import generator
from agents.nn.adam import Adam
from agents.nn.parameters import Floats
from agents.nn.recurrent import RecurrentNet

Validation = tuple[npt.NDArray[Any], npt.NDArray[Any]]


class Forecaster(Protocol):
    """Interface of forecasters."""

    def fit(self, X: npt.NDArray[Any], y: npt.NDArray[Any], validation: Validation | None = None) -> Self:
        """Learns from windows X [n, W, F] and their returns y [n], and returns itself."""

    def predict(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Forecasts [S, n] of the returns of windows X [n, W, F]."""


class LastValue:
    """Forecasts no change: every return is 0. The reference against which skill is measured."""

    def fit(self, X: npt.NDArray[Any], y: npt.NDArray[Any], validation: Validation | None = None) -> Self:
        """Nothing is learnt."""
        check_rows(X, y)
        return self

    def predict(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Zeros, [1, n]."""
        return np.zeros((1, len(check_windows(X))))


class MeanOfLast:
    """Forecasts the mean of the last returns.

    Args:
        bars: Number of returns in the mean.
        horizon: Bars that the forecast return covers.
        column: Index of the feature that is the return of one bar.
    """

    def __init__(self, bars: int = 20, horizon: int = 1, column: int = 0) -> None:
        self.bars, self.horizon = check_int("bars", bars, 1), check_int("horizon", horizon, 1)
        self.column = check_int("column", column, 0)

    def fit(self, X: npt.NDArray[Any], y: npt.NDArray[Any], validation: Validation | None = None) -> Self:
        """Nothing is learnt."""
        check_rows(X, y)
        return self

    def predict(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """The mean return of each window's last bars times the horizon, [1, n]."""
        windows = check_windows(X)
        if windows.shape[1] < self.bars:
            raise ValueError(f"bars must be at most the window's {windows.shape[1]}, got {self.bars}")
        mean: npt.NDArray[np.float64] = windows[None, :, -self.bars :, self.column].mean(2, dtype=np.float64)
        return self.horizon * mean


class LSTMForecaster:
    """An LSTM over the window and one linear layer on its last hidden state, for one seed or several at once.

    It minimises the squared error with Adam, in shuffled batches. If validation rows are given, it keeps, for each
    seed, the weights of the epoch with the lowest validation error. The initial weights, whose forecasts are close to
    the mean return, take part in this selection.

    Args:
        seeds: n for 0..n-1, or a sequence of ints: each draws its own weights and order of batches.
        lstm_size: Hidden units, H.
        epochs: Passes over all windows.
        batch_size: Windows per update, B.
        learning_rate: Adam's step size.
        max_grad_norm: Largest norm of one seed's gradient.
        fused: Whether to use the compiled LSTM, which gives the same numbers faster.
    """

    def __init__(
        self,
        seeds: int | tuple[int, ...] = 1,
        lstm_size: int = 32,
        epochs: int = 20,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        max_grad_norm: float = 1.0,
        fused: bool = True,
    ) -> None:
        self.seeds = check_seeds(seeds)
        self.lstm_size, self.epochs = check_int("lstm_size", lstm_size, 1), check_int("epochs", epochs, 1)
        self.batch_size = check_int("batch_size", batch_size, 1)
        self.learning_rate = check_float("learning_rate", learning_rate, 0.0, above=True)
        self.max_grad_norm = check_float("max_grad_norm", max_grad_norm, 0.0, above=True)
        self.fused = check_flag("fused", fused)
        self.net: RecurrentNet | None = None
        self._fitted: tuple[int, ...] | None = None  # (W, F)
        self.best_epoch = np.zeros(len(self.seeds), np.int64)  # [S], whose weights it has; 0 are the first ones

    def fit(self, X: npt.NDArray[Any], y: npt.NDArray[Any], validation: Validation | None = None) -> Self:
        """Learns from windows X [n, W, F] and their returns y [n], and returns itself."""
        X, y = check_rows(X, y)
        validation = check_validation(validation)
        self._fitted, self.best_epoch = X.shape[1:], np.zeros_like(self.best_epoch)
        self._x_mean, self._x_std = X.mean((0, 1)), _spread(X.std((0, 1)))  # [F]
        self._y_mean, self._y_std = float(y.mean()), float(_spread(np.array(y.std())))
        scaled = torch.from_numpy(self._scaled(X))  # [W, n, F]
        target = torch.from_numpy(((y - self._y_mean) / self._y_std).astype(np.float32))  # [n]
        sizes = (X.shape[2], self.lstm_size, [0.1])
        net = self.net = RecurrentNet(*sizes, self.seeds, torch.device("cpu"), self.fused)
        optimizer = Adam(net, self.max_grad_norm)
        orders = [generator(seed, "replay") for seed in self.seeds]
        best = None if validation is None else (net.flat.clone(), self._errors(validation))
        for epoch in range(1, self.epochs + 1):
            self._epoch(scaled, target, np.stack([order.permutation(len(y)) for order in orders]), optimizer)
            if best is None or validation is None:
                self.best_epoch[:] = epoch
            else:
                self._keep_best(best, self._errors(validation), epoch)
        if best is not None:
            net.flat.copy_(best[0])
        return self

    def _epoch(self, scaled: torch.Tensor, target: torch.Tensor, order: npt.NDArray[np.int64], optimizer: Adam) -> None:
        """One pass over scaled windows [W, n, F] and targets [n], each seed in its own order [S, n]."""
        assert self.net is not None
        for start in range(0, order.shape[1], self.batch_size):
            rows = torch.from_numpy(order[:, start : start + self.batch_size])  # [S, B]
            x = scaled[:, rows].transpose(0, 1)  # [S, W, B, F]
            self.net.zero_grad()
            squared_error_loss(self.net, x, target[rows]).backward()
            optimizer.step(self.learning_rate)

    def _errors(self, validation: Validation) -> npt.NDArray[np.float64]:
        """Mean squared error of each seed, [S]."""
        X, y = validation
        errors: npt.NDArray[np.float64] = np.square(self.predict(X) - y).mean(1)
        return errors

    def _keep_best(
        self, best: tuple[torch.Tensor, npt.NDArray[np.float64]], errors: npt.NDArray[np.float64], epoch: int
    ) -> None:
        """Copies into `best` the weights of the seeds whose error has fallen."""
        assert self.net is not None
        flat, lowest = best
        better = errors < lowest  # [S]
        mask = self.net.spread(torch.from_numpy(better))
        flat.copy_(torch.where(mask, self.net.flat, flat))
        lowest[better] = errors[better]
        self.best_epoch[better] = epoch

    @torch.inference_mode()
    def predict(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Forecasts [S, n] of the returns of windows X [n, W, F].

        Raises:
            ValueError: If it is not fitted, or was fitted to windows of another shape.
        """
        X = check_windows(X)
        check_fitted(X, self._fitted)
        assert self.net is not None
        scaled, S, parts = torch.from_numpy(self._scaled(X)), len(self.seeds), []
        for start in range(0, len(X), 512):
            x = scaled[:, start : start + 512].expand(S, -1, -1, -1)  # [S, W, B, F]
            parts.append(forecast(self.net, x).double())  # [S, B]
        return self._y_mean + self._y_std * torch.cat(parts, 1).numpy()

    def _scaled(self, X: npt.NDArray[Any]) -> Floats:
        """Windows by the fitted rows' means and deviations, bars first, [W, n, F]."""
        scaled = ((X - self._x_mean) / self._x_std).astype(np.float32)
        return np.ascontiguousarray(scaled.swapaxes(0, 1))


def squared_error_loss(net: RecurrentNet, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Squared error of the forecasts, mean over B and sum over S: x [S, W, B, F], target [S, B]."""
    error = forecast(net, x) - target  # [S, B]
    return error.square().mean(1).sum()  # []


def forecast(net: RecurrentNet, x: torch.Tensor) -> torch.Tensor:
    """Forecasts [S, B]: the output of the network after the last bar of windows x [S, W, B, F]."""
    last = net.lstm(x).hidden[:, -1]  # [S, B, H]
    output: torch.Tensor = net.head(last)[..., 0]  # [S, B]
    return output


def check_windows(X: npt.ArrayLike, name: str = "X") -> npt.NDArray[Any]:
    """X as an array [n, W, F].

    Raises:
        ValueError: If it has another shape, no windows, or values that are not finite numbers.
    """
    windows = np.asarray(X)
    if windows.ndim != 3 or len(windows) == 0 or windows.dtype.kind not in "fiu" or not np.isfinite(windows).all():
        shape = f"{windows.dtype} of shape {windows.shape}"
        raise ValueError(f"{name} must be finite windows (n, W, F) and at least one, got {shape}")
    return windows


def check_rows(X: npt.ArrayLike, y: npt.ArrayLike, of: str = "") -> Validation:
    """Windows X [n, W, F] and their returns y [n] as arrays; `of` precedes their names in error messages.

    Raises:
        ValueError: If they have other shapes, or values that are not finite numbers.
    """
    windows, returns = check_windows(X, f"{of}X"), np.asarray(y)
    if returns.shape != windows.shape[:1] or returns.dtype.kind not in "fiu" or not np.isfinite(returns).all():
        shape = f"{returns.dtype} of shape {returns.shape}"
        raise ValueError(f"{of}y must be {len(windows)} finite returns, one for each window, got {shape}")
    return windows, returns


def check_validation(validation: Validation | None) -> Validation | None:
    """A validation (X, y) as arrays, if there is one; ValueError as in `check_rows`."""
    return None if validation is None else check_rows(*validation, of="validation's ")


def check_fitted(windows: npt.NDArray[Any], fitted: tuple[int, ...] | None) -> None:
    """Checks that windows [n, W, F] have the shape (W, F) of the fitted windows.

    Raises:
        ValueError: If they have another shape, or the forecaster is not fitted.
    """
    if fitted is None:
        raise ValueError("the forecaster is not fitted: call fit(X, y) first")
    if windows.shape[1:] != fitted:
        expected, got = (f"{bars} bars of {features} features" for bars, features in (fitted, windows.shape[1:]))
        raise ValueError(f"X must be windows of {expected} as fitted, got {got}")


def _spread(deviation: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Deviations to divide by: 1 in place of 0."""
    return np.where(deviation > 0.0, deviation, 1.0)
