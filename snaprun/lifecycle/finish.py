"""Make the record of a run that is over, from its live folder: result commit, index, and the folder goes.

The same for every ending, and safe to repeat: whoever finalises after a crash finds what is done and does the rest.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from snaprun import records
from snaprun.checkouts import links, result, slots
from snaprun.checkouts.slots import Slot
from snaprun.engines import SIGNAL_CODES
from snaprun.errors import DataFault, SnaprunError
from snaprun.files import read_json
from snaprun.git.gitrepo import GitRepo
from snaprun.index.reindex import index
from snaprun.lifecycle import retries
from snaprun.lifecycle.rundocument import load_document
from snaprun.live import livefolder
from snaprun.live.journal import Journal
from snaprun.live.livefolder import Live
from snaprun.live.order import ENDING_FILE, JOB, LIMIT_REASON, LOST_BYTES, MESSAGES_FILE, Order, read_order
from snaprun.live.replay import Replay, render, replay_live
from snaprun.live.secondnames import RESERVE
from snaprun.live.stoprequest import read_stop_request
from snaprun.model import RUN_REF, Outcome, Result, Run, RunSpec, Status, utc

ENVIRONMENT = "environment.json"
"""In the live folder: what was found out about the run's environment."""

INPUTS = "inputs.json"
"""In the live folder: size and time of change of the linked data before the run."""

CONSOLES = "consoles.jsonl"
"""In the live folder: a line each time that somebody talked to the kernel."""

MESSAGES_LIMIT = 20_000
"""Characters of snaprun's own messages that go into the log of a run that snaprun failed."""


def finish(repo: GitRepo, folder: Live, order: Order, *, slot: Slot | None, peak_memory: int | None = None) -> Run:
    """Finalise the run in a live folder whose lock the caller holds; the run as it stands in the index now.

    Raises:
        SnaprunError: the disk is full, or git or the index refuse; the live folder stays, to be tried again.
        OSError: the live folder cannot be read.
    """
    spec = _spec(repo, folder)
    document = load_document(repo, folder, spec)
    replay = replace(replay_live(folder, document), attempts=order.attempt)  # it may have been killed before a word
    outcome = _explain(judge(replay, folder), order)
    _keep_ref(repo, order)
    tip = result.find_result(repo, order.run)
    if tip is None or tip == order.after:
        end = result.ResultParts(
            result=_result(replay, outcome, folder, peak_memory, _warnings(repo, folder, slot)),
            notebook=render(replay.notebook),
            log=_log(folder, outcome),
            log_times=_read(folder.log_times),
            metrics=_read(folder.metrics),
            environment=_environment(folder),
            artifacts=_artifacts(folder),
            previous=order.after,
        )
        present_slot = slot if slot is not None and slots.has_checkout(slot) else None
        tip = result.commit_result(repo, order.run, end, slot=present_slot, max_file_size=order.max_file_size)
    run = records.read_run(repo, order.run, commit=tip)
    has_retry = retries.is_due(folder, run.status, order.attempt)
    if replay.result is None and not has_retry:
        with Journal(folder.path) as journal:
            journal.result(tip)
    index(repo, order.index_url, run.requeue(order.attempt + 1) if has_retry else run)
    if slot is not None:
        slots.release(slot)
    if has_retry:
        retries.renew(repo.place, folder, order, tip)
    else:
        livefolder.remove(folder)
    _drop_checkpoints(repo, order.run)
    return run


def record_provisionally(folder: Live, error: Exception) -> None:
    """Tell the index how a run ended whose record cannot be made now: it must not look as if it still ran.

    Best effort, on what room the folder's reserve gives back: where the disk is full the index may be too.
    """
    cause = error.message if isinstance(error, SnaprunError) else f"{type(error).__name__}: {error}"
    try:
        (folder.path / RESERVE).unlink(missing_ok=True)
        order = read_order(folder.path)
        repo = GitRepo(order.place)
        spec = _spec(repo, folder)
        outcome = judge(replay_live(folder, load_document(repo, folder, spec)), folder)
        reason = "; ".join(filter(None, [outcome.reason, f"its record cannot be made yet: {cause}"]))
        run = Run.from_commits(order.run, spec, folder.params(), commit=order.after or order.run, status=outcome.status)
        index(repo, order.index_url, replace(run, exit_code=outcome.exit_code, reason=reason, attempts=order.attempt))
    except (SnaprunError, OSError, ValueError) as index_error:
        sys.stderr.write(f"the index cannot be told either: {index_error}\n")


def judge(replay: Replay, folder: Live) -> Outcome:
    """How the run ended: as the journal says, else as somebody wished, else as it was seen to end, else unknown."""
    request = read_stop_request(folder.path)
    if replay.status is not None and replay.exit_code is not None:
        status = Status(replay.status)
        reason = request.reason if request is not None and status is Status.STOPPED else None
        return Outcome(status, replay.exit_code, reason or replay.reason, replay.signal)
    if request is not None:
        code = SIGNAL_CODES.get(signal.Signals(request.signal), 143)
        name = signal.Signals(request.signal).name.removeprefix("SIG")
        return Outcome(Status.STOPPED, code, request.reason or f"stopped by {name}", request.signal)
    try:
        return Outcome.from_json(read_json(folder.path / ENDING_FILE))
    except (OSError, ValueError, KeyError, TypeError):
        return Outcome(Status.LOST, 125, "nobody saw how it ended")


