"""Store files of a work tree as ``git add`` would, and find out what is the matter with those that git cannot take."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from snaprun.freeze.manifest import stat_file
from snaprun.git.filters import bypass_options
from snaprun.git.gitchild import Answer, GitChild, failure
from snaprun.git.gitrepo import DEFERRED_FSYNC, GitRepo
from snaprun.model import LeftOut

HASH = ("hash-object", "-w", "--stdin-paths")

TRIES = 5
"""How often a file that changes under our hands is read again before it is left out."""

_NO_PROGRAM = re.compile(r"not found|cannot run|No such file|hung up unexpectedly|filter '.*' failed 12[67]")
_RAW_FILTER = re.compile(r"external filter '([^\n]+)' failed")
_STORE_FAULT = re.compile(
    r"No space left|quota exceeded|insufficient permission|unable to write|temporary file|into database|failed to write"
)
"""Git cannot store anything; for a moment only, where a gc takes empty folders of the object store away."""


@dataclass
class FreezeReport:
    """What is to be told of a reading: paths left out, warnings; and the options that switch dead filters off."""

    left_out: list[LeftOut] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    options: tuple[str, ...] = ()


def start_hasher(repo: GitRepo) -> GitChild:
    """A ``hash-object`` for :func:`store`, started ahead while git still looks for what changed."""
    return repo.start(*HASH, options=DEFERRED_FSYNC, stdin_pipe=True)


def store(
    repo: GitRepo, paths: Sequence[str], report: FreezeReport, *, hasher: GitChild | None = None
) -> dict[str, str]:
    """Store files and return their ids; the list is halved to find those that git cannot take.

    Raises:
        SnaprunError: nothing can be stored at all, see :func:`snaprun.git.gitchild.failure`.
    """
    if not paths:
        return {}
    names = b"".join(_quote(path) + b"\n" for path in paths)
    for turn in range(TRIES):
        with (
            hasher
            if hasher and turn == 0
            else repo.start(*HASH, options=(*DEFERRED_FSYNC, *report.options), stdin_pipe=True) as child
        ):
            answer = child.finish(stdin=names, ok=())
        if not _STORE_FAULT.search(answer.err):
            break
    if answer.code == 0:
        warnings = [f"stored raw, because its filter failed: {command}" for command in _RAW_FILTER.findall(answer.err)]
        report.warnings += [text for text in dict.fromkeys(warnings) if text not in report.warnings]
        return dict(zip(paths, answer.out.decode().split(), strict=True))
    if _STORE_FAULT.search(answer.err):
        raise failure(("hash-object",), answer)
    if len(paths) > 1:
        half = len(paths) // 2
        return {**store(repo, paths[:half], report), **store(repo, paths[half:], report)}
    return _store_hard_file(repo, paths[0], answer, report)


def _store_hard_file(repo: GitRepo, path: str, answer: Answer, report: FreezeReport) -> dict[str, str]:
    """A file that git could not store: it vanished, cannot be read, changes under our hands, or defies its encoding."""
    file_stat = stat_file(os.path.join(repo.place.top, path))
    if file_stat is None:
        return {}
    if not os.access(repo.place.top / path, os.R_OK):
        report.left_out.append(LeftOut(path, "it cannot be read", size=file_stat.st_size, mtime=file_stat.st_mtime))
        return {}
    if _NO_PROGRAM.search(answer.err) and _give_up_filter(repo, path, report):
        return store(repo, [path], report)
    for _ in range(TRIES):
        raw_answer = repo.run("hash-object", "-w", "--no-filters", "--", path, options=DEFERRED_FSYNC, ok=())
        if raw_answer.code == 0:
            lines = [line for line in answer.err.splitlines() if line]
            if lines and answer.code > 0:
                report.left_out.append(LeftOut(path, f"stored raw: {lines[-1].removeprefix('fatal: ')}"))
            return {path: raw_answer.out.decode().strip()}
    report.left_out.append(
        LeftOut(path, "it changed while it was read", size=file_stat.st_size, mtime=file_stat.st_mtime)
    )
    return {}


def _quote(path: str) -> bytes:
    """A path for ``--stdin-paths``, which takes C quotes where a line could be misread."""
    name = os.fsencode(path)
    if not name.startswith(b'"') and not re.search(rb"[\n\r]", name):
        return name
    return b'"' + re.sub(rb'[\n\r"\\]', lambda match: b"\\%03o" % match.group()[0], name) + b'"'


def _give_up_filter(repo: GitRepo, path: str, report: FreezeReport) -> bool:
    """Switch off the filter of this file, whose program is not there; whether there was one."""
    out = repo.run("--literal-pathspecs", "check-attr", "-z", "filter", "--", path).out
    name = os.fsdecode(out.split(b"\0")[2])
    options = bypass_options(name)
    if name in ("unspecified", "unset", "set") or set(options) <= set(report.options):
        return False
    report.options += options
    report.warnings.append(f"the filter {name} does not work here: the files that it is for were stored raw")
    return True
