import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from agents import A2C, DQN, PPO
from agents.memory.replay import Batch
from benchmarks.speed import products
from benchmarks.speed.agents import agent_chunk
from benchmarks.speed.products import Pass, Products, actor_critic_passes, alone, dqn_passes, flops_per_step

S = 3


def counted(update) -> int:
    """Floating-point operations of an update by autograd, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        update()
    return counter.get_total_flops()


def learning(passes: list[Pass], *names: str) -> int:
    return S * sum(each.flops for each in passes if each.name in names)


def test_operations_of_a_pass_by_hand():
    forward, both = (Pass("it", (3, 4, 2), 5, 10.0, backward) for backward in (False, True))
    assert forward.flops == 2 * 5 * (3 * 4 + 4 * 2)
    assert both.flops == 200 + 200 + 2 * 5 * 4 * 2  # the first layer's inputs need no gradient
    assert flops_per_step([forward, both]) == 20.0 + 48.0


def test_an_update_of_dqn_has_the_operations_that_torch_counts():
    agent = DQN("CartPole-v1", seeds=S, fused=False, net_arch=(16, 8), batch_size=6, train_freq=3, gradient_steps=2)
    passes = dqn_passes(agent)
    reward = torch.zeros(S, 6)
    batch = Batch(torch.zeros(S, 6, 4), torch.zeros(S, 6, 4), torch.zeros(S, 6, 1, dtype=torch.int64), reward, reward)
    assert counted(lambda: agent._update(batch, 1e-3)) == learning(passes, "target", "learn")
    assert [each.every for each in passes] == [1, 1.5, 1.5]


def test_an_update_of_a2c_has_the_operations_that_torch_counts():
    agent = A2C("CartPole-v1", seeds=S, n_envs=2, n_steps=5, fused=False, net_arch=(16, 8))
    rows, zeros = torch.zeros(S, 10, 5), torch.zeros(S, 10)
    passes = actor_critic_passes(agent)
    assert counted(lambda: agent._update(rows, zeros, zeros)) == learning(passes, "learn, policy", "learn, critic")
    assert [(each.batch, each.every) for each in passes] == [(2, 2), (12, 10), (10, 10), (10, 10)]


def test_an_update_of_ppo_has_the_operations_that_torch_counts():
    agent = PPO("CartPole-v1", seeds=S, n_envs=2, n_steps=10, batch_size=5, n_epochs=4, fused=False, net_arch=(16,))
    rows, index = torch.zeros(S, 20, 9), np.arange(5)[None].repeat(S, 0)
    passes = actor_critic_passes(agent)
    update = counted(lambda: agent._update(rows, index, np.ones(S, bool)))
    assert update == learning(passes, "learn, policy", "learn, critic")
    assert [(each.batch, each.every) for each in passes] == [(2, 2), (22, 20), (5, 1.25), (5, 1.25)]


@pytest.mark.parametrize("way", [0, 1, 2])
def test_each_way_computes_the_products_of_a_pass(way):
    made = Products(Pass("it", (5, 4, 3), 6, 1.0, backward=True), S)
    made.ways(2)[way]()
    x, d, (first, second) = made._values, made._grads, (weight for weight, _ in made._net.layers)
    torch.testing.assert_close(x[1], x[0] @ first)
    torch.testing.assert_close(x[2], x[1] @ second)
    torch.testing.assert_close(made._net.grads["1.weight"], x[1].mT @ d[2])
    torch.testing.assert_close(d[1], d[2] @ second.mT)
    torch.testing.assert_close(made._net.grads["0.weight"], x[0].mT @ d[1])


def test_the_products_of_whole_cycles_of_all_seeds_are_computed(monkeypatch):
    times = []
    monkeypatch.setattr(products, "fastest", lambda made, n: times.append(n) or (lambda: None))
    steps = alone([Pass("act", (3, 2), 4, 4.0), Pass("learn", (3, 2), 8, 16.0)], 32)()
    assert times == [8, 2]  # two updates, and the steps from one to the next
    assert steps == 32 * 32


def test_a_memory_does_not_grow_while_a_training_is_timed():
    agent = DQN("CartPole-v1", seeds=2, buffer_size=500, learning_starts=50)
    chunk = agent_chunk(agent, 40)
    rows = agent.replay.rows
    assert agent.replay.size == agent.replay.capacity == 500
    assert np.array_equal(rows[:, 200:400], rows[:, :200])
    assert chunk() == 80
    assert agent.replay.rows is rows
    assert agent.replay.position == 40
