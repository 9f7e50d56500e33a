"""Lab 10, the text that its two notebooks are made of: `python -m course build lstm_trader`."""

# %% [markdown]
# # Lab 10. Buying and selling with an LSTM
#
# An LSTM forecasts the return of the next week from the bars of the last month. A trader buys if the forecast is worth
# its costs, and sells if the opposite is. You write the windows, the scaling, the network's last step, the cost of a
# round trip and the rule. You try them where there is something to forecast, a simulated market with hidden trends,
# and then on a stock. At the end an LSTM decides by itself, as the policy of an A2C.

# %%
import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import course
from agents.recurrent_a2c import RecurrentA2C
from benchmarks.contenders import forecast_trader as project
from course import pictures
from trading_env import Costs, backtest, load
from trading_env.analysis.strategies import buy_and_hold
from trading_env.data.simulators import regime_switching
from trading_env.features.build import feature_table

pictures.set_up()
WINDOW, HORIZON = 20, 5

# %% [markdown]
# ## 1. Windows
#
# At bar $t$ everything up to its close is known. The window of bar $t$ has the feature rows of the bars
# $t - W + 1, \dots, t$, oldest first, and its label is the return of the next $H$ bars,
#
# $$y_t = \frac{c_{t+H}}{c_t} - 1.$$
#
# A window that reaches one bar further knows a part of what it is to forecast. This is the most common flaw of such
# studies, and the results are splendid. `np.lib.stride_tricks.sliding_window_view` may help; look at its axes.


# %%
def make_windows(values, close, window, horizon):
    """X [n, W, F] and y [n] of all bars t with a whole window and a known return, from values [T, F] and close [T]."""
    # BEGIN SOLUTION
    last = np.arange(window - 1, len(close) - horizon)  # [n], the bars t
    X = np.stack([values[t - window + 1 : t + 1] for t in last])  # [n, W, F]
    y = close[last + horizon] / close[last] - 1.0  # [n]
    return X, y
    # END SOLUTION


# %%
course.check("lstm_trader", globals(), "make_windows")

# %% [markdown]
# **Question 1.** Training ends with the window of bar $t$. Which is the first bar whose window may be used for
# validation, if no part of the prices may be in both?

# %% [markdown] tags=["answer"]
# The label of bar $t$ reaches to $t + H$. A window that shares no bar with it begins at $t + H + 1$, so its last bar is
# $t + H + W$. The bars left out between two stretches are called the purge.

# %% [markdown]
# ## 2. Scaling
#
# Networks learn best from inputs with mean 0 and deviation 1. Both numbers are estimated, so they belong to what is
# learnt: they come from the **training rows**, and the same two numbers scale all later rows.


# %%
def scaled(train, later):
    """Both [n, W, F] and [m, W, F] with each feature at mean 0 and deviation 1 over the training windows."""
    # BEGIN SOLUTION
    mean, deviation = train.mean(axis=(0, 1)), train.std(axis=(0, 1))  # [F]
    return (train - mean) / deviation, (later - mean) / deviation
    # END SOLUTION


# %%
course.check("lstm_trader", globals(), "scaled")

# %% [markdown]
# ## 3. The forecaster
#
# The LSTM reads the window bar by bar and keeps a state. What it knows at the last bar is the hidden state there, and
# one linear layer makes a forecast of it,
#
# $$\hat y = w^\top h_W + b.$$


# %%
class Forecaster(nn.Module):
    """Forecasts [B] of windows [B, W, F]."""

    def __init__(self, n_features, hidden=16):
        super().__init__()
        self.lstm = nn.LSTM(n_features, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, x):
        """Forecasts [B] for x [B, W, F]."""
        # BEGIN SOLUTION
        states, _ = self.lstm(x)  # [B, W, H]
        return self.head(states[:, -1])[:, 0]  # [B]
        # END SOLUTION


# %%
course.check("lstm_trader", globals(), "Forecaster.forward")

# %% [markdown]
# Training is a loop over shuffled batches. The labels are scaled as well, and the weights of the epoch with the lowest
# validation error are kept.


