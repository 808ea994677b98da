"""Freeze again what an earlier run froze: its tree, ready for a commit of another run with other parameters."""

from __future__ import annotations

import os

from snaprun.errors import DataFault
from snaprun.freeze.capture import FrozenTree
from snaprun.freeze.worktree import StoredTree
from snaprun.git.gitrepo import GitRepo, parse_author
from snaprun.git.objects import algorithm, lookup, make_tree, parse_tree
from snaprun.model import SNAP_DIR, RunSpec


def refreeze(repo: GitRepo, run_id: str, spec: RunSpec) -> FrozenTree:
    """The work tree in the snapshot of run ``run_id``, whose ``spec`` it is, as if it had been frozen just now.

    Raises:
        DataFault: the snapshot is not there any more.
    """

    def content(oid: str) -> bytes:
        return repo.run("cat-file", "tree", oid).out

    tree = repo.run("rev-parse", "--verify", "--quiet", f"{run_id}^{{tree}}", ok=()).out.decode().strip()
    if not tree:
        raise DataFault(f"the snapshot of run {run_id[:8]} is gone", hint="git fsck")
    hash_name = algorithm(tree)
    top = parse_tree(content(tree), hash_name)
    top.pop(SNAP_DIR.encode(), None)
    root = make_tree(top, hash_name)
    notebook = lookup(tree, os.fsencode(spec.notebook), content, hash_name) if spec.notebook else None
    stored_tree = StoredTree(
        head=spec.parent,
        branch=spec.branch,
        top=root,
        algorithm=hash_name,
        objects=(root,),
        blobs=(),
        entries={},
        changed_paths=frozenset([spec.notebook] if spec.dirty else ()),
        untracked_paths=frozenset(),
        left_out=spec.left_out,
        warnings=(),
    )
    author = parse_author(repo.run("var", "GIT_AUTHOR_IDENT", ok=()))
    return FrozenTree(stored_tree, author, notebook.oid if notebook else None, 0, 0, 0.0)
