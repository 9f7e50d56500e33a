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
import tyro

FAULTS = (ValueError, TypeError, OverflowError, MemoryError, RuntimeError, OSError, ImportError, gym.error.Error)
"""What a wrong argument raises where it is checked; torch has RuntimeError for memory that is not there."""
_BORDER = " \t│|╭╮╰╯┌┐└┘+"
_RULE = re.compile(r"[─-]{3,}")


class Refusal(SystemExit):
    """Ends the process with exit code 2; its text is what was wrong."""

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
    """Ends the process with one line and exit code 2 where a wrong argument shows; for checks, not for training.

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
    """As `refusing`; warnings of the checks are given after them, and not where one line says what is wrong.

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
    """The settings, a dataclass, that the arguments ask for.

    Args:
        program: As the user calls it, for messages.
        settings: The class of the settings.
        arguments: Of the command line.
        options: Of `tyro.cli`.

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
    """For a command's prints: where nobody reads on (`| head`), it ends with exit code 1 and no traceback.

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
    """Lets what is left in the buffers go nowhere, so that the interpreter's last flush does not fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def printable(text: object) -> str:
    """The text with everything that a terminal would act on, or could not show, as its escape: names are text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def _words(error: BaseException) -> str:
    """What the error says, of files with the file."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.strerror}: {os.fspath(error.filename)!r}"
    return str(error) or type(error).__name__


def _out_of_box(box: str) -> str:
    """What tyro says in a box of several lines, less its help, as one line."""
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
    """At which options the values stand that tyro has no use for: it names the values alone."""
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
