"""Compare two runs: parameters, metrics, code and outputs by cell, files, environment, artifacts, timings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snaprun.diffs import cellmatch, outputs, textdiff
from snaprun.diffs.cellmatch import Item, Match
from snaprun.diffs.direction import direction
from snaprun.diffs.outputs import OutputDiff
from snaprun.diffs.rundiff import CellDiff, Comparison, FileDiff, MetricDiff, Side, Value
from snaprun.model import Artifact, Metric, Result
from snaprun.notebooks import cells, parameters


def compare(
    a: Side,
    b: Side,
    *,
    files: Iterable[FileDiff] = (),
    context: int = 3,
    better: Sequence[tuple[str, str]] = (),
) -> Comparison:
    """Compare two sides. ``files`` is what git says of their trees, see :func:`snaprun.diffs.sides.files`.

    ``context`` is the number of lines around a change; ``better`` pairs of a glob of metric names and ``lower`` or
    ``higher``.
    """
    both = a.params is not None and b.params is not None
    return Comparison(
        a=a,
        b=b,
        run=tuple(_run(a, b)),
        params=tuple(values(a.params or {}, b.params or {})) if both else None,
        metrics=_metrics_of(a, b, better),
        cells=tuple(_cells(a, b, context)) if a.source is not None and b.source is not None else None,
        files=(*(one for one in files if not _own(one, a, b)), *_left_out(a, b)),
        environment=None if a.environment is None or b.environment is None else tuple(_environment(a, b)),
        artifacts=None if a.result is None or b.result is None else tuple(_artifacts(a.result, b.result)),
        notes=tuple(_notes(a, b)),
    )


def values(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Value]:
    """Every name of two mappings with its values, in the order of A, then of B."""
    for name in [*a, *(name for name in b if name not in a)]:
        if name not in b:
            yield Value(name, a[name], None, "removed")
        elif name not in a:
            yield Value(name, None, b[name], "added")
        else:
            same = parameters.same(a[name], b[name])
            yield Value(name, a[name], b[name], "same" if same else "changed")


def _run(a: Side, b: Side) -> Iterator[Value]:
    """What the records of two runs say; nothing but the notebook where a side is no run."""
    names = ("status", "exit_code", "reason", "engine", "launcher", "branch", "parent", "host")
    said: list[dict[str, Any]] = [{"notebook": side.notebook} for side in (a, b)]
    if a.run and b.run:
        for side, one in zip(said, (a.run, b.run), strict=True):
            side.update({name: getattr(one, name) for name in names})
            side["status"] = one.status.value
    return values(said[0], said[1])


def _metrics(
    a: Mapping[str, Metric], b: Mapping[str, Metric], better: Sequence[tuple[str, str]]
) -> Iterator[MetricDiff]:
    for name in [*a, *(name for name in b if name not in a)]:
        one = a[name].last if name in a else None
        other = b[name].last if name in b else None
        if one is None or other is None or not math.isfinite(one) or not math.isfinite(other):
            yield MetricDiff(name, one, other)
            continue
        delta = other - one
        way = direction(name, better)
        improved = None if way is None or not delta else (delta < 0) == (way == "lower")
        yield MetricDiff(name, one, other, delta, delta / abs(one) if one else None, improved)


def _metrics_of(a: Side, b: Side, better: Sequence[tuple[str, str]]) -> tuple[MetricDiff, ...] | None:
    if a.metrics is None or b.metrics is None:
        return None
    return tuple(_metrics(a.metrics, b.metrics, better))


def _cells(a: Side, b: Side, context: int) -> Iterator[CellDiff]:
    """The cells of the frozen notebooks, matched; injected cells are left out, they are the parameters."""
    ours, theirs = _listed(a), _listed(b)
    out_a, out_b = _outputs(a), _outputs(b)
    times_a, times_b = _seconds(a), _seconds(b)
    found = cellmatch.match([one.item for one in ours], [one.item for one in theirs])
    for match in found:
        one = ours[match.a] if match.a is not None else None
        other = theirs[match.b] if match.b is not None else None
        kept = other or one
        if kept is None:
            continue
        code = kept.item.kind == "code"
        yield CellDiff(
            kind=kept.item.kind,
            a=one.number if one else None,
            b=other.number if other else None,
            state=_state(match, one, other),
            label=kept.label,
            match=match.how,
            similarity=match.similarity,
            part_of=_part_of(match, ours, theirs),
            hunks=tuple(textdiff.hunks(_lines(one), _lines(other), context=context)) if one and other else (),
            outputs=_compared(one, other, out_a, out_b) if code else None,
            a_source=one.item.source if one else None,
            b_source=other.item.source if other else None,
            a_seconds=times_a.get(one.number) if one and code else None,
            b_seconds=times_b.get(other.number) if other and code else None,
        )


@dataclass(frozen=True)
class _Cell:
    item: Item
    number: int
    label: str


def _listed(side: Side) -> list[_Cell]:
    node = side.source or {"cells": []}
    numbers: dict[str, int] = {}
    code = {cell.index: cell for cell in cells.code_cells(node)}
    found = []
    for index, cell in enumerate(node["cells"]):
        if index in code and code[index].number == 0:
            continue
        kind = cell["cell_type"]
        numbers[kind] = numbers.get(kind, 0) + 1
        label = code[index].label if index in code else _first_line(cell["source"])
        found.append(_Cell(Item(kind, cell["source"], cell.get("id")), numbers[kind], label))
    return found


def _state(match: Match, one: _Cell | None, other: _Cell | None) -> str:
    if one is None or other is None:
        return "added" if one is None else "removed"
    if match.moved:
        return "moved"
    return "same" if cells.plain(one.item.source) == cells.plain(other.item.source) else "changed"


def _part_of(match: Match, ours: list[_Cell], theirs: list[_Cell]) -> int | None:
    if match.part_of is None:
        return None
    return (ours if match.a is None else theirs)[match.part_of].number


def _lines(cell: _Cell) -> list[str]:
    return cells.plain(cell.item.source).split("\n")


def _outputs(side: Side) -> dict[int, list[dict[str, Any]]] | None:
    """The outputs of each code cell that ran, by its number; None without a result."""
    if side.executed is None:
        return None
    listed = side.executed["cells"]
    ran = [cell for cell in cells.code_cells(side.executed) if cell.number not in side.unrun]
    return {cell.number: listed[cell.index]["outputs"] for cell in ran}


def _compared(
    one: _Cell | None,
    other: _Cell | None,
    out_a: dict[int, list[dict[str, Any]]] | None,
    out_b: dict[int, list[dict[str, Any]]] | None,
) -> tuple[OutputDiff, ...] | None:
    if out_a is None or out_b is None:
        return None
    before = out_a.get(one.number) if one else []
    after = out_b.get(other.number) if other else []
    return None if before is None or after is None else tuple(outputs.compare(before, after))


def _seconds(side: Side) -> dict[int, float]:
    listed = side.result.cells if side.result else ()
    return {cell.number: cell.seconds for cell in listed if cell.seconds is not None}


def _environment(a: Side, b: Side) -> Iterator[Value]:
    return values(_flat(a.environment or {}), _flat(b.environment or {}))


def _flat(data: Mapping[str, Any], stem: str = "") -> dict[str, Any]:
    """Nested mappings as one, names joined by dots; lists of texts as one text."""
    made: dict[str, Any] = {}
    for key, value in data.items():
        name = f"{stem}{key}"
        if isinstance(value, Mapping):
            made.update(_flat(value, f"{name}."))
        elif name != "schema":
            made[name] = value
    return made


def _artifacts(a: Result, b: Result) -> Iterator[Value]:
    def by_path(listed: Iterable[Artifact]) -> dict[str, Any]:
        return {one.path: {"size": one.size, "sha256": one.sha256} for one in listed}

    return values(by_path(a.artifacts), by_path(b.artifacts))


def _own(one: FileDiff, a: Side, b: Side) -> bool:
    """Whether a file is the notebook itself or its pair, which are compared as cells."""
    return one.path in b.own | a.own and (one.old_path is None or one.old_path in a.own | b.own)


def _left_out(a: Side, b: Side) -> Iterator[FileDiff]:
    """Files too large for git that differ in size, or are on one side only."""
    if a.run is None or b.run is None:
        return
    for path in sorted(a.left_out.keys() | b.left_out.keys()):
        if a.left_out.get(path) != b.left_out.get(path):
            yield FileDiff(path, "L", binary=True)


def _notes(a: Side, b: Side) -> Iterator[str]:
    for side in (a, b):
        yield from (f"{side.name}: {note}" for note in side.notes)
        if side.unrun:
            yield f"{side.name}: {_counted(sorted(side.unrun))} did not run"
    if a.language != b.language:
        yield f"the notebooks are in different languages: {a.language}, {b.language}"


def _counted(numbers: Sequence[int]) -> str:
    """Cells by their numbers, a row of them as its ends."""
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"cells {numbers[0]} to {numbers[-1]}"
    return f"cell{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _first_line(source: str) -> str:
    line = next((line.strip() for line in source.splitlines() if line.strip()), "")
    return line.lstrip("#").strip()[: cells.LABEL_WIDTH]
