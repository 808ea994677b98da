"""Outlive everything: keep one run's worker company, pass signals on, reap what is left, see to the record.

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
from snaprun.live.order import ENDING, FINALISE, RUN, SUPERVISOR, TALK, Order, read_order
from snaprun.live.stoprequest import note_stop
from snaprun.live.wire import receive_task, send_task
from snaprun.machine import process
from snaprun.machine.oom import oom_kills

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SLACK = 30.0
"""Seconds beyond its own grace that a worker gets to react to a stop or a timeout, before it is taken for hung."""


@dataclass(frozen=True)
class Worker:
    """The worker process, and the socket to it."""

    pid: int
    door: socket.socket


class Signals:
    """Signals and ended children as something to wait for, also where the caller had them ignored."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        for number in (*PASSED_ON, signal.SIGCHLD):
            signal.signal(number, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def wait(self, *others: int, timeout: float | None = None) -> tuple[list[int], list[int]]:
        """Wait for a signal, or for something to read in ``others``: what came, and which are readable."""
        ready, _, _ = select.select([self._read, *others], [], [], timeout)
        came: list[int] = []
        if self._read in ready:
            ready.remove(self._read)
            came = [number for number in os.read(self._read, 512) if number != signal.SIGCHLD]
        return came, ready


def main(argv: list[str]) -> int:
    """Start a worker, and :func:`serve`."""
    signals = Signals()
    early = argv[:1] == ["--engine"]
    door = socket.socket(fileno=os.dup(0)) if early else None
    if door is not None and os.fork():  # the command reaps this one; the other is nobody's child, no session's leader
        os._exit(0)
    return serve(spawn(*argv[1:]), signals, door if door is not None else Path(argv[0]))


def serve(worker: Worker, signals: Signals, source: socket.socket | Path) -> int:
    """Take a run, from a socket or by its live folder, put the worker on it, and stay until nothing of it is left."""
    process.become_subreaper()
    door = None if isinstance(source, Path) else source
    task = _claim(source) if isinstance(source, Path) else _wait_for_order(source, signals)
    if task is None:
        worker.door.close()
        os.waitpid(worker.pid, 0)
        return 0 if door is not None else 75
    live, held = task
    words = os.dup(2)
    try:
        order = _begin(live, held, worker)
    except (OSError, ValueError) as error:
        _answer(door, f"no {error}")
        worker.door.close()
        os.waitpid(worker.pid, 0)
        return 125
    _answer(door, "ok")
    return supervise(order, live, held, worker, signals, words)


def spawn(*preload: str) -> Worker:
    """Start a worker that waits for its task; ``preload`` names an engine to import meanwhile."""
    ours, theirs = socket.socketpair()
    env = {name: value for name, value in os.environ.items() if name != process.SUPERVISOR}
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", programs.WORKER, *preload],
        env,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, theirs.fileno(), 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        ],
        setsigmask=[],
        setsigdef=[*PASSED_ON, signal.SIGCHLD, signal.SIGPIPE],
    )
    theirs.close()
    return Worker(pid, ours)


def supervise(order: Order, live: Path, held: int, worker: Worker, signals: Signals, words: int) -> int:
    """Stay with the worker until it ends, then leave no process and no unfinished record behind.

    ``words`` is where the worker spoke before it had the run.
    """
    before = oom_kills()
    status = _accompany(order, live, worker, signals)
    worker.door.close()
    left = _sweep(order)
    if not (live / SUPERVISOR).exists():  # all is recorded: the folder is gone, or waits for the next attempt
        return 0
    _repeat(words)
    if not (live / ENDING).exists():
        write_json(live / ENDING, verdict(status, oom=(oom_kills() or 0) > (before or 0)))
    for who in left:
        sys.stderr.write(f"process {who.pid} could not be ended\n")
    _finalise(live, held, signals)
    _sweep(order)
    return 0


def verdict(status: int, *, oom: bool) -> dict[str, object]:
    """What a worker's wait status says about its run, should the journal not know better."""
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        why = "the machine ran out of memory, and the kernel killed snaprun's worker" if oom else ""
        return {"status": "lost", "exit_code": 125, "reason": why or f"snaprun's worker was killed by {name}"}
    code = os.WEXITSTATUS(status)
    return {"status": "lost", "exit_code": 125, "reason": f"snaprun's worker ended before the run did (exit {code})"}


def _repeat(words: int) -> None:
    """Put what was said too early into the live folder's log: why a worker could not even start, say."""
    try:
        size = os.fstat(words).st_size
        os.write(2, os.pread(words, size, 0))
    except OSError:  # it was a terminal or a pipe, and is read already
        return


