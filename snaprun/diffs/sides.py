"""Take the sides of a comparison out of git: a run, a commit, or the work tree as it is now; and their files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from snaprun import metrics, records
from snaprun.diffs.rundiff import FileDiff, Side
from snaprun.errors import DataFault, SnaprunError
from snaprun.freeze import capture
from snaprun.freeze.capture import SnapshotRequest
from snaprun.git.gitrepo import GitRepo
from snaprun.live import livefolder, replay
from snaprun.model import RUN_REF, SNAP_DIR, SOURCE_FILE, Cell, Metric, Result, RunSpec, parse_document
from snaprun.notebooks import cells, half, halves, notebook, parameters
from snaprun.notebooks.cells import Node
from snaprun.notebooks.notebook import Notebook

NOT_RUN = ("not-run", "skipped")
"""States of cells that have no outputs to compare."""

ID_DIGITS = 8
"""Digits of an id in a side's name."""


@dataclass(frozen=True)
class _Source:
    """The frozen notebook of a tree, its own files there, and what was wrong with it."""

    book: Notebook | None
    own: frozenset[str]
    notes: tuple[str, ...] = ()

    @property
    def node(self) -> Node | None:
        return self.book.node if self.book else None

    @property
    def language(self) -> str:
        return self.book.language if self.book else "python"


def of_run(repo: GitRepo, run_id: str) -> Side:
    """A run: its snapshot, and its result where it has one.

    Raises:
        DataFault: there is no such run, or its records are damaged; a damaged notebook is only a note.
    """
    tip = repo.refs(RUN_REF + run_id).get(RUN_REF + run_id)
    if tip is None:
        raise DataFault(f"there is no run {run_id[:ID_DIGITS]}", hint="snaprun history")
    run = records.read_run(repo, run_id, commit=tip)
    names = ("run.json", "params.json", "result.json", "environment.json", "executed.ipynb")
    parts = dict(zip(names, repo.blobs(f"{tip}:{SNAP_DIR}/{name}" for name in names), strict=True))
    spec = RunSpec.from_json(_parse_json(parts["run.json"]))
    executed_node, fault = _read_executed(parts["executed.ipynb"])
    run_metrics, notes = run.metrics, list[str]()
    live_cells: tuple[Cell, ...] = ()
    if parts["result.json"] is None:
        executed_node, run_metrics, live_cells = _live_state(repo, run_id)
        notes.append("in progress: what it has given so far" if executed_node else f"no result ({run.status})")
    source = _source(repo, run_id, spec.notebook)
    node = cells.without_injected(source.node) if source.node and spec.given else source.node
    result = Result.from_json(_parse_json(parts["result.json"])) if parts["result.json"] else None
    unrun = frozenset(cell.number for cell in (result.cells if result else live_cells) if cell.state in NOT_RUN)
    return Side(
        name=run_id[:ID_DIGITS],
        commit=tip,
        tree=run_id,
        notebook=spec.notebook,
        run=run,
        result=result,
        source=node,
        executed_node=executed_node,
        language=source.language,
        params=parameters.from_json(_parse_json(parts["params.json"])) if parts["params.json"] else {},
        metrics=run_metrics,
        environment=_parse_json(parts["environment.json"]) if parts["environment.json"] else None,
        own=source.own,
        unrun=unrun,
        left_out={file.path: file.size for file in spec.left_out},
        notes=(*notes, *fault, *source.notes),
    )


def of_commit(repo: GitRepo, revision: str, *, counterpart: Side) -> Side:
    """A commit or branch of the user's, with the notebook of the ``counterpart``, followed when it was renamed.

    Raises:
        DataFault: there is no such commit.
    """
    commit = repo.resolve(revision)
    if commit is None:
        raise DataFault(f"there is no run and no commit {revision}", hint="snaprun history; git log --oneline")
    return _bare_side(repo, revision, commit, _notebook_path(repo, commit, counterpart), commit=commit)


def of_work_tree(repo: GitRepo, *, counterpart: Side, max_file_size: int, include: tuple[str, ...] = ()) -> Side:
    """The work tree as it is now, as a snapshot would take it; nothing of the user's is touched, no ref is made.

    Raises:
        SnaprunError: as :func:`snaprun.freeze.capture.freeze`.
    """
    is_present = (repo.place.top / counterpart.notebook).exists()
    spec = RunSpec(notebook=counterpart.notebook if is_present else "", created="")
    stored_tree = capture.freeze(repo, SnapshotRequest(spec=spec, max_file_size=max_file_size, include=include)).tree
    repo.ingest([*stored_tree.objects, stored_tree.top])
    tree = stored_tree.top.oid
    path = counterpart.notebook if is_present else _notebook_path(repo, tree, counterpart)
    raw = None
    try:
        raw = (repo.place.top / path).read_bytes()
    except OSError:
        return _bare_side(repo, ".", tree, path, commit=None)
    return _bare_side(repo, ".", tree, path, commit=None, raw=raw)


def files(repo: GitRepo, a: Side, b: Side) -> list[FileDiff]:
    """What git says of the files of two trees, renames followed; snaprun's own folder is left out."""
    out = repo.run(
        "diff",
        "--raw",
        "--numstat",
        "--no-abbrev",
        "--find-renames",
        "--no-ext-diff",
        "--no-textconv",
        "-z",
        "--end-of-options",
        a.tree,
        b.tree,
        "--",
        f":(top,exclude){SNAP_DIR}",  # before renames are sought, or a user's script is taken for a moved paired one
    ).out
    return _parse(out)


