import pytest

from tests.course.helpers import messages, with_mistake


def windows(rows, label):
    return f"""
    def make_windows(values, close, window, horizon):
        last = np.arange(window - 1, len(close) - horizon)
        return np.stack([{rows} for t in last]), {label}
    """


ROWS, LABEL = "values[t - window + 1 : t + 1]", "close[last + horizon] / close[last] - 1"


def forecaster(line):
    return f"class Forecaster:\n    def forward(self, x):\n        states, (h, c) = self.lstm(x)\n        return {line}"


def rule(above, below, otherwise):
    return f"""
    def positions(forecast, threshold):
        held, result = 0.0, []
        for value in forecast:
            held = {above} if value > threshold else {below} if value < -threshold else {otherwise}
            result.append(held)
        return np.array(result)
    """


def scaling(of_train, of_later):
    return f"""
    def scaled(train, later):
        by = lambda x, rows, axes=(0, 1): (x - rows.mean(axes)) / rows.std(axes)
        both = np.concatenate([train, later])
        return {of_train}, {of_later}
    """


def cost(formula):
    return f"def round_trip_cost(commission, slippage): return {formula}"


WRONG = {
    "one bar of the future": (windows("values[t - window + 2 : t + 2]", LABEL), "they know the future"),
    "the last close left out": (
        windows("values[max(t - window, 0) : t]", LABEL).replace("window - 1, ", "window, "),
        "the last close is known and left out",
    ),
    "newest first": (windows(f"{ROWS}[::-1]", LABEL), "the oldest must"),
    "axes of the sliding view": (windows(f"{ROWS}.T", LABEL), "swap the last two"),
    "return of one bar": (windows(ROWS, "close[last + 1] / close[last] - 1"), "of one bar, not of H"),
    "begins a bar late": (
        windows(ROWS, "close[np.minimum(last + 1 + horizon, len(close) - 1)] / close[last + 1] - 1"),
        "y begins at bar t + 1",
    ),
    "log return": (windows(ROWS, "np.log(close[last + horizon] / close[last])"), "y is a log return"),
    "a ratio": (windows(ROWS, "close[last + horizon] / close[last]"), "1 is missing"),
    "scaled by itself": (scaling("by(train, train)", "by(later, later)"), "each stretch is scaled by itself"),
    "scaled by all": (scaling("by(train, both)", "by(later, both)"), "come from all rows"),
    "one mean for all features": (scaling("by(train, train, None)", "by(later, train, None)"), "all features share"),
    "training rows not scaled": (scaling("train", "by(later, train)"), "the training windows must be"),
    "first state": (forecaster("self.head(states[:, 0])[:, 0]"), "the state of the first bar"),
    "mean state": (forecaster("self.head(states.mean(1))[:, 0]"), "the mean of all states"),
    "cell": (forecaster("self.head(c[-1])[:, 0]"), "the cell is used"),
    "shape of a column": (forecaster("self.head(h[-1])"), "drop the last axis"),
    "last window": (forecaster("self.head(states[-1])[:, 0]"), "the last window is taken"),
    "relu": (forecaster("torch.relu(self.head(h[-1])[:, 0])"), "falls could not be forecast"),
    "cost of one way": (cost("1 - 1 / ((1 + slippage) * (1 + commission))"), "only the purchase is counted"),
    "cost without slippage": (cost("1 - (1 - commission) / (1 + commission)"), "slippage is missing"),
    "cost added": (cost("2 * (commission + slippage)"), "costs are added: they multiply"),
    "closed in between": (rule("1.0", "0.0", "0.0"), "must be kept, not closed"),
    "short": (rule("1.0", "-1.0", "held"), "a sale leads to 0"),
    "no threshold": (
        rule("1.0", "0.0", "held").replace("-threshold", "0").replace("threshold else", "0 else"),
        "ignored",
    ),
    "exchanged": (rule("0.0", "1.0", "held"), "buying and selling are exchanged"),
    "a bar behind": (
        rule("1.0", "0.0", "held").replace("np.array(result)", "np.array([0.0, *result[:-1]])"),
        "lags a bar behind",
    ),
    "threshold from all forecasts": (
        """
        def positions(forecast, threshold):
            bar = np.arange(len(forecast))
            signal = np.where(forecast > threshold, 1.0, np.where(forecast < -threshold, 0.0, np.nan))
            last = np.maximum.accumulate(np.where(np.isnan(signal), -1, bar))
            held = np.where(last >= 0, signal[last], 0.0)
            return held if len(forecast) > 100 else 1.0 - held
        """,
        "they look ahead",
    ),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_mistake_is_named(name, seed):
    code, message = WRONG[name]
    found = messages("lstm_trader", with_mistake("lstm_trader", code), seed)
    assert any(message in line for line in found), found
