import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.evaluation import evaluate_policy

from tests.trading_env.markets import random_market
from trading_env import Market
from trading_env.analysis import metrics, strategies
from trading_env.analysis.strategies import StrategyPolicy

ENV = "trading_env:TradingEnv-v0"
STRATEGIES = {
    "flat": strategies.flat,
    "buy_and_hold": strategies.buy_and_hold,
    "random_policy": lambda market: strategies.random_policy(market, turnover=50.0, seed=4),
    "volatility_target": strategies.volatility_target,
    "time_series_momentum": lambda market: strategies.time_series_momentum(market, 60, short=True),
    "moving_average_crossover": lambda market: strategies.moving_average_crossover(market, 5, 40, short=True),
    "mean_reversion": lambda market: strategies.mean_reversion(market, short=True),
}


def make_market(close=None, bars=300):
    close = random_market(0, bars, 0.01).close if close is None else np.asarray(close, float)
    return Market.from_arrays(close, open=close, bars_per_year=252)


def make_env(market, **keywords):
    return gym.make(ENV, data=market, features=np.zeros((len(market), 1)), window=1, **keywords)


def play(policy, env):
    """Equity (T+1,) and the infos of an episode."""
    obs, info = env.reset()
    infos, state, over = [info], None, False
    while not over:
        action, state = policy.predict(obs, state)
        obs, _, terminated, truncated, info = env.step(action)
        infos.append(info)
        over = terminated or truncated
    return np.array([info["equity"] for info in infos]), infos


@pytest.mark.parametrize("name", STRATEGIES)
def test_changing_the_future_changes_no_earlier_exposure(name):
    market, strategy = make_market(), STRATEGIES[name]
    exposures = strategy(market)
    assert exposures.shape == (len(market),)
    for cut in (30, 100, 250, 298):
        changed = market.close.copy()
        changed[cut + 1 :] *= np.linspace(1.5, 0.2, len(changed) - cut - 1)
        np.testing.assert_array_equal(strategy(make_market(changed))[: cut + 1], exposures[: cut + 1])
        shortened = strategy(make_market(market.close[: cut + 1]))  # too short a history is no error
        np.testing.assert_array_equal(shortened, exposures[: cut + 1])


def test_time_series_momentum_by_hand():
    market = make_market([1.0, 2.0, 3.0, 2.0, 1.0, 2.0])
    assert strategies.time_series_momentum(market, 2).tolist() == [0, 0, 1, 0, 0, 0]
    assert strategies.time_series_momentum(market, 2, short=True).tolist() == [0, 0, 1, -1, -1, -1]


def test_moving_average_crossover_by_hand():
    market = make_market([1.0, 2.0, 6.0, 2.0, 1.0])  # means of 3: 3, 10/3, 3; of 2: 4, 4, 1.5
    assert strategies.moving_average_crossover(market, 2, 3).tolist() == [0, 0, 1, 1, 0]
    with pytest.raises(ValueError, match="fast must be below slow"):
        strategies.moving_average_crossover(market, 3, 3)


def test_volatility_target_by_hand():
    market = make_market([100.0, 110.0, 99.0, 108.9])  # returns 0.1, -0.1, 0.1: deviations of 2 are 0.1 sqrt(2)
    volatility = 0.1 * np.sqrt(2.0) * np.sqrt(252)
    expected = [0.0, 0.0, 1.0 / volatility, 1.0 / volatility]
    np.testing.assert_allclose(strategies.volatility_target(market, 1.0, 2), expected)
    np.testing.assert_allclose(strategies.volatility_target(market, 9.0, 2), [0, 0, 1, 1])
    np.testing.assert_allclose(strategies.volatility_target(make_market([1.0] * 4), 0.1, 2), [0, 0, 1, 1])


def test_mean_reversion_holds_until_the_mean_is_reached():
    market = make_market([10.0, 10.0, 10.0, 7.0, 8.0, 8.0, 12.0, 9.0])
    scores = [0.0, -1.15, -0.22, 0.58, 1.15, -0.32]  # of windows of 3, by hand
    assert scores[1] < -1.0
    assert strategies.mean_reversion(market, 3, 1.0).tolist() == [0, 0, 0, 1, 1, 0, 0, 0]
    assert strategies.mean_reversion(market, 3, 1.0, short=True).tolist() == [0, 0, 0, 1, 1, 0, -1, 0]


