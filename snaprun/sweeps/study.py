"""The one gate to Optuna: a study in a folder, that asks for points, is told how they did, and says what to give up.

The study is Optuna's journal storage over our own file in its format (``optuna-dashboard journal.log`` reads it).
Optuna's own file backend suffers from a kill: a line torn by one makes the journal unreadable once the next stands
behind it, and its lock file holds up everybody for half a minute. SQLite survives a kill as well, but waits for the
disk at every reported step, and wants a migration with every new schema. Here whoever opens the study holds the lock of
the search, a torn last line is cut off, and the disk is awaited where it matters: before a run gets its ref, and when a
trial has ended.
"""

from __future__ import annotations

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

from snaprun.errors import DataFault, WriteFault
from snaprun.sweeps import space
from snaprun.sweeps.space import Dimension

NAME = "sweep"
"""The study's name in its journal, which holds one only."""

JOURNAL = "journal.log"

RUN = "run"
WHY = "why"
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


class Journal(BaseJournalBackend):  # type: ignore[misc]
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
                raise OSError(28, "the disk is full")
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise WriteFault(f"cannot write {self._path}: {error.strerror}", hint="df -h") from error
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
        self._journal = Journal(folder / JOURNAL)
        self._distributions = {one.name: _distribution(one) for one in dimensions}
        with _quiet():
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
        return [self._trial(one) for one in self._all()]

    def ask(self) -> Trial | None:
        """The next point to try; None where every one has been tried. It is one that was not tried before.

        The draw depends on the seed, on how many runs there were and on what was told, so that it is the same after
        a restart.
        """
        tried = {self._key(one.params) for one in self._all() if one.user_attrs.get(RUN)}
        if self._size is not None and len(tried) >= self._size:
            return None
        with _quiet():
            seed = (self._seed * 1_000_003 + len(tried)) % 2**32
            self._study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
            asked = self._study.ask(fixed_distributions=self._distributions)
            while self._size is not None and self._key(asked.params) in tried:
                self.discard(asked.number)
                self._study.enqueue_trial(self._untried(tried, random.Random(seed)))
                asked = self._study.ask(fixed_distributions=self._distributions)
        return self._trial(self._storage.get_trial(self._trial_id(asked.number)))

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

    def hopeless(self, number: int) -> bool:
        """Whether the pruner gives a trial up after the step reported last."""
        with _quiet():
            return bool(self._study.pruner.prune(self._study, self._storage.get_trial(self._trial_id(number))))

    def complete(self, number: int, value: float) -> None:
        """Tell how a trial did."""
        self._tell(number, TrialState.COMPLETE, value)

    def pruned(self, number: int) -> None:
        """Tell that a trial was given up."""
        self._tell(number, TrialState.PRUNED)

    def failed(self, number: int, why: str) -> None:
        """Tell that a trial has no value, and why."""
        self._storage.set_trial_user_attr(self._trial_id(number), WHY, why)
        self._tell(number, TrialState.FAIL)

    def discard(self, number: int) -> None:
        """Forget a trial that has no run: it does not count."""
        self._storage.set_trial_user_attr(self._trial_id(number), RUN, None)
        self.failed(number, "no run was started for it")

    def _tell(self, number: int, state: TrialState, value: float | None = None) -> None:
        with _quiet():
            self._study.tell(number, value, state=state)
        self._journal.sync()

    def _untried(self, tried: set[tuple[float, ...]], chance: random.Random) -> dict[str, Any]:
        """A point of a finite space that has no run yet."""
        total = self._size or 0
        numbers = [chance.randrange(total) for _ in range(TRIES)]
        for index in (*numbers, *range(total)):
            drawn = space.point(self._dimensions, index)
            if self._key(drawn) not in tried:
                return drawn
        raise AssertionError("every point was tried")

    def _key(self, drawn: Mapping[str, Any]) -> tuple[float, ...]:
        """What tells two points apart."""
        return tuple(one.place(drawn[one.name]) for one in self._dimensions)

    def _all(self) -> list[Any]:
        found: list[Any] = self._storage.get_all_trials(self._id, deepcopy=False)
        return found

    def _trial(self, found: Any) -> Trial:
        whole = len(found.params) == len(self._dimensions)
        params = space.values(self._dimensions, found.params) if whole else {}
        return Trial(found.number, params, found.user_attrs.get(RUN), open=found.state == TrialState.RUNNING)

    def _trial_id(self, number: int) -> int:
        found: int = self._storage.get_trial_id_from_study_id_trial_number(self._id, number)
        return found


def _distribution(one: Dimension) -> BaseDistribution:
    """What Optuna draws a dimension from."""
    if one.labels:
        return CategoricalDistribution(list(one.labels))
    if one.whole:
        return IntDistribution(int(one.low), int(one.high), log=one.log, step=int(one.step or 1))
    return FloatDistribution(one.low, one.high, log=one.log, step=one.step)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna's talk and warnings away from whoever looks at the terminal."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)
