from functools import partial

import gymnasium as gym
import numpy as np
import pytest

from benchmarks.evaluation import control_markets, controls
from benchmarks.evaluation.control import ControlFailedError
from benchmarks.evaluation.track_controls import cost_control, hindsight_control, selection_control
from benchmarks.evaluation.tracks import ENV_ID
from benchmarks.statistics.estimates import mean_over_seeds_and_bars
from trading_env import Market, backtest, hindsight, load
from trading_env.data import simulators

TASK = {"actions": (0.0, 1.0), "window": 2, "features": ["log_return_1"]}


def market(n=400, seed=0):
    base = simulators.gbm(n, seed)
    news = np.where(np.arange(n) < 3, np.nan, np.arange(n, dtype=float))
    return Market(base.close, base.open, base.high, base.low, base.volume, base.time, {"news": news}, first=5)


def log_returns(of):
    return np.log(of.close[1:] / of.close[:-1])


def honest(train, test, features):
    """Knows nothing: never trades."""
    return np.zeros((2, len(test) - 1))


def cheat(train, test, features):
    """Is on the right side of each bar of whatever market it is given."""
    return np.abs(log_returns(test))[None]


def peeker(train, test, features):
    """Earns only if the features hold the next bar."""
    if not callable(features):
        return np.zeros((1, len(test) - 1))
    peek = np.asarray(features(test))[:-1, -1]
    return (np.sign(peek) * log_returns(test))[None]


def test_a_shuffled_market_has_the_same_bars_in_another_order():
    before = market()
    after = control_markets.shuffled(before, 1)
    np.testing.assert_allclose(np.sort(log_returns(after)), np.sort(log_returns(before)), atol=1e-12)
    assert not np.allclose(log_returns(after), log_returns(before))
    assert (after.time == before.time).all()
    assert (after.first, after.close[0]) == (5, before.close[0])
    bar = np.searchsorted(before.columns["news"][3:], after.columns["news"][50]) + 3  # where bar 50 came from
    for name in ("open", "high", "low", "close"):
        was, now = (getattr(one, name) for one in (before, after))
        assert now[50] / after.close[49] == pytest.approx(was[bar] / before.close[bar - 1], rel=1e-12)


@pytest.mark.parametrize("name", ["us-stocks/AAPL", "us-stocks/IBM"])
def test_real_prices_can_be_shuffled_and_stay_valid(name):
    assert len(control_markets.shuffled(load(name), 0)) == len(load(name))  # Market checks each bar


def test_a_null_market_is_as_long_and_as_volatile():
    before = market(5000)
    after = control_markets.null_like(before, 3)
    assert len(after) == len(before)
    assert log_returns(after).std() == pytest.approx(log_returns(before).std(), rel=0.05)
    assert abs(np.expm1(log_returns(after)).mean()) < 4 * log_returns(after).std() / np.sqrt(5000)
    np.testing.assert_array_equal(after.columns["news"], before.columns["news"])


def test_the_peek_is_the_next_log_return():
    frame = control_markets.with_peek(["log_return_5", "news"])(market())
    np.testing.assert_allclose(frame["peek"][:-1], log_returns(market()))
    assert frame["peek"].iloc[-1] == 0.0
    assert list(frame) == ["log_return_5", "news", "peek"]


def test_an_agent_that_trades_on_the_peek_sees_it_in_its_observations():
    env = gym.make(ENV_ID, data=market(), **{**TASK, "features": control_markets.with_peek(["log_return_1"])})
    obs, info = env.reset()
    assert obs[3] == np.float32(log_returns(market())[info["bar"]])


def test_who_never_trades_passes_the_controls_but_gains_nothing_by_the_peek():
    found = {one.name: one for one in controls.run_controls(honest, market(), market(seed=1))}
    assert found["null market"].passed
    assert found["shuffled training returns"].passed
    assert not found["one-bar peek"].passed
    with pytest.raises(ControlFailedError, match="one-bar peek"):
        found["one-bar peek"].require()


def test_who_knows_the_future_is_caught_on_the_null_market():
    found = controls.null_control(cheat, market(), market(seed=1))
    assert not found.passed
    with pytest.raises(ControlFailedError, match="null market: the edge is"):
        found.require()
    assert not controls.shuffled_control(cheat, market(), market(seed=1)).passed


