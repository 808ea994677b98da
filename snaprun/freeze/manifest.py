"""Decide what of a work tree goes into a snapshot: read git's own account of it, and name what stays out and why."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from snaprun.freeze.credentials import is_included, looks_secret
from snaprun.git import indexfile
from snaprun.git.gitrepo import GitRepo, join_paths
from snaprun.git.objects import ABSENT_MODE, SUBMODULE_MODE, TreeEntry
from snaprun.model import LeftOut

STATUS = (
    "status", "--porcelain=v2", "-z", "--branch", "--no-ahead-behind", "--untracked-files=all", "--no-renames",
    "--ignored=no", "--ignore-submodules=none",
)  # fmt: skip
"""HEAD, branch, staged and unstaged changes, untracked files, conflicts and submodules, from one process."""

SPECIAL = "a special file (a pipe, a socket or a device)"

_SKIPPED_ENTRY = re.compile(rb"(?:^|(?<=\0))(?!H )[^\0]+")
"""Entries of ``ls-files -v`` that git does not look at: one scan in C instead of a loop over every file."""

_CLOSED_FOLDER = re.compile(r"could not open directory '([^\n]+)': Permission denied")


@dataclass(frozen=True)
class Link:
    """A submodule that differs from its commit in HEAD: the recorded commit, and whether its files are changed."""

    oid: str | None
    unclean: bool


@dataclass(frozen=True)
class TreeListing:
    """How a work tree differs from HEAD. Paths are relative to its top, decoded as the file system does.

    ``stored_entries`` are changes whose content git holds already (None: the path is gone); ``disk_modes`` are tracked
    paths to read from disk, with the mode that git sees; ``hidden_paths`` and ``sparse_paths`` are those that git was
    told not to look at; ``closed_folders`` cannot be opened.
    """

    head: str | None = None
    branch: str | None = None
    stored_entries: dict[str, TreeEntry | None] = field(default_factory=dict)
    disk_modes: dict[str, str] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    untracked_paths: list[str] = field(default_factory=list)
    nested_repositories: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    hidden_paths: list[str] = field(default_factory=list)
    sparse_paths: list[str] = field(default_factory=list)
    closed_folders: list[str] = field(default_factory=list)
    outside: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Rules:
    """What may go in: the largest untracked file in bytes, what is wanted in spite of its name, and always these."""

    max_file_size: int
    include: tuple[str, ...] = ()
    mandatory: frozenset[str] = frozenset()


def read(
    repo: GitRepo, index: Path, mandatory: Iterable[str], options: Sequence[str] = (), *, submodules: bool = True
) -> TreeListing:
    """Ask git how the work tree differs from HEAD, by a private index, with one stat a tracked file.

    Of ``mandatory``, those paths that git neither tracks nor lists are returned in ``outside``. Without ``submodules``,
    git does not look into them (a broken one breaks its whole answer), and all of them count as changed.
    """
    depth_options = () if submodules else ("--ignore-submodules=dirty",)
    with repo.start(*STATUS, *depth_options, index=index, options=options) as child:
        data = _read_small_index(index)
        is_plain = indexfile.is_ordinary(data)
        index_entries = b"" if is_plain else repo.run("ls-files", "-v", "-z", index=index).out
        answer = child.finish()
    listing = TreeListing(closed_folders=[path.rstrip("/") for path in _CLOSED_FOLDER.findall(answer.err)])
    head = branch = None
    for line in answer.out.split(b"\0"):
        if line.startswith(b"# branch.oid ") and line != b"# branch.oid (initial)":
            head = line[13:].decode()
        elif line.startswith(b"# branch.head ") and line != b"# branch.head (detached)":
            branch = os.fsdecode(line[14:])
        else:
            _add_entry(listing, line)
    for match in _SKIPPED_ENTRY.finditer(index_entries):
        path = os.fsdecode(match.group()[2:])
        if match.group()[:1] in b"Ss":
            listing.sparse_paths.append(path)
        elif match.group()[:1].islower():
            listing.hidden_paths.append(path)
    if not submodules:
        listing.links.update(_list_submodules(repo, index))
    known_paths = {
        *listing.stored_entries,
        *listing.disk_modes,
        *listing.untracked_paths,
        *listing.hidden_paths,
        *listing.sparse_paths,
    }
    candidates = [path for path in mandatory if path not in known_paths]
    if is_plain:
        outside = frozenset(path for path in candidates if not indexfile.holds(data, os.fsencode(path)))
    else:
        outside = frozenset(path for path in candidates if b"\0H %s\0" % os.fsencode(path) not in b"\0" + index_entries)
    return TreeListing(**{**vars(listing), "head": head, "branch": branch, "outside": outside})


def leave_out(top: Path, listing: TreeListing, rules: Rules) -> list[LeftOut]:
    """The paths that stay out, looked at before anything is read."""
    left_out = [LeftOut(path.rstrip("/"), "a git repository of its own") for path in listing.nested_repositories]
    left_out += [LeftOut(path, "a folder that cannot be opened") for path in listing.closed_folders]
    root = os.fspath(top)
    for path in listing.untracked_paths:
        if path in rules.mandatory:
            continue
        file_stat = stat_file(f"{root}/{path}")
        if file_stat is not None:
            reason = _objection(path, file_stat, rules)
            if reason:
                left_out.append(LeftOut(path, reason, size=file_stat.st_size, mtime=file_stat.st_mtime))
    return left_out


def find_special(repo: GitRepo, index: Path, mandatory: Iterable[str]) -> list[LeftOut]:
    """New pipes, sockets and devices, which git itself never lists, in the folders where a notebook would open them.

    Those are the top and every folder down to the notebook's.
    """
    top = repo.place.top
    folders = {"", *(str(parent) for path in mandatory for parent in PurePosixPath(path).parents if str(parent) != ".")}
    paths = []
    for folder in folders:
        with suppress(OSError):
            for entry in os.scandir(top / folder):
                if not (entry.is_symlink() or entry.is_file() or entry.is_dir()):
                    paths.append(f"{folder}/{entry.name}".lstrip("/"))
    if not paths:
        return []
    stdin = join_paths(paths)
    ignored_paths = repo.run("check-ignore", "-z", "--stdin", stdin=stdin, index=index, ok=()).out.split(b"\0")
    return [LeftOut(path, SPECIAL) for path in sorted(paths) if os.fsencode(path) not in ignored_paths]


def stat_file(path: str) -> os.stat_result | None:
    """The file's own state, links not followed; None where there is none to be seen."""
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None


