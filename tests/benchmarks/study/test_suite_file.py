import tomllib

import pytest

from benchmarks.study.suite import SuiteError
from benchmarks.study.suite_file import own_file, with_hyperparameters, write_hyperparameters

VALUES = {"learning_rate": 1e-05, "net_arch": [64, 64], "policy_kwargs": {"a b": 'x # " y'}, "on": True}
HEAD = '# mine\nname = "mine"\n\n[[contenders]]  # first\nstrategy = "flat"\n\n'
TAIL = '\n# last\n[[contenders]]\nstrategy = "buy_and_hold"\n'
FORMS = {
    "none": 'agent = "DQN"  # ours\n# more\n',
    "no end": 'agent = "DQN"',
    "inline": 'hyperparameters = { gamma = 0.5 }   # why\nagent = "DQN"\n',
    "table": 'agent = "DQN"\n[contenders.hyperparameters]\n# rate\nlearning_rate = 1e-3  # why\n\n',
    "table with another key": 'agent = "DQN"\n[contenders.hyperparameters]\ngamma = 1\nlearning_rate = 1\n',
    "gone": 'agent = "DQN"\nhyperparameters = {learning_rate = 1, text = "}#{"}\n',
}


@pytest.mark.parametrize("form", FORMS)
def test_only_the_hyperparameters_of_one_contender_change(form):
    tail = TAIL if FORMS[form].endswith("\n") else ""
    text = f"{HEAD}[[contenders]]\n{FORMS[form]}{tail}"
    values = VALUES if "table" not in form else {"learning_rate": 1e-05, "net_arch": [64]}
    found = with_hyperparameters(text, 1, values)
    expected = tomllib.loads(text)
    expected["contenders"][1]["hyperparameters"] = values
    assert tomllib.loads(found) == expected
    assert found.startswith(HEAD)
    assert found.endswith(tail)
    for comment in ("# ours", "# more", "# why", "# rate"):
        assert (comment in text) == (comment in found)
    assert with_hyperparameters(found, 1, values) == found


def test_line_ends_stay(tmp_path):
    (tmp_path / "mine.toml").write_bytes(f"{HEAD}{TAIL}".replace("\n", "\r\n").encode())
    write_hyperparameters(tmp_path / "mine.toml", 0, {"gamma": 0.5})
    content = (tmp_path / "mine.toml").read_bytes()
    assert content.count(b"\r\n") == content.count(b"\n") == f"{HEAD}{TAIL}".count("\n") + 1


@pytest.mark.parametrize(
    "text",
    [
        'contenders = [{ agent = "DQN" }]\n',
        '[[contenders]]\nagent = "DQN"\nhyperparameters.gamma = 0.5\n',
        "[[contenders]]\nhyperparameters = { net_arch = [\n64] }\n",
    ],
)
def test_a_form_that_cannot_be_changed_is_refused_with_what_to_write(text, tmp_path):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(SuiteError, match=r"mine\.toml: contenders\[0\] cannot .* hyperparameters = \{ learning_rate"):
        write_hyperparameters(tmp_path / "mine.toml", 0, {"learning_rate": 1e-05})
    assert (tmp_path / "mine.toml").read_text() == text


def test_a_built_in_suite_is_not_the_users(tmp_path):
    with pytest.raises(SuiteError, match=r"a built-in suite is never written: copy .*smoke\.toml"):
        own_file("smoke")
    assert own_file(str(tmp_path / "mine.toml")) == tmp_path / "mine.toml"
