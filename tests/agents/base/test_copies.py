"""Copies of agents: they act, learn and save as the original would."""

import copy
import pickle
import threading

import cloudpickle
import gymnasium as gym
import numpy as np
import pytest
import torch

import agents
from agents.common import checkpoints
from agents.forecasters import LastValue, LSTMForecaster, MeanOfLast
from agents.memory.replay import Replay
from agents.nn.adam import Adam
from agents.nn.mlp import MLP
from benchmarks.forecasting.forecasters import boosting, random_forest, ridge
from trading_env.integrations.feature_windows import FeatureWindows

MEANS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda agent: pickle.loads(pickle.dumps(agent)),
    "cloudpickle": lambda agent: cloudpickle.loads(cloudpickle.dumps(agent)),
}
STEPS = 90


def until(step):
    """A callback that ends training there."""
    return lambda agent: agent.num_timesteps < step


def check_alike(one, other, folder):
    """That two agents are the same in what they know, say, do by chance, and write."""
    written = []
    for agent in (one, other):
        agent.save(folder / "one", training=True)
        written.append(checkpoints.read(folder / "one"))
    (arrays, facts), (again, told) = written
    assert facts == told
    assert arrays.keys() == again.keys()
    for name, array in arrays.items():
        assert np.array_equal(array, again[name], equal_nan=array.is_floating_point()), name
    metrics, reported = one._metrics(), other._metrics()
    assert metrics.keys() == reported.keys()
    for key, value in metrics.items():
        assert np.array_equal(value, reported[key], equal_nan=True), key
    for deterministic in (True, False):
        assert np.array_equal(*(acts(agent, deterministic) for agent in (one, other)))


def acts(agent, deterministic):
    """Actions on the same observations; the streams by which it explores stay where they are."""
    obs = np.ones((len(agent), 5, *agent.spaces.obs_shape), np.float32)
    streams = [stream.bit_generator.state for stream in agent._predicting]
    action, _ = agent.predict(obs if len(agent) > 1 else obs[0], deterministic=deterministic)
    for stream, state in zip(agent._predicting, streams, strict=True):
        stream.bit_generator.state = state
    return action


@pytest.mark.parametrize("by", MEANS)
@pytest.mark.parametrize("name", agents.AGENTS)
def test_a_copy_goes_on_to_the_last_bit_as_the_original_does(name, by, small, tmp_path):
    agent = small(name, seeds=[4, 1], n_envs=2)
    early = MEANS[by](agent)
    agent.learn(STEPS, callback=until(50))  # in the middle of episodes, rollouts and schedules
    middle = MEANS[by](agent)
    apart = MEANS[by](agent).learn(30)  # learns from none of the others, and teaches none
    assert apart.num_timesteps < agent.goal
    check_alike(agent, middle, tmp_path)
    agent.resume()
    late = MEANS[by](agent)
    check_alike(agent, early.learn(STEPS, callback=until(50)).resume(), tmp_path)
    check_alike(agent, middle.resume(), tmp_path)
    agent.learn(40)
    for one in (early, middle, late):
        check_alike(agent, one.learn(40), tmp_path)


OPTIONS = {
    "autograd": ("DQN", {"fused": False}),
    "target network": ("CourseDQN", {"target_update_interval": 0}),
    "shared": ("PPO", {"shared_network": True, "activation": "relu"}),
    "baseline": ("REINFORCE", {"value_baseline": True}),
    "box": ("A2C", {"env": "Pendulum-v1", "use_rms_prop": False}),
    "lstm, box": ("RecurrentA2C", {"env": "Pendulum-v1", "use_rms_prop": True}),
    "visits": ("QLearning", {"visit_power": 0.6}),
}


@pytest.mark.parametrize("options", OPTIONS)
def test_options_change_nothing_of_that(options, small, tmp_path):
    name, keywords = OPTIONS[options]
    agent = small(name, **keywords).learn(STEPS, callback=until(50))
    twins = [make(agent) for make in MEANS.values()]
    agent.resume().learn(30)
    for twin in twins:
        check_alike(agent, twin.resume().learn(30), tmp_path)


def test_the_original_is_not_touched_by_what_its_copy_learns(small, tmp_path):
    agent, same = (small("DQN").learn(60) for _ in range(2))
    copy.deepcopy(agent).learn(60)
    check_alike(agent, same, tmp_path)
    check_alike(agent.learn(30), same.learn(30), tmp_path)


def test_a_copy_of_a_copy_made_in_a_callback_is_no_worse(small, tmp_path):
    kept = []

    def keep(agent):
        if agent.num_timesteps == 30:
            kept.append(copy.deepcopy(pickle.loads(pickle.dumps(agent))))

    agent = small("RecurrentDQN").learn(STEPS, callback=keep)
    check_alike(agent, kept[0].resume(), tmp_path)


def test_functions_go_into_a_pickle(match_env, small, tmp_path):
    length = 5
    agent = small("A2C", lambda: match_env(3, length), learning_rate=lambda remaining: 0.1 * remaining)
    twin = pickle.loads(pickle.dumps(agent.learn(STEPS, callback=until(50))))
    check_alike(agent.resume(), twin.resume(), tmp_path)


def test_an_agent_without_envs_is_copied_without_them(small, tmp_path):
    small("PPO").learn(STEPS).save(tmp_path / "file")
    agent = agents.PPO.load(tmp_path / "file")
    for make in MEANS.values():
        twin = make(agent)
        assert twin.get_env() is None
        check_alike(agent, twin, tmp_path)


