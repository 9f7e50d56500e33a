"""Lab 9, the text that its two notebooks are made of: `python -m course build forecasting`."""

# %% [markdown]
# # Lab 9. Forecasting
#
# Can the next week of a stock be forecast from its past? You make the table of windows and dates, split it in time,
# write the errors, and let five forecasters compete with doing nothing. Then the question is put as a classification.
# At the end a study with splendid results waits for you: find its flaw.

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from statsmodels.tsa.stattools import acf, adfuller
from torch import nn

import course
from agents.forecasters import LastValue, LSTMForecaster, MeanOfLast
from benchmarks.forecasting.forecasters import boosting, random_forest, ridge
from course import pictures
from trading_env import load
from trading_env.data.simulators import gbm

pictures.set_up()
warnings.simplefilter("ignore", FutureWarning)
frame = load("us-stocks/IBM").to_frame()
close, HORIZON, WINDOW = frame["close"], 5, 20

# %% [markdown]
# ## 1. What can be learnt from a series
#
# A series is *stationary* if its law does not change with time; only then does the past tell of the future by averages.
# The test of Dickey and Fuller asks whether a series is a random walk: a small p-value speaks against it. The
# autocorrelations tell what the last values say of the next one; without any, 95% of them lie in the band.

# %%
returns = np.log(close).diff().dropna()
for name, series in (("log price", np.log(close)), ("returns", returns)):
    print(f"{name:10} p-value of the random walk: {adfuller(series)[1]:.3f}")
figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), sharey=True)
for axis, series, title in ((axes[0], returns, "returns"), (axes[1], returns.abs(), "absolute returns")):
    axis.stem(np.arange(1, 31), acf(series, nlags=30)[1:], basefmt=" ", markerfmt=".")
    axis.axhspan(-1.96 / len(series) ** 0.5, 1.96 / len(series) ** 0.5, alpha=0.3)
    axis.set(title=f"Autocorrelation of {title}", xlabel="lag", ylim=(-0.15, 0.4))
plt.show()

# %% [markdown]
# **Question 1.** What do the two pictures say about what can be forecast?

# %% [markdown] tags=["answer"]
# Returns have next to no autocorrelation: their direction can hardly be forecast from past returns by a linear model.
# Absolute returns have much, over many weeks: the size of the moves, the risk, can be forecast.

# %% [markdown]
# ## 2. Windows and dates
#
# A supervised table: each row has the last `window` values, oldest first, and the label, the value `horizon` steps
# after the last of them.


# %%
def windows(series, window, horizon):
    """X [n, window] and labels y [n] of a series [T]."""
    # BEGIN SOLUTION
    past = np.lib.stride_tricks.sliding_window_view(np.asarray(series), window)
    return past[:-horizon], np.asarray(series)[window + horizon - 1 :]
    # END SOLUTION


def date_features(dates):
    """A DataFrame with the columns doy (day of the year), dom (day of the month), month and year of a DatetimeIndex."""
    # BEGIN SOLUTION
    columns = {"doy": dates.day_of_year, "dom": dates.day, "month": dates.month, "year": dates.year}
    return pd.DataFrame(columns, index=dates)
    # END SOLUTION


# %%
course.check("forecasting", globals(), "windows")
course.check("forecasting", globals(), "date_features")

# %% [markdown]
# ## 3. A split in time
#
# Training, validation, test: in this order, never shuffled, and with a gap of so many rows between them that no price
# is in both: window and label of a row reach over `window + horizon` values.


# %%
def split(n, train, validation, gap):
    """Three slices of n rows: n_train rows = int(train * n), a gap, int(validation * n) rows, a gap, and the rest."""
    # BEGIN SOLUTION
    first, second = int(train * n), int(validation * n)
    start = first + gap
    return slice(0, first), slice(start, start + second), slice(start + second + gap, n)
    # END SOLUTION


# %%
course.check("forecasting", globals(), "split")

# %% [markdown]
# ## 4. Errors
#
# $$\mathrm{RMSE} = \sqrt{\overline{(f - y)^2}}, \qquad \mathrm{MAE} = \overline{|f - y|}, \qquad
#   \mathrm{MALR} = \overline{\left|\log\frac{1 + f}{1 + y}\right|}$$
#
# of forecast returns $f$ and true ones $y$. RMSE is that of the mean, and hates large errors; MAE is that of the
# median; MALR, the mean absolute log ratio, counts a factor up and the same factor down alike.


# %%
def rmse(forecast, truth):
    """Root mean squared error."""
    # BEGIN SOLUTION
    return np.sqrt(np.mean((forecast - truth) ** 2))
    # END SOLUTION


def mae(forecast, truth):
    """Mean absolute error."""
    # BEGIN SOLUTION
    return np.mean(np.abs(forecast - truth))
    # END SOLUTION


def malr(forecast, truth):
    """Mean absolute log ratio of growth factors."""
    # BEGIN SOLUTION
    return np.mean(np.abs(np.log((1.0 + forecast) / (1.0 + truth))))
    # END SOLUTION


# %%
course.check("forecasting", globals(), "rmse")
course.check("forecasting", globals(), "mae")
course.check("forecasting", globals(), "malr")

# %% [markdown]
# ## 5. Five forecasters against doing nothing
#
# The forecast of no change is the bar to clear. All see twenty returns, the month and the day of the month.

