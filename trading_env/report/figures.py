"""Plotly figures as plain dicts: lines with bands, bars, heat maps, boxes. K = runs, T = points.

Each function returns {"data", "layout", "alt"}. Colours are those of `trading_env.report.colours`; the page's script
adds fonts, grids and margins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trading_env.report.arrays import Arrays, Floats, short
from trading_env.report.page import literal, literals

PERCENT = {"tickformat": ",.2~%", "hoverformat": ",.2%"}
RATIO = {"hoverformat": ",.2f"}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def figure(data: Sequence[Any], alt: str, x: Any = None, y: Any = None, **layout: Any) -> dict[str, Any]:
    """A figure of these traces, with further settings of its axes."""
    return {"data": list(data), "layout": {"xaxis": x or {}, "yaxis": y or {}, **layout}, "alt": alt}


def time_axis(x: Any) -> dict[str, Any]:
    """The axis of timestamps, or of bars by number."""
    dated = np.asarray(x).dtype.kind == "M"
    return {"type": "date"} if dated else {"type": "linear", "title": {"text": "bar"}}


def log_axis(values: Any, title: str) -> dict[str, Any]:
    """A logarithmic axis of positive values, with ticks at 1, 2, 5 if these are far apart."""
    known = np.asarray(values)[np.isfinite(values)]
    wide = known.size and known.max() > 3.0 * known.min()
    return {"type": "log", "tickformat": ",.4~r", "title": {"text": title}} | ({"dtick": "D2"} if wide else {})


def line(
    x: Any, y: Any, name: str, colour: str, dash: str = "solid", width: float = 1.8, **more: Any
) -> dict[str, Any]:
    """A curve; gaps stay gaps."""
    style = {"color": colour, "dash": dash, "width": width}
    found = {"type": "scatter", "mode": "lines", "x": x, "y": y, "name": literal(name), "line": style}
    return {**found, "connectgaps": False, **more}


def band(x: Any, low: Any, high: Any, colour: str, group: str = "") -> list[dict[str, Any]]:
    """The area between two curves."""
    edge = {"type": "scatter", "mode": "lines", "x": x, "line": {"width": 0, "color": colour}, "hoverinfo": "skip"}
    edge |= {"showlegend": False} | ({"legendgroup": group} if group else {})
    return [{**edge, "y": low}, {**edge, "y": high, "fill": "tonexty", "fillcolor": f"{colour}/0.2"}]


def fan(
    arrays: Arrays, x: Any, values: Floats, name: str, colour: str, dash: str = "solid", group: str = "", **more: Any
) -> list[dict[str, Any]]:
    """A curve (1, T), or the median of several (K, T) with a band from the lowest to the highest."""
    at = arrays.add(x)
    grouped = {**more, **({"legendgroup": group} if group else {})}
    if len(values) == 1:
        return [line(at, arrays.add(values[0]), name, colour, dash, **grouped)]
    low, middle, high = (arrays.add(one) for one in spread_of(values))
    label = f"{name}, median of {len(values)}"
    areas = [{**one, **more} for one in band(at, low, high, colour, group)]
    return [*areas, line(at, middle, label, colour, dash, **grouped)]


def spread_of(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Lowest, median and highest of the runs at each point (T,), of those that are known there; NaN without any."""
    empty = np.isnan(values).all(0)
    filled = np.where(empty, 0.0, values)
    found = (np.nanmin(filled, 0), np.nanmedian(filled, 0), np.nanmax(filled, 0))
    low, middle, high = (np.where(empty, np.nan, one) for one in found)
    return low, middle, high


def zero(axis: str = "y") -> dict[str, Any]:
    """A line at 0."""
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "yref": axis,
        "y0": 0,
        "y1": 0,
        "line": {"color": "@muted"},
    }


def borders(times: Sequence[Any]) -> list[dict[str, Any]]:
    """Vertical lines at these places of the time axis."""
    style = {"color": "@muted", "width": 1, "dash": "dot"}
    return [{"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": x, "x1": x, "line": style} for x in times]


