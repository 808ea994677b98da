"""Serve one search: ask for points while there is room, tell how they did, give up what is hopeless, and go.

Killed at any moment it leaves nothing that the next one does not pick up: which run tries which point is in the study's
journal, and how a run ended is in git.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from snaprun.context import Context
from snaprun.errors import DataFault, ParameterFault, UsageFault
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import Place, recover_place
from snaprun.index import queue, reindex
from snaprun.index.runlist import Filter, query
from snaprun.live import livefolder, searches, stoprequest
from snaprun.metrics import Series
from snaprun.model import RUN_REF, SNAP_DIR, Run
from snaprun.reader import glance, index
from snaprun.settings import Settings
from snaprun.sweeps import searchfile, trialrun
from snaprun.sweeps.study import Study
from snaprun.sweeps.trialrun import TrialSetup

PAUSE_LEAST, PAUSE_MOST = 0.05, 0.5
"""Seconds between two looks: soon again where something has just happened, seldom where runs take their time."""


FULL_CHECK_INTERVAL = 5.0
"""Seconds between two looks that also settle runs whose processes were killed, and wake the queue."""


@dataclass
class Attempt:
    """A trial under way: its number, its run, what its notebook logs, the step after which it was given up, and whether
    the run was told so."""

    number: int
    run: str
    series: Series
    prune_step: int | None = None
    stop_sent: bool = False


class Searcher:
    """What the process of a search holds: its study, and the trials under way."""

    def __init__(self, place: Place, group: str) -> None:
        self.path = searches.folder(place, group)
        self.search = searchfile.read(self.path)
        env = trialrun.environment(self.path, self.search)
        self.context = Context(place, Settings(index_url=self.search.index_url), place.top, env)
        self.repo = GitRepo(place)
        self.study = Study(self.path, self.search.dimensions, highest=self.search.highest, seed=self.search.seed)
        self.attempts: dict[str, Attempt] = {}
        self._setup: TrialSetup | None = None
        self._next_check = 0.0

    def serve(self, lock: int) -> None:
        """Go on until the search is over."""
        pause = PAUSE_LEAST
        with searches.gate(self.path):
            self._recover()
        while True:
            news = self._poll()
            with searches.gate(self.path):
                self._reload()
                news = self._start() or news
                if not self.attempts and self.search.state != searchfile.STATE_OPEN:
                    self._close(lock)
                    return
            (self.path / searches.TROUBLE).unlink(missing_ok=True)
            pause = PAUSE_LEAST if news else min(pause * 1.3, PAUSE_MOST)
            time.sleep(pause)

    def _reload(self) -> None:
        """Read what the search may do now: somebody may have added trials, with another environment, or ended it."""
        current = searchfile.read(self.path)
        place = recover_place(self.context.place)
        if place != self.context.place:
            self.context, self.repo = replace(self.context, place=place), GitRepo(place)
        if current.env != self.search.env:
            self.context = replace(self.context, env=trialrun.environment(self.path, current))
            (self.path / self.search.env).unlink(missing_ok=True)
        self.search = current

    def _recover(self) -> None:
        """Take up what an earlier process left: a run that it had no time to queue is queued."""
        states = self._look_up([trial.run for trial in self.study.trials() if trial.open and trial.run])
        for trial in self.study.trials():
            if not trial.open:
                continue
            if trial.run is None or not self.repo.refs(RUN_REF + trial.run):
                self.study.discard(trial.number)
                continue
            self._follow(trial.number, trial.run)
            run, is_queued = states[trial.run]
            is_fresh = run is None or (run.commit == run.id and run.status.launched)
            if is_fresh and not is_queued and livefolder.find(self.context.place, trial.run) is None:
                self._queue_again(trial.run)

    def _queue_again(self, run: str) -> None:
        """Queue a run that was frozen only; where the search is over, or the queue refuses it, it is no run."""
        try:
            if self.search.state == searchfile.STATE_OPEN:
                return trialrun.enqueue_again(self.context, self._load_setup(), self.search, run)
        except (DataFault, UsageFault) as error:
            self._end_search(searchfile.STATE_FAILED, error.message)
        self.repo.delete_ref(RUN_REF + run, run)
        reindex.open_index(self.context).forget([run])
        self.study.discard(self.attempts.pop(run).number)
        return None

    def _start(self) -> bool:
        """Start runs while there is room; whether there was any. The gate is held."""
        news = False
        if self.search.state == searchfile.STATE_OPEN and self.context.place.is_removed:
            self._end_search(searchfile.STATE_FAILED, "the work tree that it began in has been removed")
        while self.search.state == searchfile.STATE_OPEN and len(self.attempts) < self.search.room:
            if len([trial for trial in self.study.trials() if trial.run]) >= self.search.trials:
                if not self.attempts:
                    self._end_search(searchfile.STATE_DONE)
                break
            try:
                trial = trialrun.launch(self.context, self._load_setup(), self.search, self.study)
            except (DataFault, ParameterFault, UsageFault) as error:
                self._end_search(searchfile.STATE_FAILED, error.message)
                break
            if trial is None:
                if not self.attempts:
                    self._end_search(searchfile.STATE_EXHAUSTED)
                break
            self._follow(trial.number, str(trial.run))
            news = True
        return news

    def _poll(self) -> bool:
        """Report what the runs have logged, give up the hopeless, and tell how those did that are over; any news."""
        news = False
        absent = []
        for attempt in self.attempts.values():
            folder = livefolder.find(self.context.place, attempt.run)
            if folder is None:
                absent.append(attempt)
            else:
                news = self._report(attempt, attempt.series.read(folder.metrics), prune=self.search.prune) or news
                if attempt.prune_step is not None and not attempt.stop_sent:
                    reason = f"{searchfile.PRUNE_REASON} at step {attempt.prune_step}"
                    attempt.stop_sent = stoprequest.request(folder, signal.SIGTERM, reason=reason)
        if not absent and time.monotonic() < self._next_check:
            return news
        for run_id, (run, is_queued) in self._look_up([attempt.run for attempt in absent]).items():
            if not is_queued:
                self._record_end(self.attempts.pop(run_id), run)
                news = True
        return news

    def _report(self, attempt: Attempt, values: Mapping[int, float], *, prune: bool) -> bool:
        for step, value in values.items():
            self.study.report(attempt.number, step, value)
            if prune and attempt.prune_step is None and self.study.is_hopeless(attempt.number):
                attempt.prune_step = step
        return bool(values)

    def _record_end(self, attempt: Attempt, run: Run | None) -> None:
        """Tell the study how a run ended that is over: in git, not what this process has seen of it."""
        if run is None or not run.status.over:
            self.study.mark_failed(attempt.number, "its run is gone")
            return
        lines = self.repo.blob(run.commit, f"{SNAP_DIR}/metrics.jsonl") or b""
        self._report(attempt, attempt.series.read_all(lines), prune=False)
        metric = run.metrics.get(self.search.metric)
        if searchfile.is_pruned(run):
            self.study.mark_pruned(attempt.number)
        elif not run.status.good:
            self.study.mark_failed(attempt.number, run.reason or f"the run is {run.status}")
        elif metric is None:
            self.study.mark_failed(attempt.number, f"the run did not log {self.search.metric}")
        elif metric.last != metric.last:
            self.study.mark_failed(attempt.number, f"{self.search.metric} is not a number")
        else:
            self.study.complete(attempt.number, metric.last)

    def _look_up(self, ids: list[str]) -> dict[str, tuple[Run | None, bool]]:
        """What the index knows of runs, and whether the queue has them still; the queue is asked first."""
        is_full = time.monotonic() >= self._next_check
        with index(self.context) if is_full else glance(self.context) as reader:
            queue_ids = {entry.run for entry in queue.listing(reader, socket.gethostname()).runs}
            matches = {run: query(reader, Filter(id=run)) for run in ids}
        if is_full:
            self._next_check = time.monotonic() + FULL_CHECK_INTERVAL
        return {run: (runs[0] if runs else None, run in queue_ids) for run, runs in matches.items()}

    def _follow(self, number: int, run: str) -> None:
        self.attempts[run] = Attempt(number, run, Series(self.search.metric, self.study.steps(number)))

    def _load_setup(self) -> TrialSetup:
        if self._setup is None:
            self._setup = trialrun.load_setup(self.context, self.path, self.search)
        return self._setup

    def _end_search(self, state: str, reason: str | None = None) -> None:
        self.search = self.search.with_state(state, reason)
        searchfile.write(self.path, self.search)

    def _close(self, lock: int) -> None:
        """Go. The gate is held: who adds trials from now on finds the lock free, and starts another process."""
        self.study.close()
        searches.unmark(self.context.place, self.search.group)
        for name in (self.search.env, searches.TROUBLE):
            (self.path / name).unlink(missing_ok=True)
        os.close(lock)
