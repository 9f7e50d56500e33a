import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_env.data import simulators
from trading_env.data.datasets import load
from trading_env.data.market import Market

SIMULATORS = {
    "gbm": simulators.gbm,
    "garch": simulators.garch,
    "stationary_bootstrap": lambda n_bars, seed: simulators.stationary_bootstrap(
        load("us-stocks/IBM"), seed, n_bars=n_bars
    ),
    "ornstein_uhlenbeck": simulators.ornstein_uhlenbeck,
    "regime_switching": simulators.regime_switching,
    "moody_saffell": simulators.moody_saffell,
    "sine_plus_noise": simulators.sine_plus_noise,
}


def log_returns(market):
    return np.diff(np.log(market.close))


@pytest.mark.parametrize("simulate", SIMULATORS.values(), ids=SIMULATORS)
def test_a_seed_gives_one_market_and_another_seed_another(simulate):
    one, same, other = simulate(300, seed=3), simulate(300, seed=3), simulate(300, seed=4)
    assert one.close.tobytes() == same.close.tobytes()
    assert one.close.tobytes() != other.close.tobytes()
    assert len(one) == 300
    assert one.bars_per_year == 252.0


@pytest.mark.parametrize("simulate", SIMULATORS.values(), ids=SIMULATORS)
def test_the_global_generator_is_left_alone(simulate):
    before = np.random.get_state()[1].tobytes()  # noqa: NPY002 (read only)
    simulate(50, seed=0)
    assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002 (read only)


@pytest.mark.parametrize("name", [name for name in SIMULATORS if name != "stationary_bootstrap"])
def test_bars_open_at_the_close_before(name):
    market = SIMULATORS[name](100, seed=0)
    assert np.array_equal(market.open[1:], market.close[:-1])
    assert market.open[0] == market.close[0]
    assert np.array_equal(market.high, np.maximum(market.open, market.close))
    assert np.array_equal(market.low, np.minimum(market.open, market.close))
    assert market.metadata["source"] == f"simulators.{name}"
    assert market.time_of(5) == "2000-01-10 (row 5)"


@pytest.mark.parametrize("simulate", SIMULATORS.values(), ids=SIMULATORS)
@pytest.mark.parametrize(
    ("n_bars", "seed", "error", "message"),
    [
        (1, 0, ValueError, "n_bars must be at least 2, got 1"),
        (10.0, 0, TypeError, "n_bars must be an integer, got 10.0"),
        (10, -1, ValueError, "seed must be at least 0, got -1"),
        (10, None, TypeError, "seed must be an integer, got None"),
    ],
)
def test_every_simulator_checks_n_bars_and_seed(simulate, n_bars, seed, error, message):
    with pytest.raises(error, match=message):
        simulate(n_bars, seed)


@pytest.mark.parametrize(
    ("name", "parameters", "error", "message"),
    [
        ("gbm", {"sigma": -0.1}, ValueError, "sigma must be a finite number >= 0, got -0.1"),
        ("gbm", {"mu": float("nan")}, ValueError, "mu must be a finite number, got nan"),
        ("gbm", {"price": 0.0}, ValueError, "price must be a finite number above 0, got 0.0"),
        ("gbm", {"mu": "x"}, TypeError, "mu must be a number, got 'x'"),
        ("gbm", {"mu": 1e6}, ValueError, "must be finite and positive, got inf at 2000-01-0"),
        ("garch", {"alpha": 0.5, "beta": 0.5}, ValueError, r"alpha \+ beta must be below 1, got 0.5 \+ 0.5"),
        ("garch", {"omega": 0.0}, ValueError, "omega must be a finite number above 0, got 0.0"),
        ("ornstein_uhlenbeck", {"kappa": 0.0}, ValueError, "kappa must be a finite number above 0, got 0.0"),
        ("regime_switching", {"stay": 1.5}, ValueError, r"stay must be a finite number in \[0, 1\], got 1.5"),
        ("regime_switching", {"step": 0.3, "sigma": 0.05}, ValueError, r"step \+ 14 sigma must be below 1"),
        ("regime_switching", {"observed": 1}, TypeError, "observed must be a bool, got 1"),
        ("moody_saffell", {"decay": 1.1}, ValueError, r"decay must be a finite number in \[0, 1\], got 1.1"),
        ("sine_plus_noise", {"period": 0}, ValueError, "period must be a finite number above 0, got 0"),
    ],
)
def test_a_parameter_out_of_range_raises(name, parameters, error, message):
    with pytest.raises(error, match=message):
        getattr(simulators, name)(100, 0, **parameters)


