"""Show the runs in progress, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from snaprun.model import SCHEMA, short_id
from snaprun.quantities import format_clock, format_size
from snaprun.show.tables import fit
from snaprun.show.words import Look, as_json

if TYPE_CHECKING:  # a listing shows no progress
    from snaprun.live.progress import RunInProgress


def in_progress(active_runs: Sequence[RunInProgress], look: Look) -> str:
    """The runs in progress as a table for a person."""
    header = ["run", "name", "notebook", "cell", "elapsed", "left", "cpu", "memory", "last metric"]
    rows = []
    for item in active_runs:
        progress = item.progress
        number = progress.cell if progress.cell is not None else progress.done
        activity = "held after an error" if progress.state == "held" else progress.label or progress.state
        position = f"{number}/{progress.total} {activity}" if progress.total else activity
        rows.append(
            [
                look.style(short_id(item.run.id), bold=True),
                item.run.name or "",
                item.run.notebook,
                f"{position}{_contact(item)}",
                format_clock(item.duration) if item.duration is not None else "",
                format_clock(item.eta) if item.eta is not None else "",
                f"{item.cpu:.0f} %" if item.cpu is not None else "",
                format_size(item.memory),
                item.metric or "",
            ]
        )
    return fit(rows, header, look, shrink_column=3)


def _contact(item: RunInProgress) -> str:
    """Where else a run is, and whether what is known of it is old."""
    parts = [f"on {item.host}"] if item.host is not None else []
    if item.trouble is None:
        return f" ({parts[0]})" if parts else ""
    silence = f"no word for {format_clock(item.silence)}" if item.silence is not None else "no word yet"
    return f" ({', '.join([*parts, silence])}: {item.trouble})"


def in_progress_json(active_runs: Sequence[RunInProgress]) -> str:
    """The runs in progress as JSON: the keys of ``history``, and ``progress``."""
    runs = []
    for item in active_runs:
        run_progress = item.progress
        progress = {
            "state": run_progress.state,
            "cell": run_progress.cell,
            "cells": run_progress.total,
            "done": run_progress.done,
            "label": run_progress.label,
            "elapsed": item.duration,
            "left": item.eta,
            "cpu": item.cpu,
            "memory": item.memory,
            "metric": item.metric,
            "host": item.host,
            "trouble": item.trouble,
        }
        runs.append({**item.run.to_json(), "progress": progress})
    return as_json({"schema": SCHEMA, "runs": runs})
