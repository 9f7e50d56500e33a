"""check_causality on panels and portfolio envs, and the refusal of hindsight."""

import gymnasium as gym
import numpy as np
import pytest

from tests.trading_env.markets import gappy_panel
from trading_env import FeatureScaler, Panel, PortfolioEnv, check_causality, hindsight
from trading_env.analysis.causality import LookAheadError
from trading_env.analysis.futures import changed_panel

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


class Tomorrow(gym.Wrapper):
    """Shows something of later rows of the panel in info."""

    def __init__(self, env, peek):
        super().__init__(env)
        self.peek = peek

    def _with_peek(self, info):
        return {**info, "tomorrow": self.peek(self.env.unwrapped.task.markets[0], info["bar"])}

    def reset(self, **options):
        obs, info = self.env.reset(**options)
        return obs, self._with_peek(info)

    def step(self, action):
        *rest, info = self.env.step(action)
        return (*rest, self._with_peek(info))


def opens_tomorrow(panel, row):
    return panel.tradable[min(row + 1, len(panel) - 1)]


def is_delisted_within_a_month(panel, row):
    return panel.ends < np.minimum(row + 20, len(panel) - 1)


@pytest.mark.parametrize("peek", [opens_tomorrow, is_delisted_within_a_month])
def test_gaps_and_delistings_that_are_known_in_advance_are_found(peek):
    with pytest.raises(LookAheadError, match="tomorrow"):
        check_causality(lambda panel: Tomorrow(PortfolioEnv(panel, window=2), peek), PANEL, cuts=12)
    report = check_causality(lambda panel: Tomorrow(PortfolioEnv(panel, window=2), lambda p, r: p.ends < r), PANEL)
    assert "info['tomorrow'][2]" in report.names


def test_a_changed_panel_has_other_gaps_and_delistings_after_the_cut_only():
    for cut in range(3, 55, 4):
        other = changed_panel(PANEL, cut, np.random.default_rng(cut), up=False)
        np.testing.assert_array_equal(other.tradable[: cut + 1], PANEL.tradable[: cut + 1])
        np.testing.assert_array_equal(other.close[: cut + 1], PANEL.close[: cut + 1])
        assert not (other.tradable & ~PANEL.tradable).any()
        assert other.tradable.any(axis=1).all()
        known = PANEL.ends <= cut
        np.testing.assert_array_equal(other.ends[known], PANEL.ends[known])
        assert (other.ends[~known] > cut).all()
        again = Panel.from_markets([other.market(symbol) for symbol in other.symbols])
        np.testing.assert_array_equal(again.ends, other.ends)
        np.testing.assert_array_equal(again.tradable, other.tradable)
    moved = [changed_panel(PANEL, 5, np.random.default_rng(i), up=False) for i in range(8)]
    assert any((other.ends != PANEL.ends).any() for other in moved)
    assert any((other.listed != PANEL.listed).any() for other in moved)


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