# %%
class Fitted:
    """A forecaster with its scaling, fitted on one stretch of a market and stopped by the next."""

    def __init__(self, train, validation, epochs=12, seed=0):
        torch.manual_seed(seed)
        (X, y), (later, truth) = rows_of(train), rows_of(validation)
        self.X, (self.mean, self.deviation) = X, (y.mean(), y.std())
        x, later = (torch.as_tensor(part, dtype=torch.float32) for part in scaled(X, later))
        y, truth = (torch.as_tensor((part - self.mean) / self.deviation).float() for part in (y, truth))
        self.net, self.errors, best = Forecaster(X.shape[2]), [], np.inf
        optimizer = torch.optim.Adam(self.net.parameters(), 2e-3)
        for _ in range(epochs):
            for rows in torch.randperm(len(x)).split(64):
                loss = (self.net(x[rows]) - y[rows]).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.no_grad():
                self.errors.append([relative_error(self.net(a), b) for a, b in ((x, y), (later, truth))])
            if self.errors[-1][1] < best:
                best, kept = self.errors[-1][1], {name: w.clone() for name, w in self.net.state_dict().items()}
        self.net.load_state_dict(kept)

    def predict(self, market):
        """Forecasts [T] at all bars, NaN where there is no window yet."""
        table = feature_table(market, FEATURES)
        windows = np.lib.stride_tricks.sliding_window_view(table.values[table.warmup :], WINDOW, axis=0)  # [n, F, W]
        _, x = scaled(self.X, windows.swapaxes(1, 2))
        with torch.no_grad():
            forecast = self.net(torch.as_tensor(x, dtype=torch.float32)).numpy() * self.deviation + self.mean
        return np.concatenate([np.full(len(market) - len(forecast), np.nan), forecast])


def relative_error(forecast, truth):
    """Mean squared error over that of forecasting 0, which is the mean return of training after scaling."""
    return ((forecast - truth).square().mean() / truth.square().mean()).item()


FEATURES = ("log_return_1", "log_return_5", "volatility_20")


def rows_of(market):
    """X and y of a stretch: windows that end at its own bars."""
    table = feature_table(market, FEATURES)
    start = max(table.warmup, market.first)
    return make_windows(table.values[start:], market.close[start:], WINDOW, HORIZON)


# %% [markdown]
# First a market with hidden trends: a state up or down, which changes with probability 2% a bar, adds +0.4% or -0.4% to
# a return whose noise is 1%. Nobody sees the state, but the last bars tell of it.

# %%
simulated = regime_switching(3_000, 7, stay=0.98, step=0.004, sigma=0.01, observed=False).split(0.5, 0.7)
fitted = Fitted(*simulated[:2])
figure, axes = plt.subplots(1, 2, figsize=(8, 2.8))
axes[0].plot(fitted.errors, label=["training", "validation"])
axes[0].set(title="Squared error; 1 is that of the mean return", xlabel="epoch")
axes[0].legend()
bars = np.arange(simulated[2].first, len(simulated[2]) - HORIZON)
close, forecast = simulated[2].close, fitted.predict(simulated[2])
axes[1].scatter(100 * forecast[bars], 100 * (close[bars + HORIZON] / close[bars] - 1.0), s=4, alpha=0.5)
axes[1].set(title="Test", xlabel="forecast, %", ylabel="what came, %")
plt.show()

# %% [markdown]
# ## 4. What a trade must earn
#
# To buy, one pays slippage $s$ on the price and commission $c$ on the notional, and again to sell. Of the money that
# enters a round trip at an unchanged price, this fraction is lost:
#
# $$1 - \frac{(1 - s)(1 - c)}{(1 + s)(1 + c)}.$$


# %%
def round_trip_cost(commission, slippage):
    """Fraction lost by buying and selling again at an unchanged price."""
    # BEGIN SOLUTION
    return 1.0 - (1.0 - slippage) * (1.0 - commission) / ((1.0 + slippage) * (1.0 + commission))
    # END SOLUTION


# %%
course.check("lstm_trader", globals(), "round_trip_cost")

# %% [markdown]
# ## 5. The rule
#
# Buy if the forecast is above the threshold, sell if it is below minus the threshold, and otherwise **keep what you
# have**: the position, in or out, stays until a forecast says the opposite. Before the first signal it is 0. A forecast
# that is NaN is no signal.


# %%
def positions(forecast, threshold):
    """Exposures [T], 0 or 1, from forecasts [T]."""
    # BEGIN SOLUTION
    held, result = 0.0, np.zeros(len(forecast))
    for t, value in enumerate(forecast):
        if value > threshold:
            held = 1.0
        elif value < -threshold:
            held = 0.0
        result[t] = held
    return result
    # END SOLUTION


# %%
course.check("lstm_trader", globals(), "positions")

# %% [markdown]
# The threshold is the cost of a round trip plus a margin. How large a margin? This is a hyperparameter, and the
# validation stretch chooses it: each is traded there, in the same account, after costs.

# %%
MARGINS = (0.0, 0.0025, 0.005, 0.01)
cost = round_trip_cost(Costs().commission, Costs().slippage)


