import numpy as np
import pytest
import torch
from gymnasium.wrappers import TimeLimit

from agents.base.evaluation import evaluate
from agents.common.devices import torch_threads
from agents.nn.actor_critic import ActorCritic
from agents.nn.distributions import Categorical, Gaussian
from agents.reinforce import REINFORCE, reinforce_loss

CPU = torch.device("cpu")
D, A, B = 4, 3, 20
SMALL = {"learning_rate": 1e-2, "net_arch": (16,), "n_episodes": 4}


def random_batch(S: int, kind: type, seed: int = 0, numbers: int = A) -> tuple[torch.Tensor, ...]:
    """Observations, actions, returns."""
    draw = torch.Generator().manual_seed(seed)
    obs, returns = torch.randn(S, B, D, generator=draw), 3 * torch.randn(S, B, generator=draw)
    box = torch.randn(S, B, numbers, generator=draw)
    return obs, box if kind is Gaussian else torch.randint(A, (S, B, 1), generator=draw).float(), returns


def stirred(net: ActorCritic) -> ActorCritic:
    net.flat.add_(0.2 * torch.randn(net.flat.shape, generator=torch.Generator().manual_seed(1)))
    return net


# ------------------------------------------------------------------------------------------------ numbers


def test_the_loss_by_a_plain_numpy_reference():
    net = stirred(ActorCritic(D, (8,), Categorical(A), (0,), CPU, "none"))
    obs, action, returns = random_batch(1, Categorical)
    losses = reinforce_loss(*net(obs), action, returns, True, ent_coef=0.1, vf_coef=0.5)[1]
    policy, value, entropy = (term.detach()[0] for term in losses)
    w = {name: value[0].numpy().astype(float) for name, value in net.values.items()}
    hidden = np.tanh(obs[0].numpy() @ w["pi.0.weight"] + w["pi.0.bias"])
    logits = hidden @ w["pi.1.weight"] + w["pi.1.bias"]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    G = returns[0].numpy()
    advantage = (G - G.mean()) / G.std(ddof=1)
    taken = p[np.arange(B), action[0, :, 0].int()]
    np.testing.assert_allclose(policy, -advantage * np.log(taken), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(entropy, -(p * np.log(p)).sum(1), rtol=1e-4)
    np.testing.assert_allclose(value, G**2, rtol=1e-5)  # without a baseline, of 0


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("kind", [Categorical, Gaussian])
@pytest.mark.parametrize("critic", ["none", "separate", "shared"])
def test_no_gradient_flows_through_the_advantage(critic, kind, normalize):
    net = stirred(ActorCritic(D, (8, 6), kind(A), range(2), CPU, critic))
    obs, action, returns = random_batch(2, kind)
    reinforce_loss(*net(obs), action, returns, normalize, ent_coef=0.1, vf_coef=0.7)[0].backward()
    policy, value = net(obs)
    advantage = (returns - value).detach()
    if normalize:
        advantage = (advantage - advantage.mean(1, keepdim=True)) / advantage.std(1, keepdim=True)
    loss = -(advantage * policy.log_prob(action)).mean(1) - 0.1 * policy.entropy().mean(1)
    (loss + 0.7 * (value - returns).square().mean(1)).sum().backward()
    doubled, parameters = net.grad.clone(), list(net.parameters())
    net.zero_grad()
    reinforce_loss(*net(obs), action, returns, normalize, ent_coef=0.1, vf_coef=0.7)[0].backward()
    torch.testing.assert_close(doubled, 2.0 * net.grad)
    assert all(parameter.grad.any() for parameter in parameters)


def test_returns_are_discounted_within_each_episode(counter, monkeypatch):
    agent, seen = REINFORCE(counter, gamma=0.5, n_episodes=2), []
    monkeypatch.setattr(agent, "_update", lambda s, rows, returns, rate: seen.append((rows, returns)))
    agent.learn(7)  # episodes of 3 and 4 steps, whose rewards are 1, 2, 3 and 1, 2, 3, 4
    (rows, returns) = seen[0]
    assert rows[0, :, 1:3].tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2], [1, 3]]
    assert returns.tolist() == [[2.75, 3.5, 3.0, 3.25, 4.5, 5.0, 4.0]]


def test_with_a_baseline_returns_go_on_with_the_final_value_after_truncation_only(counter, monkeypatch):
    agent, seen = REINFORCE(counter, gamma=0.5, n_episodes=2, value_baseline=True), []
    monkeypatch.setattr(agent, "_update", lambda s, rows, returns, rate: seen.append(returns))
    agent.learn(7)  # the first episode terminates, the second is truncated after observation (1, 4)
    value = agent.net.value(np.array([[[0, 1, 4]]], np.float32)).item()
    further = value * 0.5 ** np.arange(4, 0, -1)
    np.testing.assert_allclose(seen[0][0], [2.75, 3.5, 3.0, *(np.array([3.25, 4.5, 5.0, 4.0]) + further)], rtol=1e-5)
    assert abs(value) > 1e-3


