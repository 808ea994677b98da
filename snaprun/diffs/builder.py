"""Compare two runs: parameters, metrics, code and outputs by cell, files, environment, artifacts, timings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snaprun.diffs import cellmatch, outputs, textdiff
from snaprun.diffs.cellmatch import CellItem, CellMatch
from snaprun.diffs.direction import direction
from snaprun.diffs.outputs import OutputDiff
from snaprun.diffs.rundiff import CellDiff, CellVersion, Comparison, FileDiff, MetricDiff, Side, ValueDiff
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

    ``context`` is the number of lines around a change; ``better`` pairs globs of metric names with a direction.
    """
    has_params = a.params is not None and b.params is not None
    return Comparison(
        a=a,
        b=b,
        run=tuple(_run(a, b)),
        params=tuple(compare_values(a.params or {}, b.params or {})) if has_params else None,
        metrics=_metrics_of(a, b, better),
        cells=tuple(_cells(a, b, context)) if a.source is not None and b.source is not None else None,
        files=(*(diff for diff in files if not _is_own(diff, a, b)), *_large_files(a, b)),
        environment=None if a.environment is None or b.environment is None else tuple(_environment(a, b)),
        artifacts=None if a.result is None or b.result is None else tuple(_artifacts(a.result, b.result)),
        notes=tuple(_notes(a, b)),
    )


