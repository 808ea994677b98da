"""Tell when runs end, without looking at them: a thread waits for the lock of each, and a pipe becomes readable."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from snaprun.live import lock


class EndWatch:
    """The runs whose end is waited for; ``reader`` is the descriptor that becomes readable at an end."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        self._runs: set[str] = set()

    def __contains__(self, run: str) -> bool:
        return run in self._runs

    def add(self, path: Path) -> None:
        """Wait from now on until nobody holds the run in this live folder any more."""
        run = path.name
        if run in self._runs:
            return
        self._runs.add(run)
        threading.Thread(target=self._wait, args=(path,), name=f"watch-{run[:8]}", daemon=True).start()

    def wake(self) -> None:
        """Make the pipe readable."""
        os.write(self._writer, b"!")

    def _wait(self, path: Path) -> None:
        with suppress(OSError):
            lock.wait_until_free(path)
        self._runs.discard(path.name)
        self.wake()
