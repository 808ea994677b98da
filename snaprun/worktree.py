"""Write a work tree to git's object store through a private copy of the index, whatever state the repository is in."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snaprun import manifest
from snaprun.errors import Busy, DataFault
from snaprun.gitrepo import Answer, GitRepo, failure
from snaprun.manifest import Listing, Rules
from snaprun.model import LeftOut

_BAD_FILTER = re.compile(r"clean filter '([^']+)' failed")
_BAD_INDEX = re.compile(
    r"index file|bad signature|bad index|broken index|index uses|unknown index|ignoring .* extension"
)
_UNREADABLE = re.compile(r"could not open directory '([^']+)'")

TRIES = 4
"""How often a work tree that changes under our hands is read before its moving files are left out."""


@dataclass(frozen=True)
class Stored:
    """A work tree as a git tree; ``untracked`` are the paths in it that the user's index does not know."""

    tree: str
    untracked: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """How a path differs between two trees; ``oid`` None where it is gone."""

    mode: str
    oid: str | None


def store(repo: GitRepo, folder: Path, rules: Rules, *, allow_conflicts: bool = False) -> Stored:
    """Write every file that git does not ignore, as it is on disk, and say what stayed out.

    Raises:
        DataFault: there are conflicts and they are not allowed.
        Busy: the work tree changes faster than it can be read.
        SnaprunError: see :func:`snaprun.gitrepo.failure`.
    """
    index = folder / "index"
    warnings = _copy_index(repo, index)
    listing, said = manifest.read(repo, index)
    if listing.unmerged:
        if not allow_conflicts:
            raise DataFault(
                f"{len(listing.unmerged)} files have merge conflicts, {listing.unmerged[0]} for one",
                hint="git mergetool, or --allow-conflicts to freeze them with their markers",
            )
        warnings.append(f"conflict markers: {', '.join(listing.unmerged)}")
    _unhide(repo, index, listing)
    left = manifest.leave_out(repo.place.top, listing, rules)
    left += [LeftOut(path.rstrip("/"), "a folder that cannot be read") for path in _UNREADABLE.findall(said)]
    out = {item.path for item in left}
    options = _add(repo, index, sorted(out), warnings)
    always = sorted(path for path in rules.always if os.path.lexists(repo.place.top / path))
    if always:
        _update(repo, index, always, options)
    tree = repo.run("write-tree", index=index, options=options).out.decode().strip()
    untracked = tuple(path for path in listing.untracked if path not in out)
    return Stored(tree, untracked, tuple(left), tuple(warnings))


def changes(repo: GitRepo, old: str | None, new: str) -> Mapping[str, Change]:
    """The paths that differ between a commit (None: nothing at all) and a tree, without those below ``.snaprun/``."""
    out = repo.run("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", old or repo.empty_tree(), new).out
    fields = out.split(b"\0")
    found = {}
    for head, name in zip(fields[0::2], fields[1::2], strict=False):
        _, mode, _, oid, kind = head[1:].decode().split(" ")
        path = os.fsdecode(name)
        if not path.startswith(".snaprun/"):
            found[path] = Change(mode, None if kind == "D" else oid)
    return found


def _copy_index(repo: GitRepo, target: Path) -> list[str]:
    """Copy the user's index with its time stamp: git compares files against it to find those changed in one tick."""
    try:
        with open(repo.place.index, "rb") as source, open(target, "wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
            about = os.fstat(source.fileno())
    except FileNotFoundError:
        return _rebuild(repo, target, "missing")
    os.utime(target, ns=(about.st_atime_ns, about.st_mtime_ns))
    return []


def _rebuild(repo: GitRepo, target: Path, what: str) -> list[str]:
    """Start from HEAD where there is no usable index. Every file is read, once."""
    if repo.head() is None:
        return []
    repo.run("read-tree", "HEAD", index=target)
    return [f"the index is {what}: the snapshot was built from HEAD and the work tree"]


def _unhide(repo: GitRepo, index: Path, listing: Listing) -> None:
    """Make git look at files that it was told to take as unchanged; what a sparse checkout leaves out stays in."""
    present = manifest.present(repo.place.top, listing.sparse)
    if listing.hidden or present:
        paths = b"".join(os.fsencode(path) + b"\0" for path in (*listing.hidden, *present))
        repo.run("update-index", "-z", "--no-assume-unchanged", "--stdin", stdin=paths, index=index)
    if present:
        paths = b"".join(os.fsencode(path) + b"\0" for path in present)
        repo.run("update-index", "-z", "--no-skip-worktree", "--stdin", stdin=paths, index=index)


def _add(repo: GitRepo, index: Path, out: Sequence[str], warnings: list[str]) -> tuple[str, ...]:
    """Bring the private index to what is on disk, and return the options that this took."""
    specs = b":/\0" + b"".join(b":(exclude,top,literal)" + os.fsencode(path) + b"\0" for path in out)
    options: tuple[str, ...] = ()
    answer = Answer(0, b"", "")
    for _ in range(TRIES):
        command = ("add", "-A", "--sparse", "--ignore-errors", "--pathspec-from-file=-", "--pathspec-file-nul")
        answer = repo.run(*command, stdin=specs, index=index, options=options, ok=())
        if answer.code in (0, 1):
            return options
        broken = _BAD_FILTER.search(answer.err)
        if broken:
            options += _without_filter(broken.group(1))
            warnings.append(f"the filter {broken.group(1)} does not work here: its files were stored raw")
        Path(f"{index}.lock").unlink(missing_ok=True)
    if answer.code < 0:
        raise Busy("files change while they are read", hint="try again when nothing writes to the work tree")
    raise failure(("add",), answer)


def _update(repo: GitRepo, index: Path, paths: Sequence[str], options: Sequence[str]) -> None:
    """Take these paths in even where git ignores them."""
    stdin = b"".join(os.fsencode(path) + b"\0" for path in paths)
    repo.run("update-index", "--add", "--replace", "-z", "--stdin", stdin=stdin, index=index, options=options)


def _without_filter(name: str) -> tuple[str, ...]:
    """Options that switch one filter driver off."""
    return (
        "-c", f"filter.{name}.clean=",
        "-c", f"filter.{name}.process=",
        "-c", f"filter.{name}.required=false",
    )  # fmt: skip