def bars(names: Sequence[Any], series: Mapping[str, Sequence[float]], alt: str, y: Any = None) -> dict[str, Any]:
    """Bars side by side; those of a single series have the colours of gains and losses."""
    traces = []
    for i, (name, values) in enumerate(series.items()):
        colour: Any = ("@strategy", "@benchmark", "@other")[i % 3]
        if len(series) == 1:
            colour = ["@gain" if value >= 0 else "@loss" for value in values]
        known = [short(float(value)) for value in values]
        traces.append({"type": "bar", "x": list(names), "y": known, "name": literal(name), "marker": {"color": colour}})
    return figure(traces, alt, {"type": "category"}, y or PERCENT, barmode="group", showlegend=len(series) > 1)


def heat(rows: Sequence[str], columns: Sequence[str], values: Floats, alt: str, form: str = ".1%") -> dict[str, Any]:
    """A heat map around 0, empty where values are NaN; rows or columns of the same name get numbers."""
    known = np.abs(values[np.isfinite(values)])
    most = float(known.max()) if known.size and known.max() > 0.0 else 1.0
    z = [[short(float(value)) for value in row] for row in values]
    trace = {
        "type": "heatmap",
        "x": literals(columns),
        "y": literals(rows),
        "z": z,
        "zmin": -most,
        "zmax": most,
        "colorscale": "@diverging",
        "texttemplate": f"%{{z:{form}}}",
        "hovertemplate": f"%{{y}} %{{x}}: %{{z:{form}}}<extra></extra>",
        "xgap": 1,
        "ygap": 1,
        "hoverongaps": False,
        "showscale": False,
    }
    axes = {"type": "category"}, {"type": "category", "autorange": "reversed"}
    return figure([trace], alt, *axes)


def monthly(start: Any, returns: Floats, name: str) -> dict[str, Any]:
    """Heat map of monthly returns: a row per year, and the returns of whole years at its end."""
    years = start.astype("datetime64[Y]").astype(int) + 1970
    months = start.astype("datetime64[M]").astype(int) % 12
    first, count = int(years.min()), int(years.max() - years.min()) + 1
    values = np.full((count, 12), np.nan)
    values[years - first, months] = returns
    best, worst = int(returns.argmax()), int(returns.argmin())
    alt = f"Monthly returns of {name}: {len(returns)}, {np.mean(returns > 0):z.0%} of them gains; best {start[best]} "
    alt += f"with {returns[best]:+z.1%}, worst {start[worst]} with {returns[worst]:+z.1%}."
    return heat([str(first + i) for i in range(count)], MONTHS, values, alt)


def histogram(samples: Mapping[str, Floats], alt: str) -> dict[str, Any]:
    """Shares of returns in bins of equal width, which the first sample sets, with the mean of each sample."""
    first = next(iter(samples.values()))
    low, high = float(first.min()), float(first.max())
    width = (high - low or 1e-3) / min(max(math.ceil(math.sqrt(first.size)), 5), 60)
    traces, means = [], []
    for i, (name, values) in enumerate(samples.items()):
        colour = ("@strategy", "@benchmark")[i % 2]
        bins, counts = np.unique(np.floor((values - low) / width), return_counts=True)
        traces.append(
            {
                "type": "bar",
                "x": (low + (bins + 0.5) * width).tolist(),
                "y": (counts / values.size).tolist(),
                "width": width,
                "name": literal(name),
                "marker": {"color": f"{colour}/0.7"},
            }
        )
        mean = float(values.mean())
        style = {"color": colour, "width": 2, "dash": "dash"}
        means.append({"type": "line", "x0": mean, "x1": mean, "yref": "paper", "y0": 0, "y1": 1, "line": style})
    return figure(traces, alt, dict(PERCENT), {"tickformat": ".0%"}, barmode="overlay", bargap=0, shapes=means)


def boxes(samples: Mapping[str, Floats], alt: str) -> dict[str, Any]:
    """A box per sample: median, quartiles, and whiskers at the 5% and 95% quantiles."""
    traces = []
    for i, (name, values) in enumerate(samples.items()):
        q05, q1, median, q3, q95 = (float(q) for q in np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95)))
        quantiles = {"lowerfence": [q05], "q1": [q1], "median": [median], "q3": [q3], "upperfence": [q95]}
        colour = f"@s{i}"
        style = {"line": {"color": colour}, "fillcolor": f"{colour}/0.3", "name": literal(name), "x": [literal(name)]}
        traces.append({"type": "box", **quantiles, **style})
    return figure(traces, alt, {"type": "category"}, dict(PERCENT), showlegend=False)
