"""Execute one run, or finalise dead ones: the worker process, which is told by a socket on standard input."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from snaprun import __version__, engines
from snaprun.checkouts import frozen, links, slots
from snaprun.checkouts.slots import Slot
from snaprun.engines.job import Job, Stop
from snaprun.errors import InputMissing, SnaprunError
from snaprun.files import write_json
from snaprun.git import publish, refs
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import make_private, recover_place
from snaprun.index import reindex
from snaprun.lifecycle import environment, finish, notify, rundocument
from snaprun.live import bell, gpus
from snaprun.live.journal import Journal
from snaprun.live.livefolder import Live
from snaprun.live.names import ENDING_FILE, ENVIRONMENT_FILE, INPUTS_FILE, MESSAGES_FILE, PARAMS_FILE
from snaprun.live.order import LOST_BYTES, RUN, Order, read_order
from snaprun.live.secondnames import LiveBackup
from snaprun.live.stoprequest import StopRequest, ensure_stop_request
from snaprun.live.wire import receive_task
from snaprun.machine import memorylimit, process, streams
from snaprun.model import FAULT_CODE, KILL_CODE, Outcome, Run, RunSpec, utc
from snaprun.notebooks import cells
from snaprun.notebooks.kernels import Kernel
from snaprun.statuses import Status
from snaprun.track import ARTIFACTS, METRICS, PARAMS

SEED = "SNAPRUN_SEED"
CHECKPOINTS = "SNAPRUN_CHECKPOINT_DIR"
PRIVATE_VARIABLES = ("PYTEST_CURRENT_TEST", "PYTHONPYCACHEPREFIX")


class Listener:
    """Turns signals into a stop for the engine, from the first moment of the process on."""

    def __init__(self) -> None:
        self.stop = Stop()
        self.folder: Live | None = None
        self._interrupts = 0
        self._timer: threading.Timer | None = None
        for number in process.STOP_SIGNALS:
            signal.signal(number, self._handle_signal)

    def _handle_signal(self, number: int, _frame: FrameType | None) -> None:
        self._interrupts += number == signal.SIGINT
        folder = self.folder
        request = StopRequest(number) if folder is None else ensure_stop_request(folder.path, number, time.time())
        grace = 0.0 if request.kill or self._interrupts > 1 else request.grace
        if grace is not None:
            self.stop.grace = grace
        if not self.stop.signal or grace == 0.0:
            self.stop.request(request.signal if not self.stop.signal else number)
        if grace:
            self._repeat_after(grace, number)

    def _repeat_after(self, seconds: float, number: int) -> None:
        """Ask a second time when the grace is over: then the interpreter itself may not take long to end either."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(seconds, self.stop.request, [number])
        self._timer.daemon = True
        self._timer.start()


@dataclass(frozen=True)
class ExecutionPlan:
    """Where a run executes: the folder of its notebook, below a slot or the user's own tree."""

    top: Path
    folder: Path
    slot: Slot | None


def main(argv: list[str]) -> int:
    """Do what comes through standard input until nothing more does. ``argv``: the engine to import meanwhile."""
    listener = Listener()
    process.become_subreaper()
    connection = socket.socket(fileno=os.dup(0))
    streams.detach(streams.IN)  # what came through it is in use under another number
    if argv:
        engines.engine(argv[0])
    code = 0
    while (task := receive_task(connection)) is not None:
        path, action, lock = task
        with suppress(OSError):  # the folder is gone
            streams.append(streams.ERR, path / MESSAGES_FILE)
        if action == RUN:  # the lock is held until this process ends
            return _attempt(path, lambda folder: run(folder, connection, listener))
        code = _attempt(path, finalise) or code
        os.close(lock)
    return code


def _attempt(path: Path, work: Callable[[Live], None]) -> int:
    """Do one task; where its record cannot be made now, say so in the index and leave the live folder for later."""
    try:
        work(Live(path))
    except Exception as error:  # noqa: BLE001  # the edge: a bug of ours must not make a dead run look alive
        traceback.print_exc()
        finish.record_provisionally(Live(path), error)
        return 1
    return 0


