"""A PortfolioVectorEnv as a VecEnv of Stable-Baselines3, equal to a DummyVecEnv of PortfolioEnvs."""

import gymnasium as gym
import numpy as np
import pytest
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from tests.trading_env.markets import gappy_panel
from tests.trading_env.pairwise import assert_same
from trading_env import PortfolioEnv, PortfolioVectorEnv
from trading_env.sb3 import TradingVecEnv

ID = "trading_env:PortfolioEnv-v0"
PLAIN = {"data": gappy_panel(5), "window": 3, "features": ["close", "log_return_1"], "episode_length": 9}


def vec_env(n=3, info_keys=(), **keywords):
    envs = gym.make_vec(ID, n, autoreset_mode="SAME_STEP", **{**PLAIN, **keywords})
    assert isinstance(envs, PortfolioVectorEnv)
    return TradingVecEnv(envs, info_keys=info_keys)


@pytest.mark.parametrize(
    "keywords", [{}, {"observation": "dict", "allow_short": True}, {"actions": "one_of", "shuffle_symbols": True}]
)
def test_it_equals_a_dummy_vec_env(keywords):
    keywords = {"random_start": True, **keywords}
    ours = vec_env(**keywords)
    theirs = DummyVecEnv([lambda: Monitor(PortfolioEnv(**PLAIN, **keywords))] * 3)
    ours.seed(4)
    theirs.seed(4)
    assert_same(ours.reset(), theirs.reset())
    rng = np.random.default_rng(0)
    for _ in range(25):
        shape = 3 if "actions" in keywords else (3, 4)
        actions = rng.integers(0, 5, shape) if "actions" in keywords else rng.uniform(0, 1, shape).astype(np.float32)
        obs, rewards, dones, infos = ours.step(actions)
        other = theirs.step(actions)
        assert_same(obs, other[0])
        np.testing.assert_array_equal(rewards, other[1])
        np.testing.assert_array_equal(dones, other[2])
        for done, mine, its in zip(dones, infos, other[3], strict=True):
            if done:
                assert set(mine) == set(its)
                assert_same(mine["terminal_observation"], its["terminal_observation"])
                assert_same(mine["weights"], its["weights"])
                assert mine["equity"] == its["equity"]
                assert mine["episode"]["l"] == its["episode"]["l"]


def test_a_sub_env_shows_its_episode():
    env = vec_env(info_keys=("equity", "weights"), shuffle_symbols=True)
    single = PortfolioEnv(**PLAIN, shuffle_symbols=True)
    env.seed(7)
    env.reset()
    single.reset(seed=8)
    for _ in range(4):
        infos = env.step(np.full((3, 4), 0.2, np.float32))[3]
        info = single.step(np.full(4, 0.2, np.float32))[4]
        assert infos[1]["equity"] == info["equity"]
        assert infos[1]["weights"] == info["weights"].tolist()
    assert env.env_method("history", indices=1)[0].equals(single.history())
    assert env.get_attr("symbols", indices=1) == [single.symbols]
    assert env.get_attr("task")[0] is env.envs.task


@pytest.mark.parametrize("learner", [PPO, A2C])
def test_learners_of_sb3_train_on_weights(learner):
    model = learner("MlpPolicy", vec_env(4, window=2), n_steps=16, seed=0, device="cpu").learn(200)
    action, _ = model.predict(vec_env(4, window=2).reset())
    assert action.shape == (4, 4)


def test_maskable_ppo_trains_on_the_masks():
    env = vec_env(2, actions="one_of")
    model = MaskablePPO("MlpPolicy", env, n_steps=16, batch_size=16, seed=0, device="cpu").learn(64)
    masks = np.array(env.env_method("action_masks"))
    actions, _ = model.predict(env.reset(), action_masks=masks)
    assert masks[np.arange(2), actions].all()


def test_unknown_info_keys_are_named():
    with pytest.raises(ValueError, match=r"info_keys \['wealth'\] are unknown"):
        vec_env(info_keys=("wealth",))