def _read_small_index(index: Path) -> bytes:
    """An index file's content, or nothing where it is too large to be looked at here."""
    try:
        return index.read_bytes() if index.stat().st_size < indexfile.MAX_SIZE else b""
    except FileNotFoundError:
        return b""


def _list_submodules(repo: GitRepo, index: Path) -> dict[str, Link]:
    """Every submodule of the index that is checked out, as if changed."""
    links = {}
    for line in repo.run("ls-files", "-s", "-z", index=index).out.split(b"\0"):
        if line.startswith(SUBMODULE_MODE.encode() + b" "):
            head, name = line.split(b"\t", 1)
            path = os.fsdecode(name)
            if os.path.lexists(repo.place.top / path / ".git"):
                links[path] = Link(head.split(b" ")[1].decode(), unclean=True)
    return links


def _add_entry(listing: TreeListing, line: bytes) -> None:
    """Take one entry of the status in: the format is in ``git-status(1)``, porcelain version 2."""
    if line.startswith(b"? "):
        path = os.fsdecode(line[2:])
        (listing.nested_repositories if path.endswith("/") else listing.untracked_paths).append(path)
    elif line.startswith(b"u "):
        fields = line.split(b" ", 10)
        path = os.fsdecode(fields[10])
        listing.conflicts.append(path)
        mode = fields[6].decode()
        if mode == ABSENT_MODE:
            listing.stored_entries[path] = None
        else:
            listing.disk_modes[path] = mode
    elif line.startswith(b"1 "):
        fields = line.split(b" ", 8)
        states, submodule, _, index_mode, disk_mode, _, oid = (part.decode() for part in fields[1:8])
        path = os.fsdecode(fields[8])
        if disk_mode == ABSENT_MODE:
            listing.stored_entries[path] = None
        elif disk_mode == SUBMODULE_MODE:
            commit = oid if index_mode == SUBMODULE_MODE and submodule[1] == "." else None
            listing.links[path] = Link(commit, unclean=submodule[2:] != "..")
        elif states[1] == ".":
            listing.stored_entries[path] = TreeEntry(index_mode, oid)
        else:
            listing.disk_modes[path] = disk_mode


def _objection(path: str, file_stat: os.stat_result, rules: Rules) -> str | None:
    """Why an untracked file stays out, or None."""
    if is_included(path, rules.include):
        return None
    if looks_secret(path):
        return "it looks like a credential"
    if stat.S_ISREG(file_stat.st_mode) and file_stat.st_size > rules.max_file_size:
        return "larger than max-file-size"
    return None
