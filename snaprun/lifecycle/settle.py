"""Keep states true: finalise every run whose supervisor and worker are both gone. Standard library only.

Every command that reads states calls :func:`settle` first. Where nothing is in progress that is one look into an empty
folder; a run in progress costs one lock attempt.
"""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from snaprun import launchers, programs
from snaprun.files import write_json
from snaprun.git.locate import Place, make_private
from snaprun.launchers import Submitted
from snaprun.lifecycle import contact
from snaprun.live import lock, secondnames
from snaprun.live.livefolder import Live, scan, tidy
from snaprun.live.order import ENDING, FINALISE, ORDER, SUBMITTED, Order
from snaprun.live.supervision import host_of, supervised_by, supervisor_env
from snaprun.live.wire import send_task
from snaprun.machine import process

__all__ = ["host_of", "revive", "settle", "supervised_by"]

STALE = 3600.0
"""Age in seconds at which a half made or half removed live folder is nobody's any more."""

STARTING = 60.0
"""Seconds that a command may take between making a live folder and handing it to a supervisor."""


def settle(place: Place, env: Mapping[str, str]) -> list[str]:
    """Finalise the dead runs of this machine from their journals; the ids of those that are finalised now.

    A run of another machine is never judged. What cannot be finalised (no space, say) stays for the next time.
    """
    tidy(place, older=STALE, now=time.time())
    folders = scan(place)
    submitted = [folder for folder in folders if (folder.path / SUBMITTED).exists()]
    if submitted:
        contact.refresh(place, env, submitted)
    due = [(folder, held) for folder in folders if (held := _dead(folder)) is not None]
    if not due:
        return []
    clerk = _Clerk(env)
    try:
        for folder, held in due:
            clerk.give(folder.path, held)
    finally:
        clerk.wait()
    return [folder.id for folder, _ in due if not folder.path.exists()]


def end(folder: Live, env: Mapping[str, str], ending: Mapping[str, object]) -> None:
    """Finalise a run that nobody looks after, with word of how it ended; nothing where somebody does."""
    held = lock.take(folder.path)
    if held is None:
        return
    clerk = _Clerk(env)
    clerk.give(folder.path, _with_word(folder, held, ending))
    clerk.wait()


def revive(place: Place, env: Mapping[str, str], ids: Iterable[str]) -> list[str]:
    """Settle runs of this machine that the index has as running and whose live folder somebody deleted.

    While anything of such a run lives (it holds a slot, or a process bears its mark) it is left alone: its worker gives
    the folder back. The ids of those that are finalised now.
    """
    gone = [Live(place.live / run_id) for run_id in ids if not _lives(place, run_id)]
    due = [(folder, held) for folder in gone if (held := _revived(place, folder)) is not None]
    clerk = _Clerk(env)
    try:
        for folder, held in due:
            clerk.give(folder.path, held)
    finally:
        clerk.wait()
    return [folder.id for folder, _ in due if not folder.path.exists()]


def _revived(place: Place, folder: Live) -> int | None:
    """The lock of a dead run whose folder is there again: with what was kept of it, else with word of its loss."""
    if secondnames.mend(folder):
        return _dead(folder)
    half = folder.path.with_name(f".{folder.id}.revived.{os.getpid()}")
    try:
        make_private(half)
        lock.make(half)
        write_json(half / ORDER, Order(folder.id, place).to_json())
        write_json(half / ENDING, {"status": "lost", "exit_code": 125, "reason": "its live folder was deleted"})
        half.rename(folder.path)
    except OSError:  # no space, or somebody else was faster
        return None
    return lock.take(folder.path)


def _lives(place: Place, run_id: str) -> bool:
    """Whether something of a run without a live folder is still there."""
    if (place.live / run_id).exists() or process.marked(run_id):
        return True
    for owner in (place.state / "slots").glob("*.owner"):
        try:
            if owner.read_text(encoding="utf-8").strip() == run_id and not _free(owner.with_suffix(".lock")):
                return True
        except OSError:
            continue
    return False


def _free(path: Path) -> bool:
    """Whether nobody holds the lock of a slot."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _dead(folder: Live) -> int | None:
    """The lock of a run that nobody looks after any more, with word of why; None where it is not ours to judge."""
    if not folder.lock.exists():
        _give_lock_back(folder)
    told = launchers.noted(folder.path)
    if told is not None and told.asked:
        return _dead_elsewhere(folder, told)
    if host_of(folder) is not None:
        return None
    held = lock.take(folder.path)
    if held is None:
        return None
    why = _why(folder)
    if why is None:
        os.close(held)
        return None
    return _with_word(folder, held, {"status": "lost", "exit_code": 125, "reason": why})


def _give_lock_back(folder: Live) -> None:
    """Bring a lock back whose file somebody deleted: the very same, else a new one once nobody can hold the old one."""
    secondnames.mend(folder)
    if folder.lock.exists() or any(process.alive(who) for who in supervised_by(folder) or ()):
        return
    with suppress(OSError):  # the folder goes away right now, or there is no space
        lock.make(folder.path)


def _dead_elsewhere(folder: Live, told: Submitted) -> int | None:
    """The same of a run that a launcher has: its word counts, and what is certain of processes of this machine."""
    ending = contact.ending(folder, told, now=time.time())
    if ending is None:
        waits = contact.known(folder).state in ("queued", "running")
        if waits or host_of(folder) is not None or supervised_by(folder) is None:
            return None
    held = lock.take(folder.path)
    if held is None:
        return None
    why = _why(folder) if ending is None else None
    return _with_word(folder, held, ending or {"status": "lost", "exit_code": 125, "reason": why})


def _with_word(folder: Live, held: int, ending: Mapping[str, object]) -> int:
    """Leave word of how a run ended for whoever finalises it."""
    try:
        if not (folder.path / ENDING).exists():
            write_json(folder.path / ENDING, ending)
    except OSError:  # no space: the finaliser has the journal, and says "lost" by itself
        return held
    return held


def _why(folder: Live) -> str | None:
    """What became of a run whose lock is free; None while its command may still be about to start it."""
    about = supervised_by(folder)
    if about is None:
        age = time.time() - folder.path.stat().st_mtime
        return None if age < STARTING else "the command ended before it had started the run"
    if about[0].boot != process.boot_id():
        return "the machine was restarted while it ran"
    process.end_all(lambda: process.marked(folder.id))
    return "its supervisor and its worker were killed"


class _Clerk:
    """A process that finalises: it, not this one, imports what that takes, and Ctrl-C does not reach it."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._door, theirs = socket.socketpair()
        with theirs:
            self._child = subprocess.Popen(
                [sys.executable, "-m", programs.WORKER],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={key: value for key, value in supervisor_env(env).items() if key != process.SUPERVISOR},
                start_new_session=True,
            )

    def give(self, path: Path, held: int) -> None:
        """Hand one run and its lock over."""
        try:
            send_task(self._door, path, FINALISE, held)
        except OSError:  # it is gone: the run stays for the next time
            return
        finally:
            os.close(held)

    def wait(self) -> None:
        """Wait until it has finalised all that it was given."""
        self._door.shutdown(socket.SHUT_WR)
        self._child.wait()
        self._door.close()
