"""The one gate to git: plumbing commands through GitPython as the driver of the git binary, and nothing else of it.

Every call has a fixed argument list, a scrubbed environment and no hooks. What a caller names (a revision, a path) goes
behind ``--end-of-options`` or ``--``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # else `import git` raises where git is not on the PATH

from git.cmd import Git

from snaprun.errors import CannotCreate, DataFault, Denied, SnaprunError, Unavailable, WriteFault
from snaprun.locate import LOCAL_ENV, Place

SAFE = [
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.splitIndex=false",
    "-c",
    "core.safecrlf=false",
    "-c",
    "core.fsync=committed",
    "-c",
    "gc.auto=0",
    "-c",
    "maintenance.auto=false",
    "-c",
    "submodule.recurse=false",
    "-c",
    "color.ui=false",
    "-c",
    "core.quotePath=false",
    "-c",
    "protocol.ext.allow=never",
    "-c",
    "advice.detachedHead=false",
]
"""Options of every call: no hook fires, no daemon answers, no helper of the user's configuration changes the bytes."""

IDENTITY = {"GIT_COMMITTER_NAME": "snaprun", "GIT_COMMITTER_EMAIL": "snaprun@localhost"}


@dataclass(frozen=True)
class Answer:
    """What a git command gave: exit code, raw output, and the error text."""

    code: int
    out: bytes
    err: str


@dataclass(frozen=True)
class TreeEntry:
    """One line of ``ls-tree -r``: ``path`` relative to the tree, decoded as the file system does."""

    mode: str
    kind: str
    oid: str
    path: str


