import numpy as np
import pytest
import torch

from agents.common.returns import discounted_returns, explained_variance, gae, normalized

RNG = np.random.default_rng(0)


def column(*numbers: float) -> np.ndarray:
    """Numbers of one env of one seed over time, [1, T, 1]."""
    return np.array(numbers, np.float32)[None, :, None]


def flags(*numbers: int) -> np.ndarray:
    return column(*numbers).astype(bool)


def test_discounted_returns_by_hand():
    assert discounted_returns(np.array([1.0, 2.0, 4.0]), 0.5).tolist() == [3.0, 4.0, 4.0]
    assert discounted_returns(np.array([1.0, 2.0, 4.0]), 0.5, last_value=8.0).tolist() == [4.0, 6.0, 8.0]
    assert discounted_returns(np.array([1.0, 2.0]), 0.0).tolist() == [1.0, 2.0]
    assert discounted_returns(np.array([]), 0.9).tolist() == []


def test_with_lambda_0_the_advantage_is_the_td_error():
    reward, value, next_value = column(1, 2, 4, 8), column(10, 20, 30, 40), column(20, 30, 6, 50)
    terminated, ended = flags(0, 1, 0, 0), flags(0, 1, 1, 0)
    advantage = gae(reward, value, next_value, terminated, ended, gamma=0.5, gae_lambda=0.0)
    assert advantage[0, :, 0].tolist() == [1 + 10 - 10, 2 - 20, 4 + 3 - 30, 8 + 25 - 40]


def test_with_lambda_1_it_is_the_n_step_return_less_the_value_within_each_episode():
    reward, value, next_value = column(1, 2, 4, 8), column(10, 20, 30, 40), column(20, 30, 6, 50)
    terminated, ended = flags(0, 1, 0, 0), flags(0, 1, 1, 0)
    advantage = gae(reward, value, next_value, terminated, ended, gamma=0.5, gae_lambda=1.0)
    returns = [1 + 0.5 * 2, 2, 4 + 0.5 * 6, 8 + 0.5 * 50]  # terminated after step 1, truncated after step 2
    assert (advantage + value)[0, :, 0].tolist() == returns
    advantage = gae(reward, value, column(20, 30, 40, 50), flags(0, 0, 0, 0), flags(0, 0, 0, 0), 0.5, 1.0)
    assert (advantage + value)[0, 0, 0] == 1 + 0.5 * 2 + 0.25 * 4 + 0.125 * 8 + 0.0625 * 50


def test_any_lambda_by_the_definition_as_a_sum_over_errors():
    S, T, N, gamma, decay = 2, 12, 3, 0.9, 0.7
    reward, value, next_value = RNG.normal(size=(3, S, T, N)).astype(np.float32)
    terminated = RNG.random((S, T, N)) < 0.2
    ended = terminated | (RNG.random((S, T, N)) < 0.2)
    advantage = gae(reward, value, next_value, terminated, ended, gamma, decay)
    error = reward + gamma * next_value * ~terminated - value
    for s, t, n in np.ndindex(S, T, N):
        expected, k = 0.0, t
        while True:
            expected += (gamma * decay) ** (k - t) * error[s, k, n]
            if ended[s, k, n] or k == T - 1:
                break
            k += 1
        assert advantage[s, t, n] == pytest.approx(expected, abs=1e-5)


def test_the_value_after_a_termination_counts_for_nothing_even_if_it_is_not_a_number():
    nan = float("nan")
    advantage = gae(column(3), column(1), column(nan), flags(1), flags(1), gamma=0.9, gae_lambda=0.9)
    assert advantage.item() == 2.0


def test_each_seed_is_normalised_by_itself():
    x = torch.tensor([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
    torch.testing.assert_close(normalized(x), torch.tensor([[-1.0, 0.0, 1.0]] * 2))
    assert normalized(torch.tensor([[5.0], [7.0]])).tolist() == [[5.0], [7.0]]
    assert normalized(torch.full((1, 4), 5.0)).tolist() == [[0.0] * 4]


def test_what_does_not_count_has_no_part_in_mean_and_deviation():
    x = torch.tensor([[1.0, 2.0, 100.0, 3.0], [5.0, 7.0, 8.0, 9.0]])
    counts = torch.tensor([[1.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0]])
    result = normalized(x, counts)
    torch.testing.assert_close(result[0, [0, 1, 3]], torch.tensor([-1.0, 0.0, 1.0]))
    assert torch.equal(result[1], x[1])  # one number has no deviation
    torch.testing.assert_close(normalized(x, torch.ones_like(x)), normalized(x))


def test_explained_variance_is_1_for_the_truth_0_for_a_constant_and_negative_for_worse():
    returns = np.array([[1.0, 2.0, 3.0]] * 3 + [[2.0, 2.0, 2.0]])
    value = np.array([[1.0, 2.0, 3.0], [9.0, 9.0, 9.0], [3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    np.testing.assert_allclose(explained_variance(value, returns), [1.0, 0.0, -3.0, np.nan])
