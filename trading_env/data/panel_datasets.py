"""Panels by name, by path, or from frames."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from trading_env._checks import brief, did_you_mean
from trading_env._extras import optional
from trading_env.data.assembly import FOLDER
from trading_env.data.datasets import load, names
from trading_env.data.market import Market
from trading_env.data.panel import Panel
from trading_env.data.readers.files import is_text

US_STOCKS, SKFOLIO = FOLDER.rstrip("/"), "skfolio/sp500"

_SKFOLIO_FACTS = {
    "source": "skfolio.datasets.load_sp500_dataset: adjusted closes",
    "terms": "see the skfolio package (BSD licence) and its source",
    "survivorship_biased": True,
    "survivorship_note": "Twenty companies that were in the S&P 500 at the end and listed from the beginning.",
}


def panel_names() -> tuple[str, ...]:
    """Names of panels that `load_panel` accepts; it also accepts lists of the names of markets.

    "skfolio/sp500" (extra ``skfolio``) has only closes: an env on it needs fill="next_close" or "close".
    """
    return (US_STOCKS, SKFOLIO)


def holds_several(data: str) -> bool:
    """True if the name or path stands for several instruments, which only `load_panel` takes; False if it is unknown.

    A file is read for that, as far as its column of symbols.
    """
    if data in panel_names() or data in names():
        return data in panel_names()
    from trading_env.data.readers import frames, tickers

    parquet = data.lower().endswith(".parquet")
    if not (parquet or is_text(data)) or not os.path.exists(data):
        return False
    try:
        frame, column = tickers.column_of_tickers(frames.file_frame(data, {}, parquet)[0])
    except (OSError, ValueError):  # `load` says what is wrong with it
        return False
    named = frame.iloc[:, column]
    return bool(named.dtype.kind not in "iu" and named.nunique() > 1)  # `load` takes integers for numbers


def load_panel(data: Any, **options: Any) -> Panel:
    """The Panel that ``data`` stands for.

    Args:
        data: one of

            - "us-stocks": the five bundled stocks; or "skfolio/sp500": twenty stocks from 1990 to 2022;
            - a list of what `load` accepts: names of markets, paths of files, frames, Markets;
            - a mapping of symbols to what `load` accepts;
            - a long frame, as `Panel.from_frame` takes it, or the path of a file that holds one;
            - a Panel, which is returned unchanged.
        options: for a long frame those of `Panel.from_frame`; for lists and mappings those of `load`, applied to each
            file and frame, and on_missing.

    Raises:
        TypeError: data is of another type, or an option does not apply to it.
        ValueError: there is no such name or file, a symbol occurs twice, or the data is wrong; the message names the
            instrument.
    """
    if options and (isinstance(data, Panel) or (isinstance(data, str) and data in panel_names())):
        raise TypeError(f"load_panel: {sorted(options)} apply to files and frames only, got data={data!r}")
    if isinstance(data, Panel):
        return data
    if isinstance(data, Mapping):
        return _of_mapping(data, options)
    if type(data).__name__ == "DataFrame" or hasattr(data, "to_pandas"):
        return Panel.from_frame(data, **options)
    if isinstance(data, (list, tuple)):
        if not data:
            raise ValueError("data must name at least one instrument, got an empty list")
        return Panel.from_markets([_loaded(item, options) for item in data])
    if isinstance(data, str) and data in panel_names():
        return _named(data)
    if isinstance(data, Market) or (isinstance(data, str) and data in names()):
        return Panel.from_markets([_loaded(data, options)])
    if isinstance(data, (str, os.PathLike)):
        return _of_file(os.fspath(data), options)
    raise TypeError(
        f"data must be one of {panel_names()}, a list of names, a mapping of symbols, a long frame or a Panel, "
        f"got {brief(data)}"
    )


@cache
def _named(name: str) -> Panel:
    if name == SKFOLIO:
        frame = optional("skfolio.datasets", "skfolio", f"the panel {name!r}").load_sp500_dataset()
        stocks = [Market.from_arrays(frame[key], time=frame.index, name=key) for key in frame.columns]
        return Panel.from_markets(stocks, name=name, metadata=_SKFOLIO_FACTS)
    return Panel.from_markets([load(stock) for stock in names() if stock.startswith(FOLDER)], name=name)


def _of_mapping(data: Mapping[Any, Any], options: Mapping[str, Any]) -> Panel:
    markets = []
    for symbol, item in data.items():
        try:
            markets.append(_loaded(item, options))
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{symbol!r}: {error}") from error
    return Panel.from_markets(markets, tuple(data))


def _of_file(path: str, options: dict[str, Any]) -> Panel:
    """The Panel of a long file, named after it."""
    from trading_env.data.readers import frames

    parquet = path.lower().endswith(".parquet")
    if not parquet and not is_text(path):
        raise ValueError(
            f"data must be one of {[*panel_names(), *names()]}, or the path of a long file, "
            f"got {brief(path)}{did_you_mean(path, (*panel_names(), *names()))}"
        )
    own = {key: options.pop(key) for key in ("symbol", "symbols", "name") if key in options}
    frame, rest = frames.file_frame(path, options, parquet)
    own.setdefault("name", frames.name_of_file(path))
    return Panel.from_frame(frame, **own, **rest)


def _loaded(item: Any, options: Mapping[str, Any]) -> Market:
    """The Market of an item; the options of frames do not apply to named markets."""
    named = isinstance(item, Market) or (isinstance(item, str) and item in names())
    return load(item) if named else load(item, **options)
