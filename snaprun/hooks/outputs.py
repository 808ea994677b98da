"""Whose outputs a notebook stores: compared by cell with what a run recorded, or judged by the execution counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snaprun.notebooks import cells
from snaprun.notebooks.cells import Node

Canonical = list[tuple[str, Any]]


@dataclass(frozen=True)
class Match:
    """How the stored outputs compare with a run's, as numbers of code cells.

    ``same`` counts cells that have outputs in both; ``other`` have different ones, ``missing`` have some in the run
    alone, ``extra`` in the notebook alone.
    """

    same: tuple[int, ...] = ()
    other: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()
    extra: tuple[int, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the notebook stores exactly what the run recorded."""
        return not (self.other or self.missing or self.extra)

    @property
    def kept(self) -> bool:
        """Whether everything that the notebook stores is recorded by the run: nothing is lost without it."""
        return not (self.other or self.extra)


def match(node: Node, executed: Node) -> Match:
    """Compare the outputs of a notebook with those of an executed notebook that has the same code."""
    pairs = list(zip(_code(node), _code(executed), strict=False))
    found: dict[str, list[int]] = {"same": [], "other": [], "missing": [], "extra": []}
    for (number, mine), (_, theirs) in pairs:
        here, there = canonical(mine), canonical(theirs)
        if here or there:
            kind = "same" if here == there else "missing" if not here else "extra" if not there else "other"
            found[kind].append(number)
    for number, mine in _code(node)[len(pairs) :]:
        if mine.get("outputs"):
            found["extra"].append(number)
    return Match(**{kind: tuple(numbers) for kind, numbers in found.items()})


def has_outputs(node: Node) -> bool:
    """Whether any code cell stores an output or an execution count."""
    return any(cell.get("outputs") or cell.get("execution_count") is not None for _, cell in _code(node, every=True))


def out_of_order(node: Node) -> tuple[int, ...]:
    """The code cells that were executed before one that stands above them: their outputs may show another state."""
    found = []
    highest = 0
    for number, cell in _code(node):
        count = cell.get("execution_count")
        if isinstance(count, int):
            if count < highest:
                found.append(number)
            highest = max(highest, count)
    return tuple(found)


def canonical(cell: Mapping[str, Any]) -> Canonical:
    """The outputs of a cell as they count: streams joined by name, counts, metadata and line splitting left aside."""
    made: Canonical = []
    streams: dict[str, list[str]] = {}
    for output in cell.get("outputs") or ():
        kind = output.get("output_type")
        if kind == "stream":
            name = str(output.get("name"))
            if name not in streams:
                streams[name] = []
                made.append((f"stream {name}", streams[name]))
            streams[name].append(cells.joined(output.get("text")))
        elif kind in ("execute_result", "display_data"):
            data = output.get("data")
            made.append(("data", {str(mime): _plain(str(mime), value) for mime, value in _mapping(data).items()}))
        elif kind == "error":
            made.append(("error", [str(output.get("ename")), str(output.get("evalue"))]))
        else:
            made.append((str(kind), json.dumps(output, sort_keys=True, default=str)))
    joined = [(kind, "".join(value) if kind.startswith("stream ") else value) for kind, value in made]
    return [(kind, value) for kind, value in joined if value]


def _code(node: Node, *, every: bool = False) -> list[tuple[int, Mapping[str, Any]]]:
    """Every code cell that executes something, with its number; injected and empty ones only if ``every``."""
    number = 0
    found = []
    for cell in node["cells"]:
        if cell["cell_type"] != "code":
            continue
        injected = cells.INJECTED in cells.tags(cell)
        number += not injected
        if every or (not injected and cells.plain(cell["source"])):
            found.append((number, cell))
    return found


def _plain(mime: str, value: Any) -> Any:
    """A value of an output's data: text joined, the line breaks inside base64 and at its end left aside."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = "".join(value)
    if not isinstance(value, str):
        return value
    return "".join(value.split()) if mime.startswith("image/") and "xml" not in mime else value.rstrip("\n")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
