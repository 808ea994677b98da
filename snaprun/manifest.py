"""Decide what of a work tree goes into a snapshot: read git's own listing, and name what has to stay out and why."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from snaprun.credentials import looks_secret, wanted
from snaprun.gitrepo import GitRepo
from snaprun.model import LeftOut

_ODD = re.compile(rb"(?:^|(?<=\0))(?!H 1[02])[^\0]+")
"""Every entry of the listing that is not an ordinary tracked file or link: one scan in C instead of a loop."""


@dataclass(frozen=True)
class Listing:
    """What stands out in a work tree: paths relative to its top, decoded as the file system does."""

    untracked: tuple[str, ...]
    nested: tuple[str, ...]
    unmerged: tuple[str, ...]
    hidden: tuple[str, ...]
    sparse: tuple[str, ...]
    submodules: tuple[str, ...]


@dataclass(frozen=True)
class Rules:
    """What may go in: the largest untracked file in bytes, what is wanted in spite of its name, and always these."""

    max_file_size: int
    include: tuple[str, ...] = ()
    always: frozenset[str] = frozenset()


def read(repo: GitRepo, index: Path) -> tuple[Listing, str]:
    """List the work tree against a private index, in one pass over the folders and without a stat of any file.

    The text is what git complained about on the way.
    """
    answer = repo.run("ls-files", "-v", "-s", "-z", "-c", "-o", "--exclude-standard", index=index)
    untracked: list[str] = []
    nested: list[str] = []
    unmerged: dict[str, None] = {}
    hidden: list[str] = []
    sparse: list[str] = []
    submodules: list[str] = []
    for match in _ODD.finditer(answer.out):
        entry = match.group()
        tag = entry[:1]
        if tag == b"?":
            path = os.fsdecode(entry[2:])
            (nested if path.endswith("/") else untracked).append(path)
            continue
        head, name = entry.split(b"\t", 1)
        path = os.fsdecode(name)
        if head[2:8] == b"160000":
            submodules.append(path)
        if tag == b"M":
            unmerged[path] = None
        if tag in (b"S", b"s"):
            sparse.append(path)
        elif tag.islower():
            hidden.append(path)
    found = (untracked, nested, unmerged, hidden, sparse, dict.fromkeys(submodules))
    return Listing(*(tuple(paths) for paths in found)), answer.err


def leave_out(top: Path, listing: Listing, rules: Rules) -> list[LeftOut]:
    """The untracked paths that stay out, looked at before anything is hashed."""
    left = [LeftOut(path.rstrip("/"), "a git repository of its own") for path in listing.nested]
    root = os.fspath(top)
    for path in listing.untracked:
        if path in rules.always:
            continue
        about = _look(f"{root}/{path}")
        if about is not None:
            why = _objection(path, about, rules)
            if why:
                left.append(LeftOut(path, why, size=about.st_size, mtime=about.st_mtime))
    return left


def uncommon(top: Path, paths: Sequence[str]) -> list[LeftOut]:
    """Why git could not take these paths, by looking at each; those that vanished are passed over."""
    left = []
    for path in paths:
        about = _look(os.path.join(top, path))
        if about is None:
            continue
        if stat.S_ISREG(about.st_mode) or stat.S_ISLNK(about.st_mode):
            why = "it changed while it was read" if os.access(os.path.join(top, path), os.R_OK) else "it cannot be read"
        elif stat.S_ISDIR(about.st_mode):
            why = "a folder that cannot be read, or a git repository of its own"
        else:
            why = "a special file (a pipe, a socket or a device)"
        left.append(LeftOut(path.rstrip("/"), why, size=about.st_size, mtime=about.st_mtime))
    return left


def present(top: Path, paths: Sequence[str]) -> list[str]:
    """Those of ``paths`` that exist on disk."""
    return [path for path in paths if _look(os.path.join(top, path)) is not None]


def _objection(path: str, about: os.stat_result, rules: Rules) -> str | None:
    """Why an untracked file stays out, or None."""
    if not wanted(path, rules.include):
        if looks_secret(path):
            return "it looks like a credential"
        if stat.S_ISREG(about.st_mode) and about.st_size > rules.max_file_size:
            return "larger than max-file-size"
    return None


def _look(path: str) -> os.stat_result | None:
    """The file's own state, links not followed; None where there is none."""
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        return None
