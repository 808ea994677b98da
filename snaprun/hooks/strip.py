"""Take the outputs out of a notebook's file and put a run's back in; every other byte stays as near as JSON allows."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snaprun.errors import DataFault
from snaprun.notebooks import cells
from snaprun.notebooks.cells import Node

_INDENT = re.compile(rb"\A\s*\{\r?\n([ \t]+)")


@dataclass(frozen=True)
class Restored:
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
    found = False
    for cell in _cells(document):
        if cell.get("outputs") or cell.get("execution_count") is not None:
            found = True
            cell["outputs"] = []
            cell["execution_count"] = None
    return _dump(document, content) if found else content


def restore_outputs(content: bytes, executed: bytes) -> Restored:
    """The notebook ``content`` with the outputs that a run's executed notebook has for the same cells.

    Cells are matched by their source, in order; a cell that was edited since keeps what it has.

    Raises:
        InputMissing: one of the two is no notebook.
        DataFault: they have no code in common.
    """
    document = cells.decode(content, "notebook")
    source = cells.normal(cells.decode(executed, "executed.ipynb"), "executed.ipynb")
    ran = [cell for cell in source["cells"] if _counts(cell)]
    given = 0
    unknown = []
    start = 0
    for number, cell in enumerate(_cells(document), 1):
        wanted = cells.plain(cells.joined(cell.get("source")))
        if not wanted:
            continue
        place = next((at for at in range(start, len(ran)) if cells.plain(ran[at]["source"]) == wanted), None)
        if place is None:
            unknown.append(number)
            continue
        start = place + 1
        cell["outputs"] = ran[place]["outputs"]
        cell["execution_count"] = ran[place]["execution_count"]
        given += 1
    if not given and unknown:
        raise DataFault("the notebook has no code in common with that run", hint="snaprun diff shows both")
    return Restored(_dump(document, content), given, tuple(unknown))


def overwrite(path: Path, content: bytes) -> None:
    """Replace a file in one step, its mode kept: whoever reads it meanwhile sees the old one or the new one."""
    handle, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".snaprun")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(made, path.stat().st_mode & 0o7777)
        os.replace(made, path)
    except BaseException:
        os.unlink(made)
        raise


def _cells(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The code cells of the user's own, to be changed in place."""
    found = document.get("cells")
    listed = found if isinstance(found, list) else []
    return [
        cell
        for cell in listed
        if isinstance(cell, dict) and cell.get("cell_type") == "code" and cells.INJECTED not in cells.tags(cell)
    ]


def _counts(cell: Node) -> bool:
    return cell["cell_type"] == "code" and cells.INJECTED not in cells.tags(cell) and bool(cells.plain(cell["source"]))


def _dump(document: Mapping[str, Any], like: bytes) -> bytes:
    """JSON in the layout of ``like``: its indent, its line ends, its last newline, its way with non-ASCII text."""
    indent = _INDENT.match(like)
    text = json.dumps(
        document,
        indent=indent[1].decode("ascii") if indent else None,
        ensure_ascii=like.isascii(),
        separators=None if indent or b'": ' in like[:200] else (",", ":"),
    )
    made = text.encode("utf-8", "surrogatepass")
    if b"\r\n" in like:
        made = made.replace(b"\n", b"\r\n")
    end = like[len(like.rstrip()) :]
    return made + end