def _parse(out: bytes) -> list[FileDiff]:
    """The NUL-separated output of ``git diff --raw --numstat -z``: all raw records, then all counts."""
    fields = [os.fsdecode(part) for part in out.split(b"\0")]
    diffs: dict[str, FileDiff] = {}
    cursor = 0
    while cursor < len(fields) and fields[cursor].startswith(":"):
        a_mode, b_mode, a_oid, b_oid, letter = fields[cursor][1:].split(" ")
        is_rename = letter[0] in "RC"
        old, path = fields[cursor + 1], fields[cursor + 1 + is_rename]
        cursor += 2 + is_rename
        diffs[path] = FileDiff(
            path,
            "A" if letter[0] == "C" else letter[0],
            old if is_rename else None,
            _parse_id(a_oid),
            _parse_id(b_oid),
            _parse_id(a_mode),
            _parse_id(b_mode),
        )
    while cursor < len(fields) and fields[cursor]:
        additions, deletions, path = fields[cursor].split("\t", 2)
        cursor += 1
        if not path:  # a rename: the two names follow
            path = fields[cursor + 1]
            cursor += 2
        if path in diffs:
            diffs[path] = _with_counts(diffs[path], additions, deletions)
    return [diff for path, diff in diffs.items() if not path.startswith(f"{SNAP_DIR}/")]


def _with_counts(diff: FileDiff, additions: str, deletions: str) -> FileDiff:
    if additions == "-":
        return replace(diff, binary=True)
    return replace(diff, add=int(additions), delete=int(deletions))


def _parse_id(text: str) -> str | None:
    """An object id or a mode; None where git writes noughts for "not there"."""
    return text if text.strip("0") else None


def _bare_side(repo: GitRepo, name: str, tree: str, path: str, *, commit: str | None, raw: bytes | None = None) -> Side:
    """A side that is no run: the notebook with its own defaults, and no results."""
    source = _source(repo, tree, path, raw)
    params: Mapping[str, Any] | None = None
    if source.book is not None:
        params = parameters.resolve(source.book.node, source.book.language, {}).values
    return Side(
        name=name,
        commit=commit,
        tree=tree,
        notebook=path,
        source=source.node,
        language=source.language,
        params=params,
        own=source.own,
        notes=("no run: its parameters are the notebook's own, and it has no results", *source.notes),
    )


def _notebook_path(repo: GitRepo, tree: str, counterpart: Side) -> str:
    """The path that the other side's notebook has in ``tree``."""
    tree_entry = repo.run("--literal-pathspecs", "ls-tree", "-z", "--full-tree", tree, "--", counterpart.notebook).out
    if tree_entry:
        return counterpart.notebook
    empty = Side("", None, tree, "")
    new_paths = [
        diff.path
        for diff in files(repo, counterpart, empty)
        if diff.state == "R" and diff.old_path == counterpart.notebook
    ]
    return new_paths[0] if new_paths else counterpart.notebook


def _source(repo: GitRepo, tree: str, path: str, raw: bytes | None = None) -> _Source:
    """The notebook in a tree and the paths that belong to it; ``raw`` in place of what the tree has."""
    if raw is None:
        raw = repo.blob(tree, f"{SNAP_DIR}/{SOURCE_FILE}")
    if raw is None:
        raw = repo.blob(tree, path) if path else None
    if raw is None:
        return _Source(None, frozenset({path}), (f"there is no notebook {path}",) if path else ("no notebook",))
    try:
        book = notebook.parse(raw, Path(path))
    except SnaprunError as error:
        return _Source(None, frozenset({path}), (error.message,))
    return _Source(book, _pair(repo, tree, path, book))


def _pair(repo: GitRepo, tree: str, path: str, book: Notebook) -> frozenset[str]:
    """The paths of the notebook and its paired files, by what it says or jupytext's configuration in the tree says."""
    names = [name for name in half.config_paths(path) if "\n" not in name]
    config = half.find_config(zip(names, repo.blobs(f"{tree}:{name}" for name in names), strict=True))
    bare = book.raw if book.is_text else cells.dump({**book.node, "cells": []})
    try:
        return frozenset({path, *(member.path for member in halves.members(path, bare, config))})
    except SnaprunError:  # a pairing that cannot be understood pairs nothing
        return frozenset({path})


def _live_state(repo: GitRepo, run_id: str) -> tuple[Node | None, Mapping[str, Metric], tuple[Cell, ...]]:
    """What a run in progress has put out and logged, and how its cells stand; nothing where it is not in progress."""
    folder = livefolder.find(repo.place, run_id)
    if folder is None:
        return None, {}, ()
    try:
        document = cells.normalize(json.loads(folder.notebook.read_bytes()), "notebook")
        partial_run = replay.replay_live(folder, document)
        return (
            cells.normalize(partial_run.notebook, "notebook"),
            metrics.summarise(folder.metrics.read_bytes()),
            partial_run.cells,
        )
    except (OSError, ValueError, SnaprunError):  # it ended just now, or has not quite begun
        return None, {}, ()


def _read_executed(raw: bytes | None) -> tuple[Node | None, tuple[str, ...]]:
    if raw is None:
        return None, ()
    try:
        return cells.normalize(cells.decode(raw, "executed.ipynb"), "executed.ipynb"), ()
    except SnaprunError as error:
        return None, (error.message,)


def _parse_json(data: bytes | None) -> dict[str, Any]:
    try:
        return dict(parse_document(data or b""))
    except (ValueError, TypeError) as error:
        raise DataFault(f"a run's record is damaged: {error}", hint="git fsck") from error
