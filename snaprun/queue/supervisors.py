"""Start the supervisors of queued runs: one of them ahead of its run, and by a fork server while more runs wait."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from snaprun.errors import Unavailable
from snaprun.launchers import local
from snaprun.live import envfile
from snaprun.machine import process


@dataclass(frozen=True)
class Spare:
    """A supervisor that was started ahead of its run, with this environment and engine."""

    env: str
    engine: str
    handle: local.Handle


@dataclass(frozen=True)
class Server:
    """A fork server for runs with this environment and engine."""

    env: str
    engine: str
    forks: local.ForkServer


class SupervisorPool:
    """The supervisor that waits for the next run, and the server that forks further ones, as far as there are any.

    ``folder`` is that of the queue, where environments lie by name; ``expects_runs`` says whether another run comes.
    """

    def __init__(self, folder: Path, *, expects_runs: Callable[[], bool], report: Callable[[str], None]) -> None:
        self._folder = folder
        self._expects_runs = expects_runs
        self._report = report
        self._spare: Spare | None = None
        self._server: Server | None = None

    def take(self, env: str, engine: str) -> local.Handle:
        """The supervisor that was started ahead, if it fits, else a new one. Raises Unavailable."""
        spare, self._spare = self._spare, None
        if spare is not None and (spare.env, spare.engine) == (env, engine):
            return spare.handle
        if spare is not None:
            spare.handle.abandon()
        return self._start(env, engine)

    def start_ahead(self, env: str, engine: str) -> None:
        """Start a supervisor for the next run, if one is expected and none waits for it yet."""
        if self._spare is None and self._expects_runs():
            with suppress(Unavailable):  # it is for speed alone, and the next run says why it cannot start
                self._spare = Spare(env, engine, self._start(env, engine))

    def close(self) -> None:
        """Do without the supervisor that was started ahead, and without the server that starts them."""
        if self._spare is not None:
            self._spare.handle.abandon()
            self._spare = None
        self._close_server()

    def environment(self, name: str) -> Mapping[str, str]:
        """The environment of this name, which those who queued runs left here."""
        env = envfile.read(self._folder, name)
        return os.environ if env is None else env

    def _start(self, env: str, engine: str) -> local.Handle:
        """A new supervisor, from the fork server where more runs wait; should that fail, started alone."""
        server = self._server
        try:
            if (
                process.LINUX
                and (server is None or (server.env, server.engine) != (env, engine))
                and self._expects_runs()
            ):
                self._close_server()
                server = self._server = Server(env, engine, local.ForkServer(self.environment(env), engine=engine))
            if server is not None and (server.env, server.engine) == (env, engine):
                return server.forks.start()
        except Unavailable as error:
            self._report(error.message)
            self._close_server()
        return local.start(self.environment(env), engine=engine)

    def _close_server(self) -> None:
        if self._server is not None:
            self._server.forks.close()
            self._server = None
