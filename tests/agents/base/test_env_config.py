"""Agents and envs whose observations or actions mean something else, though they are of the same size."""

import copy
import dataclasses
import json
import pickle
import re
import warnings
from functools import partial

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import FlattenObservation, RecordEpisodeStatistics

import agents
import trading_env
from agents.a2c import A2C
from agents.base.env_config import check_meaning, env_config_of
from agents.base.evaluation import evaluate
from agents.common import checkpoints
from agents.dqn import DQN
from agents.td_lambda import TDLambda
from trading_env import EnvConfig, FeatureScaler, TradingEnv, load
from trading_env.sb3 import TradingVecEnv

ENV_ID = "trading_env:TradingEnv-v0"
TRAIN, TEST = load("us-stocks/IBM").split(0.7)
SCALER = FeatureScaler().fit(TRAIN)
LEARNT = {"window": 4, "scaler": SCALER, "actions": (0.0, 1.0), "episode_length": 20}


def features(market, order=("a", "b")):
    """Two columns of numbers."""
    step = np.diff(np.log(market.close), prepend=np.log(market.close[0]))
    return pd.DataFrame({"a": step, "b": step**2})[list(order)]


def spec(data=TRAIN, **keywords):
    return dataclasses.replace(gym.spec("TradingEnv-v0"), kwargs={"data": data, **LEARNT, **keywords})


OTHERS = {
    "no scaler": ({}, {"scaler": None}, r"scaler=None"),
    "another scaler": ({}, {"scaler": FeatureScaler().fit(TEST)}, r"scaler\.mean\[0\]="),
    "features reordered": (
        {"scaler": None, "features": features},
        {"scaler": None, "features": partial(features, order=("b", "a"))},
        r"features=\['b', 'a'\], but the agent learnt with features=\['a', 'b'\]",
    ),
    "actions reversed": ({}, {"actions": (1.0, 0.0)}, r"actions=\['targets', 1\.0, 0\.0\], but .*0\.0, 1\.0\]"),
    "another sell": (
        {"actions": "buy_hold_sell"},
        {"actions": "buy_hold_sell", "allow_short": True},
        r"actions=.*-1\.0",
    ),
    "lots": ({"actions": "lots"}, {"actions": "lots", "lot_size": 10.0}, r"lot_size=10\.0"),
    "long only": ({"actions": "continuous"}, {"actions": "continuous", "allow_short": False}, "shorts=False"),
    "more leverage": (
        {"actions": "continuous", "margin": {"max_leverage": 1.0}},
        {"actions": "continuous", "margin": {"max_leverage": 2.0}},
        "max_leverage=2",
    ),
}


@pytest.fixture(params=OTHERS)
def pair(request):
    """Env learnt in, another one of the same size, and what the refusal says."""
    mine, other, said = OTHERS[request.param]
    return spec(**mine), spec(**mine | other), said


def test_an_env_that_means_something_else_is_refused_by_name_wherever_it_is_given(pair, tmp_path):
    mine, other, said = pair
    agent = A2C(mine, net_arch=(4,)).learn(10)
    agent.save(tmp_path / "agent")
    for use in (
        lambda: evaluate(agent, other, 1),
        lambda: agent.best_on(other, 1),
        lambda: agent[0].best_on(other, 1),
        lambda: evaluate(A2C.load(tmp_path / "agent"), other, 1),
        lambda: evaluate(copy.deepcopy(agent), other, 1),
        lambda: evaluate(pickle.loads(pickle.dumps(agent)), other, 1),
        lambda: evaluate(agent, partial(gym.make, ENV_ID, **other.kwargs), 1),
        lambda: A2C.load(tmp_path / "agent", env=other),
        lambda: agent.set_env(other),
    ):
        with pytest.raises(ValueError, match=said):
            use()


def test_another_window_of_the_same_size_is_refused():
    table = features(TRAIN).to_numpy()
    mine = spec(scaler=None, features=table, window=4)
    other = spec(scaler=None, features=table[:, :1], window=8)
    agent = A2C(mine, net_arch=(4,))
    assert A2C(other, net_arch=(4,)).spaces == agent.spaces
    with pytest.raises(
        ValueError,
        match=r"env has window=8, but the agent learnt with window=4 \(also different: features\); check_env=False",
    ):
        evaluate(agent, other, 1)


