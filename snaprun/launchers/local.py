"""Launch a run on this machine: a detached supervisor, started early, told late what to supervise."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from snaprun import programs
from snaprun.errors import Busy, RunFault, Unavailable
from snaprun.files import read_json, write_json
from snaprun.launchers import Site, State, Submission
from snaprun.live import gpus, lock, stoprequest
from snaprun.live.livefolder import Live
from snaprun.live.order import ORDER, RUN
from snaprun.live.stoprequest import Request
from snaprun.live.supervision import supervisor_env
from snaprun.live.wire import send_task

MADE = b"!"
"""What a fork server answers when the supervisor is on its way."""

PATIENCE = 60.0
"""Seconds that a supervisor may take to answer: it only writes one small file, but the machine may be loaded."""


@dataclass(frozen=True)
class Handle:
    """A supervisor that waits for its run. It vanishes, with all it started, when this side goes away untold.

    ``env`` is the environment that it was started with; ``child`` the process to reap, which has gone its own way.
    """

    door: socket.socket
    said: IO[bytes]
    child: subprocess.Popen[bytes] | None
    env: Mapping[str, str] = field(default_factory=dict)

    def launch(self, live: Path, *, held: int | None = None) -> None:
        """Hand a live folder over; on return the run is the supervisor's, whatever happens to this process.

        ``held`` is the folder's lock where the caller holds it; it is closed here in any case. The GPUs that the run
        wants are taken for it first.

        Raises:
            Busy: somebody else supervises this run, or other runs have the GPUs.
            Unavailable: there are not so many GPUs.
            RunFault: the supervisor did not start; the live folder is still the caller's.
        """
        mine = lock.take(live) if held is None else held
        if mine is None:
            self.abandon()
            raise Busy(f"run {live.name[:8]} has a supervisor already", hint=f"snaprun attach {live.name[:8]}")
        try:
            _take_gpus(self.env, live)
            send_task(self.door, live, RUN, mine)
            self.door.settimeout(PATIENCE)
            answer = self.door.recv(4096).decode("utf-8", "replace").strip()
        except OSError as error:
            answer = f"no {error}"
        finally:
            os.close(mine)
            self.door.close()
        self._reap()
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
        self._reap()

    def _reap(self) -> None:
        if self.child is not None:
            self.child.wait()  # it forked and ended long ago


class ForkServer:
    """Starts supervisors for runs of one environment and engine; what a worker imports is imported once for all."""

    def __init__(self, env: Mapping[str, str], *, engine: str) -> None:
        """Raises Unavailable: no process can be started."""
        self._env = dict(env)
        self._door, theirs = socket.socketpair()
        with theirs:
            self._child = _process(programs.FORK_SERVER, engine, door=theirs, words=None, env=env)

    def start(self) -> Handle:
        """Start a detached supervisor, whose worker is ready.

        Raises:
            Unavailable: the server is gone, or cannot start a process.
        """
        ours, theirs = socket.socketpair()
        said = cast(IO[bytes], tempfile.TemporaryFile())  # noqa: SIM115  # the handle closes it
        try:
            self._door.settimeout(PATIENCE)
            with theirs:
                socket.send_fds(self._door, [b"!"], [theirs.fileno(), said.fileno()])
            answer = self._door.recv(1)
        except OSError as error:
            answer = str(error).encode()
        if answer == MADE:
            return Handle(ours, said, None, self._env)
        ours.close()
        said.close()
        raise Unavailable("the fork server does not answer", hint="snaprun doctor")

    def close(self) -> None:
        """Send it away; what it has started goes on."""
        self._door.close()
        self._child.kill()
        self._child.wait()


def start(env: Mapping[str, str], *, engine: str = "kernel") -> Handle:
    """Start a detached supervisor with this environment, which is the run's too, and return at once.

    Its worker imports ``engine`` meanwhile.

    Raises:
        Unavailable: no process can be started.
    """
    ours, theirs = socket.socketpair()
    said = cast(IO[bytes], tempfile.TemporaryFile())  # noqa: SIM115  # the handle closes it
    try:
        with theirs:
            child = _process(programs.SUPERVISOR, "--engine", engine, door=theirs, words=said, env=env)
    except Unavailable:
        ours.close()
        said.close()
        raise
    return Handle(ours, said, child, dict(env))


def _process(
    program: str, *args: str, door: socket.socket, words: IO[bytes] | None, env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start one of ours detached, with ``door`` as its standard input. Raises Unavailable."""
    try:
        return subprocess.Popen(
            [sys.executable, "-m", program, *args],
            stdin=door.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=words,
            cwd="/",
            env=supervisor_env(env),
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(f"cannot start a process: {error}", hint="ulimit -u; free -m") from error


def check(site: Site) -> None:
    """This machine is always there."""


def submit(site: Site, runs: Sequence[Submission]) -> list[str]:
    """Start these runs at once, each under a supervisor of its own; a handle is the run's id.

    Raises:
        SnaprunError: as :func:`start` and :meth:`Handle.launch`.
    """
    for run in runs:
        handle = start(site.env)
        handle.launch(run.live)
    return [run.run for run in runs]


def poll(site: Site, handles: Sequence[str]) -> list[State]:
    """How these runs stand: the lock of a live folder is free exactly when nobody looks after the run."""
    return [_state(site.place.live / handle) for handle in handles]


def cancel(site: Site, handle: str, request: Request) -> bool:
    """Ask that a run ends. Raises as :func:`stopping.request`."""
    folder = Live(site.place.live / handle)
    return stoprequest.request(folder, request.signal, grace=request.grace, kill=request.kill)


def logs(site: Site, handle: str, offset: int) -> bytes:
    """What a run in progress has printed, from a byte on."""
    try:
        with Live(site.place.live / handle).log.open("rb") as file:
            file.seek(offset)
            return file.read()
    except FileNotFoundError:
        return b""


def _take_gpus(env: Mapping[str, str], live: Path) -> None:
    """Give a run that wants them GPUs of its own; its lock is held."""
    count = Live(live).spec().gpus
    if not count:
        return
    order = read_json(live / ORDER)
    options = {**order.get("options", {}), gpus.TAKEN: gpus.take(env, count, live)}
    write_json(live / ORDER, {**order, "options": options})


def _state(live: Path) -> State:
    if not live.is_dir():
        return State("ended")
    held = lock.take(live)
    if held is None:
        return State("running")
    os.close(held)
    return State("ended", "its supervisor and its worker are gone")
