import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.evaluation import evaluate_policy

from agents.base.evaluation import evaluate
from agents.dqn import DQN, DQNConfig, dqn_loss
from agents.envs.seed_envs import env_seeds
from agents.memory.replay import Batch
from agents.nn.adam import Adam
from agents.nn.fused.td_error import td_step
from agents.nn.mlp import MLP

CPU = torch.device("cpu")
ARRAYS = ("obs", "next_obs", "action", "reward", "continues")
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


def row(batch: Batch, s: int) -> Batch:
    return Batch(*(getattr(batch, name)[s : s + 1] for name in ARRAYS))


# ------------------------------------------------------------------------------------------------ numbers


def by_definition(net: MLP, target: MLP, batch: Batch, gamma: float) -> torch.Tensor:
    """The errors, once autograd has written the gradient."""
    net.zero_grad()
    loss, error = dqn_loss(net, target, batch, gamma)
    loss.backward()
    return error


def by_hand(net: MLP, target: MLP, batch: Batch, gamma: float) -> torch.Tensor:
    """The errors, once the gradient is written by hand; the step is 0."""
    return td_step(net, target, Adam(net, 10.0).for_kernels(0.0), batch, gamma)[..., 0]


@pytest.mark.parametrize("form", [by_definition, by_hand])
def test_errors_and_loss_by_a_plain_numpy_reference(form):
    net, target = MLP((4, 8, 3), (0,), CPU), MLP((4, 8, 3), (1,), CPU)
    batch = random_batch(1)

    def q(network: MLP, obs: torch.Tensor) -> np.ndarray:
        (w1, b1), (w2, b2) = [(w[0].numpy().astype(float), b[0].numpy().astype(float)) for w, b in network.layers]
        return np.maximum(obs[0].numpy() @ w1 + b1, 0) @ w2 + b2

    reward, continues = batch.reward[0].numpy(), batch.continues[0].numpy()
    aim = reward + 0.9 * continues * q(target, batch.next_obs).max(1)
    expected = q(net, batch.obs)[np.arange(32), batch.action[0, :, 0]] - aim
    np.testing.assert_allclose(form(net, target, batch, 0.9)[0], expected, rtol=1e-4, atol=1e-5)
    loss = np.where(np.abs(expected) < 1, expected**2 / 2, np.abs(expected) - 0.5).mean()
    assert dqn_loss(net, target, batch, 0.9)[0].item() == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("form", [by_definition, by_hand])
@pytest.mark.parametrize("S", [1, 3])
def test_the_gradient_is_that_of_huber_mean_over_batch_and_sum_over_seeds(S, form):
    net, target = MLP((4, 8, 8, 3), range(S), CPU), MLP((4, 8, 8, 3), range(S, 2 * S), CPU)
    batch = random_batch(S)
    form(net, target, batch, 0.9)
    leaves = {name: value.clone().requires_grad_() for name, value in net.values.items()}
    hidden = batch.obs
    for i in range(3):
        hidden = torch.baddbmm(leaves[f"{i}.bias"], torch.relu(hidden) if i else hidden, leaves[f"{i}.weight"])
    best = target(batch.next_obs).detach().amax(-1)
    aim = batch.reward + 0.9 * batch.continues * best
    chosen = hidden.gather(-1, batch.action)[..., 0]
    torch.nn.functional.smooth_l1_loss(chosen, aim, reduction="none").mean(1).sum().backward()
    for name, leaf in leaves.items():
        torch.testing.assert_close(net.grads[name], leaf.grad)


@pytest.mark.parametrize("form", [by_definition, by_hand])
def test_the_gradient_is_zero_where_the_prediction_is_right(form):
    net = MLP((4, 8, 3), (0,), CPU)
    batch = random_batch(1)
    q = net(batch.obs).detach().gather(-1, batch.action)[..., 0]
    right = Batch(batch.obs, batch.next_obs, batch.action, q, torch.zeros(1, 32))
    form(net, net, right, 0.9)
    assert net.grad.abs().max() < 1e-6


@pytest.mark.parametrize("S", [1, 4])
def test_after_50_updates_the_fused_form_has_the_weights_of_the_definition(S):
    agents = [DQN("CartPole-v1", seeds=S, net_arch=(16, 16), fused=fused) for fused in (True, False)]
    for k in range(50):
        batch = random_batch(S, A=2, seed=k)
        errors = [agent._update(batch, 1e-3) for agent in agents]
        torch.testing.assert_close(*errors, rtol=1e-5, atol=1e-6)
        for agent in agents * (k % 10 == 0):
            agent._update_target()
    torch.testing.assert_close(*(agent.q_net.flat for agent in agents), rtol=0, atol=1e-6)


