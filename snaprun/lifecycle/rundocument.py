"""Make the document that runs from a snapshot alone: the notebook in it, with the given parameters injected."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snaprun import records
from snaprun.errors import DataFault
from snaprun.git.gitrepo import GitRepo
from snaprun.live.livefolder import Live
from snaprun.model import SNAP_DIR, SOURCE_FILE, RunSpec
from snaprun.notebooks import cells
from snaprun.notebooks.cells import Node


def prepare(repo: GitRepo, run_id: str, spec: RunSpec, params: Mapping[str, Any] | None = None) -> Node:
    """The notebook of a run as its snapshot has it, parameters injected, without outputs.

    ``params`` are those of the snapshot, where the caller has read them already.

    Raises:
        DataFault: the snapshot has no such notebook, or its parameters are damaged.
        InputMissing: it cannot be read as one.
    """
    from snaprun.notebooks import notebook, parameters  # jupytext: few processes ever make the document themselves

    source_blob, notebook_blob = repo.blobs([f"{run_id}:{SNAP_DIR}/{SOURCE_FILE}", f"{run_id}:{spec.notebook}"])
    raw = notebook_blob if source_blob is None else source_blob
    if raw is None:
        raise DataFault(f"run {run_id[:8]} holds no notebook {spec.notebook}", hint="git fsck")
    document = notebook.parse(raw, Path(spec.notebook))
    values = parameters.from_json(records.read_params(repo, run_id) if params is None else dict(params))
    arguments = {name: values[name] for name in spec.given if name in values}
    return cells.without_outputs(parameters.inject(document.node, arguments, document.language))


def load_document(repo: GitRepo, folder: Live, spec: RunSpec) -> Node:
    """The document that runs: as the command left it in the live folder, else made again from the snapshot."""
    try:
        document = json.loads(folder.notebook.read_bytes())
        if isinstance(document, dict) and _has_cells(document):
            return document
    except (OSError, ValueError):
        pass
    return prepare(repo, folder.id, spec)


def _has_cells(document: Node) -> bool:
    """Whether it is at least shaped like a notebook."""
    nodes = document.get("cells")
    return isinstance(nodes, list) and all(isinstance(node, dict) for node in nodes)
