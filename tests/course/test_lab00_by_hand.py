import pytest

from tests.course.helpers import messages, with_mistake


def play(end, result="total, steps, terminated", obs="obs, reward"):
    return f"""
    def play(env, policy, seed):
        obs, _ = env.reset(seed=seed)
        total, steps, terminated, truncated = 0.0, 0, False, False
        while not ({end}):
            {obs}, terminated, truncated, _ = env.step(policy(obs))
            total, steps = total + reward, steps + 1
        return {result}
    """


def buy(units, commission="units * price * (1 + slippage) * commission"):
    return f"""
    def buy_all(cash, price, commission, slippage):
        units = {units}
        return units, {commission}, units * price * slippage
    """


def sell(cash):
    return f"""
    def sell_all(units, price, commission, slippage):
        notional = units * price * (1 - slippage)
        return {cash}, notional * commission, units * price * slippage
    """


def books(line):
    return f"""
    def left_over(before, after):
        change = after["equity"] - before["equity"]
        pnl, c, s, f = (after[key] for key in ("pnl", "commission", "slippage", "financing"))
        return {line}
    """


RIGHT = "cash / (price * (1 + slippage) * (1 + commission))"
WRONG = {
    "time limit ignored": (play("terminated"), "a step follows the end of the episode"),
    "termination ignored": (play("truncated"), "a step follows the end of the episode"),
    "truncation is termination": (play("terminated or truncated", "total, steps, True"), "False after a time limit"),
    "old observations": (play("terminated or truncated", obs="_, reward"), "the newest observation"),
    "last reward": (play("terminated or truncated", "reward, steps, terminated"), "this is the last reward"),
    "two results": (play("terminated or truncated", "total, steps"), "must return three things"),
    "always right": ("def push(obs): return 1", "always the same way"),
    "angle alone": ("def push(obs): return int(obs[2] > 0)", "use its velocity, too"),
    "a float": ("def push(obs): return obs[2]", "push must return 0 or 1"),
    "no costs": (buy("cash / price"), "costs are forgotten"),
    "no slippage": (buy("cash / (price * (1 + commission))"), "slippage is forgotten"),
    "bought below the price": (buy("cash / (price * (1 - slippage) * (1 + commission))"), "a buyer pays more"),
    "commission of the cash": (buy(RIGHT, "cash * commission"), "not of the cash"),
    "commission of the price quoted": (buy(RIGHT, "units * price * commission"), "slippage included"),
    "sold without costs": (sell("units * price"), "costs are forgotten"),
    "sold above the price": (sell("units * price * (1 + slippage) * (1 - commission)"), "a seller gets less"),
    "a purchase turned round": (
        sell("units * price / ((1 + slippage) * (1 + commission))"),
        "no purchase turned",
    ),
    "costs earned": (books("change - (pnl + c + s + f)"), "costs are earned here"),
    "costs forgotten": (books("change - pnl"), "costs are forgotten"),
    "financing forgotten": (books("change - (pnl - c - s)"), "financing is forgotten"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_mistake_is_named(name, seed):
    code, message = WRONG[name]
    found = messages("by_hand", with_mistake("by_hand", code), seed)
    assert any(message in line for line in found), found
