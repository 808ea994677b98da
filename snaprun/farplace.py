"""The place of runs that come from another machine: a repository in a folder, with the data that lies there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from snaprun import interpreter, kernels
from snaprun.errors import CannotCreate, Denied, Unavailable
from snaprun.gitrepo import GitRepo
from snaprun.interpreter import Chosen
from snaprun.kernels import Kernel
from snaprun.links import PRIVATE
from snaprun.locate import Place, around, clean_env
from snaprun.model import RunSpec


def found(path: Path, env: Mapping[str, str]) -> Place:
    """The repository in a folder, which may be a bare one.

    Raises:
        Unavailable: there is none. Denied: git refuses it.
    """
    path = path.expanduser()
    try:
        place = around(path, env)
        if os.path.realpath(place.top) == os.path.realpath(path):
            return place
    except Unavailable as error:
        if "bare" not in error.message:
            raise
        return _bare(path)
    raise Unavailable(f"{path} lies in the repository {place.top}", hint=f"--on with the folder {place.top}")


def made(path: Path, hash_name: str, env: Mapping[str, str]) -> Place:
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
        if not (path / ".git").exists() and not (path / "HEAD").exists():
            command = ["git", "init", "--quiet", f"--object-format={hash_name}", "--", os.fspath(path)]
            subprocess.run(command, env=clean_env(env), check=True, capture_output=True)
    except PermissionError as error:
        raise Denied(f"cannot make {path}: {error.strerror}", hint="--on with a folder that you may write") from error
    except FileNotFoundError as error:
        raise Unavailable("git is not installed there", hint="install git 2.31 or newer there") from error
    except OSError as error:
        raise CannotCreate(f"cannot make {path}: {error.strerror}", hint="df -h") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip()
        raise CannotCreate(f"git init {path}: {said}", hint="ls -ld, df -h") from error
    place = found(path, env)
    there = GitRepo(place).hash_name()
    if there != hash_name:
        raise Unavailable(f"the repository {path} has {there} objects, not {hash_name}", hint="--on another folder")
    return place


def chosen(
    place: Place, spec: RunSpec, *, kernel: str | None, python: str | None, env: Mapping[str, str]
) -> tuple[Kernel | None, str | None]:
    """Kernel and interpreter for a run on this machine, as the near side would choose them there.

    Raises:
        Unavailable: there is none, or ipykernel is missing; with the command that installs it.
    """
    available = kernels.specs(env)
    picked = None
    if spec.language == "python" or python is not None:
        named = available.get((spec.kernel or "").lower())
        folder = place.top / Path(spec.notebook).parent
        own = named.python if named else None
        picked = interpreter.choose_python(python, env=env, top=place.top, folder=folder, kernel=own)
        available = kernels.specs(env, [os.fspath(Path(picked.python).parent.parent)])
    if spec.engine != "kernel":
        return None, picked.python if picked else None
    used, _ = kernels.choose(
        available, asked=kernel, named=spec.kernel, language=spec.language, python=picked.python if picked else None
    )
    if used.python is not None:
        same = picked is not None and picked.python == used.python
        interpreter.require(picked if same and picked else Chosen(used.python, used.name), env=env)
    return used, used.python or (picked.python if picked else None)


def python_of(asked: str, place: Place, env: Mapping[str, str]) -> str:
    """The interpreter that was asked for. Raises Unavailable where there is none."""
    return interpreter.choose_python(asked, env=env, top=place.top, folder=place.top).python


def lay_data(repo: GitRepo, run: str) -> list[str]:
    """What lies in the folder and not in the snapshot, as paths to link into the checkout.

    In a clone of the project git itself tells data from code by ``.gitignore``; in a folder that has nothing checked
    out, everything is data.
    """
    if repo.head() is not None:
        return []
    files = {entry.path for entry in repo.tree(run)}
    folders = {parent.as_posix() for path in files for parent in Path(path).parents}
    return list(_beside(repo.place.top, "", files, folders))


def _beside(top: Path, inner: str, files: set[str], folders: set[str]) -> Iterator[str]:
    for name in sorted(os.listdir(top / inner)):
        path = f"{inner}/{name}" if inner else name
        if name in PRIVATE or path in files:
            continue
        if path in folders and (top / path).is_dir():
            yield from _beside(top, path, files, folders)
        else:
            yield path


def _bare(path: Path) -> Place:
    """A bare repository, with an empty folder in its state for the work tree that it has not."""
    top = path / "snaprun" / "top"
    try:
        top.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotCreate(f"cannot make {top}: {error.strerror}", hint=f"ls -ld {path}") from error
    return Place(top=top, git_dir=path, common_dir=path, index=path / "index")
