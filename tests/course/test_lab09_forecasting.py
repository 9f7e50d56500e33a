import pytest

from tests.course.helpers import messages, with_mistake


def table(X, y):
    return f"""
    def windows(series, window, horizon):
        past = np.lib.stride_tricks.sliding_window_view(series, window)
        n = len(series) - window - horizon + 1
        return {X}, {y}
    """


def split(parts):
    return f"def split(n, train, validation, gap):\n    a, b = int(train * n), int(validation * n)\n    return {parts}"


X, Y = "past[:n]", "series[window + horizon - 1 :]"
DATES = '"doy": d.day_of_year, "dom": d.day, "month": d.month, "year": d.year'
WRONG = {
    "newest first": (table("past[:n, ::-1]", Y), "the oldest must"),
    "all windows": (table("past", Y), "windows without a label"),
    "one step late": (table("past[1 : n + 1]", Y), "they reach closer to the label"),
    "with the label": (table(f"np.column_stack([past[:n], {Y}])", Y), "the answer stands in the question"),
    "next value": (table(X, "series[window : window + n]"), "whatever the horizon"),
    "last value": (table(X, "past[:n, -1]"), "the last value of the window"),
    "X alone": (table(X, Y).replace(f", {Y}", ""), "must return two arrays"),
    "day of the week": (
        f"def date_features(d): return pd.DataFrame({{{DATES.replace('d.day,', 'd.day_of_week,')}}})",
        "dom is the day of the month",
    ),
    "months from 0": (
        f"def date_features(d): return pd.DataFrame({{{DATES.replace('d.month', 'd.month - 1')}}})",
        "months are counted from 1",
    ),
    "no gap": (split("slice(0, a), slice(a, a + b), slice(a + b, n)"), "there is no gap"),
    "one gap": (split("slice(0, a), slice(a + gap, a + gap + b), slice(a + gap + b, n)"), "the gap before the test"),
    "arrays": (split("np.arange(a), np.arange(b), np.arange(n)"), "must return three slices"),
    "no root": ("def rmse(f, y): return np.mean((f - y) ** 2)", "the root is missing"),
    "squared mean": ("def rmse(f, y): return np.sqrt(np.mean(f - y) ** 2)", "square first"),
    "deviation": ("def rmse(f, y): return np.std(f - y)", "the deviation of the errors"),
    "errors cancel": ("def mae(f, y): return abs(np.mean(f - y))", "errors of opposite signs cancel"),
    "median": ("def mae(f, y): return np.median(np.abs(f - y))", "the median is taken"),
    "log of returns": ("def malr(f, y): return np.mean(np.abs(np.log(f / y)))", "1 + return"),
    "signed": ("def malr(f, y): return np.mean(np.log((1 + f) / (1 + y)))", "errors of opposite signs cancel"),
    "from -1": ("def classes(r, b): return (r > b).astype(int) - (r < -b)", "count from 0"),
    "exchanged": ("def classes(r, b): return 1 - (r > b).astype(int) + (r < -b)", "up and down are exchanged"),
    "inclusive": ("def classes(r, b): return 1 + (r >= b).astype(int) - (r <= -b)", "of exactly the band stays"),
    "two classes": ("def classes(r, b): return np.where(r > 0, 2, 0)", "stay is missing"),
    "floats": ("def classes(r, b): return 1.0 + (r > b) - (r < -b)", "classes must be ints"),
    "majority of the test": (
        "def majority_accuracy(train, test): return np.bincount(test).max() / len(test)",
        "the majority of the test is not known",
    ),
    "share of training": (
        "def majority_accuracy(train, test): return np.bincount(train).max() / len(train)",
        "share of the training",
    ),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_mistake_is_named(name, seed):
    code, message = WRONG[name]
    found = messages("forecasting", with_mistake("forecasting", code), seed)
    assert any(message in line for line in found), found
