"""Freeze the work tree as it is on disk into a commit of its own, without touching anything of the user's.

The recipe is plumbing on a private copy of the index: the copy keeps git's stat cache, so that only changed files are
read, and the user's index, HEAD, branches, stash and files are never written to.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from snaprun import worktree
from snaprun.errors import DataFault, InputMissing
from snaprun.gitrepo import GitRepo
from snaprun.manifest import Rules
from snaprun.model import RUN_REF, SCHEMA, SNAP_DIR, LeftOut, RunSpec, Snapshot
from snaprun.scratch import scratch

SOURCE = "source.ipynb"
"""Below ``.snaprun/``: the notebook's bytes where git stores others at its own path."""

SUBJECT = 200
"""Longest subject line of a snapshot's commit, in characters."""

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Request:
    """What to freeze, and what to write beside it.

    ``spec.notebook`` is the notebook's path relative to the top (empty where none is meant); ``source`` its bytes as
    the caller read them; ``params`` a mapping that JSON can say; ``files`` further content of ``.snaprun/`` by name.
    """

    spec: RunSpec
    params: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    source: bytes | None = None
    max_file_size: int = 50 * MEGABYTE
    include: tuple[str, ...] = ()
    allow_conflicts: bool = False


@dataclass(frozen=True)
class Frozen:
    """A work tree in git's object store, not named by any ref yet: one serves all runs of a sweep.

    ``root`` lists the entries of the tree's top level without ``.snaprun``, as ``mktree -z`` takes them; ``notebook``
    is the object id stored at the notebook's path.
    """

    tree: str
    root: bytes
    parent: str | None
    branch: str | None
    dirty: bool
    changed: int
    untracked: int
    notebook: str | None
    added: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]
    seconds: float


def take(repo: GitRepo, request: Request) -> Snapshot:
    """Freeze the work tree and make it a run's snapshot: a commit behind ``refs/snaprun/runs/<id>``, durable.

    Raises:
        DataFault: the index has conflicts and they are not allowed, or an object went away meanwhile.
        InputMissing: the notebook is not there.
        SnaprunError: git could not write, see :func:`snaprun.gitrepo.failure`.
    """
    return commit_run(repo, freeze(repo, request), request)


def freeze(repo: GitRepo, request: Request) -> Frozen:
    """Write the work tree to git's object store, leaving out what cannot or should not go in.

    Raises:
        SnaprunError: as :func:`take`.
    """
    start = time.monotonic()
    notebook = request.spec.notebook
    if notebook and not os.path.lexists(repo.place.top / notebook):
        raise InputMissing(f"no notebook {notebook}", hint="git status; ls")
    rules = Rules(request.max_file_size, request.include, frozenset([notebook] if notebook else ()))
    with scratch(repo.place) as folder:
        stored = worktree.store(repo, folder, rules, allow_conflicts=request.allow_conflicts)
    head = repo.head()
    listing = repo.run("ls-tree", "-z", stored.tree).out
    entries = [entry for entry in listing.split(b"\0") if entry and not entry.endswith(f"\t{SNAP_DIR}".encode())]
    changes = worktree.changes(repo, head, stored.tree)
    return Frozen(
        tree=stored.tree,
        root=b"".join(entry + b"\0" for entry in entries),
        parent=head,
        branch=repo.branch(),
        dirty=head is None or bool(changes),
        changed=sum(path != notebook for path in changes),
        untracked=sum(path in changes and path != notebook for path in stored.untracked),
        notebook=repo.entry(stored.tree, notebook) if notebook else None,
        added=tuple({change.oid: None for change in changes.values() if change.oid}),
        left_out=stored.left_out,
        warnings=stored.warnings,
        seconds=time.monotonic() - start,
    )


def commit_run(repo: GitRepo, frozen: Frozen, request: Request) -> Snapshot:
    """Put one run's ``.snaprun/`` on top of a frozen tree, commit it, and point a new ref at it.

    Raises:
        SnaprunError: as :func:`take`; nothing is left behind but unreachable objects, which git collects.
    """
    start = time.monotonic()
    spec = replace(
        request.spec,
        parent=frozen.parent,
        branch=frozen.branch,
        dirty=frozen.dirty,
        left_out=(*request.spec.left_out, *frozen.left_out),
        warnings=(*request.spec.warnings, *frozen.warnings),
    )
    files = {"run.json": document(spec.to_json()), "params.json": document(request.params), **request.files}
    if request.source is not None:
        files[SOURCE] = request.source
    with scratch(repo.place) as folder:
        blobs = repo.write_blobs(files, folder)
    if blobs.get(SOURCE) is not None and blobs[SOURCE] == frozen.notebook:
        del blobs[SOURCE]
    extra = repo.make_tree(b"".join(f"100644 blob {oid}\t{name}\0".encode() for name, oid in blobs.items()))
    tree = repo.make_tree(frozen.root + f"040000 tree {extra}\t{SNAP_DIR}\0".encode())
    commit = repo.commit(
        tree,
        message(spec, request.params),
        parents=[frozen.parent] if frozen.parent else [],
        author=repo.author(),
        date=f"{int(time.time())} +0000",
    )
    repo.move_ref(RUN_REF + commit, commit, None)
    gone = repo.missing([commit, tree, extra, frozen.tree, *blobs.values(), *frozen.added])
    if gone:
        repo.delete_ref(RUN_REF + commit, commit)
        raise DataFault(f"{len(gone)} objects were pruned during the snapshot", hint="try again when git gc is over")
    seconds = frozen.seconds + time.monotonic() - start
    return Snapshot(commit, tree, spec, dict(request.params), frozen.changed, frozen.untracked, seconds)


def message(spec: RunSpec, params: Mapping[str, Any]) -> str:
    """The commit message of a snapshot: subject with the given parameters, the user's words, trailers."""
    given = " ".join(f"{name}={_short(params[name])}" for name in spec.given if name in params)
    subject = " ".join(f"snaprun: {spec.notebook or 'snapshot'} {given}".split())
    if len(subject) > SUBJECT:
        subject = subject[: SUBJECT - 1] + "…"
    body = f"{spec.message.strip()}\n\n" if spec.message and spec.message.strip() else ""
    return f"{subject}\n\n{body}Snaprun-Schema: {SCHEMA}\nSnaprun-Nonce: {secrets.token_hex(16)}\n"


def summary(snapshot: Snapshot) -> str:
    """What went in, in a few words: ``train.ipynb + 3 changed files (2 untracked)``."""
    words = snapshot.spec.notebook or "work tree"
    if snapshot.changed:
        words += f" + {snapshot.changed} changed file{'s' if snapshot.changed > 1 else ''}"
    if snapshot.untracked:
        words += f" ({snapshot.untracked} untracked)"
    return words


def document(data: Mapping[str, Any]) -> bytes:
    """JSON as snaprun writes it into git: readable in ``git show``, one final newline."""
    return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "surrogateescape")


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
