import pytest

from tests.course.helpers import messages, with_mistake

DRAWN = {
    "learning_rate": 't.suggest_float("learning_rate", 1e-4, 1e-2, log=True)',
    "gamma": 't.suggest_categorical("gamma", [0.9, 0.95, 0.99])',
    "target_update_interval": 't.suggest_int("target_update_interval", 50, 500)',
}


def suggest(**changed):
    items = ", ".join(f'"{name}": {line}' for name, line in (DRAWN | changed).items() if line)
    return f"def suggest(t): return {{{items}}}"


def best(line):
    return f"""
    def best_of_noise(n, days, repeats, rng):
        r = rng.normal(0.0, 0.01, (repeats, n, days))
        ratio = r.mean(2) / r.std(2, ddof=1)
        return {line}
    """


WRONG = {
    "linear": (suggest(learning_rate='t.suggest_float("learning_rate", 1e-4, 1e-2)'), "on a linear scale"),
    "another range": (suggest(learning_rate=DRAWN["learning_rate"].replace("1e-2", "1e-1")), "the range of the"),
    "not drawn": (suggest(gamma="0.99"), "gamma is not drawn by the trial"),
    "a range of gamma": (suggest(gamma='t.suggest_float("gamma", 0.9, 0.99)'), "suggest_categorical"),
    "one missing": (suggest(gamma=""), "suggest must return a dict of"),
    "best seed": ("def score(r): return np.nanmax(r)", "the best seed is taken"),
    "mean": ("def score(r): return np.nan_to_num(r).mean()", "the mean is taken"),
    "forgotten": ("def score(r): return np.nanmedian(r)", "are forgotten"),
    "NaN": ("def score(r): return np.median(r)", "makes the score NaN"),
    "not annualised": (best("ratio.max(1).mean()"), "the ratios are not annualised"),
    "annualised by 252": (best("ratio.max(1).mean() * 252"), "not by its root"),
    "mean of all": (best("ratio.mean() * 252**0.5"), "the mean of all agents"),
    "largest of all": (best("ratio.max() * 252**0.5"), "the largest of all repeats"),
    "worst": (best("ratio.min(1).mean() * 252**0.5"), "the worst agent"),
    "array": (best("ratio.max(1) * 252**0.5"), "must return one number"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_mistake_is_named(name, seed):
    code, message = WRONG[name]
    found = messages("tuning", with_mistake("tuning", code), seed)
    assert any(message in line for line in found), found
