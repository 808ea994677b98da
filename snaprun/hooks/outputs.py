"""Compare the outputs that a notebook stores with what a run recorded, by cell, or judge their execution counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snaprun.notebooks import cells
from snaprun.notebooks.cells import Node

Canonical = list[tuple[str, Any]]


@dataclass(frozen=True)
class OutputMatch:
    """How the stored outputs compare with a run's, as numbers of code cells.

    ``same`` counts cells that have outputs in both; ``other`` have different ones, ``missing`` have some in the run
    alone, ``extra`` in the notebook alone.
    """

    same: tuple[int, ...] = ()
    other: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()
    extra: tuple[int, ...] = ()

    @property
    def is_exact(self) -> bool:
        """Whether the notebook stores exactly what the run recorded."""
        return not (self.other or self.missing or self.extra)

    @property
    def is_recorded(self) -> bool:
        """Whether everything that the notebook stores is recorded by the run: nothing is lost without it."""
        return not (self.other or self.extra)


def match(node: Node, run_node: Node) -> OutputMatch:
    """Compare the outputs of a notebook with those of an executed notebook that has the same code."""
    pairs = list(zip(_code(node), _code(run_node), strict=False))
    groups: dict[str, list[int]] = {"same": [], "other": [], "missing": [], "extra": []}
    for (number, cell), (_, run_cell) in pairs:
        cell_outputs, run_outputs = canonical_outputs(cell), canonical_outputs(run_cell)
        if cell_outputs or run_outputs:
            kind = (
                "same"
                if cell_outputs == run_outputs
                else "missing"
                if not cell_outputs
                else "extra"
                if not run_outputs
                else "other"
            )
            groups[kind].append(number)
    for number, cell in _code(node)[len(pairs) :]:
        if cell.get("outputs"):
            groups["extra"].append(number)
    return OutputMatch(**{kind: tuple(numbers) for kind, numbers in groups.items()})


def has_outputs(node: Node) -> bool:
    """Whether any code cell stores an output or an execution count."""
    return any(cell.get("outputs") or cell.get("execution_count") is not None for _, cell in _code(node, every=True))


def out_of_order(node: Node) -> tuple[int, ...]:
    """The code cells that were executed before one that stands above them: their outputs may show another state."""
    numbers = []
    highest = 0
    for number, cell in _code(node):
        count = cell.get("execution_count")
        if isinstance(count, int):
            if count < highest:
                numbers.append(number)
            highest = max(highest, count)
    return tuple(numbers)


def canonical_outputs(cell: Mapping[str, Any]) -> Canonical:
    """The outputs of a cell as they count: streams joined by name, counts, metadata and line splitting left aside."""
    parts: Canonical = []
    streams: dict[str, list[str]] = {}
    for output in cell.get("outputs") or ():
        kind = output.get("output_type")
        if kind == "stream":
            name = str(output.get("name"))
            if name not in streams:
                streams[name] = []
                parts.append((f"stream {name}", streams[name]))
            streams[name].append(cells.join_lines(output.get("text")))
        elif kind in ("execute_result", "display_data"):
            data = output.get("data")
            parts.append(("data", {str(mime): _plain(str(mime), value) for mime, value in _mapping(data).items()}))
        elif kind == "error":
            parts.append(("error", [str(output.get("ename")), str(output.get("evalue"))]))
        else:
            parts.append((str(kind), json.dumps(output, sort_keys=True, default=str)))
    outputs = [(kind, "".join(value) if kind.startswith("stream ") else value) for kind, value in parts]
    return [(kind, value) for kind, value in outputs if value]


def _code(node: Node, *, every: bool = False) -> list[tuple[int, Mapping[str, Any]]]:
    """Every code cell that executes something, with its number; injected and empty ones only if ``every``."""
    return [
        (number, cell)
        for number, _, cell in cells.number_cells(node)
        if every or (cells.INJECTED_TAG not in cells.read_tags(cell) and cells.normalize_source(cell["source"]))
    ]


def _plain(mime: str, value: Any) -> Any:
    """A value of an output's data: text joined, the line breaks inside base64 and at its end left aside."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = "".join(value)
    if not isinstance(value, str):
        return value
    return "".join(value.split()) if mime.startswith("image/") and "xml" not in mime else value.rstrip("\n")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
