"""Store files of a work tree as ``git add`` would, and find out what is the matter with those that git cannot take."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from snaprun.freeze.manifest import look
from snaprun.git.gitchild import Answer, Child, failure
from snaprun.git.gitrepo import UNFLUSHED, GitRepo
from snaprun.model import LeftOut

HASH = ("hash-object", "-w", "--stdin-paths")

TRIES = 5
"""How often a file that changes under our hands is read again before it is left out."""

_NO_PROGRAM = re.compile(r"not found|cannot run|No such file|hung up unexpectedly|filter '.*' failed 12[67]")
_RAW_FILTER = re.compile(r"external filter '([^\n]+)' failed")
_STORE = re.compile(
    r"No space left|quota exceeded|insufficient permission|unable to write|temporary file|into database|failed to write"
)
"""Git cannot store anything; for a moment only, where a gc takes empty folders of the object store away."""


@dataclass
class Account:
    """What is to be told of a reading: paths left out, warnings; and the options that switch dead filters off."""

    left: list[LeftOut] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    options: tuple[str, ...] = ()


def waiting(repo: GitRepo) -> Child:
    """A ``hash-object`` for :func:`store`, started ahead while git still looks for what changed."""
    return repo.start(*HASH, options=UNFLUSHED, talk=True)


def store(repo: GitRepo, paths: Sequence[str], account: Account, *, by: Child | None = None) -> dict[str, str]:
    """Store files and return their ids; the list is halved to find those that git cannot take.

    Raises:
        SnaprunError: nothing can be stored at all, see :func:`snaprun.git.gitchild.failure`.
    """
    if not paths:
        return {}
    names = b"".join(_quoted(path) + b"\n" for path in paths)
    for turn in range(TRIES):
        with by if by and turn == 0 else repo.start(*HASH, options=(*UNFLUSHED, *account.options), talk=True) as child:
            answer = child.finish(stdin=names, ok=())
        if not _STORE.search(answer.err):
            break
    if answer.code == 0:
        raw = [f"stored raw, because its filter failed: {what}" for what in _RAW_FILTER.findall(answer.err)]
        account.warnings += [text for text in dict.fromkeys(raw) if text not in account.warnings]
        return dict(zip(paths, answer.out.decode().split(), strict=True))
    if _STORE.search(answer.err):
        raise failure(("hash-object",), answer)
    if len(paths) > 1:
        half = len(paths) // 2
        return {**store(repo, paths[:half], account), **store(repo, paths[half:], account)}
    return _hard(repo, paths[0], answer, account)


def filters(repo: GitRepo) -> list[str]:
    """The names of the filter drivers in git's configuration."""
    out = repo.run("config", "-z", "--name-only", "--get-regexp", r"^filter\.", ok=()).out
    return sorted({os.fsdecode(name).split(".", 1)[1].rsplit(".", 1)[0] for name in out.split(b"\0")[:-1]})


def switched_off(name: str) -> tuple[str, ...]:
    """Options that make git take files past this filter driver as they are."""
    off = f"filter.{name}"
    return "-c", f"{off}.clean=", "-c", f"{off}.process=", "-c", f"{off}.required=false"


def _hard(repo: GitRepo, path: str, answer: Answer, account: Account) -> dict[str, str]:
    """A file that git could not store: it vanished, cannot be read, changes under our hands, or defies its encoding."""
    about = look(os.path.join(repo.place.top, path))
    if about is None:
        return {}
    if not os.access(repo.place.top / path, os.R_OK):
        account.left.append(LeftOut(path, "it cannot be read", size=about.st_size, mtime=about.st_mtime))
        return {}
    if _NO_PROGRAM.search(answer.err) and _give_up_filter(repo, path, account):
        return store(repo, [path], account)
    for _ in range(TRIES):
        again = repo.run("hash-object", "-w", "--no-filters", "--", path, options=UNFLUSHED, ok=())
        if again.code == 0:
            said = [line for line in answer.err.splitlines() if line]
            if said and answer.code > 0:
                account.left.append(LeftOut(path, f"stored raw: {said[-1].removeprefix('fatal: ')}"))
            return {path: again.out.decode().strip()}
    account.left.append(LeftOut(path, "it changed while it was read", size=about.st_size, mtime=about.st_mtime))
    return {}


def _quoted(path: str) -> bytes:
    """A path for ``--stdin-paths``, which takes C quotes where a line could be misread."""
    name = os.fsencode(path)
    if not name.startswith(b'"') and not re.search(rb"[\n\r]", name):
        return name
    return b'"' + re.sub(rb'[\n\r"\\]', lambda found: b"\\%03o" % found.group()[0], name) + b'"'


def _give_up_filter(repo: GitRepo, path: str, account: Account) -> bool:
    """Switch off the filter of this file, whose program is not there; whether there was one."""
    out = repo.run("--literal-pathspecs", "check-attr", "-z", "filter", "--", path).out
    name = os.fsdecode(out.split(b"\0")[2])
    if name in ("unspecified", "unset", "set") or f"filter.{name}.clean=" in account.options:
        return False
    account.options += switched_off(name)
    account.warnings.append(f"the filter {name} does not work here: the files that it is for were stored raw")
    return True
