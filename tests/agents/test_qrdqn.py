"""QR-DQN: its loss against plain loops, what it acts by, and that it learns."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from agents.base.evaluation import evaluate
from agents.memory.replay import Batch
from agents.nn.mlp import MLP
from agents.qrdqn import QRDQN, measured, qrdqn_loss, risk_weights

CPU = torch.device("cpu")
SMALL = {"learning_rate": 5e-3, "learning_starts": 50, "train_freq": 1, "target_update_interval": 20, "net_arch": (16,)}
EXPLORING = {"exploration_fraction": 0.5, "exploration_final_eps": 0.1, "n_quantiles": 11}


# ---------------------------------------------------------------------------------------------------- numbers


def random_batch(S, B=6, D=4, A=3):
    draw = torch.Generator().manual_seed(0)
    return Batch(
        obs=torch.randn(S, B, D, generator=draw),
        next_obs=torch.randn(S, B, D, generator=draw),
        action=torch.randint(A, (S, B, 1), generator=draw),
        reward=3 * torch.randn(S, B, generator=draw),
        continues=torch.randint(2, (S, B), generator=draw).float(),
    )


def plain_loss(values, target_values, batch, s, risk, gamma, Q):
    """The loss of seed s in loops over transitions and pairs of quantiles."""

    def theta(weights, obs):
        hidden = torch.relu(obs @ weights["0.weight"][s] + weights["0.bias"][s, 0])
        return (hidden @ weights["1.weight"][s] + weights["1.bias"][s, 0]).view(-1, Q)  # [A, Q]

    total = 0.0
    for b in range(batch.obs.shape[1]):
        next_theta = theta(target_values, batch.next_obs[s, b])
        best = max(range(len(next_theta)), key=lambda a: float(torch.sort(next_theta[a]).values @ risk))
        mine = theta(values, batch.obs[s, b])[batch.action[s, b, 0]]
        for i in range(Q):
            for j in range(Q):
                aim = batch.reward[s, b] + gamma * batch.continues[s, b] * next_theta[best, j]
                size = (aim.detach() - mine[i]).abs()
                huber = 0.5 * size**2 if size < 1 else size - 0.5
                total = total + abs((i + 0.5) / Q - float(aim < mine[i])) * huber / Q
    return total / batch.obs.shape[1]


@pytest.mark.parametrize("risk", ["mean", "cvar_0.4", "quantile_0.7"])
def test_loss_and_gradient_are_those_of_the_formula_in_loops(risk):
    S, A, Q = 2, 3, 5
    net, target = MLP((4, 8, A * Q), range(S), CPU), MLP((4, 8, A * Q), range(S, 2 * S), CPU)
    weights, batch = torch.from_numpy(risk_weights(risk, Q)), random_batch(S)
    loss, each = qrdqn_loss(net, target, batch, weights, 0.9)
    loss.backward()
    leaves = {name: value.clone().requires_grad_() for name, value in net.values.items()}
    expected = [plain_loss(leaves, target.values, batch, s, weights, 0.9, Q) for s in range(S)]
    sum(expected).backward()
    torch.testing.assert_close(each.mean(1), torch.stack(expected).detach())
    for name, leaf in leaves.items():
        torch.testing.assert_close(net.grads[name], leaf.grad)


def test_measures_of_quantiles_are_their_mean_one_of_them_or_the_mean_of_the_lowest():
    theta = torch.tensor([[4.0, 1.0, 2.0, 3.0]])  # they may cross
    expected = {"mean": 2.5, "quantile_0.1": 1.0, "quantile_0.6": 3.0, "quantile_0.99": 4.0}
    expected |= {"cvar_0.5": 1.5, "cvar_0.25": 1.0, "cvar_0.1": 1.0}
    expected["cvar_0.375"] = (1.0 + 0.5 * 2.0) / 1.5
    for risk, value in expected.items():
        assert measured(theta, torch.from_numpy(risk_weights(risk, 4))).item() == pytest.approx(value), risk


class Gamble(gym.Env):
    """One state. Action 0 earns 10; action 1 earns 20 with probability 0.7, else -10: 11 on average."""

    observation_space = gym.spaces.Box(0.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.ones(1, np.float32), {}

    def step(self, action):
        won = self.np_random.random() < 0.7
        return np.ones(1, np.float32), (20.0 if won else -10.0) if action else 10.0, True, False, {}


@pytest.mark.parametrize(("risk", "choice"), [("mean", 1), ("quantile_0.2", 0), ("quantile_0.6", 1), ("cvar_0.5", 0)])
def test_a_gamble_is_taken_by_its_mean_and_left_by_its_bad_cases(risk, choice):
    options = SMALL | {"learning_rate": "lin_3e-2", "batch_size": 64, "exploration_final_eps": 0.5}
    agent = QRDQN(Gamble, seeds=2, n_quantiles=10, risk=risk, **options).learn(1_000)
    assert (agent.predict(np.ones((2, 1)), deterministic=True)[0] == choice).all()
    theta = agent.quantiles(np.ones((2, 1, 1), np.float32))[:, 0]  # [S, A, Q]
    np.testing.assert_allclose(theta[:, 0], 10.0, atol=1.0)
    np.testing.assert_allclose(theta[:, 1, [0, 1, 4, 5, 6, 7, 8, 9]], [[-10.0] * 2 + [20.0] * 6] * 2, atol=3.0)


# ----------------------------------------------------------------------------------------------------- learning


def test_a_seed_takes_the_same_200_steps_alone_and_among_others():
    def actions(seeds, s):
        settings = SMALL | {"exploration_initial_eps": 0.5, "exploration_fraction": 1.0, "n_quantiles": 7}
        return QRDQN("CartPole-v1", seeds=seeds, **settings).learn(200).replay.rows[s, :200, 8]

    among, alone = actions(4, 2), actions([2], 0)
    assert np.array_equal(among, alone)
    assert 0 < among.mean() < 1


def test_a_tiny_env_is_solved_and_a_file_keeps_all_that_was_learnt(match_env, tmp_path):
    agent = QRDQN(match_env, seeds=2, gamma=0.5, **SMALL, **EXPLORING).learn(1_000)
    assert (evaluate(agent, match_env, episodes=5) == 10.0).all()
    agent.save(tmp_path / "agent")
    loaded = QRDQN.load(tmp_path / "agent", env=match_env)
    for name, array in agent.state_dict().items():
        assert torch.equal(array, loaded.state_dict()[name])
    assert loaded.learn(100, reset_num_timesteps=False).num_timesteps == 1_100


@pytest.mark.parametrize(("truncates", "worth"), [(False, [2.0, 10.0]), (True, [20.0, 19.0])])
def test_it_bootstraps_through_truncation_and_not_through_termination(stop_or_go, truncates, worth):
    options = SMALL | EXPLORING | {"gamma": 0.9, "learning_rate": "lin_1e-2"}
    agent = QRDQN(lambda: stop_or_go(truncates), seeds=2, **options).learn(2_000)
    q = agent.quantiles(np.ones((2, 1, 1), np.float32))[:, 0].mean(-1)  # [S, A]
    np.testing.assert_allclose(q, [worth, worth], rtol=0.1)
    assert (q.argmax(-1) == np.argmax(worth)).all()


# ---------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"risk": "cvar"}, ValueError),
        ({"risk": "cvar_0"}, ValueError),
        ({"risk": "quantile_1.0"}, ValueError),
        ({"risk": "mean_0.5"}, ValueError),
        ({"risk": "var_0.1"}, ValueError),
        ({"risk": 0.1}, TypeError),
        ({"n_quantiles": 0}, ValueError),
        ({"n_quantiles": 2.0}, TypeError),
        ({"max_grad_norm": 0.0}, ValueError),
        ({"n_steps": 0}, ValueError),
    ],
)
def test_bad_arguments_are_refused_by_name(match_env, bad, error):
    with pytest.raises(error, match=next(iter(bad))):
        QRDQN(match_env, **bad)
