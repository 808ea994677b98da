"""Show how a cell changed from run to run, with the metrics beside it."""

from __future__ import annotations

from collections.abc import Sequence

from snaprun import show
from snaprun.diffs import difflines
from snaprun.diffs.cellhistory import Version
from snaprun.diffs.difflines import clean
from snaprun.show import Look

MARKS = {"changed": ("~", "yellow"), "added": ("+", "green"), "first": ("·", None)}
SAID = {"changed": "changed", "added": "added", "first": "the first run"}


def text(found: Sequence[Version], how: Look, *, now: float) -> str:
    """The versions of a cell for a terminal, the latest first: the run that brought each, and what it changed."""
    lines: list[str] = []
    for one in found:
        came, latest = one.runs[-1], one.runs[0]
        mark, colour = MARKS[one.state]
        head = how.style(f"{mark} {show.short(came.id)}", colour, bold=True)
        count = f", {len(one.runs)} runs" if len(one.runs) > 1 else ""
        name = f" {clean(came.name)}" if came.name else ""
        metrics = "  ".join(f"{clean(key)} {show.value(value.last)}" for key, value in latest.metrics.items())
        where = f"cell {one.number} ({clean(one.label)})"
        lines.append(
            f"{head}{name}  {show.ago(came.created, now)}  {where} {SAID[one.state]}{count}  {metrics}".rstrip()
        )
        shown = [line for hunk in one.hunks for line in difflines.coloured(hunk.lines, how)]
        lines += [f"    {line}".rstrip() for line in shown]
    return "\n".join(lines)
