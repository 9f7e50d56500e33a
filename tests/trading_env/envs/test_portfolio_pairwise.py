"""Every pair of option values meets in a portfolio env: both checkers pass, and all three faces agree bit for bit."""

import itertools
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from tests.trading_env.markets import gappy_panel
from tests.trading_env.pairwise import assert_same, pairwise_cover
from trading_env import DifferentialSharpe, FeatureScaler, MeanVariance, Panel, PortfolioEnv, PortfolioVectorEnv

ID = "trading_env:PortfolioEnv-v0"
N, N_STEPS = 4, 75
SEEDS = [8, 3, 3, 41]


def momentum(market):
    """A feature callable: NaN in its first three rows."""
    returns = np.full((len(market), 1), np.nan)
    returns[3:, 0] = np.log(market.close[3:] / market.close[:-3])
    return returns


def growth_less_turnover(before, after):
    return after["equity"] / before["equity"] - 1.0 - 0.01 * after["turnover"] + 0.001 * after["weights"].max(axis=-1)


PANELS = [gappy_panel(1), gappy_panel(2)]
ONE = Panel.from_markets([PANELS[0].market("A")])
DATA = {
    "panel": PANELS[0],
    "panels": PANELS,
    "frame": PANELS[0].to_frame(),
    "mapping": {symbol: PANELS[0].market(symbol).to_frame() for symbol in PANELS[0].symbols},
}
FEATURES = {"default": "default", "names": ["log_return_1", "close", "doy"], "callable": momentum}
COSTS = {
    "free": {"commission": 0.0, "half_spread": 0.0, "slippage": 0.0},
    "default": None,
    "all": {"commission": 0.001, "half_spread": 0.001, "slippage": 0.001, "fixed": 1, "minimum": 3, "per_unit": 0.01},
    "by symbol": {symbol: {"commission": 0.001 * k, "fixed": float(k)} for k, symbol in enumerate("ABCD")},
}
RATES = {"none": {}, "all": {"r_cash": 0.03, "r_margin": 0.1, "r_borrow": 0.1, "short_proceeds_earn": False}}
REWARDS = {
    **{name: name for name in ("log_return", "pnl", "excess_log_return", "differential_sharpe", "mean_variance")},
    "DifferentialSharpe": DifferentialSharpe(eta=0.1),
    "MeanVariance": MeanVariance(risk_aversion=1e-3),
    "callable": growth_less_turnover,
}
OPTIONS = {
    "reward": list(REWARDS),
    "data": list(DATA),
    "costs": list(COSTS),
    "features": list(FEATURES),
    "fill": ["next_open", "next_close", "close"],
    "actions": ["continuous", "one_of"],
    "allow_short": [False, True],
    "rates": list(RATES),
    "observation": ["flat", "dict"],
    "lot_size": [None, 2.5],
    "window": [1, 8],
    "max_leverage": [1.0, 3.0],
    "min_trade": [0.0, 0.1],
    "maintenance": [0.0, 0.3],
    "ruin_fraction": [0.01, 0.6],
    "delisting_returns": [None, {"C": -0.5}],
    "initial_cash": [100_000.0, 900.0],
    "bars_per_year": [None, 252.0],
    "random_start": [True, False],
    "episode_length": [None, 9],
    "shuffle_symbols": [False, True],
    "scaler": [False, True],
}
AS_THEY_ARE = ("fill", "actions", "allow_short", "observation", "lot_size", "window", "min_trade", "delisting_returns")
EPISODES = ("initial_cash", "bars_per_year", "random_start", "episode_length", "shuffle_symbols")


def go_together(one, other):
    """Whether two (option, value) pairs may stand in one env: the pair left out is refused at construction."""
    return {one, other} != {("actions", "one_of"), ("allow_short", True)}


def hashable(options):
    """The options with values that can be in sets."""
    return {
        name: [str(value) if isinstance(value, dict) else value for value in values] for name, values in options.items()
    }


COVER = list(pairwise_cover(hashable(OPTIONS), go_together))


def keywords_of(row):
    features = FEATURES[row["features"]]
    return {
        **{name: row[name] for name in (*AS_THEY_ARE, *EPISODES)},
        "delisting_returns": None if row["delisting_returns"] is None else {"C": -0.5},
        "data": DATA[row["data"]],
        "features": features,
        "scaler": FeatureScaler().fit(PANELS[0], features) if row["scaler"] else None,
        "costs": COSTS[row["costs"]],
        "margin": {**{k: row[k] for k in ("max_leverage", "maintenance", "ruin_fraction")}, **RATES[row["rates"]]},
        "reward": REWARDS[row["reward"]],
    }


