"""PQN: its targets and update against plain torch for one seed, and that it learns."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from agents.base.evaluation import evaluate
from agents.pqn import PQN, normed_network, pqn_loss

SMALL = {"learning_rate": 5e-3, "n_steps": 8, "batch_size": 32, "n_epochs": 2, "net_arch": (16,)}


class Plain(torch.nn.Module):
    """The network of one seed in torch's own layers."""

    def __init__(self, agent, s):
        super().__init__()
        sizes = (agent.spaces.obs_size, *agent.config.net_arch)
        hidden = [
            layer
            for i, o in pairwise(sizes)
            for layer in (torch.nn.Linear(i, o), torch.nn.LayerNorm(o), torch.nn.ReLU())
        ]
        self.layers = torch.nn.Sequential(*hidden, torch.nn.Linear(sizes[-1], agent.spaces.n_actions))
        with torch.no_grad():
            for name, parameter in self.layers.named_parameters():
                value = agent.q_net.values[f"module.{name}"][s]
                parameter.copy_(value.mT if parameter.ndim == 2 else value[0])

    def forward(self, obs):
        return self.layers(obs)


def lambda_returns(q, rollout, last_value, s, gamma, lam):
    """The targets [T, N] of one seed by the recursion, in loops over envs and from the last step to the first."""
    T, N, D = *rollout.reward.shape[1:], rollout.obs_size
    targets = np.zeros((T, N))
    for n in range(N):
        for t in reversed(range(T)):
            value = later = last_value[s, n]
            if t < T - 1:
                value, later = float(q(torch.from_numpy(rollout.rows[s, t + 1, n, :D])).max()), targets[t + 1, n]
            if rollout.terminated[s, t, n]:
                value = later = 0.0
            elif rollout.ended[s, t, n]:
                value = later = float(rollout.final_value[s, t, n])
            targets[t, n] = rollout.reward[s, t, n] + gamma * ((1 - lam) * value + lam * later)
    return targets


def test_rollouts_are_learnt_as_one_seed_in_plain_torch_learns_them(match_env):
    config = {"n_steps": 6, "batch_size": 9, "n_epochs": 2, "net_arch": (8, 5), "gamma": 0.9, "q_lambda": 0.6}
    agent = PQN(lambda: match_env(length=4), seeds=2, n_envs=3, learning_rate=1e-2, max_grad_norm=1e9, **config)
    plain, real, orders = [Plain(agent, s) for s in range(2)], agent._update, []
    optimizers = [torch.optim.Adam(net.parameters(), 1e-2) for net in plain]
    returns, losses = agent._returns, [None, None]

    def targets(last_value):
        found = returns(last_value)
        for s in range(2):
            with torch.no_grad():
                expected = lambda_returns(plain[s], agent.rollout, last_value, s, 0.9, 0.6)
            np.testing.assert_allclose(found[s].view(6, 3), expected, rtol=1e-4, atol=1e-5)
        assert agent.rollout.ended.any()
        return found

    def update(rows, target):
        orders.append(rows)
        for s in range(2):
            optimizers[s].zero_grad()
            q = plain[s](rows[s, :, :-1])[torch.arange(rows.shape[1]), rows[s, :, -1].long()]
            losses[s] = 0.5 * torch.nn.functional.mse_loss(q, target[s])
            losses[s].backward()
            optimizers[s].step()
        return real(rows, target)

    agent._returns, agent._update = targets, update
    agent.learn(36)
    np.testing.assert_allclose(agent._metrics()["train/loss"], [loss.item() for loss in losses], rtol=1e-4)
    total, _ = pqn_loss(agent.q_net, orders[-1][..., :-1], orders[-1][..., -1:].long(), torch.zeros(2, 9))
    q = [plain[s](orders[-1][s, :, :-1]).gather(-1, orders[-1][s, :, -1:].long()) for s in range(2)]
    torch.testing.assert_close(total, 0.5 * sum(one.square().mean() for one in q), rtol=1e-3, atol=1e-5)
    assert len(orders) == 8  # two rollouts of 18 steps, two epochs, two batches
    for s in range(2):
        after = Plain(agent, s).state_dict()
        for name, parameter in plain[s].state_dict().items():
            torch.testing.assert_close(parameter, after[name], rtol=1e-3, atol=1e-5)


