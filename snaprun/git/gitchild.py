"""Hold a git command under way, take its answer or let it go, and turn its failure into an error of ours."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from snaprun.errors import CannotCreate, DataFault, Denied, SnaprunError, Unavailable, WriteFault
from snaprun.git.objects import GitObject

CAUSES = ("No space left", "Disk quota exceeded", "File name too long", "Read-only file system", "Permission denied")
"""What the system says of a fault; git may say more after it."""


@dataclass(frozen=True)
class Answer:
    """What a git command gave: exit code, raw output, and the error text."""

    code: int
    out: bytes
    err: str


class GitChild:
    """A git command under way: a context that holds a process until :meth:`finish` or its end."""

    def __init__(self, args: Sequence[str], process: Any, stdin: bytes | None = None) -> None:
        self._args = args
        self._process = process
        self._stdin = stdin

    def finish(self, *, stdin: bytes | None = None, ok: Sequence[int] = (0,)) -> Answer:
        """Wait for the end and return what the command gave; raises as :meth:`snaprun.git.gitrepo.GitRepo.run`."""
        out, err = self._process.communicate(self._stdin if stdin is None else stdin)
        answer = Answer(int(self._process.returncode), out, err.decode("utf-8", "surrogateescape"))
        if ok and answer.code not in ok:
            raise failure(self._args, answer)
        return answer

    def read_object(self, name: str) -> GitObject | None:
        """The object of this name (no newline in it) from a ``cat-file --batch``, or None."""
        pipe = self._process
        pipe.stdin.write(os.fsencode(name) + b"\n")
        pipe.stdin.flush()
        head = pipe.stdout.readline().decode("utf-8", "replace").rstrip("\n")
        oid, _, kind_and_size = head.partition(" ")
        kind, _, size = kind_and_size.partition(" ")
        if not size.isdigit():
            return None
        data = pipe.stdout.read(int(size))
        pipe.stdout.read(1)
        return GitObject(kind, data, oid)

    def end(self) -> None:
        """Let the command go, if it is still there: nothing that it would still say is wanted."""
        process = self._process.proc
        if process.returncode is None:
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
            process.terminate()
            process.wait()

    def __enter__(self) -> GitChild:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def failure(args: Sequence[str], answer: Answer) -> SnaprunError:
    """The error that fits what git said."""
    stderr = answer.err.strip()
    lines = stderr.splitlines() or [f"exit code {answer.code}"]
    text = f"git {args[0]} failed: {next((line for line in lines if any(word in line for word in CAUSES)), lines[-1])}"
    if out_of_space(stderr):
        return WriteFault(text, hint="free some disk space, then try again")
    if "File name too long" in stderr:
        return CannotCreate(text, hint="snaprun exec --in-place runs in your own tree, where the name fits")
    if "Read-only file system" in stderr:
        return CannotCreate(text, hint="the repository is read-only: clone it to where you can write")
    if "Permission denied" in stderr or "insufficient permission" in stderr or "dubious ownership" in stderr:
        return Denied(text, hint="ls -ld .git .git/objects shows who may write there")
    if "unable to create" in stderr or "cannot lock ref" in stderr:
        return CannotCreate(text, hint="git status, git fsck")
    if "bad object" in stderr or "corrupt" in stderr or "not a valid object" in stderr:
        return DataFault(text, hint="git fsck")
    return Unavailable(text, hint="git status, git fsck")


def out_of_space(stderr: str) -> bool:
    """Whether git's complaint means a full disk."""
    return "No space left" in stderr or "Disk quota exceeded" in stderr
