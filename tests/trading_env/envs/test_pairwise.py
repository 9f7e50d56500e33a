"""Every pair of option values meets in at least one env: both checkers pass, and all three faces agree bit for bit.

The cover is made by a greedy generator below, the same each time.
"""

import itertools
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from sb3_contrib import MaskablePPO
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from tests.trading_env.markets import random_market
from tests.trading_env.pairwise import assert_same, pairwise_cover
from trading_env import DifferentialSharpe, FeatureScaler, MeanVariance, TradingEnv, TradingVectorEnv

ID = "trading_env:TradingEnv-v0"
N, N_BARS, N_STEPS = 4, 60, 75
SEEDS = [8, 3, 3, 41]


def market(seed):
    return random_market(seed, N_BARS, 0.08, whole=True, since="2015-01-01", name=f"{seed}")


def momentum(market):
    """A feature callable: NaN in its first three rows."""
    returns = np.full((N_BARS, 1), np.nan)
    returns[3:, 0] = np.log(market.close[3:] / market.close[:-3])
    return returns


def growth_less_turnover(before, after):
    return after["equity"] / before["equity"] - 1.0 - 0.01 * after["turnover"]


MARKETS = [market(1), market(2)]
DATA = {"market": MARKETS[0], "list": MARKETS, "frame": MARKETS[0].to_frame()}
FEATURES = {
    "default": "default",
    "names": ["log_return_1", "close", "doy"],
    "callable": momentum,
    "array": np.random.default_rng(0).normal(size=(N_BARS, 2)),
}
ACTIONS = {
    "sell is flat": {},
    "sell is short": {"allow_short": True},
    "targets": {"actions": (-1.0, 0.0, 0.3, 1.0)},
    "levered": {"actions": (-3.0, 0.0, 2.0)},
    "continuous": {"actions": "continuous"},
    "one lot": {"actions": "lots"},
    "three lots": {"actions": "lots", "lots": 3},
}
COSTS = {
    "free": {"commission": 0.0, "half_spread": 0.0, "slippage": 0.0},
    "default": None,
    "proportional": {"commission": 0.004, "half_spread": 0.002, "slippage": 0.003},
    "fixed": {"fixed": 2.0},
    "minimum": {"minimum": 4.0},
    "per_unit": {"per_unit": 0.02},
    "all": {"commission": 0.001, "half_spread": 0.001, "slippage": 0.001, "fixed": 1, "minimum": 3, "per_unit": 0.01},
}
RATES = {
    "none": {},
    "cash": {"r_cash": 0.05},
    "margin": {"r_margin": 0.2},
    "borrow": {"r_borrow": 0.1},
    "all": {"r_cash": 0.03, "r_margin": 0.1, "r_borrow": 0.1},
}
REWARDS = {
    **{name: name for name in ("log_return", "pnl", "excess_log_return", "differential_sharpe", "mean_variance")},
    "DifferentialSharpe": DifferentialSharpe(eta=0.1),
    "MeanVariance": MeanVariance(risk_aversion=1e-3),
    "callable": growth_less_turnover,
}
OPTIONS = {
    "actions": list(ACTIONS),
    "reward": list(REWARDS),
    "costs": list(COSTS),
    "rates": list(RATES),
    "features": list(FEATURES),
    "data": list(DATA),
    "sizing": [None, "drift", "rebalance"],
    "lot_size": [None, 1.0, 2.5],
    "fill": ["next_open", "next_close", "close"],
    "observation": ["flat", "dict", "compact"],
    "on_missing": ["raise", "drop", "ffill"],
    "window": [1, 3, 8],
    "max_leverage": [1.0, 3.0, 10.0],
    "min_trade": [0.0, 0.1],
    "maintenance": [0.0, 0.3],
    "ruin_fraction": [0.01, 0.6],
    "short_proceeds_earn": [True, False],
    "initial_cash": [100_000.0, 900.0],
    "bars_per_year": [None, 252.0],
    "random_start": [True, False],
    "episode_length": [None, 9],
    "scaler": [False, True],
}


def go_together(one, other):
    """Whether two (option, value) pairs may stand in one env: each pair left out is refused at construction."""
    pair = {one, other}
    lots = {("actions", "one lot"), ("actions", "three lots")}
    if pair & lots and pair & {("sizing", "drift"), ("sizing", "rebalance")}:
        return False
    return pair not in (
        {("actions", "continuous"), ("sizing", "drift")},
        {("actions", "levered"), ("max_leverage", 1.0)},
    )


COVER = list(pairwise_cover(OPTIONS, go_together))
MARGIN = ("max_leverage", "maintenance", "ruin_fraction", "short_proceeds_earn")
AS_THEY_ARE = ("sizing", "lot_size", "fill", "observation", "on_missing", "window", "min_trade", "initial_cash")
EPISODES = ("bars_per_year", "random_start", "episode_length")


def keywords_of(row):
    features = FEATURES[row["features"]]
    return {
        **{name: row[name] for name in (*AS_THEY_ARE, *EPISODES)},
        **ACTIONS[row["actions"]],
        "data": DATA[row["data"]],
        "features": features,
        "scaler": FeatureScaler().fit(MARKETS[0], features) if row["scaler"] else None,
        "costs": COSTS[row["costs"]],
        "margin": {**{name: row[name] for name in MARGIN}, **RATES[row["rates"]]},
        "reward": REWARDS[row["reward"]],
    }


