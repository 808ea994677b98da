"""One function a verb, for every door: the command line, IPython, the page."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from snaprun import intake, reads
from snaprun.door import Door
from snaprun.engines import AUTO
from snaprun.errors import CannotCreate, DataFault, InputMissing, SnaprunError, Unavailable
from snaprun.freeze import snapshot as freezing
from snaprun.git import export
from snaprun.git.gitrepo import GitRepo
from snaprun.hooks import strip
from snaprun.index import record, reindex, selectors
from snaprun.intake import Intake, Wanted
from snaprun.launchers.local import Handle
from snaprun.model import RUN_REF, SNAP_DIR, Details, Run, Snapshot, Status
from snaprun.notebooks import pairing
from snaprun.progress import live, replay
from snaprun.progress.order import Order
from snaprun.running import finish, launching, limits, logs

__all__ = ["Door", "Wanted"]


@dataclass(frozen=True)
class Pending:
    """A run whose snapshot is durable, and which nobody has been told to run yet."""

    snapshot: Snapshot
    intake: Intake
    order: Order
    handle: Handle | None


# --- run --------------------------------------------------------------------------------------------------------------


def freeze(door: Door, wanted: Wanted) -> Pending:
    """Freeze a notebook for a run; :func:`launch` starts it, :func:`abandon` forgets it.

    The supervisor is started first of all, so that its imports cost no time while the snapshot is taken.

    Raises:
        SnaprunError: anything that stands against it; nothing is left behind.
    """
    handle, wanted = _begin(door, wanted)
    try:
        ready = intake.run(door, wanted)
        _check_now(door, ready)
        made = freezing.take(GitRepo(door.place), ready.request)
    except BaseException:
        launching.abandon(handle)
        raise
    return Pending(made, ready, order_of(door, wanted, ready, made), handle)


def freeze_again(door: Door, selector: str, wanted: Wanted) -> Pending:
    """The snapshot of an earlier run as a new run, with its parameters and the given ones on top; then as
    :func:`freeze`."""
    base = find(door, selector)
    repo = GitRepo(door.place)
    wanted = intake.inherited(wanted, record.read_spec(repo, base.id))
    handle, wanted = _begin(door, wanted)
    try:
        ready, frozen = intake.again(door, wanted, repo, base.id)
        _check_now(door, ready)
        made = freezing.commit_run(repo, frozen, ready.request)
    except BaseException:
        launching.abandon(handle)
        raise
    return Pending(made, ready, order_of(door, wanted, ready, made), handle)


def launch(door: Door, pending: Pending) -> None:
    """Hand a frozen run to its supervisor; on return it goes on whatever happens to this process.

    Raises:
        SnaprunError: it could not be started; its snapshot is gone again.
    """
    made = pending.snapshot
    folder = None
    try:
        folder = live.create(door.place, made, pending.order.to_json(), notebook=pending.intake.document)
        launching.hand_over(door, made.spec.launcher, pending.handle, folder)
    except BaseException:
        launching.abandon(pending.handle)
        if folder is not None and launching.taken(folder):  # Ctrl-C just after the start: it is a run, so stop it
            launching.stop(door, folder, signal.SIGINT)
            raise
        if folder is not None:
            live.remove(folder)
        _discard(door, made.id)
        raise


def abandon(door: Door, pending: Pending) -> None:
    """Forget a frozen run that is not to be launched after all: its snapshot goes, and the supervisor that waits."""
    launching.abandon(pending.handle)
    _discard(door, pending.snapshot.id)


def snapshot(door: Door, wanted: Wanted) -> Snapshot:
    """Freeze without running: a run of status ``saved``."""
    repo = GitRepo(door.place)
    made = freezing.take(repo, intake.save(door, wanted))
    try:
        run = Run.of(made.id, made.spec, made.params, commit=made.id, status=Status.SAVED)
        finish.index(repo, door.settings.index_url, run)
    except SnaprunError:
        _discard(door, made.id)
        raise
    return made


def _begin(door: Door, wanted: Wanted) -> tuple[Handle | None, Wanted]:
    """Prepare the launch; what there is to know of it goes into the run's warnings."""
    name = wanted.launcher or door.settings.launcher
    asked = wanted.engine or door.settings.engine
    engine = "inline" if asked == AUTO else asked  # imported meanwhile; the notebook is not read yet
    wishes = limits.wishes(name, wanted.wishes, gpu_count=wanted.gpus, max_memory=wanted.max_memory)
    handle, notes = launching.begin(door, name, engine=engine, wishes=wishes)
    return handle, replace(wanted, wishes=wishes, notes=(*wanted.notes, *notes))


