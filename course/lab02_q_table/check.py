"""Checks of lab 2."""

from typing import Any

import numpy as np

from agents.q_learning import update
from course.checking import Checks, Wrong, agree, same

CHECKS = Checks()


@CHECKS.add("QTable.values", "a row of zeros for a new state, and the row itself", 1)
def _(student: Any, rng: np.random.Generator) -> None:
    table = student.QTable(3)
    agree("the values of a new state", table.values(7), np.zeros(3))
    if 7 not in table.rows:
        raise Wrong("a new state must get its row in self.rows")
    table.rows[7][:] = row = rng.normal(size=3)
    agree("the values of a known state", table.values(7), row, {"a known state is set to zeros again": np.zeros(3)})
    table.values(7)[1] = 5.0
    if table.rows[7][1] != 5.0:
        raise Wrong("values must return the row itself, not a copy: changes would be lost")


def with_row(student: Any, row: Any) -> Any:
    """A table with one row, of state 0."""
    table = student.QTable(len(row))
    table.rows[0] = np.array(row, np.float64)
    return table


@CHECKS.add("QTable.choose", "epsilon-greedy", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    table, n = with_row(student, [0.0, 2.0, 1.0, -1.0]), 4_000
    for epsilon, right in ((0.0, [0, 1, 0, 0]), (0.4, [0.1, 0.7, 0.1, 0.1])):
        actions = [table.choose(0, epsilon, rng) for _ in range(n)]
        if not isinstance(actions[0], int | np.integer):
            raise Wrong(f"choose must return an int, got {type(actions[0]).__name__}")
        share = np.bincount(actions, minlength=4) / n
        if np.abs(share - right).max() < 0.04:
            continue
        if epsilon and share[1] == 1.0:
            raise Wrong("choose never explores")
        if np.abs(share - 0.25).max() < 0.04 or abs(share[1] - 0.55) < 0.04:
            raise Wrong("epsilon is the probability of a random action, not of the best one")
        if epsilon and share.min() == 0.0:
            raise Wrong(f"action {share.argmin()} is never explored")
        raise Wrong(
            f"at epsilon={epsilon} the best action must be taken in {right[1]:.0%} of cases, got {share[1]:.0%}"
        )


@CHECKS.add("QTable.choose", "equals are drawn alike", 1)
def _(student: Any, rng: np.random.Generator) -> None:
    table, n = with_row(student, [1.0, 0.0, 1.0, 1.0]), 3_000
    share = np.bincount([table.choose(0, 0.0, rng) for _ in range(n)], minlength=4) / n
    if share.max() == 1.0:
        raise Wrong("of equal actions always the same is taken: argmax returns the first")
    if np.abs(share - np.array([1, 0, 1, 1]) / 3).max() > 0.05:
        raise Wrong("the best actions must be drawn alike, and no other")
    new = {student.QTable(3).choose("new", 0.0, rng) for _ in range(50)}
    if new != {0, 1, 2}:
        raise Wrong("in a new state all actions are equal, and must be drawn alike")


@CHECKS.add("QTable.update", "the project's", 3)
def _(student: Any, rng: np.random.Generator) -> None:
    for terminated in (False, True):
        start, rate, gamma = rng.normal(size=(2, 3)), float(rng.uniform(0.2, 0.6)), float(rng.uniform(0.6, 0.9))
        reward, action = float(rng.normal()), int((start[1].argmax() + 1) % 3)  # no mistake may look right
        table = student.QTable(3, rate, gamma)
        table.rows = {0: start[0].copy(), 1: start[1].copy()}
        table.update(0, action, reward, 1, terminated)
        right = start[None].copy()
        ints = (np.array([[value]]) for value in (0, action))
        rest = (np.array([[reward]]), np.array([[terminated]]), np.array([[1]]), rate, 0.0, gamma, np.empty((1, 1)))
        update(right, np.zeros((1, 0, 3), np.int64), *ints, *rest)
        got, expected, old = np.stack([table.rows[0], table.rows[1]]), right[0], start[0, action]

        def moved(target: float, step: float = rate, place: int = action, start: Any = start) -> Any:
            """The table after another update."""
            result = start.copy()
            result[0, place] += step * (target - start[0, place])
            return result

        best = start[1].max()
        full = reward + (0.0 if terminated else gamma * best)
        mistakes = {
            "nothing is learnt: change the row itself": start,
            "a next value is added after a termination": moved(reward + gamma * best),
            "terminated is the wrong way round": moved(reward + (gamma * best if terminated else 0.0)),
            "gamma is missing": moved(reward + (0.0 if terminated else best)),
            "the mean of the next values is taken, not the largest": moved(reward + gamma * start[1].mean()),
            "the value of the same action is taken in the next state, not the largest": moved(
                reward + gamma * start[1, action]
            ),
            "the maximum is taken in the state itself, not in the next": moved(reward + gamma * start[0].max()),
            "the entry is replaced by the target: move it by the rate": moved(full, 1.0),
            "the old value is not subtracted": moved(full + old),
            "gamma takes the place of the rate": moved(full, gamma),
        }
        agree("the table", got, expected, mistakes, rtol=1e-9)
    table = student.QTable(3, 0.5, 0.9)
    table.update("a", 1, 1.0, "b", False)
    if not same(table.rows.get("a"), [0.0, 0.5, 0.0]):
        raise Wrong("an update of a new state must make its row")


class Recording:
    """A table that notes its updates."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def update(self, *transition: Any) -> None:
        """Notes a transition."""
        self.seen.append(transition)


@CHECKS.add("plan", "n remembered transitions, drawn alike", 3)
def _(student: Any, rng: np.random.Generator) -> None:
    pairs = [(state, action) for state in range(6) for action in range(2) if state + action < 6]
    model = {pair: (10.0 * i, i, i % 3 == 0) for i, pair in enumerate(pairs)}
    table, n = Recording(), 2_200
    student.plan(table, dict(model), n, rng)
    if len(table.seen) != n:
        raise Wrong(f"the table must be updated n times, {n}, got {len(table.seen)}")
    for state, action, *outcome in table.seen:
        if (state, action) not in model:
            raise Wrong(f"state {state} and action {action} were never tried together: draw from the keys of the model")
        if tuple(outcome) != model[state, action]:
            raise Wrong("an update must have the reward, next state and end that are remembered for its pair")
    counts = [sum(row[:2] == pair for row in table.seen) for pair in pairs]
    if max(counts) == n:
        raise Wrong("one pair is drawn again and again: draw anew each time")
    if np.abs(np.array(counts) / n - 1 / len(pairs)).max() > 0.03:
        raise Wrong("all remembered pairs must be drawn alike")
