import pytest

from tests.course.helpers import messages, with_mistake


def mark(line):
    return f"def mark(e, s, g, d):\n    one = np.eye(len(e))[s]\n    return {line}"


def td(error, step="values += rate * error * trace", trace="mark(trace, s, gamma, decay)"):
    return f"""
    def td_lambda(values, episode, rate, gamma, decay):
        values, trace = values.copy(), np.zeros(len(values))
        for s, r, after, over in episode:
            error = {error}
            trace = {trace}
            {step}
        return values
    """


def best(line):
    return f"def best_position(v, r, p, c):\n    moves = np.abs(np.arange(2) - p)\n    return int({line})"


RIGHT = "r + gamma * (not over) * values[after] - values[s]"
WRONG = {
    "no fading": (mark("e + one"), "the traces do not fade"),
    "no gamma in the trace": (mark("d * e + one"), "gamma is missing"),
    "no lambda in the trace": (mark("g * e + one"), "lambda is missing"),
    "fades at once": (mark("g * d * (e + one)"), "the visit fades at once"),
    "replaced": (mark("np.where(one, 1.0, g * d * e)"), "add 1"),
    "future after the end": (td("r + gamma * values[after] - values[s]"), "counts after a termination"),
    "TD(0)": (td(RIGHT, "values[s] += rate * error"), "only the state itself is corrected"),
    "no gamma": (td("r + (not over) * values[after] - values[s]"), "gamma is missing in the error"),
    "target": (td("r + gamma * (not over) * values[after]"), "own value is not subtracted"),
    "uphill": (td(RIGHT, "values -= rate * error * trace"), "the sign of the correction"),
    "all traces": (td(RIGHT, trace="gamma * trace + np.eye(len(trace))[s]"), "do not fade by lambda"),
    "no cost": (best("v[r].argmax()"), "the cost is forgotten"),
    "cost of holding": (best("(v[r] - c * np.arange(2)).argmax()"), "paid for holding, too"),
    "cost earned": (best("(v[r] + c * moves).argmax()"), "the cost is earned"),
    "worst": (best("(v[r] - c * moves).argmin()"), "the worst position"),
    "exchanged": (best("(v[:, r] - c * moves).argmax()"), "regime and position are exchanged"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_mistake_is_named(name, seed):
    code, message = WRONG[name]
    found = messages("td_gammon", with_mistake("td_gammon", code), seed)
    assert any(message in line for line in found), found
