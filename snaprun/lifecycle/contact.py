"""Keep in contact with launchers: ask how runs stand, copy what is new of those on other machines, fetch their results.

Reading commands come here through :func:`snaprun.lifecycle.settle.settle`. A launcher is asked every two seconds
at most, by one process at a time, and less often when it does not answer: silence says nothing about a run. What was learnt
lies as ``contact.json`` in the live folder.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from snaprun import launchers
from snaprun.errors import SnaprunError
from snaprun.files import read_json, write_atomic, write_json
from snaprun.git.locate import Place
from snaprun.launchers import Distant, News, Site, State, Submitted
from snaprun.live.livefolder import GROWING, Live, remove
from snaprun.model import Run, Status

CONTACT = "contact.json"
"""In the live folder: what its launcher said last."""

PIECE = 4 << 20
"""Bytes of a file in one answer; where that many came, there may be more."""

PATIENCE = 10.0
"""Seconds that a reading command copies at most before it goes on with what is here."""


@dataclass(frozen=True)
class Pace:
    """Seconds: between two questions, between them after failures in a row, until an unknown run is lost."""

    interval: float = 2.0
    failing: tuple[float, ...] = (3.0, 5.0, 10.0, 20.0, 40.0, 60.0)
    grace: float = 60.0


PACE = Pace()


@dataclass(frozen=True)
class Contact:
    """What is known from a run's launcher: times are seconds since the epoch, ``unknown`` since when it knows none."""

    state: str = "unknown"
    reason: str | None = None
    status: str | None = None
    exit_code: int | None = None
    asked: float = 0.0
    heard: float = 0.0
    unknown: float | None = None
    failures: int = 0
    trouble: str | None = None
    attempt: int | None = None


@dataclass(frozen=True)
class Trouble:
    """Runs whose launcher did not answer, and what stood against it."""

    runs: tuple[str, ...]
    error: SnaprunError


def known(folder: Live) -> Contact:
    """What was learnt last about a run."""
    try:
        data = read_json(folder.path / CONTACT)
        return Contact(**{name: data[name] for name in Contact.__dataclass_fields__ if name in data})
    except (OSError, ValueError, TypeError):
        return Contact()


def refresh(
    place: Place, env: Mapping[str, str], folders: Sequence[Live], *, at_once: bool = False, pace: Pace = PACE
) -> list[Trouble]:
    """Ask the launchers of these runs how they stand, where it is time to (``at_once``: in any case); what failed."""
    now = time.time()
    due: dict[str, list[tuple[Live, Submitted]]] = {}
    for folder in folders:
        told = launchers.noted(folder.path)
        if told is not None and told.asked and (at_once or now >= _next(known(folder), pace)):
            due.setdefault(told.launcher, []).append((folder, told))
    if not due:
        return []
    with _alone(place, wait=at_once) as mine:
        if not mine:
            return []
        return [trouble for name, runs in due.items() if (trouble := _ask(place, env, name, runs)) is not None]


def ending(folder: Live, told: Submitted, *, now: float, pace: Pace = PACE) -> dict[str, Any] | None:
    """How a run ended that left no result, as its launcher has it; None while that is not certain."""
    last = known(folder)
    if last.state == "ended" and (told.host is None or last.status is not None):
        why = last.reason or f"{told.launcher} says that it has ended, and it left no result"
        return {"status": last.status or "lost", "exit_code": last.exit_code or 125, "reason": why}
    if last.state == "unknown" and last.unknown is not None and now - last.unknown > pace.grace:
        where = told.host or told.launcher
        why = f": {last.reason}" if last.reason else ""
        code = last.exit_code or 125
        return {"status": last.status or "lost", "exit_code": code, "reason": f"{where} does not know of this run{why}"}
    return None


def give_up(folder: Live) -> None:
    """Take a run for lost without asking or waiting any longer. Raises OSError."""
    last = known(folder)
    told = launchers.noted(folder.path)
    where = (told.host or told.launcher) if told else "nobody"
    reason = f"it was given up: {last.trouble or f'{where} had it'}"
    gone = Contact("ended", reason, Status.LOST.value, 125, asked=time.time())
    write_json(folder.path / CONTACT, asdict(gone))


def _next(last: Contact, pace: Pace) -> float:
    """When a launcher is to be asked again."""
    wait = pace.failing[min(last.failures, len(pace.failing)) - 1] if last.failures else pace.interval
    return last.asked + wait


def _ask(place: Place, env: Mapping[str, str], name: str, runs: Sequence[tuple[Live, Submitted]]) -> Trouble | None:
    """Ask one launcher about its runs, and take in what it says."""
    site = Site(place, env)
    try:
        found = launchers.launcher(name)
        far = launchers.distant(found)
        if far is not None:
            return _ask_far(site, far, runs)
        states = found.poll(site, [told.handle for _, told in runs])
    except SnaprunError as error:
        return _failed(runs, error)
    for (folder, _), state in zip(runs, states, strict=True):
        _learn(folder, state)
    return None