def test_the_fused_form_is_used_by_itself_and_not_if_it_is_switched_off(monkeypatch, match_env):
    used = []
    monkeypatch.setattr("agents.dqn.td_step", lambda *args: used.append(1) or td_step(*args))
    DQN(match_env, fused=False, **SMALL).learn(60)
    assert not used
    DQN(match_env, **SMALL).learn(60)
    assert len(used) == 10


# ----------------------------------------------------------------------------------------------- seed axis


def test_a_seed_takes_the_same_200_steps_alone_and_among_others():
    def actions(seeds, s):
        agent = DQN("CartPole-v1", seeds=seeds, **SMALL | {"exploration_initial_eps": 0.3}).learn(200)
        return agent.replay.rows[s, :200, 8]

    among, alone = actions(4, 2), actions([2], 0)
    assert np.array_equal(among, alone)
    assert 0 < among.mean() < 1


def test_on_one_stream_of_batches_a_seeds_weights_agree_after_500_updates():
    def trained(seeds, rows):
        agent = DQN("CartPole-v1", seeds=seeds, max_grad_norm=0.5)
        for k in range(500):
            batch = random_batch(8, A=2, seed=k)
            agent._update(row(batch, rows) if rows is not None else batch, 1e-3)
            if k % 50 == 0:
                agent._update_target()
        return agent.q_net.values

    among, alone = trained(8, None), trained([3], 3)
    for name, value in alone.items():
        torch.testing.assert_close(among[name][3], value[0], rtol=1e-4, atol=1e-6)


def test_training_twice_gives_the_same_weights_bit_for_bit():
    first, second = (DQN("CartPole-v1", seeds=2, **SMALL).learn(300).q_net.flat for _ in range(2))
    assert torch.equal(first, second)


def test_seeds_differ(match_env):
    agent = DQN(match_env, seeds=2, **SMALL).learn(100)
    assert not torch.equal(agent.q_net.values["0.weight"][0], agent.q_net.values["0.weight"][1])
    assert not np.array_equal(agent.replay.rows[0], agent.replay.rows[1])


# ------------------------------------------------------------------------------------------------ learning


@pytest.mark.parametrize(("truncates", "best", "worth"), [(False, 1, [2.0, 10.0]), (True, 0, [20.0, 19.0])])
def test_truncation_bootstraps_and_termination_does_not(stop_or_go, truncates, best, worth):
    options = SMALL | {"gamma": 0.9, "exploration_final_eps": 0.5, "learning_rate": "lin_1e-2"}
    agent = DQN(lambda: stop_or_go(truncates), seeds=2, **options).learn(2_000)
    q = agent.q_net.act(np.ones((2, 1, 1), np.float32))[:, 0]  # [S, A]
    np.testing.assert_allclose(q, [worth, worth], rtol=0.03)
    assert (agent.predict(np.ones((2, 1)), deterministic=True)[0] == best).all()


@pytest.mark.parametrize(("truncates", "worth"), [(False, [2.0, 10.0]), (True, [20.0, 19.0])])
def test_several_steps_bootstrap_through_truncation_and_not_through_termination(stop_or_go, truncates, worth):
    options = SMALL | {"gamma": 0.9, "exploration_initial_eps": 0.05, "learning_rate": "lin_1e-2", "n_steps": 3}
    agent = DQN(lambda: stop_or_go(truncates), seeds=2, **options).learn(2_000)
    q = agent.q_net.act(np.ones((2, 1, 1), np.float32))[:, 0]  # [S, A]
    # Three rewards in a row hold some of random actions, each of which costs at most 8: nearly the whole worth.
    np.testing.assert_allclose(q, [worth, worth], rtol=0.1)
    assert (q.argmax(-1) == np.argmax(worth)).all()


@pytest.mark.parametrize(
    ("env_options", "n_envs"), [({}, 1), ({"start": 5}, 1), ({"start": -1, "shape": (3, 1)}, 2), ({"n": 5}, 4)]
)
def test_a_tiny_env_is_solved(match_env, env_options, n_envs):
    def make():
        return match_env(**env_options)

    agent = DQN(make, seeds=3, n_envs=n_envs, gamma=0.5, **SMALL).learn(1_500 * n_envs)
    assert (evaluate(agent, make, episodes=5) == 10.0).all()


