"""DataFrames from CSV and Parquet files: compression, encodings, separators, headers, and a limit on their size."""

from __future__ import annotations

import bz2
import csv
import gzip
import lzma
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from trading_env._checks import brief, brief_text, integer
from trading_env._extras import optional
from trading_env.data.readers.date_formats import looks_like_text_dates
from trading_env.data.readers.layouts import Layout, decimal_commas, plain, recognise, without_header

if TYPE_CHECKING:
    import pandas as pd

TEXT_SUFFIXES = (".csv", ".txt", ".tsv")
PACKED_SUFFIXES = (".gz", ".bz2", ".xz", ".zip")
MAX_BYTES = 10**9
TEXT_OPTIONS = ("sep", "header", "names")
_HEAD = 1 << 16
_MARKED = re.compile(r"[$€£]?\s*[+-]?\d[\d.,' \u00a0]*\s*[KMBT%$€]?")


def is_text(path: str) -> bool:
    """True if the name is that of a text file, compressed or not; a bare .zip counts as one."""
    name = path.lower()
    for suffix in PACKED_SUFFIXES:
        if name.endswith(suffix):
            return suffix == ".zip" or name.removesuffix(suffix).endswith(TEXT_SUFFIXES)
    return name.endswith(TEXT_SUFFIXES)


def read_file(path: str | Path, reader: Callable[[Path], Any]) -> Any:
    """The result of ``reader`` for the file.

    Raises:
        ValueError: there is no such file, or it cannot be read; the message names the file.
    """
    try:
        path = Path(path).expanduser()
        found = path.is_file()
    except (RuntimeError, OSError, ValueError) as error:  # no such user, or an invalid name
        raise ValueError(f"data: no such file {brief(str(path))}: {error}") from error
    if not found:
        raise ValueError(f"data: no such file {str(path)!r}")
    try:
        return reader(path)
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # the parsers raise errors of many kinds
        raise ValueError(f"data: cannot read {str(path)!r}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text: save it as UTF-8"
    known = isinstance(error, (ValueError, OSError, EOFError))
    return brief_text(str(error) if known and str(error) else f"{type(error).__name__}: {error}", 600)


def checked_limit(max_bytes: Any) -> int | None:
    """``max_bytes`` as a positive int, or None."""
    return None if max_bytes is None else integer("max_bytes", max_bytes, 1)


def parquet_frame(path: Path, max_bytes: int | None = MAX_BYTES) -> pd.DataFrame:
    """The frame of a Parquet file that takes at most ``max_bytes`` in memory."""
    parquet = optional("pyarrow.parquet", "parquet", "reading Parquet")
    facts = parquet.read_metadata(path)
    names = facts.schema.to_arrow_schema().names
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"two columns are named {twice[0]!r}: {brief(names, 400)}")
    packed = sum(facts.row_group(i).total_byte_size for i in range(facts.num_row_groups))
    _check_bytes(max(packed, 8 * facts.num_rows * facts.num_columns), max_bytes)  # repeated values are compressed away
    frame: pd.DataFrame = parquet.read_table(path).to_pandas(split_blocks=True, self_destruct=True)
    return frame


def _check_bytes(size: int, limit: int | None) -> None:
    if limit is not None and size > limit:
        raise ValueError(
            f"it holds more than {limit:,} bytes; load(..., max_bytes=...) sets another limit, None for no limit"
        )


@dataclass(frozen=True)
class Plan:
    """How to read a text file with pandas, by the options and the first lines.

    Attributes:
        sep: separator of cells.
        skip: number of lines above the header or the first row.
        first: the text of the header, or of the first row.
        header: line number of the header; None without one; [0, 1] for the two levels of yfinance.
        names: names of the columns, if the file has none.
        layout: the layout recognised by the first row of a file without a header.
        encoding: encoding of the text.
        text: True to keep cells as text, because numbers may be written with other marks.
    """

    sep: str = ","
    skip: int = 0
    first: str = ""
    header: Any = 0
    names: tuple[str, ...] | None = None
    layout: Layout | None = None
    encoding: str = "utf-8"
    text: bool = False


