"""Show a comparison in a terminal as a lab book would: what differs, section by section."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from snaprun.diffs import linediff, textdiff, words
from snaprun.diffs.rundiff import SECTIONS, Comparison, Section
from snaprun.quantities import format_duration, format_size
from snaprun.show import Look

TITLE = 11
MARGIN = "\0"
ROWS_MOST = 12
"""Rows of the sections that can be long; ``--only`` or ``--all`` shows the rest."""

SLOWER = 1.2
SECONDS_LEAST = 1.0
"""A cell's time is worth a line from a second and a fifth of a difference on."""


@dataclass(frozen=True)
class DiffOptions:
    """What to show: ``only`` these sections (empty: all), the same too, a line a section, words marked; and how."""

    only: tuple[str, ...] = ()
    include_same: bool = False
    stat: bool = False
    word_diff: bool = False
    look: Look = words.PLAIN

    def has(self, section: Section) -> bool:
        """Whether a section is wanted."""
        return not self.only or section.name in self.only

    @property
    def long(self) -> bool:
        """Whether long sections are shown in full."""
        return bool(self.only) or self.include_same


Rows = Callable[[Comparison, DiffOptions], Iterator[str]]
"""How the lines of a section are made."""


def text(comparison: Comparison, options: DiffOptions | None = None) -> str:
    """The comparison for a terminal, without a final newline."""
    options = options or DiffOptions()
    lines: list[str] = []
    for section in SECTIONS:
        if options.has(section):
            lines += _add_title(section.title, rows(section, comparison, options), options.look)
            if section.name == "run":
                lines += _add_title("First", words.divergence_lines(comparison), options.look)
    lines += [options.look.style(f"note: {note}", "yellow") for note in comparison.notes]
    if not comparison.differs and not options.include_same:
        lines.append(words.no_difference(comparison))
    return "\n".join(lines)


def rows(section: Section, comparison: Comparison, options: DiffOptions) -> list[str]:
    """The lines of one section without its title; none where nothing differs.

    A line that starts with NUL is meant to stand at the margin: lines of code.
    """
    full, stat = _ROWS[section.name]
    return list((stat if options.stat else full)(comparison, options))


def _add_title(title: str, section_rows: Sequence[str], look: Look) -> list[str]:
    """Rows with the section's title before the first; the others stand below it."""
    lines = []
    for number, row in enumerate(section_rows):
        head = " " * TITLE if number else look.style(title.ljust(TITLE), bold=True)
        lines.append(row[1:].rstrip() if row.startswith(MARGIN) else f"{head}{row}".rstrip())
    return lines


def _run(comparison: Comparison, options: DiffOptions) -> Iterator[str]:
    yield f"{words.side_title(comparison.a)}  ->  {words.side_title(comparison.b)}"
    for value in comparison.run:
        if value.state != "same" and value.name not in ("status", "exit_code", "reason", "parent"):
            yield f"{value.name} {words.format_value(value.a)} -> {words.format_value(value.b)}"
        elif options.include_same and value.state == "same" and value.a is not None:
            yield f"{value.name} {words.format_value(value.a)}"
    for side in (comparison.a, comparison.b):
        if side.run and side.run.reason:
            yield f"{side.name}: {side.run.reason}"


def _params(comparison: Comparison, options: DiffOptions) -> Iterator[str]:
    values = comparison.params or ()
    changes = [value for value in values if value.state != "same"]
    width = max((len(value.name) for value in changes), default=0)
    for value in changes:
        a, b = words.format_values(value)
        yield f"{value.name.ljust(width)}  {a} -> {options.look.style(b, 'green')}"
    equal_values = [value for value in values if value.state == "same"]
    if options.include_same:
        yield from (f"{value.name} = {words.format_value(value.a)}" for value in equal_values)
    elif changes and equal_values:
        yield f"({len(equal_values)} the same)"


def _metrics(comparison: Comparison, options: DiffOptions) -> Iterator[str]:
    metrics = [diff for diff in comparison.metrics or () if options.include_same or diff.state != "same"]
    name_width = max((len(row.name) for row in metrics), default=0)
    values = [f"{' -> '.join(words.metric_sides(entry))}" for entry in metrics]
    width = max(map(len, values), default=0)
    for metric, sides in zip(metrics, values, strict=True):
        change = words.metric_change(metric)
        if metric.better is not None:
            change = options.look.style(change, "green" if metric.better else "red")
        yield f"{metric.name.ljust(name_width)}  {sides.ljust(width)}  {change}"


def _code(comparison: Comparison, options: DiffOptions) -> Iterator[str]:
    for cell in comparison.cells or () if options.include_same else comparison.code:
        yield words.cell_row(cell, options.look)
        for hunk in words.cell_hunks(cell):
            use_marks = options.word_diff and not options.look.colour
            lines = linediff.mark_words(hunk.lines) if use_marks else linediff.colour_lines(hunk.lines, options.look)
            yield from (f"{MARGIN}  {line}" for line in lines)


def _outputs(comparison: Comparison, options: DiffOptions) -> Iterator[str]:
    rows = []
    for cell in comparison.outputs:
        output_diffs = [output for output in cell.outputs or () if output.state != "same"]
        for output_diff in output_diffs:
            sign = {"added": "+ ", "removed": "- "}.get(output_diff.state, "")
            rows.append(f"{words.cell_name(cell)}  {sign}{output_diff.summary}")
            if options.long:
                lines = [line for hunk in output_diff.hunks for line in linediff.colour_lines(hunk.lines, options.look)]
                lines += [f"… {output_diff.left_out} more lines"] if output_diff.left_out else []
                rows += [f"{MARGIN}    {line}" for line in lines]
    yield from _limit(rows, options, "--only outputs")