def _check_now(door: Door, ready: Intake) -> None:
    """Make sure that a run can start at once. Raises Busy where it cannot."""
    spec = ready.request.spec
    limits.check_now(door.env, spec.launcher, spec.gpus)


def order_of(door: Door, wanted: Wanted, ready: Intake, made: Snapshot) -> Order:
    """What the supervisor of a run has to know beyond its snapshot."""
    settings = door.settings
    return Order(
        run=made.id,
        place=door.place,
        grace=settings.grace,
        timeout=made.spec.timeout,
        hold=wanted.hold_on_error,
        max_file_size=settings.max_file_size,
        link=tuple(settings.link),
        outputs=tuple(settings.outputs),
        index_url=settings.index_url,
        notify_command=settings.notify_command,
        kernel=ready.kernel.to_json() if ready.kernel else None,
        python=ready.python,
        options={
            "notify": wanted.notify,
            "commented_magics": wanted.allow_commented_magics,
            "variables": list(settings.environment),
            launching.WISHES: dict(wanted.wishes),
        },
    )


def _discard(door: Door, run_id: str) -> None:
    """Take back a snapshot whose run never started."""
    GitRepo(door.place).delete_ref(RUN_REF + run_id, run_id)


# --- look -------------------------------------------------------------------------------------------------------------


def find(door: Door, selector: str) -> Run:
    """The run that a selector names: an id or its first digits, ``@``, ``@~2``, ``@failed``, a name.

    Raises:
        DataFault: there is none, or more than one.
    """
    with reads.index(door) as reader:
        return selectors.find(reader, selector)


def details(door: Door, selector: str) -> Details:
    """Everything of one run. Raises DataFault as :func:`find` does, and where what is stored is damaged."""
    run = find(door, selector)
    repo = GitRepo(door.place)
    return Details(
        run=run,
        spec=record.read_spec(repo, run.id),
        result=record.read_result(repo, run.id),
        environment=_environment(repo, run),
    )


def file_of(door: Door, selector: str, path: str) -> Iterator[bytes]:
    """A file of a run's tree, of its result where it has one, in pieces.

    Raises:
        DataFault: it has no such file.
    """
    run = find(door, selector)
    repo = GitRepo(door.place)
    if path == f"{SNAP_DIR}/log.txt":
        yield from logs.Log(repo, run).pieces()
        return
    found = repo.blob(run.commit, path)
    if found is None:
        raise _no_file(run, path)
    yield found


def executed(door: Door, run: Run) -> bytes:
    """The executed notebook of a run: of one in progress with every output so far."""
    repo = GitRepo(door.place)
    folder = live.find(door.place, run.id)
    if folder is not None:
        return replay.render(replay.replay_live(folder, finish.prepared(repo, folder, folder.spec())).notebook)
    found = repo.blob(run.commit, f"{SNAP_DIR}/executed.ipynb")
    if found is None:
        raise DataFault(f"run {run.id[:8]} has no executed notebook: it is {run.status}", hint="snaprun history")
    return found


