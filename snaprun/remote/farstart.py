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
from snaprun.engines import ENGINES, GENERAL, kind
from snaprun.errors import CannotCreate, DataFault, SnaprunError, Unavailable, UsageFault
from snaprun.git import lfs
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import Place
from snaprun.git.sync import INCOMING_REF
from snaprun.launchers import handover, local
from snaprun.launchers.handover import TakenRun
from snaprun.lifecycle import rundocument
from snaprun.live import livefolder
from snaprun.live.order import Order
from snaprun.model import RUN_REF, RunSpec, Snapshot
from snaprun.notebooks import interpreter, kernels
from snaprun.notebooks.interpreter import Interpreter
from snaprun.notebooks.kernels import Kernel
from snaprun.remote import farplace
from snaprun.remote.far import Answer


def ready(question: Mapping[str, Any]) -> Answer:
    """Make sure that runs can be started in a folder: a repository is made there if there is none."""
    place = farplace.ensure_place(Path(question["path"]), question["hash"], os.environ)
    absent_data = [path for path in question.get("data", {}).values() if not Path(path).expanduser().exists()]
    if absent_data:
        raise Unavailable(
            f"{socket.gethostname()} has no {absent_data[0]}", hint=f"--data NAME=FOLDER (not {absent_data[0]})"
        )
    if question.get("python"):
        python_of(question["python"], place, os.environ)
    after = question.get("after")
    if after and not GitRepo(place).refs(RUN_REF + after):
        text = f"{socket.gethostname()} has no run {after[:8]}: a run waits for another one of the same folder"
        raise UsageFault(text, hint="leave --after out, or --on where that run is")
    absent = [name for name in question.get("wanted", ()) if not os.path.lexists(place.top / name)]
    document = {"host": socket.gethostname(), "repository": os.fspath(place.git_dir), "absent": absent}
    document["pointers"] = [oid for oid in question.get("large", ()) if not lfs.has_content(place.common_dir, oid)]
    return {**document, "version": __version__}, []


def start(question: Mapping[str, Any]) -> Answer:
    """Claim a run that was pushed here, and start it; one that is claimed already goes on as it is."""
    place = farplace.find_place(Path(question["path"]), os.environ)
    repo = GitRepo(place)
    run = str(question["run"])
    if RUN_REF + run in repo.refs(RUN_REF + run):
        return {"claimed": False}, []
    try:
        return {"claimed": _claim(repo, run, question)}, []
    finally:
        _forget_incoming(repo, run)


def _claim(repo: GitRepo, run: str, question: Mapping[str, Any]) -> bool:
    """Claim a run and start it; whether nobody else was faster."""
    order, snapshot = make_order(repo, run, question)
    handle = local.start(os.environ, engine=snapshot.spec.engine)
    is_claimed = False
    try:
        document = rundocument.prepare(repo, run, snapshot.spec)
        repo.move_ref(RUN_REF + run, run, None)
        is_claimed = True
        handover.launch_new(
            handle,
            lambda: livefolder.create(repo.place, snapshot, order.to_json(), notebook=document),
            lambda folder: handle.launch(folder.path),
        )
    except TakenRun as taken:
        if not isinstance(taken.cause, SnaprunError):
            raise taken.cause from None  # whoever asks again hears that it is claimed
    except BaseException as error:
        handle.abandon()
        if is_claimed:
            repo.delete_ref(RUN_REF + run, run)
        elif isinstance(error, CannotCreate):  # somebody else has just claimed it
            return False
        raise
    return True


def make_order(repo: GitRepo, run: str, instructions: Mapping[str, Any]) -> tuple[Order, Snapshot]:
    """What to run, and how, with an interpreter and a kernel of this machine."""
    if repo.resolve(run) is None:
        raise DataFault(f"run {run[:8]} did not arrive", hint="try again")
    spec = records.read_spec(repo, run)
    return order_for(repo, run, spec, instructions), Snapshot(run, "", spec, records.read_params(repo, run))


