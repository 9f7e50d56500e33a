"""``trading-env``: runs the command that the arguments name."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from trading_env.command.output import answering
from trading_env.command.parser import parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code: 0, 1 if it failed, 2 if the command line is wrong."""
    with answering() as code:
        try:
            asked = parser().parse_args(sys.argv[1:] if arguments is None else list(arguments))
        except SystemExit:  # help or the version was asked for and printed
            return 0
        module, function = asked.run
        getattr(import_module(f"trading_env.command.{module}"), function)(asked)
    return code[0]
