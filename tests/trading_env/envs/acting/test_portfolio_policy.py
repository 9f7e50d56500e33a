import itertools

import gymnasium as gym
import numpy as np
import pytest

from tests.trading_env.markets import gappy_panel, random_market
from trading_env import Panel, PortfolioEnv, PortfolioVectorEnv, TradingEnv
from trading_env.analysis.portfolio.backtest import portfolio_backtest
from trading_env.analysis.portfolio.strategies import buy_and_hold, equal_weight, inverse_volatility
from trading_env.envs.acting.portfolio_policy import PortfolioPolicy

NAN = np.nan
FREE = {"commission": 0.0, "slippage": 0.0}


def panel_of(n=40, instruments=3, seed=0):
    """A panel without gaps."""
    return Panel.from_markets(
        [random_market(seed + k, n, whole=True, since="2020-01-01", name="ABCDE"[k]) for k in range(instruments)]
    )


def run(policy, env):
    """Infos of an episode, that of the reset first."""
    obs, info = env.reset()
    infos, state, ended = [info], None, False
    while not ended:
        action, state = policy.predict(obs, state)
        obs, _, terminated, truncated, info = env.step(action)
        infos.append(info)
        ended = terminated or truncated
    return infos


# -- units that are kept


def test_buy_and_hold_trades_once_and_earns_the_mean_of_the_growths():
    panel = panel_of()
    env = PortfolioEnv(panel, features=["close"], window=5, allow_hold=True, fill="close")
    infos = run(PortfolioPolicy(buy_and_hold, env), env)
    assert all(info["turnover"] == 0.0 for info in infos[2:])
    # costs of .1% (to the second order) are paid once: w X = U p with X + cost = E
    growth = (panel.close[-1] / panel.close[4]).mean()
    cost = 1.0 + 5e-4 + 5e-4 + 25e-8  # of a purchase of all, with slippage: 1 + s + f + s f
    assert infos[-1]["equity"] == pytest.approx(1e5 * growth / cost, rel=1e-12)


def test_nan_keeps_units_while_others_trade():
    env = PortfolioEnv(panel_of(), features=["close"], window=1, allow_hold=True)
    env.reset()
    env.step(np.array([0.5, 0.3, 0.2]))
    before = env.step(np.array([NAN, NAN, NAN]))[4]
    assert before["turnover"] == before["commission"] == 0.0
    after = env.step(np.array([NAN, 0.1, 0.0]))[4]
    assert after["units"][0] == before["units"][0]
    assert after["units"][1] != before["units"][1]
    assert after["units"][2] == 0.0
    fill = after["units"] * after["price"]
    left = after["cash"] + fill.sum()
    assert fill[1] / left == pytest.approx(0.1, abs=1e-12)


def test_what_is_kept_counts_towards_the_largest_gross_exposure():
    env = PortfolioEnv(panel_of(), features=["close"], window=1, allow_hold=True, costs=FREE, fill="close")
    env.reset()
    weight = env.step(np.array([0.6, 0.0, 0.0]))[4]["weights"][0]
    assert 0.5 < weight < 0.7
    info = env.step(np.array([NAN, 0.5, 0.5]))[4]
    fill = info["units"] * info["price"]
    assert fill[1:] / fill.sum() == pytest.approx([(1.0 - weight) / 2.0] * 2, abs=1e-12)


def test_nan_is_refused_unless_asked_for():
    panel, order = panel_of(), np.array([NAN, 0.5, 0.5])
    env = PortfolioEnv(panel, window=2, features=["close"])
    env.reset()
    with pytest.raises(ValueError, match=r"action\[0\] must be in \[0, 1\], got nan"):
        env.step(order)
    envs = PortfolioVectorEnv(2, panel, window=2, features=["close"])
    envs.reset()
    with pytest.raises(ValueError, match=r"actions\[0, 0\] must be in \[0, 1\], got nan"):
        envs.step(np.array([order, order]))
    with pytest.raises(TypeError, match="allow_hold must be a bool"):
        PortfolioEnv(panel, allow_hold=1)


def test_one_instrument_holds_as_trading_env_does():
    market = random_market(3, 40, whole=True, since="2020-01-01")
    one = PortfolioEnv(Panel.from_markets([market]), features=["close"], window=1, allow_hold=True)
    other = TradingEnv(market, features=["close"], window=1, sizing="rebalance")
    one.reset()
    other.reset()
    for action, weight in ((2, 1.0), (1, NAN), (0, 0.0), (1, NAN), (2, 1.0), (1, NAN)):
        ours, theirs = one.step(np.array([weight]))[4], other.step(action)[4]
        assert ours["equity"] == pytest.approx(theirs["equity"], rel=1e-12)
        assert ours["units"][0] == pytest.approx(theirs["units"], rel=1e-12)


