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
from snaprun.freeze.capture import Request
from snaprun.git.gitrepo import GitRepo
from snaprun.live import livefolder, replay
from snaprun.model import RUN_REF, SNAP_DIR, Cell, Metric, Result, RunSpec
from snaprun.notebooks import cells, half, halves, notebook, parameters
from snaprun.notebooks.cells import Node
from snaprun.notebooks.half import Config
from snaprun.notebooks.notebook import Notebook

NOT_RUN = ("not-run", "skipped")
"""States of cells that have no outputs to compare."""

SHOWN = 8
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
        raise DataFault(f"there is no run {run_id[:SHOWN]}", hint="snaprun history")
    run = records.read_run(repo, run_id, commit=tip)
    names = ("run.json", "params.json", "result.json", "environment.json", "executed.ipynb")
    parts = dict(zip(names, repo.blobs(f"{tip}:{SNAP_DIR}/{name}" for name in names), strict=True))
    spec = RunSpec.from_json(_read(parts["run.json"]))
    executed, fault = _executed(parts["executed.ipynb"])
    logged, notes = run.metrics, list[str]()
    so_far: tuple[Cell, ...] = ()
    if parts["result.json"] is None:
        executed, logged, so_far = _so_far(repo, run_id)
        notes.append("in progress: what it has given so far" if executed else f"no result ({run.status})")
    source = _source(repo, run_id, spec.notebook)
    result = Result.from_json(_read(parts["result.json"])) if parts["result.json"] else None
    unrun = frozenset(cell.number for cell in (result.cells if result else so_far) if cell.state in NOT_RUN)
    return Side(
        name=run_id[:SHOWN],
        commit=tip,
        tree=run_id,
        notebook=spec.notebook,
        run=run,
        result=result,
        source=source.node,
        executed=executed,
        language=source.language,
        params=parameters.from_json(_read(parts["params.json"])) if parts["params.json"] else {},
        metrics=logged,
        environment=_read(parts["environment.json"]) if parts["environment.json"] else None,
        own=source.own,
        unrun=unrun,
        left_out={one.path: one.size for one in spec.left_out},
        notes=(*notes, *fault, *source.notes),
    )


def of_commit(repo: GitRepo, revision: str, *, other: Side) -> Side:
    """A commit or branch of the user's, with the notebook of the ``other`` side, followed when it was renamed.

    Raises:
        DataFault: there is no such commit.
    """
    commit = repo.resolve(revision)
    if commit is None:
        raise DataFault(f"there is no run and no commit {revision}", hint="snaprun history; git log --oneline")
    return _plain(repo, revision, commit, _followed(repo, commit, other), commit=commit)


def of_work_tree(repo: GitRepo, *, other: Side, max_file_size: int, include: tuple[str, ...] = ()) -> Side:
    """The work tree as it is now, as a snapshot would take it; nothing of the user's is touched, no ref is made.

    Raises:
        SnaprunError: as :func:`snaprun.freeze.capture.freeze`.
    """
    there = (repo.place.top / other.notebook).exists()
    spec = RunSpec(notebook=other.notebook if there else "", created="")
    stored = capture.freeze(repo, Request(spec=spec, max_file_size=max_file_size, include=include)).stored
    repo.ingest([*stored.objects, stored.top])
    tree = stored.top.oid
    path = other.notebook if there else _followed(repo, tree, other)
    raw = None
    try:
        raw = (repo.place.top / path).read_bytes()
    except OSError:
        return _plain(repo, ".", tree, path, commit=None)
    return _plain(repo, ".", tree, path, commit=None, raw=raw)


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
    found: dict[str, FileDiff] = {}
    at = 0
    while at < len(fields) and fields[at].startswith(":"):
        a_mode, b_mode, a_oid, b_oid, letter = fields[at][1:].split(" ")
        renamed = letter[0] in "RC"
        old, path = fields[at + 1], fields[at + 1 + renamed]
        at += 2 + renamed
        found[path] = FileDiff(
            path,
            "A" if letter[0] == "C" else letter[0],
            old if renamed else None,
            _there(a_oid),
            _there(b_oid),
            _there(a_mode),
            _there(b_mode),
        )
    while at < len(fields) and fields[at]:
        added, removed, path = fields[at].split("\t", 2)
        at += 1
        if not path:  # a rename: the two names follow
            path = fields[at + 1]
            at += 2
        if path in found:
            found[path] = _counted(found[path], added, removed)
    return [one for path, one in found.items() if not path.startswith(f"{SNAP_DIR}/")]


