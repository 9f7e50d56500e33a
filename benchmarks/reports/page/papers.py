"""The leaderboard as Markdown, LaTeX or CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from agents.base.commands import printable
from benchmarks.reports.beside import ATTEMPTS
from benchmarks.reports.page.leaderboard import columns_of, table_of
from benchmarks.reports.study import sentence, warnings
from benchmarks.reports.table import for_markdown
from trading_env.report.measures import MINUS

SHOWN = ("contender", "seeds", "Sharpe", "± s.e.", "95% interval", "less benchmark", "return per year", "max drawdown")
_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def written(results: Mapping[str, Any], form: str) -> str:
    """The table of results in the form "md", "tex" or "csv"; CSV has every number in full, and no caption."""
    if form == "csv":
        return _csv(results)
    return {"md": _markdown, "tex": _latex}[form](results, [*_caption(results), *warnings(results)])


def _cells(results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of the columns that a paper has room for."""
    table = table_of(results)
    places = [i for i, (heading, _) in enumerate(table.headings) if heading in SHOWN]
    rows = [[row[i].text.replace(MINUS, "-") for i in places] for row in table.rows[""]]
    return [table.headings[i][0] for i in places], rows


def _caption(results: Mapping[str, Any]) -> list[str]:
    suite, best = results["suite"], results["best_learner"]
    lines = [
        sentence(results),
        f"Study {suite['name']}: {len(suite['data'])} datasets, {suite['walk_forward']['folds']} folds, benchmark "
        f"{suite['benchmark']}. Sharpe ratios per year after costs, with 95% intervals over seeds and dependent bars; "
        "differences to the benchmark with intervals that hold together (Bonferroni).",
        f"N = {results['trials']['count']} {ATTEMPTS}.",
    ]
    if best is not None and not math.isnan(best["deflated_sharpe"]):
        lines.append(f"Deflated Sharpe ratio of {best['name']}: {best['deflated_sharpe']:.2f}.")
    return lines


def _markdown(results: Mapping[str, Any], caption: Sequence[str]) -> str:
    headings, rows = _cells(results)
    lines = ["| " + " | ".join(map(for_markdown, row)) + " |" for row in (headings, *rows)]
    lines.insert(1, "|---" + "|---:" * (len(headings) - 1) + "|")
    return "\n".join([*lines, "", *map(for_markdown, caption)]) + "\n"


def _latex(results: Mapping[str, Any], caption: Sequence[str]) -> str:
    headings, rows = _cells(results)
    body = [" & ".join(map(for_latex, row)) + r" \\" for row in rows]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{for_latex(' '.join(caption))}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(headings) - 1)}}}",
            r"\toprule",
            " & ".join(map(for_latex, headings)) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def for_latex(text: object) -> str:
    """The text with all characters escaped that LaTeX would interpret; a negative number has a minus sign."""
    escaped = re.sub(r"[\\~^&%$#_{}]", lambda match: _TEX.get(match[0], f"\\{match[0]}"), printable(text))
    return re.sub(r"(?<![\w.])-(?=[\d])", "$-$", escaped).replace("±", r"$\pm$")


def _csv(results: Mapping[str, Any]) -> str:
    headings, rows = columns_of(results)
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerows([headings, *map(_safe, rows)])
    return content.getvalue()


def _safe(row: Sequence[Any]) -> list[Any]:
    """The row with its name on one line, which a spreadsheet does not run as a formula."""
    name = printable(row[0])
    return [f"'{name}" if name[:1] in "=+-@" else name, *row[1:]]
