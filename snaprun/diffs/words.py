"""The words of a comparison, the same in the terminal, in Markdown and on the page: sides, cells, changes, values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from snaprun import show
from snaprun.diffs.linediff import clean
from snaprun.diffs.rundiff import CellDiff, Comparison, FileDiff, MetricDiff, Side, Value
from snaprun.diffs.textdiff import Hunk
from snaprun.notebooks import exact
from snaprun.show import Look

PLAIN = Look()

SHORT = 60
"""Characters of a value that a line shows."""

MARKS = {"added": "+", "removed": "-", "changed": "~", "moved": ">", "same": "="}
COLOURS = {"+": "green", "-": "red", "~": "yellow", ">": "cyan", "=": None}


def first(found: Comparison) -> list[str]:
    """The one line about where the outputs part, if they do."""
    cell = found.diverges
    return [] if cell is None else [f"{cell_name(cell)} is the first whose output differs"]


def side(one: Side) -> str:
    """A side as a heading has it: id, name, how it ended, how long it took."""
    run = one.run
    if run is None:
        return "the work tree" if one.name == "." else clean(one.name)
    name = f" {clean(run.name)}" if run.name else ""
    code = f" exit {run.exit_code}" if run.exit_code else ""
    took = f", {show.duration(run.seconds)}" if run.seconds is not None else ""
    return f"{one.name}{name} ({run.status}{code}{took})"


def cell_name(cell: CellDiff) -> str:
    """A cell by its number on side B, else on side A, and its label."""
    kind = "cell" if cell.kind == "code" else f"{'text' if cell.kind == 'markdown' else cell.kind} cell"
    return f"{kind} {cell.b or cell.a}{f' ({cell.label})' if cell.label else ''}"


def cell_row(cell: CellDiff, how: Look = PLAIN) -> str:
    """A cell in the list of code changes: what happened to it, its name, where it was."""
    mark = MARKS[cell.state]
    notes = []
    if cell.a is not None and cell.b is not None and cell.a != cell.b:
        notes.append(f"from {cell.a}" if cell.state == "moved" else f"was {cell.a}")
    if cell.part_of is not None:
        notes.append(f"{'split from' if cell.state == 'added' else 'merged into'} cell {cell.part_of}")
    said = f"  {', '.join(notes)}" if notes else ""
    return how.style(f"{mark} {cell_name(cell)}", COLOURS[mark]) + said


def cell_hunks(cell: CellDiff) -> Sequence[Hunk]:
    """The hunks of a cell; one that only one side has is a single hunk."""
    if cell.state in ("added", "removed"):
        sign, source = ("+", cell.b_source) if cell.state == "added" else ("-", cell.a_source)
        return (Hunk(1, 1, tuple(sign + line for line in (source or "").rstrip("\n").split("\n"))),)
    return cell.hunks


def file(one: FileDiff, how: Look = PLAIN) -> str:
    """A file with git's letter and the number of lines."""
    mark = {"A": "green", "D": "red", "M": "yellow", "R": "cyan", "T": "yellow"}.get(one.state)
    name = f"{one.old_path} -> {one.path}" if one.old_path else one.path
    if one.state == "L":
        return f"L {clean(name)}  not in git: its size differs"
    counts = "binary" if one.binary else f"+{one.add} -{one.delete}" if one.add is not None else ""
    mode = f"  mode {one.a_mode} -> {one.b_mode}" if one.a_mode and one.b_mode and one.a_mode != one.b_mode else ""
    return f"{how.style(one.state, mark)} {clean(name)}  {counts}{mode}".rstrip()


def metric_sides(one: MetricDiff) -> tuple[str, str]:
    """A metric's value on each side."""
    if one.a is None or one.b is None:
        return "" if one.a is None else shown(one.a), "" if one.b is None else shown(one.b)
    return both(Value(one.name, one.a, one.b, one.state))


def change(one: MetricDiff) -> str:
    """By how much a metric changed, and whether that is better."""
    if one.state in ("added", "removed"):
        return f"only in {'B' if one.state == 'added' else 'A'}"
    if one.delta is None or one.state == "same":
        return ""
    share = f"({one.rel:+.1%})" if one.rel is not None else f"({one.delta:+.3g})"
    word = {True: " better", False: " worse", None: ""}[one.better]
    return share + word


def both(value: Value) -> tuple[str, str]:
    """Both values, as short as they can be told apart."""
    a = "(none)" if value.state == "added" else shown(value.a)
    b = "(none)" if value.state == "removed" else shown(value.b)
    if a == b and value.state == "changed":
        return repr(value.a), repr(value.b)
    return a, b


def shown(thing: Any) -> str:
    """A value on one short line."""
    said = clean(show.value(exact.to_json(thing)))
    return said if len(said) <= SHORT else said[: SHORT - 1] + "…"


def tree(one: Side) -> str:
    """What ``git diff`` takes for a side."""
    return one.tree[:8] if one.run else one.name


def nothing(found: Comparison) -> str:
    """The one line of a comparison that found nothing."""
    same = [name for name, known in found.identical.items() if known]
    unknown = [name for name, known in found.identical.items() if known is None]
    missing = f"; not compared: {', '.join(unknown)}" if unknown else ""
    return f"no difference in {', '.join(same) or 'anything compared'}{missing}"
