"""Keep a study in a folder, which gives points, is told how they did, and says what to give up: the gate to Optuna.

The study is Optuna's journal storage over our own file in its format (``optuna-dashboard journal.log`` reads it).
Optuna's own file backend suffers from a kill: a line torn by one makes the journal unreadable once the next stands
behind it, and its lock file holds up everybody for half a minute. SQLite survives a kill as well, but waits for the
disk at every reported step, and wants a migration with every new schema. Here whoever opens the study holds the lock of
the search, a torn last line is cut off, and the disk is awaited where it matters: before a run gets its ref, and when a
trial has ended.
"""

from __future__ import annotations

import errno
import json
import os
import random
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import TrialState

from snaprun.errors import DataFault, os_fault
from snaprun.sweeps import space
from snaprun.sweeps.space import Dimension

NAME = "sweep"
"""The study's name in its journal, which holds one only."""

JOURNAL = "journal.log"

RUN = "run"
REASON = "why"
"""Attributes of a trial: the id of its run, and why it has no value."""

TRIES = 100
"""How often an untried point is drawn at random before they are gone through in order."""


@dataclass(frozen=True)
class Trial:
    """One point of a study: its parameters, the run that tries it (None: none was frozen), whether it is under way."""

    number: int
    params: Mapping[str, Any]
    run: str | None
    open: bool


class StudyJournal(BaseJournalBackend):  # type: ignore[misc]
    """The file of a study, held by one process at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        data = path.read_bytes()
        self._size = data.rfind(b"\n") + 1
        if self._size < len(data):
            os.ftruncate(self._file, self._size)
        try:
            self._logs = [json.loads(line) for line in data[: self._size].splitlines()]
        except ValueError as error:
            raise DataFault(f"{path} is damaged: {error}", hint="begin another search") from error

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """All entries from this number on."""
        return self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write entries behind the others; all of them or none."""
        lines = [json.dumps(log, separators=(",", ":")).encode() for log in logs]
        data = b"".join(line + b"\n" for line in lines)
        try:
            if os.write(self._file, data) != len(data):
                raise OSError(errno.ENOSPC, "the disk is full")
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise os_fault(error, f"cannot write {self._path}", self._path.parent) from error
        self._size += len(data)
        self._logs += [json.loads(line) for line in lines]

    def sync(self) -> None:
        """Wait until all of it is on the disk."""
        os.fsync(self._file)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


