import pytest

from tests.course.helpers import messages, with_mistake


def control(change, compare, close="close.copy()"):
    return f"""
    def looks_ahead(strategy, close, bar, rng):
        changed = {close}
        before = strategy(Market.from_arrays(close=close.copy()))
        {change}
        after = strategy(Market.from_arrays(close=changed))
        return {compare}
    """


CHANGE, DIFFER = "changed[bar + 1 :] *= np.exp(rng.normal(0, 0.2, len(close) - bar - 1))", "bool((before != after)"
NAMES = '"a": "no costs", "b": "survivors", "c": "same close", "d": "best seed", "e": "leak"'
WRONG = {
    "early": ("def late(x): return np.append(x[1:], 0.0)", "this looks ahead"),
    "round": ("def late(x): return np.roll(x, 1)", "goes round to the first bar"),
    "shorter": ("def late(x): return x[:-1]", "one bar is missing"),
    "all bars compared": (control(CHANGE, f"{DIFFER}.any())"), "knows the past only is convicted"),
    "bar changed too": (
        control("changed[bar:] *= 2 * np.exp(rng.normal(0, 0.2, len(close) - bar))", f"{DIFFER}[: bar + 1].any())"),
        "knows the past only is convicted",
    ),
    "bar not compared": (control(CHANGE, f"{DIFFER}[:bar].any())"), "one bar of the future is cleared"),
    "next bar not changed": (
        control(CHANGE.replace("bar + 1", "bar + 2").replace("bar - 1", "bar - 2"), f"{DIFFER}[: bar + 1].any())"),
        "one bar of the future is cleared",
    ),
    "nothing changed": (control("pass", f"{DIFFER}[: bar + 1].any())"), "the mean of all closes is cleared"),
    "no copy": (control(CHANGE, f"{DIFFER}[: bar + 1].any())", "close"), "work on a copy"),
    "turned round": ("def break_even(r, t): return t.sum() / r.sum()", "the other way round"),
    "mean of ratios": ("def break_even(r, t): return np.mean(r / t)", "the mean of the ratios"),
    "mean return": ("def break_even(r, t): return r.mean() / t.sum()", "divided by the whole turnover"),
    "no deviation": (
        "def best_of_noise(n, d): return expected(n, 1.0)\ndef expected(n, d): g = np.euler_gamma; z = stats.norm.ppf;"
        " return d * ((1 - g) * z(1 - 1 / n) + g * z(1 - 1 / (n * np.e)))",
        "the deviation is missing",
    ),
    "bound": ("def best_of_noise(n, d): return d * np.sqrt(2 * np.log(n))", "above the mean of the largest"),
    "mean of noise": ("def best_of_noise(n, d): return 0.0", "its largest is not"),
    "two exchanged": (
        f"def flaw(s): return {{{NAMES.replace('leak', 'x').replace('no costs', 'leak').replace('x', 'no costs')}}}[s]",
        "3 of 5 are right; look again at study a",
    ),
    "no such flaw": ("def flaw(s): return 'overfitting'", "a flaw must be one of"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_mistake_is_named(name, seed):
    code, message = WRONG[name]
    found = messages("find_the_bug", with_mistake("find_the_bug", code), seed)
    assert any(message in line for line in found), found