def test_the_target_network_moves_a_part_of_the_way(match_env):
    agent = DQN(match_env, tau=0.25, target_update_interval=10)
    before, goal = agent.q_net_target.flat.clone(), torch.randn_like(agent.q_net.flat)
    agent.q_net.flat.copy_(goal)
    agent.learn(10)
    torch.testing.assert_close(agent.q_net_target.flat, 0.75 * before + 0.25 * goal)


def test_polyak_averaging_learns_too(match_env):
    options = SMALL | {"tau": 0.05, "target_update_interval": 1}
    agent = DQN(match_env, gamma=0.5, **options).learn(1_500)
    assert (evaluate(agent, match_env, episodes=5) == 10.0).all()


# -------------------------------------------------------------------------------------------------- the loop


def test_updates_happen_when_they_should(match_env):
    agent = DQN(match_env, learning_starts=20, train_freq=5, gradient_steps=3).learn(50)
    assert agent.n_updates == 3 * len([step for step in range(1, 51) if step > 20 and step % 5 == 0])
    agent = DQN(match_env, learning_starts=20, train_freq=5, gradient_steps=-1, n_envs=2).learn(60)
    assert agent.n_updates == 10 * 4  # at 30, 40, 50, 60
    assert agent.num_timesteps == 60


def test_the_target_network_is_copied_at_its_interval_only(match_env):
    options = SMALL | {"target_update_interval": 30, "learning_starts": 0}
    copies = []

    def watch(agent):
        copies.append(torch.equal(agent.q_net.flat, agent.q_net_target.flat))

    DQN(match_env, **options).learn(65, callback=watch)
    # the copy precedes the update of the same step, so the networks are never equal after a step
    agent = DQN(match_env, **options)
    before = agent.q_net_target.flat.clone()
    agent.learn(29)
    assert torch.equal(agent.q_net_target.flat, before)
    agent.learn(1, reset_num_timesteps=False)
    assert not torch.equal(agent.q_net_target.flat, before)
    assert not any(copies)


def test_exploration_falls_from_one_to_its_end_and_starts_with_random_steps(match_env):
    rates = []
    agent = DQN(match_env, learning_starts=40, exploration_fraction=0.5, exploration_final_eps=0.2)
    agent.learn(100, callback=lambda agent: rates.append(agent.exploration_rate))
    assert rates[24] == pytest.approx(0.6)
    assert rates[49:] == pytest.approx([0.2] * 51)
    never = DQN(match_env, learning_starts=200, exploration_initial_eps=0.0, exploration_final_eps=0.0).learn(200)
    assert len(set(never.replay.rows[0, :150, 6])) == 3


def test_a_callback_can_stop_training(match_env):
    agent = DQN(match_env).learn(1_000, callback=lambda agent: agent.num_timesteps < 7)
    assert agent.num_timesteps == 7


def test_learning_goes_on_or_begins_anew_as_asked(match_env):
    agent = DQN(match_env, **SMALL).learn(60)
    assert agent.learn(40, reset_num_timesteps=False).num_timesteps == 100
    assert agent.replay.size == 100
    assert agent.learn(30).num_timesteps == 30
    assert agent.replay.size == 130


def test_torchs_threads_are_as_before_after_learning(match_env):
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(3)
    try:
        for threads in (1, None):
            DQN(match_env, threads=threads).learn(1, callback=lambda agent: seen.append(torch.get_num_threads()))
        assert seen == [1, 3]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


# ------------------------------------------------------------------------------------------------ interface


def test_predict_has_sb3s_shapes_for_one_seed(match_env):
    agent = DQN(lambda: match_env(start=5))
    single, state = agent.predict(np.zeros(3), state=None, episode_start=None, deterministic=True)
    batch, _ = agent.predict(np.zeros((4, 3)), deterministic=True)
    assert (single.shape, batch.shape, state) == ((), (4,), None)
    assert single in agent._envs.vector_env.single_action_space
    for bad in (np.zeros(2), np.zeros((4, 2)), np.zeros((1, 4, 3))):
        with pytest.raises(ValueError, match=r"observation must have shape \(3,\) or"):
            agent.predict(bad)


def test_predict_has_a_leading_seed_axis_for_several(match_env):
    agent = DQN(lambda: match_env(shape=(3, 1)), seeds=2)
    assert agent.predict(np.zeros((2, 3, 1)))[0].shape == (2,)
    assert agent.predict(np.zeros((2, 7, 3, 1)))[0].shape == (2, 7)
    for bad in (np.zeros((3, 1)), np.zeros((3, 3, 1)), np.zeros((3, 7, 3, 1))):
        with pytest.raises(ValueError, match="observation must have shape"):
            agent.predict(bad)


