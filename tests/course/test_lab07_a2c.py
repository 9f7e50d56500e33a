import pytest

from tests.course.helpers import messages, with_mistake


def networks(body):
    return f"""
    def build_networks(n_inputs, n_actions, width, shared):
        def net(hidden, n): return nn.Sequential(hidden, nn.Tanh(), nn.Linear(width, n))
        def layer(): return nn.Linear(n_inputs, width)
        one = layer()
        {body}
    """


def advantage(line):
    return f"def td_advantage(reward, value, next_value, terminated, gamma): return {line}"


def disorder(line):
    return f"""
    def entropy(logits):
        pi, log_pi = torch.softmax(logits, 1), torch.log_softmax(logits, 1)
        return {line}
    """


def loss(line):
    return f"""
    def a2c_loss(logits, value, action, advantage, target, h, v):
        log_pi = torch.log_softmax(logits, 1).gather(1, action[:, None])[:, 0]
        A, R = advantage.detach(), target.detach()
        return {line}
    """


WRONG = {
    "one module": (networks("return net(one, n_actions)"), "must return two modules"),
    "exchanged": (networks("return net(one, 1), net(one, n_actions)"), "are actor and critic exchanged"),
    "softmax": (
        networks("return nn.Sequential(net(one, n_actions), nn.Softmax(1)), net(one, 1)"),
        "the actor ends with a softmax",
    ),
    "never shared": (networks("return net(layer(), n_actions), net(layer(), 1)"), "not two alike"),
    "always shared": (networks("return net(one, n_actions), net(one, 1)"), "have weights in common"),
    "value of several": (networks("return net(one, n_actions), net(one, n_actions)"), "values of shape (7, 1)"),
    "future after the end": (advantage("reward + gamma * next_value - value"), "counts after a termination"),
    "end the wrong way round": (advantage("reward + gamma * terminated * next_value - value"), "wrong way round"),
    "no gamma": (advantage("reward + (1 - terminated) * next_value - value"), "gamma is missing"),
    "target": (advantage("reward + gamma * (1 - terminated) * next_value"), "this is the target"),
    "negative": (advantage("value - reward - gamma * (1 - terminated) * next_value"), "the sign is wrong"),
    "all masked": (
        advantage("reward + (1 - terminated) * (gamma * next_value - value)"),
        "of the state, too",
    ),
    "negative entropy": (disorder("(pi * log_pi).sum(1)"), "entropy is not negative"),
    "bits": (disorder("-(pi * torch.log2(pi)).sum(1)"), "it is in bits"),
    "one entropy": (disorder("-(pi * log_pi).sum()"), "it is one number"),
    "mean entropy": (disorder("-(pi * log_pi).mean(1)"), "the mean over actions is taken"),
    "unweighted": (disorder("-log_pi.sum(1)"), "not weighted by the probability"),
    "log of zero": (disorder("-(pi * pi.log()).sum(1)"), "a certain policy has NaN"),
    "entropy added": (
        loss("-(A * log_pi).mean() + h * entropy(logits).mean() + v * (value - R).square().mean()"),
        "the entropy has the wrong sign",
    ),
    "uphill": (
        loss("(A * log_pi).mean() - h * entropy(logits).mean() + v * (value - R).square().mean()"),
        "the policy's term has the wrong sign",
    ),
    "no critic": (loss("-(A * log_pi).mean() - h * entropy(logits).mean()"), "the critic's term is missing"),
    "no entropy": (loss("-(A * log_pi).mean() + v * (value - R).square().mean()"), "the entropy is missing"),
    "returns": (
        loss("-(R * log_pi).mean() - h * entropy(logits).mean() + v * (value - R).square().mean()"),
        "in place of the advantage",
    ),
    "sum": (
        loss("-(A * log_pi).sum() - h * entropy(logits).sum() + v * (value - R).square().sum()"),
        "take means over the batch",
    ),
    "gradient through the advantage": (
        loss("-(advantage * log_pi).mean() - h * entropy(logits).mean() + v * (value - R).square().mean()"),
        "a gradient flows through advantage or target",
    ),
    "gradient through the target": (
        loss("-(A * log_pi).mean() - h * entropy(logits).mean() + v * (value - target).square().mean()"),
        "a gradient flows through advantage or target",
    ),
    "critic detached": (
        loss("-(A * log_pi).mean() - h * entropy(logits).mean() + v * (value.detach() - R).square().mean()"),
        "only the critic's term has one",
    ),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_mistake_is_named(name, seed):
    code, message = WRONG[name]
    found = messages("a2c", with_mistake("a2c", code), seed)
    assert any(message in line for line in found), found
