"""Networks of plain torch layers with the weights of one seed, for reference updates."""

import torch


class Net(torch.nn.Module):
    """A perceptron with ReLU, of copies of layers: weight [in, out] and bias [1, out]."""

    def __init__(self, layers):
        super().__init__()
        self.weights = torch.nn.ParameterList(weight.clone() for weight, _ in layers)
        self.biases = torch.nn.ParameterList(bias.clone().reshape(-1) for _, bias in layers)

    def forward(self, *x):
        x = torch.cat(x, -1)
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = (torch.relu(x) if i else x) @ weight + bias
        return x


def layers_of(network, *index):
    """The layers of one seed (and critic) of a `SeedNetwork`."""
    arrays = [value[index] for value in network.values.values()]
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def net_of(network, *index):
    """The network of one seed (and critic) as a module of its own."""
    return Net(layers_of(network, *index))


def assert_same(net, network, *index):
    """That a plain network has the weights of one seed (and critic), but for rounding."""
    for (weight, bias), theirs, their_bias in zip(layers_of(network, *index), net.weights, net.biases, strict=True):
        torch.testing.assert_close(theirs.data, weight, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(their_bias.data, bias[0], rtol=1e-3, atol=1e-5)


def polyak(net, target, tau):
    """Moves a target network by a fraction of the way."""
    for p, p_target in zip(net.parameters(), target.parameters(), strict=True):
        p_target.data.mul_(1 - tau).add_(tau * p.data)


def recorded(agent, updates):
    """Makes updates of an agent with a replay memory; yields (obs, next_obs, action, reward, continues), noises."""
    draw, used = agent._noise, []
    agent._noise = lambda: used.append(draw()) or used[-1]
    for _ in range(updates):
        batch = agent._sample()
        rows = [part.clone() for part in vars(batch).values()]
        agent._last = agent._update(batch, agent.config.learning_rate)
        agent.n_updates += 1
        yield rows, used[-1]