def text_frame(
    path: Path,
    *,
    sep: str | None = None,
    header: Any = "infer",
    names: Sequence[str] | None = None,
    text: bool = False,
    max_bytes: int | None = MAX_BYTES,
) -> tuple[pd.DataFrame, Layout | None]:
    """The frame of a text file of rows, and the layout if the first row identifies it.

    Args:
        path: the file; its suffix gives the compression.
        sep: separator of cells, by default that of the first line.
        header: line number of the header (0 is the first line that is not empty), or None for a file without one.
        names: names of the columns, instead of those in the header.
        text: True to keep cells as text; otherwise only if a number is written with other marks.
        max_bytes: largest allowed size of the uncompressed file; None for no limit.
    """
    check_size(path, max_bytes)
    with open_packed(path) as file:
        head = file.read(_HEAD)
    plan = _plan(head, sep, header, names)
    plan = replace(plan, text=text or _may_have_commas(plan))
    frame = _parse(path, plan)
    if not plan.text and plan.layout is None and _has_marks(frame):
        frame = _parse(path, replace(plan, text=True))
    return frame, plan.layout


def check_size(path: Path, limit: int | None) -> None:
    """Raises ValueError if the file has more than ``limit`` bytes uncompressed, which it counts piece by piece."""
    if limit is None:
        return None
    if not path.name.lower().endswith(PACKED_SUFFIXES):
        return _check_bytes(path.stat().st_size, limit)
    size = 0
    with open_packed(path) as file:
        while piece := file.read(1 << 20):
            size += len(piece)
            _check_bytes(size, limit)
    return None


def open_packed(path: Path) -> IO[bytes]:
    """The file opened for reading uncompressed bytes; its suffix gives the compression."""
    suffix = path.name.lower().rpartition(".")[2]
    if suffix == "zip":
        return _open_zip(path)
    openers: dict[str, Any] = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}
    opened: IO[bytes] = openers.get(suffix, open)(path, "rb")
    return opened


def _open_zip(path: Path) -> IO[bytes]:
    """The only file in a zip, or its only .csv, opened for reading bytes."""
    archive = zipfile.ZipFile(path)
    inside = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith("__MACOSX")]
    tables = [n for n in inside if n.lower().endswith(".csv")] if len(inside) > 1 else inside
    if len(tables) != 1:
        archive.close()
        raise ValueError(f"the zip must hold one .csv file, it holds {brief(inside)}")
    return archive.open(tables[0])


def checked_text(sep: Any = None, header: Any = "infer", names: Any = None) -> dict[str, Any]:
    """The checked options of `text_frame`.

    Raises:
        TypeError, ValueError: an option is wrong; the message names it.
    """
    if sep is not None and (not isinstance(sep, str) or len(sep) != 1):
        raise ValueError(f"sep must be one character, like ';', got {brief(sep)}")
    if header is not None and (not isinstance(header, str) or header != "infer"):
        header = integer("header", header, 0)
    if names is not None:
        if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
            raise TypeError(f"names must be a list of names, got {brief(names)}")
        if len(set(names)) < len(names):
            raise ValueError(f"names must be different, got {brief(names)}")
    return {"sep": sep, "header": header, "names": names}


def _plan(head: bytes, sep: str | None, header: Any, names: Sequence[str] | None) -> Plan:
    encoding = _encoding(head)
    lines = [line for line in head.decode(encoding, errors="replace").splitlines() if line.strip()]
    above = re.match(r"\W*https?://\S*cryptodatadownload|\W*sep=.$", lines[0], re.IGNORECASE) if lines else None
    skip = 0 if above is None else 1  # the source's address, or Excel's line for the separator
    at = skip + (header if isinstance(header, int) else 0)
    first = lines[at] if len(lines) > at else ""
    plan = Plan(sep=_separator(first) if sep is None else sep, skip=skip, first=first, encoding=encoding)
    cells = _cells(first, plan.sep)
    if names is not None or header is None:
        if names is not None and len(names) != len(cells):
            raise ValueError(f"names has {len(names)} names for {len(cells)} columns: {brief(cells)}")
        return replace(
            plan, header=header if isinstance(header, int) else None, names=None if names is None else tuple(names)
        )
    if header != "infer":
        plan = replace(plan, header=header)
    found = without_header(cells, plan.sep) if header == "infer" else None
    if found is not None:
        return replace(plan, header=None, names=found[0], layout=found[1])
    second = _cells(lines[at + 1], plan.sep) if len(lines) > at + 1 else [""]
    if [value.strip().lower() for value in (cells[0], second[0])] in (["price", "ticker"], ["ticker", "price"]):
        return replace(plan, header=[at - skip, at - skip + 1])
    _check_header(cells)
    return replace(plan, layout=decimal_commas(cells, second)) if plan.sep == ";" else plan


