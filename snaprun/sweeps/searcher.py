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

from snaprun.context import Door
from snaprun.errors import DataFault, ParameterFault, UsageFault
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import Place, standing
from snaprun.index import queue, reindex
from snaprun.index.runlist import Filter, query
from snaprun.live import livefolder, searches, stoprequest
from snaprun.metrics import Series
from snaprun.model import RUN_REF, SNAP_DIR, Run, Status
from snaprun.reader import glance, index
from snaprun.settings import Settings
from snaprun.sweeps import searchfile, trialrun
from snaprun.sweeps.study import Study
from snaprun.sweeps.trialrun import Ground

SHORTEST, LONGEST = 0.05, 0.5
"""Seconds between two looks: soon again where something has just happened, seldom where runs take their time."""


SURE = 5.0
"""Seconds between two looks that also settle runs whose processes were killed, and wake the queue."""


@dataclass
class Attempt:
    """A trial under way: its number, its run, what its notebook logs, the step after which it was given up, and whether
    the run was told so."""

    number: int
    run: str
    series: Series
    given_up: int | None = None
    told: bool = False


class Searcher:
    """What the process of a search holds: its study, and the trials under way."""

    def __init__(self, place: Place, group: str) -> None:
        self.path = searches.folder(place, group)
        self.search = searchfile.read(self.path)
        env = trialrun.environment(self.path, self.search)
        self.door = Door(place, Settings(index_url=self.search.index_url), place.top, env)
        self.repo = GitRepo(place)
        self.study = Study(self.path, self.search.dimensions, highest=self.search.highest, seed=self.search.seed)
        self.going: dict[str, Attempt] = {}
        self._ground: Ground | None = None
        self._sure_from = 0.0

    def serve(self, held: int) -> None:
        """Go on until the search is over."""
        pause = SHORTEST
        with searches.gate(self.path):
            self._recover()
        while True:
            news = self._look()
            with searches.gate(self.path):
                self._read()
                news = self._start() or news
                if not self.going and self.search.state != searchfile.OPEN:
                    self._close(held)
                    return
            (self.path / searches.TROUBLE).unlink(missing_ok=True)
            pause = SHORTEST if news else min(pause * 1.3, LONGEST)
            time.sleep(pause)

    def _read(self) -> None:
        """Read what the search may do now: somebody may have added trials, with another environment, or ended it."""
        now = searchfile.read(self.path)
        left = standing(self.door.place)
        if left != self.door.place:
            self.door, self.repo = replace(self.door, place=left), GitRepo(left)
        if now.env != self.search.env:
            self.door = replace(self.door, env=trialrun.environment(self.path, now))
            (self.path / self.search.env).unlink(missing_ok=True)
        self.search = now

    def _recover(self) -> None:
        """Take up what an earlier process left: a run that it had no time to queue is queued."""
        standing = self._standing([trial.run for trial in self.study.trials() if trial.open and trial.run])
        for trial in self.study.trials():
            if not trial.open:
                continue
            if trial.run is None or not self.repo.refs(RUN_REF + trial.run):
                self.study.discard(trial.number)
                continue
            self._follow(trial.number, trial.run)
            run, queued = standing[trial.run]
            fresh = run is None or (run.commit == run.id and run.status is not Status.SAVED)
            if fresh and not queued and livefolder.find(self.door.place, trial.run) is None:
                self._queue_again(trial.run)

    def _queue_again(self, run: str) -> None:
        """Queue a run that was frozen only; where the search is over, or the queue refuses it, it is no run."""
        try:
            if self.search.state == searchfile.OPEN:
                return trialrun.enqueue_again(self.door, self._stand(), self.search, run)
        except (DataFault, UsageFault) as error:
            self._over(searchfile.FAILED, error.message)
        self.repo.delete_ref(RUN_REF + run, run)
        reindex.open_index(self.door).forget([run])
        self.study.discard(self.going.pop(run).number)
        return None

    def _start(self) -> bool:
        """Start runs while there is room; whether there was any. The gate is held."""
        news = False
        if self.search.state == searchfile.OPEN and self.door.place.removed:
            self._over(searchfile.FAILED, "the work tree that it began in has been removed")
        while self.search.state == searchfile.OPEN and len(self.going) < self.search.room:
            if len([trial for trial in self.study.trials() if trial.run]) >= self.search.trials:
                if not self.going:
                    self._over(searchfile.DONE)
                break
            try:
                trial = trialrun.launch(self.door, self._stand(), self.search, self.study)
            except (DataFault, ParameterFault, UsageFault) as error:
                self._over(searchfile.FAILED, error.message)
                break
            if trial is None:
                if not self.going:
                    self._over(searchfile.EXHAUSTED)
                break
            self._follow(trial.number, str(trial.run))
            news = True
        return news

    def _look(self) -> bool:
        """Report what the runs have logged, give up the hopeless, and tell how those did that are over; any news."""
        news = False
        away = []
        for attempt in self.going.values():
            folder = livefolder.find(self.door.place, attempt.run)
            if folder is None:
                away.append(attempt)
            else:
                news = self._report(attempt, attempt.series.read(folder.metrics), prune=self.search.prune) or news
                if attempt.given_up is not None and not attempt.told:
                    reason = f"{searchfile.PRUNED} at step {attempt.given_up}"
                    attempt.told = stoprequest.request(folder, signal.SIGTERM, reason=reason)
        if not away and time.monotonic() < self._sure_from:
            return news
        for run_id, (run, queued) in self._standing([attempt.run for attempt in away]).items():
            if not queued:
                self._tell(self.going.pop(run_id), run)
                news = True
        return news

    def _report(self, attempt: Attempt, found: Mapping[int, float], *, prune: bool) -> bool:
        for step, value in found.items():
            self.study.report(attempt.number, step, value)
            if prune and attempt.given_up is None and self.study.hopeless(attempt.number):
                attempt.given_up = step
        return bool(found)

    def _tell(self, attempt: Attempt, run: Run | None) -> None:
        """Tell the study how a run ended that is over: in git, not what this process has seen of it."""
        if run is None or not run.status.over:
            self.study.failed(attempt.number, "its run is gone")
            return
        lines = self.repo.blob(run.commit, f"{SNAP_DIR}/metrics.jsonl") or b""
        self._report(attempt, attempt.series.rest(lines), prune=False)
        metric = run.metrics.get(self.search.metric)
        if searchfile.pruned(run):
            self.study.pruned(attempt.number)
        elif run.status is not Status.SUCCEEDED:
            self.study.failed(attempt.number, run.reason or f"the run is {run.status}")
        elif metric is None:
            self.study.failed(attempt.number, f"the run did not log {self.search.metric}")
        elif metric.last != metric.last:
            self.study.failed(attempt.number, f"{self.search.metric} is not a number")
        else:
            self.study.complete(attempt.number, metric.last)

    def _standing(self, ids: list[str]) -> dict[str, tuple[Run | None, bool]]:
        """What the index knows of runs, and whether the queue has them still; the queue is asked first."""
        sure = time.monotonic() >= self._sure_from
        with index(self.door) if sure else glance(self.door) as reader:
            queued = {one.run for one in queue.listing(reader, socket.gethostname()).runs}
            found = {run: query(reader, Filter(id=run)) for run in ids}
        if sure:
            self._sure_from = time.monotonic() + SURE
        return {run: (known[0] if known else None, run in queued) for run, known in found.items()}

    def _follow(self, number: int, run: str) -> None:
        self.going[run] = Attempt(number, run, Series(self.search.metric, self.study.steps(number)))

    def _stand(self) -> Ground:
        if self._ground is None:
            self._ground = trialrun.ground(self.door, self.path, self.search)
        return self._ground

    def _over(self, state: str, why: str | None = None) -> None:
        self.search = self.search.ended(state, why)
        searchfile.write(self.path, self.search)

    def _close(self, held: int) -> None:
        """Go. The gate is held: who adds trials from now on finds the lock free, and starts another process."""
        self.study.close()
        searches.unmark(self.door.place, self.search.group)
        for name in (self.search.env, searches.TROUBLE):
            (self.path / name).unlink(missing_ok=True)
        os.close(held)
