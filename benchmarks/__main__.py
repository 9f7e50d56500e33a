"""The experiments as commands: ``python -m benchmarks compare --help``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from agents.base.commands import output, printable

COMMANDS = {
    "again": "train one kept row of a study or of the certificates again, and compare",
    "certify": "score agents as fractions of the optimum, on problems where it is known, and run the controls",
    "compare": "train DQN and Stable-Baselines3's DQN on the early years of a stock, compare them on the later ones",
    "coverage": "simulate how often the printed intervals and tests are right",
    "counterfactual": "count the steps saved by learning from the actions not taken, too",
    "curves": "draw learning curves of DQN, A2C and PPO, ours and Stable-Baselines3's, with intervals over seeds",
    "list": "list the built-in suites, and the rows of each that are kept",
    "forecast": "forecast returns walking forward, trade on the forecasts, and compare both with doing nothing",
    "report": "write the page of a study, its table for a paper, or logs for TensorBoard",
    "rows": "print the rows of a study, or write them as CSV or Parquet",
    "run": "run a suite: contenders on datasets, walk-forward, with a ledger of all tests; resumes by itself",
    "resume": "the same as run",
    "sensitivity": "draw scores over grids of hyperparameters, ours and Stable-Baselines3's",
    "stress": "train a study's learners at each cost, and run the controls of one of them",
    "tune": "choose the hyperparameters of an agent on validation stretches, with every trial in the ledger",
    "speed": "measure envs and agents against their peers, and print the ratios beside the goals",
}
HOMES = {"speed": "speed.run", "list": "suites.listing", "resume": "suites.run"}


def main(arguments: Sequence[str]) -> int:
    """Runs the command that the first argument names, and returns the exit code."""
    with output():
        return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
    """Runs the command and returns the exit code."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: python -m benchmarks COMMAND [OPTIONS]\n")
        print("\n".join(f"  {name:14} {text}" for name, text in COMMANDS.items()))
        print("\nEach command explains itself: python -m benchmarks COMMAND --help")
        return 0
    if arguments[0] not in COMMANDS:
        unknown = f"unknown command {arguments[0]!r}; known: {', '.join(COMMANDS)}"
        print(f"python -m benchmarks: error: {printable(unknown)}", file=sys.stderr)
        return 2
    home = HOMES.get(arguments[0], f"suites.{arguments[0]}")
    return int(import_module(f"benchmarks.{home}").main(arguments[1:]) or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
