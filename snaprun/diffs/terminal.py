"""Show a comparison in a terminal as a lab book would: what differs, section by section."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from snaprun import show
from snaprun.diffs import linediff, textdiff, words
from snaprun.diffs.rundiff import Comparison
from snaprun.show import Look

SECTIONS = ("run", "params", "metrics", "code", "outputs", "timings", "files", "environment", "artifacts")
TITLE = 11
MARGIN = "\0"
ROWS_MOST = 12
"""Rows of the sections that can be long; ``--only`` or ``--all`` shows the rest."""

SLOWER = 1.2
SECONDS_LEAST = 1.0
"""A cell's time is worth a line from a second and a fifth of a difference on."""


@dataclass(frozen=True)
class Wanted:
    """What to show: ``only`` these sections (empty: all), the same too, a line a section, words marked; and how."""

    only: tuple[str, ...] = ()
    everything: bool = False
    stat: bool = False
    word_diff: bool = False
    how: Look = words.PLAIN

    def has(self, section: str) -> bool:
        """Whether a section is wanted."""
        return not self.only or section in self.only

    @property
    def long(self) -> bool:
        """Whether long sections are shown in full."""
        return bool(self.only) or self.everything


Rows = Callable[[Comparison, Wanted], Iterator[str]]
"""How the lines of a section are made."""


def text(found: Comparison, wanted: Wanted | None = None) -> str:
    """The comparison for a terminal, without a final newline."""
    wanted = wanted or Wanted()
    lines: list[str] = []
    for section in SECTIONS:
        if wanted.has(section):
            lines += _titled(section, rows(section, found, wanted), wanted.how)
            lines += _titled("first", words.first(found), wanted.how) if section == "run" else []
    lines += [wanted.how.style(f"note: {note}", "yellow") for note in found.notes]
    if not found.differs and not wanted.everything:
        lines.append(words.nothing(found))
    return "\n".join(lines)


def rows(section: str, found: Comparison, wanted: Wanted) -> list[str]:
    """The lines of one section without its title; none where nothing differs.

    A line that starts with NUL is meant to stand at the margin: lines of code.
    """
    return list((_STAT if wanted.stat else _FULL)[section](found, wanted))


def _titled(section: str, listed: Sequence[str], how: Look) -> list[str]:
    """Rows with the section's name before the first; the others stand below it."""
    title = {"environment": "Env"}.get(section, section.capitalize())
    made = []
    for number, row in enumerate(listed):
        head = " " * TITLE if number else how.style(title.ljust(TITLE), bold=True)
        made.append(row[1:].rstrip() if row.startswith(MARGIN) else f"{head}{row}".rstrip())
    return made


def _run(found: Comparison, wanted: Wanted) -> Iterator[str]:
    yield f"{words.side(found.a)}  ->  {words.side(found.b)}"
    for value in found.run:
        if value.state != "same" and value.name not in ("status", "exit_code", "reason", "parent"):
            yield f"{value.name} {words.shown(value.a)} -> {words.shown(value.b)}"
        elif wanted.everything and value.state == "same" and value.a is not None:
            yield f"{value.name} {words.shown(value.a)}"
    for side in (found.a, found.b):
        if side.run and side.run.reason:
            yield f"{side.name}: {side.run.reason}"


def _params(found: Comparison, wanted: Wanted) -> Iterator[str]:
    listed = found.params or ()
    changed = [value for value in listed if value.state != "same"]
    width = max((len(value.name) for value in changed), default=0)
    for value in changed:
        a, b = words.both(value)
        yield f"{value.name.ljust(width)}  {a} -> {wanted.how.style(b, 'green')}"
    same = [value for value in listed if value.state == "same"]
    if wanted.everything:
        yield from (f"{value.name} = {words.shown(value.a)}" for value in same)
    elif changed and same:
        yield f"({len(same)} the same)"


def _metrics(found: Comparison, wanted: Wanted) -> Iterator[str]:
    shown = [one for one in found.metrics or () if wanted.everything or one.state != "same"]
    name = max((len(one.name) for one in shown), default=0)
    values = [f"{' -> '.join(words.metric_sides(one))}" for one in shown]
    width = max(map(len, values), default=0)
    for one, both in zip(shown, values, strict=True):
        said = words.change(one)
        if one.better is not None:
            said = wanted.how.style(said, "green" if one.better else "red")
        yield f"{one.name.ljust(name)}  {both.ljust(width)}  {said}"


def _code(found: Comparison, wanted: Wanted) -> Iterator[str]:
    for cell in found.cells or () if wanted.everything else found.code:
        yield words.cell_row(cell, wanted.how)
        for hunk in words.cell_hunks(cell):
            marked = wanted.word_diff and not wanted.how.colour
            lines = linediff.marked(hunk.lines) if marked else linediff.coloured(hunk.lines, wanted.how)
            yield from (f"{MARGIN}  {line}" for line in lines)


def _outputs(found: Comparison, wanted: Wanted) -> Iterator[str]:
    rows = []
    for cell in found.outputs:
        differing = [one for one in cell.outputs or () if one.state != "same"]
        for one in differing:
            sign = {"added": "+ ", "removed": "- "}.get(one.state, "")
            rows.append(f"{words.cell_name(cell)}  {sign}{one.summary}")
            if wanted.long:
                lines = [line for hunk in one.hunks for line in linediff.coloured(hunk.lines, wanted.how)]
                lines += [f"… {one.left_out} more lines"] if one.left_out else []
                rows += [f"{MARGIN}    {line}" for line in lines]
    yield from _limited(rows, wanted, "--only outputs")


