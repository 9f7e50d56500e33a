import dataclasses

import numpy as np
import pytest
import stable_baselines3
import torch
from stable_baselines3.common.logger import configure

from agents.base.evaluation import evaluate
from agents.common.devices import torch_threads
from agents.nn.actor_critic import ActorCritic
from agents.nn.distributions import Categorical, Gaussian
from agents.ppo import PPO, Batch, Losses, PPOConfig, approx_kl, ppo_loss

CPU = torch.device("cpu")
D, A, B = 4, 3, 24
SMALL = {"learning_rate": 5e-3, "net_arch": (16,), "n_steps": 32, "batch_size": 32, "n_epochs": 4}


def random_batch(S: int, kind: type = Categorical, seed: int = 0, shift: float = 0.5, numbers: int = A) -> Batch:
    """Steps by policies about `shift` away from new ones, uniform or standard normal of so many numbers."""
    draw = torch.Generator().manual_seed(seed)
    if kind is Gaussian:
        action = torch.randn(S, B, numbers, generator=draw)
        log_prob = torch.distributions.Normal(0.0, 1.0).log_prob(action).sum(-1)
    else:
        action = torch.randint(A, (S, B, 1), generator=draw).float()
        log_prob = torch.full((S, B), -np.log(A), dtype=torch.float32)
    log_prob = log_prob + shift * torch.randn(S, B, generator=draw)
    obs = torch.randn(S, B, D, generator=draw)
    return Batch(obs, action, log_prob, *torch.randn(3, S, B, generator=draw))


def row(batch: Batch, s: int) -> Batch:
    return Batch(*(part[s : s + 1] for part in batch))


def stirred(net: ActorCritic) -> ActorCritic:
    net.flat.add_(0.2 * torch.randn(net.flat.shape, generator=torch.Generator().manual_seed(1)))
    return net


# ------------------------------------------------------------------------------------------------ numbers


