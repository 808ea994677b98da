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
from snaprun.freeze.blobs import Account
from snaprun.freeze.manifest import GITLINK, Link, Listing, Rules, look
from snaprun.git.gitchild import Child, Found
from snaprun.git.gitrepo import GitRepo
from snaprun.git.indexfile import copy_index
from snaprun.git.objects import Entry, GitObject, algorithm, graft, lookup, make
from snaprun.git.publish import publish
from snaprun.git.scratch import scratch
from snaprun.model import LeftOut

SUBMODULE_REF = "refs/snaprun/submodules/"
"""In a submodule's own repository: keeps the commit that a snapshot of the whole refers to."""

LINK = "120000"


@dataclass(frozen=True)
class Stored:
    """A work tree in git. ``blobs`` are stored, ``top`` (its tree) and ``objects`` (all below) not yet.

    ``entries`` are the paths that were read; ``changed`` those that differ from HEAD; ``untracked`` those new to git.
    """

    head: str | None
    branch: str | None
    top: GitObject
    algorithm: str
    objects: tuple[GitObject, ...]
    blobs: tuple[str, ...]
    entries: Mapping[str, Entry]
    changed: frozenset[str]
    untracked: frozenset[str]
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]


@dataclass
class _Reading(Account):
    """What a reading of the work tree has found so far."""

    entries: dict[str, Entry | None] = field(default_factory=dict)
    blobs: list[str] = field(default_factory=list)
    made: list[GitObject] = field(default_factory=list)
    hash_name: str = ""


def store(repo: GitRepo, folder: Path, rules: Rules, *, allow_conflicts: bool = False) -> Stored:
    """Store every file that git does not ignore as it is on disk, and say what stayed out.

    ``folder`` is a private empty one. Files that vanish meanwhile count as gone.

    Raises:
        DataFault: there are conflicts and they are not allowed.
        SnaprunError: see :func:`snaprun.git.gitrepo.failure`.
    """
    with repo.reading() as ask, blobs.waiting(repo) as hasher:
        found = _Reading()
        listing = _list(repo, folder / "index", rules, found)
        found.hash_name = algorithm(listing.head) if listing.head else repo.hash_name()
        if listing.unmerged:
            _conflicts(listing, found, allowed=allow_conflicts)
        found.left += manifest.leave_out(repo.place.top, listing, rules)
        special = manifest.special(repo, folder / "index", rules.always)
        out = {item.path for item in found.left}
        untracked = [path for path in listing.untracked if path not in out]
        found.entries.update(listing.settled)
        _read_files(repo, listing, untracked, found, hasher)
        noted = {item.path for item in found.left}
        found.left += [item for item in special if item.path not in noted]
        for path, link in listing.links.items():
            found.entries[path] = _submodule(repo, path, link, rules, found)
        return _put_together(listing, rules, untracked, found, ask)


def again(repo: GitRepo, stored: Stored) -> bool:
    """Store the files anew after a prune; whether they are still the same."""
    wanted = set(stored.blobs)
    files = [path for path, entry in stored.entries.items() if entry.oid in wanted]
    return set(blobs.store(repo, files, Account()).values()) >= wanted


def _put_together(
    listing: Listing, rules: Rules, untracked: Sequence[str], found: _Reading, ask: Callable[[str], Found | None]
) -> Stored:
    """New trees on top of HEAD's."""
    top = ask(f"{listing.head}^{{tree}}") if listing.head else None
    if listing.head and top is None:
        raise DataFault(f"the tree of HEAD {listing.head} is missing", hint="git fsck")

    def content(oid: str) -> bytes:
        got = ask(oid)
        if got is None:
            raise DataFault(f"the tree {oid} is missing", hint="git fsck")
        return got.data

    kept = {}
    for path in rules.always - found.entries.keys():
        entry = lookup(top.oid, os.fsencode(path), content, found.hash_name) if top else None
        if entry:
            kept[path] = entry
    changes = {os.fsencode(path): entry for path, entry in found.entries.items()}
    tree, trees, differ = graft(top.oid if top else None, changes, content, found.hash_name)
    return Stored(
        head=listing.head,
        branch=listing.branch,
        top=tree,
        algorithm=found.hash_name,
        objects=(*found.made, *trees),
        blobs=tuple(found.blobs),
        entries={path: entry for path, entry in found.entries.items() if entry} | kept,
        changed=frozenset(map(os.fsdecode, differ)),
        untracked=frozenset(untracked),
        left_out=tuple(found.left),
        warnings=tuple(dict.fromkeys(found.warnings)),
    )


def _list(repo: GitRepo, index: Path, rules: Rules, found: _Reading) -> Listing:
    """Git's account of the work tree by a copy of the index, or by HEAD where there is none that can be read."""
    lost = not copy_index(repo.place.index, index)
    if lost:
        _rebuild(repo, index, found, "missing")
    try:
        listing = _ask(repo, index, rules)
    except SnaprunError as error:
        if lost or "index" not in error.message:
            raise
        lost = True
        _rebuild(repo, index, found, "broken")
        listing = _ask(repo, index, rules)
    return _complete(repo, listing) if lost else listing