def _counted(one: FileDiff, added: str, removed: str) -> FileDiff:
    if added == "-":
        return replace(one, binary=True)
    return replace(one, add=int(added), delete=int(removed))


def _there(text: str) -> str | None:
    """An object id or a mode; None where git writes noughts for "not there"."""
    return text if text.strip("0") else None


def _plain(repo: GitRepo, name: str, tree: str, path: str, *, commit: str | None, raw: bytes | None = None) -> Side:
    """A side that is no run: the notebook with its own defaults, and no results."""
    source = _source(repo, tree, path, raw)
    params: Mapping[str, Any] | None = None
    if source.book is not None:
        params = parameters.resolve(source.book.node, source.book.language, {}).merged
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


def _followed(repo: GitRepo, tree: str, other: Side) -> str:
    """The path that the other side's notebook has in ``tree``."""
    found = repo.run("--literal-pathspecs", "ls-tree", "-z", "--full-tree", tree, "--", other.notebook).out
    if found:
        return other.notebook
    empty = Side("", None, tree, "")
    renamed = [one.path for one in files(repo, other, empty) if one.state == "R" and one.old_path == other.notebook]
    return renamed[0] if renamed else other.notebook


def _source(repo: GitRepo, tree: str, path: str, raw: bytes | None = None) -> _Source:
    """The notebook in a tree and the paths that belong to it; ``raw`` in place of what the tree has."""
    if raw is None:
        raw = repo.blob(tree, f"{SNAP_DIR}/{capture.SOURCE}")
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
    config = None
    names = [name for name in half.config_paths(path) if "\n" not in name]
    for name, content in zip(names, repo.blobs(f"{tree}:{name}" for name in names), strict=True):
        if content is not None and half.is_config(name, content):
            config = Config(name, content)
            break
    bare = book.raw if book.is_text else cells.dump({**book.node, "cells": []})
    try:
        return frozenset({path, *(one.path for one in halves.members(path, bare, config))})
    except SnaprunError:  # a pairing that cannot be understood pairs nothing
        return frozenset({path})


def _so_far(repo: GitRepo, run_id: str) -> tuple[Node | None, Mapping[str, Metric], tuple[Cell, ...]]:
    """What a run in progress has put out and logged, and how its cells stand; nothing where it is not in progress."""
    folder = livefolder.find(repo.place, run_id)
    if folder is None:
        return None, {}, ()
    try:
        document = cells.normal(json.loads(folder.notebook.read_bytes()), "notebook")
        made = replay.replay_live(folder, document)
        return cells.normal(made.notebook, "notebook"), metrics.summarise(folder.metrics.read_bytes()), made.cells
    except (OSError, ValueError, SnaprunError):  # it ended just now, or has not quite begun
        return None, {}, ()


def _executed(raw: bytes | None) -> tuple[Node | None, tuple[str, ...]]:
    if raw is None:
        return None, ()
    try:
        return cells.normal(cells.decode(raw, "executed.ipynb"), "executed.ipynb"), ()
    except SnaprunError as error:
        return None, (error.message,)


def _read(data: bytes | None) -> dict[str, Any]:
    try:
        return dict(json.loads(data or b""))
    except (ValueError, TypeError) as error:
        raise DataFault(f"a run's record is damaged: {error}", hint="git fsck") from error
