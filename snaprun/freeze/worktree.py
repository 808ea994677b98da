"""Bring a work tree into git's object store as it is on disk, whatever state the repository is in.

Nothing here writes to the user's index or files: a private copy of the index tells what differs from HEAD, the changed
files are stored one by one, and new trees are put together from HEAD's. The cost is one stat a file plus what changed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from snaprun.errors import CannotCreate, DataFault, SnaprunError
from snaprun.freeze import blobs, manifest
from snaprun.freeze.blobs import FreezeReport
from snaprun.freeze.manifest import Link, Rules, TreeListing, stat_file
from snaprun.git import filters
from snaprun.git.gitchild import GitChild
from snaprun.git.gitrepo import GitRepo
from snaprun.git.indexfile import copy_index
from snaprun.git.objects import (
    EXECUTABLE_MODE,
    FILE_MODE,
    LINK_MODE,
    SUBMODULE_MODE,
    GitObject,
    TreeEntry,
    algorithm,
    graft,
    lookup,
    make,
    make_commit,
)
from snaprun.git.publish import publish
from snaprun.git.scratch import scratch
from snaprun.model import LeftOut

SUBMODULE_REF = "refs/snaprun/submodules/"
"""In a submodule's own repository: keeps the commit that a snapshot of the whole refers to."""


@dataclass(frozen=True)
class StoredTree:
    """A work tree in git. ``blobs`` are stored, ``top`` (its tree) and ``objects`` (all below) not yet.

    ``entries`` are the paths that were read; ``changed_paths`` differ from HEAD, ``untracked_paths`` are new to git.
    """

    head: str | None
    branch: str | None
    top: GitObject
    algorithm: str
    objects: tuple[GitObject, ...]
    blobs: tuple[str, ...]
    entries: Mapping[str, TreeEntry]
    changed_paths: frozenset[str]
    untracked_paths: frozenset[str]
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]


@dataclass
class _Draft(FreezeReport):
    """What a reading of the work tree has found so far."""

    entries: dict[str, TreeEntry | None] = field(default_factory=dict)
    blobs: list[str] = field(default_factory=list)
    objects: list[GitObject] = field(default_factory=list)
    hash_name: str = ""


def store(repo: GitRepo, folder: Path, rules: Rules, *, allow_conflicts: bool = False) -> StoredTree:
    """Store every file that git does not ignore as it is on disk, and say what stayed out.

    ``folder`` is a private empty one. Files that vanish meanwhile count as gone.

    Raises:
        DataFault: there are conflicts and they are not allowed.
        SnaprunError: see :func:`snaprun.git.gitchild.failure`.
    """
    with repo.object_reader() as read_object, blobs.start_hasher(repo) as hasher:
        draft = _Draft()
        listing = _list_changes(repo, folder / "index", rules, draft)
        draft.hash_name = algorithm(listing.head) if listing.head else repo.hash_name()
        if listing.conflicts:
            _note_conflicts(listing, draft, allow_conflicts=allow_conflicts)
        draft.left_out += manifest.leave_out(repo.place.top, listing, rules)
        special_files = manifest.find_special(repo, folder / "index", rules.mandatory)
        excluded_paths = {item.path for item in draft.left_out}
        untracked_paths = [path for path in listing.untracked_paths if path not in excluded_paths]
        draft.entries.update(listing.stored_entries)
        _read_files(repo, listing, untracked_paths, draft, hasher)
        noted_paths = {item.path for item in draft.left_out}
        draft.left_out += [item for item in special_files if item.path not in noted_paths]
        for path, link in listing.links.items():
            draft.entries[path] = _store_submodule(repo, path, link, rules, draft)
        return _build_tree(listing, rules, untracked_paths, draft, read_object)


def store_again(repo: GitRepo, tree: StoredTree) -> bool:
    """Store the files anew after a prune; whether they are still the same."""
    oids = set(tree.blobs)
    files = [path for path, entry in tree.entries.items() if entry.oid in oids]
    return set(blobs.store(repo, files, FreezeReport()).values()) >= oids


