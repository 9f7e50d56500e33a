"""What DQN can do beside its plain form: each option against a plain reference, alone and all together."""

import dataclasses

import numpy as np
import pytest
import torch

from agents.base.evaluation import evaluate
from agents.common.schedules import exponential
from agents.dqn import COURSE, DQN, q_gradient
from agents.memory.replay import Batch
from agents.nn.dueling import Dueling
from agents.nn.fused.mlp import forward
from agents.nn.losses import LOSSES, masked_mse
from agents.nn.mlp import MLP

CPU = torch.device("cpu")
SMALL = {"learning_rate": 5e-3, "learning_starts": 50, "train_freq": 1, "target_update_interval": 20, "net_arch": (16,)}
OPTIONS = {
    "double_q": {"double_q": True},
    "dueling": {"dueling": True},
    "n_steps": {"n_steps": 3},
    "prioritized_replay": {"prioritized_replay": True},
    "without_replacement": {"replay_with_replacement": False},
    "without_target_network": {"target_network": False},
    "mse": {"loss": "mse"},
    "rmsprop": {"optimizer": "rmsprop", "learning_rate": 1e-3},
    "exponential": {"exploration": "exponential", "exploration_decay": 0.99},
}
TOGETHER = {
    "double_q": True,
    "dueling": True,
    "n_steps": 3,
    "prioritized_replay": True,
    "loss": "mse",
    "optimizer": "rmsprop",
    "learning_rate": 1e-3,
    "exploration": "exponential",
    "exploration_decay": 0.99,
}
COURSE_OPTIONS = {**dataclasses.asdict(COURSE), "net_arch": (16,), "learning_rate": 5e-3, "exploration_decay": 0.99}
ALL = {**OPTIONS, "together": TOGETHER, "course": COURSE_OPTIONS}
every_option = pytest.mark.parametrize("options", ALL.values(), ids=ALL)


def random_batch(S: int, B: int = 32, D: int = 4, A: int = 3, seed: int = 0, weighted: bool = False) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    return Batch(
        obs=torch.randn(S, B, D, generator=draw),
        next_obs=torch.randn(S, B, D, generator=draw),
        action=torch.randint(A, (S, B, 1), generator=draw),
        reward=3 * torch.randn(S, B, generator=draw),
        continues=torch.randint(2, (S, B), generator=draw).float(),
        weight=torch.rand(S, B, generator=draw) if weighted else None,
    )


def reference_q(values: dict[str, torch.Tensor], obs: torch.Tensor, dueling: bool) -> torch.Tensor:
    """Q values [S, B, A] in plain autograd, of two hidden layers."""

    def layer(name, x):
        return torch.einsum("sbi,sio->sbo", x, values[f"{name}.weight"]) + values[f"{name}.bias"]

    hidden = torch.relu(layer("1", torch.relu(layer("0", obs))))
    if not dueling:
        return layer("2", hidden)
    half = hidden.shape[-1] // 2
    advantage = layer("advantage", hidden[..., half:])
    return layer("value", hidden[..., :half]) + advantage - advantage.mean(-1, keepdim=True)


