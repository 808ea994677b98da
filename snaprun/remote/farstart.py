"""Start runs that come from another machine: make their place ready, claim them, launch them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from snaprun import __version__, records
from snaprun.checkouts.links import PRIVATE
from snaprun.engines import ENGINES
from snaprun.errors import CannotCreate, DataFault, SnaprunError, Unavailable, UsageFault
from snaprun.git import lfs
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import Place
from snaprun.git.sync import INCOMING
from snaprun.launchers import local
from snaprun.lifecycle import rundocument
from snaprun.live import livefolder
from snaprun.live.order import Order
from snaprun.model import RUN_REF, RunSpec, Snapshot
from snaprun.notebooks import interpreter, kernels
from snaprun.notebooks.interpreter import Chosen
from snaprun.notebooks.kernels import Kernel
from snaprun.remote import farplace
from snaprun.remote.far import Answer


def ready(ask: Mapping[str, Any]) -> Answer:
    """Make sure that runs can be started in a folder: a repository is made there if there is none."""
    place = farplace.made(Path(ask["path"]), ask["hash"], os.environ)
    missing = [path for path in ask.get("data", {}).values() if not Path(path).expanduser().exists()]
    if missing:
        raise Unavailable(f"{socket.gethostname()} has no {missing[0]}", hint=f"--data NAME=FOLDER (not {missing[0]})")
    if ask.get("python"):
        python_of(ask["python"], place, os.environ)
    after = ask.get("after")
    if after and not GitRepo(place).refs(RUN_REF + after):
        text = f"{socket.gethostname()} has no run {after[:8]}: a run waits for another one of the same folder"
        raise UsageFault(text, hint="leave --after out, or --on where that run is")
    absent = [name for name in ask.get("wanted", ()) if not os.path.lexists(place.top / name)]
    about = {"host": socket.gethostname(), "repository": os.fspath(place.git_dir), "absent": absent}
    about["pointers"] = [oid for oid in ask.get("large", ()) if not lfs.kept(place.common_dir, oid)]
    return {**about, "version": __version__}, []


def start(ask: Mapping[str, Any]) -> Answer:
    """Claim a run that was pushed here, and start it; one that is claimed already goes on as it is."""
    place = farplace.found(Path(ask["path"]), os.environ)
    repo = GitRepo(place)
    run = str(ask["run"])
    if RUN_REF + run in repo.refs(RUN_REF + run):
        return {"claimed": False}, []
    try:
        return {"claimed": _claim(repo, run, ask)}, []
    finally:
        _forget_incoming(repo, run)


def _claim(repo: GitRepo, run: str, ask: Mapping[str, Any]) -> bool:
    """Claim a run and start it; whether nobody else was faster."""
    order, frozen = order_of(repo, run, ask)
    handle = local.start(os.environ, engine=frozen.spec.engine)
    folder = None
    claimed = False
    try:
        document = rundocument.prepare(repo, run, frozen.spec)
        repo.move_ref(RUN_REF + run, run, None)
        claimed = True
        folder = livefolder.create(repo.place, frozen, order.to_json(), notebook=document)
        handle.launch(folder.path)
    except BaseException as error:
        handle.abandon()
        if folder is not None:
            livefolder.remove(folder)
        if claimed:
            repo.delete_ref(RUN_REF + run, run)
        elif isinstance(error, CannotCreate):  # somebody else has just claimed it
            return False
        raise
    return True


def order_of(repo: GitRepo, run: str, ask: Mapping[str, Any]) -> tuple[Order, Snapshot]:
    """What to run, and how, with an interpreter and a kernel of this machine."""
    if repo.resolve(run) is None:
        raise DataFault(f"run {run[:8]} did not arrive", hint="try again")
    spec = records.read_spec(repo, run)
    return order_for(repo, run, spec, ask), Snapshot(run, "", spec, records.read_params(repo, run))


def order_for(repo: GitRepo, run: str, spec: RunSpec, ask: Mapping[str, Any]) -> Order:
    """How to run it, with an interpreter and a kernel of this machine. Raises Unavailable where it has none."""
    place = repo.place
    if spec.engine not in ENGINES:
        raise Unavailable(f"there is no engine {spec.engine!r} on {socket.gethostname()}", hint="--engine kernel")
    kernel, python = chosen(place, spec, kernel=ask.get("kernel"), python=ask.get("python"), env=os.environ)
    wishes = ask["order"]
    return Order(
        run=run,
        place=place,
        grace=wishes["grace"],
        timeout=wishes["timeout"],
        hold=wishes["hold"],
        max_file_size=wishes["max_file_size"],
        link=(*wishes["link"], *lay_data(repo, run)),
        outputs=tuple(wishes["outputs"]),
        index_url=farplace.door(place, os.environ).settings.index_url,
        kernel=kernel.to_json() if kernel else None,
        python=python,
        options={
            **ask.get("options", {}),
            "data": {name: os.path.expanduser(path) for name, path in ask.get("data", {}).items()},
        },
    )


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


def _forget_incoming(repo: GitRepo, run: str) -> None:
    if INCOMING + run in repo.refs(INCOMING + run):
        with suppress(SnaprunError):  # a repeated call was faster
            repo.delete_ref(INCOMING + run, run)
