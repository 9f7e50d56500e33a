"""SAC: its update against plain torch for one seed, the squashed density, and that it learns."""

import dataclasses
import math

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch.distributions import Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

import trading_env  # noqa: F401, registers the envs
from agents.base.evaluation import evaluate
from agents.nn.squashed import squashed, squashed_sample
from agents.sac import PRESETS, SAC
from tests.agents.plain import assert_same, net_of, polyak, recorded

SMALL = {"learning_rate": 3e-3, "net_arch": (32, 32), "batch_size": 64, "learning_starts": 100, "gamma": 0.5}


# ---------------------------------------------------------------------------------------------------- numbers


class PlainSAC:
    """One seed of SAC, written as in a textbook with torch's own layers, distributions and optimisers."""

    def __init__(self, agent, s):
        self.actor = net_of(agent.actor, s)
        self.q = [net_of(agent.critic, s, i) for i in range(2)]
        self.q_target = [net_of(agent.critic_target, s, i) for i in range(2)]
        self.log_alpha = agent.temperature.values["log_ent_coef"][s].clone().requires_grad_()
        rate, both = agent.config.learning_rate, [p for q in self.q for p in q.parameters()]
        self.optimizers = [torch.optim.Adam(p, rate) for p in ([self.log_alpha], both, self.actor.parameters())]
        self.tau, self.gamma, self.entropy = agent.config.tau, agent.config.gamma, -float(agent.action_size)

    def policy(self, obs, noise):
        mean, log_std = self.actor(obs).chunk(2, -1)
        normal = Normal(mean, log_std.clamp(-20, 2).exp())
        u = normal.loc + normal.scale * noise
        action = u.tanh()
        return action, (normal.log_prob(u) - (1 - action.square()).log()).sum(-1)

    def step(self, which, loss):
        self.optimizers[which].zero_grad()
        loss.backward()
        self.optimizers[which].step()

    def update(self, obs, next_obs, action, reward, continues, noise, next_noise):
        alpha = self.log_alpha.detach().exp()
        _, log_prob = self.policy(obs, noise)
        self.step(0, -(self.log_alpha * (log_prob.detach() + self.entropy)).mean())
        with torch.no_grad():
            next_action, next_log_prob = self.policy(next_obs, next_noise)
            next_q = torch.min(*(q(next_obs, next_action)[:, 0] for q in self.q_target))
            target = reward + self.gamma * continues * (next_q - alpha * next_log_prob)
        mse = torch.nn.functional.mse_loss
        critic_loss = 0.5 * sum(mse(q(obs, action)[:, 0], target) for q in self.q)
        self.step(1, critic_loss)
        drawn, log_prob = self.policy(obs, noise)
        actor_loss = (alpha * log_prob - torch.min(*(q(obs, drawn)[:, 0] for q in self.q))).mean()
        self.step(2, actor_loss)
        self.losses = torch.stack((critic_loss, actor_loss)).detach()
        for q, q_target in zip(self.q, self.q_target, strict=True):
            polyak(q, q_target, self.tau)


def test_updates_are_those_of_one_seed_in_plain_torch(aim):
    agent = SAC(aim, seeds=3, net_arch=(8, 6), batch_size=16, learning_rate=1e-2, tau=0.1, learning_starts=10**6)
    agent.learn(200)
    plain = [PlainSAC(agent, s) for s in range(3)]
    for rows, noises in recorded(agent, 5):
        for s in range(3):
            plain[s].update(*(part[s] for part in rows), *(noise[s] for noise in noises))
    for s in range(3):
        ours = torch.stack([agent._last[name][s] for name in ("critic_loss", "actor_loss")])
        torch.testing.assert_close(ours, plain[s].losses, rtol=1e-4, atol=1e-5)
        assert_same(plain[s].actor, agent.actor, s)
        for i in range(2):
            assert_same(plain[s].q[i], agent.critic, s, i)
            assert_same(plain[s].q_target[i], agent.critic_target, s, i)
        torch.testing.assert_close(plain[s].log_alpha.data, agent.temperature.values["log_ent_coef"][s])
    assert not np.isclose(agent._temperatures().numpy(), 1.0).any()


