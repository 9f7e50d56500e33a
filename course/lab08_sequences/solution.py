"""Lab 8, the text that its two notebooks are made of: `python -m course build sequences`."""

# %% [markdown]
# # Lab 8. Networks for sequences
#
# A recurrent network is a loop that carries a state. You write the plain one, measure how its gradient vanishes, and
# build the LSTM cell from its gates and the GRU cell; both must agree with torch's. At the end the cells compete in a
# task that needs a memory.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import course
from agents.nn.lstm import State, Weights, lstm_cell
from course import pictures

pictures.set_up()

# %% [markdown]
# ## 1. A loop
#
# The plain recurrent network mixes its input with what it remembers, at every step by the same weights:
#
# $$h_t = \tanh(x_t W_x + h_{t-1} W_h + b), \qquad h_0 = 0.$$


# %%
def rnn(x, weight_x, weight_h, bias):
    """Hidden states [T, B, H] for inputs [T, B, D]; weight_x [D, H], weight_h [H, H], bias [H]."""
    # BEGIN SOLUTION
    hidden, states = torch.zeros(x.shape[1], weight_h.shape[0], dtype=x.dtype), []
    for step in x:
        hidden = torch.tanh(step @ weight_x + hidden @ weight_h + bias)  # [B, H]
        states.append(hidden)
    return torch.stack(states)
    # END SOLUTION


# %%
course.check("sequences", globals(), "rnn")

# %% [markdown]
# ## 2. The gradient vanishes
#
# How much does the first input matter for the last state? By the chain rule each step back multiplies by
# $W_h^\top \mathrm{diag}(1 - h_t^2)$: if these factors shrink, the product falls exponentially with the distance, and
# what happened long ago cannot be learnt. Measure it: the norm of the gradient of the sum of the **last** state with
# respect to each input.


# %%
def influence(run, x):
    """Norms [T] of the gradient of the sum of the last state, run(x)[-1], in each input x[t]; x is [T, B, D]."""
    # BEGIN SOLUTION
    x = x.detach().clone().requires_grad_()
    run(x)[-1].sum().backward()
    return x.grad.flatten(1).norm(dim=1)
    # END SOLUTION


# %%
course.check("sequences", globals(), "influence")

# %%
torch.manual_seed(0)
D, H, T = 2, 32, 60
x = torch.randn(T, 1, D)
figure, axis = pictures.axis(
    "Influence of each input on the last state", "steps before the end", "norm of the gradient"
)
for scale in (0.5, 1.0, 1.5):
    square = scale * torch.linalg.qr(torch.randn(H, H))[0]  # all its singular values are equal to the scale
    first = torch.randn(D, H) / D**0.5
    norms = influence(lambda x, first=first, square=square: rnn(x, first, square, torch.zeros(H)), x)
    axis.semilogy(np.arange(T)[::-1], norms, label=f"plain, W_h scaled by {scale}")
torch.manual_seed(0)
keeping = nn.LSTM(D, H)
keeping.bias_ih_l0.data[H : 2 * H] = 3.0  # the forget gate stays open
axis.semilogy(np.arange(T)[::-1], influence(lambda x: keeping(x)[0], x), "k", label="LSTM, forget gate open")
axis.legend()
plt.show()

# %% [markdown]
# **Question 1.** A larger $W_h$ makes the linear part explode, and yet the measured gradient does not. Why?

# %% [markdown] tags=["answer"]
# Larger weights drive tanh into saturation, where its slope $1 - h^2$ is nearly 0. The two factors work against each
# other: there is no scale at which a plain network keeps its gradient over many steps for every input.

# %% [markdown]
# ## 3. The LSTM cell
#
# The LSTM carries a second state, the cell $c$, which is changed by *adding*, not by multiplying. Three gates between 0
# and 1 decide what is forgotten, what is written and what is shown. In torch's order the four blocks are input, forget,
# candidate, output:
#
# $$i, f, g, o = \sigma(z_i), \sigma(z_f), \tanh(z_g), \sigma(z_o), \qquad z = x W_x + h W_h + b,$$
# $$c' = f \odot c + i \odot g, \qquad h' = o \odot \tanh(c').$$


# %%
def my_lstm_cell(x, hidden, cell, weight_x, weight_h, bias):
    """Hidden state and cell after a step, [B, H] each; weight_x [D, 4H], weight_h [H, 4H], bias [4H]."""
    # BEGIN SOLUTION
    i, f, g, o = (x @ weight_x + hidden @ weight_h + bias).chunk(4, dim=1)  # [B, H] each
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell
    # END SOLUTION


# %%
course.check("sequences", globals(), "my_lstm_cell")

# %% [markdown]
# The project's cell (`agents/nn/lstm.py`) has the order forget, input, candidate, output, and a seed axis. With the
# columns in its order it agrees with yours, and both with torch's.

