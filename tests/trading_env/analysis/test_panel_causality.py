"""check_causality on panels and portfolio envs, and the refusal of hindsight."""

import gymnasium as gym
import numpy as np
import pytest

from tests.trading_env.markets import gappy_panel
from trading_env import FeatureScaler, PortfolioEnv, check_causality, hindsight
from trading_env.analysis.causality import LookAheadError

ID = "trading_env:PortfolioEnv-v0"
PANEL, NAMES = gappy_panel(3), ["log_return_1", "volume_change"]


def peek(market):
    """The return of the next bar: a leak."""
    later = np.append(market.close[1:], market.close[-1])
    return np.log(later / market.close)[:, None]


def mean_of_all(market):
    """The close over its mean of all bars, later ones too: a leak."""
    return (market.close / market.close.mean())[:, None]


@pytest.mark.parametrize(("fill", "observation"), [("next_open", "flat"), ("next_close", "dict"), ("close", "flat")])
def test_a_portfolio_env_shows_nothing_of_the_future(fill, observation):
    env = gym.make(ID, data=PANEL, window=4, features=NAMES, fill=fill, observation=observation, allow_short=True,
                   margin={"max_leverage": 2.0}, delisting_returns={"C": -0.3})  # fmt: skip
    report = check_causality(env, cuts=8)
    assert len(report.cuts) == 8
    assert report.unmoved == ()
    assert "observation 'drawdown'" in report.names
    assert "A log_return_1" in report.names
    assert "info['weights'][3]" in report.names


def test_discrete_actions_and_a_drawn_order_are_checked_too():
    report = check_causality(PortfolioEnv(PANEL, window=4, actions="one_of", shuffle_symbols=True), cuts=4)
    assert "info['action_mask'][4]" in report.names


@pytest.mark.parametrize("leak", [peek, mean_of_all])
def test_features_that_know_the_future_are_found_on_a_panel_and_in_an_env(leak):
    with pytest.raises(LookAheadError, match=r"feature_0 at .* knows the future"):
        check_causality(leak, PANEL)
    with pytest.raises(LookAheadError, match="knows the future"):
        check_causality({"features": leak, "window": 2, "data": PANEL}, cuts=8)


def test_named_features_pass_on_a_panel_and_a_scaler_is_not_judged():
    assert check_causality("default", PANEL).not_judged == {}
    scaler = FeatureScaler().fit(PANEL)
    assert list(check_causality("default", PANEL, scaler=scaler).not_judged) == ["scaler"]


def test_several_panels_are_refused_by_name():
    with pytest.raises(TypeError, match="several panels"):
        check_causality(PortfolioEnv([PANEL, gappy_panel(4)], window=2))


def test_hindsight_refuses_portfolios_by_name():
    for subject in (PortfolioEnv(PANEL, window=2), PANEL):
        with pytest.raises(ValueError, match="hindsight bounds one instrument, got a portfolio"):
            hindsight(subject)
