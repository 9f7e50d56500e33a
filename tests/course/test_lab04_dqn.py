import pytest

from tests.course.helpers import messages, with_mistake

WRONG = {
    "drawn with repetition": (
        """
        class Memory:
            def sample(self, batch_size, rng):
                rows = [self.rows[i] for i in rng.integers(len(self.rows), size=batch_size)]
                return tuple(torch.as_tensor(np.array(part)) for part in zip(*rows))
        """,
        "a row is drawn twice",
    ),
    "the newest rows": (
        """
        class Memory:
            def sample(self, batch_size, rng):
                return tuple(torch.as_tensor(np.array(part)) for part in zip(*list(self.rows)[-batch_size:]))
        """,
        "draw from the whole memory",
    ),
    "parts drawn apart": (
        """
        class Memory:
            def sample(self, batch_size, rng):
                def part(i):
                    rows = rng.choice(len(self.rows), batch_size, replace=False)
                    return torch.as_tensor(np.array([self.rows[row][i] for row in rows]))
                return tuple(part(i) for i in range(5))
        """,
        "draw rows, not each part by itself",
    ),
    "a list of rows": (
        """
        class Memory:
            def sample(self, batch_size, rng):
                return [self.rows[i] for i in rng.choice(len(self.rows), batch_size, replace=False)]
        """,
        "sample must return five parts",
    ),
    "arrays": (
        """
        class Memory:
            def sample(self, batch_size, rng):
                rows = [self.rows[i] for i in rng.choice(len(self.rows), batch_size, replace=False)]
                return tuple(np.array(part) for part in zip(*rows))
        """,
        "obs must be a tensor, got ndarray",
    ),
    "no mask": (
        "class QNetwork:\n    def forward(self, obs, mask=1.0):\n        return self.layers(obs)",
        "the mask is ignored",
    ),
    "epsilon turned round": (
        """
        def act(network, obs, epsilon, rng):
            values = network(torch.as_tensor(obs)[None])[0]
            return int(values.argmax()) if rng.random() < epsilon else int(rng.integers(len(values)))
        """,
        "epsilon is the probability of a random action",
    ),
    "the last action is never explored": (
        """
        def act(network, obs, epsilon, rng):
            values = network(torch.as_tensor(obs)[None])[0]
            return int(rng.integers(len(values) - 1)) if rng.random() < epsilon else int(values.argmax())
        """,
        "action 3 is never explored",
    ),
    "the worst action": (
        """
        def act(network, obs, epsilon, rng):
            values = network(torch.as_tensor(obs)[None])[0]
            return int(rng.integers(len(values))) if rng.random() < epsilon else int(values.argmin())
        """,
        "argmax, not argmin",
    ),
    "no floor": (
        "def epsilon_at(step, begin=64, decay=0.999, floor=0.05): return decay ** max(step - begin, 0)",
        "below its floor",
    ),
    "from step 0": (
        "def epsilon_at(step, begin=64, decay=0.999, floor=0.05): return max(floor, decay**step)",
        "it stays 1 until `begin`",
    ),
    "done forgotten": (
        """
        def bellman_target(reward, done, next_values, gamma):
            return reward + gamma * torch.max(next_values, dim=1)[0]
        """,
        "a next value is added after a termination",
    ),
    "done the wrong way round": (
        """
        def bellman_target(reward, done, next_values, gamma):
            return torch.where(done > 0, reward + gamma * next_values.amax(1), reward)
        """,
        "done is the wrong way round",
    ),
    "maximum of the batch": (
        """
        def bellman_target(reward, done, next_values, gamma):
            return reward + gamma * (1 - done) * torch.max(next_values)
        """,
        "the maximum is over actions",
    ),
    "no gamma": (
        "def bellman_target(reward, done, next_values, gamma): return reward + (1 - done) * next_values.amax(1)",
        "gamma is missing",
    ),
    "one column too many": (
        """
        def bellman_target(reward, done, next_values, gamma):
            return reward + gamma * (1 - done) * next_values.max(dim=1, keepdim=True).values
        """,
        "the target has shape [B, B]",
    ),
    "no mean over actions": (
        """
        def masked_loss(network, target_network, batch, gamma):
            obs, action, reward, next_obs, done = batch
            target = bellman_target(reward, done, target_network(next_obs).detach(), gamma)
            return nn.functional.mse_loss(network(obs).gather(1, action[:, None])[:, 0], target)
        """,
        "divide by the number of actions",
    ),
    "no target network": (
        """
        def masked_loss(network, target_network, batch, gamma):
            obs, action, reward, next_obs, done = batch
            target = bellman_target(reward, done, network(next_obs).detach(), gamma)
            mask = nn.functional.one_hot(action, 3)
            return (network(obs, mask) - mask * target[:, None]).square().mean()
        """,
        "not from the target network",
    ),
    "outputs without a mask": (
        """
        def masked_loss(network, target_network, batch, gamma):
            obs, action, reward, next_obs, done = batch
            target = bellman_target(reward, done, target_network(next_obs).detach(), gamma)
            mask = nn.functional.one_hot(action, 3)
            return (network(obs) - mask * target[:, None]).square().mean()
        """,
        "the outputs are not masked",
    ),
    "gradient through the target": (
        """
        def masked_loss(network, target_network, batch, gamma):
            obs, action, reward, next_obs, done = batch
            target = bellman_target(reward, done, target_network(next_obs), gamma)
            mask = nn.functional.one_hot(action, 3)
            return (network(obs, mask) - mask * target[:, None]).square().mean()
        """,
        "a gradient flows through the target",
    ),
    "loss detached": (
        """
        def masked_loss(network, target_network, batch, gamma):
            obs, action, reward, next_obs, done = batch
            with torch.no_grad():
                target = bellman_target(reward, done, target_network(next_obs), gamma)
                mask = nn.functional.one_hot(action, 3)
                return (network(obs, mask) - mask * target[:, None]).square().mean()
        """,
        "the loss has no gradient",
    ),
    "not annualised": ("def sharpe(returns, bars_per_year): return np.mean(returns) / np.std(returns, ddof=1)", "root"),
    "by variance": (
        "def sharpe(returns, bars_per_year): return returns.mean() / returns.var(ddof=1) * bars_per_year**0.5",
        "the mean is divided by the variance",
    ),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_mistake_is_named(name, seed):
    code, message = WRONG[name]
    found = messages("dqn", with_mistake("dqn", code), seed)
    assert any(message in line for line in found), found