def test_each_epoch_sees_each_step_once_in_an_order_of_the_seeds_own(match_env):
    agent, seen = PQN(match_env, seeds=2, n_envs=2, **SMALL | {"batch_size": 5}), []
    agent._update = lambda rows, target: seen.append(target) or target
    agent._returns = lambda last_value: torch.arange(16.0).expand(2, 16)
    agent.learn(16)
    epochs = torch.cat(seen, 1).view(2, 2, 16)  # [S, epoch, M]
    assert [part.shape[1] for part in seen] == [5, 5, 5, 1] * 2
    assert torch.equal(epochs.sort(-1).values, torch.arange(16.0).expand(2, 2, 16))
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[0, 0], epochs[0, 1])


def test_hidden_layers_are_normalised():
    layers = [type(layer).__name__ for layer in normed_network(4, 2, net_arch=(8, 6))]
    assert layers == ["SeedLinear", "SeedLayerNorm", "ReLU"] * 2 + ["SeedLinear"]
    assert len(normed_network(4, 2, net_arch=())) == 1


def test_a_seed_takes_the_same_steps_alone_and_among_others():
    def actions(seeds, s):
        return PQN("CartPole-v1", seeds=seeds, n_envs=4, exploration_fraction=1.0, **SMALL).learn(96).rollout.rows[s]

    among, alone = actions(3, 2), actions([2], 0)
    np.testing.assert_allclose(among, alone, atol=1e-5)
    assert not np.array_equal(among, actions(3, 1))


def test_a_tiny_env_is_solved_and_a_file_keeps_all_that_was_learnt(match_env, tmp_path):
    agent = PQN(match_env, seeds=2, n_envs=8, gamma=0.5, **SMALL).learn(4_000)
    assert (evaluate(agent, match_env, episodes=5) == 10.0).all()
    agent.save(tmp_path / "agent")
    loaded = PQN.load(tmp_path / "agent", env=match_env)
    for name, array in agent.state_dict().items():
        assert torch.equal(array, loaded.state_dict()[name])
    assert loaded.learn(64, reset_num_timesteps=False).num_timesteps == agent.num_timesteps + 64


@pytest.mark.parametrize(("truncates", "worth"), [(False, [2.0, 10.0]), (True, [20.0, 19.0])])
def test_it_bootstraps_through_truncation_and_not_through_termination(stop_or_go, truncates, worth):
    options = SMALL | {"gamma": 0.9, "learning_rate": "lin_1e-2", "q_lambda": 0.3}
    agent = PQN(lambda: stop_or_go(truncates), seeds=2, n_envs=8, exploration_final_eps=0.02, **options).learn(12_000)
    q = agent.q_net.act(np.ones((2, 1, 1), np.float32))[:, 0]  # [S, A]
    np.testing.assert_allclose(q, [worth, worth], rtol=0.1)
    assert (q.argmax(-1) == np.argmax(worth)).all()


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"q_lambda": 1.1}, ValueError),
        ({"n_steps": 0}, ValueError),
        ({"n_epochs": 2.0}, TypeError),
        ({"batch_size": 0}, ValueError),
        ({"exploration_final_eps": -0.1}, ValueError),
        ({"max_grad_norm": 0.0}, ValueError),
        ({"normalize_reward": 1}, TypeError),
        ({"net_arch": (0,)}, ValueError),
    ],
)
def test_bad_arguments_are_refused_by_name(match_env, bad, error):
    with pytest.raises(error, match=next(iter(bad))):
        PQN(match_env, **bad)