# ---------------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("S", [1, 3])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("double_q", [False, True])
@pytest.mark.parametrize("loss", ["huber", "mse"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_agrees_with_autograd_of_the_loss_written_plainly(S, dueling, double_q, loss, weighted):
    kind = Dueling if dueling else MLP
    net, target = kind((4, 8, 6, 3), range(S), CPU), kind((4, 8, 6, 3), range(S, 2 * S), CPU)
    batch = random_batch(S, weighted=weighted)
    error = q_gradient(batch, net, target, 0.9, LOSSES[loss], double_q)

    leaves = {name: value.clone().requires_grad_() for name, value in net.values.items()}
    next_q = reference_q(target.values, batch.next_obs, dueling)
    says = reference_q(net.values, batch.next_obs, dueling) if double_q else next_q
    aim = batch.reward + 0.9 * batch.continues * next_q.gather(-1, says.argmax(-1, keepdim=True))[..., 0]
    chosen = reference_q(leaves, batch.obs, dueling).gather(-1, batch.action)[..., 0]
    plain = {"huber": torch.nn.functional.smooth_l1_loss, "mse": torch.nn.functional.mse_loss}[loss]
    each = plain(chosen, aim, reduction="none")
    (each if batch.weight is None else each * batch.weight).mean(1).sum().backward()
    for name, leaf in leaves.items():
        torch.testing.assert_close(net.grads[name], leaf.grad)
    torch.testing.assert_close(error[..., 0], (chosen - aim).detach())
    torch.testing.assert_close(LOSSES[loss].value(error)[..., 0], each.detach())


def linear_net(weight: list[list[float]]) -> MLP:
    """Q(obs) = obs @ weight, of one seed."""
    net = MLP((len(weight), len(weight[0])), (0,), CPU)
    net.values["0.weight"].copy_(torch.tensor([weight]))
    net.values["0.bias"].zero_()
    return net


@pytest.mark.parametrize(("double_q", "target"), [(False, 1 + 0.5 * 7.0), (True, 1 + 0.5 * 2.0)])
def test_with_double_q_the_network_chooses_and_the_target_network_values(double_q, target):
    net, target_net = linear_net([[3.0, 4.0]]), linear_net([[7.0, 2.0]])  # the network prefers action 1
    one = torch.ones(1, 1, 1)
    batch = Batch(one, one, torch.zeros(1, 1, 1, dtype=torch.int64), torch.ones(1, 1), torch.ones(1, 1))
    assert q_gradient(batch, net, target_net, 0.5, double_q=double_q).item() == pytest.approx(3.0 - target)


def test_a_dueling_network_adds_the_advantages_less_their_mean_to_the_value():
    net = Dueling((1, 1, 3), (0,), CPU)
    numbers = {"0.weight": [[2.0, 3.0]], "0.bias": [[0.0, -1.0]], "value.weight": [[10.0]], "value.bias": [[1.0]]}
    numbers |= {"advantage.weight": [[1.0, 2.0, 6.0]], "advantage.bias": [[0.0, 0.0, 3.0]]}
    for name, value in numbers.items():
        net.values[name].copy_(torch.tensor([value]))
    expected = [[[16.0, 18.0, 29.0]]]  # hidden 2 and 2; value 21; advantages 2, 4 and 15, whose mean is 7
    assert net.cached(torch.ones(1, 1, 1))[-1].tolist() == expected
    assert net.act(np.ones((1, 1, 1), np.float32)).tolist() == expected


def test_a_dueling_network_acts_as_it_learns_and_draws_its_seed_alone_and_among_others_alike():
    obs = np.random.default_rng(0).standard_normal((3, 5, 4)).astype(np.float32)
    net, alone = Dueling((4, 8, 6, 3), (7, 2, 5), CPU), Dueling((4, 8, 6, 3), (2,), CPU)
    learns = net.cached(torch.from_numpy(obs))[-1].numpy()
    np.testing.assert_allclose(net.act(obs), learns, rtol=1e-5, atol=1e-6)
    for name, value in alone.values.items():
        assert torch.equal(net.values[name][1], value[0])


@pytest.mark.parametrize("S", [1, 3])
def test_the_masked_loss_is_the_gathered_one_divided_by_the_number_of_actions(S):
    net, batch, A = MLP((4, 8, 3), range(S), CPU), random_batch(S), 3
    error = q_gradient(batch, net, net, 0.9, LOSSES["mse"])
    with torch.no_grad():
        aim = forward(batch.obs, net.layers)[-1].gather(-1, batch.action) - error  # [S, B, 1]
    leaves = [(w.clone().requires_grad_(), b.clone().requires_grad_()) for w, b in net.layers]
    hidden = torch.relu(torch.baddbmm(leaves[0][1], batch.obs, leaves[0][0]))
    q = torch.baddbmm(leaves[1][1], hidden, leaves[1][0])
    mask = torch.nn.functional.one_hot(batch.action[..., 0], A)
    loss = masked_mse(q, mask, mask * aim)
    torch.testing.assert_close(loss * A, error.square().mean((1, 2)))
    loss.sum().backward()
    for layer, grads in zip(leaves, net.layer_grads, strict=True):
        for leaf, grad in zip(layer, grads, strict=True):
            torch.testing.assert_close(leaf.grad * A, grad)


# ------------------------------------------------------------------------------------------------- the seed axis


@every_option
def test_a_seed_takes_the_same_200_steps_alone_and_among_others(options):
    def actions(seeds, s):
        settings = SMALL | options | {"exploration_initial_eps": 0.5, "exploration_decay": 0.9, "learning_starts": 50}
        return DQN("CartPole-v1", seeds=seeds, **settings).learn(200).replay.rows[s, :200, 8]

    among, alone = actions(4, 2), actions([2], 0)
    assert np.array_equal(among, alone)
    assert 0 < among.mean() < 1


@every_option
def test_on_one_stream_of_batches_a_seeds_weights_agree_after_500_updates(options):
    def trained(seeds, s):
        # Few units and small steps: rounding must not decide whether a unit is on, or which action is best.
        agent = DQN("CartPole-v1", seeds=seeds, **options | {"max_grad_norm": 0.5, "net_arch": (16, 16)})
        for k in range(500):
            batch = random_batch(8, A=2, seed=k, weighted="prioritized_replay" in options)
            if s is not None:
                parts = dataclasses.asdict(batch).items()
                batch = Batch(**{name: None if part is None else part[s : s + 1] for name, part in parts})
            agent._update(batch, 1e-4)
            if k % 50 == 0:
                agent._update_target()
        return agent.q_net.values

    among, alone = trained(8, None), trained([3], 3)
    for name, value in alone.items():
        torch.testing.assert_close(among[name][3], value[0], rtol=1e-4, atol=1e-6)


# ----------------------------------------------------------------------------------------------------- learning


@every_option
def test_a_tiny_env_is_solved_and_a_file_keeps_all_that_was_learnt(match_env, options, tmp_path):
    agent = DQN(match_env, seeds=2, **{**SMALL, **options, "gamma": 0.5}).learn(1_000)
    assert (evaluate(agent, match_env, episodes=5) == 10.0).all()
    agent.save(tmp_path / "agent")
    loaded = DQN.load(tmp_path / "agent", env=match_env)
    assert (loaded.config, loaded.exploration_rate) == (agent.config, agent.exploration_rate)
    assert agent.state_dict().keys() == loaded.state_dict().keys()
    for name, array in agent.state_dict().items():
        assert torch.equal(array, loaded.state_dict()[name])
    assert loaded.learn(100, reset_num_timesteps=False).num_timesteps == 1_100


@pytest.mark.parametrize(("truncates", "worth"), [(False, [2.0, 10.0]), (True, [20.0, 19.0])])
def test_several_steps_bootstrap_through_truncation_and_not_through_termination(stop_or_go, truncates, worth):
    options = SMALL | {"gamma": 0.9, "exploration_initial_eps": 0.05, "learning_rate": "lin_1e-2", "n_steps": 3}
    agent = DQN(lambda: stop_or_go(truncates), seeds=2, **options).learn(2_000)
    q = agent.q_net.act(np.ones((2, 1, 1), np.float32))[:, 0]  # [S, A]
    # Three rewards in a row hold some of random actions, each of which costs at most 8: nearly the whole worth.
    np.testing.assert_allclose(q, [worth, worth], rtol=0.1)
    assert (q.argmax(-1) == np.argmax(worth)).all()


def test_without_a_target_network_the_network_itself_says_what_comes_next(match_env):
    agent = DQN(match_env, target_network=False, **SMALL)
    assert agent.q_net_target is agent.q_net
    assert not any("target" in name for name in agent.state_dict())
    before = agent.q_net.flat.clone()
    agent.learn(40)  # two updates of a target network, none of the network
    assert torch.equal(agent.q_net.flat, before)


def test_without_replacement_updates_begin_once_a_batch_is_stored(match_env):
    options = {"learning_starts": 0, "train_freq": 1, "batch_size": 32}
    assert DQN(match_env, replay_with_replacement=False, **options).learn(40).n_updates == 9
    assert DQN(match_env, **options).learn(40).n_updates == 40


def test_exploration_falls_exponentially_once_a_batch_is_stored():
    epsilon = exponential(1.0, 0.1, 0.5, begin=10)
    assert [epsilon(steps) for steps in (0, 10, 11, 12, 13, 14, 10_000)] == [1.0, 1.0, 0.5, 0.25, 0.125, 0.1, 0.1]


@pytest.mark.parametrize(("starts", "begin"), [(0, 32), (50, 50)])
def test_the_agent_explores_as_the_exponential_says(match_env, starts, begin):
    rates = []
    options = {"exploration": "exponential", "exploration_decay": 0.9, "learning_starts": starts, "batch_size": 32}
    DQN(match_env, **options).learn(60, callback=lambda agent: rates.append(agent.exploration_rate))
    expected = [max(0.05, 0.9 ** max(step - begin, 0)) for step in range(1, 61)]
    assert rates == pytest.approx(expected)


def test_rmsprop_takes_torchs_steps(match_env):
    options = {"optimizer": "rmsprop", "rms_prop_alpha": 0.9, "rms_prop_eps": 0.01, "max_grad_norm": 1e9}
    agent = DQN("CartPole-v1", **options)
    weight = torch.nn.Parameter(agent.q_net.flat.clone())
    reference = torch.optim.RMSprop([weight], lr=1e-3, alpha=0.9, eps=0.01)
    for k in range(5):
        batch = random_batch(1, A=2, seed=k)
        q_gradient(batch, agent.q_net, agent.q_net_target, 0.99)
        weight.grad = agent.q_net.grad.clone()
        reference.step()
        agent._update(batch, 1e-3)
        torch.testing.assert_close(agent.q_net.flat, weight.data, rtol=1e-5, atol=1e-7)


# ---------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"double_q": 1}, TypeError),
        ({"dueling": "yes"}, TypeError),
        ({"n_steps": 0}, ValueError),
        ({"n_steps": 2.0}, TypeError),
        ({"prioritized_replay": None}, TypeError),
        ({"prioritized_replay_alpha": 1.5}, ValueError),
        ({"prioritized_replay_beta0": -0.1}, ValueError),
        ({"prioritized_replay_eps": 0.0}, ValueError),
        ({"replay_with_replacement": 0}, TypeError),
        ({"target_network": 0}, TypeError),
        ({"loss": "l1"}, ValueError),
        ({"optimizer": "sgd"}, ValueError),
        ({"rms_prop_alpha": 2.0}, ValueError),
        ({"rms_prop_eps": 0.0}, ValueError),
        ({"exploration": ["linear"]}, ValueError),
        ({"exploration_decay": 0.0}, ValueError),
        ({"double_q": True, "target_network": False}, ValueError),
        ({"dueling": True, "net_arch": ()}, ValueError),
        ({"replay_with_replacement": False, "prioritized_replay": True}, ValueError),
        ({"buffer_size": 8, "replay_with_replacement": False}, ValueError),
    ],
)
def test_bad_arguments_are_refused_by_name(match_env, bad, error):
    with pytest.raises(error, match=next(iter(bad))):
        DQN(match_env, **bad)
