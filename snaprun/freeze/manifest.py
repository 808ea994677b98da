"""Decide what of a work tree goes into a snapshot: read git's own account of it, and name what stays out and why."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from snaprun.freeze.credentials import looks_secret, wanted
from snaprun.git import indexfile
from snaprun.git.gitrepo import GitRepo
from snaprun.git.objects import Entry
from snaprun.model import LeftOut

STATUS = (
    "status", "--porcelain=v2", "-z", "--branch", "--no-ahead-behind", "--untracked-files=all", "--no-renames",
    "--ignored=no", "--ignore-submodules=none",
)  # fmt: skip
"""HEAD, branch, staged and unstaged changes, untracked files, conflicts and submodules, from one process."""

SPECIAL = "a special file (a pipe, a socket or a device)"

GITLINK = "160000"
GONE = "000000"

_ODD = re.compile(rb"(?:^|(?<=\0))(?!H )[^\0]+")
"""Entries of ``ls-files -v`` that git does not look at: one scan in C instead of a loop over every file."""

_CLOSED = re.compile(r"could not open directory '([^\n]+)': Permission denied")


@dataclass(frozen=True)
class Link:
    """A submodule that differs from its commit in HEAD: the recorded commit, and whether its files are changed."""

    oid: str | None
    unclean: bool


@dataclass(frozen=True)
class Listing:
    """How a work tree differs from HEAD. Paths are relative to its top, decoded as the file system does.

    ``settled`` are changes whose content git holds already (None: the path is gone); ``touched`` are tracked paths to
    read from disk, with the mode that git sees; ``hidden`` and ``sparse`` are those that git was told not to look at;
    ``closed`` are folders that cannot be opened.
    """

    head: str | None = None
    branch: str | None = None
    settled: dict[str, Entry | None] = field(default_factory=dict)
    touched: dict[str, str] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    untracked: list[str] = field(default_factory=list)
    nested: list[str] = field(default_factory=list)
    unmerged: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    sparse: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    outside: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Rules:
    """What may go in: the largest untracked file in bytes, what is wanted in spite of its name, and always these."""

    max_file_size: int
    include: tuple[str, ...] = ()
    always: frozenset[str] = frozenset()


def read(
    repo: GitRepo, index: Path, always: Iterable[str], options: Sequence[str] = (), *, submodules: bool = True
) -> Listing:
    """Ask git how the work tree differs from HEAD, by a private index, with one stat a tracked file.

    Of ``always``, those paths that git neither tracks nor lists are returned in ``outside``. Without ``submodules``,
    git does not look into them (a broken one breaks its whole answer), and all of them count as changed.
    """
    shallow = () if submodules else ("--ignore-submodules=dirty",)
    with repo.start(*STATUS, *shallow, index=index, options=options) as asked:
        data = _small(index)
        plain = indexfile.ordinary(data)
        tracked = b"" if plain else repo.run("ls-files", "-v", "-z", index=index).out
        answer = asked.finish()
    listing = Listing(closed=[path.rstrip("/") for path in _CLOSED.findall(answer.err)])
    head = branch = None
    for line in answer.out.split(b"\0"):
        if line.startswith(b"# branch.oid ") and line != b"# branch.oid (initial)":
            head = line[13:].decode()
        elif line.startswith(b"# branch.head ") and line != b"# branch.head (detached)":
            branch = os.fsdecode(line[14:])
        else:
            _note(listing, line)
    for match in _ODD.finditer(tracked):
        path = os.fsdecode(match.group()[2:])
        if match.group()[:1] in b"Ss":
            listing.sparse.append(path)
        elif match.group()[:1].islower():
            listing.hidden.append(path)
    if not submodules:
        listing.links.update(_gitlinks(repo, index))
    known = {*listing.settled, *listing.touched, *listing.untracked, *listing.hidden, *listing.sparse}
    others = [path for path in always if path not in known]
    if plain:
        outside = frozenset(path for path in others if not indexfile.holds(data, os.fsencode(path)))
    else:
        outside = frozenset(path for path in others if b"\0H %s\0" % os.fsencode(path) not in b"\0" + tracked)
    return Listing(**{**vars(listing), "head": head, "branch": branch, "outside": outside})


def leave_out(top: Path, listing: Listing, rules: Rules) -> list[LeftOut]:
    """The paths that stay out, looked at before anything is read."""
    left = [LeftOut(path.rstrip("/"), "a git repository of its own") for path in listing.nested]
    left += [LeftOut(path, "a folder that cannot be opened") for path in listing.closed]
    root = os.fspath(top)
    for path in listing.untracked:
        if path in rules.always:
            continue
        about = look(f"{root}/{path}")
        if about is not None:
            why = _objection(path, about, rules)
            if why:
                left.append(LeftOut(path, why, size=about.st_size, mtime=about.st_mtime))
    return left


def special(repo: GitRepo, index: Path, always: Iterable[str]) -> list[LeftOut]:
    """New pipes, sockets and devices, which git itself never lists, in the folders where a notebook would open them.

    Those are the top and every folder down to the notebook's.
    """
    top = repo.place.top
    folders = {"", *(str(parent) for path in always for parent in PurePosixPath(path).parents if str(parent) != ".")}
    found = []
    for folder in folders:
        with suppress(OSError):
            for entry in os.scandir(top / folder):
                if not (entry.is_symlink() or entry.is_file() or entry.is_dir()):
                    found.append(f"{folder}/{entry.name}".lstrip("/"))
    if not found:
        return []
    names = b"".join(os.fsencode(path) + b"\0" for path in found)
    known = repo.run("check-ignore", "-z", "--stdin", stdin=names, index=index, ok=()).out.split(b"\0")
    return [LeftOut(path, SPECIAL) for path in sorted(found) if os.fsencode(path) not in known]


def look(path: str) -> os.stat_result | None:
    """The file's own state, links not followed; None where there is none to be seen."""
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None


