"""Make the record of a run that is over from what it left: result commit and index; then its live folder goes.

The same for every ending, and safe to repeat: whoever finalises after a crash finds what is done and does the rest.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from snaprun import records
from snaprun.checkouts import links, result, slots
from snaprun.checkouts.slots import Slot
from snaprun.engines.outcomes import outcome_of_stop
from snaprun.errors import SnaprunError
from snaprun.git.gitrepo import GitRepo
from snaprun.index import reindex
from snaprun.lifecycle import retries
from snaprun.lifecycle.leftovers import Leftovers, read_leftovers
from snaprun.live import livefolder
from snaprun.live.journal import Journal
from snaprun.live.livefolder import Live
from snaprun.live.names import RESERVE_FILE
from snaprun.live.order import JOB, LIMIT_REASON, Order, read_order
from snaprun.live.replay import render
from snaprun.model import FAULT_CODE, RUN_REF, Outcome, Result, Run, Snapshot, utc
from snaprun.statuses import Status


def finish(repo: GitRepo, folder: Live, order: Order, *, slot: Slot | None, peak_memory: int | None = None) -> Run:
    """Finalise the run in a live folder whose lock the caller holds; the run as this attempt of it has ended.

    Raises:
        SnaprunError: the disk is full, or git or the index refuse; the live folder stays, to be tried again.
        OSError: the live folder cannot be read.
    """
    leftovers = read_leftovers(repo, folder, order)
    outcome = _explain(judge(leftovers), order)
    _keep_ref(repo, order)
    tip = result.find_result(repo, order.run)
    if tip is None or tip == order.after:
        parts = result_parts(
            leftovers, outcome, peak_memory=peak_memory, warnings=_data_warnings(repo, leftovers, slot)
        )
        present_slot = slot if slot is not None and slots.has_checkout(slot) else None
        tip = result.commit_result(repo, order.run, parts, slot=present_slot, max_file_size=order.max_file_size)
    run = records.read_run(repo, order.run, commit=tip)
    has_retry = retries.is_due(folder, run.status, order.attempt)
    if leftovers.replay.result is None and not has_retry:
        with Journal(folder.path) as journal:
            journal.result(tip)
    reindex.record(repo, order.index_url, run.requeue(order.attempt + 1) if has_retry else run)
    if slot is not None:
        slots.release(slot)
    if has_retry:
        snapshot = Snapshot(order.run, "", leftovers.spec, leftovers.params)
        retries.renew(repo.place, folder, snapshot, replace(order, attempt=order.attempt + 1, after=tip))
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
        (folder.path / RESERVE_FILE).unlink(missing_ok=True)
        order = read_order(folder.path)
        repo = GitRepo(order.place)
        leftovers = read_leftovers(repo, folder, order)
        outcome = judge(leftovers)
        reason = "; ".join(filter(None, [outcome.reason, f"its record cannot be made yet: {cause}"]))
        commit = order.after or order.run
        run = Run.from_commits(order.run, leftovers.spec, leftovers.params, commit=commit, status=outcome.status)
        reindex.record(
            repo, order.index_url, replace(run, exit_code=outcome.exit_code, reason=reason, attempts=order.attempt)
        )
    except (SnaprunError, OSError, ValueError) as index_error:
        sys.stderr.write(f"the index cannot be told either: {index_error}\n")


def judge(leftovers: Leftovers) -> Outcome:
    """How the run ended: as the journal says, else as somebody asked, else as it was seen to end, else unknown."""
    replay, request = leftovers.replay, leftovers.stop_request
    if replay.status is not None and replay.exit_code is not None:
        status = Status(replay.status)
        reason = request.reason if request is not None and status is Status.STOPPED else None
        return Outcome(status, replay.exit_code, reason or replay.reason, replay.signal)
    if request is not None:
        return outcome_of_stop(request.signal, request.reason)
    return leftovers.ending or Outcome(Status.LOST, FAULT_CODE, "nobody saw how it ended")


def result_parts(
    leftovers: Leftovers, outcome: Outcome, *, peak_memory: int | None, warnings: Iterable[str]
) -> result.ResultParts:
    """What the record of a run takes over from its leftovers.

    Raises:
        OSError: a file of them cannot be read.
    """
    if leftovers.fault is not None:
        raise leftovers.fault
    return result.ResultParts(
        result=_result(leftovers, outcome, peak_memory, [*warnings, *_warnings(leftovers)]),
        notebook=render(leftovers.replay.notebook),
        log=_log(leftovers, outcome),
        log_times=leftovers.log_times,
        metrics=leftovers.metrics,
        environment=leftovers.environment,
        artifacts=leftovers.artifacts,
        previous=leftovers.order.after,
    )


def _explain(outcome: Outcome, order: Order) -> Outcome:
    """Add why Slurm ended a job, where it did, to how the run saw that."""
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


def _result(leftovers: Leftovers, outcome: Outcome, peak_memory: int | None, warnings: Iterable[str]) -> Result:
    replay, end = leftovers.replay, _end_time(leftovers)
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


def _warnings(leftovers: Leftovers) -> list[str]:
    """What makes the run harder to repeat, or its record less than whole: consoles on its kernel, lost output."""
    count, size = leftovers.console_count, leftovers.lost_bytes
    frequency = "once" if count == 1 else f"{count} times"
    console_notes = [f"a console was opened on the run's kernel {frequency}"] if count else []
    loss_notes = [f"{size:,} bytes of what it printed could not be written: the disk was full"] if size else []
    return [*console_notes, *loss_notes]


def _data_warnings(repo: GitRepo, leftovers: Leftovers, slot: Slot | None) -> list[str]:
    """What happened to the run's checkout, or to the data linked into it, while it ran."""
    if slot is None:
        return []
    if not slots.has_checkout(slot):
        return ["its checkout was deleted while it ran, and the files that it made there with it"]
    if not leftovers.inputs:
        return []
    return links.compare(leftovers.inputs, links.fingerprint(repo.place.top, slots.read_links(slot)))


def _end_time(leftovers: Leftovers) -> float | None:
    """When the run ended: its last event, or what it wrote after that."""
    times = [leftovers.replay.last_time, leftovers.last_write if leftovers.replay.status is None else None]
    return max((time for time in times if time is not None), default=None)


def _log(leftovers: Leftovers, outcome: Outcome) -> Path | bytes:
    """The run's log; where snaprun itself failed, with what it had to say."""
    if outcome.exit_code != FAULT_CODE or not leftovers.messages.strip():
        return leftovers.log
    try:
        log = leftovers.log.read_bytes()
    except FileNotFoundError:
        log = b""
    return log + b"\n[snaprun: its own messages]\n" + leftovers.messages


def _drop_checkpoints(repo: GitRepo, run_id: str) -> None:
    """Remove the run's checkpoint folder if the notebook left nothing in it."""
    try:
        os.rmdir(repo.place.state / "checkpoints" / run_id)
    except OSError:  # there is none, or there is something in it
        return
