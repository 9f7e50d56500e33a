"""Roles of a table's columns: bars, time and further columns, by the caller's names, the layout and the labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_env._checks import brief
from trading_env.data.bars import BAR_COLUMNS
from trading_env.data.readers.layouts import Layout
from trading_env.data.readers.time_columns import INDEX, find_time

if TYPE_CHECKING:
    import pandas as pd


class Roles(NamedTuple):
    """Positions of columns by role.

    Attributes:
        bars: of open, high, low, close and volume, by our names.
        further: of the other columns to keep, by name.
        times: of the column of time, or those of date and time of day; [INDEX] for the index, [] for none.
    """

    bars: dict[str, int]
    further: dict[str, int]
    times: list[int]


def assign_roles(frame: pd.DataFrame, layout: Layout | None, columns: Any, time: Any) -> Roles:
    """The role of each column of one instrument's frame.

    Args:
        frame: the rows.
        layout: the layout its header matches, or None.
        columns: the names to keep, a mapping of names, or None for all.
        time: the name or names of the columns of time, False for none, or None to find them.

    Raises:
        TypeError, ValueError: a name is unknown or ambiguous, or there is no close.
    """
    names = _renaming(frame.columns, columns)
    bars, others = _bars_and_others(frame, layout, names)
    times = _time_positions(frame, time, layout, names, list(bars.values()))
    others = {key: i for key, i in others.items() if i not in times}
    if names:
        further = {name: others[name] for name in names.values() if name in others}
    elif columns is not None:
        bars, further = _selected(bars, others, columns, layout, [frame.columns[i] for i in times if i != INDEX])
    else:
        unused = () if layout is None else layout.unused
        further = {key: i for key, i in others.items() if key.strip().lower() not in unused}
    return Roles(bars, further, times)


def _bars_and_others(
    frame: pd.DataFrame, layout: Layout | None, names: Mapping[Any, str]
) -> tuple[dict[str, int], dict[str, int]]:
    """Positions of the bars, and of all other columns by name; the caller's ``names`` take precedence."""
    bars: dict[str, int] = {}
    others: dict[str, int] = {}
    given = {name.lower() for name in names.values()}
    of_layout = {} if layout is None else layout.columns
    for i, label in enumerate(frame.columns):
        key = str(label).strip().lower()
        key = of_layout.get(key, "" if key in of_layout.values() else key)
        if label in names:
            key = names[label].lower()
        elif key in given:
            continue  # the caller gives this name to another column
        name = names.get(label, str(label))
        target, name = (bars, key) if key in BAR_COLUMNS else (others, name)
        if name in target:
            raise ValueError(f"two columns are named {name!r}: {brief(list(frame.columns), 400)}")
        target[name] = i
    if "close" not in bars:
        raise ValueError(f"the frame has no column 'close', got {brief(list(frame.columns), 400)}")
    _choose_volume(frame, layout, bars)
    return bars, others


def _choose_volume(frame: pd.DataFrame, layout: Layout | None, bars: dict[str, int]) -> None:
    """Replaces a volume that is 0 throughout, like the real volume of currencies, by the layout's spare one."""
    if layout is None or layout.spare is None or "volume" not in bars:
        return
    spare = [i for i, label in enumerate(frame.columns) if str(label).strip().lower() == layout.spare]
    if spare and not frame.iloc[:, bars["volume"]].astype(bool).any():
        bars["volume"] = spare[0]


def _time_positions(
    frame: pd.DataFrame, time: Any, layout: Layout | None, names: Mapping[Any, str], bars: list[int]
) -> list[int]:
    """Positions of the columns of time, [INDEX] or []; by the caller, else the layout, else labels and values."""
    mapped = [label for label, name in names.items() if name.lower() == "time"]
    if time is None and mapped:
        time = mapped
    if time is None and layout is not None and layout.time:
        labels = [str(label).strip().lower() for label in frame.columns]
        return [labels.index(label) for label in layout.time]
    return find_time(frame, time, bars)


def _selected(
    bars: dict[str, int], others: dict[str, int], columns: Iterable[str], layout: Layout | None, times: list[Any]
) -> tuple[dict[str, int], dict[str, int]]:
    """Positions of the bars and of the further columns that ``columns`` names; it may also name columns of time.

    A bar may be named as in the file or by our name.
    """
    if isinstance(columns, str):
        raise TypeError(f"columns must be a list of names, got the string {columns!r}")
    known = {} if layout is None else layout.columns
    names = [name for name in columns if name not in times]
    keys = {name: known.get(str(name).strip().lower(), str(name).strip().lower()) for name in names}
    unknown = [name for name in names if name not in others and keys[name] not in bars]
    if unknown:
        raise ValueError(f"unknown columns {brief(unknown)}; the frame has {brief(list(others), 400)} besides its bars")
    wanted = [keys[name] for name in names if name not in others]
    if wanted and "close" not in wanted:
        raise ValueError(f"columns names {wanted} of the bars but not 'close', which a market must have")
    kept = {key: i for key, i in bars.items() if key in wanted or not wanted}
    return kept, {name: others[name] for name in names if name in others}


def _renaming(labels: pd.Index[Any], columns: Any) -> dict[Any, str]:
    """The caller's name of each of the frame's names, where ``columns`` is a mapping (in either direction), else {}.

    Raises:
        TypeError: a name is not a string.
        ValueError: a name is not a column, both directions fit, or two columns get one name.
    """
    if not isinstance(columns, Mapping):
        return {}
    names = dict(columns) if _maps_labels(labels, columns) else {value: key for key, value in columns.items()}
    wrong = [name for name in names.values() if not isinstance(name, str) or not name]
    if wrong:
        raise TypeError(f"columns must be named by non-empty strings, got {brief(wrong[0])}")
    if len({name.lower() for name in names.values()}) < len(names):
        raise ValueError(f"columns={brief(dict(columns))} gives two columns one name")
    return names


def _maps_labels(labels: pd.Index[Any], columns: Mapping[Any, Any]) -> bool:
    """True if the mapping leads from the frame's labels to new names, False if from new names to labels."""
    have = set(labels)
    keys, values = (sum(name in have for name in side) for side in (columns.keys(), columns.values()))
    forth, back = keys == len(columns), values == len(columns)
    if forth and back:  # a side with names of bars is ours where the other has none
        ours = [
            any(str(name).lower() in (*BAR_COLUMNS, "time") for name in side)
            for side in (columns.values(), columns.keys())
        ]
        forth, back = (forth, back) if ours[0] == ours[1] else (ours[0], ours[1])
    if forth and back and any(key != value for key, value in columns.items()):
        raise ValueError(
            f"columns={brief(dict(columns))} may be read in both directions: rename the frame's columns first"
        )
    if not forth and not back:
        side = columns.keys() if keys >= values else columns.values()
        unknown = [name for name in side if name not in have]
        raise ValueError(f"unknown columns {brief(unknown)}; the frame has {brief(list(labels), 400)}")
    return forth
