"""Checks of lab 4."""

from typing import Any

import numpy as np
import torch

from agents.common.returns import td_target
from agents.common.schedules import exponential
from agents.course_dqn import MaskedMLP, course_loss
from agents.memory.deque_memory import Transitions
from course.checking import Checks, Wrong, agree, same
from trading_env.analysis.metrics import sharpe_ratio

CHECKS = Checks()


def filled(student: Any, n: int) -> Any:
    """A student's memory with rows 0 to n - 1, each of which has its number in every part."""
    memory = student.Memory(n)
    for i in range(n):
        memory.add(np.full(3, i), i % 4, 10.0 * i, np.full(3, i + 0.5), i % 2)
    return memory


@CHECKS.add("Memory.sample", "five tensors of the right shapes", 1)
def _(student: Any, rng: np.random.Generator) -> None:
    batch = filled(student, 40).sample(8, rng)
    if batch is None:
        raise Wrong("sample returns None: is there a return?")
    if not isinstance(batch, tuple | list) or len(batch) != 5:
        raise Wrong("sample must return five parts: obs, action, reward, next_obs, done")
    for name, part, shape in zip(Transitions._fields, batch, ((8, 3), (8,), (8,), (8, 3), (8,)), strict=True):
        if not isinstance(part, torch.Tensor):
            raise Wrong(f"{name} must be a tensor, got {type(part).__name__}")
        if tuple(part.shape) != shape:
            raise Wrong(f"{name} must have shape {shape}, got {tuple(part.shape)}")
    if batch[1].dtype != torch.int64:
        raise Wrong(f"action must have dtype torch.int64, got {batch[1].dtype}")