def test_a_side_learnt_by_chance_from_one_order_is_no_edge():
    """A study that takes the side of its training returns' first-order correlation, however small."""
    trending = simulators.regime_switching(3000, 1, stay=0.95, step=0.005, sigma=0.005)
    test = simulators.regime_switching(3000, 2, stay=0.95, step=0.005, sigma=0.005)

    def one_sided(train, test, features):
        r, ahead = log_returns(train), log_returns(test)
        side = np.sign(r[1:] @ r[:-1])
        return np.append(0.0, side * np.sign(ahead[:-1]) * ahead[1:])[None]

    alone = [one_sided(control_markets.shuffled(trending, seed), test, None) for seed in range(8)]
    assert any(mean_over_seeds_and_bars(growth).interval()[0] > 0.0 for growth in alone)
    assert controls.shuffled_control(one_sided, trending, test).passed
    with pytest.raises(ValueError, match="shuffles must be at least 2, got 1"):
        controls.shuffled_control(one_sided, trending, test, shuffles=1)


def test_a_column_that_knows_the_next_bar_loses_its_edge_a_bar_late():
    def leaking(seed):
        base = market(600, seed)
        return Market(base.close, columns={"signal": np.append(np.diff(np.log(base.close)), 0.0)})

    def follower(train, test, features):
        return (np.sign(np.nan_to_num(test.columns["signal"][:-1])) * log_returns(test))[None]

    found = controls.late_control(follower, leaking(0), leaking(1))
    assert not found.passed
    assert found.edge < 0.2 * follower(None, leaking(1), None).mean()


def test_a_column_that_stays_true_keeps_its_edge_a_bar_late():
    def slow(seed):
        base = simulators.regime_switching(3000, seed, stay=0.99, step=0.005, sigma=0.002)
        state = np.sign(np.append(log_returns(base), 0.0))
        return Market(base.close, columns={"signal": np.repeat(state[::20], 20)[:3000]})

    def follower(train, test, features):
        return (np.sign(np.nan_to_num(test.columns["signal"][:-1])) * log_returns(test))[None]

    assert controls.late_control(follower, slow(0), slow(1)).passed


def test_an_honest_study_passes_on_any_null_markets():
    def trend(train, test, features):
        side = np.sign(log_returns(train).mean())
        return side * log_returns(test)[None]

    passed = [controls.null_control(trend, market(800, s), market(800, s + 1), seed=100 * s).passed for s in range(20)]
    assert sum(passed) >= 18
    with pytest.raises(ValueError, match="draws must be at least 2, got 1"):
        controls.null_control(trend, market(), market(seed=1), draws=1)


def test_training_bars_in_the_test_are_refused():
    whole = simulators.gbm(300, 0)
    train, test = whole.split(0.6)
    controls.check_apart(train, test)  # the test's window shows training bars, which is no overlap
    with pytest.raises(ValueError, match="train and test must have no bars in common: 20 returns from bar"):
        controls.check_apart(whole, test)
    with pytest.raises(ValueError, match="no bars in common"):
        controls.run_controls(honest, whole, test)


def test_who_uses_the_peek_wins_hugely_with_it():
    found = controls.peek_control(peeker, market(), market(seed=1))
    assert found.passed
    assert found.interval[0] > 0.0
    found.require()


def test_an_edge_that_the_peek_does_not_raise_is_no_proof_that_the_study_can_see():
    """A study with an edge of its own, which does not look at its features."""
    edge = np.random.default_rng(0).normal(1e-3, 1e-3, (4, len(market()) - 1))
    found = controls.peek_control(lambda train, test, features: edge, market(), market(seed=1))
    assert found.interval[0] > 0.0
    assert not found.passed
    noise = np.random.default_rng(1).normal(0.0, 1e-2, edge.shape)
    noisy = controls.peek_control(
        lambda train, test, features: edge + (noise if callable(features) else 0.0), market(), market(seed=1)
    )
    assert noisy.interval[0] > 0.0 or noisy.edge > 0.0
    assert not noisy.passed  # a gain within noise is none


@pytest.mark.parametrize(("noise", "passed"), [(1e-4, False), (3e-2, True)])
def test_an_edge_lost_a_bar_late_is_forgiven_if_the_loss_is_within_noise(noise, passed):
    draws = np.random.default_rng(0).normal(0.0, noise, (2, 1, 399))

    def study(train, test, features):
        known = not np.isnan(test.columns["news"][5])  # a bar late, it is not
        return (1e-3 if known else 2e-4) + draws[int(known)]

    def news(seed):
        base = market(seed=seed)
        columns = {"news": np.where(np.arange(400) < 5, np.nan, 1.0)}
        return Market(base.close, base.open, base.high, base.low, base.volume, base.time, columns, first=5)

    found = controls.late_control(study, news(0), news(1))
    assert found.edge < 0.5 * study(None, news(1), None).mean()
    assert found.passed == passed


