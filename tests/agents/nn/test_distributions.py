import gymnasium as gym
import numpy as np
import torch

from agents.envs.seed_envs import Spaces
from agents.nn.distributions import Categorical, Gaussian, distribution_for

S, B, A = 3, 7, 4


def draws(seed: int = 0):
    stream = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=stream)


def test_torchs_distributions_take_actions_as_they_are_stored():
    logits = torch.tensor([[[0.0, np.log(3.0)]]]).float()
    discrete = Categorical(2).given(logits, None)
    torch.testing.assert_close(discrete.log_prob(torch.tensor([[[1.0]]])), torch.tensor([[np.log(0.75)]]).float())
    torch.testing.assert_close(discrete.entropy(), torch.tensor([[0.5623351]]))
    box = Gaussian(2).given(torch.tensor([[[1.0, -1.0]]]), torch.tensor([[[0.0, np.log(2.0)]]]).float())
    expected = -0.5 * (4.0 + 0.25) - np.log(2.0) - np.log(2.0 * np.pi)  # two and one half deviations away
    torch.testing.assert_close(box.log_prob(torch.tensor([[[3.0, 0.0]]])), torch.tensor([[expected]]).float())
    torch.testing.assert_close(box.entropy(), torch.tensor([[1.0 + np.log(2.0 * np.pi) + np.log(2.0)]]).float())


def test_categorical_draws_each_action_as_often_as_it_should():
    logits = np.log(np.array([[[0.1, 0.2, 0.0001, 0.6999]]], np.float32)).repeat(40_000, 1)
    noise = np.random.default_rng(0).random((1, 40_000))
    share = np.bincount(Categorical(4).sample(logits, noise, None)[0], minlength=4) / 40_000
    np.testing.assert_allclose(share, [0.1, 0.2, 0.0001, 0.6999], atol=0.01)


def test_categorical_inverts_the_cumulated_probabilities_and_bears_large_logits():
    logits = np.array([[[1000.0, 1000.0, -1000.0]] * 4], np.float32)
    noise = np.array([[0.0, 0.49, 0.51, 1 - 1e-12]])
    assert Categorical(3).sample(logits, noise, None).tolist() == [[0, 0, 1, 1]]


def test_gaussian_draws_have_their_mean_and_standard_deviation():
    pi, log_std = np.full((1, 20_000, 2), [3.0, -1.0], np.float32), np.log(np.array([[[0.5, 2.0]]], np.float32))
    noise = np.random.default_rng(0).standard_normal((1, 40_000))
    drawn = Gaussian(2).sample(pi, noise, log_std)
    assert drawn.dtype == np.float32
    np.testing.assert_allclose(drawn.mean((0, 1)), [3.0, -1.0], atol=0.05)
    np.testing.assert_allclose(drawn.std((0, 1)), [0.5, 2.0], rtol=0.02)


def test_the_mode_is_the_largest_logit_or_the_mean():
    pi = np.array([[[0.0, 2.0, 1.0]]], np.float32)
    assert Categorical(3).mode(pi).tolist() == [[1]]
    assert Gaussian(3).mode(pi) is pi


def test_the_distribution_follows_the_space_of_actions():
    box = gym.spaces.Box(-1, 1, (3,))
    discrete = distribution_for(Spaces.of(box, gym.spaces.Discrete(5)))
    continuous = distribution_for(Spaces.of(box, gym.spaces.Box(-1, 1, (2, 3))))
    assert (discrete.n_outputs, discrete.action_size, discrete.noise_size) == (5, 1, 1)
    assert (continuous.n_outputs, continuous.action_size, continuous.noise_size) == (6, 6, 6)