def run(folder: Live, connection: socket.socket, listener: Listener) -> None:
    """Execute a run and finalise it."""
    listener.folder = folder
    order = read_order(folder.path)
    repo = GitRepo(order.place)
    slot: Slot | None = None
    backup = LiveBackup(folder)
    with Journal(folder.path) as journal:
        _watch_supervisor(connection, journal)
        try:
            plan = _plan_execution(repo, folder, order, journal)
            slot = plan.slot
            outcome = _execute(repo, folder, order, plan, journal, listener.stop)
        except SnaprunError as error:
            reason = f"{error.message} ({error.hint})" if error.hint else error.message
            outcome = Outcome(Status.FAILED, FAULT_CODE, reason)
        except Exception as error:  # noqa: BLE001  # the edge: a bug of ours must still end in a truthful record
            traceback.print_exc()
            outcome = Outcome(Status.FAILED, FAULT_CODE, f"snaprun failed: {type(error).__name__}: {error}")
        _end_processes(order)
        backup.give_back()
        _write_ending(folder, outcome)
        journal.end(
            status=outcome.status.value, exit_code=outcome.exit_code, reason=outcome.reason, signal=outcome.signal
        )
        loss = journal.backlog
        if loss:  # in memory, and gone with this process
            _write_ending(folder, outcome, loss=loss)
    if loss:  # there was room again at the last moment
        _write_ending(folder, outcome)
    _announce_end(connection)
    backup.stop()
    order = replace(order, place=recover_place(order.place))  # the work tree may have been removed while it ran
    repo = GitRepo(order.place)
    peak = _peak_memory()
    _notify(order, finish.finish(repo, folder, order, slot=slot, peak_memory=peak))
    refs.tidy(repo)
    bell.wake(order.place, _clean(os.environ))


def _write_ending(folder: Live, outcome: Outcome, *, loss: int = 0) -> None:
    """Leave the verdict where a full disk has room for it: the journal's own end stands behind all that waits there.

    ``loss`` bytes could not be written at all. That is known only when the disk is full again: the file has room for
    it from before.
    """
    path = folder.path / ENDING_FILE
    try:
        if not loss:
            write_json(path, {**outcome.to_json(), LOST_BYTES: 0, "room": " " * 40})
            return
        with path.open("r+b") as file:
            text = json.dumps({**outcome.to_json(), LOST_BYTES: loss}).encode()
            file.write(text.ljust(path.stat().st_size))
    except OSError as error:  # the folder is gone, or there is no room at all
        sys.stderr.write(f"the end is not written down: {error}\n")


def finalise(folder: Live) -> None:
    """Make the record of a run whose worker is gone."""
    order = read_order(folder.path)
    repo = GitRepo(order.place)
    _end_processes(order)
    _notify(order, finish.finish(repo, folder, order, slot=slots.reclaim(repo, order.run)))
    bell.wake(order.place, _clean(os.environ))


def _notify(order: Order, ended_run: Run) -> None:
    if order.notify_command:
        notify.notify(order.notify_command, ended_run, _clean(os.environ), order.place.top)
    if order.options.get("notify"):
        notify.notify_desktop(ended_run, _clean(os.environ))


def _plan_execution(repo: GitRepo, folder: Live, order: Order, journal: Journal) -> ExecutionPlan:
    """Lay the snapshot out in a slot, with the user's data linked in; or take the user's own tree."""
    if order.place.is_removed:
        raise InputMissing(
            "the work tree that it was started in has been removed", hint=f"snaprun rerun {order.run[:8]}"
        )
    spec = folder.spec()
    subfolder = Path(spec.notebook).parent
    if spec.in_place:
        return ExecutionPlan(order.place.top, order.place.top / subfolder, None)
    slot = slots.claim(repo, order.run, live=order.place.live)
    journal.event("slot", number=slot.number, path=os.fspath(slot.path))
    publish.restore(order.place, order.run)  # what a prune took while the run waited for its turn
    for note in slots.lay_out(repo, slot, order.run):
        journal.note(note)
    left_out = [item.path for item in spec.left_out]
    data_folders = order.options.get("data") or {}
    link_set = links.link(
        repo, slot, patterns=order.link, outputs=order.outputs, left_out=left_out, path_map=data_folders
    )
    if link_set.links:
        write_json(folder.path / INPUTS_FILE, {"inputs": links.fingerprint(order.place.top, link_set)})
    run_folder = slot.path / subfolder
    run_folder.mkdir(parents=True, exist_ok=True)
    return ExecutionPlan(slot.path, run_folder, slot)


def _execute(repo: GitRepo, folder: Live, order: Order, plan: ExecutionPlan, journal: Journal, stop: Stop) -> Outcome:
    """Run the engine, the start being recorded meanwhile."""
    spec = folder.spec()
    document = rundocument.load_document(repo, folder, spec)
    job = Job(
        live=folder,
        notebook=document,
        folder=plan.folder,
        environment=run_environment(folder, order, spec, plan),
        kernel=None if order.kernel is None else Kernel.from_json(order.kernel),
        python=order.python,
        labels={cell.number: cell.label for cell in cells.code_cells(document)},
        attempt=order.attempt,
        timeout=order.timeout,
        cell_timeout=spec.cell_timeout,
        grace=order.grace,
        hold=order.hold,
        script=plan.top / spec.script,
        commented_magics=bool(order.options.get("commented_magics")),
    )
    recorder = threading.Thread(target=_describe, args=(folder, order, spec, job), name="snaprun-record", daemon=True)
    recorder.start()
    outcome = _run_within(spec.max_memory, lambda: engines.engine(spec.engine).run(job, journal, stop))
    recorder.join()
    return outcome


