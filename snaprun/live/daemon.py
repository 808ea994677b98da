"""Start a process of ours that outlives whoever starts it and is nobody's child. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from snaprun.live.supervision import supervisor_env
from snaprun.machine import streams


def start(command: Sequence[str], env: Mapping[str, str], *, lock: int, log: Path) -> None:
    """Start a command, which takes no longer than starting a shell. It is given ``lock`` as its standard output, so
    that there is never a second one, and says what it has to say at the end of the file ``log``.

    Raises:
        OSError: it cannot be started.
    """
    log_handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        shell = os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", 'cd /; "$@" &', "sh", *command],
            supervisor_env(env),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, lock, 1),
                (os.POSIX_SPAWN_DUP2, log_handle, 2),
            ],
            setsid=True,
        )
    finally:
        os.close(log_handle)
        os.close(lock)
    os.waitpid(shell, 0)


def release() -> None:
    """Give the lock back that :func:`start` gave this process."""
    streams.detach(streams.OUT)
