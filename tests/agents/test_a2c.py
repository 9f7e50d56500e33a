import dataclasses

import numpy as np
import pytest
import stable_baselines3
import torch
from stable_baselines3.common.logger import configure

from agents.a2c import A2C, A2CConfig, a2c_loss
from agents.base.evaluation import evaluate
from agents.common.devices import torch_threads
from agents.nn.actor_critic import ActorCritic
from agents.nn.distributions import Categorical, Gaussian

CPU = torch.device("cpu")
D, A, B = 4, 3, 20
SMALL = {"learning_rate": 5e-3, "net_arch": (16,), "n_steps": 8}


def random_batch(S: int, kind: type, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Observations, actions, advantages."""
    draw = torch.Generator().manual_seed(seed)
    obs, advantage = torch.randn(S, B, D, generator=draw), torch.randn(S, B, generator=draw)
    box = torch.randn(S, B, A, generator=draw)
    return obs, box if kind is Gaussian else torch.randint(A, (S, B, 1), generator=draw).float(), advantage


def stirred(net: ActorCritic) -> ActorCritic:
    net.flat.add_(0.2 * torch.randn(net.flat.shape, generator=torch.Generator().manual_seed(1)))
    return net


# ------------------------------------------------------------------------------------------------ numbers


def test_the_loss_by_a_plain_numpy_reference():
    net = stirred(ActorCritic(D, (8,), Categorical(A), (0,), CPU))
    obs, action, advantage = random_batch(1, Categorical)
    returns = 2.0 * torch.randn(1, B)
    net.zero_grad()
    loss, losses = a2c_loss(*net(obs), action, advantage, returns, ent_coef=0.1, vf_coef=0.5)
    losses = [term.detach() for term in losses]
    w = {name: value[0].numpy().astype(float) for name, value in net.values.items()}
    hidden = {n: np.tanh(obs[0].numpy() @ w[f"{n}.0.weight"] + w[f"{n}.0.bias"]) for n in ("pi", "vf")}
    logits, value = (hidden[n] @ w[f"{n}.1.weight"] + w[f"{n}.1.bias"] for n in ("pi", "vf"))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    taken = p[np.arange(B), action[0, :, 0].int()]
    np.testing.assert_allclose(losses[0][0], -advantage[0].numpy() * np.log(taken), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(losses[1][0], (value[:, 0] - returns[0].numpy()) ** 2, rtol=1e-4, atol=1e-5)
    entropy = -(p * np.log(p)).sum(1)
    np.testing.assert_allclose(losses[2][0], entropy, rtol=1e-4)
    torch.testing.assert_close(loss.detach(), (losses[0] - 0.1 * losses[2] + 0.5 * losses[1]).mean())


@pytest.mark.parametrize("kind", [Categorical, Gaussian])
@pytest.mark.parametrize("critic", ["separate", "shared"])
def test_the_loss_is_the_mean_over_the_batch_and_the_sum_over_seeds(critic, kind):
    net, (obs, action, advantage) = (
        stirred(ActorCritic(D, (8, 6), kind(A), range(3), CPU, critic)),
        random_batch(3, kind),
    )
    batch = (action, advantage, 2.0 * torch.randn(3, B))
    loss, losses = a2c_loss(*net(obs), *batch, ent_coef=0.1, vf_coef=0.7)
    assert all(term.shape == (3, B) for term in losses)
    loss.backward()
    alone = 0.0
    for s in range(3):
        one = a2c_loss(*net.of_seed(s, obs[s : s + 1]), *(part[s : s + 1] for part in batch), 0.1, 0.7)[0]
        alone += one.item()
        own = torch.autograd.grad(one, list(net.parameters()))
        for parameter, gradient in zip(net.parameters(), own, strict=True):
            torch.testing.assert_close(parameter.grad[s], gradient[s])
    assert loss.item() == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("options", [{}, {"normalize_advantage": True, "ent_coef": 0.01, "gae_lambda": 0.8}])
def test_updates_agree_with_sb3s_after_the_same_rollouts(options):
    hyperparameters = {"n_steps": 6, **options}
    ours = A2C("CartPole-v1", n_envs=3, seeds=[5], **hyperparameters)
    theirs = stable_baselines3.A2C("MlpPolicy", "CartPole-v1", device="cpu", **hyperparameters)
    theirs.n_envs = theirs.rollout_buffer.n_envs = 3
    theirs.set_logger(configure(None, []))
    policy, w = theirs.policy, ours.net.values
    linear = {"pi": [*policy.mlp_extractor.policy_net[::2], policy.action_net]}
    linear["vf"] = [*policy.mlp_extractor.value_net[::2], policy.value_net]
    for net, layers in linear.items():
        for i, layer in enumerate(layers):
            layer.weight.data.copy_(w[f"{net}.{i}.weight"][0].T)
            layer.bias.data.copy_(w[f"{net}.{i}.bias"][0, 0])
    rng = np.random.default_rng(0)
    for _ in range(5):
        obs = rng.normal(size=(7, 3, 4)).astype(np.float32)
        reward, action = rng.normal(size=(6, 3)), rng.integers(2, size=(6, 3))
        ended = rng.random((6, 3)) < 0.3
        truncated = ended & (rng.random((6, 3)) < 0.5)
        final = np.where(truncated, rng.normal(size=(6, 3)), 0.0).astype(np.float32)
        rollout, buffer = ours.rollout, theirs.rollout_buffer
        rollout.rows[0] = np.concatenate((obs[:6], action[..., None]), -1)
        rollout.reward[0], rollout.final_value[0] = reward, final
        rollout.ended[0], rollout.terminated[0] = ended, ended & ~truncated
        ours._train(ours.net.value(obs[None, 6]), 1.0)

        buffer.reset()
        with torch.no_grad():
            for t in range(6):
                values = policy.predict_values(torch.from_numpy(obs[t]))
                starts = ended[t - 1] if t else np.zeros(3, bool)
                shaped = (reward[t] + 0.99 * final[t]).astype(np.float32)
                buffer.add(obs[t], action[t][:, None], shaped, starts, values, torch.zeros(3))
            buffer.compute_returns_and_advantage(policy.predict_values(torch.from_numpy(obs[6])), ended[5])
        theirs.train()
    for net, layers in linear.items():
        for i, layer in enumerate(layers):
            torch.testing.assert_close(w[f"{net}.{i}.weight"][0].T, layer.weight.data, rtol=1e-3, atol=1e-5)


# ----------------------------------------------------------------------------------------------- seed axis


@pytest.mark.parametrize(("kind", "options"), [(Categorical, {}), (Gaussian, {"use_rms_prop": False})])
def test_on_one_stream_of_batches_a_seeds_weights_agree_after_500_updates(match_env, aim, kind, options):
    def trained(seeds, s):
        env = (lambda: match_env(n=A)) if kind is Categorical else aim
        agent = A2C(env, seeds=seeds, ent_coef=0.01, max_grad_norm=0.5, **options)
        agent._rate = 1e-3
        D, K = agent.spaces.obs_size, agent.distribution.action_size
        for k in range(500):
            batch = random_batch(8, kind, seed=k)
            obs, action, advantage = batch if s is None else (part[s : s + 1] for part in batch)
            value = torch.from_numpy(agent.net.value(obs[..., :D].numpy()))
            agent._update(torch.cat((obs[..., :D], action[..., :K]), -1), value, advantage)
        return agent.net.values

    with torch_threads(1):
        among, alone = trained(8, None), trained([3], 3)
    for name, value in alone.items():
        torch.testing.assert_close(among[name][3], value[0], rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------------------------------------ learning


@pytest.mark.parametrize("gae_lambda", [0.0, 0.9, 1.0])
@pytest.mark.parametrize(("truncates", "best", "worth"), [(False, 1, 10.0), (True, 0, 20.0)])
def test_truncation_bootstraps_and_termination_does_not(stop_or_go, truncates, best, worth, gae_lambda):
    options = SMALL | {"gamma": 0.9, "learning_rate": "lin_3e-2", "gae_lambda": gae_lambda}
    agent = A2C(lambda: stop_or_go(truncates), seeds=2, n_envs=4, **options).learn(12_000)
    ones = np.ones((2, 1, 1), np.float32)
    assert (agent.predict(ones[:, 0], deterministic=True)[0] == best).all()
    np.testing.assert_allclose(agent.net.value(ones)[:, 0], worth, rtol=0.05)


@pytest.mark.parametrize(
    "options",
    [{"gae_lambda": 0.0, "n_steps": 1}, {}, {"gae_lambda": 0.9, "normalize_advantage": True}, {"shared_network": True}],
)
def test_a_tiny_env_is_solved(match_env, options):
    def make():
        return match_env(start=-1, shape=(3, 1))

    agent = A2C(make, seeds=3, n_envs=4, gamma=0.5, **SMALL | options).learn(6_000)
    assert (evaluate(agent, make, episodes=5) == 10.0).all()


@pytest.mark.parametrize("shared", [False, True])
def test_a_tiny_env_with_box_actions_is_solved(aim, shared):
    options = SMALL | {"gamma": 0.0, "use_rms_prop": False, "shared_network": shared, "log_std_init": -0.5}
    agent = A2C(aim, seeds=2, n_envs=8, **options | {"learning_rate": "lin_1e-2"}).learn(24_000)
    x = np.linspace(-0.9, 0.9, 7, dtype=np.float32)[None, :, None].repeat(2, 0)  # [S, B, D]
    action, _ = agent.predict(x, deterministic=True)  # [S, B, 2, 1]
    np.testing.assert_allclose(action, (x / 2)[..., None].repeat(2, 2), atol=0.1)


# -------------------------------------------------------------------------------------------------- the loop


def test_an_update_follows_every_rollout_and_learning_ends_with_a_whole_one(match_env):
    agent = A2C(match_env, n_envs=2, n_steps=5).learn(101)
    assert (agent.num_timesteps, agent.n_updates) == (110, 11)
    agent.learn(15, reset_num_timesteps=False)
    assert (agent.num_timesteps, agent.n_updates) == (130, 13)


def test_what_was_stored_when_a_callback_stopped_is_learnt_from_later(match_env):
    agent = A2C(match_env, n_envs=2, n_steps=5).learn(100, callback=lambda agent: agent.num_timesteps < 16)
    assert (agent.num_timesteps, agent.n_updates, agent.rollout.position) == (16, 1, 3)
    agent.learn(3, reset_num_timesteps=False)
    assert (agent.num_timesteps, agent.n_updates, agent.rollout.position) == (20, 2, 0)
    agent.learn(100, callback=lambda agent: agent.num_timesteps < 6)
    assert agent.learn(10).n_updates == 3  # with new episodes a rollout begins anew


def test_the_learning_rate_follows_its_schedule(match_env):
    rates = []
    agent = A2C(match_env, learning_rate="lin_1.0", n_steps=5)
    agent.learn(20, callback=lambda agent: rates.append(agent._rate))
    assert rates[4::5] == pytest.approx([0.75, 0.5, 0.25, 0.0])


# ------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"learning_rate": 0.0}, ValueError),
        ({"n_steps": 0}, ValueError),
        ({"gamma": 1.1}, ValueError),
        ({"gae_lambda": -0.1}, ValueError),
        ({"ent_coef": -1.0}, ValueError),
        ({"vf_coef": "1"}, TypeError),
        ({"max_grad_norm": 0.0}, ValueError),
        ({"use_rms_prop": 1}, TypeError),
        ({"rms_prop_eps": 0.0}, ValueError),
        ({"normalize_advantage": None}, TypeError),
        ({"net_arch": 64}, TypeError),
        ({"net_arch": (0,)}, ValueError),
        ({"shared_network": "yes"}, TypeError),
        ({"activation": "gelu"}, ValueError),
        ({"log_std_init": float("inf")}, ValueError),
        ({"batch_size": 3}, TypeError),
    ],
)
def test_bad_arguments_are_refused_by_name(match_env, bad, error):
    with pytest.raises(error, match=next(iter(bad))):
        A2C(match_env, **bad)


def test_defaults_are_sb3s():
    theirs = stable_baselines3.A2C("MlpPolicy", "CartPole-v1", device="cpu")
    names = ["n_steps", "gamma", "gae_lambda", "ent_coef", "vf_coef", "max_grad_norm", "normalize_advantage"]
    ours = dataclasses.asdict(A2CConfig())
    assert {name: ours[name] for name in names} == {name: getattr(theirs, name) for name in names}
    assert ours["learning_rate"] == theirs.learning_rate
