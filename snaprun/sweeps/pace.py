"""Tell how long a sweep will still take, by the runs that are over and by how long those in progress have taken."""

from __future__ import annotations

from collections.abc import Sequence

from snaprun.model import Run, timestamp
from snaprun.statuses import Status


def seconds_left(runs: Sequence[Run], count: int, *, now: float) -> float | None:
    """Seconds from ``now`` until ``count`` runs are over: None before any is, and where the pace says nothing more.

    The pace is that up to the last end, or, where the runs in progress take longer, that at which they would end now.
    So the time goes down between two ends, and up again when one is late.
    """
    past_runs = [run for run in runs if run.status.over and run.started and run.ended]
    if not past_runs or len(past_runs) >= count:
        return None
    start = min(timestamp(run.started) for run in past_runs if run.started)
    last_end = max(timestamp(run.ended) for run in past_runs if run.ended)
    running_count = sum(run.status is Status.RUNNING for run in runs)
    pace = max(
        (last_end - start) / len(past_runs), (now - start) / (len(past_runs) + running_count) if running_count else 0.0
    )
    seconds = pace * (count - len(past_runs)) - max(0.0, now - last_end)
    return seconds if seconds > 0 else None