def test_the_hindsight_bound_holds_for_its_own_path_and_not_above_it():
    test = market(seed=1)
    best = hindsight(test, **TASK)
    growth = np.zeros((2, len(best.actions)))
    growth[0, 0] = best.log_growth
    assert hindsight_control(growth, test, **TASK).passed
    growth[1, 3] = best.log_growth * 1.001
    with pytest.raises(ControlFailedError, match="hindsight bound"):
        hindsight_control(growth, test, **TASK).require()


def test_growth_of_other_bars_than_the_bounds_is_refused():
    test = market()
    with pytest.raises(ValueError, match=r"growth must have shape \(S, 394\)"):
        hindsight_control(np.zeros((2, 10)), test, **TASK)


# -- trained on the test, costs left out, the best of many --------------------------------------------------------


def linear(train, test, features, on_test=False):
    """Follows the sign of a linear forecast by the last three returns, fitted on the training or on the test."""
    known, asked = (np.lib.stride_tricks.sliding_window_view(log_returns(one), 4) for one in (train, test))
    fitted = asked if on_test else known
    line = np.linalg.lstsq(fitted[:, :3], fitted[:, 3])[0]
    return (np.sign(asked[:, :3] @ line) * asked[:, 3])[None]


def test_a_study_that_learns_from_its_test_is_caught_by_another_future():
    assert controls.future_control(linear, market(), market(seed=1)).passed
    found = controls.future_control(partial(linear, on_test=True), market(), market(seed=1))
    assert not found.passed
    assert "differs from bar" in found.expected
    with pytest.raises(ControlFailedError, match="changed future"):
        found.require()


def test_each_column_is_delayed_alone_and_all_are_together():
    def leaking(seed):
        base = market(600, seed)
        ahead = np.append(np.diff(np.log(base.close)), 0.0)
        return Market(base.close, columns={"leak": ahead, "other": np.ones(600)})

    def follower(train, test, features):
        return (np.sign(np.nan_to_num(test.columns["leak"][:-1])) * log_returns(test))[None]

    found = {one.name: one.passed for one in controls.run_controls(follower, leaking(0), leaking(1), shuffles=2)}
    assert not found["columns a bar late"]
    assert not found["column 'leak' a bar late"]
    assert found["column 'other' a bar late"]


@pytest.mark.parametrize("fill", ["close", "next_open"])
def test_costs_left_out_are_caught_and_costs_paid_are_not(fill):
    test = simulators.regime_switching(2000, 2, stay=0.95, step=0.005, sigma=0.005)
    options = {"costs": {"commission": 5e-4, "slippage": 5e-4}, "fill": fill}
    side = (log_returns(test)[:-1] > 0.0).astype(float)[None]  # chosen at the close before each bar but the first
    task = {"actions": "continuous", "allow_short": False, "features": ["close"], "window": 1}
    path = np.concatenate([[0.0], side[0], side[0, -1:]])
    honest, free = (
        np.diff(np.log(backtest(lambda market: path, test, **task, **{**options, **costs}).tracks.equity))[:, 1:]
        for costs in ({}, {"costs": {"commission": 0.0, "slippage": 0.0}})
    )
    assert cost_control(honest, side, test, **options).passed
    found = cost_control(free, side, test, **options)
    assert not found.passed
    assert free.mean() > honest.mean() > 0.0  # an edge that is real, and overstated
    assert "the claim exceeds what they leave" in found.expected


def test_a_claim_of_another_shape_than_its_exposures_is_refused():
    with pytest.raises(ValueError, match="one shape"):
        cost_control(np.zeros((1, 5)), np.zeros((2, 5)), market())


def test_the_best_of_many_random_traders_is_called_skill_at_the_nominal_rate():
    rng = np.random.default_rng(0)
    called = [selection_control(rng.standard_normal(20), rng.standard_normal(100)).passed for _ in range(2000)]
    assert 0.03 < np.mean(called) < 0.07
    assert selection_control([0.0, 6.0], rng.standard_normal(100)).passed
    assert not selection_control([2.2], rng.standard_normal(100), trials=100).passed
    assert selection_control([2.8], rng.standard_normal(100)).passed
    with pytest.raises(ValueError, match="at least 20 traders too, got 1, 2"):
        selection_control([1.0], [0.0, 1.0])