def _wait_for_order(door: socket.socket, signals: Signals) -> tuple[Path, int] | None:
    came, _ = signals.wait(door.fileno())
    while not came:
        ready, _, _ = select.select([door], [], [], 0)
        if ready:
            task = receive_task(door)
            return None if task is None else (task[0], task[2])
        came, _ = signals.wait(door.fileno())
    return None


def _claim(live: Path) -> tuple[Path, int] | None:
    held = lock.take(live)
    return None if held is None else (live, held)


def _begin(live: Path, held: int, worker: Worker) -> Order:
    """Take the run on: from here to the end of the worker, the live folder says who looks after it."""
    talk = os.open(live / TALK, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(talk, 2)
    os.close(talk)
    order = read_order(live)
    mine, its = process.identify(), process.identify(worker.pid)
    if mine is None or its is None:
        raise OSError("the worker did not start")
    about = {"host": socket.gethostname(), "boot": mine.boot, "pid": mine.pid, "start": mine.start}
    write_json(live / SUPERVISOR, {**about, "worker": {"pid": its.pid, "start": its.start}})
    send_task(worker.door, live, RUN, held)
    return order


def _answer(door: socket.socket | None, word: str) -> None:
    """Tell the command how the start went; it may be gone already, and the run goes on."""
    if door is None:
        return
    try:
        door.sendall(word.encode("utf-8", "replace") + b"\n")
    except OSError:
        pass
    door.close()
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)


def _accompany(order: Order, live: Path, worker: Worker, signals: Signals) -> int:
    """Pass signals on to the worker until it ends; end it where it does not react. Its wait status."""
    listening = [worker.door.fileno()]
    interrupts = 0
    began, asked = time.monotonic(), False
    deadline = _limit(order, live, began)
    while True:
        ended = process.reap()
        if worker.pid in ended:
            return ended[worker.pid]
        wait = None if deadline is None else max(0.0, deadline - time.monotonic())
        if wait == 0.0:
            deadline = None if asked else _limit(order, live, began)
            if deadline is None or deadline <= time.monotonic():
                _give_up(order, live, worker)
                deadline = None
            wait = None if deadline is None else deadline - time.monotonic()
        came, ready = signals.wait(*listening, timeout=wait)
        for number in came:
            request = note_stop(live, number, time.time())
            interrupts += number == signal.SIGINT
            hurry = request.kill or interrupts > 1
            grace = order.grace if request.grace is None else request.grace
            os.kill(worker.pid, number)  # our own child, not reaped yet: the pid cannot be another's
            os.kill(worker.pid, signal.SIGCONT)
            if listening:
                deadline, asked = time.monotonic() + (0.0 if hurry else grace) + SLACK, True
        if ready:  # the worker says that the code has ended, or it ended itself: the record may take its time
            listening, deadline = [], None


def _limit(order: Order, live: Path, began: float) -> float | None:
    """When a worker has to have ended by the run's timeout: the time that the run is held after an error is no part
    of that."""
    if order.timeout is None:
        return None
    held = 0.0
    if order.hold is not None:
        from snaprun.live import progress  # few runs are ever held, and every run would pay

        held = progress.held(live, time.time())
    return began + order.timeout + order.grace + SLACK + held


def _give_up(order: Order, live: Path, worker: Worker) -> None:
    """End a worker that hangs, and leave word of why."""
    if order.timeout is not None and live.is_dir():
        why = f"it took longer than {order.timeout:g} s"
        write_json(live / ENDING, {"status": "timed-out", "exit_code": 124, "reason": why})
    os.kill(worker.pid, signal.SIGKILL)


def _sweep(order: Order) -> list[process.Identity]:
    """End every process that the run left: below this one, or elsewhere with the run's mark."""
    _, left = process.end_all(lambda: process.of_run(order.run, os.getpid()))
    return left


def _finalise(live: Path, held: int, signals: Signals) -> None:
    """Have a fresh worker make the record from the journal; what it cannot do, the next reading command will."""
    clerk = spawn()
    try:
        send_task(clerk.door, live, FINALISE, held)
    except OSError as error:
        sys.stderr.write(f"the finalising worker did not start: {error}\n")
    clerk.door.close()  # there is no further task
    while clerk.pid not in process.reap():
        signals.wait()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Exception:  # noqa: BLE001  # the edge: nobody above could tell; stderr is the live folder's own log
        sys.excepthook(*sys.exc_info())
        sys.exit(125)
