"""Finalise every run whose supervisor and worker are both gone, so that states are true. Standard library only.

Every command that reads states calls :func:`settle` first. Where nothing is in progress that is one look into an empty
folder; a run in progress costs one lock attempt.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from snaprun import filelock, launchers, programs
from snaprun.files import HALF_MADE_AGE, write_json
from snaprun.git.locate import Place, make_private
from snaprun.launchers import contact
from snaprun.launchers.placement import Placement, read_placement
from snaprun.live import lock, secondnames
from snaprun.live.livefolder import Live, scan, tidy
from snaprun.live.names import ENDING_FILE, PLACEMENT_FILE
from snaprun.live.order import FINALISE, Order, write_order
from snaprun.live.supervision import host_of, read_identities, supervisor_env
from snaprun.live.wire import send_task
from snaprun.machine import process
from snaprun.model import FAULT_CODE, Outcome
from snaprun.statuses import ONGOING, Status

START_TIMEOUT = 60.0
"""Seconds that a command may take between making a live folder and handing it to a supervisor."""


def settle(place: Place, env: Mapping[str, str]) -> list[str]:
    """Finalise the dead runs of this machine from their journals; the ids of those that are finalised now.

    A run of another machine is never judged. What cannot be finalised (no space, say) stays for the next time.
    """
    tidy(place, age=HALF_MADE_AGE, now=time.time())
    folders = scan(place)
    placed_runs = [folder for folder in folders if (folder.path / PLACEMENT_FILE).exists()]
    if placed_runs:
        contact.refresh(place, env, placed_runs)
    due = [(folder, lock_handle) for folder in folders if (lock_handle := _take_dead(folder)) is not None]
    return _finalise(due, env) if due else []


def end(folder: Live, env: Mapping[str, str], outcome: Outcome) -> None:
    """Finalise a run that nobody looks after, with word of how it ended; nothing where somebody does."""
    lock_handle = lock.take(folder.path)
    if lock_handle is None:
        return
    finaliser = _Finaliser(env)
    finaliser.give(folder.path, _write_ending(folder, lock_handle, outcome))
    finaliser.wait()


def revive(place: Place, env: Mapping[str, str], ids: Iterable[str]) -> list[str]:
    """Settle runs of this machine that the index has as running and whose live folder somebody deleted.

    While anything of such a run lives (it holds a slot, or a process bears its mark) it is left alone: its worker gives
    the folder back. The ids of those that are finalised now.
    """
    folders = [Live(place.live / run_id) for run_id in ids if not _is_alive(place, run_id)]
    due = [(folder, lock_handle) for folder in folders if (lock_handle := _revive_folder(place, folder)) is not None]
    return _finalise(due, env) if due else []


def _finalise(due: Sequence[tuple[Live, int]], env: Mapping[str, str]) -> list[str]:
    """Have runs finalised whose locks are held here; the ids of those whose record is made."""
    finaliser = _Finaliser(env)
    try:
        for folder, lock_handle in due:
            finaliser.give(folder.path, lock_handle)
    finally:
        finaliser.wait()
    return [folder.id for folder, _ in due if not folder.path.exists()]


def _revive_folder(place: Place, folder: Live) -> int | None:
    """The lock of a dead run whose folder is there again: with what was kept of it, else with word of its loss."""
    if secondnames.mend(folder):
        return _take_dead(folder)
    temporary = folder.path.with_name(f".{folder.id}.revived.{os.getpid()}")
    try:
        make_private(temporary)
        lock.make(temporary)
        write_order(temporary, Order(folder.id, place))
        write_json(temporary / ENDING_FILE, Outcome(Status.LOST, FAULT_CODE, "its live folder was deleted").to_json())
        temporary.rename(folder.path)
    except OSError:  # no space, or somebody else was faster
        return None
    return lock.take(folder.path)


def _is_alive(place: Place, run_id: str) -> bool:
    """Whether something of a run without a live folder is still there."""
    if (place.live / run_id).exists() or process.find_marked(run_id):
        return True
    for owner in (place.state / "slots").glob("*.owner"):
        try:
            if owner.read_text(encoding="utf-8").strip() == run_id and not filelock.is_free(owner.with_suffix(".lock")):
                return True
        except OSError:
            continue
    return False


def _take_dead(folder: Live) -> int | None:
    """The lock of a run that nobody looks after any more, with word of why; None where it is not ours to judge."""
    if not folder.lock.exists():
        _restore_lock(folder)
    placement = read_placement(folder.path)
    if placement is not None and placement.needs_poll:
        return _take_dead_placement(folder, placement)
    if host_of(folder) is not None:
        return None
    lock_handle = lock.take(folder.path)
    if lock_handle is None:
        return None
    reason = _find_reason(folder)
    if reason is None:
        os.close(lock_handle)
        return None
    return _write_ending(folder, lock_handle, Outcome(Status.LOST, FAULT_CODE, reason))


def _restore_lock(folder: Live) -> None:
    """Bring a lock back whose file somebody deleted: the very same, else a new one once nobody can hold the old one."""
    secondnames.mend(folder)
    if folder.lock.exists() or any(process.alive(identity) for identity in read_identities(folder) or ()):
        return
    with suppress(OSError):  # the folder goes away right now, or there is no space
        lock.make(folder.path)


def _take_dead_placement(folder: Live, placement: Placement) -> int | None:
    """The same of a run that a launcher has: its word counts, and what is certain of processes of this machine."""
    outcome = contact.judge_ending(folder, placement, now=time.time())
    if outcome is None:
        is_pending = launchers.STATES.get(contact.read_contact(folder).state) in ONGOING
        if is_pending or host_of(folder) is not None or read_identities(folder) is None:
            return None
    lock_handle = lock.take(folder.path)
    if lock_handle is None:
        return None
    reason = _find_reason(folder) if outcome is None else None
    return _write_ending(folder, lock_handle, outcome or Outcome(Status.LOST, FAULT_CODE, reason))


def _write_ending(folder: Live, lock_handle: int, outcome: Outcome) -> int:
    """Leave word of how a run ended for whoever finalises it."""
    try:
        if not (folder.path / ENDING_FILE).exists():
            write_json(folder.path / ENDING_FILE, outcome.to_json())
    except OSError:  # no space: the finaliser has the journal, and says "lost" by itself
        return lock_handle
    return lock_handle


def _find_reason(folder: Live) -> str | None:
    """What became of a run whose lock is free; None while its command may still be about to start it."""
    identities = read_identities(folder)
    if identities is None:
        age = time.time() - folder.path.stat().st_mtime
        return None if age < START_TIMEOUT else "the command ended before it had started the run"
    if identities[0].boot != process.boot_id():
        return "the machine was restarted while it ran"
    process.end_all(lambda: process.find_marked(folder.id))
    return "its supervisor and its worker were killed"


class _Finaliser:
    """A process that finalises: it, not this one, imports what that takes, and Ctrl-C does not reach it."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._connection, worker_end = socket.socketpair()
        with worker_end:
            self._child = subprocess.Popen(
                [sys.executable, "-m", programs.WORKER],
                stdin=worker_end.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={key: value for key, value in supervisor_env(env).items() if key != process.SUPERVISOR},
                start_new_session=True,
            )

    def give(self, path: Path, lock_handle: int) -> None:
        """Hand one run and its lock over."""
        try:
            send_task(self._connection, path, FINALISE, lock_handle)
        except OSError:  # it is gone: the run stays for the next time
            return
        finally:
            os.close(lock_handle)

    def wait(self) -> None:
        """Wait until it has finalised all that it was given."""
        self._connection.shutdown(socket.SHUT_WR)
        self._child.wait()
        self._connection.close()
