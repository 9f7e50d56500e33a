from functools import partial

import gymnasium as gym
import numpy as np
import pytest

from agents import DQN
from tests.trading_env.markets import random_market
from trading_env import TradingVectorEnv
from trading_env.analysis import strategies
from trading_env.envs.acting.policies import (
    PerSeed,
    actions_for_strategies,
    as_policy,
    is_strategy,
    looking_at,
    takes_masks,
)
from trading_env.integrations.feature_windows import FeatureWindows


class Rows:
    """Keeps the shapes that it is given."""

    def __init__(self):
        self.seen = []

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        parts = observation.values() if isinstance(observation, dict) else [observation]
        self.seen += [part.shape for part in parts]
        return np.array([1]), (state or 0) + 1


class Masked:
    def predict(self, observation, state=None, episode_start=None, deterministic=True, action_masks=None):
        return action_masks.argmin(1), None


def envs_of(n=1, **keywords):
    return TradingVectorEnv(n, random_market(whole=True), **{"window": 3, "features": ["close"], **keywords})


def test_a_policy_with_a_length_has_so_many_runs():
    class Seeds(Rows):
        def __len__(self):
            return 4

    assert as_policy(Rows(), envs_of())[1] == 1
    assert as_policy(Seeds(), envs_of())[1] == 4


def test_a_function_is_a_strategy_if_its_first_parameter_is_called_market():
    assert is_strategy(strategies.flat)
    assert is_strategy(partial(strategies.moving_average_crossover, fast=2, slow=3))
    assert is_strategy(lambda market, more=1: None)
    assert not is_strategy(lambda obs: 1)
    assert not is_strategy(max)
    assert not is_strategy(strategies.StrategyPolicy)


def test_a_function_gets_one_observation_at_a_time():
    seen = []
    policy, runs = as_policy(lambda obs: seen.append(obs.shape) or 2, envs_of())
    assert runs == 1
    assert policy.predict(np.zeros((3, 7)))[0].tolist() == [2, 2, 2]
    assert seen == [(7,)] * 3


def test_a_function_gets_dicts_as_they_are():
    policy, _ = as_policy(lambda obs: int(obs["account"].sum()), envs_of())
    assert policy.predict({"account": np.arange(8).reshape(2, 4)})[0].tolist() == [6, 22]


def test_a_list_is_a_run_each_on_its_own_row_with_its_own_state():
    policy, runs = as_policy([Rows(), Rows(), lambda obs: 0], envs_of())
    actions, states = policy.predict(np.zeros((3, 5)))
    assert (runs, actions.tolist(), states) == (3, [1, 1, 0], [1, 1, None])
    assert policy.predict(np.zeros((3, 5)), states)[1] == [2, 2, None]
    assert policy[0].seen == [(1, 5)] * 2
    policy.predict({"market": np.zeros((3, 2, 2)), "account": np.zeros((3, 4))})
    assert policy[1].seen[-2:] == [(1, 2, 2), (1, 4)]


def test_masks_go_to_the_policies_of_a_list_that_take_them():
    assert takes_masks(Masked())
    assert not takes_masks(Rows())
    masks = np.array([[True, True], [True, False]])
    assert PerSeed([Rows(), Masked()]).predict(np.zeros((2, 5)), action_masks=masks)[0].tolist() == [1, 1]


def test_strategies_need_other_actions_only_where_the_default_cannot_follow_them():
    market = random_market(n=300, since="2020-01-01")
    assert actions_for_strategies(strategies.buy_and_hold, market) == {}
    assert actions_for_strategies([strategies.flat, strategies.volatility_target], market) == {"actions": "continuous"}
    assert actions_for_strategies(Rows(), market) == {}


@pytest.mark.parametrize("policy", [3, None, "flat", Rows, strategies.StrategyPolicy])
def test_what_is_no_policy_is_refused_by_name(policy):
    with pytest.raises(TypeError, match="policy must have predict, or be a strategy"):
        as_policy(policy, envs_of())


def test_lists_that_are_no_policy_are_refused_by_name():
    with pytest.raises(ValueError, match="policy must not be an empty list"):
        as_policy([], envs_of())
    with pytest.raises(ValueError, match=r"policy\[1\] has 2 runs"):
        as_policy([Rows(), [Rows(), Rows()]], envs_of())


def test_features_extractors_look_at_the_env_while_they_act_in_it():
    keywords = {"window": 3, "features": ["close"], "observation": "compact"}
    env = gym.make("trading_env:TradingEnv-v0", data=random_market(seed=1, whole=True), **keywords)
    agent = DQN(env, features_extractor=FeatureWindows.of(env))
    other = envs_of(observation="compact")
    own = agent.features.extractor.table
    with looking_at(agent, other):
        assert (agent.features.extractor.table == other.task.features).all()
    assert agent.features.extractor.table is own


def test_a_model_that_reads_the_table_of_other_data_is_refused():
    class Model(Rows):
        policy_kwargs = {"features_extractor_kwargs": {"windows": FeatureWindows(np.ones((5, 1), np.float32), 3)}}

    with pytest.raises(ValueError, match="policy reads other data"), looking_at(Model(), envs_of()):
        pass
