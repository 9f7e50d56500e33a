"""DQN on envs that tell what every action would have brought."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from agents.dqn import DQN, q_gradient
from agents.envs.counterfactuals import CounterfactualEnvs, counterfactual_of
from agents.envs.seed_envs import make_envs
from agents.memory.replay import Batch, Replay
from agents.nn.mlp import MLP
from tests.agents.conftest import MatchEnv, StopOrGo
from trading_env.data import simulators

CPU = torch.device("cpu")
SMALL = {"learning_rate": 5e-3, "learning_starts": 20, "train_freq": 1, "target_update_interval": 20, "net_arch": (16,)}
GREEDY = {"exploration_initial_eps": 0.0, "exploration_final_eps": 0.0}


class Told(tuple):
    """(reward, next_obs), with `terminated`."""

    terminated: np.ndarray


def told(reward, next_obs, terminated):
    pair = Told((np.array(reward), np.array(next_obs, np.float32)))
    pair.terminated = np.array(terminated)
    return pair


class TellingMatch(MatchEnv):
    """MatchEnv that tells."""

    def step(self, action):
        self.before = self.side
        return super().step(action)

    def counterfactual(self):
        return told(np.eye(self.n)[self.before], [np.eye(self.n)[self.side]] * self.n, [False] * self.n)


class TellingStopOrGo(StopOrGo):
    """StopOrGo that tells."""

    def counterfactual(self):
        return told([2.0, 1.0], [[1.0], [1.0]], [not self.truncates, False])


def trading(market, **keywords) -> gym.Env:
    keywords = {"window": 2, "actions": (-1.0, 0.0, 1.0), "random_start": True, "episode_length": 7} | keywords
    return gym.make("trading_env:TradingEnv-v0", data=market, **keywords)


@pytest.fixture
def market():
    return simulators.ornstein_uhlenbeck(60, 1)


# ------------------------------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize("S", [1, 3])
def test_the_gradient_agrees_with_autograd_of_the_mean_over_batch_and_actions(S):
    B, A, D = 16, 3, 4
    draw = torch.Generator().manual_seed(0)
    net, target = MLP((D, 8, A), range(S), CPU), MLP((D, 8, A), range(S, 2 * S), CPU)
    obs, next_obs = torch.randn(S, B, D, generator=draw), torch.randn(S, B, A, D, generator=draw)
    reward, continues = torch.randn(S, B, A, generator=draw), torch.randint(2, (S, B, A), generator=draw).float()
    action = torch.arange(A).expand(S, B, A)
    batch = Batch(obs, next_obs.flatten(1, 2), action, reward.flatten(1, 2), continues.flatten(1, 2))
    error = q_gradient(batch, net, target, 0.9)
    leaves = {name: value.clone().requires_grad_() for name, value in net.values.items()}

    def q(values, x):
        hidden = torch.relu(
            torch.einsum("s...i,sio->s...o", x, values["0.weight"]).add(
                values["0.bias"].view(S, *[1] * (x.ndim - 2), -1)
            )
        )
        return torch.einsum("s...i,sio->s...o", hidden, values["1.weight"]).add(
            values["1.bias"].view(S, *[1] * (x.ndim - 2), -1)
        )

    aim = reward + 0.9 * continues * q(target.values, next_obs).amax(-1)  # [S, B, A]
    loss = torch.nn.functional.smooth_l1_loss(q(leaves, obs), aim, reduction="none").mean((1, 2)).sum()
    loss.backward()
    for name, leaf in leaves.items():
        torch.testing.assert_close(net.grads[name], leaf.grad)
    torch.testing.assert_close(error, q(net.values, obs) - aim)


def test_every_outcome_comes_back_as_it_was_stored():
    S, N, K, D = 2, 3, 3, 2
    replay, draw = Replay(S, 7, D, 5, CPU, outcomes=K), np.random.default_rng(0)
    replay.reserve(100)
    stored = []
    for _ in range(4):  # 12 rows in a ring of 7
        obs, next_obs = (draw.random((S, N, *more, D)).astype(np.float32) for more in ((), (K,)))
        reward, over = draw.random((S, N, K)).astype(np.float32), draw.random((S, N, K)) < 0.3
        replay.add_outcomes(obs, reward, over, next_obs)
        stored += [(obs[:, n], next_obs[:, n], reward[:, n], over[:, n]) for n in range(N)]
    slots = np.array([[0, 1, 4, 5, 6], [6, 2, 2, 3, 0]])
    batch = replay.take(slots)
    kept = {k % 7: row for k, row in enumerate(stored)}  # later rows replace earlier ones
    for s in range(S):
        for b, slot in enumerate(slots[s]):
            obs, next_obs, reward, over = (part[s] for part in kept[slot])
            assert np.array_equal(batch.obs[s, b], obs)
            assert np.array_equal(batch.next_obs.view(S, 5, K, D)[s, b], next_obs)
            assert np.array_equal(batch.reward.view(S, 5, K)[s, b], reward)
            assert np.array_equal(batch.continues.view(S, 5, K)[s, b], 1 - over)
    assert torch.equal(batch.action, torch.arange(K).expand(S, 5, K))


# --------------------------------------------------------------------------------------------------------- envs


@pytest.mark.parametrize("native", [True, False])
def test_the_action_taken_has_the_outcome_that_it_had_at_the_end_of_an_episode_too(market, native):
    source = trading(market) if native else lambda: trading(market)
    envs = make_envs(source, (3, 5), 2, kind=CounterfactualEnvs)
    envs.reset()
    draw, ends = np.random.default_rng(0), 0
    for _ in range(20):
        action = draw.integers(3, size=(2, 2))
        step = envs.step(action)
        reward, terminated, next_obs = envs.outcomes
        at = action[..., None]
        assert np.array_equal(np.take_along_axis(reward, at, 2)[..., 0], step.reward)
        assert np.array_equal(np.take_along_axis(terminated, at, 2)[..., 0], step.terminated)
        assert np.array_equal(np.take_along_axis(next_obs, at[..., None], 2)[:, :, 0], step.next_obs)
        assert len(np.unique(reward[0, 0])) == 3
        ends += step.ended.sum()
    assert ends == 8


def test_an_env_that_cannot_tell_is_refused_at_construction(match_env):
    with pytest.raises(ValueError, match=r"env must offer counterfactual\(\)"):
        DQN(match_env, counterfactual=True)

    def scaled():
        return gym.wrappers.TransformReward(TellingMatch(), lambda reward: 10 * reward)

    with pytest.raises(ValueError, match=r"env must offer counterfactual\(\)"):
        DQN(scaled, counterfactual=True)
    assert callable(counterfactual_of(gym.wrappers.TimeLimit(TellingMatch(), 5)))


@pytest.mark.parametrize(("place", "what"), [(0, "rewards"), (1, "observations")])
def test_outcomes_that_are_not_finite_are_refused(place, what):
    class Sick(TellingMatch):
        def counterfactual(self):
            pair = super().counterfactual()
            parts = [part.copy() for part in pair]
            parts[place].flat[1] = np.nan
            return told(*parts, pair.terminated)

    with pytest.raises(ValueError, match=f"finite counterfactual {what}"):
        DQN(Sick, counterfactual=True, **SMALL).learn(5)


def test_several_steps_are_refused_for_counterfactuals():
    with pytest.raises(ValueError, match="counterfactual=True needs n_steps=1"):
        DQN(TellingMatch, counterfactual=True, n_steps=2)
    with pytest.raises(TypeError, match="counterfactual must be True or False"):
        DQN(TellingMatch, counterfactual="yes")


# ----------------------------------------------------------------------------------------------------- learning


def test_actions_never_taken_are_learnt_too():
    options = SMALL | GREEDY | {"gamma": 0.0, "counterfactual": True, "learning_starts": 0}
    agent = DQN(TellingMatch, seeds=2, **options)
    agent._act = lambda obs: np.zeros((2, 1), np.int64)
    agent.learn(600)
    q = agent.q_net.act(np.repeat(np.eye(3, dtype=np.float32)[None], 2, 0))
    np.testing.assert_allclose(q, np.eye(3)[None].repeat(2, 0), atol=0.05)


@pytest.mark.parametrize(("truncates", "worth"), [(False, [2.0, 10.0]), (True, [20.0, 19.0])])
def test_each_action_bootstraps_unless_it_terminates(truncates, worth):
    options = SMALL | {"gamma": 0.9, "learning_rate": "lin_1e-2", "counterfactual": True}
    agent = DQN(lambda: TellingStopOrGo(truncates), seeds=2, **options)
    agent._act = lambda obs: np.ones((2, 1), np.int64)  # never stops, so that the other outcome is only told
    agent.learn(2_000)
    np.testing.assert_allclose(agent.q_net.act(np.ones((2, 1, 1), np.float32))[:, 0], [worth, worth], rtol=0.03)


@pytest.mark.parametrize("more", [{}, {"double_q": True, "dueling": True, "prioritized_replay": True, "loss": "mse"}])
def test_a_seed_takes_the_same_200_steps_alone_and_among_others(market, more):
    def actions(seeds, s):
        agent, taken = DQN(trading(market), seeds=seeds, counterfactual=True, **SMALL | more), []
        act = agent._act

        def remember(obs):
            action = act(obs)
            taken.append(action[s].copy())
            return action

        agent._act = remember
        agent.learn(200)
        return np.array(taken)

    among, alone = actions(4, 2), actions([2], 0)
    assert np.array_equal(among, alone)
    assert len(np.unique(alone)) == 3


def test_a_file_keeps_the_agent_and_its_training(market, tmp_path):
    agent = DQN(trading(market), seeds=2, counterfactual=True, **SMALL).learn(60)
    agent.save(tmp_path / "agent", training=True)
    loaded = DQN.load(tmp_path / "agent", env=trading(market))
    assert loaded.config.counterfactual
    for both in (agent, loaded):
        both.learn(60, reset_num_timesteps=False)
    assert torch.equal(agent.q_net.flat, loaded.q_net.flat)
