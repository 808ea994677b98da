"""Serve the queue of one repository on one machine: start runs as they come due, and go when nothing is left.

One dispatcher at a time, by a lock; killed at any moment it leaves nothing that the next one does not pick up.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress

from snaprun import filelock, records, settings
from snaprun.checkouts import result
from snaprun.errors import DataFault, SnaprunError
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import Place, read_place, recover_place
from snaprun.index import claims, store
from snaprun.index.claims import BlockedRun, Claim
from snaprun.index.store import IndexStore
from snaprun.launchers import handover
from snaprun.launchers.handover import TakenRun
from snaprun.launchers.local import Handle
from snaprun.lifecycle import rundocument, settle
from snaprun.live import bell, daemon, gpus, livefolder, lock, replay
from snaprun.live.gpus import GpusTaken, NoGpus
from snaprun.live.livefolder import Live
from snaprun.live.supervision import read_identities
from snaprun.machine import process
from snaprun.model import FAULT_CODE, Result, Snapshot
from snaprun.notebooks.cells import Node
from snaprun.queue.endwatch import EndWatch
from snaprun.queue.supervisors import SupervisorPool
from snaprun.statuses import Status

PATIENCE = 30.0
"""Seconds after which it looks again without having been told: what could not be started may start now."""

GPU_PAUSE = 2.0
"""Seconds between two looks for free GPUs, unless a run has ended that had some: nvidia-smi may take one of them."""

LINGER = 5.0
"""Seconds that it stays without a run while a search goes on: starting anew would take longer than a short run."""

TRIES = 100
"""How often a second dispatcher tries to reach the first, 50 ms apart, before it trusts it to look by itself."""


class Dispatcher:
    """Starts the runs of one queue, looks after those that it has started, and waits for an end or the bell."""

    def __init__(self, place: Place, index: IndexStore, bell: int) -> None:
        self.place = place
        self.store = index
        self.repo = GitRepo(place)
        self.host = socket.gethostname()
        self._folder = place.queue
        self._bell = bell
        self._ends = EndWatch()
        self._supervisors = SupervisorPool(place.queue, expects_runs=self._expects_runs, report=self._report)
        self._allows_gpus = True
        self._gpu_time = 0.0
        self._last_message = ""
        self._job_limit: int | None = None

    def serve(self) -> None:
        """Start what is due, wait for an end or the bell, and so on until nothing is left to do."""
        while True:
            self._settle()
            allows_gpus = self._allows_gpus = time.monotonic() >= self._gpu_time
            while self._start_next():
                pass
            active, total, runs = claims.read_workload(self.store, self.host)
            for run in runs:
                self._ends.add(self.place.live / run)
            if active == 0 and not self._lingers() and self._leave(total):
                self._supervisors.close()
                return
            if active:
                self._wait(PATIENCE if allows_gpus else max(0.0, self._gpu_time - time.monotonic()))

    def _settle(self) -> None:
        """Look after every run that was started: watch it, take it out when it is over, start it again if it fell."""
        place = recover_place(self.place)
        if place != self.place:
            self.place, self.repo = place, GitRepo(place)
        for run, tip in claims.list_claimed(self.store, self.host).items():
            if run in self._ends:  # its supervisor still ends what is left of it, and would end a new attempt too
                continue
            folder = livefolder.find(self.place, run)
            if folder is None:
                self._close_run(run, tip)
            elif not self._recover(folder):
                self._ends.add(self.place.live / run)

    def _close_run(self, run: str, tip: str | None) -> None:
        """A run that was started has no live folder: it is over, or it never began."""
        try:
            result_tip = result.find_result(self.repo, run)
            if result_tip is None or result_tip == tip:
                claims.give_back(self.store, run)
            else:
                claims.finish_or_retry(self.store, records.read_run(self.repo, run, commit=result_tip))
        except DataFault as error:
            self._report(f"run {run[:8]} leaves the queue: {error.message}")
            claims.forget(self.store, run)

    def _recover(self, folder: Live) -> bool:
        """Whether nobody looks after a run any more; one that nobody has begun is taken back at once."""
        lock_handle = lock.take(folder.path)
        if lock_handle is None:
            return not folder.path.exists()
        has_begun = read_identities(folder) is not None
        if not has_begun:
            livefolder.remove(folder)
        os.close(lock_handle)
        if has_begun:
            settle.settle(self.place, os.environ)
        self._ends.wake()  # look again at once: it is over, or can be started
        return True

    def _start_next(self) -> bool:
        """Start the next run if it may start; whether to go on to the one after."""
        claim = claims.claim(self.store, self.host, jobs=self._read_job_limit(), gpus=self._allows_gpus)
        if isinstance(claim, Claim):
            return self._start(claim)
        if isinstance(claim, BlockedRun):
            return self._refuse(claim)
        if not self._expects_runs():
            self._supervisors.close()
        return False

    def _start(self, claim: Claim) -> bool:
        try:
            result.find_result(self.repo, claim.run)
        except DataFault as error:
            self._report(f"run {claim.run[:8]} leaves the queue: {error.message}")
            claims.forget(self.store, claim.run)
            return True
        try:
            ((spec, params),) = records.read_plans(self.repo, [claim.run])
            snapshot = Snapshot(claim.run, "", spec, params)
            if spec.gpus:
                gpus.check_free(self._supervisors.environment(claim.env), spec.gpus)
            handle = self._supervisors.take(claim.env, spec.engine)
            self._launch(handle, claim, snapshot)
        except SnaprunError as error:
            if livefolder.find(self.place, claim.run) is not None:
                return True  # somebody resumed it by hand: the queue waits for its end
            self._report(f"run {claim.run[:8]} cannot be started: {error.message}")
            claims.give_back(self.store, claim.run, note=error.message)
            return self._wait_for_gpus(error)
        self._ends.add(self.place.live / claim.run)
        self._supervisors.start_ahead(claim.env, spec.engine)
        return True

    def _launch(self, handle: Handle, claim: Claim, snapshot: Snapshot) -> None:
        """Give a run to its supervisor. One that has it, but did not say so, is as good as one that did."""
        try:
            handover.launch_new(
                handle,
                lambda: livefolder.create(self.place, snapshot, claim.order, notebook=self._document(snapshot)),
                lambda folder: handle.launch(folder.path),
            )
        except TakenRun as taken:
            if not isinstance(taken.cause, SnaprunError):
                raise taken.cause from None
            self._report(f"run {claim.run[:8]} goes on: {taken.cause.message}")

    def _document(self, snapshot: Snapshot) -> Node | None:
        """What the run executes, made here where jupytext is loaded once and not in every worker. None where it cannot
        be made: the worker puts back what a prune took, or says in the run's own record what is wrong.
        """
        with suppress(SnaprunError):
            return rundocument.prepare(self.repo, snapshot.id, snapshot.spec, snapshot.params)
        return None

    def _wait_for_gpus(self, error: SnaprunError) -> bool:
        """Whether it was for want of GPUs that a run did not start: those that need none may pass it by. It is tried
        again when whoever has them ends."""
        if not isinstance(error, (GpusTaken, NoGpus)):
            return False
        self._allows_gpus, self._gpu_time = False, time.monotonic() + GPU_PAUSE
        for folder in error.holders if isinstance(error, GpusTaken) else ():
            self._ends.add(folder)
        return True

    def _expects_runs(self) -> bool:
        """Whether runs wait, or a search will ask for one as soon as another has ended."""
        return self.place.search_marks.exists() or claims.has_waiting(self.store, self.host)

    def _refuse(self, claim: BlockedRun) -> bool:
        """Record a run that can never start as what it is."""
        reason = f"not started: run {claim.after[:8]}, which it was to follow, has {claim.status}"
        try:
            spec = records.read_spec(self.repo, claim.run)
            end = result.ResultParts(
                result=Result(status=Status.STOPPED, exit_code=1, reason=reason),
                notebook=replay.render(rundocument.prepare(self.repo, claim.run, spec)),
                log=b"",
                previous=claim.order.get("after"),
            )
            limit = int(claim.order["max_file_size"])
            tip = result.commit_result(self.repo, claim.run, end, slot=None, max_file_size=limit)
            run = records.read_run(self.repo, claim.run, commit=tip)
        except DataFault as error:
            self._report(f"run {claim.run[:8]} leaves the queue: {error.message}")
            claims.forget(self.store, claim.run)
            return True
        except SnaprunError as error:
            claims.give_back(self.store, claim.run, note=error.message)
            return False
        self.store.record(run)
        claims.finish_or_retry(self.store, run)
        return True

    def _lingers(self) -> bool:
        """Whether somebody rings before long: a search queues the next run when one has ended."""
        return self.place.search_marks.exists() and self._wait(LINGER)

    def _wait(self, patience: float) -> bool:
        """Until a run ended, somebody rang (whether one of the two), or it is time to look again."""
        ready, _, _ = select.select([self._ends.reader, self._bell], [], [], patience)
        for source in ready:
            os.read(source, 65536)
        if self._ends.reader in ready:
            self._gpu_time = 0.0
        return bool(ready)

    def _leave(self, total: int) -> bool:
        """Go, unless somebody has queued a run meanwhile; whoever comes from now on starts another dispatcher."""
        mark = bell.read_mark(self.place)
        self.place.busy_file.unlink(missing_ok=True)
        os.close(self._bell)
        if claims.read_workload(self.store, self.host)[0]:
            if mark is not None:
                bell.mark(self.place, mark)
            self._bell = open_bell(self.place)
            return False
        if total == 0:
            for path in self._folder.glob("env-*.json"):
                path.unlink(missing_ok=True)
        return True

    def _read_job_limit(self) -> int:
        """How many runs work at a time that have no cap of their own."""
        try:
            self._job_limit = settings.load(self.place, os.environ).jobs
        except SnaprunError as error:  # somebody is writing them right now: what they said before counts
            self._report(f"{error.message} ({error.hint})")
        return self._job_limit or process.count_processors()

    def _report(self, text: str) -> None:
        if text != self._last_message:
            self._last_message = text
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()


def main(argv: list[str]) -> int:
    """Serve the queue of the place that ``argv[0]`` names as JSON, unless somebody does already."""
    for number in (signal.SIGINT, signal.SIGQUIT):  # a shell ignores them for what it starts in the background
        signal.signal(number, signal.SIG_DFL)
    place = read_place(json.loads(argv[0]))
    lock_handle = _take_queue(place)
    if lock_handle is None:
        return 0
    mark = bell.read_mark(place)
    if mark is None:
        daemon.release()
        mark = bell.read_mark(place)  # who queued a run meanwhile started nobody, since this one was about to listen
    if mark is None:
        return 0
    index = store.open_store(place.state, mark.get("index_url"))
    pipe = open_bell(place)
    daemon.release()  # whoever queues a run from now on rings
    Dispatcher(place, index, pipe).serve()
    os.close(lock_handle)
    return 0


def open_bell(place: Place) -> int:
    """Open the bell for reading: from now on it is heard."""
    path = place.queue / bell.BELL
    with suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def _take_queue(place: Place) -> int | None:
    """The lock of the queue; None where another dispatcher serves it, which has been told to look again."""
    for _ in range(TRIES):
        lock_handle = filelock.take(place.queue / "lock")
        if lock_handle is not None:
            return lock_handle
        daemon.release()  # before it rings: what is queued behind that finds nobody starting
        if bell.ring(place):
            break
        time.sleep(0.05)  # it is about to listen, or about to go
    return None


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SnaprunError as error:
        sys.exit(f"{error.message} ({error.hint})")
    except Exception:  # noqa: BLE001  # the edge: nobody above could tell; stderr is the dispatcher's log
        traceback.print_exc()
        sys.exit(FAULT_CODE)
