"""Snapshots that tests take."""

from __future__ import annotations

import json
import os
from typing import Any

from snaprun.freeze.capture import SnapshotRequest
from snaprun.model import RUN_REF, RunSpec
from tests.runs import gate
from tests.sandbox import Sandbox

CREATED = "2026-01-02T03:04:05.000000Z"


def request(notebook: str = "nb.ipynb", **options: Any) -> SnapshotRequest:
    """What a snapshot of a notebook takes: fields of its spec, and options of the request."""
    spec = options.pop("spec", {})
    return SnapshotRequest(spec=RunSpec(notebook=notebook, created=CREATED, **spec), **options)


def freeze(box: Sandbox, **spec: Any) -> str:
    """A snapshot of the last commit, made by hand: a commit with ``.snaprun/`` in it, and its ref."""
    git = gate(box)
    document = RunSpec(notebook="nb.ipynb", created=CREATED, **spec).to_json()
    index = git.place.state / "test.index"
    index.parent.mkdir(exist_ok=True)
    git.run("read-tree", "HEAD", index=index)
    for name, content in {"run.json": document, "params.json": {"lr": 0.1}}.items():
        oid = box.git("hash-object", "-w", "--stdin", stdin=json.dumps(content).encode()).strip()
        git.run("update-index", "--add", "--cacheinfo", f"100644,{oid},.snaprun/{name}", index=index)
    tree = git.text("write-tree", index=index)
    index.unlink()
    made = box.git("commit-tree", tree, "-m", f"snaprun: nb.ipynb {os.urandom(4).hex()}").strip()
    git.move_ref(RUN_REF + made, made, None)
    return made
