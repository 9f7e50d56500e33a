"""Rebuilds the CSV files of this folder from the PyPI package bokeh_sampledata.

pip download --no-deps bokeh_sampledata==2026.1 && unzip -d wheel bokeh_sampledata-2026.1-*.whl
python build.py wheel/bokeh_sampledata/_data/stocks.csv.gz [folder]
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import sys
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

SOURCE_SHA256 = "5abadf99b2d394f920120a27de6f0df129859d71d4cfb0bf661bcc99446ab1fd"
PLACES = Decimal("0.00000001")


def adjusted(row: dict[str, str]) -> str:
    """One line date,open,high,low,close,volume: each price times Adj Close / Close, rounded to 8 places.

    The product is taken in decimal arithmetic of 28 digits. Multiplying by one positive number and rounding
    to a fixed number of places both keep order, so that low <= open, close <= high hold as in the source.
    """
    factor = Decimal(row["Adj Close"]) / Decimal(row["Close"])
    prices = [(Decimal(row[name]) * factor).quantize(PLACES) for name in ("Open", "High", "Low", "Close")]
    return ",".join([row["Date"], *(f"{price:f}".rstrip("0").rstrip(".") for price in prices), row["Volume"]])


def convert(source: bytes) -> dict[str, bytes]:
    """The compressed file of each ticker from the bytes of stocks.csv.gz.

    Raises:
        ValueError: the source is another file than the one that was checked.
    """
    digest = hashlib.sha256(source).hexdigest()
    if digest != SOURCE_SHA256:
        raise ValueError(f"the source's SHA-256 must be {SOURCE_SHA256}, got {digest}")
    lines: dict[str, list[str]] = defaultdict(lambda: ["date,open,high,low,close,volume"])
    for row in csv.DictReader(io.StringIO(gzip.decompress(source).decode())):
        lines[row["Ticker"]].append(adjusted(row))
    return {ticker: compress("\n".join(rows) + "\n") for ticker, rows in lines.items()}


def compress(text: str) -> bytes:
    """``text`` gzipped without a time or a name, so that equal text gives equal bytes with one zlib."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=9, mtime=0) as file:
        file.write(text.encode())
    return buffer.getvalue()


def main() -> None:
    """Writes <ticker>.csv.gz for each ticker and prints the checksums of the files and of their text."""
    source, folder = Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else Path(__file__).parent)
    for ticker, data in sorted(convert(source.read_bytes()).items()):
        (folder / f"{ticker}.csv.gz").write_bytes(data)
        text = hashlib.sha256(gzip.decompress(data)).hexdigest()
        print(f"{ticker}.csv.gz  {hashlib.sha256(data).hexdigest()}  text {text}")


if __name__ == "__main__":
    main()
