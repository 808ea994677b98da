"""Freeze the work tree as it is on disk into a commit of its own, without touching anything of the user's.

The recipe is plumbing on a private copy of the index: the copy keeps git's stat cache, so that only changed files are
read, and the user's index, HEAD, branches, stash and files are never written to.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from snaprun.errors import InputMissing
from snaprun.freeze import worktree
from snaprun.freeze.manifest import Rules
from snaprun.freeze.worktree import StoredTree
from snaprun.git.gitrepo import GitRepo
from snaprun.git.objects import FILE_MODE, TREE_MODE, GitObject, TreeEntry, make, make_commit, make_tree, parse_tree
from snaprun.git.publish import PruneFault, publish
from snaprun.git.scratch import scratch
from snaprun.model import RUN_REF, SCHEMA, SNAP_DIR, SOURCE_FILE, RunSpec, Snapshot
from snaprun.printable import clean

MAX_SUBJECT = 200
"""Longest subject line of a snapshot's commit, in characters."""

TRIES = 3
"""How often a snapshot is taken anew when a prune takes its objects away and the files have changed meanwhile."""

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class SnapshotRequest:
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
class FrozenTree:
    """A work tree in git's object store, not named by any ref yet: one serves all runs of a sweep."""

    tree: StoredTree
    author: str
    notebook: str | None
    changed_count: int
    untracked_count: int
    seconds: float


def take(repo: GitRepo, request: SnapshotRequest) -> Snapshot:
    """Freeze the work tree and make it a run's snapshot: a commit behind ``refs/snaprun/runs/<id>``, durable.

    Raises:
        DataFault: the index has conflicts and they are not allowed, or objects keep being pruned meanwhile.
        InputMissing: the notebook is not there.
        SnaprunError: git could not write, see :func:`snaprun.git.gitchild.failure`.
    """
    for _ in range(TRIES):
        with suppress(PruneFault):
            return commit_run(repo, freeze(repo, request), request)
    return commit_run(repo, freeze(repo, request), request)


def freeze(repo: GitRepo, request: SnapshotRequest) -> FrozenTree:
    """Write the work tree to git's object store, leaving out what cannot or should not go in.

    Raises:
        SnaprunError: as :func:`take`.
    """
    start = time.monotonic()
    notebook = request.spec.notebook
    if notebook and not (repo.place.top / notebook).exists():
        raise InputMissing(f"there is no notebook {notebook}", hint="ls; git status")
    mandatory = frozenset(path for path in (notebook, *request.include) if _is_tree_path(repo.place.top, path))
    rules = Rules(request.max_file_size, request.include, mandatory)
    with repo.author_lookup() as read_author, scratch(repo.place) as folder:
        tree = worktree.store(repo, folder, rules, allow_conflicts=request.allow_conflicts)
        name = read_author()
    changed_paths = tree.changed_paths - {notebook}
    return FrozenTree(
        tree=tree,
        author=name,
        notebook=tree.entries[notebook].oid if notebook in tree.entries else None,
        changed_count=len(changed_paths),
        untracked_count=len(changed_paths & tree.untracked_paths),
        seconds=time.monotonic() - start,
    )


def commit_run(repo: GitRepo, frozen_tree: FrozenTree, request: SnapshotRequest) -> Snapshot:
    """Put one run's ``.snaprun/`` on top of a frozen tree, commit it, and point a new ref at it.

    Raises:
        PruneFault: an object of the frozen tree is gone: freeze again.
        SnaprunError: as :func:`take`; nothing is left behind but unreachable objects, which git collects.
    """
    start = time.monotonic()
    snapshot, objects = compose(frozen_tree, request)
    publish_snapshot(repo, frozen_tree, snapshot, objects)
    return replace(snapshot, seconds=frozen_tree.seconds + time.monotonic() - start)


def publish_snapshot(repo: GitRepo, frozen_tree: FrozenTree, snapshot: Snapshot, objects: Sequence[GitObject]) -> None:
    """Store what :func:`compose` has made, and point a new ref at it. Raises as :func:`commit_run` does."""
    tree = frozen_tree.tree
    publish(
        repo,
        RUN_REF + snapshot.id,
        [*tree.objects, *objects],
        tree.blobs,
        store_again=lambda: worktree.store_again(repo, tree),
    )


def compose(frozen_tree: FrozenTree, request: SnapshotRequest) -> tuple[Snapshot, list[GitObject]]:
    """The snapshot of one run on a frozen tree, and the objects that it has beyond the tree's, its commit the last."""
    tree = frozen_tree.tree
    spec = replace(
        request.spec,
        parent=tree.head,
        branch=tree.branch,
        dirty=bool(tree.changed_paths) or tree.head is None,
        left_out=(*request.spec.left_out, *tree.left_out),
        warnings=(*request.spec.warnings, *tree.warnings),
    )
    folder, objects = _make_snap_dir(spec, frozen_tree, request)
    root = make_tree(
        {**parse_tree(tree.top.data, tree.algorithm), SNAP_DIR.encode(): TreeEntry(TREE_MODE, folder)}, tree.algorithm
    )
    commit = make_commit(
        root.oid,
        [spec.parent] if spec.parent else [],
        message(spec, request.params),
        moment=f"{int(time.time())} +0000",
        author=frozen_tree.author,
    )
    snapshot = Snapshot(
        commit.oid, root.oid, spec, dict(request.params), frozen_tree.changed_count, frozen_tree.untracked_count
    )
    return snapshot, [*objects, root, commit]


def _is_tree_path(top: Path, path: str) -> bool:
    """Whether this path can stand in a tree as it is: below the top, not through a link, not in git's own folder."""
    parts = path.split("/")
    if not path or path.startswith("/") or any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
        return False
    return (top / path).parent.resolve() == top.resolve().joinpath(*parts[:-1])


def _make_snap_dir(spec: RunSpec, frozen_tree: FrozenTree, request: SnapshotRequest) -> tuple[str, list[GitObject]]:
    """The tree of ``.snaprun/`` and all objects of it."""
    hash_name = frozen_tree.tree.algorithm
    files = {"run.json": document(spec.to_json()), "params.json": document(request.params), **request.files}
    blobs = {name: make("blob", data, hash_name) for name, data in files.items()}
    if request.source is not None:
        source = make("blob", request.source, hash_name)
        if source.oid != frozen_tree.notebook:
            blobs[SOURCE_FILE] = source
    tree = make_tree({os.fsencode(name): TreeEntry(FILE_MODE, blob.oid) for name, blob in blobs.items()}, hash_name)
    return tree.oid, [*blobs.values(), tree]


def message(spec: RunSpec, params: Mapping[str, Any]) -> str:
    """The commit message of a snapshot: subject with the given parameters, the user's words, trailers."""
    assignments = " ".join(f"{name}={_short(params[name])}" for name in spec.given if name in params)
    words = " ".join(f"snaprun: {spec.notebook or 'snapshot'} {assignments}".split())
    subject = clean(words, "?", keep="")
    if len(subject) > MAX_SUBJECT:
        subject = subject[: MAX_SUBJECT - 1] + "…"
    user_text = (spec.message or "").replace("\0", "").strip()
    body = f"{user_text}\n\n" if user_text else ""
    return f"{subject}\n\n{body}Snaprun-Schema: {SCHEMA}\nSnaprun-Nonce: {secrets.token_hex(16)}\n"


def document(data: Mapping[str, Any]) -> bytes:
    """JSON as snaprun writes it into git: readable in ``git show``, one final newline."""
    return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "surrogateescape")


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