def test_the_loss_by_a_plain_numpy_reference():
    net, batch = stirred(ActorCritic(D, (8,), Categorical(A), (0,), CPU)), random_batch(1)
    loss, losses = ppo_loss(*net(batch.obs), batch, 0.2, 0.3, ent_coef=0.1, vf_coef=0.5)
    losses = Losses(*(term.detach() for term in losses))
    w = {name: value[0].numpy().astype(float) for name, value in net.values.items()}
    obs, action, old_log_prob, old_value, advantage, returns = (part[0].numpy() for part in batch)
    hidden = {n: np.tanh(obs @ w[f"{n}.0.weight"] + w[f"{n}.0.bias"]) for n in ("pi", "vf")}
    logits, value = (hidden[n] @ w[f"{n}.1.weight"] + w[f"{n}.1.bias"] for n in ("pi", "vf"))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    ratio = p[np.arange(B), action[:, 0].astype(int)] / np.exp(old_log_prob)
    surrogate = -np.minimum(ratio * advantage, np.clip(ratio, 0.8, 1.2) * advantage)
    assert 0.2 < (np.abs(ratio - 1) > 0.2).mean() < 0.9  # both branches occur
    np.testing.assert_allclose(losses.policy[0], surrogate, rtol=1e-4, atol=1e-5)
    error = old_value + np.clip(value[:, 0] - old_value, -0.3, 0.3) - returns
    np.testing.assert_allclose(losses.value[0], error**2, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(losses.entropy[0], -(p * np.log(p)).sum(1), rtol=1e-4)
    np.testing.assert_allclose(approx_kl(losses.log_ratio), (ratio - 1 - np.log(ratio)).mean(), rtol=1e-4)
    whole = (losses.policy - 0.1 * losses.entropy + 0.5 * losses.value).mean()
    torch.testing.assert_close(loss.detach(), whole)


@pytest.mark.parametrize("clip_range_vf", [None, 0.3])
@pytest.mark.parametrize("kind", [Categorical, Gaussian])
@pytest.mark.parametrize("critic", ["separate", "shared"])
def test_the_loss_is_the_mean_over_the_batch_and_the_sum_over_seeds(critic, kind, clip_range_vf):
    net, batch = stirred(ActorCritic(D, (8, 6), kind(A), range(3), CPU, critic)), random_batch(3, kind)
    loss, losses = ppo_loss(*net(batch.obs), batch, 0.2, clip_range_vf, ent_coef=0.1, vf_coef=0.7)
    assert all(term.shape == (3, B) for term in losses)
    loss.backward()
    alone = 0.0
    for s in range(3):
        one = row(batch, s)
        loss_of_one, _ = ppo_loss(*net.of_seed(s, one.obs), one, 0.2, clip_range_vf, ent_coef=0.1, vf_coef=0.7)
        alone += loss_of_one.item()
        own = torch.autograd.grad(loss_of_one, list(net.parameters()))
        for parameter, gradient in zip(net.parameters(), own, strict=True):
            torch.testing.assert_close(parameter.grad[s], gradient[s])
    assert loss.item() == pytest.approx(alone, rel=1e-5)


def test_no_gradient_flows_where_the_ratio_has_moved_far_enough_the_way_the_advantage_points():
    net = stirred(ActorCritic(D, (8,), Categorical(A), (0,), CPU))
    batch = random_batch(1)
    now = net(batch.obs)[0].log_prob(batch.action).detach()
    for moved, sign, flows in ((0.5, 1.0, False), (0.5, -1.0, True), (-0.5, -1.0, False), (-0.5, 1.0, True)):
        far = batch._replace(log_prob=now - moved, advantage=torch.full((1, B), sign))
        net.zero_grad()
        ppo_loss(*net(far.obs), far, 0.2, None, ent_coef=0.0, vf_coef=0.0)[0].backward()
        assert bool(net.grad.abs().max() > 1e-4) is flows


@pytest.mark.parametrize(
    ("clip_range_vf", "error", "gradient"),
    [(0.5, [1.5 - 5.0, 1.2, 0.5], [0.0, 1.2, 0.0]), (None, [-2.0, 1.2, -2.0], [-2.0, 1.2, -2.0])],
)
def test_value_errors_by_hand(clip_range_vf, error, gradient):
    value, zero = torch.tensor([[3.0, 1.2, -2.0]], requires_grad=True), torch.zeros(1, 3)
    policy = Categorical(2).given(torch.zeros(1, 3, 2), None)
    old = {"log_prob": policy.log_prob(zero[..., None]), "value": torch.ones(1, 3), "advantage": zero}
    batch = Batch(zero, zero[..., None], **old, returns=torch.tensor([[5.0, 0.0, 0.0]]))
    loss, losses = ppo_loss(policy, value, batch, 0.2, clip_range_vf, ent_coef=0.0, vf_coef=1.5)
    loss.backward()
    torch.testing.assert_close(losses.value.detach(), torch.tensor([error]).square())
    torch.testing.assert_close(value.grad, torch.tensor([gradient]))  # of 1.5 * mean(error^2) over 3


@pytest.mark.parametrize("options", [{}, {"clip_range_vf": 0.1, "ent_coef": 0.01, "normalize_advantage": False}])
def test_updates_agree_with_sb3s_after_the_same_rollout(options):
    hyperparameters = {"n_steps": 30, "batch_size": 30, "n_epochs": 5, "learning_rate": 3e-3, **options}
    ours = PPO("CartPole-v1", seeds=[5], **hyperparameters)
    theirs = stable_baselines3.PPO("MlpPolicy", "CartPole-v1", device="cpu", **hyperparameters)
    theirs.set_logger(configure(None, []))
    policy, w = theirs.policy, ours.net.values
    linear = {"pi": [*policy.mlp_extractor.policy_net[::2], policy.action_net]}
    linear["vf"] = [*policy.mlp_extractor.value_net[::2], policy.value_net]
    for net, layers in linear.items():
        for i, layer in enumerate(layers):
            layer.weight.data.copy_(w[f"{net}.{i}.weight"][0].T)
            layer.bias.data.copy_(w[f"{net}.{i}.bias"][0, 0])
    rng = np.random.default_rng(0)
    for _ in range(3):
        obs, reward = rng.normal(size=(31, 4)).astype(np.float32), rng.normal(size=30).astype(np.float32)
        action, ended = rng.integers(2, size=30), rng.random(30) < 0.2
        rollout, buffer = ours.rollout, theirs.rollout_buffer
        rollout.rows[0, :, 0] = np.concatenate((obs[:30], action[:, None]), -1)
        rollout.reward[0, :, 0], rollout.ended[0, :, 0], rollout.terminated[0, :, 0] = reward, ended, ended
        ours._train(ours.net.value(obs[None, 30:]), 1.0)

        buffer.reset()
        with torch.no_grad():
            for t in range(30):
                chosen = torch.from_numpy(action[t : t + 1])
                values, log_prob, _ = policy.evaluate_actions(torch.from_numpy(obs[t : t + 1]), chosen)
                start = ended[t - 1 : t] if t else np.zeros(1, bool)
                buffer.add(obs[t], action[t : t + 1], reward[t], start, values[:, 0], log_prob)
            last = policy.predict_values(torch.from_numpy(obs[30:]))
            buffer.compute_returns_and_advantage(last, ended[29:])
        theirs.train()
    for net, layers in linear.items():
        for i, layer in enumerate(layers):
            torch.testing.assert_close(w[f"{net}.{i}.weight"][0].T, layer.weight.data, rtol=1e-3, atol=1e-5)


# ----------------------------------------------------------------------------------------------- seed axis


@pytest.mark.parametrize("kind", [Categorical, Gaussian])
def test_on_one_stream_of_batches_a_seeds_weights_agree_after_500_updates(match_env, aim, kind):
    def trained(seeds, s):
        env = (lambda: match_env(n=A)) if kind is Categorical else aim
        agent = PPO(env, seeds=seeds, ent_coef=0.01, normalize_advantage=True)
        agent._rate, agent._range = 1e-3, 0.2
        index = np.arange(B)[None].repeat(len(agent), 0)
        for k in range(500):
            batch = random_batch(8, kind, seed=k, shift=0.1, numbers=2)
            obs, action, *numbers = batch if s is None else row(batch, s)
            rows = torch.cat((obs[..., : agent.spaces.obs_size], action, torch.stack(numbers, -1)), -1)
            agent._fused_epoch(rows, index, np.ones(len(agent), bool))
        return agent.net.values

    with torch_threads(1):
        among, alone = trained(8, None), trained([3], 3)
    for name, value in alone.items():
        torch.testing.assert_close(among[name][3], value[0], rtol=1e-4, atol=1e-5)


def test_each_seed_leaves_a_rollout_for_itself_when_its_policy_is_far_from_the_old_one(match_env):
    options = SMALL | {"target_kl": 0.01, "learning_rate": 2e-2}

    def trained(seeds):
        return PPO(match_env, seeds=seeds, n_envs=2, **options).learn(640)

    among = trained(4)
    steps = among.optimizer.steps_of.tolist()
    assert len(set(steps)) > 1  # they stopped at different times
    assert max(steps) < 10 * 4 * 2  # each before the end
    for s in range(4):
        alone = trained([s])
        assert alone.optimizer.steps_of.tolist() == [steps[s]]
        for name, value in alone.net.values.items():
            torch.testing.assert_close(among.net.values[name][s], value[0], rtol=1e-3, atol=1e-5)


def test_every_epoch_shows_each_seed_every_step_once_in_an_order_of_its_own(match_env, monkeypatch):
    agent = PPO(match_env, seeds=2, n_envs=3, n_steps=8, batch_size=10, n_epochs=2, fused=False)
    seen = []

    def update(rows, index, active):
        seen.append(rows[[[0], [1]], index][..., -1])
        return active

    monkeypatch.setattr(agent, "_update", update)
    agent.learn(24)
    assert [part.shape[1] for part in seen] == [10, 10, 4] * 2
    first, second = torch.cat(seen[:3], 1), torch.cat(seen[3:], 1)
    assert not torch.equal(first, second)
    torch.testing.assert_close(first.sort(1).values, second.sort(1).values)
    returns = torch.from_numpy(agent._last.returns)
    torch.testing.assert_close(first.sort(1).values, returns.sort(1).values)


# ------------------------------------------------------------------------------------------------ learning


@pytest.mark.parametrize(("truncates", "best", "worth"), [(False, 1, 10.0), (True, 0, 20.0)])
def test_truncation_bootstraps_and_termination_does_not(stop_or_go, truncates, best, worth):
    options = SMALL | {"gamma": 0.9, "learning_rate": "lin_3e-2"}
    agent = PPO(lambda: stop_or_go(truncates), seeds=2, n_envs=4, **options).learn(8_000)
    ones = np.ones((2, 1, 1), np.float32)
    assert (agent.predict(ones[:, 0], deterministic=True)[0] == best).all()
    np.testing.assert_allclose(agent.net.value(ones)[:, 0], worth, rtol=0.05)


@pytest.mark.parametrize("options", [{}, {"shared_network": True}, {"clip_range_vf": 0.5, "target_kl": 0.05}])
def test_a_tiny_env_is_solved(match_env, options):
    def make():
        return match_env(start=5)

    agent = PPO(make, seeds=3, n_envs=2, gamma=0.5, **SMALL | options).learn(3_000)
    assert (evaluate(agent, make, episodes=5) == 10.0).all()


def test_a_tiny_env_with_box_actions_is_solved(aim):
    options = SMALL | {"gamma": 0.0, "log_std_init": -0.5, "learning_rate": "lin_1e-2"}
    agent = PPO(aim, seeds=2, n_envs=4, **options).learn(10_000)
    x = np.linspace(-0.9, 0.9, 7, dtype=np.float32)[None, :, None].repeat(2, 0)  # [S, B, D]
    action, _ = agent.predict(x, deterministic=True)  # [S, B, 2, 1]
    np.testing.assert_allclose(action, (x / 2)[..., None].repeat(2, 2), atol=0.1)


# -------------------------------------------------------------------------------------------------- the loop


def test_the_ratio_is_one_before_the_first_update_of_a_rollout(match_env):
    agent = PPO(match_env, seeds=2, n_envs=2, n_steps=8, batch_size=16, n_epochs=1).learn(160)
    assert agent._last.losses[0].log_ratio.abs().max() < 1e-5
    assert agent.n_updates == 10


def test_clip_range_and_learning_rate_follow_their_schedules(match_env):
    seen = []
    agent = PPO(match_env, **SMALL | {"clip_range": "lin_0.4", "learning_rate": "lin_1.0", "n_steps": 32})
    agent.learn(128, callback=lambda agent: seen.append((agent._range, agent._rate)))
    assert np.allclose(seen[31::32], [(0.3, 0.75), (0.2, 0.5), (0.1, 0.25), (0.0, 0.0)])


# ------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"n_steps": 0}, ValueError),
        ({"batch_size": 0}, ValueError),
        ({"batch_size": 1}, ValueError),
        ({"n_epochs": 0.5}, TypeError),
        ({"gae_lambda": 2.0}, ValueError),
        ({"clip_range": 0.0}, ValueError),
        ({"clip_range": None}, TypeError),
        ({"clip_range_vf": 0.0}, ValueError),
        ({"clip_range_vf": "lin_0.2"}, TypeError),
        ({"target_kl": -1.0}, ValueError),
        ({"gamma": 2}, ValueError),
        ({"activation": "elu"}, ValueError),
    ],
)
def test_bad_arguments_are_refused_by_name(match_env, bad, error):
    with pytest.raises(error, match=next(iter(bad))):
        PPO(match_env, **bad)


def test_defaults_are_sb3s():
    theirs = stable_baselines3.PPO("MlpPolicy", "CartPole-v1", device="cpu")
    names = ["n_steps", "batch_size", "n_epochs", "gamma", "gae_lambda", "clip_range_vf", "normalize_advantage"]
    names += ["ent_coef", "vf_coef", "max_grad_norm", "target_kl", "learning_rate"]
    ours = dataclasses.asdict(PPOConfig())
    assert {name: ours[name] for name in names} == {name: getattr(theirs, name) for name in names}
    assert ours["clip_range"] == theirs.clip_range(1.0)
