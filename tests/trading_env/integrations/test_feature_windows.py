import copy
import io
import pickle
import zipfile

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from sb3_contrib import RecurrentPPO
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize

from tests.trading_env.markets import random_market
from trading_env.integrations.feature_windows import FeatureWindows
from trading_env.sb3 import CompactExtractor, TradingVecEnv, look_at

ENV_ID = "trading_env:TradingEnv-v0"
WINDOW, FEATURES = 4, 3


def data(seed=0, n=50):
    return random_market(seed, n, 0.02, whole=True)


def features(market):
    import pandas as pd

    rng = np.random.default_rng(len(market))
    return pd.DataFrame(rng.normal(size=(len(market), FEATURES)), columns=["a", "b", "c"])


def keywords(observation="compact", **changes):
    given = {"data": data(), "features": features, "window": WINDOW, "random_start": True, "episode_length": 9}
    return {**given, "observation": observation, **changes}


def steps(env, n=60):
    """All observations of an env under fixed actions."""
    env.seed(3)
    seen = [env.reset()]
    for action in np.random.default_rng(0).integers(3, size=(n, env.num_envs)):
        seen.append(env.step(action)[0])
    return np.concatenate(seen)


def dqn(env, **options):
    policy = {**CompactExtractor.of(env), "net_arch": [8]}
    options = {"learning_starts": 5, "buffer_size": 64, "batch_size": 8, "device": "cpu", "seed": 0, **options}
    return DQN("MlpPolicy", env, policy_kwargs=policy, **options)


# -- the windows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("several", [False, True])
def test_compact_observations_become_the_flat_ones_bit_for_bit(several):
    markets = {"data": [data(), data(1, 40), data(2, 30)]} if several else {}
    env = TradingVecEnv(5, **keywords(**markets))
    windows = FeatureWindows.of(env)
    flat = steps(TradingVecEnv(5, **keywords("flat", **markets)))
    expanded = windows(torch.from_numpy(steps(env))).numpy()
    assert windows.features_dim == WINDOW * FEATURES + 4 == flat.shape[1]
    assert (expanded.dtype, expanded.shape) == (np.float32, flat.shape)
    assert expanded.tobytes() == flat.tobytes()
    assert len(np.unique(flat[:, 0])) > 20


def test_leading_axes_are_kept():
    env = TradingVecEnv(6, **keywords())
    windows, obs = FeatureWindows.of(env), torch.from_numpy(env.reset())
    flat = windows(obs)
    assert flat.shape == (6, 16)
    assert torch.equal(windows(obs.view(2, 3, 5)), flat.view(2, 3, 16))
    assert torch.equal(windows(obs[0]), flat[0])


def test_windows_of_a_plain_table_are_its_rows():
    table = np.arange(12, dtype=np.float32).reshape(4, 3)
    obs = torch.tensor([[2.0, 0.5, 1.0, -0.1, 0.2]])
    assert FeatureWindows(table, 2)(obs).tolist() == [pytest.approx([3, 4, 5, 6, 7, 8, 0.5, 1.0, -0.1, 0.2])]


def test_every_kind_of_env_has_its_windows():
    single = gym.make(ENV_ID, **keywords())
    vector = gym.make_vec(ENV_ID, 2, **keywords())
    assert FeatureWindows.of(single) == FeatureWindows.of(vector) == FeatureWindows.of(TradingVecEnv(2, **keywords()))
    assert FeatureWindows.of(single) != FeatureWindows.of(gym.make(ENV_ID, **keywords(data=data(0, 49))))


@pytest.mark.parametrize(
    "vectorised",
    [
        lambda make: DummyVecEnv([make] * 2),
        lambda make: SubprocVecEnv([make] * 2),
        lambda make: VecNormalize(DummyVecEnv([make]), norm_obs=False),
        lambda make: VecNormalize(TradingVecEnv(2, **keywords()), norm_obs=False),
        lambda make: SyncVectorEnv([make] * 2),
        lambda make: AsyncVectorEnv([make] * 2),
        lambda make: RecordEpisodeStatistics(SyncVectorEnv([make] * 2)),
        lambda make: RecordEpisodeStatistics(gym.make_vec(ENV_ID, 2, **keywords())),
    ],
)
def test_every_kind_of_vector_env_has_its_windows(vectorised):
    env = vectorised(lambda: gym.make(ENV_ID, **keywords()))
    assert FeatureWindows.of(env) == FeatureWindows.of(gym.make(ENV_ID, **keywords()))
    env.close()