def test_what_a_user_adds_to_an_agent_goes_along(small):
    agent = small("DQN", verbose=0, threads=None)
    agent.notes = {"run": [1, 2]}
    agent.me = agent
    for make in MEANS.values():
        twin = make(agent)
        assert twin.notes == agent.notes
        assert twin.notes["run"] is not agent.notes["run"]
        assert twin.threads is None
    assert copy.deepcopy(agent).me is not agent


@pytest.mark.parametrize("by", MEANS)
def test_a_copy_has_a_features_extractor_of_its_own(by):
    def env(data):
        return gym.make("trading_env:TradingEnv-v0", data=data, observation="compact", window=5)

    first = env("us-stocks/AAPL")
    agent = agents.DQN(first, features_extractor=FeatureWindows.of(first), net_arch=(8,))
    twin = MEANS[by](agent)
    assert twin.features.extractor == agent.features.extractor
    twin.features.extractor.look_at(env("us-stocks/MSFT"))
    assert twin.features.extractor != agent.features.extractor


class Locked(gym.Wrapper):
    """An env that holds what no copy can be made of."""

    def __init__(self, env):
        super().__init__(env)
        self.lock = threading.Lock()


@pytest.mark.parametrize("by", MEANS)
def test_an_env_that_cannot_be_copied_is_named_and_episodes_start_anew(by, small):
    agent = small("A2C", lambda: Locked(gym.make("CartPole-v1")))
    assert MEANS[by](agent).get_env() is not agent.get_env()  # nothing has begun, nothing is lost
    agent.learn(STEPS, callback=until(50))
    with pytest.warns(RuntimeWarning, match="env cannot be copied, its episodes start anew"):
        twin = MEANS[by](agent)
    assert twin.resume().num_timesteps == agent.resume().num_timesteps


def test_a_factory_that_cannot_be_pickled_is_named(small):
    lock = threading.Lock()
    agent = small("A2C", lambda: gym.make("CartPole-v1", render_mode=None if lock else "ansi"))
    with pytest.raises(TypeError, match="env of the agent cannot be copied"):
        pickle.dumps(agent)


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_another_process_can_have_one(how, small):
    import multiprocessing

    agent = small("DQN", "CartPole-v1").learn(60)
    with multiprocessing.get_context(how).Pool(1) as pool:
        there = pool.apply(learned, (agent,))
    here = learned(agent)
    assert there.keys() == here.keys()
    assert all(np.array_equal(there[name], value) for name, value in here.items())


def learned(agent):
    """Weights after more learning."""
    return {name: array.numpy().copy() for name, array in agent.learn(30).state_dict().items()}


FORECASTERS = {
    "last value": LastValue,
    "mean": lambda: MeanOfLast(3),
    "lstm": lambda: LSTMForecaster(2, lstm_size=4, epochs=2, batch_size=8),
    "ridge": ridge,
    "forest": lambda: random_forest(3),
    "boosting": lambda: boosting(3),
}


@pytest.mark.parametrize("by", MEANS)
@pytest.mark.parametrize("name", FORECASTERS)
def test_a_copied_forecaster_forecasts_and_fits_the_same_apart_from_the_original(name, by):
    chance = np.random.default_rng(0)
    X, y = chance.normal(size=(50, 4, 2)), chance.normal(size=50)
    made = FORECASTERS[name]()
    early = MEANS[by](made)
    before = made.fit(X, y).predict(X)
    late = MEANS[by](made)
    assert np.array_equal(early.fit(X, y).predict(X), before)
    assert np.array_equal(late.predict(X[::-1]), made.predict(X[::-1]))  # not what it said last
    anew = late.fit(-X, y).predict(X)
    assert np.array_equal(made.predict(X), before)
    assert np.array_equal(made.fit(-X, y).predict(X), anew)


@pytest.mark.parametrize("by", MEANS)
def test_networks_and_optimisers_copied_together_stay_together(by):
    device = torch.device("cpu")
    net = MLP((3, 4, 2), [0, 1], device)
    net, optimizer = MEANS[by]([net, Adam(net, 10.0)]) if by != "copy" else copy.deepcopy((net, Adam(net, 10.0)))
    obs = np.ones((2, 5, 3), np.float32)
    before = net.act(obs).copy()
    net.grad.fill_(1.0)
    optimizer.step(0.1)
    assert optimizer.parameters is net
    assert not np.array_equal(net.act(obs), before)
    assert np.allclose(net.act(obs), net(torch.from_numpy(obs)).detach().numpy(), atol=1e-6)
    assert (net.grads["0.weight"] == 1.0).all()


def test_a_copied_memory_gives_what_it_holds_itself():
    one = Replay(1, 10, 2, 4, torch.device("cpu"))
    one.reserve(10)
    twins = [make(one) for make in (copy.deepcopy, MEANS["pickle"])]
    zeros = np.zeros((1, 1), np.float64)
    for twin in twins:
        twin.add(np.ones((1, 1, 2), np.float32), zeros.astype(int), zeros + 5, zeros > 1, zeros > 1, np.ones((1, 1, 2)))
        assert (twin.sample(np.zeros((1, 4))).reward == 5).all()


def test_a_copied_policy_of_afterstates_asks_its_own_env(small):
    agent = small("TDLambda")
    env = gym.make("trading_env:TradingEnv-v0", window=3)
    obs, _ = env.reset(seed=0)
    policy = agent.acting_in(env)
    for make in (copy.deepcopy, MEANS["cloudpickle"]):
        twin = make(policy)
        expected = policy.predict(obs, deterministic=True)[0]
        assert twin.predict(obs, deterministic=True)[0] == expected
        assert twin._env is not env
        twin._env.step(0)
        assert np.array_equal(twin._afterstates(), twin._env.unwrapped.afterstates())