def compare_values(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[ValueDiff]:
    """Every name of two mappings with its values, in the order of A, then of B."""
    for name in dict.fromkeys([*a, *b]):
        if name not in b:
            yield ValueDiff(name, a[name], None, "removed")
        elif name not in a:
            yield ValueDiff(name, None, b[name], "added")
        else:
            equal = parameters.are_equal(a[name], b[name])
            yield ValueDiff(name, a[name], b[name], "same" if equal else "changed")


def _run(a: Side, b: Side) -> Iterator[ValueDiff]:
    """What the records of two runs say; nothing but the notebook where a side is no run."""
    names = ("status", "exit_code", "reason", "engine", "launcher", "branch", "parent", "host")
    records: list[dict[str, Any]] = [{"notebook": side.notebook} for side in (a, b)]
    if a.run and b.run:
        for side, run in zip(records, (a.run, b.run), strict=True):
            side.update({name: getattr(run, name) for name in names})
            side["status"] = run.status.value
    return compare_values(records[0], records[1])


def _metrics(
    a: Mapping[str, Metric], b: Mapping[str, Metric], better: Sequence[tuple[str, str]]
) -> Iterator[MetricDiff]:
    for name in dict.fromkeys([*a, *b]):
        last_a = a[name].last if name in a else None
        last_b = b[name].last if name in b else None
        if last_a is None or last_b is None or not math.isfinite(last_a) or not math.isfinite(last_b):
            yield MetricDiff(name, last_a, last_b)
            continue
        delta = last_b - last_a
        way = direction(name, better)
        is_better = None if way is None or not delta else (delta < 0) == (way == "lower")
        yield MetricDiff(name, last_a, last_b, delta, delta / abs(last_a) if last_a else None, is_better)


def _metrics_of(a: Side, b: Side, better: Sequence[tuple[str, str]]) -> tuple[MetricDiff, ...] | None:
    if a.metrics is None or b.metrics is None:
        return None
    return tuple(_metrics(a.metrics, b.metrics, better))


def _cells(a: Side, b: Side, context: int) -> Iterator[CellDiff]:
    """The cells of the frozen notebooks, matched; the injected cell is left out, it is the parameters."""
    cells_a, cells_b = _side_cells(a), _side_cells(b)
    has_outputs = a.executed_node is not None and b.executed_node is not None
    for match in cellmatch.match([left.item for left in cells_a], [right.item for right in cells_b]):
        cell_a = cells_a[match.a] if match.a is not None else None
        cell_b = cells_b[match.b] if match.b is not None else None
        cell = cell_b or cell_a
        if cell is None:
            continue
        yield CellDiff(
            kind=cell.item.kind,
            label=cell.label,
            state=_state(match, cell_a, cell_b),
            cell_a=cell_a.version if cell_a else None,
            cell_b=cell_b.version if cell_b else None,
            match=match.basis,
            similarity=match.similarity,
            part_of=_part_of(match, cells_a, cells_b),
            hunks=tuple(textdiff.hunks(_lines(cell_a), _lines(cell_b), context=context)) if cell_a and cell_b else (),
            outputs=_compare_outputs(cell_a, cell_b) if has_outputs and cell.item.kind == "code" else None,
        )


@dataclass(frozen=True)
class _Cell:
    """A cell of one side, ready to be matched and compared; ``outputs`` is None where it did not run."""

    item: CellItem
    label: str
    version: CellVersion
    outputs: Sequence[Mapping[str, Any]] | None


def _side_cells(side: Side) -> list[_Cell]:
    node = side.source or {"cells": []}
    cell_outputs, seconds = _outputs(side), _seconds(side)
    text_counts: dict[str, int] = {}
    code = {cell.index: cell for cell in cells.code_cells(node)}
    entries = []
    for index, cell in enumerate(node["cells"]):
        if index in code and code[index].number == 0:
            continue
        item = CellItem.of(cell)
        if index in code:
            number = code[index].number
            version = CellVersion(number, item.source, seconds.get(number))
            entries.append(_Cell(item, code[index].label, version, cell_outputs.get(number)))
        else:
            number = text_counts[item.kind] = text_counts.get(item.kind, 0) + 1
            entries.append(_Cell(item, _first_line(item.source), CellVersion(number, item.source), None))
    return entries


def _state(match: CellMatch, cell_a: _Cell | None, cell_b: _Cell | None) -> str:
    if cell_a is None or cell_b is None:
        return "added" if cell_a is None else "removed"
    if match.is_moved:
        return "moved"
    return (
        "same"
        if cells.normalize_source(cell_a.item.source) == cells.normalize_source(cell_b.item.source)
        else "changed"
    )


def _part_of(match: CellMatch, cells_a: list[_Cell], cells_b: list[_Cell]) -> int | None:
    if match.part_of is None:
        return None
    return (cells_a if match.a is None else cells_b)[match.part_of].version.number


def _lines(cell: _Cell) -> list[str]:
    return cells.normalize_source(cell.item.source).split("\n")


def _outputs(side: Side) -> dict[int, Sequence[Mapping[str, Any]]]:
    """The outputs of each code cell that ran, by its number."""
    if side.executed_node is None:
        return {}
    nodes = side.executed_node["cells"]
    run_cells = [cell for cell in cells.code_cells(side.executed_node) if cell.number not in side.unrun]
    return {cell.number: nodes[cell.index]["outputs"] for cell in run_cells}


def _compare_outputs(cell_a: _Cell | None, cell_b: _Cell | None) -> tuple[OutputDiff, ...] | None:
    before = cell_a.outputs if cell_a else ()
    after = cell_b.outputs if cell_b else ()
    return None if before is None or after is None else tuple(outputs.compare(before, after))


def _seconds(side: Side) -> dict[int, float]:
    records = side.result.cells if side.result else ()
    return {cell.number: cell.seconds for cell in records if cell.seconds is not None}


def _environment(a: Side, b: Side) -> Iterator[ValueDiff]:
    return compare_values(_flat(a.environment or {}), _flat(b.environment or {}))


def _flat(data: Mapping[str, Any], stem: str = "") -> dict[str, Any]:
    """Nested mappings as one, names joined by dots; lists of texts as one text."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        name = f"{stem}{key}"
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{name}."))
        elif name != "schema":
            flat[name] = value
    return flat


def _artifacts(a: Result, b: Result) -> Iterator[ValueDiff]:
    def by_path(artifacts: Iterable[Artifact]) -> dict[str, Any]:
        return {artifact.path: {"size": artifact.size, "sha256": artifact.sha256} for artifact in artifacts}

    return compare_values(by_path(a.artifacts), by_path(b.artifacts))


def _is_own(diff: FileDiff, a: Side, b: Side) -> bool:
    """Whether a file is the notebook itself or its pair, which are compared as cells."""
    return diff.path in b.own | a.own and (diff.old_path is None or diff.old_path in a.own | b.own)


def _large_files(a: Side, b: Side) -> Iterator[FileDiff]:
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
            yield f"{side.name}: {_cell_range(sorted(side.unrun))} did not run"
    if a.language != b.language:
        yield f"the notebooks are in different languages: {a.language}, {b.language}"


def _cell_range(numbers: Sequence[int]) -> str:
    """Cells by their numbers, a row of them as its ends."""
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"cells {numbers[0]} to {numbers[-1]}"
    return f"cell{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _first_line(source: str) -> str:
    line = next((line.strip() for line in source.splitlines() if line.strip()), "")
    return line.lstrip("#").strip()[: cells.LABEL_WIDTH]