every_row = pytest.mark.parametrize("row", COVER, ids=lambda row: "-".join(str(row[n]) for n in list(OPTIONS)[:6]))


def test_every_pair_of_values_that_go_together_is_in_the_cover():
    met = {frozenset(pair) for row in COVER for pair in itertools.combinations(row.items(), 2)}
    for (a, values), (b, others) in itertools.combinations(hashable(OPTIONS).items(), 2):
        for one, other in itertools.product(values, others):
            assert (frozenset({(a, one), (b, other)}) in met) == go_together((a, one), (b, other))
    assert len(COVER) < 50  # 8 rewards times 4 kinds of data are 32


def test_the_pair_left_out_is_refused():
    with pytest.raises(ValueError, match="allow_short=True belongs to actions='continuous'"):
        PortfolioEnv(PANELS[0], actions="one_of", allow_short=True)


@every_row
def test_both_checkers_pass_without_a_warning(row):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(ID, **keywords_of(row)).unwrapped, skip_render_check=True)
        # SB3's advice: weights of a portfolio without short positions are no symmetric box, features are no image
        warnings.filterwarnings("ignore", message="We recommend you to use a symmetric and normalized Box action")
        for advice in (
            "Your observation market",
            "It seems that your observation",
            "Treating image space as channels-last",
            "The minimal resolution for an image",
        ):
            warnings.filterwarnings("ignore", message=advice)
        check_env_sb3(gym.make(ID, **keywords_of(row)))


def batches(env, n_steps=N_STEPS):
    """Action batches, n_steps of them."""
    rng, space = np.random.default_rng(6), env.single_action_space
    if isinstance(space, gym.spaces.Discrete):
        return rng.integers(0, space.n, (n_steps, N))
    return rng.uniform(space.low[0], 1.0, (n_steps, N, *space.shape)).astype(np.float32)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@every_row
def test_native_vector_env_equals_sync_vector_env(row, mode):
    keywords = keywords_of(row)
    native = gym.make_vec(ID, num_envs=N, autoreset_mode=mode, **keywords)
    sync = SyncVectorEnv([lambda: gym.make(ID, **keywords)] * N, autoreset_mode=mode)
    assert isinstance(native, PortfolioVectorEnv)
    assert native.single_observation_space == sync.single_observation_space
    assert native.action_space == sync.action_space
    for ours, theirs in zip(native.reset(seed=SEEDS), sync.reset(seed=SEEDS), strict=True):
        assert_same(ours, theirs)
    ended = np.zeros(N, bool)
    for actions in batches(native):
        step, sync_step = native.step(actions), sync.step(actions)
        for ours, theirs in zip(step, sync_step, strict=True):
            assert_same(ours, theirs)
        assert np.isfinite(step[1]).all()
        assert native.observation_space.contains(step[0])
        ended |= step[2] | step[3]
    assert ended.all()
    for ours, theirs in zip(native.reset(seed=SEEDS[::-1]), sync.reset(seed=SEEDS[::-1]), strict=True):
        assert_same(ours, theirs)


@every_row
def test_a_state_continues_exactly_in_scalar_and_vector_env(row):
    keywords = keywords_of(row)
    for env, again in ((PortfolioEnv(**keywords), PortfolioEnv(**keywords)), vector_pair(keywords)):
        env.reset(seed=3)
        env.action_space.seed(1)
        actions = [env.action_space.sample() for _ in range(30)]
        for t, action in enumerate(actions):
            if np.any(env.step(action)[2:4]) and isinstance(env, PortfolioEnv):
                env.reset()
            if t == 10:
                again.set_state(env.get_state())
            if t >= 10 and t + 1 < len(actions):
                assert_same(env.get_state()["streams"], again.get_state()["streams"])
                for ours, theirs in zip(env.step(actions[t + 1]), again.step(actions[t + 1]), strict=True):
                    assert_same(ours, theirs)
                break


def vector_pair(keywords):
    return PortfolioVectorEnv(3, **keywords), PortfolioVectorEnv(3, **keywords)


def test_in_the_cover_accounts_are_ruined_and_episodes_end_apart():
    ruined = truncated = apart = delisted = held_in_gaps = 0
    for row in COVER:
        env = PortfolioVectorEnv(N, **keywords_of(row))
        env.reset(seed=SEEDS)
        for actions in batches(env):
            _, _, terminated, truncations, info = env.step(actions)
            ends = terminated | truncations
            ruined += terminated.sum()
            truncated += truncations.sum()
            apart += 0 < ends.sum() < N
            delisted += info["delisted"].any()
            held_in_gaps += (~info["tradable"] & (info["units"] != 0.0)).any()
    assert min(ruined, truncated, apart, delisted, held_in_gaps) > 20