def _small(index: Path) -> bytes:
    """An index file's content, or nothing where it is too large to be looked at here."""
    try:
        return index.read_bytes() if index.stat().st_size < indexfile.LARGEST else b""
    except FileNotFoundError:
        return b""


def _gitlinks(repo: GitRepo, index: Path) -> dict[str, Link]:
    """Every submodule of the index that is checked out, as if changed."""
    found = {}
    for line in repo.run("ls-files", "-s", "-z", index=index).out.split(b"\0"):
        if line.startswith(b"160000 "):
            head, name = line.split(b"\t", 1)
            path = os.fsdecode(name)
            if os.path.lexists(repo.place.top / path / ".git"):
                found[path] = Link(head.split(b" ")[1].decode(), unclean=True)
    return found


def _note(listing: Listing, line: bytes) -> None:
    """Take one entry of the status in: the format is in ``git-status(1)``, porcelain version 2."""
    if line.startswith(b"? "):
        path = os.fsdecode(line[2:])
        (listing.nested if path.endswith("/") else listing.untracked).append(path)
    elif line.startswith(b"u "):
        fields = line.split(b" ", 10)
        path = os.fsdecode(fields[10])
        listing.unmerged.append(path)
        mode = fields[6].decode()
        if mode == GONE:
            listing.settled[path] = None
        else:
            listing.touched[path] = mode
    elif line.startswith(b"1 "):
        fields = line.split(b" ", 8)
        states, submodule, _, staged, disk, _, oid = (part.decode() for part in fields[1:8])
        path = os.fsdecode(fields[8])
        if disk == GONE:
            listing.settled[path] = None
        elif disk == GITLINK:
            recorded = oid if staged == GITLINK and submodule[1] == "." else None
            listing.links[path] = Link(recorded, unclean=submodule[2:] != "..")
        elif states[1] == ".":
            listing.settled[path] = Entry(staged, oid)
        else:
            listing.touched[path] = disk


def _objection(path: str, about: os.stat_result, rules: Rules) -> str | None:
    """Why an untracked file stays out, or None."""
    if wanted(path, rules.include):
        return None
    if looks_secret(path):
        return "it looks like a credential"
    if stat.S_ISREG(about.st_mode) and about.st_size > rules.max_file_size:
        return "larger than max-file-size"
    return None