# %%
torchs = nn.LSTMCell(D, H)
weights = torchs.weight_ih.T, torchs.weight_hh.T, torchs.bias_ih + torchs.bias_hh
obs, hidden, cell = torch.randn(5, D), torch.randn(5, H), torch.randn(5, H)
mine, theirs = my_lstm_cell(obs, hidden, cell, *weights), torchs(obs, (hidden, cell))
order = torch.cat([torch.arange(k * H, (k + 1) * H) for k in (1, 0, 2, 3)])
project = lstm_cell(obs[None], State(hidden[None], cell[None]), Weights(*(w[None, ..., order] for w in weights)))
agree = [torch.allclose(mine[k], other, atol=1e-6) for k in (0, 1) for other in (theirs[k], project[k][0])]
print("as torch's and the project's:", agree)

# %% [markdown]
# ## 4. The GRU cell
#
# The GRU has one state and two gates: the update gate $z$ mixes the old state with a candidate, and the reset gate $r$
# says how much of the old state the candidate sees. In torch's order reset, update, candidate, with both biases,
#
# $$r, z = \sigma(\cdot), \quad n = \tanh\left(x W_{xn} + b_{xn} + r \odot (h W_{hn} + b_{hn})\right), \quad
#   h' = (1 - z) \odot n + z \odot h.$$


# %%
def my_gru_cell(x, hidden, weight_x, weight_h, bias_x, bias_h):
    """The hidden state [B, H] after a step; weight_x [D, 3H], weight_h [H, 3H], bias_x and bias_h [3H]."""
    # BEGIN SOLUTION
    from_x, from_h = x @ weight_x + bias_x, hidden @ weight_h + bias_h  # [B, 3H]
    (rx, zx, nx), (rh, zh, nh) = from_x.chunk(3, dim=1), from_h.chunk(3, dim=1)
    update = torch.sigmoid(zx + zh)
    candidate = torch.tanh(nx + torch.sigmoid(rx + rh) * nh)
    return (1 - update) * candidate + update * hidden
    # END SOLUTION


# %%
course.check("sequences", globals(), "my_gru_cell")

# %% [markdown]
# ## 5. What was the first number?
#
# A sequence begins with +1 or -1 and goes on with 39 numbers of noise. At the end the network is asked for the first.
# Who has no memory is right half of the time.


# %%
def batch(n, length=40):
    """Sequences [T, B, 1] and their first signs [B]."""
    x = 0.5 * torch.randn(length, n, 1)
    x[0] = torch.sign(x[0])
    return x, x[0, :, 0]


figure, axis = pictures.axis("Right answers, mean of 20 batches", "batch", "share")
for kind in (nn.RNN, nn.GRU, nn.LSTM):
    torch.manual_seed(1)
    net, head = kind(1, 24), nn.Linear(24, 1)
    if kind is not nn.RNN:
        net.bias_ih_l0.data[24:48] = 3.0  # of the forget or update gate: begin by keeping what is there
    optimizer, right = torch.optim.Adam([*net.parameters(), *head.parameters()], 1e-2), []
    for _ in range(200):
        x, sign = batch(64)
        answer = head(net(x)[0][-1])[:, 0]
        loss = nn.functional.binary_cross_entropy_with_logits(answer, (sign > 0).float())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        right.append(((answer > 0) == (sign > 0)).float().mean().item())
    axis.plot(pictures.smooth(right, 20), label=kind.__name__)
axis.legend()
plt.show()

# %% [markdown]
# The gates of a trained LSTM, over one sequence: the first number is written, and then the forget gates of the cells
# that hold it stay near 1.

# %%
x, _ = batch(1)
weights = net.weight_ih_l0.T, net.weight_hh_l0.T, net.bias_ih_l0 + net.bias_hh_l0
hidden = cell = torch.zeros(1, 24)
gates, cells = [], []
with torch.no_grad():
    for step in x:
        z = step @ weights[0] + hidden @ weights[1] + weights[2]
        gates.append(torch.sigmoid(z[0, 24:48]))
        hidden, cell = my_lstm_cell(step, hidden, cell, *weights)
        cells.append(cell[0])
figure, axes = plt.subplots(1, 2, figsize=(8, 2.6))
for axis, values, title, limits in ((axes[0], gates, "forget gates", (0, 1)), (axes[1], cells, "cells", (-2, 2))):
    image = axis.imshow(torch.stack(values).T, aspect="auto", cmap="RdBu_r", vmin=limits[0], vmax=limits[1])
    axis.set(title=title, xlabel="step", ylabel="unit")
    figure.colorbar(image)
plt.show()

# %% [markdown]
# **Question 2.** Where in trading does a policy need a memory, and where is a window of the last bars enough?

# %% [markdown] tags=["answer"]
# A window is enough for what the last bars tell: a short trend, the volatility. A memory pays for what lasts longer
# than a window and is not in the observation: a regime that showed itself long ago, the price at which one bought. The
# env puts the most important of these, exposure, gain and drawdown, into the observation, so that little is left.
