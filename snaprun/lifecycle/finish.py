"""Make the record of a run that is over, from its live folder: result commit, index, and the folder goes.

The same for every ending, and safe to repeat: whoever finalises after a crash finds what is done and does the rest.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snaprun import records
from snaprun.checkouts import links, result, slots
from snaprun.checkouts.slots import Slot
from snaprun.engines import SIGNAL_CODES
from snaprun.errors import DataFault, SnaprunError
from snaprun.files import read_json
from snaprun.git.gitrepo import GitRepo
from snaprun.index.reindex import index
from snaprun.lifecycle import retries
from snaprun.lifecycle.rundocument import prepared
from snaprun.live import livefolder
from snaprun.live.journal import Journal
from snaprun.live.livefolder import Live
from snaprun.live.order import ENDING, JOB, LIMIT, LOST, TALK, Order, read_order
from snaprun.live.replay import Replay, render, replay_live
from snaprun.live.secondnames import RESERVE
from snaprun.live.stoprequest import asked_stop
from snaprun.model import RUN_REF, Result, Run, RunSpec, Status, utc

if TYPE_CHECKING:
    pass

ENVIRONMENT = "environment.json"
"""In the live folder: what was found out about the run's environment."""

INPUTS = "inputs.json"
"""In the live folder: size and time of change of the linked data before the run."""

CONSOLES = "consoles.jsonl"
"""In the live folder: a line each time that somebody talked to the kernel."""

OWN_WORDS = 20_000
"""Characters of snaprun's own messages that go into the log of a run that snaprun failed."""


@dataclass(frozen=True)
class Verdict:
    """How a run ended, put together from everything that was left."""

    status: Status
    exit_code: int
    reason: str | None = None
    signal: int | None = None


def finish(repo: GitRepo, folder: Live, order: Order, *, slot: Slot | None, peak_memory: int | None = None) -> Run:
    """Finalise the run in a live folder whose lock the caller holds; the run as it stands in the index now.

    Raises:
        SnaprunError: the disk is full, or git or the index refuse; the live folder stays, to be tried again.
        OSError: the live folder cannot be read.
    """
    spec = _spec(repo, folder)
    document = prepared(repo, folder, spec)
    replayed = replace(replay_live(folder, document), attempts=order.attempt)  # it may have been killed before a word
    verdict = _explained(judge(replayed, folder), order)
    _keep_ref(repo, order)
    tip = result.finished(repo, order.run)
    if tip is None or tip == order.after:
        ending = result.Ending(
            result=_result(replayed, verdict, folder, peak_memory, _warnings(repo, folder, slot)),
            executed=render(replayed.notebook),
            log=_log(folder, verdict),
            log_times=_read(folder.log_times),
            metrics=_read(folder.metrics),
            environment=_environment(folder),
            artifacts=_artifacts(folder),
            previous=order.after,
        )
        held = slot if slot is not None and slots.there(slot) else None
        tip = result.commit_result(repo, order.run, ending, slot=held, max_file_size=order.max_file_size)
    run = records.read_run(repo, order.run, commit=tip)
    further = retries.due(folder, run.status, order.attempt)
    if replayed.result is None and not further:
        with Journal(folder.path) as journal:
            journal.result(tip)
    index(repo, order.index_url, run.queued_again(order.attempt + 1) if further else run)
    if slot is not None:
        slots.release(slot)
    if further:
        retries.renew(repo.place, folder, order, tip)
    else:
        livefolder.remove(folder)
    _drop_checkpoints(repo, order.run)
    return run


def provisional(folder: Live, error: Exception) -> None:
    """Tell the index how a run ended whose record cannot be made now: it must not look as if it still ran.

    Best effort, on what room the folder's reserve gives back: where the disk is full the index may be too.
    """
    why = error.message if isinstance(error, SnaprunError) else f"{type(error).__name__}: {error}"
    try:
        (folder.path / RESERVE).unlink(missing_ok=True)
        order = read_order(folder.path)
        repo = GitRepo(order.place)
        spec = _spec(repo, folder)
        found = judge(replay_live(folder, prepared(repo, folder, spec)), folder)
        reason = "; ".join(filter(None, [found.reason, f"its record cannot be made yet: {why}"]))
        run = Run.of(order.run, spec, folder.params(), commit=order.after or order.run, status=found.status)
        index(repo, order.index_url, replace(run, exit_code=found.exit_code, reason=reason, attempts=order.attempt))
    except (SnaprunError, OSError, ValueError) as another:
        sys.stderr.write(f"the index cannot be told either: {another}\n")


def judge(replayed: Replay, folder: Live) -> Verdict:
    """How the run ended: as the journal says, else as somebody wished, else as it was seen to end, else unknown."""
    asked = asked_stop(folder.path)
    if replayed.status is not None and replayed.exit_code is not None:
        status = Status(replayed.status)
        why = asked.reason if asked is not None and status is Status.STOPPED else None
        return Verdict(status, replayed.exit_code, why or replayed.reason, replayed.signal)
    if asked is not None:
        code = SIGNAL_CODES.get(signal.Signals(asked.signal), 143)
        name = signal.Signals(asked.signal).name.removeprefix("SIG")
        return Verdict(Status.STOPPED, code, asked.reason or f"stopped by {name}", asked.signal)
    try:
        seen = read_json(folder.path / ENDING)
        return Verdict(Status(seen["status"]), int(seen["exit_code"]), seen.get("reason"), seen.get("signal"))
    except (OSError, ValueError, KeyError, TypeError):
        return Verdict(Status.LOST, 125, "nobody saw how it ended")


