"""The fingerprint of what a notebook executes: the same number for the runner, the index and the hook.

Standard library only: the hook reads notebooks as plain JSON. Works on any notebook document, nbformat's or jupytext's
own node included (nbformat 4, and the worksheets of nbformat 3).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

INJECTED = "injected-parameters"
"""The tag of the cell that a run inserts: no part of what the user wrote."""

MEANING_TAGS = frozenset({"parameters", "raises-exception", "skip-execution"})
"""The tags that change what a run does; all others are the reader's."""


def cells_of(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Every cell of a notebook document in order; what is no cell is passed over."""
    found: Any = node.get("cells")
    if found is None:
        sheets = [sheet for sheet in _list(node.get("worksheets")) if isinstance(sheet, Mapping)]
        found = [cell for sheet in sheets for cell in _list(sheet.get("cells"))]
    return [cell for cell in _list(found) if isinstance(cell, Mapping)]


def source_of(cell: Mapping[str, Any]) -> str:
    """The text of a cell, whether it is stored as one string or as a list of lines."""
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, str):
        return source
    return "".join(line for line in _list(source) if isinstance(line, str))


def tags_of(cell: Mapping[str, Any]) -> tuple[str, ...]:
    """The tags of a cell; none where its metadata is not as it should be."""
    metadata = cell.get("metadata")
    tags = metadata.get("tags") if isinstance(metadata, Mapping) else None
    return tuple(tag for tag in _list(tags) if isinstance(tag, str))


def code_cells(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The code cells of the user's own, in order: without the injected one."""
    return [cell for cell in cells_of(node) if cell.get("cell_type") == "code" and INJECTED not in tags_of(cell)]


def normal(source: str) -> str:
    """A source as it counts for comparison: line ends as LF, without empty lines around it or spaces behind it."""
    return source.replace("\r\n", "\n").replace("\r", "\n").lstrip("\n").rstrip()


def cell_key(cell: Mapping[str, Any]) -> str:
    """What one code cell executes, as text to compare; empty for a cell that executes nothing."""
    source = normal(source_of(cell))
    if not source:
        return ""
    return json.dumps([source, *sorted(MEANING_TAGS.intersection(tags_of(cell)))])


def code_hash(node: Mapping[str, Any]) -> str:
    """The sha256 (hex) over what the notebook's code cells execute, in order.

    Outputs, execution counts, cell ids, markdown, metadata, empty cells and the injected parameters do not count;
    the source of every other code cell does, and the tags in :data:`MEANING_TAGS`.
    """
    keys = [key for key in map(cell_key, code_cells(node)) if key]
    return hashlib.sha256(json.dumps(keys).encode()).hexdigest()


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []
