"""Run plumbing commands by GitPython as the driver of the git binary: the one gate to git, but for the hook's own.

Every call has a fixed argument list, a scrubbed environment and no hooks. What a caller names (a revision, a path) goes
behind ``--end-of-options`` or ``--``.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # else `import git` raises where git is not on the PATH

from git.cmd import Git

from snaprun import files
from snaprun.errors import SnaprunError
from snaprun.git.gitchild import Answer, GitChild
from snaprun.git.locate import Place, find_enclosing, is_local
from snaprun.git.objects import GitObject, algorithm, pack

SAFE_OPTIONS = [
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
    *(
        part
        for event in ("reference-transaction", "post-index-change", "post-checkout", "pre-auto-gc")
        for part in ("-c", f"hook.{event}.enabled=false")  # git 2.54: hooks of the configuration have no path
    ),
]
"""Options of every call: no hook fires, no daemon answers, no helper of the user's configuration changes the bytes."""

DEFERRED_FSYNC = ("-c", "core.fsync=pack,pack-metadata,reference")
"""For commands that write many loose objects, which :meth:`GitRepo.flush` then takes to the disk together."""

SYNC_THREADS = 32
"""Files whose way to the disk is awaited at a time: the system answers together those that wait together."""

REF_FSYNC = ("-c", "core.fsync=committed,reference")
"""For moving a ref."""


@dataclass(frozen=True)
class PathEntry:
    """One line of ``ls-tree -r``: ``path`` relative to the tree, decoded as the file system does."""

    mode: str
    kind: str
    oid: str
    path: str