def _explain(outcome: Outcome, order: Order) -> Outcome:
    """With why a job of Slurm was at its end, not only by what."""
    job, reason = order.options.get(JOB), None
    if outcome.status is Status.TIMED_OUT:
        reason = order.options.get(LIMIT_REASON)
    elif outcome.status is Status.STOPPED and outcome.signal is not None and job:
        from snaprun.launchers.slurmstates import why_ended  # Slurm's words: no other run needs them

        cause = why_ended(job["name"], job["restarts"])
        reason = f"{cause}, Slurm job {job['name']}" if cause else None
    return replace(outcome, reason=f"{outcome.reason} ({reason})") if reason else outcome


def _keep_ref(repo: GitRepo, order: Order) -> None:
    """Give a run in progress back the ref that somebody deleted, while its snapshot is still there."""
    ref = RUN_REF + order.run
    commit = order.after or order.run
    if not repo.refs(ref) and repo.resolve(commit) == commit:
        repo.move_ref(ref, commit, None)


def _spec(repo: GitRepo, folder: Live) -> RunSpec:
    """What was asked for; from the snapshot where the live folder lost it."""
    try:
        return folder.spec()
    except DataFault:
        return records.read_spec(repo, folder.id)


def _result(replay: Replay, outcome: Outcome, folder: Live, peak_memory: int | None, warnings: Iterable[str]) -> Result:
    end = _end_time(replay, folder)
    seconds = None if replay.start is None or end is None else round(max(0.0, end - replay.start), 6)
    cells = replay.cells
    if outcome.status is Status.LOST and replay.current_cell is not None:
        cells = tuple(replace(cell, state="stopped") if cell.number == replay.current_cell else cell for cell in cells)
    return Result(
        status=outcome.status,
        exit_code=outcome.exit_code,
        reason=outcome.reason,
        signal=outcome.signal,
        started=None if replay.start is None else utc(replay.start),
        ended=None if end is None else utc(end),
        seconds=seconds,
        attempts=replay.attempts,
        cells=cells,
        error=replay.error,
        peak_memory=peak_memory,
        warnings=(*replay.notes, *warnings),
    )


def _warnings(repo: GitRepo, folder: Live, slot: Slot | None) -> list[str]:
    """What makes the run harder to repeat: linked data that changed, talk with its kernel, lost output."""
    count = len(_read(folder.path / CONSOLES).splitlines())
    frequency = "once" if count == 1 else f"{count} times"
    console_notes = [f"a console was opened on the run's kernel {frequency}"] if count else []
    if slot is not None and not slots.has_checkout(slot):
        slot_notes = ["its checkout was deleted while it ran, and the files that it made there with it"]
        return [*slot_notes, *console_notes, *_lost_output(folder)]
    return [*_changed_inputs(repo, folder, slot), *console_notes, *_lost_output(folder)]


def _lost_output(folder: Live) -> list[str]:
    """What a full disk has taken from the run's output."""
    try:
        size = int(read_json(folder.path / ENDING_FILE)[LOST_BYTES])
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [f"{size:,} bytes of what it printed could not be written: the disk was full"] * bool(size)


def _changed_inputs(repo: GitRepo, folder: Live, slot: Slot | None) -> list[str]:
    try:
        fingerprint = {
            name: (size, moment) for name, (size, moment) in read_json(folder.path / INPUTS)["inputs"].items()
        }
    except (OSError, ValueError, KeyError, TypeError):
        return []
    if slot is None:
        return []
    return links.compare(fingerprint, links.fingerprint(repo.place.top, slots.read_links(slot)))


def _end_time(replay: Replay, folder: Live) -> float | None:
    """When the run ended: its last event, or what it wrote after that."""
    times = [replay.last_time] if replay.last_time is not None else []
    if replay.status is None:
        for path in (folder.log, folder.metrics):
            try:
                attributes = path.stat()
            except OSError:
                continue
            if attributes.st_size:
                times.append(attributes.st_mtime)
    return max(times, default=None)


def _log(folder: Live, outcome: Outcome) -> Path | bytes:
    """The run's log; where snaprun itself failed, with what it had to say."""
    messages = _read(folder.path / MESSAGES_FILE)[-MESSAGES_LIMIT:]
    if outcome.exit_code != 125 or not messages.strip():
        return folder.log
    return _read(folder.log) + b"\n[snaprun: its own messages]\n" + messages


def _environment(folder: Live) -> dict[str, Any]:
    try:
        return read_json(folder.path / ENVIRONMENT)
    except (OSError, ValueError):
        return {}


def _artifacts(folder: Live) -> tuple[str, ...]:
    """The files that the notebook asked to keep, each once."""
    paths: dict[str, None] = {}
    for line in _read(folder.artifacts).splitlines():
        try:
            paths[str(json.loads(line)["path"])] = None
        except (ValueError, KeyError, TypeError):
            continue
    return tuple(paths)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _drop_checkpoints(repo: GitRepo, run_id: str) -> None:
    """Remove the run's checkpoint folder if the notebook left nothing in it."""
    try:
        os.rmdir(repo.place.state / "checkpoints" / run_id)
    except OSError:  # there is none, or there is something in it
        return