# ----------------------------------------------------------------------------------------------- seed axis


@pytest.mark.parametrize("kind", [Categorical, Gaussian])
def test_on_one_stream_of_batches_a_seeds_weights_agree_after_500_updates(match_env, aim, kind):
    def trained(seeds, chosen):
        env = (lambda: match_env(n=A)) if kind is Categorical else aim
        agent = REINFORCE(env, seeds=seeds, value_baseline=True, ent_coef=0.01)
        for k in range(500):
            obs, action, returns = random_batch(4, kind, seed=k, numbers=2)
            for s, r in enumerate(chosen):
                rows = torch.cat((obs[..., : agent.spaces.obs_size], action), -1)
                agent._update(s, rows[r : r + 1], returns[r : r + 1], 1e-3)
        return agent.net.values

    with torch_threads(1):
        among, alone = trained(4, range(4)), trained([3], [3])
    for name, value in alone.items():
        torch.testing.assert_close(among[name][3], value[0], rtol=1e-4, atol=1e-5)


def test_each_seed_learns_when_its_own_episodes_are_over():
    agent = REINFORCE("CartPole-v1", seeds=4, n_episodes=3)
    agent.learn(400)
    episodes = [len(returns) for returns in agent._envs.returns]
    assert agent.optimizer.steps_of.tolist() == [n // 3 for n in episodes]
    assert len(set(episodes)) > 1
    assert agent.n_updates == max(episodes) // 3


# ------------------------------------------------------------------------------------------------ learning


@pytest.mark.parametrize(("truncates", "best", "worth"), [(False, 1, 10.0), (True, 0, 17.6)])
def test_with_a_baseline_truncation_bootstraps_and_termination_does_not(stop_or_go, truncates, best, worth):
    # entropy keeps it trying both actions until it knows what they are worth; so it stops 3 times in 4, not always
    options = SMALL | {"ent_coef": 1.0, "vf_coef": 1.0, "max_grad_norm": 10.0, "normalize_advantage": False}
    options |= {"gamma": 0.9, "learning_rate": "lin_1e-2", "value_baseline": True}
    agent = REINFORCE(lambda: TimeLimit(stop_or_go(truncates), 30), seeds=2, **options).learn(10_000)
    ones = np.ones((2, 1, 1), np.float32)
    assert (agent.predict(ones[:, 0], deterministic=True)[0] == best).all()
    np.testing.assert_allclose(agent.net.value(ones)[:, 0], worth, rtol=0.05)


@pytest.mark.parametrize(
    "options",
    [{}, {"value_baseline": True}, {"value_baseline": True, "shared_network": True, "normalize_advantage": False}],
)
def test_a_tiny_env_is_solved(match_env, options):
    def make():
        return match_env(start=5)

    agent = REINFORCE(make, seeds=3, gamma=0.2, **SMALL | options).learn(5_000)
    assert (evaluate(agent, make, episodes=5) == 10.0).all()


@pytest.mark.parametrize("value_baseline", [False, True])
def test_a_tiny_env_with_box_actions_is_solved(aim, value_baseline):
    options = SMALL | {"gamma": 0.0, "log_std_init": -0.5, "value_baseline": value_baseline, "n_episodes": 8}
    agent = REINFORCE(aim, seeds=2, n_envs=4, **options | {"learning_rate": "lin_1e-2"}).learn(32_000)
    x = np.linspace(-0.9, 0.9, 7, dtype=np.float32)[None, :, None].repeat(2, 0)  # [S, B, D]
    action, _ = agent.predict(x, deterministic=True)  # [S, B, 2, 1]
    np.testing.assert_allclose(action, (x / 2)[..., None].repeat(2, 2), atol=0.12)


# ------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"n_episodes": 0}, ValueError),
        ({"value_baseline": 1}, TypeError),
        ({"normalize_advantage": 1}, TypeError),
        ({"shared_network": True}, ValueError),
        ({"gamma": -1.0}, ValueError),
        ({"learning_rate": None}, TypeError),
        ({"n_steps": 5}, TypeError),
    ],
)
def test_bad_arguments_are_refused_by_name(match_env, bad, error):
    with pytest.raises(error, match=next(iter(bad))):
        REINFORCE(match_env, **bad)
