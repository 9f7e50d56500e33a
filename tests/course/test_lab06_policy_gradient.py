import pytest

from tests.course.helpers import messages, with_mistake


def returns(body):
    return f"def discounted_returns(reward, gamma):\n    n = len(reward)\n    {body}"


def loss(line):
    return f"""
    def policy_loss(logits, action, advantage):
        log_pi = torch.log_softmax(logits, dim=1)
        taken = log_pi.gather(1, action[:, None])[:, 0]
        return {line}
    """


FROM_T = "sum(gamma ** (k - t) * reward[k] for k in range(t, n))"
WRONG = {
    "undiscounted": (returns("return np.cumsum(reward[::-1])[::-1]"), "gamma is missing"),
    "sums of the past": (returns("return np.cumsum(reward)"), "these are sums of the past"),
    "reversed": (returns(f"return [{FROM_T} for t in range(n)][::-1]"), "in reverse order"),
    "whole episode": (returns(f"t = 0; return [{FROM_T}] * n"), "the return of the whole episode"),
    "one number": (returns(f"t = 0; return {FROM_T}"), "a return for every step is needed"),
    "own reward left out": (
        returns("return [sum(gamma ** (k - t - 1) * reward[k] for k in range(t + 1, n)) for t in range(n)]"),
        "the reward of the step itself is missing",
    ),
    "discounted from the start": (
        returns("return [sum(gamma**k * reward[k] for k in range(t, n)) for t in range(n)]"),
        "discounted from the start of the episode",
    ),
    "greedy": ("def draw_action(logits, rng): return int(logits.argmax())", "always taken: draw it"),
    "uniform": ("def draw_action(logits, rng): return int(rng.integers(len(logits)))", "all actions are drawn alike"),
    "a tensor": ("def draw_action(logits, rng): return torch.softmax(logits, 0).multinomial(1)", "must return an int"),
    "no mean": ("def normalised(x): return x / x.std()", "the mean is not subtracted"),
    "no deviation": ("def normalised(x): return x - x.mean()", "not divided by the deviation"),
    "divisor n": ("def normalised(x): return (x - x.mean()) / (x.std(correction=0) + 1e-8)", "the divisor of the"),
    "equal numbers": ("def normalised(x): return (x - x.mean()) / x.std()", "equal numbers give NaN"),
    "uphill": (loss("(advantage * taken).mean()"), "the sign is wrong"),
    "no logarithm": (loss("-(advantage * taken.exp()).mean()"), "the logarithm is missing"),
    "logits": (loss("-(advantage * logits.gather(1, action[:, None])[:, 0]).mean()"), "log_softmax makes them"),
    "sum": (loss("-(advantage * taken).sum()"), "the loss is a sum"),
    "broadcast": (loss("-(advantage * taken[:, None]).mean()"), "[B] times [B, 1] is [B, B]"),
    "all actions": (loss("-(advantage[:, None] * log_pi).mean()"), "of the action taken"),
    "detached": (loss("-(advantage * taken.detach()).mean()"), "the loss has no gradient"),
    "half detached": (
        loss("-(advantage * (taken.detach() + (taken - taken.detach()) / 2)).mean()"),
        "differs: is a part",
    ),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_mistake_is_named(name, seed):
    code, message = WRONG[name]
    found = messages("policy_gradient", with_mistake("policy_gradient", code), seed)
    assert any(message in line for line in found), found