class GitRepo:
    """Git in one repository. Cheap to make; holds no child process; not shared by threads."""

    def __init__(self, place: Place, *, env: Mapping[str, str] | None = None, lock: int | None = None) -> None:
        """``lock`` is a descriptor that every child keeps open (as its standard input), and with it a lock on it."""
        self.place = place
        self._lock = lock
        self._env = dict(env or {})
        self._driver = Git(str(place.top))
        self._author: str | None = None

    def start(
        self,
        *args: str,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        index: Path | None = None,
        work_tree: Path | None = None,
        options: Sequence[str] = (),
        stdin_pipe: bool = False,
    ) -> GitChild:
        """Start ``git <args>`` and go on meanwhile, as in run; ``stdin_pipe`` keeps its standard input open."""
        tree = work_tree or self.place.top
        variables = {
            "GIT_DIR": str(self.place.git_dir),
            "GIT_WORK_TREE": str(tree),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            **self._env,
            **(env or {}),
        }
        if index is not None:
            variables["GIT_INDEX_FILE"] = str(index)
        command = [*_scrub(variables), "git", *SAFE_OPTIONS, *options, *args]
        driver = self._driver if tree == self.place.top else Git(str(tree))
        source = subprocess.PIPE if stdin_pipe or stdin is not None else self._lock
        process = cast(Any, driver.execute)(command, istream=source, env=variables, as_process=True)
        return GitChild(args, process, stdin)

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
        with self.start(*args, stdin=stdin, env=env, index=index, work_tree=work_tree, options=options) as child:
            return child.finish(ok=ok)

    @contextmanager
    def object_reader(self) -> Iterator[Callable[[str], GitObject | None]]:
        """One child process that answers for any object, as long as the block lasts."""
        with self.start("cat-file", "--batch", stdin_pipe=True) as child:
            yield child.read_object

    def text(self, *args: str, index: Path | None = None, stdin: bytes | None = None) -> str:
        """The output of a command as text, without its last newline."""
        return os.fsdecode(self.run(*args, index=index, stdin=stdin).out.removesuffix(b"\n"))

    def resolve(self, revision: str) -> str | None:
        """The object id of a commit named by ``revision``, or None."""
        answer = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", ok=())
        return answer.out.decode().strip() if answer.code == 0 else None

    def head(self) -> str | None:
        """The commit that HEAD stands at, or None on an unborn branch."""
        return self.resolve("HEAD")

    def blob(self, revision: str, path: str) -> bytes | None:
        """The content of ``path`` in a commit or tree, or None where it has none."""
        answer = self.run("cat-file", "blob", f"{revision}:{path}", ok=())
        return answer.out if answer.code == 0 else None

    def blobs(self, names: Iterable[str]) -> Iterator[bytes | None]:
        """The contents of many objects (``<oid>`` or ``<commit>:<path>``), in their order, through one child process.

        Only a name with a newline in it needs one of its own.
        """
        object_names = list(names)
        lines = "".join(f"{name}\n" for name in object_names if "\n" not in name)
        out = self.run("cat-file", "--batch", stdin=lines.encode("utf-8", "surrogateescape")).out
        start = 0
        for name in object_names:
            if "\n" in name:
                yield self.blob(*name.split(":", 1))
                continue
            end = out.index(b"\n", start)
            head = out[start:end]
            start = end + 1
            if head.endswith((b" missing", b" ambiguous")):
                yield None
                continue
            size = int(head.rsplit(b" ", 1)[1])
            yield out[start : start + size]
            start += size + 1

    def tree(self, revision: str, *, under: str = "") -> list[PathEntry]:
        """Every blob, link and submodule of a commit or tree, at any depth, below the folder ``under`` if given."""
        paths = ("--", under) if under else ()
        out = self.run("--literal-pathspecs", "ls-tree", "-r", "-z", "--full-tree", revision, *paths).out
        entries = []
        for line in out.split(b"\0")[:-1]:
            fields, path = line.split(b"\t", 1)
            mode, kind, oid = fields.decode().split(" ")
            entries.append(PathEntry(mode, kind, oid, os.fsdecode(path)))
        return entries

    def hash_name(self) -> str:
        """The hash of the repository: sha1 or sha256."""
        return self.text("rev-parse", "--show-object-format")

    def open_submodule(self, path: str) -> GitRepo | None:
        """The repository of the submodule at ``path``, or None where there is none to open."""
        try:
            place = find_enclosing(self.place.top / path, os.environ)
        except SnaprunError:
            return None
        return GitRepo(place) if place.git_dir != self.place.git_dir else None

    def ingest(self, objects: Sequence[GitObject]) -> None:
        """Store objects made in memory; git checks each. They are on disk for certain only after :meth:`flush`."""
        algorithm_name = algorithm(objects[0].oid)
        self.run("unpack-objects", "-q", stdin=pack(objects, algorithm_name), options=DEFERRED_FSYNC)

    def flush(self, oids: Iterable[str]) -> None:
        """Make new loose objects outlive a power cut.

        Git's own ``core.fsync`` waits for each in turn (10 ms on an ordinary disk), and its batch mode of 2.37 leaves
        out ``hash-object``. Measured on ext4 under load, 100 files: 300 ms one after another, 25 ms by 32 threads.
        """
        handles = []
        for oid in oids:
            with suppress(FileNotFoundError):  # it came in a pack or from an alternate: there before us
                handles.append(os.open(self.place.common_dir / "objects" / oid[:2] / oid[2:], os.O_RDONLY))
        sync_together(handles)

    def find_missing(self, oids: Iterable[str]) -> list[str]:
        """Those of these objects that the repository does not have; git is asked only for what is not a loose file."""
        objects = os.path.join(self.place.common_dir, "objects")
        candidates = [oid for oid in oids if not os.path.exists(f"{objects}/{oid[:2]}/{oid[2:]}")]
        if not candidates:
            return []
        out = self.run("cat-file", "--batch-check", stdin="".join(f"{oid}\n" for oid in candidates).encode()).out
        return [line.split(" ")[0] for line in out.decode().splitlines() if line.endswith(" missing")]

    def start_ref_update(self) -> GitChild:
        """An ``update-ref`` that waits for :meth:`move_ref`."""
        return self.start("update-ref", "--stdin", "-z", options=REF_FSYNC, stdin_pipe=True)

    def move_ref(self, ref: str, new: str, old: str | None, *, mover: GitChild | None = None) -> None:
        """Move ``ref`` from ``old`` to ``new``, durably; ``old`` None means that it must not exist yet.

        Raises:
            SnaprunError: the ref is not where it was expected, or a hook vetoed.
        """
        line = f"create {ref}\0{new}\0" if old is None else f"update {ref}\0{new}\0{old}\0"
        with mover or self.start_ref_update() as child:
            child.finish(stdin=line.encode())
        self.fsync_refs(ref)

    def fsync_refs(self, ref: str) -> None:
        """Make what was done to the refs beside ``ref`` outlive a power cut: git syncs a file, and then renames it."""
        folder = (self.place.common_dir / ref).parent
        if folder.is_dir():
            files.sync_folder(folder)

    def delete_ref(self, ref: str, old: str) -> None:
        """Delete ``ref``, which must stand at ``old``."""
        self.run("update-ref", "--stdin", "-z", stdin=f"delete {ref}\0{old}\0".encode())

    def refs(self, prefix: str) -> dict[str, str]:
        """Every ref below ``prefix`` with the object id it stands at."""
        out = self.text("for-each-ref", "--format=%(objectname) %(refname)", prefix)
        return {name: oid for oid, name in (line.split(" ", 1) for line in out.splitlines())}

    @contextmanager
    def author_lookup(self) -> Iterator[Callable[[], str]]:
        """``Name <address>`` of the user, asked once, while other work goes on: call what this gives to have it."""

        def read_author() -> str:
            if self._author is None:
                self._author = parse_author(child.finish(ok=()))
            return self._author

        if self._author is not None:
            yield read_author
            return
        with self.start("var", "GIT_AUTHOR_IDENT") as child:
            yield read_author


def join_paths(paths: Iterable[str]) -> bytes:
    """Paths as git takes them by ``-z --stdin``."""
    return b"".join(os.fsencode(path) + b"\0" for path in paths)


def split_paths(data: bytes) -> list[str]:
    """Paths as git gives them with ``-z``, and as :func:`join_paths` does."""
    return [os.fsdecode(path) for path in data.split(b"\0")[:-1]]


def sync_together(handles: Sequence[int]) -> None:
    """Wait until the content of open files is on the disk, and close them: the disk is told of all, then awaited."""
    try:
        for handle in handles:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        with ThreadPoolExecutor(SYNC_THREADS) as pool:
            list(pool.map(getattr(os, "fdatasync", os.fsync), handles))
    finally:
        for handle in handles:
            os.close(handle)


def parse_author(answer: Answer) -> str:
    """``Name <address>`` from what ``git var GIT_AUTHOR_IDENT`` gave; a stand-in where git knows none."""
    name, _, address = os.fsdecode(answer.out).strip().partition("<")
    if answer.code != 0 or not address:
        return "snaprun user <user@localhost>"
    return f"{name.strip() or 'snaprun user'} <{address.split('>', 1)[0]}>"


def _scrub(variables: Mapping[str, str]) -> list[str]:
    """The prefix that takes inherited variables away: GitPython can add to the environment, but not remove from it."""
    names = [name for name in os.environ if is_local(name) and name not in variables]
    return ["env", *(part for name in names for part in ("-u", name))] if names else []
