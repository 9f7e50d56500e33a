"""Checks of lab 7."""

from typing import Any

import numpy as np
import torch
from torch.distributions import Categorical as TorchCategorical

from agents.a2c import a2c_loss
from agents.common.returns import gae
from agents.nn.distributions import Categorical
from course.checking import Checks, Wrong, agree, same

CHECKS = Checks()


def built(student: Any, shared: bool) -> tuple[Any, Any]:
    """The student's actor and critic, for observations of 5 numbers and 3 actions."""
    pair = student.build_networks(5, 3, 16, shared)
    if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(p, torch.nn.Module) for p in pair):
        raise Wrong("build_networks must return two modules: actor and critic")
    return pair[0], pair[1]


@CHECKS.add("build_networks", "logits for each action, and one value", 1)
def _(student: Any, rng: np.random.Generator) -> None:
    obs = torch.as_tensor(rng.normal(size=(7, 5))).float()
    for shared in (True, False):
        actor, critic = built(student, shared)
        if (logits := tuple(actor(obs).shape)) != (7, 3):
            raise Wrong(f"the actor must give logits of shape (7, 3), got {logits}: are actor and critic exchanged?")
        if (values := tuple(critic(obs).shape)) != (7, 1):
            raise Wrong(f"the critic must give values of shape (7, 1), got {values}")
        if same(actor(obs).exp().sum(1), np.ones(7)) or same(actor(obs).sum(1), np.ones(7)):
            raise Wrong("the actor ends with a softmax: it must give logits")
        if not (critic(100 * obs).abs() > 1.0).any() and (critic(100 * obs) == critic(1000 * obs)).all():
            raise Wrong("the critic ends with an activation: values may be of any size")