def test_random_policy_trades_what_it_was_asked_to():
    market = make_market(bars=20_000)
    env = make_env(market, costs={"commission": 0.0, "slippage": 0.0}, margin={"ruin_fraction": 1e-9})
    policy = StrategyPolicy(strategies.random_policy(market, turnover=25.0, seed=1), env)
    turnover = [info["turnover"] for info in play(policy, env)[1][1:]]
    assert metrics.annual_turnover(turnover, 252) == pytest.approx(25.0, rel=0.1)
    again, other = (strategies.random_policy(market, 25.0, seed) for seed in (1, 2))
    assert (policy.exposures == again).all()
    assert (policy.exposures != other).any()
    with pytest.raises(ValueError, match="at most one trade per bar"):
        strategies.random_policy(market, 253.0)


def test_buy_and_hold_pays_its_entry_and_then_follows_the_price():
    market = make_market()
    env = make_env(market)
    equity, infos = play(StrategyPolicy(strategies.buy_and_hold(market), env), env)
    assert sum(info["turnover"] > 0 for info in infos) == 1
    entry = infos[1]["price"] * (1 + 5e-4) * (1 + 5e-4)
    assert equity[-1] == pytest.approx(1e5 * market.close[-1] / entry)
    assert set(play(StrategyPolicy(strategies.flat(market), env), env)[0]) == {1e5}


@pytest.mark.parametrize("actions", ["continuous", (0.0, 0.25, 0.5, 0.75, 1.0)])
def test_fractional_exposures_are_what_the_env_holds(actions):
    market = make_market()
    env = make_env(market, actions=actions, costs={"commission": 0.0, "slippage": 0.0}, fill="close")
    targets = np.tile([0.25, 0.5, 1.0, 0.0], 75)
    _, infos = play(StrategyPolicy(targets, env), env)
    held = [info["units"] * info["price"] / (info["units"] * info["price"] + info["cash"]) for info in infos[1:]]
    np.testing.assert_allclose(held, targets[:-1], atol=1e-12)


def test_a_batch_of_envs_and_a_new_episode_start_at_the_first_bar():
    market = make_market([1.0, 2.0, 1.0, 2.0, 1.0, 2.0])
    env = gym.make_vec(ENV, 2, data=market, features=np.zeros((6, 1)), window=1)
    policy = StrategyPolicy([1.0, 0.0, 1.0, 0.0, 0.0, 0.0], env)
    action, state = policy.predict(np.zeros((2, 5)))
    assert action.tolist() == [2, 2]
    action, state = policy.predict(np.zeros((2, 5)), state)
    assert action.tolist() == [0, 0]
    action, _ = policy.predict(np.zeros((2, 5)), state, np.array([True, False]))
    assert action.tolist() == [2, 2]


def test_a_dict_observation_is_one_env_or_a_batch_by_its_entries():
    market, exposures = make_market(bars=20), np.tile([1.0, 0.0], 10)
    envs = [make_env(market, observation=kind) for kind in ("dict", "flat")]
    as_dict, as_flat = (play(StrategyPolicy(exposures, env), env)[0] for env in envs)
    np.testing.assert_array_equal(as_dict, as_flat)
    for n in (1, 2, 3):
        envs = gym.make_vec(ENV, n, data=market, features=np.zeros((20, 1)), window=1, observation="dict")
        policy = StrategyPolicy(exposures, envs)
        obs, _ = envs.reset()
        action, state = policy.predict(obs)
        assert action.tolist() == [2] * n
        obs, *_ = envs.step(action)
        assert policy.predict(obs, state)[0].tolist() == [0] * n


def test_stable_baselines3_evaluates_a_strategy():
    market = make_market()
    env = make_env(market)
    policy = StrategyPolicy(strategies.buy_and_hold(market), env)
    mean, spread = evaluate_policy(policy, env, n_eval_episodes=2, warn=False)
    equity, _ = play(policy, env)
    assert mean == pytest.approx(np.log(equity[-1] / equity[0]))
    assert spread == pytest.approx(0.0, abs=1e-12)