def test_gbm_has_the_drift_and_volatility_asked_for():
    returns = log_returns(simulators.gbm(50_001, seed=1, mu=0.1, sigma=0.3))
    assert returns.std() * np.sqrt(252) == pytest.approx(0.3, rel=0.01)
    years = 50_000 / 252
    assert returns.sum() / years == pytest.approx(0.1 - 0.045, abs=3 * 0.3 / np.sqrt(years))


def test_gbm_without_volatility_compounds_exactly():
    close = simulators.gbm(253, seed=0, mu=0.1, sigma=0.0).close
    assert close[0] == 100.0
    assert close[252] == pytest.approx(100 * np.exp(0.1), rel=1e-12)


def test_garch_has_its_unconditional_variance_and_clusters():
    returns = log_returns(simulators.garch(50_000, seed=2, mu=0.0, omega=2e-6, alpha=0.1, beta=0.8))
    assert returns.var() == pytest.approx(2e-6 / 0.1, rel=0.05)
    squares = returns**2 - (returns**2).mean()
    correlation = (squares[1:] * squares[:-1]).mean() / squares.var()
    # Bollerslev (1986): rho_1 = alpha (1 - alpha beta - beta^2) / (1 - 2 alpha beta - beta^2)
    assert correlation == pytest.approx(0.1 * (1 - 0.08 - 0.64) / (1 - 0.16 - 0.64), abs=0.05)


def test_ornstein_uhlenbeck_is_stationary_about_its_mean():
    market = simulators.ornstein_uhlenbeck(50_000, seed=3, kappa=0.2, sigma=0.02, mean=50.0, price=60.0)
    x = np.log(market.close / 50.0)
    assert x[0] == pytest.approx(np.log(1.2))
    assert x[100:].std() == pytest.approx(0.02 / np.sqrt(0.4), rel=0.03)  # sigma / sqrt(2 kappa)
    assert (x[101:] * x[100:-1]).mean() / x[100:].var() == pytest.approx(np.exp(-0.2), abs=0.01)


@given(st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 0.5))
def test_an_observed_regime_tells_the_next_return(seed, stay, step):
    market = simulators.regime_switching(30, seed, stay=stay, step=step)
    state = market.column("state")
    assert set(state) <= {-1.0, 1.0}
    growth = market.close[1:] / market.close[:-1]
    np.testing.assert_allclose(growth, 1.0 + step * state[:-1], rtol=1e-14)


def test_regimes_last_as_long_as_asked():
    state = simulators.regime_switching(100_000, seed=5, stay=0.9).column("state")
    assert (state[1:] == state[:-1]).mean() == pytest.approx(0.9, abs=0.005)
    assert state.mean() == pytest.approx(0.0, abs=0.05)
    first = [simulators.regime_switching(2, seed).column("state")[0] for seed in range(100)]
    assert 30 < first.count(1.0) < 70


def test_a_hidden_regime_is_no_column_and_has_noise():
    shown = simulators.regime_switching(20_000, seed=5, stay=0.9, step=0.001, sigma=0.01)
    hidden = simulators.regime_switching(20_000, seed=5, stay=0.9, step=0.001, sigma=0.01, observed=False)
    assert "state" not in hidden.column_names
    assert np.array_equal(hidden.close, shown.close)
    noise = np.diff(hidden.close) / hidden.close[:-1] - 0.001 * shown.column("state")[:-1]
    assert noise.std() == pytest.approx(0.01, rel=0.03)
    assert noise.mean() == pytest.approx(0.0, abs=3e-4)


def test_moody_saffell_is_a_trend_plus_noise():
    market = simulators.moody_saffell(50_000, seed=6, trend=True)
    trend = market.column("trend")
    shocks = trend[1:] - 0.9 * trend[:-1]
    assert shocks.std() == pytest.approx(1.0, rel=0.02)
    noise = 1553.7 * log_returns(market) - trend[:-1]  # p' - p - b = k eps
    assert noise.std() == pytest.approx(3.0, rel=0.02)
    assert abs(np.corrcoef(noise, trend[:-1])[0, 1]) < 0.02
    hidden = simulators.moody_saffell(50_000, seed=6)
    assert dict(hidden.columns) == {}
    assert np.array_equal(hidden.close, market.close)