def name_of(row):
    return "-".join(str(row[name]) for name in ("actions", "reward", "costs", "rates", "features"))


every_row = pytest.mark.parametrize("row", COVER, ids=name_of)


def test_every_pair_of_values_that_go_together_is_in_the_cover():
    met = {frozenset(pair) for row in COVER for pair in itertools.combinations(row.items(), 2)}
    for (a, values), (b, others) in itertools.combinations(OPTIONS.items(), 2):
        for one, other in itertools.product(values, others):
            assert (frozenset({(a, one), (b, other)}) in met) == go_together((a, one), (b, other))
    assert len(COVER) < 80  # 7 actions times 8 rewards are 56


@pytest.mark.parametrize(
    ("actions", "option"),
    [
        ("one lot", {"sizing": "drift"}),
        ("three lots", {"sizing": "rebalance"}),
        ("continuous", {"sizing": "drift"}),
        ("levered", {"margin": {"max_leverage": 1.0}}),
    ],
)
def test_the_pairs_left_out_are_refused(actions, option):
    with pytest.raises(ValueError, match=r"sizing|max_leverage"):
        TradingEnv(MARKETS[0], window=3, **ACTIONS[actions], **option)


@every_row
def test_both_checkers_pass_without_a_warning(row):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(ID, **keywords_of(row)).unwrapped, skip_render_check=True)
        if row["observation"] == "dict":  # its advice on 2-D boxes is meant for images
            warnings.filterwarnings("ignore", message="Your observation market has an unconventional shape")
        check_env_sb3(gym.make(ID, **keywords_of(row)))


# -- the three faces -------------------------------------------------------------------------------------------


def batches(env, n_steps=N_STEPS):
    """Action batches (n_steps, N)."""
    rng = np.random.default_rng(6)
    if isinstance(env.single_action_space, gym.spaces.Discrete):
        return rng.integers(0, env.single_action_space.n, (n_steps, N))
    return rng.uniform(-1, 1, (n_steps, N, 1)).astype(np.float32)


def row_of(batch, j):
    return {key: value[j] for key, value in batch.items()} if isinstance(batch, dict) else batch[j]


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@every_row
def test_native_vector_env_equals_sync_vector_env(row, mode):
    keywords = keywords_of(row)
    native = gym.make_vec(ID, num_envs=N, autoreset_mode=mode, **keywords)
    sync = SyncVectorEnv([lambda: gym.make(ID, **keywords)] * N, autoreset_mode=mode)
    assert isinstance(native, TradingVectorEnv)
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
def test_native_vector_env_equals_scalar_envs(row):
    keywords = keywords_of(row)
    native = TradingVectorEnv(N, autoreset_mode=AutoresetMode.SAME_STEP, **keywords)
    envs = [TradingEnv(**keywords) for _ in range(N)]
    obs, _ = native.reset(seed=SEEDS)
    for j, env in enumerate(envs):
        assert_same(row_of(obs, j), env.reset(seed=SEEDS[j])[0])
    for actions in batches(native):
        obs, reward, terminated, truncated, info = native.step(actions)
        for j, env in enumerate(envs):
            own_obs, own_reward, *ends, own_info = env.step(actions[j])
            assert reward[j] == own_reward
            assert [terminated[j], truncated[j]] == ends
            final = terminated[j] or truncated[j]
            assert_same(info["final_obs"][j] if final else row_of(obs, j), own_obs)
            for key, value in own_info.items():
                assert_same((info["final_info"] if final else info)[key][j], np.asarray(value)[()])
            if final:
                assert_same(row_of(obs, j), env.reset()[0])


def test_in_the_cover_accounts_are_ruined_and_liquidated_and_episodes_end_apart():
    ruined = truncated = apart = liquidated = 0
    for row in COVER:
        env = TradingVectorEnv(N, **keywords_of(row))
        env.reset(seed=SEEDS)
        orders = env.task.orders
        for actions in batches(env):
            _, _, terminated, truncations, info = env.step(actions)
            ends = terminated | truncations
            ruined += terminated.sum()
            truncated += truncations.sum()
            apart += 0 < ends.sum() < N
            if row["actions"] in ("targets", "levered", "continuous"):
                asked = orders[actions] if len(orders) else actions[:, 0]
                liquidated += ((info["units"] == 0.0) & (info["turnover"] > 0.0) & (asked != 0.0)).sum()
    assert min(ruined, truncated, apart, liquidated) > 30


# -- masks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actions", ["sell is short", "three lots"])
def test_maskable_ppo_trains_on_the_masks_without_a_warning(actions):
    lot_size = 10_000.0 if actions == "three lots" else None  # a third of what the account can buy
    env = gym.make(ID, **ACTIONS[actions], lot_size=lot_size, episode_length=60)
    taken, masked = [], []

    class Watch(gym.Wrapper):
        def step(self, action):
            mask = self.get_wrapper_attr("action_masks")()
            taken.append(mask[action])
            masked.append(~mask)
            return self.env.step(action)

    model = MaskablePPO("MlpPolicy", Watch(env), n_steps=128, batch_size=64, n_epochs=2, seed=0, device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.learn(512)
    assert len(taken) >= 512
    assert all(taken)
    assert np.any(masked)
    obs, info = env.reset(seed=1)
    action, _ = model.predict(obs, action_masks=info["action_mask"], deterministic=True)
    assert info["action_mask"][action]