def _timings(found: Comparison, wanted: Wanted) -> Iterator[str]:
    rows = []
    for cell in found.cells or ():
        a, b = cell.a_seconds, cell.b_seconds
        if a is None or b is None:
            continue
        slow = abs(a - b) >= SECONDS_LEAST and max(a, b) >= SLOWER * min(a, b)
        if slow or wanted.everything or wanted.only == ("timings",):
            rows.append(f"{words.cell_name(cell)}  {show.duration(a)} -> {show.duration(b)}")
    yield from _limited(rows, wanted, "--only timings")


def _files(found: Comparison, wanted: Wanted) -> Iterator[str]:
    yield from _limited([words.file(one, wanted.how) for one in found.files], wanted, "--only files")
    if found.files and any(one.state != "L" for one in found.files) and found.b.commit:
        yield wanted.how.style(
            f"git diff {words.tree(found.a)} {words.tree(found.b)} -- PATH shows them", "bright_black"
        )


def _environment(found: Comparison, wanted: Wanted) -> Iterator[str]:
    rows = []
    for value in found.environment or ():
        if value.state == "same" and not wanted.everything:
            continue
        name = value.name.removeprefix("packages.")
        shown = {
            "removed": f"-{name} {words.shown(value.a)}",
            "added": f"+{name} {words.shown(value.b)}",
            "changed": f"{name} {' -> '.join(words.both(value))}",
            "same": f"{name} {words.shown(value.a)}",
        }
        rows.append(shown[value.state])
    yield from _limited(rows, wanted, "--only environment")


def _artifacts(found: Comparison, wanted: Wanted) -> Iterator[str]:
    rows = []
    for value in found.artifacts or ():
        if value.state == "same" and not wanted.everything:
            continue
        sizes = [show.size(side["size"]) if side else "" for side in (value.a, value.b)]
        if value.state == "changed":
            more = "content differs" if sizes[0] == sizes[1] else ""
            rows.append(f"{value.name}  {sizes[0]} -> {sizes[1]}  {more}".rstrip())
        else:
            rows.append(f"{words.MARKS[value.state]} {value.name}  {sizes[1] or sizes[0]}")
    yield from _limited(rows, wanted, "--only artifacts")


def _limited(rows: list[str], wanted: Wanted, more: str) -> Iterator[str]:
    if wanted.long or len(rows) <= ROWS_MOST:
        yield from rows
        return
    yield from rows[: ROWS_MOST - 1]
    yield f"… and {len(rows) - ROWS_MOST + 1} more ({more})"


_FULL: dict[str, Rows] = {
    "run": _run,
    "params": _params,
    "metrics": _metrics,
    "code": _code,
    "outputs": _outputs,
    "timings": _timings,
    "files": _files,
    "environment": _environment,
    "artifacts": _artifacts,
}


def _stat_run(found: Comparison, _: Wanted) -> Iterator[str]:
    yield f"{words.side(found.a)}  ->  {words.side(found.b)}"


def _stat_values(name: str) -> Rows:
    def count(found: Comparison, _: Wanted) -> Iterator[str]:
        listed = getattr(found, name) or ()
        differing = sum(one.state != "same" for one in listed)
        if differing:
            yield f"{differing} of {len(listed)} differ"

    return count


def _stat_code(found: Comparison, wanted: Wanted) -> Iterator[str]:
    counts = {
        state: sum(cell.state == state for cell in found.code) for state in ("added", "removed", "changed", "moved")
    }
    cells = " ".join(
        wanted.how.style(f"{words.MARKS[state]}{count}", words.COLOURS[words.MARKS[state]])
        for state, count in counts.items()
        if count
    )
    if cells:
        more, less = textdiff.changed([hunk for cell in found.code for hunk in words.cell_hunks(cell)])
        yield f"{cells} cells, +{more} -{less} lines"


def _stat_outputs(found: Comparison, _: Wanted) -> Iterator[str]:
    if found.outputs:
        yield f"{len(found.outputs)} of {sum(cell.outputs is not None for cell in found.cells or ())} cells differ"


def _stat_timings(found: Comparison, _: Wanted) -> Iterator[str]:
    times = [side.run.seconds if side.run else None for side in (found.a, found.b)]
    if times[0] is not None and times[1] is not None:
        yield f"{show.duration(times[0])} -> {show.duration(times[1])}"


def _stat_files(found: Comparison, _: Wanted) -> Iterator[str]:
    if found.files:
        more = sum(one.add or 0 for one in found.files)
        less = sum(one.delete or 0 for one in found.files)
        yield f"{len(found.files)} differ, +{more} -{less} lines"


_STAT: dict[str, Rows] = {
    "run": _stat_run,
    "params": _stat_values("params"),
    "metrics": _stat_values("metrics"),
    "code": _stat_code,
    "outputs": _stat_outputs,
    "timings": _stat_timings,
    "files": _stat_files,
    "environment": _stat_values("environment"),
    "artifacts": _stat_values("artifacts"),
}
