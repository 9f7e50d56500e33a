"""What `help`, editors and a shell show of an agent: its signature and docstring with all hyperparameters, its repr."""

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from inspect import Parameter, Signature
from itertools import pairwise
from typing import Any

from agents.common.checks import short

_NAME, _NOTE = " " * 8, " " * 12


def signature_of(agent: type[Any], config: type[Any]) -> Signature:
    """The constructor's signature, with the fields of `config` in place of `**hyperparameters`."""
    own = list(inspect.signature(agent.__init__).parameters.values())[1:]
    named = [parameter for parameter in own if parameter.kind is not Parameter.VAR_KEYWORD]
    fields = [field.replace(kind=Parameter.KEYWORD_ONLY) for field in inspect.signature(config).parameters.values()]
    return Signature([*named, *fields])


def docstring_of(own: str, base: str, config: type[Any]) -> str:
    """The docstring of an agent: its own, its arguments, its hyperparameters.

    Args:
        own: The docstring in its source.
        base: The docstring of the base class, whose section "Args" describes the other arguments.
        config: The dataclass of the hyperparameters.
    """
    notes, lines = _notes(config), []
    for name, parameter in inspect.signature(config).parameters.items():
        kind = inspect.formatannotation(parameter.annotation).replace("collections.abc.", "")
        lines.append(f"{_NAME}{name}: {kind} = {parameter.default!r}")
        lines += textwrap.wrap(notes.get(name, ""), 116, initial_indent=_NOTE, subsequent_indent=_NOTE)
    arguments = textwrap.indent(_section(base, "Args"), "    ")
    return f"{own.rstrip()}\n\n{arguments}\n\n    Hyperparameters:\n" + "\n".join(lines)


def _section(docstring: str, title: str) -> str:
    """The section of a docstring in Google's style, without the last line, which names the hyperparameters."""
    _, _, after = inspect.cleandoc(docstring).partition(f"{title}:\n")
    lines = after.partition("\n\n")[0].splitlines()
    return "\n".join([f"{title}:", *(line for line in lines if not line.lstrip().startswith("hyperparameters:"))])


def _notes(config: type[Any]) -> Mapping[str, str]:
    """The text below each field of a dataclass in its source; none where there is no source, as in a shell."""
    notes: dict[str, str] = {}
    for kind in reversed(config.__mro__):
        if not dataclasses.is_dataclass(kind):
            continue
        try:
            (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        except (OSError, TypeError, SyntaxError):
            continue
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        for pair in pairwise(body):
            match pair:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    notes[name] = " ".join(text.split())
    return notes


def summary(name: str, seeds: Sequence[int], steps: int, env: Any, config: Any) -> str:
    """One line for `repr`: the seeds, their steps so far, the env, and the hyperparameters that are not defaults."""
    fields = [(field.name, field.default, getattr(config, field.name)) for field in dataclasses.fields(config)]
    changed = ", ".join(f"{field}={short(value)}" for field, default, value in fields if value != default)
    numbers = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds"
    each = "" if len(seeds) == 1 else " each"
    return f"<{name}: {numbers}, {steps:,} steps{each} in {_name_of(env)}{'; ' if changed else ''}{changed}>"


def _name_of(env: Any) -> str:
    """The name of what an agent's envs are made from."""
    spec = getattr(env, "spec", env)
    return "no env" if env is None else str(getattr(spec, "id", None) or getattr(env, "__name__", env))
