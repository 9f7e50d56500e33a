import numpy as np
import pytest
import torch

from agents.common.devices import torch_threads
from agents.forecasters import LastValue, LSTMForecaster, MeanOfLast, squared_error_loss
from agents.nn.lstm import State
from agents.nn.recurrent import RecurrentNet

W, F = 6, 3


def remembered(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Windows of noise, whose return is a hundredth of the first bar's first feature, which only memory reaches."""
    X = np.random.default_rng(seed).normal(5.0, 2.0, size=(n, W, F)).astype(np.float32)
    return X, 0.01 * X[:, 0, 0].astype(float)


def test_the_last_value_forecasts_no_return():
    X, y = remembered(5)
    assert np.array_equal(LastValue().fit(X, y).predict(X), np.zeros((1, 5)))


def test_the_mean_of_the_last_returns_goes_on():
    X = np.arange(12.0).reshape(2, 3, 2)  # the second feature of the windows: 1, 3, 5 and 7, 9, 11
    forecaster = MeanOfLast(bars=2, horizon=5, column=1).fit(X, np.zeros(2))
    assert np.array_equal(forecaster.predict(X), [[20.0, 50.0]])
    with pytest.raises(ValueError, match="bars must be at most the window's 3, got 4"):
        MeanOfLast(bars=4).predict(X)


def test_the_loss_is_the_mean_squared_error_of_the_last_output_summed_over_seeds():
    net = RecurrentNet(F, 5, [1.0], range(3), torch.device("cpu"))
    draw = torch.Generator().manual_seed(0)
    x, target = torch.randn(3, W, 8, F, generator=draw), torch.randn(3, 8, generator=draw)
    last = net(x, State(*torch.zeros(2, 3, 8, 5)), torch.zeros(3, W, 8, dtype=torch.bool))[0][:, -1, :, 0]
    expected = np.square(last.detach().numpy() - target.numpy()).mean(1).sum()
    assert squared_error_loss(net, x, target).item() == pytest.approx(expected, rel=1e-5)


def test_fifty_updates_are_the_same_with_and_without_the_compiled_lstm():
    X, y = remembered(250)
    options = {"seeds": 2, "lstm_size": 6, "epochs": 5, "batch_size": 25}
    one, other = (LSTMForecaster(**options, fused=fused).fit(X, y).net for fused in (True, False))
    assert one.lstm._fused is not None
    assert other.lstm._fused is None
    torch.testing.assert_close(one.flat, other.flat, rtol=0, atol=1e-6)


def test_the_lstm_learns_what_stands_at_the_beginning_of_the_window():
    (X, y), (X_test, y_test) = remembered(), remembered(seed=1)
    forecaster = LSTMForecaster(seeds=2, lstm_size=16, epochs=60, batch_size=32, learning_rate=1e-2).fit(X, y)
    forecast = forecaster.predict(X_test)
    assert forecast.shape == (2, 400)
    assert (np.square(forecast - y_test).mean(1) < 0.1 * y_test.var()).all()


def test_a_seed_alone_forecasts_what_it_does_among_others():
    X, y = remembered(100)
    options = {"lstm_size": 8, "epochs": 3}
    with torch_threads(1):
        among = LSTMForecaster((0, 1, 2, 3), **options).fit(X, y, (X[:20], y[:20])).predict(X)
        alone = LSTMForecaster((2,), **options).fit(X, y, (X[:20], y[:20])).predict(X)
    np.testing.assert_allclose(alone[0], among[2], rtol=1e-3, atol=1e-6)
    assert not np.allclose(among[0], among[2], rtol=1e-3, atol=1e-6)


def test_each_seed_keeps_the_weights_that_the_validation_finds_best():
    X, y = remembered(200)
    fitted = LSTMForecaster(3, lstm_size=8, epochs=8, learning_rate=1e-2).fit(X, y, (X, y))
    assert (fitted.best_epoch == 8).all()
    misled = LSTMForecaster(3, lstm_size=8, epochs=8, learning_rate=1e-2)
    misled.fit(X, y, (X, 2 * y.mean() - y))  # whatever is learnt is wrong there
    assert (misled.best_epoch < 8).all()
    truth = np.square(misled.predict(X) - (2 * y.mean() - y)).mean(1)
    assert (truth < np.square(fitted.predict(X) - (2 * y.mean() - y)).mean(1)).all()


def test_scaling_comes_from_the_fitted_rows_alone():
    X, y = remembered(100)
    forecaster = LSTMForecaster(epochs=1).fit(X, y, (X + 1e3, y + 1e3))
    np.testing.assert_allclose(forecaster._x_mean, X.mean((0, 1)))
    np.testing.assert_allclose(forecaster._x_std, X.std((0, 1)))
    assert (forecaster._y_mean, forecaster._y_std) == (y.mean(), y.std())
    constant = LSTMForecaster(epochs=1).fit(np.ones_like(X), np.full(100, 0.5))
    np.testing.assert_allclose(constant.predict(np.ones_like(X)), 0.5, atol=0.2)


def test_bad_input_is_refused_by_name():
    X, y = remembered(10)
    with pytest.raises(ValueError, match="not fitted"):
        LSTMForecaster().predict(X)
    for bad in (X[0], X[:0], np.full_like(X, np.nan)):
        with pytest.raises(ValueError, match="X must be finite windows"):
            LSTMForecaster().fit(bad, y)
    with pytest.raises(ValueError, match="y must be 10 finite returns"):
        LSTMForecaster().fit(X, y[:9])
    for name in ("lstm_size", "epochs", "batch_size", "learning_rate", "max_grad_norm"):
        with pytest.raises(ValueError, match=name):
            LSTMForecaster(**{name: 0})


@pytest.mark.parametrize("make", [LastValue, lambda: MeanOfLast(2), lambda: LSTMForecaster(epochs=1)])
def test_lists_are_taken_as_arrays_are(make):
    X, y = remembered(20)
    X = X.astype(float)
    expected = make().fit(X, y, (X, y)).predict(X)
    listed = make().fit(X.tolist(), y.tolist(), (X.tolist(), y.tolist())).predict(X.tolist())
    assert np.array_equal(listed, expected)
    with pytest.raises(ValueError, match="X must be finite windows"):
        make().fit([[["a"]]], [0.0])


def test_windows_of_another_shape_than_fitted_are_refused_by_both():
    X, y = remembered(20)
    forecaster = LSTMForecaster(epochs=1).fit(X, y)
    with pytest.raises(ValueError, match="6 bars of 3 features as fitted, got 6 bars of 1 features"):
        forecaster.predict(X[:, :, :1])
    with pytest.raises(ValueError, match="6 bars of 3 features as fitted, got 4 bars of 3 features"):
        forecaster.predict(X[:, 2:])
    with pytest.raises(ValueError, match="as fitted, got 6 bars of 1 features"):
        LSTMForecaster(epochs=1).fit(X, y, (X[:, :, :1], y))


def test_a_validation_is_checked_as_the_fitted_rows_are():
    X, y = remembered(20)
    sick = np.where(np.arange(20) == 3, np.nan, y)
    for bad, match in (
        ((X, sick), "validation's y"),
        ((X, y[:-1]), "validation's y"),
        ((X * np.inf, y), "validation's X"),
    ):
        with pytest.raises(ValueError, match=match):
            LSTMForecaster(epochs=1).fit(X, y, bad)


def test_a_second_fit_forgets_the_first():
    X, y = remembered(200)
    misleading = (X, 2 * y.mean() - y)  # whatever is learnt is wrong there
    options = {"seeds": 2, "lstm_size": 8, "epochs": 4, "learning_rate": 1e-2}
    again = LSTMForecaster(**options).fit(X, y, (X, y)).fit(X, y, misleading)
    fresh = LSTMForecaster(**options).fit(X, y, misleading)
    assert np.array_equal(again.best_epoch, fresh.best_epoch)
    assert np.array_equal(again.predict(X), fresh.predict(X))