def test_scalar_and_vector_hold_alike_and_states_keep_what_was_held():
    panel = gappy_panel(seed=2)
    keywords = {"features": ["close"], "window": 3, "allow_hold": True, "random_start": True, "episode_length": 8}
    envs = PortfolioVectorEnv(3, panel, autoreset_mode="same_step", **keywords)
    singles = [PortfolioEnv(panel, **keywords) for _ in range(3)]
    envs.reset(seed=5)
    for i, env in enumerate(singles):
        env.reset(seed=5 + i)
    rng = np.random.default_rng(0)
    for _ in range(7):
        actions = np.where(rng.random((3, 4)) < 0.5, NAN, rng.random((3, 4)))
        _, reward, _, _, info = envs.step(actions)
        for i, env in enumerate(singles):
            _, own, _, _, own_info = env.step(actions[i])
            assert own == reward[i]
            assert np.array_equal(own_info["units"], info["units"][i])
    again = PortfolioEnv(panel, **keywords)
    again.set_state(singles[0].get_state())
    assert np.array_equal(again.step(np.full(4, NAN))[4]["units"], singles[0].step(np.full(4, NAN))[4]["units"])


# -- the policy


def test_weights_are_reached_by_the_actions():
    panel = panel_of()
    env = gym.make("trading_env:PortfolioEnv-v0", data=panel, features=["close"], window=4, costs=FREE, fill="close")
    policy = PortfolioPolicy(inverse_volatility(panel, 3), env)
    infos = run(policy, env)
    for t, (before, after) in enumerate(itertools.pairwise(infos)):
        row = before["bar"]
        assert row == 3 + t
        value = after["units"] * panel.close[row]
        assert value / before["equity"] == pytest.approx(inverse_volatility(panel, 3)[row], abs=1e-12)


def test_leverage_shorts_and_single_instruments():
    panel = panel_of()
    weights = np.tile([1.2, -0.6, 0.2], (40, 1))
    env = PortfolioEnv(
        panel, features=["close"], window=1, allow_short=True, margin={"max_leverage": 2.0}, costs=FREE, fill="close"
    )
    info = run(PortfolioPolicy(weights, env), env)[1]
    assert info["units"] * info["price"] / 1e5 == pytest.approx([1.2, -0.6, 0.2], abs=1e-12)
    choices = np.zeros((40, 3))
    choices[np.arange(30), np.arange(30) % 3] = 1.0
    one = PortfolioEnv(panel, features=["close"], window=1, actions="one_of")
    assert PortfolioPolicy(choices, one).actions.tolist() == [*list(range(3)) * 10, *[3] * 10]
    with pytest.raises(ValueError, match=r"env has no action for the weights \[0\.33"):
        PortfolioPolicy(equal_weight, one)


def test_a_vector_env_and_dict_observations():
    panel = panel_of()
    envs = PortfolioVectorEnv(2, panel, features=["close"], window=2, observation="dict", autoreset_mode="same_step")
    policy, state = PortfolioPolicy(equal_weight, envs), None
    obs, _ = envs.reset()
    for _ in range(3):
        actions, state = policy.predict(obs, state, np.zeros(2, bool))
        obs, *_ = envs.step(actions)
    assert actions == pytest.approx(np.full((2, 3), 1 / 3))
    again, _ = policy.predict(obs, state, np.array([True, False]))
    assert np.array_equal(again[0], policy.actions[0])


def test_wrong_weights_and_envs_are_named():
    panel = panel_of(60)
    env = PortfolioEnv(panel)
    good = equal_weight(panel)
    for weights, other, error, message in (
        (good, TradingEnv(), TypeError, "env must be a PortfolioEnv"),
        (good, 3, TypeError, "env must be a PortfolioEnv, got 3"),
        (good, PortfolioEnv([panel, panel]), ValueError, "env must have one panel"),
        (good, PortfolioEnv(panel, random_start=True), ValueError, "no random_start"),
        (good, PortfolioEnv(panel, shuffle_symbols=True), ValueError, "no shuffle_symbols"),
        (good[1:], env, ValueError, r"weights must have shape \(60, 3\), .* got \(59, 3\)"),
        (2.0 * good, env, ValueError, "weights reach a gross exposure of 2, max_leverage is 1"),
        (-good, env, ValueError, "weights go down to -0.333333: they need an env with allow_short=True"),
        (buy_and_hold, env, ValueError, "they need an env with allow_hold=True"),
        (good * np.inf, env, ValueError, r"weights must be finite, or NaN to hold, got \[inf"),
    ):
        with pytest.raises(error, match=message):
            PortfolioPolicy(weights, other)
    with pytest.raises(ValueError, match="allow_hold=True belongs to actions='continuous'"):
        portfolio_backtest(buy_and_hold, panel, actions="one_of")
    with pytest.raises(ValueError, match="state must lie in the episode"):
        PortfolioPolicy(good, env).predict(np.zeros(3), (np.array([99]),))