class Study:
    """A study that is open. Its folder is the caller's alone while it is."""

    def __init__(self, folder: Path, dimensions: Sequence[Dimension], *, highest: bool, seed: int = 0) -> None:
        self._dimensions = dimensions
        self._seed = seed
        self._size = space.size(dimensions)
        self._journal = StudyJournal(folder / JOURNAL)
        self._distributions = {dimension.name: _distribution(dimension) for dimension in dimensions}
        with _silence():
            self._storage = JournalStorage(self._journal)
            if NAME not in optuna.get_all_study_names(self._storage):
                direction = "maximize" if highest else "minimize"
                optuna.create_study(storage=self._storage, study_name=NAME, direction=direction)
            pruner = optuna.pruners.MedianPruner()
            self._study = optuna.load_study(study_name=NAME, storage=self._storage, pruner=pruner)
            self._id = self._storage.get_study_id_from_name(NAME)

    def close(self) -> None:
        """Let go of the study's file."""
        self._journal.close()

    def trials(self) -> list[Trial]:
        """Every trial, in the order of asking."""
        return [self._trial(record) for record in self._records()]

    def ask(self) -> Trial | None:
        """The next point to try; None where every one has been tried. It is one that was not tried before.

        The draw depends on the seed, on how many runs there were and on what was told, so that it is the same after
        a restart.
        """
        tried_keys = {self._key(record.params) for record in self._records() if record.user_attrs.get(RUN)}
        if self._size is not None and len(tried_keys) >= self._size:
            return None
        with _silence():
            seed = (self._seed * 1_000_003 + len(tried_keys)) % 2**32
            self._study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
            trial = self._study.ask(fixed_distributions=self._distributions)
            while self._size is not None and self._key(trial.params) in tried_keys:
                self.discard(trial.number)
                self._study.enqueue_trial(self._draw_new(tried_keys, random.Random(seed)))
                trial = self._study.ask(fixed_distributions=self._distributions)
        return self._trial(self._storage.get_trial(self._trial_id(trial.number)))

    def assign(self, number: int, run: str) -> None:
        """Keep for good which run tries a point."""
        self._storage.set_trial_user_attr(self._trial_id(number), RUN, run)
        self._journal.sync()

    def report(self, number: int, step: int, value: float) -> None:
        """Note what a run had reached at a step."""
        self._storage.set_trial_intermediate_value(self._trial_id(number), step, value)

    def steps(self, number: int) -> Mapping[int, float]:
        """What was reported of a trial, by step."""
        return dict(self._storage.get_trial(self._trial_id(number)).intermediate_values)

    def is_hopeless(self, number: int) -> bool:
        """Whether the pruner gives a trial up after the step reported last."""
        with _silence():
            return bool(self._study.pruner.prune(self._study, self._storage.get_trial(self._trial_id(number))))

    def complete(self, number: int, value: float) -> None:
        """Tell how a trial did."""
        self._tell(number, TrialState.COMPLETE, value)

    def mark_pruned(self, number: int) -> None:
        """Tell that a trial was given up."""
        self._tell(number, TrialState.PRUNED)

    def mark_failed(self, number: int, reason: str) -> None:
        """Tell that a trial has no value, and why."""
        self._storage.set_trial_user_attr(self._trial_id(number), REASON, reason)
        self._tell(number, TrialState.FAIL)

    def discard(self, number: int) -> None:
        """Forget a trial that has no run: it does not count."""
        self._storage.set_trial_user_attr(self._trial_id(number), RUN, None)
        self.mark_failed(number, "no run was started for it")

    def _tell(self, number: int, state: TrialState, value: float | None = None) -> None:
        with _silence():
            self._study.tell(number, value, state=state)
        self._journal.sync()

    def _draw_new(self, tried_keys: set[tuple[float, ...]], generator: random.Random) -> dict[str, Any]:
        """A point of a finite space that has no run yet."""
        total = self._size or 0
        numbers = [generator.randrange(total) for _ in range(TRIES)]
        for index in (*numbers, *range(total)):
            suggestions = space.point(self._dimensions, index)
            if self._key(suggestions) not in tried_keys:
                return suggestions
        raise AssertionError("every point was tried")

    def _key(self, suggestions: Mapping[str, Any]) -> tuple[float, ...]:
        """What tells two points apart."""
        return tuple(dimension.place(suggestions[dimension.name]) for dimension in self._dimensions)

    def _records(self) -> list[Any]:
        records: list[Any] = self._storage.get_all_trials(self._id, deepcopy=False)
        return records

    def _trial(self, record: Any) -> Trial:
        whole = len(record.params) == len(self._dimensions)
        params = space.values(self._dimensions, record.params) if whole else {}
        return Trial(record.number, params, record.user_attrs.get(RUN), open=record.state == TrialState.RUNNING)

    def _trial_id(self, number: int) -> int:
        trial_id: int = self._storage.get_trial_id_from_study_id_trial_number(self._id, number)
        return trial_id


def _distribution(dimension: Dimension) -> BaseDistribution:
    """What Optuna draws a dimension from."""
    if dimension.labels:
        return CategoricalDistribution(list(dimension.labels))
    if dimension.whole:
        return IntDistribution(
            int(dimension.low), int(dimension.high), log=dimension.log, step=int(dimension.step or 1)
        )
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep Optuna's talk and warnings away from whoever looks at the terminal."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)
