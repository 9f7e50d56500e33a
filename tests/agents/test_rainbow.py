"""Rainbow: its loss against a plain reference, and that it learns."""

import numpy as np
import pytest
import torch

from agents.base.evaluation import evaluate
from agents.memory.replay import Batch
from agents.nn.dueling import Dueling
from agents.rainbow import Rainbow, rainbow_loss

CPU = torch.device("cpu")
SMALL = {"learning_rate": 5e-3, "learning_starts": 50, "train_freq": 1, "target_update_interval": 20, "net_arch": (16,)}


def random_batch(S: int, B: int = 32, D: int = 4, A: int = 3, seed: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    return Batch(
        obs=torch.randn(S, B, D, generator=draw),
        next_obs=torch.randn(S, B, D, generator=draw),
        action=torch.randint(A, (S, B, 1), generator=draw),
        reward=3 * torch.randn(S, B, generator=draw),
        continues=torch.randint(2, (S, B), generator=draw).float(),
    )


def reference_q(values: dict[str, torch.Tensor], obs: torch.Tensor) -> torch.Tensor:
    """Q values [S, B, A] in plain operations, of two hidden layers."""

    def layer(name, x):
        return torch.einsum("sbi,sio->sbo", x, values[f"{name}.weight"]) + values[f"{name}.bias"]

    hidden = torch.relu(layer("1", torch.relu(layer("0", obs))))
    half = hidden.shape[-1] // 2
    advantage = layer("advantage", hidden[..., half:])
    return layer("value", hidden[..., :half]) + advantage - advantage.mean(-1, keepdim=True)


# ---------------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("S", [1, 3])
def test_the_gradient_is_that_of_the_loss_written_plainly(S):
    net, target = Dueling((4, 8, 6, 3), range(S), CPU), Dueling((4, 8, 6, 3), range(S, 2 * S), CPU)
    batch, weight = random_batch(S), torch.rand(S, 32, generator=torch.Generator().manual_seed(1))
    loss, error = rainbow_loss(net, target, batch, weight, 0.9)
    loss.backward()
    leaves = {name: value.clone().requires_grad_() for name, value in net.values.items()}
    best = reference_q(net.values, batch.next_obs).argmax(-1, keepdim=True)
    next_value = reference_q(target.values, batch.next_obs).gather(-1, best)[..., 0]
    aim = batch.reward + 0.9 * batch.continues * next_value
    chosen = reference_q(leaves, batch.obs).gather(-1, batch.action)[..., 0]
    expected = (weight * torch.nn.functional.smooth_l1_loss(chosen, aim, reduction="none")).mean(1).sum()
    expected.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(error, (chosen - aim).detach())
    for name, leaf in leaves.items():
        torch.testing.assert_close(net.grads[name], leaf.grad)


def prefers(advantage: list[float]) -> Dueling:
    """A network of one seed whose values are these numbers, whose mean is 0, at every observation."""
    net = Dueling((1, 1, len(advantage)), (0,), CPU)
    net.flat.zero_()
    net.values["advantage.bias"].copy_(torch.tensor([[advantage]]))
    return net


def test_the_network_chooses_the_next_action_and_the_target_network_values_it():
    one = torch.ones(1, 1, 1)
    batch = Batch(one, one, torch.zeros(1, 1, 1, dtype=torch.int64), torch.ones(1, 1), torch.ones(1, 1))
    _, error = rainbow_loss(prefers([-3.0, 3.0]), prefers([2.0, -2.0]), batch, torch.ones(1, 1), 0.5)
    assert error.item() == pytest.approx(-3.0 - (1.0 + 0.5 * -2.0))  # not 0.5 * 2, the target network's best


def test_a_dueling_network_adds_the_advantages_less_their_mean_to_the_value():
    net = Dueling((1, 1, 3), (0,), CPU)
    numbers = {"0.weight": [[2.0, 3.0]], "0.bias": [[0.0, -1.0]], "value.weight": [[10.0]], "value.bias": [[1.0]]}
    numbers |= {"advantage.weight": [[1.0, 2.0, 6.0]], "advantage.bias": [[0.0, 0.0, 3.0]]}
    for name, value in numbers.items():
        net.values[name].copy_(torch.tensor([value]))
    expected = [[[16.0, 18.0, 29.0]]]  # hidden 2 and 2; value 21; advantages 2, 4 and 15, whose mean is 7
    assert net(torch.ones(1, 1, 1)).tolist() == expected
    assert net.act(np.ones((1, 1, 1), np.float32)).tolist() == expected


def test_a_dueling_network_acts_as_it_learns_and_draws_its_seed_alone_and_among_others_alike():
    obs = np.random.default_rng(0).standard_normal((3, 5, 4)).astype(np.float32)
    net, alone = Dueling((4, 8, 6, 3), (7, 2, 5), CPU), Dueling((4, 8, 6, 3), (2,), CPU)
    np.testing.assert_allclose(net.act(obs), net(torch.from_numpy(obs)).detach(), rtol=1e-5, atol=1e-6)
    for name, value in alone.values.items():
        assert torch.equal(net.values[name][1], value[0])


# ------------------------------------------------------------------------------------------------- the seed axis


def test_a_seed_takes_the_same_200_steps_alone_and_among_others():
    def actions(seeds, s):
        settings = SMALL | {"exploration_initial_eps": 0.5}
        return Rainbow("CartPole-v1", seeds=seeds, **settings).learn(200).replay.rows[s, :200, 8]

    among, alone = actions(4, 2), actions([2], 0)
    assert np.array_equal(among, alone)
    assert 0 < among.mean() < 1


# ----------------------------------------------------------------------------------------------------- learning


def test_a_tiny_env_is_solved_and_a_file_keeps_all_that_was_learnt(match_env, tmp_path):
    agent = Rainbow(match_env, seeds=2, gamma=0.5, **SMALL).learn(1_000)
    assert (evaluate(agent, match_env, episodes=5) == 10.0).all()
    agent.save(tmp_path / "agent")
    loaded = Rainbow.load(tmp_path / "agent", env=match_env)
    for name, array in agent.state_dict().items():
        assert torch.equal(array, loaded.state_dict()[name])
    assert loaded.learn(100, reset_num_timesteps=False).num_timesteps == 1_100


@pytest.mark.parametrize(("truncates", "worth"), [(False, [2.0, 10.0]), (True, [20.0, 19.0])])
def test_several_steps_bootstrap_through_truncation_and_not_through_termination(stop_or_go, truncates, worth):
    options = SMALL | {"gamma": 0.9, "exploration_initial_eps": 0.05, "learning_rate": "lin_1e-2", "n_steps": 3}
    agent = Rainbow(lambda: stop_or_go(truncates), seeds=2, **options).learn(2_000)
    q = agent.q_net.act(np.ones((2, 1, 1), np.float32))[:, 0]  # [S, A]
    # Three rewards in a row hold some of random actions, each of which costs at most 8: nearly the whole worth.
    np.testing.assert_allclose(q, [worth, worth], rtol=0.1)
    assert (q.argmax(-1) == np.argmax(worth)).all()


# ---------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"n_steps": 0}, ValueError),
        ({"n_steps": 2.0}, TypeError),
        ({"prioritized_replay_alpha": 1.5}, ValueError),
        ({"prioritized_replay_beta0": -0.1}, ValueError),
        ({"prioritized_replay_eps": 0.0}, ValueError),
        ({"net_arch": ()}, ValueError),
        ({"gradient_steps": 0}, ValueError),
    ],
)
def test_bad_arguments_are_refused_by_name(match_env, bad, error):
    with pytest.raises(error, match=next(iter(bad))):
        Rainbow(match_env, **bad)
