"""Command lines: settings parsed from them, what is wrong with them said in one line, and output that ends early."""

import contextlib
import io
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium as gym

from agents.common.extras import naming_extra

with naming_extra("the command line"):
    import tyro

FAULTS = (ValueError, TypeError, OverflowError, MemoryError, RuntimeError, OSError, ImportError, gym.error.Error)
"""Errors that wrong arguments raise when they are checked; torch raises RuntimeError if memory runs out."""
_BORDER = " \t│|╭╮╰╯┌┐└┘+"
_RULE = re.compile(r"[─-]{3,}")


class Refusal(SystemExit):
    """Ends the process with exit code 2; its text is the error."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = 2


def refuse(program: str, message: object) -> Refusal:
    """The exception to raise, its message printed to stderr as one line."""
    text = printable(" ".join(str(message).split()))
    print(f"{program}: error: {text}", file=sys.stderr)
    return Refusal(text)


@contextlib.contextmanager
def refusing(program: str, faults: tuple[type[Exception], ...] = FAULTS) -> Iterator[None]:
    """Ends the process with one line and exit code 2 if a check of arguments fails; not meant for training.

    Raises:
        Refusal: one of the faults was raised.
    """
    try:
        yield
    except BrokenPipeError:  # nobody reads on: see `output`
        raise
    except faults as error:
        raise refuse(program, _words(error)) from error


@contextlib.contextmanager
def checking(program: str) -> Iterator[None]:
    """As `refusing`; warnings of the checks are shown after them, and not at all if a check fails.

    Raises:
        Refusal: something of `FAULTS` was raised.
    """
    with warnings.catch_warnings(record=True) as held:
        warnings.simplefilter("default")
        with refusing(program):
            yield
    for warning in held:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def parse(program: str, settings: Any, arguments: Sequence[str], **options: Any) -> Any:
    """The settings parsed from the command line, a dataclass.

    Args:
        program: The program's name in messages.
        settings: The class of the settings.
        arguments: The words of the command line.
        options: Keyword arguments of `tyro.cli`.

    Raises:
        Refusal: an argument is wrong.
        SystemExit: help was asked for and printed.
    """
    said = io.StringIO()
    with refusing(program):
        try:
            with contextlib.redirect_stderr(said):
                return tyro.cli(settings, prog=program, args=arguments, **options)
        except SystemExit as left:
            if left.code != 2:
                raise
    text = _out_of_box(said.getvalue())
    raise refuse(program, text + _whose(arguments, text))


@contextlib.contextmanager
def output() -> Iterator[None]:
    """Wraps the output of a command: if the reader closes the pipe (`| head`), it exits with code 1 and no traceback.

    A character that the terminal's encoding lacks is shown as its escape.

    Raises:
        SystemExit: the output was closed.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            yield
        finally:  # help ends with an exception too
            sys.stdout.flush()
    except BrokenPipeError as error:
        _close_outputs()
        raise SystemExit(1) from error


def _close_outputs() -> None:
    """Discards what is left in the buffers, so that the interpreter's final flush does not fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def printable(text: object) -> str:
    """The text with control and unprintable characters escaped, so that a terminal does not act on them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def _words(error: BaseException) -> str:
    """The message of the error, with the file name if it is about a file."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.strerror}: {os.fspath(error.filename)!r}"
    return str(error) or type(error).__name__


def _out_of_box(box: str) -> str:
    """The message in tyro's box of several lines as one line, without the help."""
    parts: list[list[str]] = [[]]
    for line in box.splitlines()[1:]:
        text = line.strip(_BORDER)
        if _RULE.fullmatch(text):
            parts.append([])
        elif text:
            parts[-1].append(text)
    said = [" ".join(part) for part in parts if part and not part[0].startswith(("Argument helptext", "For full help"))]
    return re.sub(r"^Error parsing (?!-)\S+: ", "", "; ".join(said))


def _whose(arguments: Sequence[str], said: str) -> str:
    """The options of values that tyro did not recognise, for the message: tyro names the values only."""
    match = re.search(r"Unrecognized (?:options|arguments): ([^;]*)", said)
    unknown = match[1].split(", ") if match else []
    option, found = "", []
    for word in arguments:
        name, _, value = word.partition("=")
        if name.startswith("--"):
            option = name
        if option not in unknown and option and (value or word) in unknown:
            found.append(option)
    return f" (at {', '.join(dict.fromkeys(found))})" if found else ""