def test_check_env_false_lets_it_act_and_learn_there_all_the_same(tmp_path):
    other = spec(scaler=None)
    agent = A2C(spec(), net_arch=(4,)).learn(10)
    agent.save(tmp_path / "agent")
    assert evaluate(agent, other, 1, check_env=False).shape == (1, 1)
    assert agent.best_on(other, 1, check_env=False).seeds == (0,)
    loaded = A2C.load(tmp_path / "agent", env=other, check_env=False).learn(10)
    loaded.save(tmp_path / "again")
    with pytest.raises(ValueError, match="scaler"):
        A2C.load(tmp_path / "again", env=spec())  # it has learnt in the other one since
    agent.set_env(other, check_env=False)
    assert agent.env_config["meaning"]["scaler"] is None
    with pytest.raises(TypeError, match="check_env must be True or False"):
        evaluate(agent, other, 1, check_env="no")


def test_other_data_rewards_and_starts_are_the_same_kind_of_env(tmp_path):
    agent = A2C(spec(random_start=True), net_arch=(4,)).learn(10)
    agent.save(tmp_path / "agent")
    for other in (
        spec(TEST),
        spec(load("us-stocks/MSFT")),
        spec(reward="pnl", initial_cash=5.0, episode_length=None),
        partial(gym.make, ENV_ID, data=TEST, **LEARNT),
        lambda: RecordEpisodeStatistics(gym.make(ENV_ID, data=TEST, **LEARNT)),
        spec(scaler=FeatureScaler.from_dict(json.loads(json.dumps(SCALER.to_dict())))),
        spec(scaler=SCALER.to_dict(), actions=[0.0, 1.0]),
    ):
        evaluate(agent, other, 1, max_steps=None)
        A2C.load(tmp_path / "agent", env=other)


def test_wrappers_that_change_what_is_seen_count_and_those_that_only_look_do_not():
    class Reversed(gym.ActionWrapper):
        def action(self, action):
            return 1 - action

    agent = A2C(spec(), net_arch=(4,))
    with pytest.raises(ValueError, match=r"env has wrappers=\['Reversed'\], but the agent learnt with wrappers=\[\]"):
        evaluate(agent, lambda: Reversed(gym.make(ENV_ID, data=TRAIN, **LEARNT)), 1)
    flat = lambda: FlattenObservation(gym.make(ENV_ID, data=TRAIN, **LEARNT | {"observation": "dict"}))  # noqa: E731
    assert A2C(flat, net_arch=(4,)).env_config["meaning"]["wrappers"] == ["FlattenObservation"]


def test_all_forms_of_the_env_say_the_same_as_plain_json():
    single = gym.make(ENV_ID, data=TRAIN, **LEARNT)
    said = single.get_wrapper_attr("env_config")
    assert said == json.loads(json.dumps(said))
    meaning = said["meaning"]
    assert meaning["actions"] == ["targets", 0.0, 1.0]
    assert meaning["scaler"]["mean"] == SCALER.mean_.tolist()
    native = gym.make_vec(ENV_ID, 2, data=TRAIN, **LEARNT)
    sync = SyncVectorEnv([lambda: gym.make(ENV_ID, data=TRAIN, **LEARNT)] * 2)
    assert env_config_of(native) == env_config_of(sync) == {**said, "meaning": {**meaning, "wrappers": []}}
    assert TradingVecEnv(2, data=TRAIN, **LEARNT).get_attr("env_config") == [said, said]
    actions = gym.make(ENV_ID, data=TRAIN).unwrapped.env_config["meaning"]["actions"]
    assert actions == ["buy_hold_sell", 0.0, "hold", 1.0]


def test_afterstates_mean_what_their_env_does(tmp_path):
    TDLambda(spec(), net_arch=(4,)).learn(10).save(tmp_path / "agent")
    with pytest.raises(ValueError, match="scaler"):
        TDLambda.load(tmp_path / "agent", env=spec(scaler=None))