def _build_tree(
    listing: TreeListing,
    rules: Rules,
    untracked_paths: Sequence[str],
    draft: _Draft,
    read_object: Callable[[str], GitObject | None],
) -> StoredTree:
    """New trees on top of HEAD's."""
    top = read_object(f"{listing.head}^{{tree}}") if listing.head else None
    if listing.head and top is None:
        raise DataFault(f"the tree of HEAD {listing.head} is missing", hint="git fsck")

    def content(oid: str) -> bytes:
        git_object = read_object(oid)
        if git_object is None:
            raise DataFault(f"the tree {oid} is missing", hint="git fsck")
        return git_object.data

    kept_entries = {}
    for path in rules.mandatory - draft.entries.keys():
        entry = lookup(top.oid, os.fsencode(path), content, draft.hash_name) if top else None
        if entry:
            kept_entries[path] = entry
    changes = {os.fsencode(path): entry for path, entry in draft.entries.items()}
    tree, trees, changed_paths = graft(top.oid if top else None, changes, content, draft.hash_name)
    return StoredTree(
        head=listing.head,
        branch=listing.branch,
        top=tree,
        algorithm=draft.hash_name,
        objects=(*draft.objects, *trees),
        blobs=tuple(draft.blobs),
        entries={path: entry for path, entry in draft.entries.items() if entry} | kept_entries,
        changed_paths=frozenset(map(os.fsdecode, changed_paths)),
        untracked_paths=frozenset(untracked_paths),
        left_out=tuple(draft.left_out),
        warnings=tuple(dict.fromkeys(draft.warnings)),
    )


def _list_changes(repo: GitRepo, index: Path, rules: Rules, draft: _Draft) -> TreeListing:
    """Git's account of the work tree by a copy of the index, or by HEAD where there is none that can be read."""
    is_lost = not copy_index(repo.place.index, index)
    if is_lost:
        _rebuild(repo, index, draft, "missing")
    try:
        listing = _ask(repo, index, rules)
    except SnaprunError as error:
        if is_lost or "index" not in error.message:
            raise
        is_lost = True
        _rebuild(repo, index, draft, "broken")
        listing = _ask(repo, index, rules)
    return _keep_absent_files(repo, listing) if is_lost else listing


def _ask(repo: GitRepo, index: Path, rules: Rules) -> TreeListing:
    """Git's account; where a filter breaks it, without filters, and where a submodule does, without a look into any."""
    try:
        return manifest.read(repo, index, rules.mandatory)
    except SnaprunError as error:
        first = error
    options = tuple(option for driver in filters.list_drivers(repo) for option in filters.bypass_options(driver))
    for submodules in (True, False):
        with suppress(SnaprunError):  # what now looks changed without its filter is told apart when it is stored
            return manifest.read(repo, index, rules.mandatory, options, submodules=submodules)
    raise first


def _rebuild(repo: GitRepo, index: Path, draft: _Draft, defect: str) -> None:
    """Start from HEAD where there is no usable index. Every file is read, once."""
    index.unlink(missing_ok=True)
    if repo.head() is not None:
        repo.run("read-tree", "HEAD", index=index)
        draft.warnings.append(f"the index is {defect}: the snapshot was built from HEAD and the files on disk")


def _keep_absent_files(repo: GitRepo, listing: TreeListing) -> TreeListing:
    """After a rebuild: in a sparse checkout, only the lost index knew which files are away on purpose. None is lost."""
    if repo.run("config", "--bool", "core.sparseCheckout", ok=()).out != b"true\n":
        return listing
    return replace(
        listing, stored_entries={path: entry for path, entry in listing.stored_entries.items() if entry is not None}
    )


def _note_conflicts(listing: TreeListing, draft: _Draft, *, allow_conflicts: bool) -> None:
    if not allow_conflicts:
        path = listing.conflicts[0]
        count = len(listing.conflicts)
        raise DataFault(
            f"{path} has merge conflicts" + (f", and {count - 1} more" if count > 1 else ""),
            hint="git mergetool, or --allow-conflicts to freeze the files with their markers",
        )
    draft.warnings.append(f"frozen with merge conflicts: {', '.join(listing.conflicts)}")