def test_sine_plus_noise_swings_about_its_centre():
    calm = simulators.sine_plus_noise(201, seed=0, period=40, amplitude=0.2, sigma=0.0, price=10.0)
    assert calm.close[[0, 10, 20, 30]] == pytest.approx([10, 10 * np.exp(0.2), 10, 10 * np.exp(-0.2)])
    noisy = simulators.sine_plus_noise(50_000, seed=0, amplitude=0.0, sigma=0.01)
    assert np.log(noisy.close / 100).std() == pytest.approx(0.01, rel=0.02)


def test_bootstrapped_bars_are_bars_of_the_source():
    source = load("us-stocks/IBM")
    market = simulators.stationary_bootstrap(source, seed=1, n_bars=8000, block=10)
    shapes = {tuple(np.round([h / c, lo / c, v], 9)) for h, lo, c, v in zip(
        source.high, source.low, source.close, source.volume, strict=True
    )}  # fmt: skip
    got = zip(market.high, market.low, market.close, market.volume, strict=True)
    assert all(tuple(np.round([h / c, lo / c, v], 9)) in shapes for h, lo, c, v in got)
    returns, own = log_returns(market), np.sort(log_returns(source))
    nearest = own[np.clip(np.searchsorted(own, returns), 1, own.size - 1)]
    before = own[np.clip(np.searchsorted(own, returns), 1, own.size - 1) - 1]
    assert np.minimum(abs(returns - nearest), abs(returns - before)).max() < 1e-9
    assert market.time is None
    assert simulators.stationary_bootstrap(source, 1).time_of(9) == source.time_of(9)


def test_blocks_have_the_mean_length_asked_for():
    source = Market.from_arrays(np.exp(np.arange(2000) ** 2 * 1e-5))  # each return tells its row
    rows = np.round(log_returns(simulators.stationary_bootstrap(source, 0, n_bars=20_001, block=25)) / 2e-5 - 0.5)
    breaks = (np.diff(rows) % 1999 != 1).sum()
    assert 20_000 / breaks == pytest.approx(25, rel=0.1)


@pytest.mark.parametrize(
    ("market", "options", "error", "message"),
    [
        ("us-stocks/IBM", {}, TypeError, "market must be a Market, got 'us-stocks/IBM'"),
        (Market.from_arrays([1.0]), {}, ValueError, "market must have at least 2 bars, got 1"),
        (Market.from_arrays([1.0, 2.0]), {"block": 0.5}, ValueError, "block must be a finite number >= 1, got 0.5"),
    ],
)
def test_a_bootstrap_that_cannot_be_raises(market, options, error, message):
    with pytest.raises(error, match=message):
        simulators.stationary_bootstrap(market, 0, **options)


def test_more_bars_than_dates_fit_have_none():
    market = simulators.gbm(60_001, seed=0)
    assert market.time is None
    assert market.bars_per_year == 252.0
    assert simulators.gbm(60_000, seed=0).time_of(-1).startswith("2229-12-")


@pytest.mark.parametrize("name", ["garch", "stationary_bootstrap"])
def test_without_arch_the_extra_is_named(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "arch.univariate", None)
    monkeypatch.setitem(sys.modules, "arch.bootstrap", None)
    message = rf"simulators.{name} needs arch: pip install 'trading-env\[arch\]'"
    with pytest.raises(ImportError, match=message):
        SIMULATORS[name](100, 0)


def test_numbers_of_numpys_are_numbers():
    for make in (simulators.gbm, simulators.ornstein_uhlenbeck, simulators.garch):
        assert (make(50, np.int64(3)).close == make(50, 3).close).all()
    market = simulators.gbm(50, 3, mu=np.float32(0.25))
    assert market.metadata["parameters"] == {"seed": 3, "mu": 0.25, "sigma": 0.2}
    assert simulators.stationary_bootstrap(market, np.uint8(1), block=np.int64(5)).metadata["block"] == 5


def test_a_bootstrap_of_a_part_draws_its_own_bars():
    close = np.concatenate([np.linspace(1.0, 2.0, 50), np.full(20, 3.0)])  # flat in the test part
    _, test = Market.from_arrays(close).split(51 / 70)
    drawn = simulators.stationary_bootstrap(test, seed=0)
    assert drawn.close.tolist() == [3.0] * 19