@CHECKS.add("build_networks", "the hidden layer is shared if it is to be, and only then", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    for shared in (True, False):
        actor, critic = built(student, shared)
        common = {id(p) for p in actor.parameters()} & {id(p) for p in critic.parameters()}
        if shared and not common:
            raise Wrong("with shared=True both must contain the same hidden layer, not two alike")
        if not shared and common:
            raise Wrong("with shared=False the networks have weights in common")
        first = [next(module.parameters()) for module in (actor, critic)]
        if not shared and same(*first):
            raise Wrong("with shared=False both begin with the same numbers: make two layers, not a copy")


@CHECKS.add("td_advantage", "the project's with gae_lambda=0", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    reward, value, following = (rng.normal(size=12).astype(np.float32) for _ in range(3))
    ended, gamma = np.arange(12) % 3 == 0, float(rng.uniform(0.6, 0.9))
    shaped = [part.reshape(1, 12, 1) for part in (reward, value, following, ended, ended)]
    right = gae(*shaped, gamma, 0.0)[0, :, 0]
    mistakes = {
        "the next value counts after a termination: multiply by 1 - terminated": reward + gamma * following - value,
        "terminated is the wrong way round": reward + gamma * ended * following - value,
        "gamma is missing": reward + ~ended * following - value,
        "the value of the state is not subtracted: this is the target": right + value,
        "the sign is wrong: what came, less what was expected": -right,
        "value and next_value are exchanged": reward + gamma * ~ended * value - following,
        "1 - terminated multiplies the value of the state, too": reward + ~ended * (gamma * following - value),
        "the value of the state is discounted too": reward + gamma * (~ended * following - value),
    }
    tensors = (torch.as_tensor(part).float() for part in (reward, value, following, ended))
    agree("the advantage", student.td_advantage(*tensors, gamma), right, mistakes)


@CHECKS.add("entropy", "in nats, for each policy", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    logits = torch.as_tensor(rng.normal(size=(6, 4)))
    right, pi = TorchCategorical(logits=logits).entropy(), torch.softmax(logits, 1)
    mistakes = {
        "the sign is wrong: entropy is not negative": -right,
        "it is in bits: use the natural logarithm": right / np.log(2.0),
        "it is one number: an entropy for each policy is needed, a sum over dim=1": right.sum(),
        "it is the mean over the batch: an entropy for each policy is needed": right.mean(),
        "the mean over actions is taken: it is a sum": right / 4,
        "the logarithm is not weighted by the probability": -pi.log().sum(1),
        "softmax is over the batch: it is over the actions, dim=1": TorchCategorical(logits=logits.T)
        .probs.T.log()
        .mul(-TorchCategorical(logits=logits.T).probs.T)
        .sum(1),
    }
    agree("the entropy", student.entropy(logits), right, mistakes)
    if not np.isfinite(np.asarray(student.entropy(torch.tensor([[0.0, 2_000.0]])))).all():
        raise Wrong("a certain policy has NaN: use log_softmax, not the log of softmax")


@CHECKS.add("a2c_loss", "the project's loss", 3)
def _(student: Any, rng: np.random.Generator) -> None:
    logits, action = torch.as_tensor(rng.normal(size=(8, 3))), torch.as_tensor(rng.integers(3, size=8))
    value, advantage, target = (torch.as_tensor(rng.normal(1.0, 1.0, 8)) for _ in range(3))
    h, v = rng.uniform(0.2, 0.9, 2)
    right = project_loss(logits, value, action, advantage, target, h, v)
    policy = project_loss(logits, value, action, advantage, target, 0.0, 0.0)
    critic, disorder = (value - target).square().mean(), TorchCategorical(logits=logits).entropy().mean()
    mistakes = {
        "the entropy has the wrong sign: it is to grow, so it is subtracted": policy + h * disorder + v * critic,
        "the policy's term has the wrong sign": -policy - h * disorder + v * critic,
        "the critic's term has the wrong sign": policy - h * disorder - v * critic,
        "the entropy is missing": policy + v * critic,
        "the critic's term is missing": policy - h * disorder,
        "entropy_weight is missing": policy - disorder + v * critic,
        "value_weight is missing": policy - h * disorder + critic,
        "the weights are exchanged": policy - v * disorder + h * critic,
        "the terms are sums: take means over the batch": 8 * right,
        "the returns stand in place of the advantage": project_loss(logits, value, action, target, target, h, v),
        "the critic's error is not squared": policy - h * disorder + v * (value - target).abs().mean(),
    }
    agree("the loss", student.a2c_loss(logits, value, action, advantage, target, h, v), right, mistakes)


@CHECKS.add("a2c_loss", "no gradient flows through advantage and target", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    logits, action = torch.as_tensor(rng.normal(size=(8, 3))), torch.as_tensor(rng.integers(3, size=8))
    value, base = (torch.as_tensor(rng.normal(size=8)).requires_grad_() for _ in range(2))
    logits.requires_grad_()
    slopes = []
    for loss in (student.a2c_loss, project_loss):
        fixed = (base - value, base) if loss is student.a2c_loss else ((base - value).detach(), base.detach())
        parts = torch.autograd.grad(
            loss(logits, value, action, *fixed, 0.1, 0.5), (logits, value, base), allow_unused=True
        )
        slopes.append([torch.zeros(8) if part is None else part for part in parts])
    if not same(slopes[0][2], np.zeros(8)):
        raise Wrong("a gradient flows through advantage or target: detach them")
    if not same(slopes[0][0], slopes[1][0]):
        raise Wrong("the gradient in the logits differs from the project's: is a part detached?")
    if not same(slopes[0][1], slopes[1][1]):
        raise Wrong("the gradient in the values differs from the project's: only the critic's term has one")


def project_loss(logits: Any, value: Any, action: Any, advantage: Any, target: Any, h: float, v: float) -> Any:
    """The project's loss without its seed axis."""
    policy = Categorical.given(None, logits[None], None)  # type: ignore[arg-type]
    return a2c_loss(policy, value[None], action[None, :, None], advantage[None], target[None], h, v)[0]
