"""Runs as they lie in git after an execution, made without executing: real snapshots and real result commits."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snaprun.checkouts.result import ResultParts, commit_result
from snaprun.freeze import capture
from snaprun.freeze.capture import SnapshotRequest
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import find
from snaprun.model import Cell, Result, RunSpec
from snaprun.notebooks import notebook, parameters
from snaprun.statuses import Status
from tests.sandbox import Sandbox

ENVIRONMENT = {"python": "3.11.7", "platform": "Linux", "packages": {"numpy": "2.0.0", "torch": "2.3.0"}}


def gate(box: Sandbox) -> GitRepo:
    """Git in a sandbox."""
    return GitRepo(find(box.path, os.environ))


def made(
    box: Sandbox,
    path: str,
    /,
    *,
    given: Mapping[str, Any] | None = None,
    outputs: Mapping[int, Sequence[Mapping[str, Any]]] | None = None,
    metrics: Sequence[Mapping[str, Any]] = (),
    environment: Mapping[str, Any] = ENVIRONMENT,
    result: Result | None = None,
    seconds: Mapping[int, float] | None = None,
    ended: bool = True,
    **spec: Any,
) -> str:
    """Freeze the notebook ``path`` as ``exec`` does and end the run; its id.

    ``outputs`` by the number of the code cell stand in the executed notebook in place of the saved ones.
    """
    repo = gate(box)
    book = notebook.read(box.path / path)
    resolved = parameters.resolve(book.node, book.language, given or {})
    ran = parameters.inject(book.node, given or {}, book.language)
    extension, script = notebook.script(ran, book.language)
    about = RunSpec(
        notebook=path,
        created=spec.pop("created", "2026-01-02T03:04:05.000000Z"),
        code_hash=book.code_hash,
        cells=len(book.cells),
        language=book.language,
        **spec,
    )
    files = {f"notebook{extension}": script.encode()}
    taken = capture.take(
        repo, SnapshotRequest(spec=about, params=parameters.to_json(resolved.values), source=book.raw, files=files)
    )
    if not ended:
        return taken.id
    commit_result(
        repo,
        taken.id,
        ResultParts(
            result=result
            or Result(status=Status.SUCCEEDED, exit_code=0, seconds=12.5, cells=_cells(book, seconds or {})),
            notebook=json.dumps(_executed(ran, outputs or {})).encode(),
            log=b"",
            metrics=b"".join(json.dumps(line).encode() + b"\n" for line in metrics),
            environment=environment,
        ),
        slot=None,
        max_file_size=1000_000,
    )
    return taken.id


def logged(**series: float | Sequence[float]) -> list[dict[str, Any]]:
    """Lines of ``metrics.jsonl``: a number, or a list of numbers by step."""
    lines = []
    for name, values in series.items():
        for step, value in enumerate(values if isinstance(values, (list, tuple)) else [values]):
            lines.append({"name": name, "value": value, "step": step, "time": 1000.0 + step})
    return lines


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    """A stream output."""
    return {"output_type": "stream", "name": name, "text": text}


def display(**data: Any) -> dict[str, Any]:
    """A display output; ``text_plain`` is the form ``text/plain``, and so on."""
    forms = {name.replace("_", "/", 1): value for name, value in data.items()}
    return {"output_type": "display_data", "metadata": {}, "data": forms}


def _cells(book: notebook.Notebook, seconds: Mapping[int, float]) -> tuple[Cell, ...]:
    return tuple(Cell(cell.number, cell.label, "ok", seconds.get(cell.number, 0.1), cell.id) for cell in book.cells)


def _executed(node: Mapping[str, Any], outputs: Mapping[int, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """The notebook with these outputs; cells that are not named keep the saved ones."""
    number = 0
    cells = []
    for cell in node["cells"]:
        if cell["cell_type"] == "code" and "injected-parameters" not in cell["metadata"].get("tags", []):
            number += 1
            cell = {**cell, "outputs": list(outputs.get(number, cell["outputs"])), "execution_count": number}
        cells.append(cell)
    return {**node, "cells": cells}


def copied(box: Sandbox, name: str, to: str | None = None) -> Path:
    """One of the fixture notebooks in a sandbox."""
    return box.write(to or name, (Path(__file__).parent / "notebooks" / name).read_bytes())


def edited(path: Path, index: int, source: str | None) -> None:
    """Change the source of a cell by its place among all cells; None removes it."""
    document = json.loads(path.read_text())
    if source is None:
        del document["cells"][index]
    else:
        document["cells"][index]["source"] = source
    path.write_text(json.dumps(document, indent=1))
