"""A bad suite ends in one line that names file and key, before any training; a contender that fails later, alone."""

import json
import re

import pytest

from benchmarks.__main__ import main
from benchmarks.study.ledger import Ledger
from benchmarks.suites import run

TEXT = """
name = "mine"
data = ["us-stocks/IBM"]
seeds = 2
points = 2

[env]
window = 3
actions = [0.0, 1.0]

[walk_forward]
folds = 2
test = 0.3
validation = 50

[[contenders]]
strategy = "buy_and_hold"

[[contenders]]
agent = "DQN"
steps = 200
hyperparameters = { net_arch = [8] }

[[contenders]]
make = "bad_contenders:good"
"""
MODULE = """
def good(train, validation, keywords, seeds):
    return [lambda obs: 1 for _ in seeds]

def nothing(train, validation, keywords, seeds):
    return None

def text(train, validation, keywords, seeds):
    return ["a", "b"]

def raises(train, validation, keywords, seeds):
    raise RuntimeError("no luck")

def strange(train, validation, keywords, seeds):
    return [lambda obs: 7 for _ in seeds]

def later(train, validation, keywords, seeds):
    if len(train) > 2450:
        raise RuntimeError("too much data")
    return [lambda obs: 1 for _ in seeds]

def two(train, validation):
    return None

NUMBER = 3
"""
ONE = r"contenders\[1\]"
TWO = r"contenders\[2\]"
LONG = "x" * 400
BAD = [  # a part of the text, what stands there instead, and what the message must have beside the file
    ('agent = "DQN"', 'agent = "dqm"', f"{ONE}.*agent must be one of"),
    ('agent = "DQN"', 'agent = ""', f"{ONE}.*agent must be one of"),
    ('agent = "DQN"', "agent = 3", f"{ONE}.*agent must be a text"),
    ('agent = "DQN"', 'agent = ["DQN"]', f"{ONE}.*agent must be a text"),
    ('agent = "DQN"', 'sb3 = "DQM"', f"{ONE}.*no algorithm 'DQM'"),
    ('agent = "DQN"', 'sb3 = "DQN"', f"{ONE}.*net_arch"),
    ('agent = "DQN"', 'agent = "RecurrentPPO"', f"{ONE}.*agent must be one of"),
    ('agent = "DQN"', 'agent = "DQN"\ncolour = 3', f"{ONE} has an unknown key 'colour'"),
    ('agent = "DQN"', f'agent = "DQN"\n{LONG} = 3', f"{ONE} has an unknown key"),
    ('agent = "DQN"', f'agent = "DQN"\nname = "{LONG}"', f"{ONE}.*name must have at most 80"),
    ('agent = "DQN"', 'agent = "DQN"\nname = "a\\u001b[2J"', f"{ONE}.*name must have"),
    ('agent = "DQN"', 'agent = "DQN"\nname = "buy_and_hold"', "contenders must have"),
    ('agent = "DQN"', 'agent = "DQN"\nblock = 0', f"{ONE}.*block must be"),
    ('agent = "DQN"', 'agent = "DQN"\nseeds = 1e9', f"{ONE}.*seeds must be"),
    ('agent = "DQN"', 'agent = "DQN"\nn_envs = -1', f"{ONE}.*n_envs must be"),
    ('agent = "DQN"', 'agent = "DQN"\ntasks = ["regime"]', f"{ONE}.*tasks must not be given"),
    ('agent = "DQN"', 'forecast = "oracle"', f"{ONE}.*forecast must be one of"),
    ('agent = "DQN"', 'forecast = "ridge"', f"{ONE}.*net_arch"),
    ("steps = 200", "steps = -5", f"{ONE}.*steps must be"),
    ("steps = 200", "steps = nan", f"{ONE}.*steps must be"),
    ("steps = 200", 'steps = "many"', f"{ONE}.*steps must be"),
    ("net_arch = [8]", "learning_rate = nan", f"{ONE}.*learning_rate"),
    ("net_arch = [8]", "learning_rate = -1.0", f"{ONE}.*learning_rate"),
    ("net_arch = [8]", 'learning_rate = "lin_x"', f"{ONE}.*learning_rate"),
    ("net_arch = [8]", "batch_size = 0", f"{ONE}.*batch_size"),
    ("{ net_arch = [8] }", "3", f"{ONE}.*hyperparameters must be a table"),
    ("bad_contenders:good", "bad_contenders:gone", f"{TWO}.*has no attribute 'gone'"),
    ("bad_contenders:good", "nowhere:good", f"{TWO}.*No module named 'nowhere'"),
    ("bad_contenders:good", "bad_contenders", f"{TWO}.*must be module:function"),
    ("bad_contenders:good", "bad_contenders:two", f"{TWO}.*must take train, validation, keywords, seeds"),
    ("bad_contenders:good", "bad_contenders:NUMBER", f"{TWO}.*bad_contenders:NUMBER"),
    ("bad_contenders:good", "bad_contenders:nothing", f"{TWO}.*must return an object with predict"),
    ("bad_contenders:good", "bad_contenders:text", f"{TWO}.*must return an object with predict"),
    ("bad_contenders:good", "bad_contenders:raises", f"{TWO}.*make fails on us-stocks/IBM: RuntimeError: no luck"),
    ("bad_contenders:good", "bad_contenders:strange", f"{TWO}.*make fails on us-stocks/IBM"),
    ('name = "mine"', f'name = "{LONG}"', "name must be"),
    ('name = "mine"', 'name = ".."', "name must be"),
    ('name = "mine"', 'title = "mine"', "unknown key 'title'"),
    ("us-stocks/IBM", "us-stocks/IBN", "data: .*us-stocks/IBN"),
    ("us-stocks/IBM", "nowhere.csv", "data: .*nowhere.csv"),
    ('["us-stocks/IBM"]', '["us-stocks/IBM", "us-stocks/IBM"]', "data must have"),
    ('["us-stocks/IBM"]', '"us-stocks/IBM"', "data must be a list"),
    ('["us-stocks/IBM"]', "[1]", "data must be a list"),
    ("seeds = 2", "seeds = 2.5", "seeds must be"),
    ("seeds = 2", "seeds = true", "seeds must be"),
    ("points = 2", "points = -1", "points must be"),
    ("points = 2", 'tasks = ["regime"]', "data or tasks must be given"),
    ("window = 3", "window = 100_000", "walk_forward"),
    ("window = 3", "window = nan", "env: window must be"),
    ("window = 3", "costs = { commission = -1.0 }", "env: .*commission"),
    ("window = 3", "reward = 'fame'", "env: .*reward"),
    ("actions = [0.0, 1.0]", 'actions = "continuous"', f"{ONE} .*[Aa]ction"),
    ("folds = 2", "folds = 0", "walk_forward: folds must be"),
    ("folds = 2", "folds = 900", "walk_forward: .* 900 folds"),
    ("folds = 2", "horizon = 2_000", "walk_forward: .* too few"),
    ("test = 0.3", "test = 1.5", "walk_forward: test must be"),
    ("test = 0.3", "test = nan", "walk_forward: test must be"),
    ("validation = 50", "validation = 3_000", "walk_forward: .* 3000 of validation"),
    ("validation = 50", "overlap = true", "walk_forward has an unknown key 'overlap'"),
    ("folds = 2", "split = 2030-01-01", "walk_forward: split must lie within data"),
    ("[walk_forward]", "[[walk_forward]]", "walk_forward must be a table"),
    ("[[contenders]]\nagent", "[contenders]\nagent", "contenders"),
    ("seeds = 2", "seeds = ", "mine.toml"),
]


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """A function that runs the suite of a text."""
    (tmp_path / "bad_contenders.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))

    def ran(text, encoding="utf-8"):
        (tmp_path / "mine.toml").write_bytes(text.encode(encoding))
        line = ["run", str(tmp_path / "mine.toml"), "--folder", str(tmp_path / "results"), "--processes", "0"]
        return main([*line, "--no-progress"])

    return ran


@pytest.mark.parametrize(("old", "new", "message"), BAD)
def test_a_bad_suite_ends_before_training_in_a_line_that_names_file_and_key(
    old, new, message, suite, monkeypatch, capsys
):
    assert TEXT.count(old) == 1
    monkeypatch.setattr(run, "finish", lambda *given: pytest.fail("it trains"))
    with pytest.raises(SystemExit) as left:
        suite(TEXT.replace(old, new))
    said = capsys.readouterr().err
    assert left.value.code == 2
    assert said.startswith("python -m benchmarks run: error: ")
    assert len(said.splitlines()) == 1, said
    assert "mine.toml" in said
    assert re.search(message, said), said
    assert len(said) < 1_500


def test_a_contender_that_fails_later_costs_its_own_rows_only(suite, tmp_path, capsys):
    text = TEXT.replace("bad_contenders:good", "bad_contenders:later")
    assert suite(text.replace('agent = "DQN"\nsteps = 200\nhyperparameters = { net_arch = [8] }', "random = 9")) == 1
    printed = capsys.readouterr().out
    results = json.loads((tmp_path / "results" / "mine" / "results.json").read_text())
    assert {name: one["rows"] for name, one in results["contenders"].items()} == {
        "buy_and_hold": 2,
        "random": 2,
        "later": 1,
    }
    command = re.search(r"run alone: (.*)$", printed, re.MULTILINE).group(1).split()
    lines = len(Ledger(tmp_path / "results" / "ledger.jsonl").lines())
    assert main([*command[3:], "--processes", "0"]) == 1
    assert "failed: later on us-stocks/IBM, fold 1" in capsys.readouterr().out
    assert len(Ledger(tmp_path / "results" / "ledger.jsonl").lines()) == lines


def test_a_file_with_a_byte_order_mark_is_read(suite):
    only = TEXT.split("[[contenders]]\nagent")[0]
    assert suite(only, "utf-8-sig") == 0