def _ask_far(site: Site, far: Distant, runs: Sequence[tuple[Live, Submitted]]) -> Trouble | None:
    end = time.monotonic() + PATIENCE
    asking = {told.handle: folder for folder, told in runs}
    arrived: list[tuple[Live, News]] = []
    turned: list[tuple[Live, News]] = []
    while asking:
        answers = far.news(site, {handle: _known_of(folder) for handle, folder in asking.items()})
        more = {}
        for handle, folder in asking.items():
            news = answers[handle]
            last = _take_in(folder, news)
            if news.tip is not None:
                arrived.append((folder, news))
            elif news.more or any(len(data) == PIECE for data in news.files.values()):
                more[handle] = folder
            if news.state.state != last.state:
                turned.append((folder, news))
        asking = more if time.monotonic() < end else {}
    _tell(site, turned)
    return _complete(site, far, arrived)


def _known_of(folder: Live) -> dict[str, int]:
    """What the other machine need not send again."""
    last = known(folder)
    return {**_sizes(folder), **({"attempt": last.attempt} if last.attempt is not None else {})}


def _take_in(folder: Live, news: News) -> Contact:
    """Keep what is new of a run; what was known before. What a further attempt prints is not that of the one before."""
    last = known(folder)
    if None not in (last.attempt, news.attempt) and news.attempt != last.attempt:
        _renew(folder)
    _learn(folder, news.state, attempt=news.attempt or last.attempt)
    _append(folder, news.files)
    return last


def _tell(site: Site, turned: Sequence[tuple[Live, News]]) -> None:
    """Tell the index of runs that have begun, or wait again, or never will begin. It is imported only for that."""
    known_states = {"queued": Status.QUEUED, "running": Status.RUNNING, "dropped": Status.SAVED}
    runs = []
    for folder, news in turned:
        if news.state.state in known_states:
            status = known_states[news.state.state]
            run = Run.of(folder.id, folder.spec(), folder.params(), commit=folder.id, status=status)
            runs.append(replace(run, attempts=news.attempt or run.attempts))
    if runs:
        from snaprun.git.gitrepo import GitRepo  # GitPython: only where a run has begun or will never begin
        from snaprun.index import reindex

        repo = GitRepo(site.place)
        order = turned[0][0].order()
        reindex.index(repo, order.get("index_url"), *runs)
    for folder, news in turned:
        if news.state.state == "dropped":
            remove(folder)


def _complete(site: Site, far: Distant, arrived: Sequence[tuple[Live, News]]) -> Trouble | None:
    """Fetch the results of ended runs and record them; their live folders go. The modules come only now: an end is
    rare, and git and the index take half a second to import."""
    by_url: dict[str, list[Live]] = {}
    for folder, news in arrived:
        by_url.setdefault(news.url, []).append(folder)
    for url, folders in by_url.items():
        from snaprun.lifecycle import collect  # git and the index take half a second

        try:
            collect.collect(site.place, url, folders, env=far.git_env(site))
        except SnaprunError as error:
            return _failed([(folder, Submitted("", "")) for folder in folders], error)
    return None


def _failed(runs: Sequence[tuple[Live, Submitted]], error: SnaprunError) -> Trouble:
    for folder, _ in runs:
        last = known(folder)
        news = replace(last, asked=time.time(), failures=last.failures + 1, trouble=error.message)
        _write(folder, news)
    return Trouble(tuple(folder.id for folder, _ in runs), error)


def _learn(folder: Live, state: State, *, attempt: int | None = None) -> None:
    now = time.time()
    last = known(folder)
    since = (last.unknown or now) if state.state == "unknown" else None
    news = Contact(state.state, state.reason, state.status, state.exit_code, now, now, since, attempt=attempt)
    _write(folder, news)


def _write(folder: Live, news: Contact) -> None:
    """Keep it. Not for after a power cut: a hundred runs would wait for the disk a hundred times at every look."""
    with suppress(FileNotFoundError):  # it has ended
        write_atomic(folder.path / CONTACT, asdict(news))


def _renew(folder: Live) -> None:
    """Begin the growing files anew, under other inodes: whoever follows them sees that they are others, and a process
    that is killed in between has all of it asked for again."""
    for name in reversed(GROWING):
        with suppress(FileNotFoundError):
            half = folder.path / f".{name}.new"
            half.touch(mode=0o600)
            half.replace(folder.path / name)


def _sizes(folder: Live) -> dict[str, int]:
    sizes = {}
    for name in GROWING:
        try:
            sizes[name] = (folder.path / name).stat().st_size
        except FileNotFoundError:
            sizes[name] = 0
    return sizes


def _append(folder: Live, files: Mapping[str, bytes]) -> None:
    """Append what is new. Killed in between, the next one asks from where this one came to."""
    for name in GROWING:
        if not files.get(name):
            continue
        try:
            with (folder.path / name).open("ab") as file:
                file.write(files[name])
        except FileNotFoundError:
            return


@contextmanager
def _alone(place: Place, *, wait: bool) -> Iterator[bool]:
    """Whether this process is the one that asks now; with ``wait`` it becomes so."""
    handle = os.open(place.state / "contact.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    mine = True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        mine = False
    try:
        yield mine
    finally:
        os.close(handle)