def _ask(repo: GitRepo, index: Path, rules: Rules) -> Listing:
    """Git's account; where a filter breaks it, without filters, and where a submodule does, without a look into any."""
    try:
        return manifest.read(repo, index, rules.always)
    except SnaprunError as error:
        first = error
    off = tuple(option for name in blobs.filters(repo) for option in blobs.switched_off(name))
    for submodules in (True, False):
        with suppress(SnaprunError):  # what now looks changed without its filter is told apart when it is stored
            return manifest.read(repo, index, rules.always, off, submodules=submodules)
    raise first


def _rebuild(repo: GitRepo, index: Path, found: _Reading, what: str) -> None:
    """Start from HEAD where there is no usable index. Every file is read, once."""
    index.unlink(missing_ok=True)
    if repo.head() is not None:
        repo.run("read-tree", "HEAD", index=index)
        found.warnings.append(f"the index is {what}: the snapshot was built from HEAD and the files on disk")


def _complete(repo: GitRepo, listing: Listing) -> Listing:
    """After a rebuild: in a sparse checkout, only the lost index knew which files are away on purpose. None is lost."""
    if repo.run("config", "--bool", "core.sparseCheckout", ok=()).out != b"true\n":
        return listing
    return replace(listing, settled={path: entry for path, entry in listing.settled.items() if entry is not None})


def _conflicts(listing: Listing, found: _Reading, *, allowed: bool) -> None:
    if not allowed:
        one = listing.unmerged[0]
        count = len(listing.unmerged)
        raise DataFault(
            f"{one} has merge conflicts" + (f", and {count - 1} more" if count > 1 else ""),
            hint="git mergetool, or --allow-conflicts to freeze the files with their markers",
        )
    found.warnings.append(f"frozen with merge conflicts: {', '.join(listing.unmerged)}")


def _read_files(repo: GitRepo, listing: Listing, untracked: Sequence[str], found: _Reading, hasher: Child) -> None:
    """Store what has to be read from disk."""
    root = os.fspath(repo.place.top)
    modes: dict[str, str] = {}
    for path in (*listing.touched, *listing.hidden, *listing.sparse, *untracked, *listing.outside):
        about = look(f"{root}/{path}")
        if about is None:
            if path not in listing.sparse and path not in listing.outside:
                found.entries[path] = None
        elif stat.S_ISLNK(about.st_mode):
            with suppress(FileNotFoundError):
                _make(found, path, LINK, os.fsencode(os.readlink(f"{root}/{path}")))
        elif stat.S_ISREG(about.st_mode):
            seen = listing.touched.get(path, "")
            modes[path] = seen if seen.startswith("1") else "100755" if about.st_mode & stat.S_IXUSR else "100644"
        elif not stat.S_ISDIR(about.st_mode):
            found.entries[path] = None
            found.left.append(LeftOut(path, manifest.SPECIAL))
    plain = [path for path, mode in modes.items() if mode == LINK]  # core.symlinks=false: a link is a file on disk
    for path in plain:
        _make(found, path, LINK, Path(root, path).read_bytes())
    wanted = [path for path in modes if path not in plain]
    stored = blobs.store(repo, wanted, found, by=hasher)
    found.blobs += stored.values()
    found.entries.update({path: Entry(modes[path], stored[path]) if path in stored else None for path in wanted})


def _make(found: _Reading, path: str, mode: str, data: bytes) -> None:
    """A blob that git need not read for itself."""
    made = make("blob", data, found.hash_name)
    found.made.append(made)
    found.entries[path] = Entry(mode, made.oid)


def _submodule(repo: GitRepo, path: str, link: Link, rules: Rules, found: _Reading) -> Entry | None:
    """The commit to record for a submodule: its HEAD, or a snapshot of it where its files are changed."""
    inner = repo.inner(path)
    if inner is None:
        found.warnings.append(f"the submodule {path} cannot be opened: its recorded commit was taken")
        return Entry(GITLINK, link.oid) if link.oid else None
    if not link.unclean:
        oid = link.oid or inner.head()
        return Entry(GITLINK, oid) if oid else None
    prefix = f"{path}/"
    include = tuple(entry.removeprefix(prefix) for entry in rules.include)
    with scratch(inner.place) as folder:
        stored = store(inner, folder, Rules(rules.max_file_size, include), allow_conflicts=True)
    found.left += [replace(item, path=prefix + item.path) for item in stored.left_out]
    found.warnings += [f"submodule {path}: {warning}" for warning in stored.warnings]
    if stored.head is None:
        found.left.append(LeftOut(path, "a git repository without a commit"))
        return None
    if not stored.changed:
        return Entry(GITLINK, stored.head)
    return Entry(GITLINK, _commit_submodule(inner, stored))


def _commit_submodule(inner: GitRepo, stored: Stored) -> str:
    """A commit of a submodule's files. Nothing in it is random: the same files give the same commit, once."""
    head = str(stored.head)
    when = re.search(rb"\ncommitter [^\n]*> (\d+ [+-]\d{4})\n", inner.run("cat-file", "commit", head).out)
    who = f"snaprun <snaprun@localhost> {when.group(1).decode() if when else '0 +0000'}"
    text = f"tree {stored.top.oid}\nparent {head}\nauthor {who}\ncommitter {who}\n\nsnaprun: files of a submodule\n"
    commit = make("commit", text.encode(), stored.algorithm)
    ref = SUBMODULE_REF + commit.oid
    if inner.resolve(ref) is None:
        with suppress(CannotCreate):  # another snapshot made the same commit in the same moment
            publish(inner, ref, [*stored.objects, stored.top, commit], stored.blobs, again=lambda: again(inner, stored))
    return commit.oid