def test_of_other_envs_the_spaces_alone_are_known(tmp_path):
    class World(gym.Env):
        observation_space = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
        action_space = gym.spaces.Discrete(2)
        env_config = {"learning_rate": object()}

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.zeros(3, np.float32), {}

        def step(self, action):
            return np.zeros(3, np.float32), 1.0, True, False, {}

    agent = DQN(World).learn(5)
    assert agent.env_config is None
    assert evaluate(agent, World, 2).shape == (1, 2)
    DQN("CartPole-v1").save(tmp_path / "agent")
    DQN.load(tmp_path / "agent", env="CartPole-v1").learn(5)

    class Odd(World):
        env_config = {"meaning": {"x": {1, 2}}}

    with pytest.raises(TypeError, match=r"env\.env_config must be plain JSON"):
        DQN(Odd)


def test_an_env_of_other_spaces_is_refused_again_and_again(tmp_path):
    A2C(spec(), net_arch=(4,)).learn(10).save(tmp_path / "agent")
    loaded = A2C.load(tmp_path / "agent")
    loaded._env = spec(window=3)
    for _ in range(2):
        with pytest.raises(ValueError, match="env has window=3, but the agent learnt with window=4"):
            loaded.learn(5)


def test_the_first_difference_is_named_and_long_values_are_cut():
    one = {"a": 1, "features": [f"f{i}" for i in range(50)]}
    check_meaning(one, dict(one))
    other = {**one, "features": [*one["features"][:30], "x", *one["features"][31:]]}
    with pytest.raises(
        ValueError, match=re.escape("env has features[30]='x', but the agent learnt with features[30]='f30'")
    ):
        check_meaning(one, other)
    with pytest.raises(ValueError, match=r"env has len\(features\)=51, but the agent learnt with len\(features\)=50"):
        check_meaning(one, {**one, "features": [*one["features"], "x"]})
    with pytest.raises(ValueError, match="env has b=2, but the agent learnt with b=None"):
        check_meaning(one, {**one, "b": 2})
    with pytest.raises(ValueError, match=r"env has a=2, but the agent learnt with a=1 \(also different: b, c\)"):
        check_meaning(one, {**one, "a": 2, "b": 2, "c": 3})


def test_an_env_that_declares_nothing_is_refused_where_the_agent_learnt_in_one_that_does():
    agent = A2C(spec(), net_arch=(4,))

    class Silent(gym.Env):
        observation_space, action_space = gym.make(spec()).observation_space, gym.spaces.Discrete(2)

    with pytest.raises(ValueError, match="env does not say what its observations mean"):
        agent.check(Silent())


@pytest.mark.parametrize("form", ["spec", "function", "env", "bare env", "vector env"])
def test_check_takes_an_env_in_any_form_and_leaves_it_alone(form, tmp_path):
    A2C(spec(), net_arch=(4,)).save(tmp_path / "agent")

    def made(one):
        forms = {
            "spec": one,
            "function": partial(gym.make, ENV_ID, **one.kwargs),
            "env": gym.make(ENV_ID, **one.kwargs),
            "bare env": TradingEnv(**one.kwargs),
            "vector env": gym.make_vec(ENV_ID, 3, **one.kwargs),
        }
        return forms[form]

    agent, own = A2C.load(tmp_path / "agent"), made(spec())
    if hasattr(own, "reset"):
        own.reset(seed=3)
    assert agent.check(own) is agent
    with pytest.raises(ValueError, match=r"env has scaler=None, but the agent learnt with scaler=\{'names'"):
        agent.check(made(spec(scaler=None)))
    with pytest.raises(ValueError, match=r"env has window=5, but the agent learnt with window=4"):
        agent.check(made(spec(window=5)))  # though its spaces differ too
    if hasattr(own, "step"):
        own.step(own.action_space.sample())  # the episode goes on


def test_other_costs_and_another_fill_are_said_but_not_refused(tmp_path):
    agent = A2C(spec(), net_arch=(4,)).learn(10)
    agent.save(tmp_path / "agent")
    other = spec(costs={"commission": 0.01}, fill="close")
    said = r"env has costs\.commission=0\.01, but .*=0\.0005; env has fill='close', but the agent learnt"
    for use in (
        lambda: agent.check(other),
        lambda: A2C.load(tmp_path / "agent", env=other),
        lambda: agent.set_env(other),
    ):
        with pytest.warns(UserWarning, match=said):
            use()
    evaluate(agent, other, 1)  # to score a policy at other costs is what an experiment does


