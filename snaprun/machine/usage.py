"""Measure what a run's processes use: CPU time and memory of a supervisor and everything below it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil

from snaprun.machine.process import Identity, identify


@dataclass(frozen=True)
class Usage:
    """``cpu`` in percent of one core, averaged since the start; ``memory`` in bytes, resident."""

    cpu: float
    memory: int


def measure(supervisor: Identity) -> Usage | None:
    """What the supervisor and all its descendants use; None where it is gone."""
    if identify(supervisor.pid) != supervisor:
        return None
    try:
        root = psutil.Process(supervisor.pid)
        processes = [root, *root.children(recursive=True)]
        age = max(time.time() - root.create_time(), 0.01)
    except psutil.Error:
        return None
    seconds, memory = 0.0, 0
    for process in processes:
        try:
            with process.oneshot():
                times = process.cpu_times()
                seconds += times.user + times.system
                memory += process.memory_info().rss
        except psutil.Error:  # it ended while we looked
            continue
    return Usage(cpu=100.0 * seconds / age, memory=memory)
