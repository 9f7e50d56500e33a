"""Checks of lab 3."""

from typing import Any

import numpy as np

from course.checking import Checks, Wrong, agree

CHECKS = Checks()


@CHECKS.add("mark", "fades all traces and raises that of the state", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    trace, state = rng.uniform(0.2, 1.0, 6), int(rng.integers(6))
    gamma, decay = rng.uniform(0.6, 0.9, 2)
    visit = np.eye(6)[state]
    mistakes = {
        "the traces do not fade": trace + visit,
        "gamma is missing": decay * trace + visit,
        "lambda is missing": gamma * trace + visit,
        "the visit fades at once: fade first, then add 1": gamma * decay * (trace + visit),
        "the state's trace is set to 1: add 1": np.where(visit, 1.0, gamma * decay * trace),
        "no visit is added": gamma * decay * trace,
        "only the state's own trace fades": np.where(visit, gamma * decay * trace + 1.0, trace),
    }
    agree("the traces", student.mark(trace.copy(), state, gamma, decay), gamma * decay * trace + visit, mistakes)


def by_sums(values: Any, episode: Any, rate: float, gamma: float, decay: float, **change: Any) -> Any:
    """The values after an episode, with traces as explicit sums over the steps so far; or with a mistake."""
    values, visited = values.copy(), []
    start = values.copy()
    for state, reward, after, over in episode:
        visited.append(state)
        known = start if change.get("frozen") else values
        following = 0.0 if over and not change.get("endless") else known[after]
        error = reward + change.get("weight", gamma) * following - (0.0 if change.get("target") else known[state])
        for steps, seen in enumerate(reversed(visited)):
            values[seen] += rate * error * (gamma * decay) ** steps
    return values


@CHECKS.add("td_lambda", "values after an episode", 3)
def _(student: Any, rng: np.random.Generator) -> None:
    values, states = rng.normal(size=5), [0, 2, 1, 2, 3, 0, 4]
    rewards, rate = rng.normal(size=6), float(rng.uniform(0.1, 0.3))
    gamma, decay = (float(x) for x in rng.uniform(0.6, 0.9, 2))
    episode = [(states[t], rewards[t], states[t + 1], t == 5) for t in range(6)]
    arguments = (values, episode, rate, gamma, decay)
    mistakes = {
        "a next value counts after a termination": by_sums(*arguments, endless=True),
        "the traces are not used: only the state itself is corrected": by_sums(values, episode, rate, gamma, 0.0),
        "the traces do not fade by lambda": by_sums(values, episode, rate, gamma, 1.0),
        "gamma is missing in the error": by_sums(*arguments, weight=1.0),
        "the state's own value is not subtracted": by_sums(*arguments, target=True),
        "the values change at the end only: correct them in every step": by_sums(*arguments, frozen=True),
        "the sign of the correction is wrong": by_sums(values, episode, -rate, gamma, decay),
        "nothing is learnt: return the new values": values,
    }
    given = values.copy()
    agree("the values", student.td_lambda(given, episode, rate, gamma, decay), by_sums(*arguments), mistakes)
    again = student.td_lambda(values.copy(), episode, rate, gamma, decay)
    agree("the values of a second call", again, by_sums(*arguments))


@CHECKS.add("best_position", "the best afterstate, the cost of reaching it included", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    found, expected, mistakes = [], [], {}
    names = {
        "the cost is forgotten": lambda v, r, p, c: v[r].argmax(),
        "the cost is paid for holding, too: it is that of a change": lambda v, r, p, c: (v[r] - [0.0, c]).argmax(),
        "the cost is earned: subtract it": lambda v, r, p, c: (v[r] + c * np.abs([p, 1 - p])).argmax(),
        "the worst position is taken": lambda v, r, p, c: (v[r] - c * np.abs([p, 1 - p])).argmin(),
        "regime and position are exchanged: values[regime, position]": lambda v, r, p, c: (
            v[:, r] - c * np.abs([p, 1 - p])
        ).argmax(),
        "the position is never changed": lambda v, r, p, c: p,
    }
    for _ in range(100):
        case = rng.normal(size=(2, 2)), int(rng.integers(2)), int(rng.integers(2)), float(rng.uniform(0.3, 1.0))
        values, regime, position, cost = case
        found.append(student.best_position(values.copy(), regime, position, cost))
        expected.append((values[regime] - cost * np.abs([position, 1 - position])).argmax())
        for name, rule in names.items():
            mistakes.setdefault(name, []).append(rule(*case))
    if not {str(value) for value in found} <= {"0", "1"}:
        raise Wrong(f"best_position must return 0 or 1, got {found[0]!r}")
    agree("the position", found, expected, mistakes)