@pytest.mark.parametrize("vectorised", [DummyVecEnv, SyncVectorEnv])
def test_vector_envs_without_one_table_of_ours_are_refused(vectorised):
    def make(**changes):
        return lambda: gym.make(ENV_ID, **keywords(**changes))

    with pytest.raises(TypeError, match="must be a TradingEnv or a vector of them"):
        FeatureWindows.of(vectorised([lambda: gym.make("CartPole-v1")]))
    with pytest.raises(ValueError, match="observation='compact'"):
        FeatureWindows.of(vectorised([make(observation="flat")] * 2))
    with pytest.raises(ValueError, match="sub-env 2 has another"):
        CompactExtractor.of(DummyVecEnv([make(), make(), make(features=lambda market: features(market) + 1.0)]))


def test_a_row_before_the_first_complete_window_is_read_as_that_one():
    """RecurrentPPO pads its sequences with observations of zeros."""
    table = np.arange(20, dtype=np.float32).reshape(10, 2)
    table[:2] = np.nan
    windows = FeatureWindows(table, 3)
    rows = windows(torch.tensor([[row, 1.0, 0.0, 0.0, 0.0] for row in (0.0, 3.0, 4.0, 5.0)]))
    assert rows[0].tolist() == rows[1].tolist() == rows[2].tolist() == [4, 5, 6, 7, 8, 9, 1, 0, 0, 0]
    assert rows[3].tolist()[:2] == [6, 7]
    for complete in (0, 2):
        table[:] = np.nan
        table[len(table) - complete :] = 1.0
        with pytest.raises(ValueError, match=f"3 complete rows, got NaN in all but {complete}"):
            FeatureWindows(table, 3)


@pytest.mark.parametrize("several", [False, True])
def test_a_recurrent_policy_learns_what_the_flat_observations_teach(several):
    markets = {"data": [data(), data(1, 40)]} if several else {}

    def weights(observation):
        env = TradingVecEnv(2, **keywords(observation, features="default", **markets))
        policy = CompactExtractor.of(env) if observation == "compact" else {}
        options = {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "device": "cpu", "seed": 0}
        policy = {"net_arch": [8], "lstm_hidden_size": 8, **policy}
        return RecurrentPPO("MlpLstmPolicy", env, policy_kwargs=policy, **options).learn(64).policy.state_dict()

    compact, flat = weights("compact"), weights("flat")
    assert set(compact) == set(flat)
    for name, expected in flat.items():
        assert torch.isfinite(expected).all()
        assert torch.equal(compact[name], expected), name


def test_a_row_outside_of_the_table_is_an_error():
    windows = FeatureWindows(np.zeros((10, 2), np.float32), 3)
    for row in (-1.0, np.nan, 10.0):
        with pytest.raises(IndexError):
            windows(torch.tensor([[row, 0.0, 0.0, 0.0, 0.0]]))


def test_bad_arguments_are_named():
    table = np.zeros((10, 2), np.float32)
    for wrong in (table.astype(np.float64), table[0], [[1.0]]):
        with pytest.raises(TypeError, match="table"):
            FeatureWindows(wrong, 3)
    with pytest.raises(ValueError, match="table"):
        FeatureWindows(table, 11)
    with pytest.raises(ValueError, match="window"):
        FeatureWindows(table, 0)
    with pytest.raises(ValueError, match="observation='compact'"):
        FeatureWindows.of(gym.make(ENV_ID, **keywords("flat")))
    with pytest.raises(TypeError, match="TradingEnv"):
        FeatureWindows.of(gym.make("CartPole-v1"))


