"""The words of a comparison, the same in the terminal, in Markdown and on the page: sides, cells, changes, values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from snaprun import show
from snaprun.diffs.rundiff import CellDiff, Comparison, FileDiff, MetricDiff, Side, ValueDiff
from snaprun.diffs.textdiff import Hunk
from snaprun.notebooks import exact
from snaprun.printable import clean
from snaprun.quantities import format_duration
from snaprun.show import Look

PLAIN = Look()

VALUE_WIDTH = 60
"""Characters of a value that a line shows."""

MARKS = {"added": "+", "removed": "-", "changed": "~", "moved": ">", "same": "="}
COLOURS = {"+": "green", "-": "red", "~": "yellow", ">": "cyan", "=": None}


def divergence_lines(comparison: Comparison) -> list[str]:
    """The one line about where the outputs part, if they do."""
    cell = comparison.first_divergence
    return [] if cell is None else [f"{cell_name(cell)} is the first whose output differs"]


def side_title(comparison_side: Side) -> str:
    """A side as a heading has it: id, name, how it ended, how long it took."""
    run = comparison_side.run
    if run is None:
        return "the work tree" if comparison_side.name == "." else clean(comparison_side.name)
    name = f" {clean(run.name)}" if run.name else ""
    code = f" exit {run.exit_code}" if run.exit_code else ""
    duration = f", {format_duration(run.seconds)}" if run.seconds is not None else ""
    return f"{comparison_side.name}{name} ({run.status}{code}{duration})"


def cell_name(cell: CellDiff) -> str:
    """A cell by its number on side B, else on side A, and its label."""
    kind = "cell" if cell.kind == "code" else f"{'text' if cell.kind == 'markdown' else cell.kind} cell"
    return f"{kind} {cell.b or cell.a}{f' ({cell.label})' if cell.label else ''}"


def cell_row(cell: CellDiff, look: Look = PLAIN) -> str:
    """A cell in the list of code changes: what happened to it, its name, where it was."""
    mark = MARKS[cell.state]
    notes = []
    if cell.a is not None and cell.b is not None and cell.a != cell.b:
        notes.append(f"from {cell.a}" if cell.state == "moved" else f"was {cell.a}")
    if cell.part_of is not None:
        notes.append(f"{'split from' if cell.state == 'added' else 'merged into'} cell {cell.part_of}")
    suffix = f"  {', '.join(notes)}" if notes else ""
    return look.style(f"{mark} {cell_name(cell)}", COLOURS[mark]) + suffix


def cell_hunks(cell: CellDiff) -> Sequence[Hunk]:
    """The hunks of a cell; one that only one side has is a single hunk."""
    sign, version = ("+", cell.cell_b) if cell.cell_a is None else ("-", cell.cell_a)
    if version is None or (cell.cell_a and cell.cell_b):
        return cell.hunks
    return (Hunk(1, 1, tuple(sign + line for line in version.source.rstrip("\n").split("\n"))),)


def file_row(diff: FileDiff, look: Look = PLAIN) -> str:
    """A file with git's letter and the number of lines."""
    mark = {"A": "green", "D": "red", "M": "yellow", "R": "cyan", "T": "yellow"}.get(diff.state)
    name = f"{diff.old_path} -> {diff.path}" if diff.old_path else diff.path
    if diff.state == "L":
        return f"L {clean(name)}  not in git: its size differs"
    counts = "binary" if diff.binary else f"+{diff.add} -{diff.delete}" if diff.add is not None else ""
    mode = (
        f"  mode {diff.a_mode} -> {diff.b_mode}" if diff.a_mode and diff.b_mode and diff.a_mode != diff.b_mode else ""
    )
    return f"{look.style(diff.state, mark)} {clean(name)}  {counts}{mode}".rstrip()


def metric_sides(metric: MetricDiff) -> tuple[str, str]:
    """A metric's value on each side."""
    if metric.a is None or metric.b is None:
        return "" if metric.a is None else format_value(metric.a), "" if metric.b is None else format_value(metric.b)
    return format_values(ValueDiff(metric.name, metric.a, metric.b, metric.state))


def metric_change(metric: MetricDiff) -> str:
    """By how much a metric changed, and whether that is better."""
    if metric.state in ("added", "removed"):
        return f"only in {'B' if metric.state == 'added' else 'A'}"
    if metric.delta is None or metric.state == "same":
        return ""
    share = f"({metric.rel:+.1%})" if metric.rel is not None else f"({metric.delta:+.3g})"
    word = {True: " better", False: " worse", None: ""}[metric.better]
    return share + word


def format_values(value: ValueDiff) -> tuple[str, str]:
    """Both values, as short as they can be told apart."""
    a = "(none)" if value.state == "added" else format_value(value.a)
    b = "(none)" if value.state == "removed" else format_value(value.b)
    if a == b and value.state == "changed":
        return repr(value.a), repr(value.b)
    return a, b


def format_value(value: Any) -> str:
    """A value on one short line."""
    text = clean(show.value(exact.to_json(value)))
    return text if len(text) <= VALUE_WIDTH else text[: VALUE_WIDTH - 1] + "…"


def tree_name(side: Side) -> str:
    """What ``git diff`` takes for a side."""
    return side.tree[:8] if side.run else side.name


def no_difference(comparison: Comparison) -> str:
    """The one line of a comparison that found nothing."""
    sections = [name for name, equal in comparison.identical.items() if equal]
    unknown = [name for name, state in comparison.identical.items() if state is None]
    suffix = f"; not compared: {', '.join(unknown)}" if unknown else ""
    return f"no difference in {', '.join(sections) or 'anything compared'}{suffix}"