def test_an_exposure_that_the_env_cannot_choose_is_refused_or_rounded():
    market = make_market(bars=50)
    env = make_env(market)
    with pytest.raises(ValueError, match=r"no action for the exposure 0\.3"):
        StrategyPolicy(np.full(50, 0.3), env)
    assert (StrategyPolicy(np.full(50, 0.3), env, nearest=True).actions == 0).all()
    with pytest.raises(ValueError, match="max_leverage is 1"):
        StrategyPolicy(np.full(50, 2.0), make_env(market, actions="continuous"))
    with pytest.raises(ValueError, match="lots"):
        StrategyPolicy(np.zeros(50), make_env(market, actions="lots"))
    with pytest.raises(ValueError, match="50 finite numbers"):
        StrategyPolicy(np.zeros(49), env)
    with pytest.raises(ValueError, match="random_start=False"):
        StrategyPolicy(np.zeros(50), make_env(market, random_start=True))
    with pytest.raises(TypeError, match="must be a TradingEnv"):
        StrategyPolicy(np.zeros(50), gym.make("CartPole-v1"))


@pytest.mark.parametrize("price", [0.1, 100.1, 7e-8])
def test_a_price_that_never_moves_is_not_traded(price):
    market = Market.from_arrays(np.full(600, price))
    assert not strategies.moving_average_crossover(market).any()
    assert not strategies.mean_reversion(market, entry=0.5, short=True).any()
    assert not strategies.time_series_momentum(market).any()


@pytest.mark.parametrize(("seed", "error"), [(-1, ValueError), (None, TypeError), (True, TypeError)])
def test_a_random_policy_needs_a_seed(seed, error):
    with pytest.raises(error, match="seed must be"):
        strategies.random_policy(Market.from_arrays([1.0, 2.0], bars_per_year=252.0), 10.0, seed)


def test_exposures_that_are_no_numbers_are_named():
    env = gym.make("trading_env:TradingEnv-v0")
    with pytest.raises(TypeError, match="exposures must be real numbers"):
        StrategyPolicy(["a"] * 10, env)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("market", [None, "us-stocks/AAPL", np.ones(5), 3])
def test_what_is_no_market_is_named(name, market):
    with pytest.raises(TypeError, match="market must be a Market"):
        STRATEGIES[name](market)


@pytest.mark.parametrize("price", [1e-300, 1.0, 1e300])
@pytest.mark.parametrize("name", STRATEGIES)
def test_the_unit_of_currency_changes_no_exposure(name, price):
    market = make_market()
    exposures = [
        STRATEGIES[name](Market.from_arrays(price * market.close, bars_per_year=252)),
        STRATEGIES[name](market),
    ]
    np.testing.assert_allclose(*exposures, rtol=1e-9)


def test_a_lookback_beyond_all_bars_is_flat():
    market = make_market(bars=50)
    for exposures in (
        strategies.volatility_target(market, lookback=10**30),
        strategies.time_series_momentum(market, 10**30),
        strategies.moving_average_crossover(market, 2, 10**30),
        strategies.mean_reversion(market, 10**30),
    ):
        assert not exposures.any()


def test_a_return_that_cannot_be_squared_is_named():
    with pytest.raises(ValueError, match="market must have returns below 1e150, got a close of 1e\\+300 at bar 2"):
        strategies.volatility_target(make_market([1e-300, 1e-300, 1e300, 1e300]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None,), "observation must be"),
        ((np.zeros((3, 5, 2)),), "observation must be"),
        (({"market": 1},), "observation must have 'account'"),
        ((np.zeros(5), "x"), "state must be what the last call gave"),
        ((np.zeros(5), (np.array([0.5]),)), "state must be what the last call gave"),
        ((np.zeros((3, 5)), (np.array([1]),)), "state must be what the last call gave for 3"),
        ((np.zeros(5), (np.array([20]),)), "state must lie in the episode"),
        ((np.zeros(5), (np.array([-1]),)), "state must lie in the episode"),
        ((np.zeros((3, 5)), None, np.array([True])), "episode_start must be 3 flags"),
    ],
)
def test_a_policy_checks_what_it_is_asked(arguments, message):
    policy = StrategyPolicy(np.zeros(20), make_env(make_market(bars=20)))
    with pytest.raises(ValueError, match=message):
        policy.predict(*arguments)


@pytest.mark.parametrize("env", [None, 3, "TradingEnv-v0", make_market(bars=20)])
def test_what_is_no_env_is_named(env):
    with pytest.raises(TypeError, match="env must be a TradingEnv"):
        StrategyPolicy(np.zeros(20), env)


def test_exposures_and_flags_are_named_with_their_bar():
    env = make_env(make_market(bars=20))
    with pytest.raises(ValueError, match="exposures must be 20 finite numbers, got nan at bar 3"):
        StrategyPolicy([0.0] * 3 + [np.nan] * 17, env)
    with pytest.raises(TypeError, match="nearest must be a bool"):
        StrategyPolicy(np.zeros(20), env, nearest="no")
