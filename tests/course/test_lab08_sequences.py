import pytest

from tests.course.helpers import messages, with_mistake


def rnn(line, result="torch.stack(states)", over="x"):
    return f"""
    def rnn(x, wx, wh, b):
        h, states = torch.zeros(x.shape[1], wh.shape[0], dtype=x.dtype), []
        for step in {over}:
            h = {line}
            states.append(h)
        return {result}
    """


def influence(of, result):
    return f"""
    def influence(run, x):
        x = x.detach().clone().requires_grad_()
        run(x){of}.sum().backward()
        return {result}
    """


def lstm(cell, hidden="o.sigmoid() * new.tanh()", order="i, f, g, o", result="hidden, new"):
    return f"""
    def my_lstm_cell(x, h, c, wx, wh, b):
        {order} = (x @ wx + h @ wh + b).chunk(4, 1)
        new = {cell}
        hidden = {hidden}
        return {result}
    """


def gru(line, order="r, z, n"):
    first, second, third = order.split(", ")
    return f"""
    def my_gru_cell(x, h, wx, wh, bx, bh):
        (a, b, nx), (d, e, nh) = (x @ wx + bx).chunk(3, 1), (h @ wh + bh).chunk(3, 1)
        {first}, {second} = torch.sigmoid(a + d), torch.sigmoid(b + e)
        {third} = torch.tanh(nx + r * nh)
        return {line}
    """


STEP, NORM = "torch.tanh(step @ wx + h @ wh + b)", "x.grad.flatten(1).norm(dim=1)"
CELL = "f.sigmoid() * c + i.sigmoid() * g.tanh()"
WRONG = {
    "last state": (rnn(STEP, "h"), "the last state alone"),
    "no tanh": (rnn("step @ wx + h @ wh + b"), "tanh is missing"),
    "not carried": (rnn("torch.tanh(step @ wx + b)"), "not carried on"),
    "no bias": (rnn("torch.tanh(step @ wx + h @ wh)"), "the bias is missing"),
    "transposed": (rnn("torch.tanh(step @ wx + h @ wh.T + b)"), "weight_h is transposed"),
    "backwards": (rnn(STEP, "torch.stack(states).flip(0)", "x.flip(0)"), "read backwards"),
    "all states": (influence("", NORM), "that of all states"),
    "first state": (influence("[0]", NORM), "that of the first state"),
    "no norm": (influence("[-1]", "x.grad"), "this is the gradient"),
    "one norm": (influence("[-1]", "x.grad.norm()"), "one norm is taken over all steps"),
    "sum": (influence("[-1]", "x.grad.sum((1, 2))"), "not its norm"),
    "gates in the project's order": (lstm(CELL, order="f, i, g, o"), "another order"),
    "sigmoid of the candidate": (lstm("f.sigmoid() * c + i.sigmoid() * g.sigmoid()"), "it has tanh"),
    "no input gate": (lstm("f.sigmoid() * c + g.tanh()"), "the input gate is missing"),
    "no forget gate": (lstm("c + i.sigmoid() * g.tanh()"), "the forget gate is missing"),
    "no sigmoid": (lstm("f * c + i * g.tanh()"), "the gates have no sigmoid"),
    "no tanh of the cell": (lstm(CELL, "o.sigmoid() * new"), "tanh of the new cell is missing"),
    "no output gate": (lstm(CELL, "new.tanh()"), "the output gate is missing"),
    "exchanged": (lstm(CELL, result="new, hidden"), "are exchanged"),
    "hidden alone": (lstm(CELL, result="hidden"), "must return two things"),
    "update turned round": (gru("z * n + (1 - z) * h"), "the wrong way round"),
    "reset and update exchanged": (gru("(1 - z) * n + z * h", "z, r, n"), "reset and update are exchanged"),
    "no reset": (gru("(1 - z) * torch.tanh(nx + nh) + z * h"), "the reset gate is missing"),
    "reset before the weights": (
        gru("(1 - z) * torch.tanh(nx + (r * h) @ wh[:, -h.shape[1]:] + bh[-h.shape[1]:]) + z * h"),
        "in torch it multiplies",
    ),
    "candidate": (gru("n"), "the candidate alone is returned"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_mistake_is_named(name, seed):
    code, message = WRONG[name]
    found = messages("sequences", with_mistake("sequences", code), seed)
    assert any(message in line for line in found), found
