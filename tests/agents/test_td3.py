"""TD3: its update against plain torch for one seed, and that it learns."""

import numpy as np
import pytest
import torch

from agents.base.evaluation import evaluate
from agents.td3 import TD3
from tests.agents.plain import assert_same, net_of, polyak, recorded

SMALL = {"learning_rate": 3e-3, "net_arch": (32, 32), "batch_size": 64, "learning_starts": 100, "gamma": 0.5}


class PlainTD3:
    """One seed of TD3, written as in a textbook with torch's own layers and optimisers."""

    def __init__(self, agent, s):
        self.actor, self.actor_target = net_of(agent.actor, s), net_of(agent.actor_target, s)
        self.q = [net_of(agent.critic, s, i) for i in range(2)]
        self.q_target = [net_of(agent.critic_target, s, i) for i in range(2)]
        rate, both = agent.config.learning_rate, [p for q in self.q for p in q.parameters()]
        self.critic_optimizer, self.actor_optimizer = (
            torch.optim.Adam(p, rate) for p in (both, self.actor.parameters())
        )
        self.config, self.updates = agent.config, 0

    def update(self, obs, next_obs, action, reward, continues, noise):
        config, mse = self.config, torch.nn.functional.mse_loss
        with torch.no_grad():
            clip = config.target_noise_clip
            smoothing = (noise * config.target_policy_noise).clamp(-clip, clip)
            next_action = (torch.tanh(self.actor_target(next_obs)) + smoothing).clamp(-1, 1)
            next_q = torch.min(*(q(next_obs, next_action)[:, 0] for q in self.q_target))
            target = reward + config.gamma * continues * next_q
        self.critic_optimizer.zero_grad()
        self.critic_loss = sum(mse(q(obs, action)[:, 0], target) for q in self.q)
        self.critic_loss.backward()
        self.critic_optimizer.step()
        self.updates += 1
        if self.updates % config.policy_delay == 0:
            self.actor_optimizer.zero_grad()
            (-self.q[0](obs, torch.tanh(self.actor(obs))).mean()).backward()
            self.actor_optimizer.step()
            for net, target in zip((*self.q, self.actor), (*self.q_target, self.actor_target), strict=True):
                polyak(net, target, config.tau)


def test_updates_are_those_of_one_seed_in_plain_torch(aim):
    options = {"policy_delay": 3, "target_policy_noise": 0.4, "target_noise_clip": 0.3, "tau": 0.1}
    sizes = {"net_arch": (8, 6), "batch_size": 16, "learning_rate": 1e-2, "learning_starts": 10**6}
    agent = TD3(aim, seeds=3, **options, **sizes).learn(200)
    agent.actor_target.flat.mul_(6.0)  # so that noisy actions would leave the Box
    plain = [PlainTD3(agent, s) for s in range(3)]
    for rows, noises in recorded(agent, 7):
        for s in range(3):
            plain[s].update(*(part[s] for part in rows), noises[0][s])
    for s in range(3):
        torch.testing.assert_close(agent._last["critic_loss"][s], plain[s].critic_loss.detach(), rtol=1e-4, atol=1e-5)
        assert_same(plain[s].actor, agent.actor, s)
        assert_same(plain[s].actor_target, agent.actor_target, s)
        for i in range(2):
            assert_same(plain[s].q[i], agent.critic, s, i)
            assert_same(plain[s].q_target[i], agent.critic_target, s, i)


def test_training_adds_noise_of_the_size_asked_for_and_greedy_actions_have_none(aim):
    agent, obs = TD3(aim, seeds=2, action_noise=0.2, net_arch=(4,)), np.zeros((2, 4_000, 1))
    greedy, noisy = (agent.predict(obs, deterministic=flag)[0] for flag in (True, False))
    assert np.ptp(greedy, axis=1).max() == 0.0
    assert (noisy - greedy).std((1, 2, 3)) / 0.75 == pytest.approx([0.2, 0.2], rel=0.05)  # the Box is 0.75 wide
    assert np.abs(noisy).max() <= 0.75


def test_the_actor_and_the_targets_rest_between_delayed_updates(aim):
    agent = TD3(aim, policy_delay=3, **SMALL | {"batch_size": 8})
    moves = []

    def callback(agent):
        moves.append([float(net.flat.sum()) for net in (agent.actor, agent.actor_target, agent.critic_target)])

    agent.learn(109, callback=callback)
    changed = np.diff(moves, axis=0).any(1)[99:]  # after each of the 9 updates
    assert changed.tolist() == [False, False, True] * 3
    assert set(agent._metrics()) >= {"train/critic_loss", "train/actor_loss"}


def test_a_tiny_env_is_solved_and_a_file_keeps_all_that_was_learnt(aim, tmp_path):
    agent = TD3(aim, seeds=2, **SMALL).learn(1_200)
    assert (evaluate(agent, aim, episodes=10).mean(1) > -0.1).all()  # uniform actions earn about -5.4
    agent.save(tmp_path / "agent")
    loaded = TD3.load(tmp_path / "agent", env=aim)
    for name, array in agent.state_dict().items():
        assert torch.equal(array, loaded.state_dict()[name])
    assert loaded.learn(50, reset_num_timesteps=False).num_timesteps == 1_250


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"policy_delay": 0}, ValueError),
        ({"action_noise": -0.1}, ValueError),
        ({"action_noise": "normal"}, TypeError),
        ({"target_policy_noise": -1.0}, ValueError),
        ({"target_noise_clip": float("nan")}, ValueError),
        ({"n_steps": 0}, ValueError),
        ({"tau": 1.5}, ValueError),
    ],
)
def test_bad_arguments_are_refused_by_name(aim, bad, error):
    with pytest.raises(error, match=next(iter(bad))):
        TD3(aim, **bad)


def test_discrete_actions_are_refused():
    with pytest.raises(ValueError, match="action_space must be a Box for TD3, got Discrete"):
        TD3("CartPole-v1")