def order_for(repo: GitRepo, run: str, spec: RunSpec, instructions: Mapping[str, Any]) -> Order:
    """How to run it, with an interpreter and a kernel of this machine. Raises Unavailable where it has none."""
    place = repo.place
    if spec.engine not in ENGINES:
        raise Unavailable(f"there is no engine {spec.engine!r} on {socket.gethostname()}", hint=f"--engine {GENERAL}")
    kernel, python = choose_kernel_and_python(
        place, spec, kernel=instructions.get("kernel"), python=instructions.get("python"), env=os.environ
    )
    order_data = instructions["order"]
    return Order(
        run=run,
        place=place,
        grace=order_data["grace"],
        timeout=order_data["timeout"],
        hold=order_data["hold"],
        max_file_size=order_data["max_file_size"],
        link=(*order_data["link"], *data_paths(repo, run)),
        outputs=tuple(order_data["outputs"]),
        index_url=farplace.far_context(place, os.environ).settings.index_url,
        kernel=kernel.to_json() if kernel else None,
        python=python,
        options={
            **instructions.get("options", {}),
            "data": {name: os.path.expanduser(path) for name, path in instructions.get("data", {}).items()},
        },
    )


def choose_kernel_and_python(
    place: Place, spec: RunSpec, *, kernel: str | None, python: str | None, env: Mapping[str, str]
) -> tuple[Kernel | None, str | None]:
    """Kernel and interpreter for a run on this machine, as the near side would choose them there.

    Raises:
        Unavailable: there is none, or ipykernel is missing; with the command that installs it.
    """
    available = kernels.read_specs(env)
    choice = None
    if spec.language == "python" or python is not None:
        kernelspec = available.get((spec.kernel or "").lower())
        folder = place.top / Path(spec.notebook).parent
        kernel_python = kernelspec.python if kernelspec else None
        choice = interpreter.choose_python(python, env=env, top=place.top, folder=folder, kernel=kernel_python)
        available = kernels.read_specs(env, [os.fspath(Path(choice.python).parent.parent)])
    if not kind(spec.engine).has_kernel:
        return None, choice.python if choice else None
    run_kernel, _ = kernels.choose(
        available,
        name=kernel,
        notebook_kernel=spec.kernel,
        language=spec.language,
        python=choice.python if choice else None,
    )
    if run_kernel.python is not None:
        is_same = choice is not None and choice.python == run_kernel.python
        interpreter.require(choice if is_same and choice else Interpreter(run_kernel.python, run_kernel.name), env=env)
    return run_kernel, run_kernel.python or (choice.python if choice else None)


def python_of(name: str, place: Place, env: Mapping[str, str]) -> str:
    """The interpreter that was asked for. Raises Unavailable where there is none."""
    return interpreter.choose_python(name, env=env, top=place.top, folder=place.top).python


def data_paths(repo: GitRepo, run: str) -> list[str]:
    """What lies in the folder and not in the snapshot, as paths to link into the checkout.

    In a clone of the project git itself tells data from code by ``.gitignore``; in a folder that has nothing checked
    out, everything is data.
    """
    if repo.head() is not None:
        return []
    files = {entry.path for entry in repo.tree(run)}
    folders = {parent.as_posix() for path in files for parent in Path(path).parents}
    return list(_walk_data(repo.place.top, "", files, folders))


def _walk_data(top: Path, prefix: str, files: set[str], folders: set[str]) -> Iterator[str]:
    for name in sorted(os.listdir(top / prefix)):
        path = f"{prefix}/{name}" if prefix else name
        if name in PRIVATE or path in files:
            continue
        if path in folders and (top / path).is_dir():
            yield from _walk_data(top, path, files, folders)
        else:
            yield path


def _forget_incoming(repo: GitRepo, run: str) -> None:
    if INCOMING_REF + run in repo.refs(INCOMING_REF + run):
        with suppress(SnaprunError):  # a repeated call was faster
            repo.delete_ref(INCOMING_REF + run, run)