# -- in the policies of SB3 -------------------------------------------------------------------------------------


def tables(model):
    """The memory of every table that the model's networks read."""
    found = [module.windows for module in model.policy.modules() if isinstance(module, CompactExtractor)]
    return found, {windows._on(torch.device("cpu")).data_ptr() for windows in found}


def test_all_networks_share_one_table_that_no_state_dict_holds():
    env = TradingVecEnv(1, **keywords())
    model = dqn(env)
    found, memory = tables(model)
    assert len(found) == 2
    assert memory == {env.task.features.__array_interface__["data"][0]}  # the env's own
    assert len(tables(copy.deepcopy(model))[1] | memory) == 1
    assert copy.copy(found[0]) is copy.deepcopy(found[0]) is found[0]
    apart = {"policy_kwargs": {**CompactExtractor.of(env), "share_features_extractor": False}}
    ppo = PPO("MlpPolicy", env, device="cpu", n_steps=8, batch_size=8, **apart)
    assert len(tables(ppo)[0]) == 2
    assert len(tables(ppo)[1]) == 1
    for policy in (model.policy, ppo.policy):
        assert all(array.shape != found[0].table.shape for array in policy.state_dict().values())
        assert not list(policy.buffers())


def test_it_learns_what_the_flat_observations_teach():
    compact = dqn(TradingVecEnv(2, **keywords())).learn(120)
    options = {"learning_starts": 5, "buffer_size": 64, "batch_size": 8, "device": "cpu", "seed": 0}
    flat_env = TradingVecEnv(2, **keywords("flat"))
    flat = DQN("MlpPolicy", flat_env, policy_kwargs={"net_arch": [8]}, **options).learn(120)
    weights, expected = (model.q_net.q_net.state_dict() for model in (compact, flat))
    assert compact._n_updates > 5
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert compact.replay_buffer.observations.shape == (32, 2, 5)


def test_a_saved_model_holds_the_table_once_and_acts_as_before():
    env = TradingVecEnv(2, **keywords(data=data(0, 4000)))
    model, file = dqn(env).learn(40), io.BytesIO()
    model.save(file)
    size = 4000 * FEATURES * 4
    held = {info.filename: info.file_size for info in zipfile.ZipFile(file).infolist()}
    assert held["data"] < 2 * size  # in base64, once
    assert all(n < size for name, n in held.items() if name != "data")
    obs = env.reset()
    for loaded in (DQN.load(file, device="cpu"), DQN.load(file, env=env, device="cpu")):
        assert len(tables(loaded)[1]) == 1
        assert (loaded.predict(obs, deterministic=True)[0] == model.predict(obs, deterministic=True)[0]).all()
        assert torch.equal(loaded.q_net(torch.from_numpy(obs)), model.q_net(torch.from_numpy(obs)))
    same = {**CompactExtractor.of(env), "net_arch": [8]}
    DQN.load(file, env=env, device="cpu", policy_kwargs=same).learn(10)
    windows = model.policy_kwargs["features_extractor_kwargs"]["windows"]
    assert pickle.loads(pickle.dumps(windows)) == windows


def test_a_model_looks_at_another_envs_table():
    env, other = TradingVecEnv(2, **keywords()), TradingVecEnv(2, **keywords(data=data(5, 300)))
    model = dqn(env)
    model.predict(env.reset())  # what it has seen of the first table does not stay
    flat = TradingVecEnv(2, **keywords("flat", data=data(5, 300)))
    look_at(model, other)
    other.seed(0), flat.seed(0)
    extractor = model.q_net.features_extractor
    assert torch.equal(extractor(torch.from_numpy(other.reset())), torch.from_numpy(flat.reset()))
    assert len(tables(model)[1]) == 1
    with pytest.raises(ValueError, match="window 4 and 3 features"):
        look_at(model, TradingVecEnv(2, **keywords(window=5)))
    with pytest.raises(ValueError, match=r"CompactExtractor\.of"):
        look_at(DQN("MlpPolicy", flat, buffer_size=10), env)