def write_notebook(door: Door, selector: str, output: Path | None, *, force: bool = False) -> Path:
    """Write the executed notebook of a run to a file, by default in a temporary folder; its path.

    Raises:
        CannotCreate: there is such a file already, and ``force`` is not set.
    """
    run = find(door, selector)
    content = executed(door, run)
    if output is None:
        output = Path(tempfile.mkdtemp(prefix="snaprun-"), f"{Path(run.notebook).stem}-{run.id[:8]}.ipynb")
    output = Path(os.path.abspath(door.cwd / output))
    _write(output, content, force=force)
    return output


# --- use and keep -----------------------------------------------------------------------------------------------------


def restore(door: Door, selector: str, paths: Sequence[str], *, target: Path | None, force: bool = False) -> list[Path]:
    """Write files of a run to disk, into ``target`` or over the work tree; the paths written.

    Raises:
        CannotCreate: a file is there already, and ``force`` is not set (then nothing is written at all).
        DataFault: the run has no such file.
    """
    run = find(door, selector)
    repo = GitRepo(door.place)
    if target is None and not paths:
        raise Unavailable("the whole tree would go over your work tree", hint=f"snaprun restore {selector} --to FOLDER")
    root = Path(os.path.abspath(door.cwd / target)) if target else door.place.top
    wanted = [os.path.normpath(path) for path in paths]
    entries = [
        entry for entry in repo.tree(run.commit) if not wanted or any(_below(entry.path, path) for path in wanted)
    ]
    for path in wanted:
        if not any(_below(entry.path, path) for entry in entries):
            raise _no_file(run, path)
    there = [entry.path for entry in entries if os.path.lexists(root / entry.path)]
    if there and not force:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise CannotCreate(f"{there[0]}{more} would be overwritten", hint="--to FOLDER, or --force")
    return export.write(repo, run.commit, entries, root)


def restore_outputs(door: Door, selector: str, path: str | None) -> tuple[Path, strip.Restored]:
    """Put the outputs of a run into its notebook (or the one at ``path``) as it is in the work tree now.

    Raises:
        InputMissing: there is no such notebook, or it is a text notebook. DataFault: it has no code of that run.
    """
    run = find(door, selector)
    target = Path(os.path.abspath(door.cwd / path)) if path else door.place.top / run.notebook
    if target.suffix != ".ipynb":
        raise InputMissing(f"{target.name} is a text notebook: it stores no outputs", hint=f"snaprun open {selector}")
    try:
        content = target.read_bytes()
    except OSError as error:
        raise InputMissing(f"{target} cannot be read: {error.strerror}", hint=f"snaprun open {selector}") from error
    done = strip.restore_outputs(content, executed(door, run))
    try:
        strip.overwrite(target, done.content)
    except OSError as error:
        raise CannotCreate(f"cannot write {target}: {error.strerror}", hint=f"ls -ld {target.parent}") from error
    return target, done


def pair(door: Door, path: Path, formats: str | None) -> pairing.Paired:
    """Pair a notebook with a script, see :func:`snaprun.notebooks.pairing.pair`."""
    return pairing.pair(Path(os.path.abspath(door.cwd / path)), formats)


def rebuild_index(door: Door) -> reindex.Rebuilt:
    """Rebuild the index from git."""
    return reindex.rebuild(door)


def _write(path: Path, content: bytes, *, force: bool) -> None:
    if path.exists() and not force:
        raise CannotCreate(f"{path} is there already", hint="--force overwrites it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise CannotCreate(f"cannot write {path}: {error.strerror}", hint=f"ls -ld {path.parent}") from error


def _below(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")


def _no_file(run: Run, path: str) -> DataFault:
    listing = f"git ls-tree -r --name-only {run.commit[:12]}"
    return DataFault(f"run {run.id[:8]} has no file {path}", hint=listing)


def _environment(repo: GitRepo, run: Run) -> dict[str, Any]:
    raw = repo.blob(run.commit, f"{SNAP_DIR}/environment.json")
    return dict(json.loads(raw)) if raw else {}
