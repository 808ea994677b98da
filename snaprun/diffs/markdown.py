"""Show a comparison as Markdown, for a pull request."""

from __future__ import annotations

import re
from collections.abc import Sequence

from snaprun.diffs import terminal, words
from snaprun.diffs.linediff import clean
from snaprun.diffs.rundiff import CellDiff, Comparison
from snaprun.diffs.terminal import Wanted


def markdown(found: Comparison) -> str:
    """The comparison as Markdown for a pull request: tables, and the code in folded blocks."""
    lines = [f"### {_md(words.side(found.a))} → {_md(words.side(found.b))}", ""]
    first = words.first(found)
    lines += [f"**{_md(first[0])}**", ""] if first else []
    changed = [value for value in found.params or () if value.state != "same"]
    if changed:
        lines += _md_table(("parameter", "A", "B"), [(one.name, *words.both(one)) for one in changed])
    metrics = [one for one in found.metrics or () if one.state != "same"]
    if metrics:
        table = [(one.name, *words.metric_sides(one), words.change(one)) for one in metrics]
        lines += _md_table(("metric", "A", "B", "change"), table)
    if found.code:
        lines += ["**Code**", ""]
        for cell in found.code:
            lines += _md_cell(cell)
    for section in ("outputs", "files", "environment", "artifacts"):
        rows = [row.strip() for row in terminal.rows(section, found, Wanted()) if row.strip()]
        lines += [f"**{section.capitalize()}**", "", *(f"- {_md(row)}" for row in rows), ""] if rows else []
    lines += [f"> {_md(note)}" for note in found.notes]
    if not found.differs:
        lines.append(words.nothing(found))
    return "\n".join(lines).rstrip()


def _md(said: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", clean(said))


def _md_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    return [*lines, *(f"| {' | '.join(map(_md, row))} |" for row in rows), ""]


def _md_cell(cell: CellDiff) -> list[str]:
    title = _md(words.cell_row(cell))
    lines = [clean(line) for hunk in words.cell_hunks(cell) for line in hunk.lines]
    if not lines:
        return [f"- {title}", ""]
    longest = max((len(run) for line in lines for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"<details><summary>{title}</summary>", "", f"{fence}diff", *lines, fence, "", "</details>", ""]
