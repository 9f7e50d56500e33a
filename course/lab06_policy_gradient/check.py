"""Checks of lab 6."""

from typing import Any

import numpy as np
import torch
from torch.distributions import Categorical as TorchCategorical

from agents.common import returns as project
from agents.nn.distributions import Categorical
from agents.reinforce import reinforce_loss
from course.checking import Checks, Wrong, agree, same

CHECKS = Checks()


@CHECKS.add("discounted_returns", "the project's", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    reward, gamma = rng.normal(size=12), float(rng.uniform(0.6, 0.9))
    right = project.discounted_returns(reward, gamma)
    powers = gamma ** np.arange(12)
    total = float(powers @ reward)
    mistakes = {
        "gamma is missing": reward[::-1].cumsum()[::-1],
        "these are sums of the past: the return of t begins at t": reward.cumsum(),
        "the returns are in reverse order": right[::-1],
        "every step has the return of the whole episode: begin at t": np.full(12, total),
        "the reward of the step itself is missing": np.append(right[1:], 0.0),
        "the step's own reward is discounted too": gamma * right,
        "discounted from the start of the episode: the first reward after t has the weight 1": right * powers,
        "this is one number: a return for every step is needed": total,
    }
    agree("the returns", student.discounted_returns(reward.copy(), gamma), right, mistakes, rtol=1e-6)


@CHECKS.add("draw_action", "as often as softmax says", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    logits, n = torch.tensor([0.0, 1.0, -0.5, 0.4]), 4_000
    actions = [student.draw_action(logits, rng) for _ in range(n)]
    if not all(isinstance(action, int | np.integer) for action in actions):
        raise Wrong(f"draw_action must return an int, got {type(actions[0]).__name__}")
    if not set(actions) <= {0, 1, 2, 3}:
        raise Wrong("draw_action must return 0 to 3 where there are 4 logits")
    share, right = np.bincount(actions, minlength=4) / n, torch.softmax(logits, 0).numpy()
    if np.abs(share - right).max() < 0.04:
        return
    if share[1] == 1.0:
        raise Wrong("the most probable action is always taken: draw it")
    if np.abs(share - 0.25).max() < 0.04:
        raise Wrong("all actions are drawn alike: use the probabilities")
    raise Wrong(f"action 1 must be drawn in {right[1]:.0%} of cases, got {share[1]:.0%}")


@CHECKS.add("normalised", "mean 0 and deviation 1", 1)
def _(student: Any, rng: np.random.Generator) -> None:
    x = torch.as_tensor(rng.normal(rng.uniform(2, 5), rng.uniform(2, 5), 15))
    mistakes = {
        "the mean is not subtracted": x / x.std(),
        "not divided by the deviation": x - x.mean(),
        "divided by the variance": (x - x.mean()) / x.var(),
        "the divisor of the variance is n: use n - 1": (x - x.mean()) / x.std(correction=0),
    }
    agree("the numbers", student.normalised(x.clone()), project.normalized(x[None])[0], mistakes)
    if not np.isfinite(np.asarray(student.normalised(torch.ones(4)))).all():
        raise Wrong("equal numbers give NaN: add 1e-8 to the deviation")


@CHECKS.add("policy_loss", "the project's loss and gradient", 3)
def _(student: Any, rng: np.random.Generator) -> None:
    logits = torch.as_tensor(rng.normal(size=(10, 3))).requires_grad_()
    action, advantage = torch.as_tensor(rng.integers(3, size=10)), torch.as_tensor(rng.normal(1.0, 1.0, 10))
    policy = Categorical.given(None, logits[None], None)  # type: ignore[arg-type]
    right, _ = reinforce_loss(policy, torch.zeros(1, 10), action[None, :, None], advantage[None], False, 0.0, 0.0)
    log_pi = TorchCategorical(logits=logits).log_prob(action)
    mistakes = {
        "the sign is wrong: the optimiser goes downhill, the return is to grow": (advantage * log_pi).mean(),
        "the logarithm is missing": -(advantage * log_pi.exp()).mean(),
        "the logits are no log probabilities: log_softmax makes them": -(
            advantage * logits.gather(1, action[:, None])[:, 0]
        ).mean(),
        "the loss is a sum: take the mean": -(advantage * log_pi).sum(),
        "the advantages are missing": -log_pi.mean(),
        "the mean is over all actions: take the log probability of the action taken": -(
            advantage[:, None] * torch.log_softmax(logits, 1)
        ).mean(),
        "softmax is over the batch: it is over the actions, dim=1": -(
            advantage * torch.log_softmax(logits, 0).gather(1, action[:, None])[:, 0]
        ).mean(),
        "[B] times [B, 1] is [B, B]: drop the last axis": -(advantage * log_pi[:, None]).mean(),
    }
    got = student.policy_loss(logits, action, advantage)
    agree("the loss", got, right, mistakes)
    if not got.requires_grad:
        raise Wrong("the loss has no gradient: was it detached, or made in no_grad?")
    slopes = [torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in (got, right)]
    if not same(*slopes):
        raise Wrong("the loss is right, but its gradient differs: is a part detached?")
