import pytest

from benchmarks.contenders.named import Contender
from benchmarks.study.suite import Suite, SuiteError, built_in

TEXT = """
name = "mine"
data = ["us-stocks/IBM"]
seeds = 3

[env]
window = 7
actions = [0.0, 1.0]

[walk_forward]
folds = 2

[[contenders]]
strategy = "buy_and_hold"

[[contenders]]
agent = "DQN"
name = "wide"
steps = 500
hyperparameters = { net_arch = [128], learning_rate = "lin_1e-3" }
"""


def read(tmp_path, text=TEXT):
    (tmp_path / "mine.toml").write_text(text)
    return Suite.read(tmp_path / "mine.toml")


def test_a_file_becomes_a_suite(tmp_path):
    suite = read(tmp_path)
    assert suite.env == {"window": 7, "actions": (0.0, 1.0)}
    assert suite.purge == 8
    assert suite.contender("wide").hyperparameters["net_arch"] == [128]
    assert [one.runs(suite.seeds) for one in suite.contenders] == [1, 3]


@pytest.mark.parametrize("name", built_in())
def test_built_in_suites_can_be_read(name):
    assert Suite.read(name).name == name


WRONG = [
    ("seeds = 3", "seeds = 0", "seeds must be"),
    ("seeds = 3", "sedes = 3", "the suite has an unknown key 'sedes'"),
    ("window = 7", "window = 0", "window must be"),
    ("window = 7", "windows = 7", "windows"),
    ("folds = 2", "fold = 2", "walk_forward has an unknown key 'fold'"),
    ("folds = 2", "folds = 0", "folds must be"),
    ('agent = "DQN"', 'agent = "DQM"', r"contenders\[1\]: agent must be one of"),
    ('agent = "DQN"', 'agents = "DQN"', r"contenders\[1\] has an unknown key 'agents'"),
    ('agent = "DQN"', 'sb3 = "XYZ"', "no algorithm 'XYZ'"),
    ('agent = "DQN"', 'strategy = "hope"', r"contenders\[1\]: strategy must be one of"),
    ('agent = "DQN"', 'make = "no_such_module:make"', "contender 'no_such_module:make': No module named"),
    ('agent = "DQN"', 'agent = "DQN"\nsb3 = "DQN"', r"contenders\[1\]: exactly one of"),
    ("net_arch = [128]", "net_arch = [0]", r"contenders\[1\]: net_arch"),
    ("net_arch = [128]", "net_arc = [128]", "net_arc"),
    ('name = "wide"', 'name = "buy_and_hold"', "contenders must have"),
    ('strategy = "buy_and_hold"', 'strategy = "flat"', "benchmark must be one of the contenders"),
    ('data = ["us-stocks/IBM"]', "data = []", "data or tasks must be given"),
    ('data = ["us-stocks/IBM"]', "data = [1]", "data must be a list of names"),
    ('name = "mine"', "name = 3", "name must be"),
    ("[env]", "[[env]]", "env must be a table"),
    ('data = ["us-stocks/IBM"]', "", "data or tasks must be given"),
    ("[env]", "[env]\nrandom_start = true", "env must not have"),
    ('name = "mine"', 'name = "a/b"', "name must be"),
    ('name = "mine"', 'name = "mine', "mine.toml: "),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG)
def test_a_wrong_suite_is_refused_by_file_and_key(tmp_path, old, new, message):
    assert TEXT.count(old) == 1
    with pytest.raises(SuiteError, match=message) as refused:
        read(tmp_path, TEXT.replace(old, new))
    assert "mine.toml" in str(refused.value)


def test_an_unknown_suite_names_those_that_there_are(tmp_path):
    with pytest.raises(
        SuiteError,
        match=r"no suite 'nope': give a \.toml file, or one of curves, daily-stocks, demo, indices, portfolio, smoke",
    ):
        Suite.read("nope")
    with pytest.raises(SuiteError, match=r"none\.toml"):
        Suite.read(tmp_path / "none.toml")


def test_contenders_name_themselves():
    assert Contender(sb3="PPO").name == "SB3 PPO"
    assert Contender(random=3.0).name == "random"
    assert Contender(make="builtins:print").name == "print"
