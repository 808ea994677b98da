"""Find or make the repository in a folder for runs that come from another machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from snaprun import settings
from snaprun.context import Context
from snaprun.errors import CannotCreate, Denied, Unavailable, os_fault
from snaprun.git.locate import Place, clean_env, find_enclosing, make_private
from snaprun.index import runlist
from snaprun.index.runlist import IndexGap, Reader


def find_place(path: Path, env: Mapping[str, str]) -> Place:
    """The repository in a folder, which may be a bare one.

    Raises:
        Unavailable: there is none. Denied: git refuses it.
    """
    path = path.expanduser()
    try:
        place = find_enclosing(path, env)
        if os.path.realpath(place.top) == os.path.realpath(path):
            return place
    except Unavailable as error:
        if "bare" not in error.message:
            raise
        return _bare_place(path)
    raise Unavailable(f"{path} lies in the repository {place.top}", hint=f"--on with the folder {place.top}")


def ensure_place(path: Path, hash_name: str, env: Mapping[str, str]) -> Place:
    """The repository in a folder; both are made where there is none. Nothing is ever checked out into the folder: what
    lies in it is data for the runs.

    Raises:
        SnaprunError: it cannot be made, or has another hash than the runs have.
    """
    path = path.expanduser()
    if not path.is_absolute():
        raise Unavailable(f"{path} is no absolute path", hint="--on ssh://host/absolute/path or ssh://host/~/path")
    try:
        path.mkdir(parents=True, exist_ok=True)
        has_repository = (path / ".git").exists() or (path / "HEAD").exists()
    except PermissionError as error:
        raise Denied(f"cannot make {path}: {error.strerror}", hint="--on with a folder that you may write") from error
    except OSError as error:
        raise os_fault(error, f"cannot make {path}", path.parent, otherwise=CannotCreate) from error
    if not has_repository:
        _init(path, hash_name, env)
    place = find_place(path, env)
    command = ["git", f"--git-dir={place.git_dir}", "rev-parse", "--show-object-format"]
    object_format = subprocess.run(
        command, env=clean_env(env), check=False, capture_output=True, text=True
    ).stdout.strip()
    if object_format != hash_name:
        raise Unavailable(
            f"the repository {path} has {object_format} objects, not {hash_name}", hint="--on another folder"
        )
    return place


def _init(path: Path, hash_name: str, env: Mapping[str, str]) -> None:
    """Make a repository that takes what a shallow clone has as well: nobody has a history here that it would cut."""
    git = ["git", "-C", os.fspath(path)]
    for command in (
        [*git, "init", "--quiet", f"--object-format={hash_name}"],
        [*git, "config", "receive.shallowUpdate", "true"],
    ):
        try:
            subprocess.run(command, env=clean_env(env), check=True, capture_output=True)
        except FileNotFoundError as error:
            raise Unavailable("git is not installed there", hint="install git 2.31 or newer there") from error
        except subprocess.CalledProcessError as error:
            message = error.stderr.decode("utf-8", "replace").strip()
            raise CannotCreate(f"git init {path}: {message}", hint="ls -ld, df -h") from error


def far_context(place: Place, env: Mapping[str, str]) -> Context:
    """The repository with the settings of this machine."""
    return Context(place=place, settings=settings.load(place, env), cwd=place.top, env=env)


@contextmanager
def open_reader(context: Context) -> Iterator[Reader | None]:
    """The index of this machine as it is; None where there is none that could be read."""
    url = context.settings.index_url
    try:
        if runlist.sqlite_path(context.place.state, url) is None:
            from snaprun.index import reindex  # SQLAlchemy: where the index is another database

            yield reindex.reader(context)
            return
        reader = runlist.connect(context.place.state, url)
    except IndexGap:
        yield None
        return
    with reader:
        yield reader


def _bare_place(path: Path) -> Place:
    """A bare repository, with an empty folder in its state for the work tree that it has not."""
    top = path / "snaprun" / "top"
    try:
        make_private(top)
    except OSError as error:
        raise os_fault(error, f"cannot make {top}", path, otherwise=CannotCreate) from error
    return Place(top=top, git_dir=path, common_dir=path, index=path / "index")