# %%
past, _ = windows(returns, WINDOW, HORIZON)  # [n, W]
rows = np.arange(WINDOW, WINDOW + len(past))  # the bar at which each window ends
y = close.to_numpy()[rows + HORIZON] / close.to_numpy()[rows] - 1.0
dates = date_features(close.index[rows])[["month", "dom"]].to_numpy()
X = np.concatenate([past[..., None], np.repeat(dates[:, None], WINDOW, axis=1)], axis=2)  # [n, W, 3]
parts = split(len(y), 0.6, 0.2, WINDOW + HORIZON)
(train, later, test) = ((X[part], y[part]) for part in parts)
nothing = rmse(0.0, test[1])
print(f"{'forecaster':12} {'RMSE':>8} {'MAE':>8} {'MALR':>8} {'skill':>8}")
forecasters = {
    "no change": LastValue(),
    "mean of 20": MeanOfLast(20, HORIZON),
    "ridge": ridge(),
    "forest": random_forest(trees=50, jobs=1),
    "boosting": boosting(),
    "LSTM": LSTMForecaster(seeds=3, epochs=5),
}
for name, forecaster in forecasters.items():
    forecast = forecaster.fit(*train, validation=later).predict(test[0]).mean(0)
    errors = [metric(forecast, test[1]) for metric in (rmse, mae, malr)]
    print(f"{name:12} " + " ".join(f"{error:8.4f}" for error in errors) + f" {1 - (errors[0] / nothing) ** 2:+8.3f}")

# %% [markdown]
# **Question 2.** A forecaster with a slightly lower RMSE than doing nothing: is that an edge?

# %% [markdown] tags=["answer"]
# Not yet. A positive mean return alone lowers the error a little. Errors of overlapping weeks depend on each other, so
# that an interval is wide (`benchmarks.forecasting.metrics` computes it); several forecasters were tried; and a trade
# must earn its costs. `python -m benchmarks forecast` runs such a study with intervals.

# %% [markdown]
# ## 6. Down, stay or up
#
# Instead of the size, the class: 0 for a return below $-b$, 2 above $b$, and 1 between. The bar to clear is the share
# of the class that was the **most frequent in training**.


# %%
def classes(returns, band):
    """Classes [n], ints: 0 down, 1 stay, 2 up; a return of exactly the band stays."""
    # BEGIN SOLUTION
    return np.where(returns > band, 2, np.where(returns < -band, 0, 1))
    # END SOLUTION


def majority_accuracy(train, test):
    """Share of the test's classes that the most frequent class of training gets right."""
    # BEGIN SOLUTION
    return np.mean(test == np.bincount(train).argmax())
    # END SOLUTION


# %%
course.check("forecasting", globals(), "classes")
course.check("forecasting", globals(), "majority_accuracy")

# %%
labels = [classes(part[1], 0.01) for part in (train, later, test)]
flat = [part[0].reshape(len(part[0]), -1) for part in (train, later, test)]
logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, C=0.01)).fit(flat[0], labels[0])
torch.manual_seed(0)
network = nn.Sequential(nn.Conv1d(1, 8, 5), nn.ReLU(), nn.Conv1d(8, 8, 5), nn.ReLU(), nn.Flatten(), nn.Linear(96, 3))
signals = [torch.as_tensor(part[0][:, None, :, 0] / train[0][..., 0].std()).float() for part in (train, later, test)]
optimizer, best = torch.optim.Adam(network.parameters(), 1e-3), (-1.0, -1.0)
for _ in range(15):
    for batch in torch.randperm(len(labels[0])).split(64):
        loss = nn.functional.cross_entropy(network(signals[0][batch]), torch.as_tensor(labels[0])[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        found = [np.mean(network(signals[k]).argmax(1).numpy() == labels[k]) for k in (1, 2)]
    best = max(best, tuple(found))  # chosen by validation, the first of the two
print(f"majority  {majority_accuracy(labels[0], labels[2]):.3f}")
print(f"logistic  {np.mean(logistic.predict(flat[2]) == labels[2]):.3f}")
print(f"CNN       {best[1]:.3f}")

# %% [markdown]
# ## 7. Find the flaw
#
# A classmate's study, on a price that is a random walk: nothing can be forecast, by construction. Prices are scaled to
# mean 0 and deviation 1, "as networks like it", each of training and test by itself. The trader holds while the scaled
# price is below 0.


# %%
def scaled_study(own):
    """Mean log return a year of the trader over 200 random walks; own: the test is scaled by itself."""
    growth = []
    for seed in range(200):
        price = gbm(1_000, seed, mu=0.0).close
        train, test = price[:750], price[750:]
        by = test if own else train
        held = (test[:-1] - by.mean()) / by.std() < 0.0
        growth.append(np.diff(np.log(test))[held].sum() * 252 / len(test))
    return np.mean(growth), np.std(growth) / len(growth) ** 0.5


for own in (True, False):
    mean, error = scaled_study(own)
    print(f"test scaled by {'itself' if own else 'the training rows'}: {mean:+.1%} a year, standard error {error:.1%}")

# %% [markdown]
# **Question 3.** Explain the profit. Which check would have found the flaw without reading the code?

# %% [markdown] tags=["answer"]
# The mean of the test period is known only at its end. A price below it is one that will, on the whole, be higher
# later: to scale the test by itself tells the future. Changing all bars after some day must change no decision before
# it; here it does. `trading_env.check_causality` and the controls of `benchmarks` do this.
