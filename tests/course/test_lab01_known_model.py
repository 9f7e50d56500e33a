import pytest

from tests.course.helpers import messages, with_mistake


def q(line):
    return f"def action_values(chance, reward, values, gamma): return {line}"


def iteration(better, stop="np.abs(new - values).max() < 1e-10", result="new"):
    return f"""
    def value_iteration(chance, reward, gamma, tolerance=1e-10):
        values, rounds = np.zeros(len(reward)), 0
        while True:
            q = reward + gamma * chance @ values
            new, rounds = {better}, rounds + 1
            if {stop}:
                return {result}
            values = new
    """


def evaluation(line):
    return f"""
    def policy_values(chance, reward, policy, gamma):
        rows, one = np.arange(len(policy)), np.eye(len(policy))
        P, r = chance[rows, policy], reward[rows, policy]
        return {line}
    """


WRONG = {
    "no gamma": (q("reward + chance @ values"), "gamma is missing"),
    "no reward": (q("gamma * chance @ values"), "the reward is missing"),
    "maximum": (q("(reward + gamma * chance @ values).max(1)"), "a value for each action is needed"),
    "from and to": (q("reward + gamma * np.einsum('sat,s->sa', chance, values)"), "one comes from"),
    "best case": (q("reward + gamma * (chance * values).max(2)"), "it is a mean"),
    "mean over actions": (iteration("q.mean(1)"), "the mean over actions"),
    "worst action": (iteration("q.min(1)"), "max, not min"),
    "one round": (iteration("q.max(1)", "True"), "one round only"),
    "Q": (iteration("q.max(1)", result="q"), "this is Q"),
    "fifty rounds": (iteration("q.max(1)", "rounds == 50"), "not after some rounds"),
    "transposed": (evaluation("np.linalg.solve(one - gamma * P.T, r)"), "the system is transposed"),
    "one step": (evaluation("r"), "the reward of one step"),
    "optimal, not given": (
        evaluation("value_iteration(chance, reward, gamma)"),
        "not the policy's",
    ),
    "never improved": (
        """
        def policy_iteration(chance, reward, gamma):
            policy = np.zeros(len(reward), int)
            return policy, policy_values(chance, reward, policy, gamma), 1
        """,
        "the first policy is never improved",
    ),
    "values only": (
        """
        def policy_iteration(chance, reward, gamma):
            return np.zeros(len(reward), int), value_iteration(chance, reward, gamma), 1
        """,
        "the value of the policy returned must be",
    ),
    "two results": ("def policy_iteration(chance, reward, gamma): return 1, 2", "must return three things"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_mistake_is_named(name, seed):
    code, message = WRONG[name]
    found = messages("known_model", with_mistake("known_model", code), seed)
    assert any(message in line for line in found), found
