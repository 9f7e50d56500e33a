"""The course's DQN: its loss by hand, its parts, and that it learns."""

import numpy as np
import pytest
import torch

from agents.base.evaluation import evaluate
from agents.common.schedules import exponential
from agents.course_dqn import CourseDQN, MaskedMLP, course_loss
from agents.memory.deque_memory import DequeMemory, Transitions

CPU = torch.device("cpu")
SMALL = {"learning_rate": 5e-3, "net_arch": (16,), "exploration_decay": 0.99}
both_forms = pytest.mark.parametrize("target", [{}, {"target_update_interval": 20}], ids=["alone", "target network"])


def random_batch(S: int, B: int = 32, D: int = 4, A: int = 3, seed: int = 0) -> Transitions:
    draw = torch.Generator().manual_seed(seed)
    return Transitions(
        obs=torch.randn(S, B, D, generator=draw),
        action=torch.randint(A, (S, B), generator=draw),
        reward=3 * torch.randn(S, B, generator=draw),
        next_obs=torch.randn(S, B, D, generator=draw),
        done=torch.randint(2, (S, B), generator=draw).float(),
    )


def test_the_mask_multiplies_the_outputs_and_ones_change_nothing():
    net, batch = MaskedMLP((4, 8, 3), range(2), CPU), random_batch(2)
    mask = torch.nn.functional.one_hot(batch.action, 3)
    masked, whole = net(batch.obs, mask), net(batch.obs)
    assert torch.equal(masked, whole * mask)
    assert torch.equal(net(batch.obs, torch.ones_like(whole)), whole)
    np.testing.assert_allclose(net.act(batch.obs.numpy()), whole.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("S", [1, 3])
def test_the_loss_is_the_squared_error_of_the_action_taken_divided_by_the_number_of_actions(S):
    net, target_net = MaskedMLP((4, 8, 3), range(S), CPU), MaskedMLP((4, 8, 3), range(5, 5 + S), CPU)
    batch = random_batch(S)
    loss = course_loss(net, target_net, batch, 0.9)
    with torch.no_grad():
        aim = batch.reward + 0.9 * (1 - batch.done) * target_net(batch.next_obs).amax(-1)
    chosen = net(batch.obs).gather(-1, batch.action[..., None])[..., 0]
    torch.testing.assert_close(loss, (chosen - aim).square().mean(1) / 3)
    loss.sum().backward()
    taken = net.grad.clone()
    net.zero_grad()
    ((chosen - aim).square().mean(1) / 3).sum().backward()
    torch.testing.assert_close(net.grad, taken)


def test_rmsprop_takes_torchs_steps():
    agent = CourseDQN("CartPole-v1", learning_rate=1e-3)
    weight = torch.nn.Parameter(agent.q_net.flat.clone())
    reference = torch.optim.RMSprop([weight], lr=1e-3, alpha=0.95, eps=0.01)
    for k in range(5):
        agent.q_net.zero_grad()
        course_loss(agent.q_net, agent.q_net, random_batch(1, A=2, seed=k), 0.99).sum().backward()
        weight.grad = agent.q_net.grad.clone()
        reference.step()
        agent.optimizer.step(1e-3)
        torch.testing.assert_close(agent.q_net.flat, weight.data, rtol=1e-5, atol=1e-7)


def test_a_batch_repeats_no_transition_and_every_seed_draws_its_own():
    memory = DequeMemory(20, 2, 1)
    for k in range(30):
        obs = np.full((2, 1), k)
        memory.add(obs, np.full(2, k % 3), np.full(2, -k), obs + 1, np.full(2, k % 2 == 0))
    batch = memory.sample(20, [np.random.default_rng(seed) for seed in (0, 1)])
    for s in range(2):
        assert sorted(batch.obs[s, :, 0].tolist()) == list(range(10, 30))  # the last 20, each once
        assert torch.equal(batch.reward[s], -batch.obs[s, :, 0])
        assert torch.equal(batch.next_obs[s], batch.obs[s] + 1)
        assert torch.equal(batch.action[s], batch.obs[s, :, 0].long() % 3)
    assert not torch.equal(batch.obs[0], batch.obs[1])


def test_updates_begin_once_a_batch_is_stored(match_env):
    assert CourseDQN(match_env, batch_size=32).learn(40).n_updates == 9


def test_exploration_falls_exponentially_once_a_batch_is_stored(match_env):
    epsilon = exponential(1.0, 0.1, 0.5, begin=10)
    assert [epsilon(steps) for steps in (0, 10, 11, 12, 13, 14, 10_000)] == [1.0, 1.0, 0.5, 0.25, 0.125, 0.1, 0.1]
    rates = []
    agent = CourseDQN(match_env, exploration_decay=0.9, batch_size=32)
    agent.learn(60, callback=lambda agent: rates.append(agent.exploration_rate))
    assert rates == pytest.approx([max(0.05, 0.9 ** max(step - 32, 0)) for step in range(1, 61)])


def test_without_a_target_network_the_network_itself_values_what_comes_next(match_env):
    agent = CourseDQN(match_env)
    assert agent.q_net_target is agent.q_net
    assert not any("target" in name for name in agent.state_dict())


def test_the_target_network_is_copied_at_its_interval_only(match_env):
    agent, copied = CourseDQN(match_env, target_update_interval=10, batch_size=4), []
    agent.learn(45, callback=lambda agent: copied.append(torch.equal(agent.q_net.flat, agent.q_net_target.flat)))
    assert [step for step, same in enumerate(copied, 1) if same] == [1, 2, 3, 10, 20, 30, 40]


@both_forms
def test_a_seed_takes_the_same_200_steps_alone_and_among_others(target):
    def actions(seeds, s):
        agent = CourseDQN("CartPole-v1", seeds=seeds, exploration_initial_eps=0.5, **SMALL | target).learn(200)
        return np.array([row.action[s] for row in agent.replay.memory])

    among, alone = actions(4, 2), actions([2], 0)
    assert np.array_equal(among, alone)
    assert 0 < among.mean() < 1


@both_forms
def test_a_tiny_env_is_solved_and_a_file_keeps_all_that_was_learnt(match_env, target, tmp_path):
    agent = CourseDQN(match_env, seeds=2, gamma=0.5, **SMALL | target).learn(1_000)
    assert (evaluate(agent, match_env, episodes=5) == 10.0).all()
    agent.save(tmp_path / "agent", training=True)
    loaded = CourseDQN.load(tmp_path / "agent", env=match_env)
    assert all(map(np.array_equal, agent.replay.get_state().values(), loaded.replay.get_state().values()))
    for name, array in agent.state_dict().items():
        assert torch.equal(array, loaded.state_dict()[name])


@pytest.mark.parametrize(("truncates", "best", "worth"), [(False, 1, [2.0, 10.0]), (True, 0, [20.0, 19.0])])
def test_truncation_bootstraps_and_termination_does_not(stop_or_go, truncates, best, worth):
    options = {"gamma": 0.9, "exploration_final_eps": 0.5, "learning_rate": "lin_1e-2", "net_arch": (16,)}
    agent = CourseDQN(lambda: stop_or_go(truncates), seeds=2, target_update_interval=20, **options).learn(3_000)
    q = agent.q_net.act(np.ones((2, 1, 1), np.float32))[:, 0]  # [S, A]
    np.testing.assert_allclose(q, [worth, worth], rtol=0.03)
    assert (q.argmax(-1) == best).all()


def test_a_memory_that_does_not_fit_is_refused():
    state = DequeMemory(20, 2, 1).get_state() | {"obs": np.zeros((2, 0, 4), np.float32)}
    with pytest.raises(ValueError, match=r"obs must have shape \(2, 0, 1\)"):
        DequeMemory(20, 2, 1).set_state(state)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"learning_rate": 0.0}, ValueError),
        ({"batch_size": 0}, ValueError),
        ({"buffer_size": 8}, ValueError),
        ({"target_update_interval": -1}, ValueError),
        ({"exploration_decay": 0.0}, ValueError),
        ({"rms_prop_alpha": 2.0}, ValueError),
        ({"rms_prop_eps": 0.0}, ValueError),
        ({"net_arch": 64}, TypeError),
    ],
)
def test_bad_arguments_are_refused_by_name(match_env, bad, error):
    with pytest.raises(error, match=next(iter(bad))):
        CourseDQN(match_env, **bad)