def test_predict_explores_at_the_present_rate_unless_deterministic(match_env):
    agent = DQN(match_env)
    agent.exploration_rate = 0.6
    obs = np.zeros((3_000, 3))
    greedy = agent.predict(obs, deterministic=True)[0]
    assert len(set(greedy)) == 1
    other = (agent.predict(obs)[0] != greedy).mean()
    assert other == pytest.approx(0.6 * 2 / 3, abs=0.03)


def test_one_seed_of_several_is_an_agent_of_its_own(match_env):
    agent = DQN(match_env, seeds=[4, 8, 6], **SMALL).learn(200)
    obs = np.random.default_rng(0).random((3, 50, 3))
    together = agent.predict(obs, deterministic=True)[0]
    for s in range(3):
        assert np.array_equal(agent[s].predict(obs[s], deterministic=True)[0], together[s])
    assert [single.seeds for single in agent] == [(4,), (8,), (6,)]
    assert agent[-1].seeds == (6,)
    with pytest.raises(IndexError):
        agent[3]
    weights = agent.q_net.flat.clone()
    agent[1].learn(100)
    assert torch.equal(agent.q_net.flat, weights)


def test_sb3s_evaluate_policy_runs_on_one_seed(match_env):
    agent = DQN(lambda: match_env(start=2), seeds=2, gamma=0.5, **SMALL).learn(1_500)
    mean, std = evaluate_policy(agent[1], match_env(start=2), n_eval_episodes=5, warn=False)
    assert (mean, std) == (10.0, 0.0)


class OfRandomLength(gym.Env):
    """Each step earns 1, and an episode has a random number of them."""

    observation_space = gym.spaces.Box(0.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = int(self.np_random.integers(1, 20))
        return np.zeros(1, np.float32), {"length": self.left}

    def step(self, action):
        self.left -= 1
        return np.zeros(1, np.float32), 1.0, self.left == 0, False, {}


def test_evaluation_counts_one_episode_of_every_env_and_no_more():
    returns = evaluate(DQN(OfRandomLength, seeds=[4, 2]), OfRandomLength, episodes=5)
    seeds = [env_seeds(seed, 5, "evaluate") for seed in (4, 2)]
    lengths = [[OfRandomLength().reset(seed=word)[1]["length"] for word in words] for words in seeds]
    assert returns.tolist() == lengths


# ------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"learning_rate": 0.0}, ValueError),
        ({"learning_rate": "fast"}, ValueError),
        ({"buffer_size": 0}, ValueError),
        ({"learning_starts": -1}, ValueError),
        ({"batch_size": 0}, ValueError),
        ({"batch_size": 3.0}, TypeError),
        ({"tau": 0.0}, ValueError),
        ({"tau": 1.1}, ValueError),
        ({"gamma": -0.1}, ValueError),
        ({"gamma": "0.9"}, TypeError),
        ({"train_freq": 0}, ValueError),
        ({"gradient_steps": 0}, ValueError),
        ({"gradient_steps": -2}, ValueError),
        ({"target_update_interval": 0}, ValueError),
        ({"exploration_fraction": 1.5}, ValueError),
        ({"exploration_initial_eps": 2.0}, ValueError),
        ({"exploration_final_eps": float("nan")}, ValueError),
        ({"max_grad_norm": 0.0}, ValueError),
        ({"adam_eps": 0.0}, ValueError),
        ({"net_arch": 64}, TypeError),
        ({"net_arch": (64, 0)}, ValueError),
        ({"fused": 1}, TypeError),
        ({"n_steps": 0}, ValueError),
        ({"n_steps": 2.0}, TypeError),
        ({"n_envs": 0}, ValueError),
        ({"seeds": 0}, ValueError),
        ({"verbose": "loud"}, TypeError),
        ({"device": "foo"}, ValueError),
        ({"device": 3}, TypeError),
        ({"threads": 0}, ValueError),
        ({"lerning_rate": 1e-3}, TypeError),
    ],
)
def test_bad_arguments_are_refused_by_name(match_env, bad, error):
    with pytest.raises(error, match=next(iter(bad))):
        DQN(match_env, **bad)


def test_bad_arguments_of_learn_are_refused_by_name(match_env):
    with pytest.raises(ValueError, match="total_timesteps"):
        DQN(match_env).learn(0)
    with pytest.raises(ValueError, match="log_interval"):
        DQN(match_env).learn(1, log_interval=0)


def test_the_configuration_is_frozen_and_a_list_of_widths_becomes_a_tuple():
    config = DQNConfig(net_arch=[3, 4])
    assert config.net_arch == (3, 4)
    with pytest.raises(AttributeError):
        config.gamma = 0.5
