"""Wrong arguments of agents are answered: what they are called here, or why they have no meaning."""

import copy
import inspect

import gymnasium as gym
import pytest
import sb3_contrib
import stable_baselines3

import agents
from agents import A2C, DQN, PPO, QLearning, RecurrentDQN
from agents.base.keywords import ONLY_OF, RENAMED

KNOWN = {name: list(inspect.signature(getattr(agents, name)).parameters) for name in agents.AGENTS}
THEIRS = [
    (name, keyword)
    for name in ("A2C", "DQN", "PPO", "QRDQN", "SAC", "TD3")
    for keyword in inspect.signature(getattr(sb3_contrib if name == "QRDQN" else stable_baselines3, name)).parameters
    if keyword not in KNOWN[name]
]


@pytest.mark.parametrize(("name", "keyword"), THEIRS)
def test_every_keyword_of_stable_baselines3_that_is_not_ours_is_answered(name, keyword):
    with pytest.raises(TypeError, match=f"^{name} got an unexpected keyword argument '{keyword}': (?!known are)"):
        getattr(agents, name)("CartPole-v1", **{keyword: None})


@pytest.mark.parametrize(
    "arguments", [("MlpPolicy", "CartPole-v1"), ("MlpPolicy",), (stable_baselines3.dqn.MlpPolicy,)]
)
def test_a_policy_as_the_first_argument_is_answered(arguments):
    with pytest.raises(TypeError, match=r"^PPO: the first argument is the env, got .*no policy class, net_arch"):
        PPO(*arguments)


def test_a_policy_beside_the_env_is_answered():
    with pytest.raises(TypeError, match=r"^DQN: the first argument is the env, got 'MyNet'"):
        DQN("MyNet", env="CartPole-v1")
    with pytest.raises(TypeError, match=r"^DQN takes only the env without a name, got 0.1 too"):
        DQN("CartPole-v1", 0.1)


@pytest.mark.parametrize(
    ("kind", "keyword", "says"),
    [
        (DQN, "lr", "here it is 'learning_rate'"),
        (DQN, "hidden_sizes", "here it is 'net_arch'"),
        (RecurrentDQN, "hidden_size", "here it is 'lstm_size'"),
        (DQN, "seed", r"here it is seeds: seeds=\[7\] is the run of this one seed"),
        (A2C, "total_timesteps", r"it goes to learn\(7\)"),
        (A2C, "progress_bar", r"it goes to learn\(\.\.\., progress_bar=7\)"),
        (DQN, "n_epochs", "it is a hyperparameter of PPO"),
        (QLearning, "n_steps", "it is a hyperparameter of A2C, PPO and DQN"),
        (DQN, "counterfactual", "it is an agent of its own, CounterfactualDQN"),
        (DQN, "learnig_rate", r"did you mean 'learning_rate'\?"),
        (DQN, "nonsense", "known are env, seeds, n_envs"),
    ],
)
def test_a_wrong_keyword_says_what_to_write_instead(kind, keyword, says):
    with pytest.raises(TypeError, match=f"{kind.__name__} got an unexpected keyword argument '{keyword}': {says}"):
        kind("CartPole-v1", **{keyword: 7})


def test_answers_name_what_exists():
    everything = {name for known in KNOWN.values() for name in known}
    assert {here for ours in RENAMED.values() for here in ours} <= everything
    for keyword, owners in ONLY_OF.items():
        for owner in owners.replace(",", "").replace(" and", "").split():
            assert keyword in KNOWN[owner], (keyword, owner)
    for name, known in KNOWN.items():
        assert not [there for there, ours in RENAMED.items() if there in known and set(ours) & set(known)], name


def test_a_subclass_may_take_further_arguments():
    class Named(DQN):
        def __init__(self, env, title, **keywords):
            super().__init__(env, **keywords)
            self.title = title

    agent = Named("CartPole-v1", "mine", learning_rate=1e-3)
    assert (agent.title, agent.learning_rate) == ("mine", 1e-3)
    assert list(inspect.signature(Named).parameters)[:3] == ["env", "title", "learning_rate"]
    assert copy.deepcopy(agent).title == "mine"


@pytest.mark.parametrize("env", [gym.make_vec("CartPole-v1", 2), stable_baselines3.common.vec_env.DummyVecEnv])
def test_a_vector_env_is_refused_by_name(env):
    if isinstance(env, type):
        env = env([lambda: gym.make("CartPole-v1")])
    with pytest.raises(TypeError, match="or a single env, of which every seed gets n_envs copies"):
        DQN(env)


@pytest.mark.parametrize("mode", ["rgb_array", "human", "ansi"])
def test_an_env_with_a_render_mode_can_be_given(mode, capsys):
    env = gym.make("trading_env:TradingEnv-v0", render_mode=mode, random_start=True)
    agent = DQN(env, seeds=2).learn(5)
    assert type(agent.env).__name__ == "TradingVectorEnv"  # not the slower one of single envs
    assert env.spec.kwargs["render_mode"] == mode
    assert capsys.readouterr().out == ""


def test_a_wrapper_that_draws_keeps_the_render_mode():
    env = gym.wrappers.RenderCollection(gym.make("CartPole-v1", render_mode="rgb_array"))
    assert DQN(env).env.envs[0].unwrapped.render_mode == "rgb_array"


def test_the_third_argument_of_learn_is_no_interval_as_in_stable_baselines3():
    with pytest.raises(TypeError, match="progress_bar must be True or False, got 10"):
        DQN("CartPole-v1").learn(100, None, 10)
