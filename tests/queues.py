"""What tests ask a queue: its runs, and its dispatchers."""

from __future__ import annotations

import os
from pathlib import Path

from snaprun.context import Context
from snaprun.index import runlist
from snaprun.index.runlist import Filter
from snaprun.machine import process
from snaprun.model import Run


def runs(here: Context, **wanted: object) -> list[Run]:
    """As the index has them, oldest first, without any command's help to the queue."""
    with runlist.connect(here.place.state) as reader:
        return runlist.query(reader, Filter(ascending=True, **wanted))  # type: ignore[arg-type]


def dispatchers(here: Context) -> list[int]:
    """The processes that dispatch the queue of a repository."""
    mark = os.fsencode(str(here.place.common_dir))
    lines = process.read_table()
    found = []
    for pid in lines:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"snaprun.queue.dispatcher" in words and mark in words and not words.startswith(b"sh"):
            found.append(pid)
    return [pid for pid in found if lines[pid].parent not in found]  # a child bears its name until it executes git
