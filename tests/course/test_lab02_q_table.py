import pytest

from tests.course.helpers import messages, with_mistake


def method(head, body):
    lines = "\n".join(f"        {line}" for line in body.split("; "))
    return f"class QTable:\n    def {head}:\n{lines}"


def choose(explore, best="int(values.argmax())"):
    body = f"values = self.values(state); best = np.flatnonzero(values == values.max()); return {explore.format(best)}"
    return method("choose(self, state, epsilon, rng)", body)


def update(target, step="self.rate * (target - row[action])"):
    body = f"row, after = self.values(state), self.values(next_state); target = {target}; row[action] += {step}"
    return method("update(self, state, action, reward, next_state, terminated)", body)


RANDOM, TIES = "int(rng.integers(self.n_actions))", "int(rng.choice(best))"
RIGHT = "reward + self.gamma * (not terminated) * after.max()"
WRONG = {
    "a copy": (method("values(self, state)", "return self.rows.setdefault(state, np.zeros(3)).copy()"), "not a copy"),
    "not kept": (
        method("values(self, state)", "return self.rows.get(state, np.zeros(self.n_actions))"),
        "in self.rows",
    ),
    "zeros again": (
        method("values(self, state)", "self.rows[state] = np.zeros(self.n_actions); return self.rows[state]"),
        "set to zeros again",
    ),
    "first of equals": (choose(f"{RANDOM} if rng.random() < epsilon else {{0}}"), "argmax returns the first"),
    "never explores": (choose(TIES), "choose never explores"),
    "epsilon turned round": (choose(f"{TIES} if rng.random() < epsilon else {RANDOM}"), "not of the best one"),
    "last action unexplored": (
        choose(f"int(rng.integers(self.n_actions - 1)) if rng.random() < epsilon else {TIES}"),
        "action 3 is never explored",
    ),
    "future after the end": (update("reward + self.gamma * after.max()"), "added after a termination"),
    "no gamma": (update("reward + (not terminated) * after.max()"), "gamma is missing"),
    "mean": (update("reward + self.gamma * (not terminated) * after.mean()"), "the mean of the next values"),
    "same action": (update("reward + self.gamma * (not terminated) * after[action]"), "the value of the same action"),
    "same state": (update("reward + self.gamma * (not terminated) * row.max()"), "in the state itself"),
    "replaced": (update(RIGHT, "target - row[action]"), "move it by the rate"),
    "not subtracted": (update(RIGHT, "self.rate * target"), "the old value is not subtracted"),
    "lost": (
        update(RIGHT).replace("row, after = self.values(state)", "row, after = 1 * self.values(state)"),
        "nothing is",
    ),
    "one thought": (
        """
        def plan(table, model, n, rng):
            state, action = list(model)[rng.integers(len(model))]
            table.update(state, action, *model[state, action])
        """,
        "must be updated n times",
    ),
    "the same thought": (
        """
        def plan(table, model, n, rng):
            state, action = list(model)[rng.integers(len(model))]
            for _ in range(n):
                table.update(state, action, *model[state, action])
        """,
        "draw anew each time",
    ),
    "state and action apart": (
        """
        def plan(table, model, n, rng):
            pairs = list(model)
            for _ in range(n):
                state, action = pairs[rng.integers(len(pairs))][0], int(rng.integers(2))
                table.update(state, action, *model.get((state, action), (0.0, 0, False)))
        """,
        "were never tried together",
    ),
    "a state first, then an action": (
        """
        def plan(table, model, n, rng):
            for _ in range(n):
                state = int(rng.integers(6))
                action = rng.choice([a for s, a in model if s == state])
                table.update(state, action, *model[state, action])
        """,
        "must be drawn alike",
    ),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_mistake_is_named(name, seed):
    code, message = WRONG[name]
    found = messages("q_table", with_mistake("q_table", code), seed)
    assert any(message in line for line in found), found
