"""DQN that learns from what every action would have brought."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from agents.counterfactual_dqn import LOSSES, CounterfactualDQN, counterfactual_loss
from agents.memory.replay import Batch
from agents.nn.adam import Adam
from agents.nn.fused.td_error import td_step
from agents.nn.mlp import MLP
from tests.agents.conftest import TellingMatch, TellingStopOrGo, told
from trading_env.data import simulators

CPU = torch.device("cpu")
SMALL = {"learning_rate": 5e-3, "learning_starts": 20, "train_freq": 1, "target_update_interval": 20, "net_arch": (16,)}
GREEDY = {"exploration_initial_eps": 0.0, "exploration_final_eps": 0.0}


def trading(market, **keywords) -> gym.Env:
    keywords = {"window": 2, "actions": (-1.0, 0.0, 1.0), "random_start": True, "episode_length": 7} | keywords
    return gym.make("trading_env:TradingEnv-v0", data=market, **keywords)


@pytest.fixture
def market():
    return simulators.ornstein_uhlenbeck(60, 1)


# ------------------------------------------------------------------------------------------------------ numbers


def random_batch(S: int, B: int = 16, D: int = 4, A: int = 3, seed: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    obs, next_obs = torch.randn(S, B, D, generator=draw), torch.randn(S, B * A, D, generator=draw)
    reward = 3 * torch.randn(S, B * A, generator=draw)
    continues = torch.randint(2, (S, B * A), generator=draw).float()
    return Batch(obs, next_obs, torch.arange(A).expand(S, B, A), reward, continues)


def by_definition(net, target, batch, gamma, loss):
    """The errors, once autograd has written the gradient."""
    net.zero_grad()
    loss, errors = counterfactual_loss(net, target, batch, gamma, LOSSES[loss])
    loss.backward()
    return errors


def by_hand(net, target, batch, gamma, loss):
    """The errors, once the gradient is written by hand; the step is 0."""
    return td_step(net, target, Adam(net, 10.0).for_kernels(0.0), batch, gamma, loss == "mse")


@pytest.mark.parametrize("S", [1, 3])
@pytest.mark.parametrize("form", [by_definition, by_hand])
@pytest.mark.parametrize("loss", ["huber", "mse"])
def test_the_gradient_is_that_of_the_mean_over_batch_and_actions(S, form, loss):
    B, A, D = 16, 3, 4
    net, target = MLP((D, 8, A), range(S), CPU), MLP((D, 8, A), range(S, 2 * S), CPU)
    batch = random_batch(S, B, D, A)
    next_obs = batch.next_obs.view(S, B, A, D)
    reward, continues = (x.view(S, B, A) for x in (batch.reward, batch.continues))
    error = form(net, target, batch, 0.9, loss)
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
    plain = {"huber": torch.nn.functional.smooth_l1_loss, "mse": torch.nn.functional.mse_loss}[loss]
    expected = plain(q(leaves, batch.obs), aim, reduction="none").mean((1, 2)).sum()
    expected.backward()
    for name, leaf in leaves.items():
        torch.testing.assert_close(net.grads[name], leaf.grad)
    torch.testing.assert_close(error, q(net.values, batch.obs) - aim)


@pytest.mark.parametrize("loss", ["huber", "mse"])
def test_after_50_updates_the_fused_form_has_the_weights_of_the_definition(loss):
    options = {"seeds": 3, "net_arch": (16,), "loss": loss}
    agents = [CounterfactualDQN(TellingMatch, fused=fused, **options) for fused in (True, False)]
    for k in range(50):
        for agent in agents:
            agent._update(random_batch(3, D=3, seed=k), 1e-3)
            if k % 10 == 0:
                agent._update_target()
    torch.testing.assert_close(*(agent.q_net.flat for agent in agents), rtol=0, atol=1e-6)


def test_an_env_that_cannot_tell_is_refused_at_construction(match_env):
    with pytest.raises(ValueError, match=r"env must offer counterfactual\(\)"):
        CounterfactualDQN(match_env)

    def scaled():
        return gym.wrappers.TransformReward(TellingMatch(), lambda reward: 10 * reward)

    with pytest.raises(ValueError, match=r"env must offer counterfactual\(\)"):
        CounterfactualDQN(scaled)


@pytest.mark.parametrize(("place", "what"), [(0, "rewards"), (1, "observations")])
def test_outcomes_that_are_not_finite_are_refused(place, what):
    class Sick(TellingMatch):
        def counterfactual(self):
            pair = super().counterfactual()
            parts = [part.copy() for part in pair]
            parts[place].flat[1] = np.nan
            return told(*parts, pair.terminated)

    with pytest.raises(ValueError, match=f"finite counterfactual {what}"):
        CounterfactualDQN(Sick, **SMALL).learn(5)


# ----------------------------------------------------------------------------------------------------- learning


def test_actions_never_taken_are_learnt_too():
    options = SMALL | GREEDY | {"gamma": 0.0, "learning_starts": 0}
    agent = CounterfactualDQN(TellingMatch, seeds=2, **options)
    agent._act = lambda obs: np.zeros((2, 1), np.int64)
    agent.learn(600)
    q = agent.q_net.act(np.repeat(np.eye(3, dtype=np.float32)[None], 2, 0))
    np.testing.assert_allclose(q, np.eye(3)[None].repeat(2, 0), atol=0.05)


@pytest.mark.parametrize(("truncates", "worth"), [(False, [2.0, 10.0]), (True, [20.0, 19.0])])
def test_each_action_bootstraps_unless_it_terminates(truncates, worth):
    options = SMALL | {"gamma": 0.9, "learning_rate": "lin_1e-2"}
    agent = CounterfactualDQN(lambda: TellingStopOrGo(truncates), seeds=2, **options)
    agent._act = lambda obs: np.ones((2, 1), np.int64)  # never stops, so that the other outcome is only told
    agent.learn(2_000)
    np.testing.assert_allclose(agent.q_net.act(np.ones((2, 1, 1), np.float32))[:, 0], [worth, worth], rtol=0.03)


@pytest.mark.parametrize("loss", ["huber", "mse"])
def test_a_seed_takes_the_same_200_steps_alone_and_among_others(market, loss):
    def actions(seeds, s):
        agent, taken = CounterfactualDQN(trading(market), seeds=seeds, loss=loss, **SMALL), []
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
    agent = CounterfactualDQN(trading(market), seeds=2, **SMALL).learn(60)
    agent.save(tmp_path / "agent", training=True)
    loaded = CounterfactualDQN.load(tmp_path / "agent", env=trading(market))
    for both in (agent, loaded):
        both.learn(60, reset_num_timesteps=False)
    assert torch.equal(agent.q_net.flat, loaded.q_net.flat)


@pytest.mark.parametrize(("bad", "error"), [({"loss": "l1"}, ValueError), ({"fused": "yes"}, TypeError)])
def test_bad_arguments_are_refused_by_name(bad, error):
    with pytest.raises(error, match=next(iter(bad))):
        CounterfactualDQN(TellingMatch, **bad)