def _explained(verdict: Verdict, order: Order) -> Verdict:
    """With why a job of Slurm was at its end, not only by what."""
    job, why = order.options.get(JOB), None
    if verdict.status is Status.TIMED_OUT:
        why = order.options.get(LIMIT)
    elif verdict.status is Status.STOPPED and verdict.signal is not None and job:
        from snaprun.launchers.slurmstates import why_ended  # Slurm's words: no other run needs them

        found = why_ended(job["name"], job["restarts"])
        why = f"{found}, Slurm job {job['name']}" if found else None
    return replace(verdict, reason=f"{verdict.reason} ({why})") if why else verdict


def _keep_ref(repo: GitRepo, order: Order) -> None:
    """Give a run in progress back the ref that somebody deleted, while its snapshot is still there."""
    ref = RUN_REF + order.run
    last = order.after or order.run
    if not repo.refs(ref) and repo.resolve(last) == last:
        repo.move_ref(ref, last, None)


def _spec(repo: GitRepo, folder: Live) -> RunSpec:
    """What was asked for; from the snapshot where the live folder lost it."""
    try:
        return folder.spec()
    except DataFault:
        return records.read_spec(repo, folder.id)


def _result(
    replayed: Replay, verdict: Verdict, folder: Live, peak_memory: int | None, warnings: Iterable[str]
) -> Result:
    ended = _last_sign(replayed, folder)
    seconds = None if replayed.started is None or ended is None else round(max(0.0, ended - replayed.started), 6)
    states = replayed.cells
    if verdict.status is Status.LOST and replayed.running is not None:
        states = tuple(replace(cell, state="stopped") if cell.number == replayed.running else cell for cell in states)
    return Result(
        status=verdict.status,
        exit_code=verdict.exit_code,
        reason=verdict.reason,
        signal=verdict.signal,
        started=None if replayed.started is None else utc(replayed.started),
        ended=None if ended is None else utc(ended),
        seconds=seconds,
        attempts=replayed.attempts,
        cells=states,
        error=replayed.error,
        peak_memory=peak_memory,
        warnings=(*replayed.notes, *warnings),
    )


def _warnings(repo: GitRepo, folder: Live, slot: Slot | None) -> list[str]:
    """What makes the run harder to repeat: linked data that changed, talk with its kernel, lost output."""
    talks = len(_read(folder.path / CONSOLES).splitlines())
    times = "once" if talks == 1 else f"{talks} times"
    talked = [f"a console was opened on the run's kernel {times}"] if talks else []
    if slot is not None and not slots.there(slot):
        gone = ["its checkout was deleted while it ran, and the files that it made there with it"]
        return [*gone, *talked, *_refused(folder)]
    return [*_changed_inputs(repo, folder, slot), *talked, *_refused(folder)]


def _refused(folder: Live) -> list[str]:
    """What a full disk has taken from the run's output."""
    try:
        lost = int(read_json(folder.path / ENDING)[LOST])
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [f"{lost:,} bytes of what it printed could not be written: the disk was full"] * bool(lost)


def _changed_inputs(repo: GitRepo, folder: Live, slot: Slot | None) -> list[str]:
    try:
        before = {name: (size, moment) for name, (size, moment) in read_json(folder.path / INPUTS)["inputs"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        return []
    if slot is None:
        return []
    return links.compare(before, links.fingerprint(repo.place.top, slots.links(slot)))


def _last_sign(replayed: Replay, folder: Live) -> float | None:
    """When the run ended: its last event, or what it wrote after that."""
    times = [replayed.last] if replayed.last is not None else []
    if replayed.status is None:
        for path in (folder.log, folder.metrics):
            try:
                about = path.stat()
            except OSError:
                continue
            if about.st_size:
                times.append(about.st_mtime)
    return max(times, default=None)


def _log(folder: Live, verdict: Verdict) -> Path | bytes:
    """The run's log; where snaprun itself failed, with what it had to say."""
    words = _read(folder.path / TALK)[-OWN_WORDS:]
    if verdict.exit_code != 125 or not words.strip():
        return folder.log
    return _read(folder.log) + b"\n[snaprun: its own messages]\n" + words


def _environment(folder: Live) -> dict[str, Any]:
    try:
        return read_json(folder.path / ENVIRONMENT)
    except (OSError, ValueError):
        return {}


def _artifacts(folder: Live) -> tuple[str, ...]:
    """The files that the notebook asked to keep, each once."""
    found: dict[str, None] = {}
    for line in _read(folder.artifacts).splitlines():
        try:
            found[str(json.loads(line)["path"])] = None
        except (ValueError, KeyError, TypeError):
            continue
    return tuple(found)


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