def _timings(comparison: Comparison, options: DiffOptions) -> Iterator[str]:
    rows = []
    for cell in comparison.cells or ():
        a, b = cell.seconds
        if a is None or b is None:
            continue
        slow = abs(a - b) >= SECONDS_LEAST and max(a, b) >= SLOWER * min(a, b)
        if slow or options.include_same or options.only == ("timings",):
            rows.append(f"{words.cell_name(cell)}  {format_duration(a)} -> {format_duration(b)}")
    yield from _limit(rows, options, "--only timings")


def _files(comparison: Comparison, options: DiffOptions) -> Iterator[str]:
    yield from _limit([words.file_row(file, options.look) for file in comparison.files], options, "--only files")
    if comparison.files and any(diff.state != "L" for diff in comparison.files) and comparison.b.commit:
        yield options.look.style(
            f"git diff {words.tree_name(comparison.a)} {words.tree_name(comparison.b)} -- PATH shows them",
            "bright_black",
        )


def _environment(comparison: Comparison, options: DiffOptions) -> Iterator[str]:
    rows = []
    for value in comparison.environment or ():
        if value.state == "same" and not options.include_same:
            continue
        name = value.name.removeprefix("packages.")
        line_by_state = {
            "removed": f"-{name} {words.format_value(value.a)}",
            "added": f"+{name} {words.format_value(value.b)}",
            "changed": f"{name} {' -> '.join(words.format_values(value))}",
            "same": f"{name} {words.format_value(value.a)}",
        }
        rows.append(line_by_state[value.state])
    yield from _limit(rows, options, "--only environment")


def _artifacts(comparison: Comparison, options: DiffOptions) -> Iterator[str]:
    rows = []
    for value in comparison.artifacts or ():
        if value.state == "same" and not options.include_same:
            continue
        sizes = [format_size(side["size"]) if side else "" for side in (value.a, value.b)]
        if value.state == "changed":
            note = "content differs" if sizes[0] == sizes[1] else ""
            rows.append(f"{value.name}  {sizes[0]} -> {sizes[1]}  {note}".rstrip())
        else:
            rows.append(f"{words.MARKS[value.state]} {value.name}  {sizes[1] or sizes[0]}")
    yield from _limit(rows, options, "--only artifacts")


def _limit(rows: list[str], options: DiffOptions, hint: str) -> Iterator[str]:
    if options.long or len(rows) <= ROWS_MOST:
        yield from rows
        return
    yield from rows[: ROWS_MOST - 1]
    yield f"… and {len(rows) - ROWS_MOST + 1} more ({hint})"


def _stat_run(comparison: Comparison, _: DiffOptions) -> Iterator[str]:
    yield f"{words.side_title(comparison.a)}  ->  {words.side_title(comparison.b)}"


def _stat_values(name: str) -> Rows:
    def count(comparison: Comparison, _: DiffOptions) -> Iterator[str]:
        diffs = getattr(comparison, name) or ()
        changes = sum(diff.state != "same" for diff in diffs)
        if changes:
            yield f"{changes} of {len(diffs)} differ"

    return count


def _stat_code(comparison: Comparison, options: DiffOptions) -> Iterator[str]:
    counts = {
        state: sum(cell.state == state for cell in comparison.code)
        for state in ("added", "removed", "changed", "moved")
    }
    cells = " ".join(
        options.look.style(f"{words.MARKS[state]}{count}", words.COLOURS[words.MARKS[state]])
        for state, count in counts.items()
        if count
    )
    if cells:
        additions, deletions = textdiff.count_changes(
            [hunk for cell in comparison.code for hunk in words.cell_hunks(cell)]
        )
        yield f"{cells} cells, +{additions} -{deletions} lines"


def _stat_outputs(comparison: Comparison, _: DiffOptions) -> Iterator[str]:
    if comparison.outputs:
        count = sum(cell.outputs is not None for cell in comparison.cells or ())
        yield f"{len(comparison.outputs)} of {count} cells differ"


def _stat_timings(comparison: Comparison, _: DiffOptions) -> Iterator[str]:
    times = [side.run.seconds if side.run else None for side in (comparison.a, comparison.b)]
    if times[0] is not None and times[1] is not None:
        yield f"{format_duration(times[0])} -> {format_duration(times[1])}"


def _stat_files(comparison: Comparison, _: DiffOptions) -> Iterator[str]:
    if comparison.files:
        additions = sum(file.add or 0 for file in comparison.files)
        deletions = sum(diff.delete or 0 for diff in comparison.files)
        yield f"{len(comparison.files)} differ, +{additions} -{deletions} lines"


_ROWS: Mapping[str, tuple[Rows, Rows]] = {
    "run": (_run, _stat_run),
    "params": (_params, _stat_values("params")),
    "metrics": (_metrics, _stat_values("metrics")),
    "code": (_code, _stat_code),
    "outputs": (_outputs, _stat_outputs),
    "timings": (_timings, _stat_timings),
    "files": (_files, _stat_files),
    "environment": (_environment, _stat_values("environment")),
    "artifacts": (_artifacts, _stat_values("artifacts")),
}
"""How the lines of a section are made, and its one line for ``--stat``."""
