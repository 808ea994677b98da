"""Define what an engine is given: the job, and the wish that it ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snaprun.engines.outcomes import outcome_of_stop
from snaprun.live.livefolder import Live
from snaprun.model import Outcome
from snaprun.notebooks.kernels import Kernel


@dataclass(frozen=True)
class Job:
    """All that an engine needs. Times are seconds; ``None`` means no limit.

    ``notebook`` is a version 4 document with the parameters injected. ``kernel`` is for the kernel engine, ``python``
    (an interpreter) for the others, ``script`` (the paired script) for the script engine. ``environment`` is complete:
    nothing is inherited beside it. ``hold`` keeps the kernel of a failed cell for so many seconds. ``commented_magics``
    lets a script run without what jupytext commented out. ``patience`` is how long a kernel may be silent between its
    reply and its last output before it is asked whether it is there.
    """

    live: Live
    notebook: Mapping[str, Any]
    folder: Path
    environment: Mapping[str, str]
    kernel: Kernel | None = None
    python: str | None = None
    labels: Mapping[int, str] = field(default_factory=dict)
    attempt: int = 1
    timeout: float | None = None
    cell_timeout: float | None = None
    start_timeout: float = 120.0
    grace: float = 10.0
    patience: float = 5.0
    hold: float | None = None
    script: Path | None = None
    commented_magics: bool = False


class Stop:
    """The wish that a run ends, set from a signal handler or a thread and waited for by an engine.

    The first request interrupts; after the grace period, or at a second request, the engine terminates and kills.
    ``grace`` is that period in seconds where the request gives one, in place of the job's; 0 does not interrupt first.
    """

    def __init__(self) -> None:
        self.signal = 0
        self.count = 0
        self.grace: float | None = None
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK) if hasattr(os, "pipe2") else _pipe()

    def request(self, signum: int = signal.SIGTERM) -> None:
        """Ask. The first signal is the one that the exit code tells. Safe in a signal handler."""
        self.signal = self.signal or signum
        self.count += 1
        try:
            os.write(self._writer, b"!")
        except BlockingIOError:
            return

    def fileno(self) -> int:
        """Readable once a request was made: for a selector or an event loop."""
        return self._reader

    def drain(self) -> None:
        """Empty the pipe, so that the next request makes it readable again."""
        try:
            os.read(self._reader, 4096)
        except BlockingIOError:
            return

    def grace_period(self, job: Job) -> float:
        """How long the code may take to give in, in seconds."""
        return job.grace if self.grace is None else self.grace

    def outcome(self) -> Outcome:
        """What a run that obeyed reports."""
        return outcome_of_stop(self.signal)


def _pipe() -> tuple[int, int]:
    """macOS has no pipe2; Python's pipes are close-on-exec anyway."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    return reader, writer