def _encoding(head: bytes) -> str:
    """The encoding: UTF-16 by its byte order mark, cp1252 for a known header in it, otherwise UTF-8."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") and b"\n" in head.replace(b"\0", b""):
        return "utf-16"
    if head.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    line = head.partition(b"\n")[0]
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        header = _cells(line.decode("cp1252", errors="replace"), _separator(line.decode("cp1252", errors="replace")))
        return "cp1252" if recognise(header, [""] * len(header)) is not None else "utf-8"
    return "utf-8"


def _separator(line: str) -> str:
    """The separator of a line: a comma unless another candidate occurs more often."""
    return max(",\t;|", key=line.count)


def _cells(line: str, sep: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=sep), [""])] or [""]


def _may_have_commas(plan: Plan) -> bool:
    """True if the file may use decimal commas: it is separated by ';' or has a German header."""
    if plan.layout is not None:
        return plan.layout.name == "German export"
    header = _cells(plan.first, plan.sep)
    layout = recognise(header, [""] * len(header))
    return plan.sep == ";" or (layout is not None and layout.name == "German export")


def _check_header(cells: list[str]) -> None:
    """Raises ValueError if a name is repeated, which pandas would rename, or if the header is a row of numbers."""
    numbers = [re.fullmatch(r"(?=.*\d)[-+]?[\d.,:eE/ -]+", cell) is not None for cell in cells]
    if len(cells) > 1 and all(numbers):
        raise ValueError(
            f"the first line has no names: {brief(cells)}; name the columns with load(..., header=None, names=[...])"
        )
    twice = [cell for i, cell in enumerate(cells) if cell and cell in cells[:i]]
    if twice:
        raise ValueError(f"two columns are named {twice[0]!r}: {brief(cells, 400)}")


def _parse(path: Path, plan: Plan) -> pd.DataFrame:
    import pandas as pd

    layout: dict[str, Any] = {"header": plan.header, "sep": plan.sep, "encoding": plan.encoding, "skiprows": plan.skip}
    if plan.names is not None:
        layout |= {"names": list(plan.names), "index_col": False}
    if isinstance(plan.header, list):
        layout |= {"index_col": 0}
    if plan.text:
        layout |= {"dtype": str}
    elif isinstance(plan.header, int) and plan.names is None:
        names = [cell for cell in _cells(plan.first, plan.sep) if plain(cell) in ("time", "date", "dtyyyymmdd")]
        clock = [name for name in names if plain(name) == "time"]
        layout |= {"dtype": dict.fromkeys(clock, str)} if len(names) > len(clock) else {}  # 0930 keeps its zero
    with open_packed(path) as file:
        frame = pd.read_csv(file, **layout)
    if isinstance(frame.index, pd.MultiIndex):
        raise ValueError(f"the rows have more cells than the header, which names {list(frame.columns)[:12]}")
    return _restore_index(frame)


def _restore_index(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with the unnamed index that ``to_csv`` wrote restored from its column."""
    import pandas as pd

    if isinstance(frame.columns, pd.MultiIndex) or frame.shape[1] == 0 or frame.columns[0] != "Unnamed: 0":
        return frame
    index = frame["Unnamed: 0"]
    if not pd.api.types.is_numeric_dtype(index.dtype) and index.astype(str).str.fullmatch(r"\d+").all():
        frame["Unnamed: 0"] = pd.to_numeric(index)
    return frame.set_index("Unnamed: 0").rename_axis(None)


def _has_marks(frame: pd.DataFrame) -> bool:
    """True if a text column begins with numbers that pandas cannot parse: 1,234.56 or $5 or 1.2M."""
    import pandas as pd

    for i in range(frame.shape[1]):
        column = frame.iloc[:, i]
        if pd.api.types.is_numeric_dtype(column.dtype):
            continue
        head = [str(value).strip() for value in column.iloc[:1000].dropna()[:20]]
        if any(map(_MARKED.fullmatch, head)) and not looks_like_text_dates(pd.Index(head)):
            return True
    return False
