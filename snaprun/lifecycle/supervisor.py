"""Supervise one run: start its worker, pass signals on, reap what is left, and have the record made in any case.

Standard library only, and small: it lives as long as the run. With ``--engine NAME`` it starts before the run is known,
which comes through a socket on standard input, so that the worker's imports cost the user no time; without an order
both vanish. With a live folder as argument it takes that one and stays in the foreground (tmux, Slurm).
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from snaprun import programs
from snaprun.files import write_json
from snaprun.live import lock
from snaprun.live.names import ENDING_FILE, MESSAGES_FILE, SUPERVISOR_FILE
from snaprun.live.order import FINALISE, RUN, Order, read_order
from snaprun.live.stoprequest import ensure_stop_request
from snaprun.live.supervision import write_identities
from snaprun.live.wire import receive_task, send_task
from snaprun.machine import process, streams
from snaprun.machine.oom import oom_kills
from snaprun.model import FAULT_CODE, TIMEOUT_CODE, Outcome
from snaprun.statuses import Status

SLACK = 30.0
"""Seconds beyond its own grace that a worker gets to react to a stop or a timeout, before it is taken for hung."""


@dataclass(frozen=True)
class Worker:
    """The worker process, and the socket to it."""

    pid: int
    connection: socket.socket


class Signals:
    """Signals and ended children as something to wait for, also where the caller had them ignored."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        for number in (*process.STOP_SIGNALS, signal.SIGCHLD):
            signal.signal(number, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def wait(self, *handles: int, timeout: float | None = None) -> tuple[list[int], list[int]]:
        """Wait for a signal, or for something to read in ``handles``: what came, and which are readable."""
        ready, _, _ = select.select([self._read, *handles], [], [], timeout)
        numbers: list[int] = []
        if self._read in ready:
            ready.remove(self._read)
            numbers = [number for number in os.read(self._read, 512) if number != signal.SIGCHLD]
        return numbers, ready


def main(argv: list[str]) -> int:
    """Start a worker, and :func:`serve`."""
    signals = Signals()
    has_engine = argv[:1] == ["--engine"]
    connection = socket.socket(fileno=os.dup(0)) if has_engine else None
    # the command reaps the parent of this fork; the child is nobody's, and leads no session
    if connection is not None and os.fork():
        os._exit(0)
    return serve(spawn(*argv[1:]), signals, connection if connection is not None else Path(argv[0]))


def serve(worker: Worker, signals: Signals, source: socket.socket | Path) -> int:
    """Take a run, from a socket or by its live folder, put the worker on it, and stay until nothing of it is left."""
    process.become_subreaper()
    connection = None if isinstance(source, Path) else source
    task = _take_lock(source) if isinstance(source, Path) else _wait_for_order(source, signals)
    if task is None:
        worker.connection.close()
        os.waitpid(worker.pid, 0)
        return 0 if connection is not None else 75
    path, lock_handle = task
    message_handle = os.dup(2)
    try:
        order = _begin(path, lock_handle, worker)
    except (OSError, ValueError) as error:
        _answer(connection, f"no {error}")
        worker.connection.close()
        os.waitpid(worker.pid, 0)
        return FAULT_CODE
    _answer(connection, "ok")
    return supervise(order, path, lock_handle, worker, signals, message_handle)


def spawn(*preload: str) -> Worker:
    """Start a worker that waits for its task; ``preload`` names an engine to import meanwhile."""
    supervisor_end, worker_end = socket.socketpair()
    env = {name: value for name, value in os.environ.items() if name != process.SUPERVISOR}
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", programs.WORKER, *preload],
        env,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, worker_end.fileno(), 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        ],
        setsigmask=[],
        setsigdef=[*process.STOP_SIGNALS, signal.SIGCHLD, signal.SIGPIPE],
    )
    worker_end.close()
    return Worker(pid, supervisor_end)


def supervise(order: Order, path: Path, lock_handle: int, worker: Worker, signals: Signals, message_handle: int) -> int:
    """Stay with the worker until it ends, then leave no process and no unfinished record behind.

    ``message_handle`` is where the worker wrote before it had the run.
    """
    old_kills = oom_kills()
    status = _wait_for_worker(order, path, worker, signals)
    worker.connection.close()
    survivors = _end_processes(order)
    if not (path / SUPERVISOR_FILE).exists():  # all is recorded: the folder is gone, or waits for the next attempt
        return 0
    _copy_messages(message_handle)
    if not (path / ENDING_FILE).exists():
        write_json(path / ENDING_FILE, judge_exit(status, oom=(oom_kills() or 0) > (old_kills or 0)).to_json())
    for identity in survivors:
        sys.stderr.write(f"process {identity.pid} could not be ended\n")
    _finalise(path, lock_handle, signals)
    _end_processes(order)
    return 0


def judge_exit(status: int, *, oom: bool) -> Outcome:
    """What a worker's wait status says about its run, should the journal not know better."""
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        reason = "the machine ran out of memory, and the kernel killed snaprun's worker" if oom else ""
        return Outcome(Status.LOST, FAULT_CODE, reason or f"snaprun's worker was killed by {name}")
    code = os.WEXITSTATUS(status)
    return Outcome(Status.LOST, FAULT_CODE, f"snaprun's worker ended before the run did (exit {code})")


