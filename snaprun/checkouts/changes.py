"""Find what a run changed in its checkout, and divide it between git and the artifact store."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from snaprun.checkouts import artifacts
from snaprun.checkouts.artifacts import ArtifactStore
from snaprun.checkouts.checkout import INDEX
from snaprun.checkouts.fill import CHECKOUT_OPTIONS
from snaprun.checkouts.links import PRIVATE
from snaprun.freeze.credentials import looks_secret
from snaprun.git.gitchild import failure
from snaprun.git.gitrepo import DEFERRED_FSYNC, GitRepo, join_paths
from snaprun.model import SNAP_DIR, Artifact

TOTAL_FACTOR = 10
"""A result takes at most this many times the size limit of one file into git; the largest go to the store beyond."""


@dataclass(frozen=True)
class TreeChanges:
    """Paths of a checkout: changed or new, gone, and new ones that look like credentials."""

    present: tuple[str, ...]
    absent: tuple[str, ...]
    secret: tuple[str, ...]


def find_changes(inner: GitRepo, *, links: Iterable[str]) -> TreeChanges:
    """What differs from what was laid out; ignored files do not count.

    A folder that is a repository of its own ends in a slash. The links to the user's data, ``.snaprun/`` and new caches
    are no change of the run's.
    """
    output = inner.run(
        "ls-files",
        "-z",
        "-t",
        "-m",
        "-d",
        "-o",
        "--exclude-standard",
        index=inner.place.git_dir / INDEX,
        options=CHECKOUT_OPTIONS,
    ).out
    link_paths = set(links)
    present: dict[str, None] = {}
    absent: dict[str, None] = {}
    secret: list[str] = []
    top = inner.place.top
    for line in output.split(b"\0")[:-1]:
        tag, path = line[:1], os.fsdecode(line[2:])
        if path.startswith(f"{SNAP_DIR}/") or (tag == b"?" and not PRIVATE.isdisjoint(path.split("/"))):
            continue
        if path in link_paths and os.path.islink(top / path):
            continue
        if tag == b"?" and looks_secret(path):
            secret.append(path)
            continue
        if tag == b"C" and os.path.isdir(top / path) and not os.path.islink(top / path):
            if os.path.lexists(top / path / ".git"):
                continue  # a submodule
            tag = b"R"  # a folder took the file's place
        (absent if tag == b"R" else present)[path] = None
    return TreeChanges(tuple(path for path in present if path not in absent), tuple(absent), tuple(secret))


def sort_out(
    top: Path, present: Iterable[str], extra: Iterable[Path], *, store: ArtifactStore
) -> tuple[list[str], list[Artifact], list[str]]:
    """Divide what a run made: the paths for git, every file as an artifact, and notes on what cannot be kept.

    ``extra`` are files kept by request, wherever they lie: those outside of git's list go to the store.
    """
    git_paths, file_sizes, notes = _measure(top, present)
    run_artifacts: list[Artifact] = []
    budget = TOTAL_FACTOR * store.limit
    for size, path in sorted(file_sizes):
        budget -= size
        in_git = size <= store.limit and budget >= 0
        try:
            sha, size = artifacts.digest(top / path) if in_git else artifacts.keep(store, top / path)
        except OSError as error:
            notes.append(f"{path} was not kept: {_reason(error)}")
            continue
        run_artifacts.append(Artifact(path, size, sha, "git" if in_git else "store"))
        if in_git:
            git_paths.append(path)
    known_paths = {item.path for item in run_artifacts}
    for path, source in _list_extra(top, extra):
        if path in known_paths:
            continue
        known_paths.add(path)
        try:
            sha, size = artifacts.keep(store, source)
        except OSError as error:
            notes.append(f"artifact {path} was not kept: {_reason(error)}")
            continue
        run_artifacts.append(Artifact(path, size, sha, "store"))
    return git_paths, sorted(run_artifacts, key=lambda item: item.path), notes


def _measure(top: Path, present: Iterable[str]) -> tuple[list[str], list[tuple[int, str]], list[str]]:
    """Links, files with their sizes, and notes on what is neither."""
    links: list[str] = []
    file_sizes: list[tuple[int, str]] = []
    notes: list[str] = []
    for path in present:
        try:
            file_stat = os.lstat(top / path)
        except FileNotFoundError:  # a process that the run left behind
            continue
        reason = _objection(path, file_stat)
        if reason:
            notes.append(f"{path} was not kept: {reason}")
        elif stat.S_ISLNK(file_stat.st_mode):
            links.append(path)
        else:
            file_sizes.append((file_stat.st_size, path))
    return links, file_sizes, notes


def update_index(inner: GitRepo, index: Path, paths: Iterable[str], absent: Iterable[str]) -> list[str]:
    """Take ``absent`` out of ``index`` and bring ``paths`` in as they are in the checkout now; notes on what failed.

    A path that git cannot read or convert is left as the snapshot has it, and the rest goes on.
    """
    stdin = join_paths(absent)
    if stdin:
        inner.run("update-index", "--force-remove", "-z", "--stdin", stdin=stdin, index=index, options=CHECKOUT_OPTIONS)
    notes: list[str] = []
    candidates = list(paths)
    while candidates:
        args = ("update-index", "--add", "--remove", "-z", "--stdin")
        answer = inner.run(
            *args, stdin=join_paths(candidates), index=index, options=(*CHECKOUT_OPTIONS, *DEFERRED_FSYNC), ok=()
        )
        if answer.code == 0:
            return notes
        culprit = next((path for path in candidates if f"process path {path}\n" in answer.err + "\n"), None)
        if culprit is None:
            raise failure(args, answer)
        candidates.remove(culprit)
        notes.append(f"{culprit} was not kept: {answer.err.strip().splitlines()[0]}")
    return notes


def _reason(error: OSError) -> str:
    """Why one file cannot be kept; a fault of the store itself is no matter of one file."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE):
        raise error
    return error.strerror or str(error)


def _objection(path: str, file_stat: os.stat_result) -> str:
    """Why a path cannot be stored; empty where it can."""
    if path.endswith("/") or stat.S_ISDIR(file_stat.st_mode):
        return "it is a git repository of its own"
    if not (stat.S_ISREG(file_stat.st_mode) or stat.S_ISLNK(file_stat.st_mode)):
        return "it is no regular file"
    return ""


def _list_extra(top: Path, extra: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """The files below ``extra``, each with the name it gets: relative to the checkout where it lies in there."""
    for source in extra:
        files = sorted(item for item in source.rglob("*") if item.is_file()) if source.is_dir() else [source]
        for item in files:
            is_inside = item.is_relative_to(top)
            yield str(item.relative_to(top)) if is_inside else str(item), item
