"""Take the outputs out of a notebook's file and put a run's back in; every other byte stays as near as JSON allows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snaprun.errors import DataFault
from snaprun.notebooks import cells

_INDENT = re.compile(rb"\A\s*\{\r?\n([ \t]+)")


@dataclass(frozen=True)
class Restoration:
    """A notebook with a run's outputs: how many cells got them, and which of its cells the run knows nothing of."""

    content: bytes
    cells: int
    unknown: tuple[int, ...]


def strip(content: bytes) -> bytes:
    """The notebook without outputs and execution counts; the very same bytes where it has none.

    Raises:
        InputMissing: it is no notebook.
    """
    document = cells.decode(content, "notebook")
    has_outputs = False
    for _, cell in _cells(document):
        if cell.get("outputs") or cell.get("execution_count") is not None:
            has_outputs = True
            cell["outputs"] = []
            cell["execution_count"] = None
    return _dump(document, content) if has_outputs else content


def restore_outputs(content: bytes, run_content: bytes) -> Restoration:
    """The notebook ``content`` with the outputs that a run's executed notebook has for the same cells.

    Cells are matched by their source, in order; a cell that was edited since keeps what it has.

    Raises:
        InputMissing: one of the two is no notebook.
        DataFault: they have no code in common.
    """
    document = cells.decode(content, "notebook")
    run_node = cells.normalize(cells.decode(run_content, "executed.ipynb"), "executed.ipynb")
    run_cells = [cell for _, cell in _cells(run_node) if cells.normalize_source(cell["source"])]
    count = 0
    unknown = []
    start = 0
    for number, cell in _cells(document):
        text = cells.normalize_source(cells.read_source(cell))
        if not text:
            continue
        position = next(
            (
                index
                for index in range(start, len(run_cells))
                if cells.normalize_source(run_cells[index]["source"]) == text
            ),
            None,
        )
        if position is None:
            unknown.append(number)
            continue
        start = position + 1
        cell["outputs"] = run_cells[position]["outputs"]
        cell["execution_count"] = run_cells[position]["execution_count"]
        count += 1
    if not count and unknown:
        raise DataFault("the notebook has no code in common with that run", hint="snaprun diff shows both")
    return Restoration(_dump(document, content), count, tuple(unknown))


def _cells(document: Mapping[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """The code cells of the user's own with their numbers, to be changed in place."""
    value = document.get("cells")
    items = [cell for cell in value if isinstance(cell, dict)] if isinstance(value, list) else []
    return [
        (number, items[index])
        for number, index, cell in cells.number_cells({"cells": items})
        if cells.INJECTED_TAG not in cells.read_tags(cell)
    ]


def _dump(document: Mapping[str, Any], original: bytes) -> bytes:
    """JSON in the layout of ``original``: its indent, its line ends, its last newline, its way with non-ASCII text."""
    indent = _INDENT.match(original)
    text = json.dumps(
        document,
        indent=indent[1].decode("ascii") if indent else None,
        ensure_ascii=original.isascii(),
        separators=None if indent or b'": ' in original[:200] else (",", ":"),
    )
    raw = text.encode("utf-8", "surrogatepass")
    if b"\r\n" in original:
        raw = raw.replace(b"\n", b"\r\n")
    end = original[len(original.rstrip()) :]
    return raw + end