def test_the_density_is_that_of_the_normal_numbers_changed_by_tanh():
    draw = torch.Generator().manual_seed(0)
    pi, noise = 0.3 * torch.randn(2, 50, 6, generator=draw), torch.randn(2, 50, 3, generator=draw)
    action, log_prob = squashed(pi, noise)
    mean, log_std = pi.double().chunk(2, -1)
    squash = TransformedDistribution(Normal(mean, log_std.exp()), TanhTransform(cache_size=1))
    u = mean + log_std.exp() * noise.double()
    torch.testing.assert_close(action, u.tanh().float())
    torch.testing.assert_close(log_prob, squash.log_prob(u.tanh()).sum(-1).float(), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(squashed_sample(pi.numpy(), noise.numpy()), action, rtol=1e-5, atol=1e-6)


def test_the_density_integrates_to_one_and_stays_finite_where_tanh_rounds_to_one():
    noise = torch.linspace(-8, 8, 20_001)[None, :, None]  # [1, B, 1]
    action, log_prob = squashed(torch.tensor([0.3, -0.2]).expand(1, 20_001, 2), noise)
    assert torch.trapezoid(log_prob[0].double().exp(), action[0, :, 0].double()).item() == pytest.approx(1.0, abs=1e-3)
    far, log_prob = squashed(torch.tensor([[[50.0, 0.0]]], requires_grad=True), torch.zeros(1, 1, 1))
    assert far.item() == 1.0
    expected = -0.5 * math.log(2 * math.pi) - 2 * (math.log(2) - 50.0)
    assert log_prob.item() == pytest.approx(expected, rel=1e-5)
    log_prob.backward()


def test_a_learnt_temperature_rises_while_the_entropy_is_too_low_and_a_fixed_one_stays(aim):
    low, high = (SAC(aim, target_entropy=h, seeds=2, **SMALL).learn(200) for h in (-50.0, 5.0))
    assert (low._temperatures() < 1.0).all()
    assert (high._temperatures() > 1.0).all()
    fixed = SAC(aim, ent_coef=0.3, **SMALL).learn(200)
    assert fixed._metrics()["train/ent_coef"] == pytest.approx(0.3)
    assert not any("temperature" in name for name in fixed.state_dict())
    assert SAC(aim, ent_coef="auto_0.1")._temperatures().item() == pytest.approx(0.1)


# ------------------------------------------------------------------------------------------------- the seed axis


def test_a_seed_takes_the_same_200_steps_alone_and_among_others():
    def actions(seeds, s):
        agent = SAC("Pendulum-v1", seeds=seeds, **SMALL | {"net_arch": (16,)}).learn(200)
        return agent.replay.rows[s, :200, 6]

    among, alone = actions(4, 2), actions([2], 0)
    assert np.array_equal(among[:102], alone[:102])
    np.testing.assert_allclose(among, alone, atol=1e-4)
    assert not np.array_equal(among, actions(4, 1))


def test_the_two_critics_and_the_actor_begin_with_weights_of_their_own(aim):
    for options in ({"net_arch": ()}, {"network": network}):
        agent = SAC(aim, seeds=2, **options)
        weights = torch.cat(
            [value.flatten(1) for value in (*agent.actor.values.values(), *agent.critic.values.values())], 1
        )
        for row in weights:
            assert len(row.abs().unique()) == len(row)
        assert torch.equal(agent.critic.flat, agent.critic_target.flat)


# ----------------------------------------------------------------------------------------------------- learning


def test_before_learning_starts_actions_are_uniform_over_the_box():
    env = lambda: gym.wrappers.RescaleAction(gym.make("Pendulum-v1"), np.float32(-3.0), np.float32(5.0))  # noqa: E731
    agent = SAC(env, learning_starts=4_000).learn(4_000)
    stored = np.sort(agent.replay.rows[0, :4_000, 6])
    assert np.abs(stored - np.linspace(-1, 1, 4_000)).max() < 0.06  # Kolmogorov: 0.05 at 1 in 50
    assert agent.n_updates == 0


def test_actions_reach_the_bounds_of_a_box_and_are_stored_between_minus_one_and_one(aim):
    class Wide(aim):
        action_space = gym.spaces.Box(np.array([-1.0, 10.0]), np.array([3.0, 30.0]), dtype=np.float64)

        def step(self, action):
            assert self.action_space.contains(np.asarray(action, np.float64))
            seen.append(action)
            return self._show(), 0.0, False, False, {}

    seen = []
    agent = SAC(Wide, learning_starts=300).learn(300)
    stored = agent.replay.rows[0, :300, 2:4]
    np.testing.assert_allclose(seen, np.array([1.0, 20.0]) + stored * np.array([2.0, 10.0]), rtol=1e-5)
    assert (np.abs(stored) <= 1.0).all()
    agent.actor.flat.fill_(50.0)
    np.testing.assert_allclose(agent.predict(np.ones(1), deterministic=True)[0], [3.0, 30.0])


def test_a_tiny_env_is_solved_and_a_file_keeps_all_that_was_learnt(aim, tmp_path):
    agent = SAC(aim, seeds=2, **SMALL).learn(1_500)
    assert (evaluate(agent, aim, episodes=10).mean(1) > -0.1).all()  # uniform actions earn about -5.4
    agent.save(tmp_path / "agent")
    loaded = SAC.load(tmp_path / "agent", env=aim)
    for name, array in agent.state_dict().items():
        assert torch.equal(array, loaded.state_dict()[name])
    assert loaded.learn(100, reset_num_timesteps=False).num_timesteps == 1_600


def network(inputs, outputs, width=8):
    return torch.nn.Sequential(torch.nn.Linear(inputs, width), torch.nn.Tanh(), torch.nn.Linear(width, outputs))


class Doubled(torch.nn.Module):
    """A features extractor: an observation and its square."""

    features_dim = 2

    def forward(self, obs):
        return torch.cat((obs, obs.square()), -1)


def test_networks_and_features_of_the_users_learn_and_a_file_asks_for_them(aim, tmp_path):
    own = {"network": network, "features_extractor": Doubled()}
    agent = SAC(aim, seeds=2, **own, **SMALL | {"batch_size": 16}).learn(150)
    assert agent.n_updates == 50
    assert agent.actor.values["module.0.weight"].shape == (2, 8, 2)
    assert agent.critic.values["module.1.0.weight"].shape == (2, 8, 4)
    agent.save(tmp_path / "agent", training=True)
    with pytest.raises(ValueError, match="features_extractor is missing"):
        SAC.load(tmp_path / "agent", network=network)
    with pytest.raises(ValueError, match="network is missing"):
        SAC.load(tmp_path / "agent", features_extractor=Doubled())
    loaded, obs = SAC.load(tmp_path / "agent", **own), np.ones((2, 1))
    assert np.array_equal(*(one.predict(obs, deterministic=True)[0] for one in (agent, loaded)))


class Rest(gym.Env):
    """One state, in which an action near 1 earns 2 and ends the episode, and any other earns 1."""

    observation_space = gym.spaces.Box(0.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, truncates):
        self.truncates = truncates

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.ones(1, np.float32), {}

    def step(self, action):
        over = bool(action[0] > 0.0)
        return np.ones(1, np.float32), 1.0 + over, over and not self.truncates, over and self.truncates, {}


@pytest.mark.parametrize(("truncates", "worth"), [(False, [10.0, 2.0]), (True, [19.0, 20.0])])
def test_critics_bootstrap_through_truncation_and_not_through_termination(truncates, worth):
    options = SMALL | {"gamma": 0.9, "ent_coef": 0.01, "learning_rate": "lin_1e-2", "tau": 0.05}
    agent = SAC(lambda: Rest(truncates), seeds=2, **options).learn(1_500)
    obs = torch.ones(2, 2, 1)
    with torch.no_grad():
        q = agent.critic(obs, torch.tensor([[-0.5], [0.5]]).expand(2, 2, 1)).amin(-1)
    sides = agent.predict(np.ones((2, 1)), deterministic=True)[0][:, 0] > 0
    assert (sides == (worth[1] > worth[0])).all()
    np.testing.assert_allclose(q, [worth, worth], rtol=0.15)


@pytest.mark.parametrize("portfolio", [False, True])
def test_it_trades_one_instrument_and_several(portfolio):
    name, keywords = ("PortfolioEnv-v0", {}) if portfolio else ("TradingEnv-v0", {"actions": "continuous"})
    spec = dataclasses.replace(
        gym.spec(name), kwargs={"window": 3, "episode_length": 20, "random_start": True, **keywords}
    )
    agent = SAC(spec, seeds=2, n_envs=2, net_arch=(16,), batch_size=32, normalize_reward=True).learn(120)
    assert agent.n_updates == 10
    assert evaluate(agent, spec, episodes=2).shape == (2, 2)


@pytest.mark.slow
def test_pendulum_swings_up():
    agent = SAC("Pendulum-v1", seeds=2, **vars(PRESETS["Pendulum-v1"].config)).learn(6_000)
    assert (evaluate(agent, "Pendulum-v1", episodes=20).mean(1) > -250).all()


# ---------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"ent_coef": "automatic"}, ValueError),
        ({"ent_coef": "auto_0"}, ValueError),
        ({"ent_coef": "auto_x"}, ValueError),
        ({"ent_coef": -0.1}, ValueError),
        ({"target_entropy": "none"}, TypeError),
        ({"target_entropy": math.inf}, ValueError),
        ({"target_update_interval": 0}, ValueError),
        ({"n_steps": 0}, ValueError),
        ({"tau": 0.0}, ValueError),
        ({"gradient_steps": 0}, ValueError),
        ({"batch_size": 2.0}, TypeError),
    ],
)
def test_bad_arguments_are_refused_by_name(aim, bad, error):
    with pytest.raises(error, match=next(iter(bad))):
        SAC(aim, **bad)


def test_discrete_actions_are_refused():
    with pytest.raises(ValueError, match="action_space must be a Box for SAC, got Discrete"):
        SAC("CartPole-v1")
