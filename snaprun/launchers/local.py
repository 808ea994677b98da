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
from snaprun.live.names import ORDER_FILE
from snaprun.live.order import RUN
from snaprun.live.stoprequest import StopRequest
from snaprun.live.supervision import supervisor_env
from snaprun.live.wire import send_task

ACKNOWLEDGEMENT = b"!"
"""What a fork server answers when the supervisor is on its way."""

PATIENCE = 60.0
"""Seconds that a supervisor may take to answer: it only writes one small file, but the machine may be loaded."""


@dataclass(frozen=True)
class Handle:
    """A supervisor that waits for its run. It vanishes, with all it started, when this side goes away untold.

    ``env`` is the environment that it was started with; ``child`` the process to reap, which has gone its own way.
    """

    channel: socket.socket
    stderr: IO[bytes]
    child: subprocess.Popen[bytes] | None
    env: Mapping[str, str] = field(default_factory=dict)

    def launch(self, path: Path, *, lock_descriptor: int | None = None) -> None:
        """Hand a live folder over; on return the run is the supervisor's, whatever happens to this process.

        ``lock_descriptor`` is the folder's lock where the caller holds it; it is closed here in any case. The GPUs that
        the run wants are taken for it first.

        Raises:
            Busy: somebody else supervises this run, or other runs have the GPUs.
            Unavailable: there are not so many GPUs.
            RunFault: the supervisor did not start, or did not answer; :func:`snaprun.launchers.handover.is_taken` says
                whether the live folder is still the caller's.
        """
        is_refused = False
        descriptor = lock.take(path) if lock_descriptor is None else lock_descriptor
        if descriptor is None:
            self.abandon()
            raise Busy(f"run {path.name[:8]} has a supervisor already", hint=f"snaprun attach {path.name[:8]}")
        try:
            _take_gpus(self.env, path)
            send_task(self.channel, path, RUN, descriptor)
            self.channel.settimeout(PATIENCE)
            answer = self.channel.recv(4096).decode("utf-8", "replace").strip()
            is_refused = answer.startswith("no")
        except OSError as error:
            answer = f"no {error}"
        finally:
            os.close(descriptor)
            self.channel.close()
        self._reap()
        if answer == "ok":
            self.stderr.close()
            return
        if is_refused:
            lock.wait_until_free(path)  # it lets go when its worker has ended; until then the run looks taken
        self.stderr.seek(0)
        lines = self.stderr.read().decode("utf-8", "replace").strip().splitlines()
        self.stderr.close()
        reason = answer.removeprefix("no").strip() or (lines[-1] if lines else "it ended without a word")
        raise RunFault(f"the supervisor did not start: {reason}", hint="snaprun doctor")

    def abandon(self) -> None:
        """Send the supervisor away: there is no run."""
        self.channel.close()
        self.stderr.close()
        self._reap()

    def _reap(self) -> None:
        if self.child is not None:
            self.child.wait()  # it forked and ended long ago


class ForkServer:
    """Starts supervisors for runs of one environment and engine; what a worker imports is imported once for all."""

    def __init__(self, env: Mapping[str, str], *, engine: str) -> None:
        """Raises Unavailable: no process can be started."""
        self._env = dict(env)
        self._channel, peer = socket.socketpair()
        with peer:
            self._child = _process(programs.FORK_SERVER, engine, channel=peer, stderr=None, env=env)

    def start(self) -> Handle:
        """Start a detached supervisor, whose worker is ready.

        Raises:
            Unavailable: the server is gone, or cannot start a process.
        """
        channel, peer = socket.socketpair()
        stderr = cast(IO[bytes], tempfile.TemporaryFile())  # noqa: SIM115  # the handle closes it
        try:
            self._channel.settimeout(PATIENCE)
            with peer:
                socket.send_fds(self._channel, [b"!"], [peer.fileno(), stderr.fileno()])
            answer = self._channel.recv(1)
        except OSError as error:
            answer = str(error).encode()
        if answer == ACKNOWLEDGEMENT:
            return Handle(channel, stderr, None, self._env)
        channel.close()
        stderr.close()
        raise Unavailable("the fork server does not answer", hint="snaprun doctor")

    def close(self) -> None:
        """Send it away; what it has started goes on."""
        self._channel.close()
        self._child.kill()
        self._child.wait()


def start(env: Mapping[str, str], *, engine: str = "kernel") -> Handle:
    """Start a detached supervisor with this environment, which is the run's too, and return at once.

    Its worker imports ``engine`` meanwhile.

    Raises:
        Unavailable: no process can be started.
    """
    channel, peer = socket.socketpair()
    stderr = cast(IO[bytes], tempfile.TemporaryFile())  # noqa: SIM115  # the handle closes it
    try:
        with peer:
            child = _process(programs.SUPERVISOR, "--engine", engine, channel=peer, stderr=stderr, env=env)
    except Unavailable:
        channel.close()
        stderr.close()
        raise
    return Handle(channel, stderr, child, dict(env))


def _process(
    program: str, *args: str, channel: socket.socket, stderr: IO[bytes] | None, env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start one of ours detached, with ``channel`` as its standard input. Raises Unavailable."""
    try:
        return subprocess.Popen(
            [sys.executable, "-m", program, *args],
            stdin=channel.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=stderr,
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


def cancel(site: Site, handle: str, request: StopRequest) -> bool:
    """Ask that a run ends. Raises as :func:`snaprun.live.stoprequest.request`."""
    folder = Live(site.place.live / handle)
    return stoprequest.request(folder, request.signal, grace=request.grace, kill=request.kill)


def _take_gpus(env: Mapping[str, str], path: Path) -> None:
    """Give a run that wants them GPUs of its own; its lock is held."""
    count = Live(path).spec().gpus
    if not count:
        return
    order = read_json(path / ORDER_FILE)
    options = {**order.get("options", {}), gpus.VARIABLES: gpus.take(env, count, path)}
    write_json(path / ORDER_FILE, {**order, "options": options})


def _state(path: Path) -> State:
    if not path.is_dir():
        return State("ended")
    descriptor = lock.take(path)
    if descriptor is None:
        return State("running")
    os.close(descriptor)
    return State("ended", "its supervisor and its worker are gone")
