"""The compiled gradients are the definitions': of losses in the algorithms' files, by autograd."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from agents import A2C, PPO, REINFORCE

S, ROWS, UPDATES = 3, 40, 50


def pair(algorithm: Any, env: Any, **options: Any) -> tuple[Any, Any]:
    """An agent that learns by compiled gradients, and one that learns by autograd's."""
    made = [algorithm(env, seeds=S, device="cpu", fused=fused, **options) for fused in (True, False)]
    for agent in made:
        agent.net.flat.add_(0.05 * torch.randn(agent.net.flat.shape, generator=torch.Generator().manual_seed(1)))
        agent._rate, agent._entropy_weight = 1e-3, 0.02
    return made[0], made[1]


def batches(agent: Any) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Rows of observations and actions, and three random numbers beside each."""
    draw = torch.Generator().manual_seed(0)
    D, K = agent.spaces.obs_size, agent.distribution.action_size
    for _ in range(UPDATES):
        rows = torch.randn(S, ROWS, D + K, generator=draw)
        if not agent.spaces.continuous:
            rows[..., D:] = torch.randint(agent.spaces.n_actions, (S, ROWS, K), generator=draw)
        yield rows, torch.randn(3, S, ROWS, generator=draw)


def check_same(by_hand: Any, defined: Any, losses: Any, expected: Any, learnt: Any = slice(None)) -> None:
    tolerance = 3e-6 if defined.spaces.continuous else 1e-6  # autograd's sums of z^2 - 1 lose a digit
    grads = [torch.cat([grad[learnt].flatten() for grad in agent.net.grads.values()]) for agent in (by_hand, defined)]
    assert (grads[0] - grads[1]).norm() <= tolerance * grads[1].norm()
    assert (by_hand.net.flat - defined.net.flat).abs().max() <= 1e-6
    for term, other in zip(losses, expected, strict=True):
        torch.testing.assert_close(term, other.detach(), rtol=1e-5, atol=1e-5)


@pytest.fixture(params=["discrete", "box"])
def env(request, match_env, aim):
    return match_env if request.param == "discrete" else aim


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shared_network": True, "normalize_advantage": True},
        {"activation": "relu", "use_rms_prop": False, "net_arch": (7,)},
        {"net_arch": (), "normalize_advantage": True},
    ],
)
def test_a2c(env, options):
    by_hand, defined = pair(A2C, env, **options)
    for rows, (value, advantage, _) in batches(defined):
        for agent in (by_hand, defined):
            agent._update(rows, value, advantage)
        check_same(by_hand, defined, by_hand._last[0], defined._last[0])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shared_network": True, "clip_range_vf": 0.3},
        {"activation": "relu", "normalize_advantage": False, "net_arch": (7,)},
        {"clip_range_vf": 0.3, "target_kl": 0.03, "net_arch": (9, 8, 7)},
    ],
)
def test_ppo(env, options):
    both = by_hand, defined = pair(PPO, env, batch_size=17, **options)  # 40 rows: two batches of 17, one of 6
    order = np.stack([np.random.default_rng(s).permutation(ROWS) for s in range(S)])
    everyone, stopped = np.ones(S, bool), 0
    for rows, estimates in itertools.islice(batches(defined), UPDATES // 3 + 1):
        policy, _ = defined.net(rows[..., : defined.spaces.obs_size])
        log_prob = policy.log_prob(rows[..., defined.spaces.obs_size :]).detach() + 0.3 * estimates[2]
        whole = torch.cat((rows, log_prob[..., None], torch.stack((*estimates[:2], estimates.sum(0)), -1)), -1)
        for agent in both:
            agent._range = 0.2
            agent._last.losses.clear()
        active = by_hand._fused_epoch(whole, order, everyone), defined._epoch(whole, order, everyone)
        stopped += S - active[0].sum()
        assert (active[0] == active[1]).all()
        assert everyone.all()
        losses = ([torch.cat(column, 1) for column in zip(*agent._last.losses, strict=True)] for agent in both)
        check_same(*both, *losses, learnt=active[0])
    assert by_hand.n_updates == defined.n_updates
    assert (0 < stopped < S * (UPDATES // 3 + 1)) == ("target_kl" in options)


@pytest.mark.parametrize(
    "options",
    [{}, {"value_baseline": True, "normalize_advantage": False}, {"value_baseline": True, "shared_network": True}],
)
def test_reinforce(env, options):
    by_hand, defined = pair(REINFORCE, env, **options)
    for u, (rows, (returns, *_)) in enumerate(batches(defined)):
        s = u % S
        for agent in (by_hand, defined):
            agent.optimizer.eps = 1e-5  # gradients of the size of their rounding must not take whole steps
            agent.net.zero_grad()
            agent._update(s, rows[s : s + 1], returns[s : s + 1], 1e-3)
        check_same(by_hand, defined, *(torch.from_numpy(agent._means[s]) for agent in (by_hand, defined)))