class GitRepo:
    """Git in one repository. Cheap to make; holds no child process; not shared by threads."""

    def __init__(self, place: Place, *, env: Mapping[str, str] | None = None) -> None:
        self.place = place
        self._extra = dict(env or {})
        self._driver = Git(str(place.top))

    def run(
        self,
        *args: str,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        index: Path | None = None,
        work_tree: Path | None = None,
        options: Sequence[str] = (),
        ok: Sequence[int] = (0,),
    ) -> Answer:
        """Run ``git <args>`` and return what it gave.

        ``index`` and ``work_tree`` point it at a private index and at another checkout; ``options`` are further global
        options. An exit code outside ``ok`` raises (an empty ``ok`` accepts any).

        Raises:
            SnaprunError: the kind that fits what git said.
        """
        tree = work_tree or self.place.top
        settings = {
            "GIT_DIR": str(self.place.git_dir),
            "GIT_WORK_TREE": str(tree),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            **self._extra,
            **(env or {}),
        }
        if index is not None:
            settings["GIT_INDEX_FILE"] = str(index)
        command = [*_scrub(settings), "git", *SAFE, *options, *args]
        driver = self._driver if tree == self.place.top else Git(str(tree))
        with _as_stdin(stdin) as source:
            code, out, err = cast(Any, driver.execute)(
                command,
                istream=source,
                env=settings,
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
            )
        answer = Answer(int(code), _bytes(out), os.fsdecode(err))
        if ok and code not in ok:
            raise failure(args, answer)
        return answer

    def text(self, *args: str, index: Path | None = None, stdin: bytes | None = None) -> str:
        """The output of a command as text, without its last newline."""
        return os.fsdecode(self.run(*args, index=index, stdin=stdin).out.removesuffix(b"\n"))

    def resolve(self, revision: str) -> str | None:
        """The object id of a commit named by ``revision``, or None."""
        found = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", ok=())
        return found.out.decode().strip() if found.code == 0 else None

    def head(self) -> str | None:
        """The commit that HEAD stands at, or None on an unborn branch."""
        return self.resolve("HEAD")

    def blob(self, revision: str, path: str) -> bytes | None:
        """The content of ``path`` in a commit or tree, or None where it has none."""
        found = self.run("cat-file", "blob", f"{revision}:{path}", ok=())
        return found.out if found.code == 0 else None

    def blobs(self, names: Iterable[str]) -> Iterator[bytes | None]:
        """The contents of many objects (``<oid>`` or ``<commit>:<path>``, no newlines) through one child process."""
        asked = list(names)
        out = self.run(
            "cat-file", "--batch", stdin="".join(f"{name}\n" for name in asked).encode("utf-8", "surrogateescape")
        ).out
        start = 0
        for _ in asked:
            end = out.index(b"\n", start)
            head = out[start:end]
            start = end + 1
            if head.endswith((b" missing", b" ambiguous")):
                yield None
                continue
            size = int(head.rsplit(b" ", 1)[1])
            yield out[start : start + size]
            start += size + 1

    def tree(self, revision: str, *, under: str = "") -> list[TreeEntry]:
        """Every blob, link and submodule of a commit or tree, at any depth, below the folder ``under`` if given."""
        paths = ("--", under) if under else ()
        out = self.run("--literal-pathspecs", "ls-tree", "-r", "-z", "--full-tree", revision, *paths).out
        entries = []
        for line in out.split(b"\0")[:-1]:
            fields, path = line.split(b"\t", 1)
            mode, kind, oid = fields.decode().split(" ")
            entries.append(TreeEntry(mode, kind, oid, os.fsdecode(path)))
        return entries

    def write_blob(self, data: bytes) -> str:
        """Store ``data`` exactly as it is, and return its object id."""
        return self.run("hash-object", "-w", "--no-filters", "--stdin", stdin=data).out.decode().strip()

    def write_blobs(self, contents: Mapping[str, bytes], folder: Path) -> dict[str, str]:
        """Store many contents exactly as they are, through one child process; ``folder`` is an empty one of ours."""
        for number, data in enumerate(contents.values()):
            (folder / str(number)).write_bytes(data)
        names = "".join(f"{folder}/{number}\n" for number in range(len(contents))).encode("utf-8", "surrogateescape")
        out = self.run("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=names).out
        return dict(zip(contents, out.decode().split(), strict=True))

    def make_tree(self, entries: bytes) -> str:
        """Make a tree of ``entries``, in the form that ``ls-tree -z`` gives and in any order."""
        return self.run("mktree", "-z", "--missing", stdin=entries).out.decode().strip()

    def empty_tree(self) -> str:
        """The id of the empty tree, which depends on the repository's hash."""
        return self.run("hash-object", "-t", "tree", "--stdin", stdin=b"").out.decode().strip()

    def entry(self, tree: str, path: str) -> str | None:
        """The object id at ``path`` of a tree or commit, or None."""
        found = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{tree}:{path}", ok=())
        return found.out.decode().strip() if found.code == 0 else None

    def branch(self) -> str | None:
        """The short name of the branch that HEAD is on, or None where it is detached."""
        found = self.run("symbolic-ref", "--quiet", "--short", "HEAD", ok=())
        return os.fsdecode(found.out).rstrip("\n") if found.code == 0 else None

    def missing(self, oids: Iterable[str]) -> list[str]:
        """Those of these objects that the repository does not have."""
        asked = "".join(f"{oid}\n" for oid in oids).encode()
        out = self.run("cat-file", "--batch-check", stdin=asked).out
        return [line.split(" ")[0] for line in out.decode().splitlines() if line.endswith(" missing")]

    def commit(self, tree: str, message: str, *, parents: Sequence[str], author: Mapping[str, str], date: str) -> str:
        """Make a commit object (no ref moves, no hook, no signature) and return its id.

        ``author`` holds ``GIT_AUTHOR_NAME`` and ``GIT_AUTHOR_EMAIL``; ``date`` is ``<seconds> <zone>``.
        """
        env = {**IDENTITY, **author, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        args = [arg for parent in parents for arg in ("-p", parent)]
        made = self.run(
            "commit-tree", tree, *args, "-F", "-", stdin=message.encode("utf-8", "surrogateescape"), env=env
        )
        return made.out.decode().strip()

    def move_ref(self, ref: str, new: str, old: str | None) -> None:
        """Move ``ref`` from ``old`` to ``new``, durably; ``old`` None means that it must not exist yet.

        Raises:
            SnaprunError: the ref is not where it was expected, or a hook vetoed.
        """
        line = f"create {ref}\0{new}\0" if old is None else f"update {ref}\0{new}\0{old}\0"
        self.run("update-ref", "--stdin", "-z", stdin=line.encode(), options=("-c", "core.fsync=committed,reference"))

    def delete_ref(self, ref: str, old: str) -> None:
        """Delete ``ref``, which must stand at ``old``."""
        self.run("update-ref", "--stdin", "-z", stdin=f"delete {ref}\0{old}\0".encode())

    def refs(self, prefix: str) -> dict[str, str]:
        """Every ref below ``prefix`` with the object id it stands at."""
        out = self.text("for-each-ref", "--format=%(objectname) %(refname)", prefix)
        return {name: oid for oid, name in (line.split(" ", 1) for line in out.splitlines())}

    def author(self) -> dict[str, str]:
        """The user's identity as environment for a commit; a stand-in where git has none."""
        found = self.run("var", "GIT_AUTHOR_IDENT", ok=())
        ident = found.out.decode("utf-8", "replace").strip()
        if found.code != 0 or "<" not in ident:
            return {"GIT_AUTHOR_NAME": "snaprun user", "GIT_AUTHOR_EMAIL": "user@localhost"}
        name, rest = ident.split("<", 1)
        return {"GIT_AUTHOR_NAME": name.strip() or "snaprun user", "GIT_AUTHOR_EMAIL": rest.split(">", 1)[0]}


def failure(args: Sequence[str], answer: Answer) -> SnaprunError:
    """The error that fits what git said."""
    said = answer.err.strip()
    last = said.splitlines()[-1] if said else f"exit code {answer.code}"
    text = f"git {args[0]} failed: {last}"
    if "No space left" in said or "Disk quota exceeded" in said:
        return WriteFault(text, hint="free some disk space, then try again")
    if "Read-only file system" in said:
        return CannotCreate(text, hint="the repository is read-only: clone it to where you can write")
    if "Permission denied" in said or "insufficient permission" in said or "dubious ownership" in said:
        return Denied(text, hint="ls -ld .git .git/objects shows who may write there")
    if "unable to create" in said or "cannot lock ref" in said:
        return CannotCreate(text, hint="git status, git fsck")
    if "bad object" in said or "corrupt" in said or "not a valid object" in said:
        return DataFault(text, hint="git fsck")
    return Unavailable(text, hint="git status, git fsck")


def _scrub(settings: Mapping[str, str]) -> list[str]:
    """The prefix that takes inherited variables away: GitPython can add to the environment, but not remove from it."""
    inherited = [
        name
        for name in os.environ
        if (name in LOCAL_ENV or name.startswith(("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_"))) and name not in settings
    ]
    return ["env", *(part for name in inherited for part in ("-u", name))] if inherited else []


@contextmanager
def _as_stdin(data: bytes | None) -> Iterator[BinaryIO | None]:
    """A file that holds ``data`` for a child's standard input; nothing where there is no data."""
    if data is None:
        yield None
        return
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        yield cast(BinaryIO, file)


def _bytes(out: str | bytes) -> bytes:
    return out if isinstance(out, bytes) else out.encode()