def follow(fitted, margin):
    """A strategy that follows the forecasts, as `backtest` takes it."""
    return lambda market: positions(fitted.predict(market), cost + margin)


def choose(fitted, validation):
    """The growth of each margin on the validation stretch; the best margin."""
    growth = {m: np.log1p(backtest(follow(fitted, m), validation).total_return) for m in MARGINS}
    return growth, max(MARGINS, key=growth.get)


growth, margin = choose(fitted, simulated[1])
theirs = project.forecast_exposures(forecast, cost + margin)
agreed = np.array_equal(theirs, positions(forecast, cost + margin))
print(f"cost of a round trip {cost:.2%}; margin chosen {margin:.2%}; the project's trader trades alike: {agreed}")
result, held = (backtest(policy, simulated[2]) for policy in (follow(fitted, margin), buy_and_hold))
print(f"a year of the simulated market: LSTM {result.annual_return:+.1%}, holding {held.annual_return:+.1%}")

# %%
result.plot()

# %% [markdown]
# ## 6. A stock
#
# Now GOOG, with the same code: train on 60%, choose on 20%, test on the last 20%, opened once. Three seeds, since the
# seed decides more than one would like.

# %%
stock = load("us-stocks/GOOG").split(0.6, 0.8)
models = [Fitted(*stock[:2], epochs=8, seed=seed) for seed in range(3)]
margins = [choose(model, stock[1])[1] for model in models]
tests = [backtest(follow(model, m), stock[2]) for model, m in zip(models, margins, strict=True)]
held = backtest(buy_and_hold, stock[2])
for seed, (model, m, test) in enumerate(zip(models, margins, tests, strict=True)):
    error = min(error for _, error in model.errors)
    print(f"seed {seed}: validation error {error:.3f}, margin {m:.2%}, test {test.total_return:+.1%}")
print(f"holding: {held.total_return:+.1%}")

figure, axis = pictures.axis("GOOG, test: equity after costs", "bar of the test", "equity")
for seed, test in enumerate(tests):
    axis.plot(test.equity, label=f"LSTM, seed {seed}")
axis.plot(held.equity, color="black", label="holding")
axis.legend()
plt.show()

# %% [markdown]
# **Question 2.** What is a validation error near 1, and what does the trader do with such a model?
#
# **Question 3.** A classmate's trader earned 300% on the test, with windows of the bars $t-W+2, \dots, t+1$. Explain.

# %% [markdown] tags=["answer"]
# It is no better than the mean return of the training period, which is the forecast 0 after scaling. Such a model
# forecasts nearly the same number everywhere: the trader buys and holds if that number is above the threshold, and
# never buys otherwise. What it earns says something of the market, and nothing of the LSTM.

# %% [markdown] tags=["answer"]
# The window ends with bar $t+1$, the first of the five whose return is forecast. The trader acts at bar $t$ on a close
# that is known a day later. Controls find this: perturb all bars after $t$, and the forecast must not change
# (`trading_env.check_causality` does so with features).

# %% [markdown]
# ## 7. An LSTM as the policy
#
# Instead of a forecast and a rule, let an LSTM choose the action, and train it by what the account earns: A2C with a
# hidden state that is carried from step to step. It sees one bar at a time and learns on its own what to remember.


# %%
def percent(market):
    """The log return of the last bar in percent: 0.01 would hardly move the gates of a new network."""
    return 100.0 * np.diff(np.log(market.close), prepend=np.log(market.close[0])).astype(np.float32)[:, None]


keywords = {"features": percent, "window": 1}
training = gym.make("trading_env:TradingEnv-v0", data=simulated[0], random_start=True, episode_length=250, **keywords)
settings = {"n_envs": 16, "n_steps": 32, "learning_rate": 3e-3, "gamma": 0.9, "normalize_reward": True}
policy = RecurrentA2C(training, lstm_size=16, **settings).learn(300_000)
learnt = backtest(policy, simulated[2], **keywords)
rule = backtest(follow(fitted, margin), simulated[2])
print(f"a year of the simulated market: policy {learnt.annual_return:+.1%}, rule {rule.annual_return:+.1%}")

# %% [markdown]
# **Question 4.** Name an advantage of each: of the forecast with a rule, and of the policy.

# %% [markdown] tags=["answer"]
# The forecast learns from every window, whether or not it was traded, its error can be measured by itself, and the
# threshold can be read. The policy needs no horizon and no threshold: costs, position and patience are in its reward.
# It pays with a much noisier signal, the rewards of its own actions.