def _copy_messages(message_handle: int) -> None:
    """Copy what was written before there was a run into its live folder's log: why a worker could not start, say."""
    try:
        size = os.fstat(message_handle).st_size
        os.write(2, os.pread(message_handle, size, 0))
    except OSError:  # it was a terminal or a pipe, and is read already
        return


def _wait_for_order(connection: socket.socket, signals: Signals) -> tuple[Path, int] | None:
    numbers, _ = signals.wait(connection.fileno())
    while not numbers:
        ready, _, _ = select.select([connection], [], [], 0)
        if ready:
            task = receive_task(connection)
            return None if task is None else (task[0], task[2])
        numbers, _ = signals.wait(connection.fileno())
    return None


def _take_lock(path: Path) -> tuple[Path, int] | None:
    lock_handle = lock.take(path)
    return None if lock_handle is None else (path, lock_handle)


def _begin(path: Path, lock_handle: int, worker: Worker) -> Order:
    """Take the run on: from here to the end of the worker, the live folder says who looks after it."""
    streams.append(streams.ERR, path / MESSAGES_FILE)
    order = read_order(path)
    identity, worker_identity = process.identify(), process.identify(worker.pid)
    if identity is None or worker_identity is None:
        raise OSError("the worker did not start")
    write_identities(path, identity, worker_identity)
    send_task(worker.connection, path, RUN, lock_handle)
    return order


def _answer(connection: socket.socket | None, answer: str) -> None:
    """Tell the command how the start went; it may be gone already, and the run goes on."""
    if connection is None:
        return
    try:
        connection.sendall(answer.encode("utf-8", "replace") + b"\n")
    except OSError:
        pass
    connection.close()
    streams.detach(streams.IN)


def _wait_for_worker(order: Order, path: Path, worker: Worker, signals: Signals) -> int:
    """Pass signals on to the worker until it ends; end it where it does not react. Its wait status."""
    handles = [worker.connection.fileno()]
    interrupts = 0
    start, is_stopping = time.monotonic(), False
    deadline = _deadline(order, path, start)
    while True:
        statuses = process.reap()
        if worker.pid in statuses:
            return statuses[worker.pid]
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        if timeout == 0.0:
            deadline = None if is_stopping else _deadline(order, path, start)
            if deadline is None or deadline <= time.monotonic():
                _kill_worker(order, path, worker)
                deadline = None
            timeout = None if deadline is None else deadline - time.monotonic()
        numbers, ready = signals.wait(*handles, timeout=timeout)
        for number in numbers:
            request = ensure_stop_request(path, number, time.time())
            interrupts += number == signal.SIGINT
            is_urgent = request.kill or interrupts > 1
            grace = order.grace if request.grace is None else request.grace
            os.kill(worker.pid, number)  # our own child, not reaped yet: the pid cannot be another's
            os.kill(worker.pid, signal.SIGCONT)
            if handles:
                deadline, is_stopping = time.monotonic() + (0.0 if is_urgent else grace) + SLACK, True
        if ready:  # the worker says that the code has ended, or it ended itself: the record may take its time
            handles, deadline = [], None


def _deadline(order: Order, path: Path, start: float) -> float | None:
    """When a worker has to have ended by the run's timeout: the time that the run is held after an error is no part
    of that."""
    if order.timeout is None:
        return None
    hold = 0.0
    if order.hold is not None:
        from snaprun.live import progress  # few runs are ever held, and every run would pay

        hold = progress.read_hold(path, time.time())
    return start + order.timeout + order.grace + SLACK + hold


def _kill_worker(order: Order, path: Path, worker: Worker) -> None:
    """End a worker that hangs, and leave word of why."""
    if order.timeout is not None and path.is_dir():
        reason = f"it took longer than {order.timeout:g} s"
        write_json(path / ENDING_FILE, Outcome(Status.TIMED_OUT, TIMEOUT_CODE, reason).to_json())
    os.kill(worker.pid, signal.SIGKILL)


def _end_processes(order: Order) -> list[process.Identity]:
    """End every process that the run left: below this one, or elsewhere with the run's mark."""
    _, survivors = process.end_all(lambda: process.find_by_run(order.run, os.getpid()))
    return survivors


def _finalise(path: Path, lock_handle: int, signals: Signals) -> None:
    """Have a fresh worker make the record from the journal; what it cannot do, the next reading command will."""
    worker = spawn()
    try:
        send_task(worker.connection, path, FINALISE, lock_handle)
    except OSError as error:
        sys.stderr.write(f"the finalising worker did not start: {error}\n")
    worker.connection.close()  # there is no further task
    while worker.pid not in process.reap():
        signals.wait()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Exception:  # noqa: BLE001  # the edge: nobody above could tell; stderr is the live folder's own log
        sys.excepthook(*sys.exc_info())
        sys.exit(FAULT_CODE)
