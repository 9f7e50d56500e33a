import numpy as np
import pytest

from agents.memory.prioritized import Priorities
from agents.rainbow import Rainbow


def with_errors(errors: list[list[float]], B: int = 4, alpha: float = 1.0, capacity: int = 8) -> Priorities:
    """Priorities of the given errors [S, size], the first slots of a ring."""
    priorities = Priorities(len(errors), len(errors[0]), alpha, 1e-6)
    priorities.reserve(capacity)
    priorities.add(0, len(errors[0]), capacity)
    priorities.slots[:] = np.arange(len(errors[0]))
    priorities.update(np.array(errors))
    priorities.slots = np.zeros((len(errors), B), np.int64)
    priorities._weight = np.zeros((len(errors), B), np.float32)
    return priorities


def leaves(priorities: Priorities, s: int = 0) -> np.ndarray:
    return priorities.tree[s, priorities.tree.shape[1] // 2 :]


def test_slots_are_drawn_in_proportion_to_their_errors():
    priorities = with_errors([[1.0, -2.0, 0.0, 5.0], [4.0, 4.0, 4.0, 4.0]])
    draw, counts = np.random.default_rng(0), np.zeros((2, 8))
    for _ in range(5_000):
        slots = priorities.draw(draw.random((2, 4)))
        for s in range(2):
            counts[s] += np.bincount(slots[s], minlength=8)
    share = counts / counts.sum(1, keepdims=True)
    np.testing.assert_allclose(share[0, :4], [1 / 8, 2 / 8, 0, 5 / 8], atol=0.01)
    np.testing.assert_allclose(share[1, :4], [0.25] * 4, atol=0.01)
    assert (counts[:, 4:] == 0).all()


def test_alpha_says_how_much_more_often():
    np.testing.assert_allclose(leaves(with_errors([[1.0, 4.0]], alpha=0.5))[:2], [1.0, 2.0], rtol=1e-5)
    np.testing.assert_allclose(leaves(with_errors([[1.0, 4.0]], alpha=0.0))[:2], [1.0, 1.0])


def test_each_part_of_the_sum_gives_one_slot():
    priorities = with_errors([[1.0, 1.0, 1.0, 1.0]])
    for uniform in (0.001, 0.5, 0.999):
        assert priorities.draw(np.full((1, 4), uniform)).tolist() == [[0, 1, 2, 3]]


def test_weights_undo_the_preference_by_the_power_beta_and_their_largest_is_one():
    priorities = with_errors([[1.0, 3.0]], B=2)
    assert priorities.draw(np.array([[0.1, 0.9]])).tolist() == [[0, 1]]
    np.testing.assert_allclose(priorities.weights(2, 1.0), [[1.0, 1 / 3]], rtol=1e-5)  # P = 1/4, 3/4
    np.testing.assert_allclose(priorities.weights(2, 0.5), [[1.0, 3**-0.5]], rtol=1e-5)
    np.testing.assert_allclose(priorities.weights(2, 0.0), [[1.0, 1.0]])


def test_a_new_transition_has_the_largest_priority_that_its_seed_ever_saw():
    priorities = with_errors([[0.5, 7.0], [0.1, 0.2]])
    priorities.slots = np.array([[1], [1]])
    priorities.update(np.array([[0.5], [0.5]]))
    priorities.add(2, 1, 8)
    np.testing.assert_allclose(leaves(priorities, 0)[:3], [0.5, 0.5, 7.0], rtol=1e-5)
    np.testing.assert_allclose(leaves(priorities, 1)[:3], [0.1, 0.5, 1.0], rtol=1e-4)


def test_the_sums_hold_after_growing_and_after_the_ring_has_wrapped():
    priorities = with_errors([[1.0, 2.0, 3.0, 4.0]], capacity=4)
    priorities.reserve(11)
    priorities.add(10, 3, 11)  # slots 10, 0, 1
    tree, L = priorities.tree[0], 16
    np.testing.assert_allclose(tree[L : L + 11], [4, 4, 3, 4, 0, 0, 0, 0, 0, 0, 4], rtol=1e-5)
    for i in range(1, L):
        assert tree[i] == tree[2 * i] + tree[2 * i + 1]


def test_rounding_never_draws_an_empty_slot():
    priorities = with_errors([[1e-9, 1e9, 1e-9]], alpha=1.0)
    for uniform in np.linspace(0.0, np.nextafter(1.0, 0.0), 1_001):
        assert priorities.draw(np.full((1, 4), uniform)).max() <= 2


def test_the_agents_priorities_are_the_errors_of_the_last_batch(match_env):
    agent = Rainbow(match_env, seeds=2, learning_starts=20, train_freq=1).learn(60)
    errors = agent._last.abs().numpy()
    for s in range(2):
        last = {slot: b for b, slot in enumerate(agent.priorities.slots[s])}
        for slot, b in last.items():
            assert leaves(agent.priorities, s)[slot] == pytest.approx((errors[s, b] + 1e-6) ** 0.6, rel=1e-5)
    assert (leaves(agent.priorities)[:60] > 0).all()
    assert (leaves(agent.priorities)[60:] == 0).all()


def test_beta_grows_to_one_until_the_end_of_training(match_env, monkeypatch):
    betas = []
    weights = Priorities.weights
    monkeypatch.setattr(Priorities, "weights", lambda self, n, beta: betas.append(beta) or weights(self, n, beta))
    Rainbow(match_env, learning_starts=0, train_freq=25).learn(100)
    assert betas == pytest.approx([0.55, 0.7, 0.85, 1.0])
