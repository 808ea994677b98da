"""Launch a run on this machine: a detached supervisor, started early, told late what to supervise."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from snaprun import lock
from snaprun.errors import Busy, RunFault, Unavailable
from snaprun.locate import clean_env
from snaprun.order import RUN, send_task
from snaprun.process import MARK, SUPERVISOR

PATIENCE = 60.0
"""Seconds that a supervisor may take to answer: it only writes one small file, but the machine may be loaded."""


@dataclass(frozen=True)
class Handle:
    """A supervisor that waits for its run. It vanishes, with all it started, when this side goes away untold."""

    door: socket.socket
    said: IO[bytes]
    child: subprocess.Popen[bytes]

    def launch(self, live: Path, *, held: int | None = None) -> None:
        """Hand a live folder over; on return the run is the supervisor's, whatever happens to this process.

        ``held`` is the folder's lock where the caller holds it; it is closed here in any case.

        Raises:
            Busy: somebody else supervises this run.
            RunFault: the supervisor did not start; the live folder is still the caller's.
        """
        mine = lock.take(live) if held is None else held
        if mine is None:
            self.abandon()
            raise Busy(f"run {live.name[:8]} has a supervisor already", hint=f"snaprun attach {live.name[:8]}")
        try:
            send_task(self.door, live, RUN, mine)
            self.door.settimeout(PATIENCE)
            answer = self.door.recv(4096).decode("utf-8", "replace").strip()
        except OSError as error:
            answer = f"no {error}"
        finally:
            os.close(mine)
            self.door.close()
        self.child.wait()  # it forked and ended long ago
        if answer == "ok":
            self.said.close()
            return
        self.said.seek(0)
        lines = self.said.read().decode("utf-8", "replace").strip().splitlines()
        self.said.close()
        why = answer.removeprefix("no").strip() or (lines[-1] if lines else "it ended without a word")
        raise RunFault(f"the supervisor did not start: {why}", hint="snaprun doctor")

    def abandon(self) -> None:
        """Send the supervisor away: there is no run."""
        self.door.close()
        self.said.close()
        self.child.wait()


def start(env: Mapping[str, str], *, engine: str = "kernel") -> Handle:
    """Start a detached supervisor with this environment, which is the run's too, and return at once.

    Its worker imports ``engine`` meanwhile.

    Raises:
        Unavailable: no process can be started.
    """
    ours, theirs = socket.socketpair()
    said = cast(IO[bytes], tempfile.TemporaryFile())  # noqa: SIM115  # the handle closes it
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "snaprun.supervisor", "--engine", engine],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=said,
            cwd="/",
            env=supervisor_env(env),
            start_new_session=True,
        )
    except OSError as error:
        ours.close()
        said.close()
        raise Unavailable(f"cannot start a process: {error}", hint="ulimit -u; free -m") from error
    finally:
        theirs.close()
    return Handle(ours, said, child)


def supervisor_env(env: Mapping[str, str]) -> dict[str, str]:
    """The environment of a supervisor, and so of the run: no trace of a calling git hook or of an outer run."""
    made = {name: value for name, value in clean_env(env).items() if name != MARK}
    paths = made.get("PYTHONPATH", "")
    if paths:  # the supervisor lives in another folder than its caller
        made["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in paths.split(os.pathsep) if path)
    made[SUPERVISOR] = "1"
    return made
