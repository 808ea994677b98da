"""What the tests of the git hook share: pairs, runs without the wait for a kernel, and calls of the hook."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from click.testing import CliRunner

from snaprun import records
from snaprun.checkouts.result import ResultParts, commit_result
from snaprun.cli import group
from snaprun.freeze.capture import SnapshotRequest, take
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import find
from snaprun.index import store
from snaprun.model import Result, RunSpec, utc
from snaprun.notebooks import cells
from snaprun.notebooks.notebook import parse
from snaprun.statuses import Status
from tests.sandbox import Sandbox, notebook

Outputs = Mapping[int, Sequence[Mapping[str, Any]]]


def call_hook(repo: Sandbox, *args: str, code: int | None = 0) -> str:
    """Call ``snaprun hook <args>`` in the repository; what it says."""
    before = Path.cwd()
    os.chdir(repo.path)
    try:
        done = CliRunner().invoke(group, ["hook", *args], catch_exceptions=False, standalone_mode=False)
    finally:
        os.chdir(before)
    given = done.return_value if isinstance(done.return_value, int) else done.exit_code
    assert code is None or given == code, done.output
    return done.output


def checked(repo: Sandbox, *args: str, code: int | None = None) -> dict[tuple[str, str], str]:
    """Check what is staged: the level of every finding, by path and check."""
    return {(found["path"], found["check"]): found["level"] for found in findings(repo, *args, code=code)}


def findings(repo: Sandbox, *args: str, code: int | None = None) -> list[dict[str, str]]:
    """Check what is staged: every finding."""
    said = call_hook(repo, "run", "--json", *args, "pre-commit", code=code)
    found: list[dict[str, str]] = json.loads(said[: said.rindex("}") + 1])["findings"]
    return found


def text_of(node: Mapping[str, Any], fmt: str = "py:percent") -> str:
    """The paired script of a notebook."""
    return str(jupytext.writes(nbformat.from_dict(json.loads(json.dumps(node))), fmt=fmt))


def pair(repo: Sandbox, name: str, *sources: str, formats: str = "ipynb,py:percent", **options: Any) -> None:
    """Write a notebook that is paired by its own metadata, and its script in sync."""
    node = notebook(*sources, **options)
    node["metadata"]["jupytext"] = {"formats": formats}
    repo.write(f"{name}.ipynb", json.dumps(node, indent=1) + "\n")
    repo.write(f"{name}.py", text_of(node))


def stream(text: str) -> dict[str, Any]:
    """A printed output."""
    return {"output_type": "stream", "name": "stdout", "text": text}


def with_outputs(node: dict[str, Any], outputs: Outputs) -> dict[str, Any]:
    """A notebook as after a run: ``outputs`` by number of code cell."""
    made: dict[str, Any] = json.loads(json.dumps(node))
    code = [cell for cell in made["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(code, 1):
        cell["execution_count"] = number
        cell["outputs"] = list(outputs.get(number, ()))
    return made


def ran(
    repo: Sandbox,
    name: str,
    outputs: Outputs | None = None,
    *,
    status: Status = Status.SUCCEEDED,
    params: Mapping[str, Any] | None = None,
    indexed: bool = True,
) -> str:
    """A finished run of the notebook as it is on disk, in git and in the index; the run's id."""
    place = find(repo.path, os.environ)
    git = GitRepo(place)
    raw = (repo.path / name).read_bytes()
    book = parse(raw, Path(name))
    spec = RunSpec(notebook=name, created=utc(time.time()), code_hash=book.code_hash, cells=len(book.cells))
    run_id = take(git, SnapshotRequest(spec=spec, params=params or {}, source=raw)).id
    code = 0 if status is Status.SUCCEEDED else 1
    executed = cells.dump(with_outputs(book.node, outputs or {}))
    ending = ResultParts(result=Result(status=status, exit_code=code), notebook=executed, log=b"")
    commit_result(git, run_id, ending, slot=None, max_file_size=10**8)
    if indexed:
        index = store.open_store(place.state)
        if not index.is_built:
            index.rebuild(())
        index.record(records.read_run(git, run_id))
    return run_id
