"""Show a comparison as Markdown, for a pull request."""

from __future__ import annotations

import re
from collections.abc import Sequence

from snaprun.diffs import terminal, words
from snaprun.diffs.rundiff import SECTIONS, CellDiff, Comparison
from snaprun.diffs.terminal import DiffOptions
from snaprun.printable import clean


def markdown(comparison: Comparison) -> str:
    """The comparison as Markdown for a pull request: tables, and the code in folded blocks."""
    lines = [f"### {_escape(words.side_title(comparison.a))} → {_escape(words.side_title(comparison.b))}", ""]
    first = words.divergence_lines(comparison)
    lines += [f"**{_escape(first[0])}**", ""] if first else []
    params = [value for value in comparison.params or () if value.state != "same"]
    if params:
        lines += _table(("parameter", "A", "B"), [(param.name, *words.format_values(param)) for param in params])
    metrics = [metric for metric in comparison.metrics or () if metric.state != "same"]
    if metrics:
        table = [
            (metric_diff.name, *words.metric_sides(metric_diff), words.metric_change(metric_diff))
            for metric_diff in metrics
        ]
        lines += _table(("metric", "A", "B", "change"), table)
    if comparison.code:
        lines += ["**Code**", ""]
        for cell in comparison.code:
            lines += _cell(cell)
    for section in SECTIONS:
        section_rows = terminal.rows(section, comparison, DiffOptions()) if section.in_markdown else ()
        rows = [row.strip() for row in section_rows if row.strip()]
        lines += [f"**{section.name.capitalize()}**", "", *(f"- {_escape(row)}" for row in rows), ""] if rows else []
    lines += [f"> {_escape(note)}" for note in comparison.notes]
    if not comparison.differs:
        lines.append(words.no_difference(comparison))
    return "\n".join(lines).rstrip()


def _escape(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", clean(text))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    return [*lines, *(f"| {' | '.join(map(_escape, row))} |" for row in rows), ""]


def _cell(cell: CellDiff) -> list[str]:
    title = _escape(words.cell_row(cell))
    lines = [clean(line) for hunk in words.cell_hunks(cell) for line in hunk.lines]
    if not lines:
        return [f"- {title}", ""]
    longest = max((len(run) for line in lines for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"<details><summary>{title}</summary>", "", f"{fence}diff", *lines, fence, "", "</details>", ""]
