"""Writes hyperparameters into a suite's TOML file; all other lines stay as they are, comments among them."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.common.files import write
from benchmarks.study.suite import BUILT_IN, SuiteError, path_of

_ENTRY = re.compile(r"\s*\[\[\s*contenders\s*\]\]")
_TABLE = re.compile(r"\s*\[\s*contenders\s*\.\s*hyperparameters\s*\]")
_HEADER = re.compile(r"\s*\[")
_INLINE = re.compile(r"\s*hyperparameters\s*=\s*\{")
_KEY = re.compile(r"\s*hyperparameters\s*[.=]")


def own_file(suite: str) -> Path:
    """The suite's file, which is the user's own.

    Raises:
        SuiteError: it is a built-in suite, or there is none.
    """
    path = path_of(suite)
    if path.resolve().parent == BUILT_IN.resolve():
        raise SuiteError(f"a built-in suite is never written: copy {path}, and give the copy in place of {suite!r}")
    return path


def with_hyperparameters(text: str, number: int, values: Mapping[str, Any]) -> str:
    """The text of a suite whose ``number``-th contender has these hyperparameters.

    Raises:
        SuiteError: the file has another form than tables [[contenders]]; says what to write there.
    """
    expected = tomllib.loads(text)
    expected["contenders"][number]["hyperparameters"] = dict(values)
    lines = text.splitlines(keepends=True)
    entries = [i for i, line in enumerate(lines) if _ENTRY.match(line)] + [len(lines)]
    try:
        begin, end = entries[number], entries[number + 1]
        found = "".join([*lines[:begin], *_changed(lines[begin:end], values), *lines[end:]])
        right = tomllib.loads(found) == expected
    except (IndexError, ValueError):
        right = False
    if not right:
        raise SuiteError(f"cannot be changed here; write it yourself: hyperparameters = {toml(dict(values))}")
    return found


def write_hyperparameters(path: Path, number: int, values: Mapping[str, Any]) -> None:
    """Writes them into the file, whole or not at all; SuiteError names the file."""
    text = path.read_bytes().decode("utf-8-sig")
    try:
        found = with_hyperparameters(text, number, values)
    except SuiteError as error:
        raise SuiteError(f"{path}: contenders[{number}] {error}") from error
    write(path, found.encode())


def _changed(lines: list[str], values: Mapping[str, Any]) -> list[str]:
    """The lines of one contender, from its header on, with these hyperparameters."""
    table = next((i for i, line in enumerate(lines) if _TABLE.match(line)), None)
    if table is not None:
        end = next((i for i in range(table + 1, len(lines)) if _HEADER.match(lines[i])), len(lines))
        return [*lines[: table + 1], *_changed_table(lines[table + 1 : end], values), *lines[end:]]
    own = next((i for i in range(1, len(lines)) if _HEADER.match(lines[i])), len(lines))
    line = f"hyperparameters = {toml(dict(values))}"
    for i in range(1, own):
        if _INLINE.match(lines[i]):
            return [*lines[:i], line + _after(lines[i]), *lines[i + 1 :]]
        if _KEY.match(lines[i]):
            raise ValueError("another form")
    last = max(i for i in range(own) if lines[i].strip() and not lines[i].lstrip().startswith("#"))
    end_of_line = "\r\n" if lines[0].endswith("\r\n") else "\n"
    above = [*lines[:last], lines[last].rstrip("\r\n") + end_of_line]
    return [*above, line + end_of_line, *lines[last + 1 :]]


def _changed_table(lines: list[str], values: Mapping[str, Any]) -> list[str]:
    """The lines of a table, a key each, with these values; new keys come last."""
    rest, found, last = dict(values), [], 0
    for line in lines:
        key = line.partition("=")[0].strip()
        if key in rest:
            found.append(f"{key} = {toml(rest.pop(key))}{_after(line)}")
        elif not line.strip() or line.lstrip().startswith("#"):
            found.append(line)
            continue
        last = len(found)
    new = [f"{key} = {toml(value)}\n" for key, value in rest.items()]
    if last and new and not found[last - 1].endswith("\n"):
        found[last - 1] += "\n"
    return [*found[:last], *new, *found[last:]]


def _after(line: str) -> str:
    """The comment and the end of a line "key = value  # comment"."""
    bare = line.rstrip("\r\n")
    for at in [i for i, sign in enumerate(bare) if sign == "#"]:
        try:
            tomllib.loads(bare[:at])
        except tomllib.TOMLDecodeError:
            continue  # the sign is inside a text
        return bare[len(bare[:at].rstrip()) :] + line[len(bare) :]
    return line[len(bare) :]


def toml(value: Any) -> str:
    """The value as TOML, on one line."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_name(key)} = {toml(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value, ensure_ascii=False)  # texts, numbers and truth values are alike in both


def _name(key: str) -> str:
    return key if re.fullmatch(r"[\w-]+", key, re.ASCII) else json.dumps(key)
