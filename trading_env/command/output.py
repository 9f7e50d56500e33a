"""What a command says: text that cannot control a terminal, errors in one line, exit codes, pipes that close early."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import sys
import textwrap
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from trading_env._checks import printable
from trading_env.command.parser import PROGRAM, UsageError

WIDTH = 80
FAULTS = (ValueError, TypeError, OSError, ImportError, RuntimeError, OverflowError, MemoryError)
"""Errors that data, files and options cause; any other is a mistake of the program, and shows its traceback."""


@contextlib.contextmanager
def usage(name: str) -> Iterator[None]:
    """Turns a refused value of an option into a `UsageError` that names the option."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name}: {error}") from error


@contextlib.contextmanager
def answering() -> Iterator[list[int]]:
    """Runs a command: its exit code is put into the list, and every fault is said in one line."""
    code = [0]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.showwarning = lambda message, *others: note(message)
            yield code
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code[0] = 1
    except KeyboardInterrupt:
        error("interrupted")
        code[0] = 130
    except FAULTS as fault:
        error(_words(fault))
        code[0] = 2 if isinstance(fault, UsageError) else 1


def say(text: object = "") -> None:
    """Prints text, its lines broken between words where they are longer than 80 characters."""
    for line in str(text).split("\n"):
        print(_wrapped(printable(line), ""))


def say_fields(fields: Mapping[str, str]) -> None:
    """Prints names and values in two columns."""
    for name, value in fields.items():
        for line in value.split("\n"):
            print(_wrapped(printable(f"  {name:10} {line}"), " " * 13))
            name = ""


def _wrapped(line: str, indent: str) -> str:
    if len(line) <= WIDTH:
        return line
    options: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False, "drop_whitespace": True}
    return "\n".join(textwrap.wrap(line, WIDTH, subsequent_indent=indent, **options))


def say_json(value: Any) -> None:
    """Prints a value as one line of JSON; numbers that are not finite become null."""
    print(json.dumps(_finite(value)))


def note(text: object) -> None:
    """Says something beside the result, in one line of stderr."""
    print(f"{PROGRAM}: note: {_one_line(text)}", file=sys.stderr)


def error(text: object) -> None:
    """Says what went wrong, in one line of stderr."""
    print(f"{PROGRAM}: error: {_one_line(text)}", file=sys.stderr)


def _one_line(text: object) -> str:
    return printable(" ".join(str(text).split()))


def _words(fault: BaseException) -> str:
    """The message, with the file's name if it is about a file."""
    if isinstance(fault, OSError) and fault.strerror and fault.filename is not None:
        return f"{fault.strerror}: {os.fspath(fault.filename)!r}"
    return str(fault) or type(fault).__name__


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