def test_a_file_keeps_the_configuration_of_the_env_that_was_learnt_in(tmp_path):
    agent = A2C(spec(costs={"commission": 0.01}, fill="close", bars_per_year=250), net_arch=(4,)).learn(10)
    agent.save(tmp_path / "agent")
    loaded = A2C.load(tmp_path / "agent")
    assert loaded.env_config == agent.env_config
    for one in (loaded, copy.deepcopy(loaded), pickle.loads(pickle.dumps(loaded)), loaded[0]):
        config = EnvConfig.of(one)
        assert config.scaler.to_dict() == SCALER.to_dict()
        assert (config.window, config.actions, config.fill, config.bars_per_year) == (4, (0.0, 1.0), "close", 250.0)
        assert config.costs.commission == 0.01
        agent.check(TradingEnv(TEST, **config.to_dict()))
    assert EnvConfig.of(loaded, window=9).window == 9
    (data,) = loaded.env_config["data"]
    assert (data["name"], data["bars"], data["fingerprint"]) == (TRAIN.name, len(TRAIN), TRAIN.fingerprint)
    assert loaded.env_config["versions"]["trading_env"] == trading_env.__version__


def test_what_is_kept_is_the_env_that_was_learnt_in_last(tmp_path):
    agent = A2C(spec(), net_arch=(4,)).learn(10)
    agent.set_env(spec(TEST))
    assert agent.env_config["data"][0]["fingerprint"] == TRAIN.fingerprint
    agent.learn(10)
    assert agent.env_config["data"][0]["fingerprint"] == TEST.fingerprint


def test_load_finds_the_algorithm_in_the_file(tmp_path):
    A2C(spec(), net_arch=(4,)).save(tmp_path / "agent")
    assert type(agents.load(tmp_path / "agent")) is A2C
    arrays, facts = checkpoints.read(tmp_path / "agent")
    for other in ("PPO2", None, ["DQN"]):
        checkpoints.write(tmp_path / "agent", arrays, {**facts, "algorithm": other})
        with pytest.raises(ValueError, match=r"agent holds .* as its algorithm, known are A2C, .*DQN"):
            agents.load(tmp_path / "agent")


def test_a_config_that_cannot_be_made_again_is_refused_by_name(tmp_path):
    agent = A2C(spec(scaler=None, features=features), net_arch=(4,))
    with pytest.raises(ValueError, match=r"\['features'\] of the env were functions or arrays, which no file holds"):
        EnvConfig.of(agent)
    assert EnvConfig.of(agent, features=features).features is features
    flat = lambda: FlattenObservation(gym.make(ENV_ID, data=TRAIN, **LEARNT | {"observation": "dict"}))  # noqa: E731
    with pytest.raises(ValueError, match=r"behind the wrappers \['FlattenObservation'\]"):
        EnvConfig.of(A2C(flat, net_arch=(4,)))
    with pytest.raises(ValueError, match="DQN keeps no configuration of a TradingEnv"):
        EnvConfig.of(DQN("CartPole-v1"))


def test_configurations_of_strangers_are_refused_by_name_or_taken(tmp_path):
    path = tmp_path / "agent.safetensors"
    A2C(spec(), net_arch=(4,)).save(path)
    arrays, facts = checkpoints.read(path)
    deep = []
    for _ in range(400):
        deep = [deep]
    values = (None, "x", -1, 10**400, float("nan"), True, [], {}, {"window": "\x1b[31m"}, deep)
    places, wrong = list(leaves(facts["env_config"])), []
    for i, place in enumerate(places):
        other = json.loads(json.dumps(facts))
        part = other["env_config"]
        for key in place[:-1]:
            part = part[key]
        part[place[-1]] = values[i % len(values)]
        checkpoints.write(path, arrays, other)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                agent = A2C.load(path).check(spec())
            TradingEnv(TEST, **EnvConfig.of(agent).to_dict())
        except (TypeError, ValueError) as error:
            if not any(isinstance(key, str) and key in str(error) for key in place):
                wrong.append((place, error))
    assert not wrong
    for other in (3, [], {}, {"meaning": 3}, {"meaning": {}, "terms": []}):
        checkpoints.write(path, arrays, {**facts, "env_config": other})
        with pytest.raises(ValueError, match=r"does not hold a whole A2C: env_config\S* must be an object"):
            A2C.load(path)


def leaves(tree, *path):
    """Where each leaf and each branch is."""
    if path:
        yield path
    for key in tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield from leaves(tree[key], *path, key)
