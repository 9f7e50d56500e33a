"""Colours of a page, which all eyes tell apart (Okabe and Ito), for light and for dark.

Figures name colours as "@gain", or "@gain/0.2" with opacity; the page's script puts in those of the theme.
"""

from __future__ import annotations

SERIES = ("@s0", "@s1", "@s2", "@s3", "@s4", "@s5", "@s6")
DASHES = ("solid", "dash", "dot", "dashdot")

_LIGHT = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B07A00", "#3A9AD9", "#6B6B6B")
_DARK = ("#56B4E9", "#FF8F3F", "#2CC295", "#E8A5C8", "#E9B535", "#8FC7F0", "#A8A8A8")


def _theme(series: tuple[str, ...], ink: str, paper: str, grid: str, muted: str, middle: str) -> dict[str, object]:
    named = {f"s{i}": colour for i, colour in enumerate(series)}
    own = {"strategy": series[0], "benchmark": muted, "gain": series[0], "loss": series[1], "other": series[2]}
    scale = [[0.0, series[1]], [0.5, middle], [1.0, series[0]]]
    return {**named, **own, "ink": ink, "paper": paper, "grid": grid, "muted": muted, "diverging": scale}


THEMES = {
    "light": _theme(_LIGHT, "#1b1f24", "#ffffff", "#e3e6ea", "#6b7280", "#f7f7f7"),
    "dark": _theme(_DARK, "#e6e8eb", "#14171a", "#2c3238", "#9aa3ad", "#1f2429"),
}


def series(i: int) -> tuple[str, str]:
    """Colour and dash of the i-th of many curves: colours first, then dashes."""
    return SERIES[i % len(SERIES)], DASHES[i // len(SERIES) % len(DASHES)]
