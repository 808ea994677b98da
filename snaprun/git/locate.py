"""Find the repository that a path belongs to, and snaprun's state folder in it, with one child process.

Standard library only: the hot reads and the hook start here.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from snaprun.errors import Denied, Unavailable

MIN_GIT = (2, 31)
"""``rev-parse --path-format`` came with git 2.31."""

LOCAL_ENV = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
    "GIT_QUARANTINE_PATH",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_EXTERNAL_DIFF",
    "GIT_DIFF_OPTS",
    "GIT_TRACE",
    "GIT_TRACE2",
    "GIT_TRACE2_EVENT",
    "GIT_EDITOR",
    "GIT_SEQUENCE_EDITOR",
    "GIT_REFLOG_ACTION",
    "GIT_ASKPASS",
    "GIT_DEFAULT_HASH",
    "GIT_INDEX_VERSION",
    "GIT_OPTIONAL_LOCKS",
]
"""What a calling hook or a user may have set and no git of ours, nor any run, may inherit.

``git rev-parse --local-env-vars`` (2.31 to 2.52) plus the variables that change what a plumbing command reads or
prints.
"""


LIVE_BACKUP = "snaprun-kept"
"""Beside the state folder: see :attr:`Place.live_backup`."""


@dataclass(frozen=True)
class Place:
    """A repository with a work tree, as absolute paths. ``index`` is the one that git would use here."""

    top: Path
    git_dir: Path
    common_dir: Path
    index: Path

    def to_json(self) -> dict[str, str]:
        """What :func:`read_place` takes."""
        return {name: os.fspath(path) for name, path in vars(self).items()}

    @property
    def state(self) -> Path:
        """Where snaprun keeps its files: shared by all linked worktrees of a repository."""
        return self.common_dir / "snaprun"

    @property
    def live(self) -> Path:
        """The folder of runs in progress."""
        return self.state / "live"

    @property
    def live_backup(self) -> Path:
        """The folder with second names of what lies in :attr:`live`: apart, so that it outlives the state folder."""
        return self.common_dir / LIVE_BACKUP

    @property
    def queue(self) -> Path:
        """The folder of the queue."""
        return self.state / "queue"

    @property
    def busy_file(self) -> Path:
        """There while runs wait in the queue or were started from it."""
        return self.queue / "busy.json"

    @property
    def searches(self) -> Path:
        """The folder of searches, one each."""
        return self.state / "searches"

    @property
    def search_marks(self) -> Path:
        """There while a search goes on: a file for each."""
        return self.state / "searching"

    @property
    def is_removed(self) -> bool:
        """Whether its work tree is gone: a place that :func:`recover_place` gave."""
        return self.top == self.common_dir


def recover_place(place: Place) -> Place:
    """What is left of a place that was written down earlier: its work tree may have been removed, or moved, meanwhile.

    The repository is enough to end a run and to serve the queue. There is no work tree in it then: git is called in
    the folder that linked work trees have in common.
    """
    if (place.git_dir.is_dir() and place.top.is_dir()) or not place.common_dir.is_dir():
        return place
    return Place(place.common_dir, place.common_dir, place.common_dir, place.common_dir / "index")


def read_place(data: Mapping[str, str]) -> Place:
    """A place from what :meth:`Place.to_json` gave, as it is now."""
    return recover_place(Place(**{name: Path(path) for name, path in data.items()}))


def make_private(folder: Path) -> None:
    """Make a folder and what lacks above it, all for the owner alone; ``mkdir(parents=True)`` opens those above to all.

    Raises:
        OSError: one of them cannot be made.
    """
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def is_local(name: str) -> bool:
    """Whether a variable would point git at another repository or change what it reads."""
    return name in LOCAL_ENV or name.startswith(("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_"))


def clean_env(env: Mapping[str, str]) -> dict[str, str]:
    """``env`` without what would point git at another repository or change what it reads."""
    return {name: value for name, value in env.items() if not is_local(name)}


def find(start: Path, env: Mapping[str, str]) -> Place:
    """The repository that git would use in ``start`` with this environment, which in a hook names the staged index.

    It is asked without setting ``GIT_DIR``, which would get round git's own safety checks.

    Raises:
        Unavailable: no git on the PATH, git older than 2.31, no repository here, or a bare one.
        Denied: git refuses the folder (``safe.directory``); its own advice is passed on.
    """
    return _ask(start, env)


def find_enclosing(start: Path, env: Mapping[str, str]) -> Place:
    """The repository that the folder ``start`` lies in, whatever a calling hook has set.

    A hook's ``GIT_DIR`` and ``GIT_INDEX_FILE`` may belong to another repository than the notebook's (prek#2505); they
    count only where the folder is in none.

    Raises:
        Unavailable, Denied: as :func:`find`.
    """
    own_env = {name: value for name, value in env.items() if not is_local(name) or name.startswith("GIT_CONFIG")}
    try:
        return _ask(start, own_env)
    except Unavailable:
        if "GIT_DIR" not in env:
            raise
    return _ask(start, env)


def _ask(start: Path, env: Mapping[str, str]) -> Place:
    questions = [("--show-toplevel",), ("--absolute-git-dir",), ("--git-common-dir",), ("--git-path", "index")]
    answer = _rev_parse(start, env, *(word for question in questions for word in question))
    lines = answer.split(b"\n")
    if len(lines) != len(questions):  # a folder with a newline in its name: ask for one at a time
        lines = [_rev_parse(start, env, *question) for question in questions]
    top, git_dir, common_dir, index = (Path(os.fsdecode(line)) for line in lines)
    return Place(top=top, git_dir=git_dir, common_dir=common_dir, index=index)


def _rev_parse(start: Path, env: Mapping[str, str], *args: str) -> bytes:
    command = ["git", "rev-parse", "--path-format=absolute", *args]
    try:
        process = subprocess.run(
            command, cwd=start, env={**env, "LC_ALL": "C"}, capture_output=True, stdin=subprocess.DEVNULL, check=False
        )
    except FileNotFoundError as error:
        if not start.is_dir():
            raise Unavailable(f"there is no folder {start}", hint="call snaprun in a folder that exists") from error
        raise Unavailable("git is not on the PATH", hint="install git 2.31 or newer, then try again") from error
    if process.stdout.startswith(b"--path-format"):  # before 2.31, rev-parse repeats what it does not know
        raise Unavailable("this git is too old", hint="install git 2.31 or newer, then try again")
    if process.returncode == 0:
        return process.stdout.removesuffix(b"\n")
    raise _refusal(start, process.stderr.decode("utf-8", "replace"))


def _refusal(start: Path, stderr: str) -> Unavailable | Denied:
    """Turn git's refusal into ours."""
    if "dubious ownership" in stderr or "safe.directory" in stderr:
        advice = next((line.strip() for line in stderr.splitlines() if "git config" in line), "git config --help")
        return Denied(f"git refuses {start}: it belongs to another user", hint=advice)
    if "must be run in a work tree" in stderr:
        return Unavailable(f"{start} is in a bare repository or inside .git", hint="clone it, and call snaprun there")
    if "not a git repository" in stderr:
        return Unavailable(f"{start} is not in a git repository", hint="git init")
    return Unavailable(f"git rev-parse failed: {stderr.strip()}", hint="git status")
