"""What the commands of agents say of a wrong line, and what they do where nobody reads on."""

import io
import subprocess
import sys
import warnings
from dataclasses import dataclass
from importlib import import_module

import pytest

import agents
from agents.base import cli
from agents.base.commands import Refusal, checking, output, parse, printable, refusing

WRONG = {  # module and options: what the one line must hold
    "dqn": "--env",
    "dqn --env CartPole-v1 --nope 3": "--nope",
    "dqn --env CartPole-v1 --no-progress-bar yes": "--no-progress-bar",
    "dqn --env CartPole-v1 --seeds": "seeds",
    "dqn --env CartPole-v1 --seeds x": "--seeds",
    "dqn --env CartPole-v1 --seeds 1 1": "seeds",
    "dqn --env CartPole-v1 --seeds -1": "seeds",
    "dqn --env CartPole-v1 --total-timesteps 1e3": "--total-timesteps",
    "dqn --env CartPole-v1 --total-timesteps 0": "total_timesteps",
    "dqn --env CartPole-v1 --eval-episodes -1": "eval_episodes",
    "dqn --env CartPole-v1 --learning-rate abc": "learning_rate",
    "dqn --env CartPole-v1 --learning-rate -1": "learning_rate",
    "dqn --env CartPole-v1 --batch-size 0": "batch_size",
    "dqn --env CartPole-v1 --net-arch 0": "net_arch",
    "dqn --env CartPole-v1 --gamma nan": "gamma",
    "dqn --env CartPole-v1 --device nonsense": "device",
    "dqn --env CartPole-v1 --verbose -1": "verbose",
    "dqn --env CartPole-v1 --resume": "--resume needs --checkpoint",
    "dqn --env CartPole-v1 --checkpoint run --checkpoint-every 0": "every",
    "dqn --env CartPole-v1 --tensorboard-log": "--tensorboard-log",
    "dqn --env CartPole-v9": "env 'CartPole-v9'",
    "dqn --env :": "env ':'",
    "dqn --env no.such:Env-v0": "env 'no.such:Env-v0'",
    "dqn --env Pendulum-v1": "action_space",
    "q_learning --env CartPole-v1": "observation_space",
    "q_learning --env FrozenLake-v1 --n-envs 0": "n_envs",
    "td_lambda --env CartPole-v1": "afterstates",
    "ppo --env FrozenLake-v1": "observation_space",
    "ppo --env CartPole-v1 --clip-range -1": "clip_range",
    "a2c --env CartPole-v1 --activation sigmoidal": "--activation",
    "recurrent_a2c --env CartPole-v1 --lstm-size 0": "lstm_size",
    "recurrent_dqn --env CartPole-v1 --lstm-size -3": "lstm_size",
    "reinforce --env CartPole-v1 --gamma 2": "gamma",
}
CLASSES = {module.removeprefix("agents."): name for name, module in agents.AGENTS.items()}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_line_ends_in_one_line_that_names_what_is_wrong(line, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    name, *options = line.split()
    module = import_module(f"agents.{name}")
    kind = getattr(module, CLASSES[name])
    monkeypatch.setattr(kind, "learn", lambda *args, **keywords: pytest.fail("it trains"))
    with pytest.raises(SystemExit) as left:
        cli.main(kind, getattr(module, "PRESETS", {}), options)
    assert left.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"python -m agents.{name}: error: ")
    assert WRONG[line] in lines[0]


def test_a_process_ends_with_code_2_and_one_line():
    command = [sys.executable, "-m", "agents.dqn", "--env", "CartPole-v1", "--nope=3", "--fast", "yes"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env={"COLUMNS": "40"})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert "--nope" in ended.stderr


@dataclass
class Options:
    """Options.

    Args:
        size: a number.
        fast: a flag.
    """

    size: int = 1
    fast: bool = False

    def __post_init__(self) -> None:
        if self.size < 1:
            raise TypeError(f"size must be\nat least 1, got \x1b[31m{self.size}")


def test_a_value_is_named_by_the_option_it_stands_at(capsys):
    assert parse("it", Options, ["--size", "3"]) == Options(3)
    for words, said in (
        (["--size=3", "--fast", "yes"], "Unrecognized options: yes (at --fast)"),
        (["--fast=1"], "Unrecognized options: 1 (at --fast)"),
        (["--size", "x"], "Error parsing --size: invalid literal for int() with base 10: 'x'"),
        (["--size", "0"], r"size must be at least 1, got \x1b[31m0"),
    ):
        with pytest.raises(Refusal):
            parse("it", Options, words)
        assert capsys.readouterr().err == f"it: error: {said}\n"


def test_a_fault_beyond_the_checks_is_no_wrong_line():
    with pytest.raises(KeyError), refusing("it"):
        raise KeyError("a mistake of ours")


def test_what_a_terminal_would_act_on_is_shown_as_its_escape():
    assert printable("a\x1b[2J\r\nb\u202e\udc80é$[/b]") == "a\\x1b[2J\\r\\nb\\u202e\\udc80é$[/b]"


PIPED = (
    "import agents.base.cli as cli; print('x' * 9); cli._run = lambda *args: [print('line') for _ in range(100_000)]; "
)
PIPED += "cli.main(None, {}, [])"


def test_output_that_nobody_reads_on_ends_the_command_quietly():
    with subprocess.Popen(
        [sys.executable, "-c", PIPED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "x" * 9 + "\n"
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(60) == 1
    assert said == ""


def test_a_terminal_that_lacks_a_letter_is_no_error(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    with output():
        print("±")
    assert written.getvalue().decode().strip() == r"\xb1"


def warned(fault=None):
    warnings.warn("taken as it is", UserWarning, stacklevel=1)
    if fault is not None:
        raise fault


def test_warnings_of_checks_come_after_them_or_not_at_all():
    with pytest.warns(UserWarning, match="taken as it is"), checking("it"):
        warned()
    with pytest.raises(Refusal), checking("it"):  # a warning would be an error here
        warned(ValueError("size"))