def _read_files(
    repo: GitRepo, listing: TreeListing, untracked_paths: Sequence[str], draft: _Draft, hasher: GitChild
) -> None:
    """Store what has to be read from disk."""
    root = os.fspath(repo.place.top)
    modes: dict[str, str] = {}
    for path in (*listing.disk_modes, *listing.hidden_paths, *listing.sparse_paths, *untracked_paths, *listing.outside):
        file_stat = stat_file(f"{root}/{path}")
        if file_stat is None:
            if path not in listing.sparse_paths and path not in listing.outside:
                draft.entries[path] = None
        elif stat.S_ISLNK(file_stat.st_mode):
            with suppress(FileNotFoundError):
                _add_blob(draft, path, LINK_MODE, os.fsencode(os.readlink(f"{root}/{path}")))
        elif stat.S_ISREG(file_stat.st_mode):
            git_mode = listing.disk_modes.get(path, "")
            disk_mode = EXECUTABLE_MODE if file_stat.st_mode & stat.S_IXUSR else FILE_MODE
            modes[path] = git_mode if git_mode.startswith("1") else disk_mode
        elif not stat.S_ISDIR(file_stat.st_mode):
            draft.entries[path] = None
            draft.left_out.append(LeftOut(path, manifest.SPECIAL))
    link_paths = [path for path, mode in modes.items() if mode == LINK_MODE]
    for path in link_paths:  # core.symlinks=false: a link is a file on disk
        _add_blob(draft, path, LINK_MODE, Path(root, path).read_bytes())
    file_paths = [path for path in modes if path not in link_paths]
    oids = blobs.store(repo, file_paths, draft, hasher=hasher)
    draft.blobs += oids.values()
    draft.entries.update({path: TreeEntry(modes[path], oids[path]) if path in oids else None for path in file_paths})


def _add_blob(draft: _Draft, path: str, mode: str, data: bytes) -> None:
    """A blob that git need not read for itself."""
    blob = make("blob", data, draft.hash_name)
    draft.objects.append(blob)
    draft.entries[path] = TreeEntry(mode, blob.oid)


def _store_submodule(repo: GitRepo, path: str, link: Link, rules: Rules, draft: _Draft) -> TreeEntry | None:
    """The commit to record for a submodule: its HEAD, or a snapshot of it where its files are changed."""
    inner = repo.open_submodule(path)
    if inner is None:
        draft.warnings.append(f"the submodule {path} cannot be opened: its recorded commit was taken")
        return TreeEntry(SUBMODULE_MODE, link.oid) if link.oid else None
    if not link.unclean:
        oid = link.oid or inner.head()
        return TreeEntry(SUBMODULE_MODE, oid) if oid else None
    prefix = f"{path}/"
    include = tuple(entry.removeprefix(prefix) for entry in rules.include)
    with scratch(inner.place) as folder:
        tree = store(inner, folder, Rules(rules.max_file_size, include), allow_conflicts=True)
    draft.left_out += [replace(item, path=prefix + item.path) for item in tree.left_out]
    draft.warnings += [f"submodule {path}: {warning}" for warning in tree.warnings]
    if tree.head is None:
        draft.left_out.append(LeftOut(path, "a git repository without a commit"))
        return None
    if not tree.changed_paths:
        return TreeEntry(SUBMODULE_MODE, tree.head)
    return TreeEntry(SUBMODULE_MODE, _commit_submodule(inner, tree))


def _commit_submodule(inner: GitRepo, tree: StoredTree) -> str:
    """A commit of a submodule's files. Nothing in it is random: the same files give the same commit, once."""
    head = str(tree.head)
    match = re.search(rb"\ncommitter [^\n]*> (\d+ [+-]\d{4})\n", inner.run("cat-file", "commit", head).out)
    moment = match.group(1).decode() if match else "0 +0000"
    commit = make_commit(tree.top.oid, [head], "snaprun: files of a submodule\n", moment=moment)
    ref = SUBMODULE_REF + commit.oid
    if inner.resolve(ref) is None:
        with suppress(CannotCreate):  # another snapshot made the same commit in the same moment
            publish(
                inner, ref, [*tree.objects, tree.top, commit], tree.blobs, store_again=lambda: store_again(inner, tree)
            )
    return commit.oid