@CHECKS.add("Memory.sample", "rows stay together, and none is drawn twice", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    memory, seen = filled(student, 40), set()
    for _ in range(60):
        obs, action, reward, next_obs, done = (np.asarray(part) for part in memory.sample(16, rng))
        rows = obs[:, 0].astype(int)
        if np.array_equal(obs[:, 0], obs[:, 0].astype(int) + 0.5):
            raise Wrong("obs and next_obs have changed places")
        expected = (rows % 4, 10.0 * rows, rows + 0.5, rows % 2)
        if not all(map(same, (action, reward, next_obs[:, 0], done), expected)):
            raise Wrong("the parts of a row were separated: draw rows, not each part by itself")
        if len(set(rows)) < len(rows):
            raise Wrong("a row is drawn twice: draw without repetition")
        seen |= set(rows.tolist())
    if len(seen) < 40:
        raise Wrong(f"only {len(seen)} of 40 rows were ever drawn in 60 batches of 16: draw from the whole memory")


@CHECKS.add("QNetwork.forward", "outputs times the mask", 1)
def _(student: Any, rng: np.random.Generator) -> None:
    network = student.QNetwork(4, 3)
    obs = torch.as_tensor(rng.normal(size=(6, 4)), dtype=torch.float32)
    mask = torch.nn.functional.one_hot(torch.as_tensor(rng.integers(3, size=6)), 3)
    plain = network.layers(obs)
    mistakes = {
        "the mask is ignored": plain,
        "the mask is added: multiply by it": plain + mask,
        "the masked outputs go through a softmax: values are no probabilities": torch.softmax(plain, 1) * mask,
    }
    agree("network(obs, mask)", network(obs, mask), plain * mask, mistakes)
    agree("network(obs)", network(obs), plain)


def lookup(obs: torch.Tensor, mask: Any = 1.0) -> torch.Tensor:
    """Stands in for a network: its values are the numbers of the observation."""
    return obs * mask


@CHECKS.add("act", "the best action where epsilon is 0", 1)
def _(student: Any, rng: np.random.Generator) -> None:
    obs = rng.normal(size=(50, 5)).astype(np.float32)
    got = [student.act(lookup, row, 0.0, rng) for row in obs]
    if got[0] is not None and not isinstance(got[0], int | np.integer):
        raise Wrong(f"act must return an int, got {type(got[0]).__name__}")
    mistakes = {"act takes the worst action: argmax, not argmin": obs.argmin(1)}
    agree("the action", got, obs.argmax(1), mistakes)


@CHECKS.add("act", "explores as often as epsilon says, all actions alike", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    obs, n = np.array([0.0, 1.0, 0.0, 0.0], np.float32), 4_000
    for epsilon in (0.4, 1.0):
        actions = [student.act(lookup, obs, epsilon, rng) for _ in range(n)]
        if not set(actions) <= {0, 1, 2, 3}:
            raise Wrong(f"act returns {max(actions)} where there are 4 actions, 0 to 3")
        share = np.bincount(actions, minlength=4) / n
        right = np.full(4, epsilon / 4) + (1.0 - epsilon) * np.eye(4)[1]
        if np.abs(share - right).max() < 0.04:
            continue
        if share[1] == 1.0:
            raise Wrong("act never explores")
        if abs(share[1] - (1.0 - 0.75 * (1.0 - epsilon))) < 0.04:
            raise Wrong("epsilon is the probability of a random action, not of the best one")
        if share.min() == 0.0:
            raise Wrong(f"action {share.argmin()} is never explored: all 4 must be drawn")
        raise Wrong(
            f"at epsilon={epsilon} the best action must be taken in {right[1]:.0%} of steps, got {share[1]:.0%}"
        )


@CHECKS.add("epsilon_at", "falls exponentially to its floor", 1)
def _(student: Any, rng: np.random.Generator) -> None:
    steps, decay, begin, floor = np.arange(0, 5_000, 50), rng.uniform(0.995, 0.999), int(rng.integers(70, 200)), 0.05
    got = [student.epsilon_at(int(k), begin=begin, decay=decay, floor=floor) for k in steps]
    right = exponential(1.0, floor, decay, begin)
    mistakes = {
        "epsilon falls below its floor": [decay ** max(k - begin, 0) for k in steps],
        "epsilon falls from step 0 on: it stays 1 until `begin`": [max(floor, decay**k) for k in steps],
        "epsilon is above 1 before `begin`": [max(floor, float(decay) ** int(k - begin)) for k in steps],
        "epsilon falls by a constant amount: multiply by decay": [
            max(floor, 1.0 - (1.0 - decay) * max(k - begin, 0)) for k in steps
        ],
    }
    agree("epsilon", got, [right(int(k)) for k in steps], mistakes)


@CHECKS.add("bellman_target", "reward and the discounted best next value, none after a termination", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    reward, next_values = (torch.as_tensor(rng.normal(size=shape)).float() for shape in ((8,), (8, 3)))
    done, gamma = torch.tensor([0.0, 1.0] * 4), float(rng.uniform(0.5, 0.9))
    best = next_values.amax(1)
    mistakes = {
        "a next value is added after a termination: multiply by 1 - done": reward + gamma * best,
        "done is the wrong way round: the next value counts where done is 0": reward + gamma * done * best,
        "gamma is missing": reward + (1 - done) * best,
        "the mean of the next values is taken, not the largest": reward + gamma * (1 - done) * next_values.mean(1),
        "one largest value of the whole batch is taken: the maximum is over actions, dim=1": reward
        + gamma * (1 - done) * next_values.max(),
        "argmax returns the action, not its value": reward + gamma * (1 - done) * next_values.argmax(1),
        "the reward is multiplied by 1 - done, too": (1 - done) * (reward + gamma * best),
        "the target has shape [B, B]: one part is [B, 1]": reward + gamma * (1 - done) * best[:, None],
    }
    agree(
        "the target",
        student.bellman_target(reward, done, next_values, gamma),
        td_target(reward, 1 - done, best, gamma),
        mistakes,
    )


class OneSeed(torch.nn.Module):
    """The project's network as the student's: without the seed axis."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.own = MaskedMLP((4, 16, 3), (seed,), torch.device("cpu"))

    def forward(self, obs: torch.Tensor, mask: Any = 1.0) -> torch.Tensor:
        """Values [B, A] of observations [B, D], times the mask."""
        return self.own(obs[None], mask)[0]


def drawn_batch(rng: np.random.Generator, size: int = 32) -> Transitions:
    """A random batch for OneSeed."""
    obs, next_obs = (torch.as_tensor(rng.normal(size=(size, 4))).float() for _ in range(2))
    reward, done = (torch.as_tensor(x).float() for x in (rng.normal(size=size), rng.random(size) < 0.3))
    return Transitions(obs, torch.as_tensor(rng.integers(3, size=size)), reward, next_obs, done)


def losses(rng: np.random.Generator, same_network: bool) -> tuple[Any, Any, Any, Any]:
    """Network, target network, a batch, and the project's loss of it at gamma 0.9."""
    network = OneSeed(int(rng.integers(1000)))
    target = network if same_network else OneSeed(int(rng.integers(1000)))
    batch = drawn_batch(rng)
    loss = course_loss(network.own, target.own, Transitions(*(part[None] for part in batch)), 0.9)[0]
    return network, target, batch, loss


@CHECKS.add("masked_loss", "the project's loss on the same batch", 3)
def _(student: Any, rng: np.random.Generator) -> None:
    network, target, batch, loss = losses(rng, same_network=False)
    obs, action, reward, next_obs, done = batch
    with torch.no_grad():
        values, best, own = network(obs), target(next_obs).amax(1), network(next_obs).amax(1)
        y, taken = reward + 0.9 * (1 - done) * best, values.gather(1, action[:, None])[:, 0]
        own_y = reward + 0.9 * (1 - done) * own
        mask = torch.nn.functional.one_hot(action, 3)
    mistakes = {
        "the mean is over the batch alone: divide by the number of actions, too": (taken - y).square().mean(),
        "the loss is a sum: take the mean over batch and actions": (taken - y).square().sum(),
        "the outputs are not masked": (values - mask * y[:, None]).square().mean(),
        "neither outputs nor targets are masked": (values - y[:, None]).square().mean(),
        "the targets are not masked": (values * mask - y[:, None]).square().mean(),
        "the next values come from the network, not from the target network": (taken - own_y).square().mean() / 3,
        "the errors are not squared": (taken - y).abs().mean() / 3,
        "the future counts after a termination: multiply by 1 - done": (taken - reward - 0.9 * best).square().mean()
        / 3,
    }
    agree("the loss", student.masked_loss(network, target, batch, 0.9), loss, mistakes)


@CHECKS.add("masked_loss", "no gradient flows through the target", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    network, _, batch, loss = losses(rng, same_network=True)
    network.own.zero_grad()
    loss.backward()
    expected = network.own.grad.clone()
    network.own.zero_grad()
    got = student.masked_loss(network, network, batch, 0.9)
    if not getattr(got, "requires_grad", False):
        raise Wrong("the loss has no gradient: was it detached, or made in no_grad?")
    got.backward()
    if same(network.own.grad, expected):
        return
    if not same(got, loss):
        raise Wrong("the gradient differs from the project's, since the loss does")
    raise Wrong("a gradient flows through the target: compute it in torch.no_grad()")


@CHECKS.add("sharpe", "that of trading_env.metrics", 1)
def _(student: Any, rng: np.random.Generator) -> None:
    returns, year = rng.normal(0.001, 0.01, 300), float(rng.integers(200, 366))
    ratio = returns.mean() / returns.std(ddof=1)
    mistakes = {
        "it is not annualised: multiply by the root of bars_per_year": ratio,
        "it is annualised by bars_per_year: take its root": ratio * year,
        "the mean is divided by the variance": returns.mean() / returns.var(ddof=1) * np.sqrt(year),
        "the divisor of the variance is T: use T - 1 (ddof=1)": returns.mean() / returns.std() * np.sqrt(year),
    }
    agree("the ratio", student.sharpe(returns, year), sharpe_ratio(returns, year), mistakes, rtol=1e-6)