def _run_within(max_memory: int | None, work: Callable[[], Outcome]) -> Outcome:
    """Do it within a limit of memory: what exceeds that is killed, and how the engine saw it is not the reason."""
    if max_memory is None:
        return work()
    memorylimit.check()
    with memorylimit.Guard(max_memory) as guard:
        outcome = work()
    if guard.excess is None or outcome.status.cut_short:
        return outcome
    return Outcome(Status.FAILED, KILL_CODE, guard.excess.reason, int(signal.SIGKILL))


def run_environment(folder: Live, order: Order, spec: RunSpec, plan: ExecutionPlan) -> dict[str, str]:
    """The complete environment of the run: the user's, without git's, with what the notebook may ask for."""
    checkpoints = order.place.state / "checkpoints" / order.run
    make_private(checkpoints)
    variables = {
        **_clean(os.environ),
        process.MARK: order.run,
        METRICS: os.fspath(folder.metrics),
        PARAMS: os.fspath(folder.path / PARAMS_FILE),
        ARTIFACTS: os.fspath(folder.artifacts),
        CHECKPOINTS: os.fspath(checkpoints),
        "PWD": os.fspath(plan.folder),
    }
    if spec.seed is not None:
        variables[SEED] = str(spec.seed)
    variables.update(order.options.get(gpus.VARIABLES) or {})
    if plan.slot is not None:
        variables.update(frozen.environment(variables, place=order.place, slot=plan.slot.path))
    return variables


def _clean(env: Mapping[str, str]) -> dict[str, str]:
    """``env`` without git's variables and without what belongs to this worker alone.

    Nor is a run part of a test that started it: below a pytest, ipykernel would leave the file descriptors alone. And
    bytecode is not cached outside the slot: Python tells sources apart by path, second and size only, and the same path
    held another run's source before.
    """
    private = (process.MARK, process.SUPERVISOR, METRICS, PARAMS, ARTIFACTS, CHECKPOINTS, SEED, *PRIVATE_VARIABLES)
    return {name: text for name, text in env.items() if not name.startswith("GIT_") and name not in private}


def _describe(folder: Live, order: Order, spec: RunSpec, job: Job) -> None:
    """Put the run into the index and find out about its environment, while its kernel starts.

    What fails here is tried again when the run ends, or is left out.
    """
    _record_start(folder, order, spec)
    python = order.python if job.kernel is None else job.kernel.python
    description = environment.describe(python, job.environment, extra_names=order.options.get("variables", ()))
    try:
        write_json(folder.path / ENVIRONMENT_FILE, {**description, "snaprun": __version__})
    except OSError as error:
        sys.stderr.write(f"the environment is not recorded: {error}\n")


def _record_start(folder: Live, order: Order, spec: RunSpec) -> None:
    run = Run.from_commits(order.run, spec, folder.params(), commit=order.after or order.run, status=Status.RUNNING)
    entry = replace(run, started=utc(time.time()), attempts=order.attempt)
    try:
        reindex.record(GitRepo(order.place), order.index_url, entry)
    except SnaprunError as error:
        sys.stderr.write(f"the start is not in the index: {error.message}\n")


def _watch_supervisor(connection: socket.socket, journal: Journal) -> None:
    """Note when the supervisor goes away: the run goes on, and this process finishes it alone."""

    def watch() -> None:
        if connection.recv(1) == b"":
            journal.note("the supervisor was killed; the run went on without it")

    threading.Thread(target=watch, name="snaprun-supervisor", daemon=True).start()


def _announce_end(connection: socket.socket) -> None:
    """Tell the supervisor that the code has ended: what comes now is the record, which may take its time."""
    try:
        connection.send(b"e")
    except OSError:  # it is gone
        return


def _end_processes(order: Order) -> None:
    """End every process that the run left, so that its files are quiet; a run that it started is not its own."""
    _, survivors = process.end_all(lambda: process.find_by_run(order.run, os.getpid()))
    for identity in survivors:
        sys.stderr.write(f"process {identity.pid} could not be ended\n")


def _peak_memory() -> int:
    """The largest resident size of any process that this one started, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
