"""Keep in contact with launchers: ask how runs stand, copy what is new of those on other machines, fetch their results.

Reading commands come here through :func:`snaprun.lifecycle.settle.settle`. A launcher is asked every two seconds
at most, by one process at a time, and less often when it does not answer: silence says nothing about a run. What was
learnt lies as ``contact.json`` in the live folder.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from snaprun import filelock, files, launchers
from snaprun.errors import SnaprunError
from snaprun.files import read_json, write_json
from snaprun.git.locate import Place
from snaprun.launchers import STATES, News, RemoteLauncher, Site, State
from snaprun.launchers.placement import Placement, read_placement
from snaprun.live.livefolder import Live, remove
from snaprun.live.names import CONTACT_FILE, GROWING_FILES
from snaprun.model import FAULT_CODE, Outcome, Run
from snaprun.statuses import Status

PIECE = 4 << 20
"""Bytes of one file that one answer of another machine holds at most; where that many came, there may be more."""

PATIENCE = 10.0
"""Seconds that a reading command copies at most before it goes on with what is here."""


@dataclass(frozen=True)
class Pace:
    """Seconds: between two questions, between them after failures in a row, until an unknown run is lost."""

    interval: float = 2.0
    backoff: tuple[float, ...] = (3.0, 5.0, 10.0, 20.0, 40.0, 60.0)
    grace: float = 60.0


PACE = Pace()


@dataclass(frozen=True)
class Contact:
    """What is known from a run's launcher: times are seconds since the epoch, ``unknown`` since when it knows none."""

    state: str = "unknown"
    reason: str | None = None
    status: Status | None = None
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


def read_contact(folder: Live) -> Contact:
    """What was learnt last about a run."""
    try:
        data = read_json(folder.path / CONTACT_FILE)
        values = {name: data[name] for name in Contact.__dataclass_fields__ if name in data}
        return Contact(**{**values, "status": Status(values["status"]) if values.get("status") else None})
    except (OSError, ValueError, TypeError):
        return Contact()


def refresh(
    place: Place, env: Mapping[str, str], folders: Sequence[Live], *, at_once: bool = False, pace: Pace = PACE
) -> list[Trouble]:
    """Ask the launchers of these runs how they stand, where it is time to (``at_once``: in any case); what failed."""
    now = time.time()
    placements: dict[str, list[tuple[Live, Placement]]] = {}
    for folder in folders:
        placement = read_placement(folder.path)
        if (
            placement is not None
            and placement.needs_poll
            and (at_once or now >= _next_time(read_contact(folder), pace))
        ):
            placements.setdefault(placement.launcher, []).append((folder, placement))
    if not placements:
        return []
    with filelock.hold_within(place.state / "contact.lock", math.inf if at_once else 0.0) as is_held:
        if not is_held:  # another process asks now
            return []
        return [trouble for name, runs in placements.items() if (trouble := _ask(place, env, name, runs)) is not None]


def judge_ending(folder: Live, placement: Placement, *, now: float, pace: Pace = PACE) -> Outcome | None:
    """How a run ended that left no result, as its launcher has it; None while that is not certain."""
    contact = read_contact(folder)
    if contact.state == "ended" and (placement.host is None or contact.status is not None):
        reason = contact.reason or f"{placement.launcher} says that it has ended, and it left no result"
        return Outcome(contact.status or Status.LOST, contact.exit_code or FAULT_CODE, reason)
    if contact.state == "unknown" and contact.unknown is not None and now - contact.unknown > pace.grace:
        source = placement.host or placement.launcher
        reason = f": {contact.reason}" if contact.reason else ""
        text = f"{source} does not know of this run{reason}"
        return Outcome(contact.status or Status.LOST, contact.exit_code or FAULT_CODE, text)
    return None


def give_up(folder: Live) -> None:
    """Take a run for lost without asking or waiting any longer. Raises OSError."""
    contact = read_contact(folder)
    placement = read_placement(folder.path)
    source = (placement.host or placement.launcher) if placement else "nobody"
    reason = f"it was given up: {contact.trouble or f'{source} had it'}"
    loss = Contact("ended", reason, Status.LOST, FAULT_CODE, asked=time.time())
    write_json(folder.path / CONTACT_FILE, asdict(loss))


def _next_time(contact: Contact, pace: Pace) -> float:
    """When a launcher is to be asked again."""
    interval = pace.backoff[min(contact.failures, len(pace.backoff)) - 1] if contact.failures else pace.interval
    return contact.asked + interval


def _ask(place: Place, env: Mapping[str, str], name: str, runs: Sequence[tuple[Live, Placement]]) -> Trouble | None:
    """Ask one launcher about its runs, and take in what it says."""
    site = Site(place, env)
    try:
        launcher = launchers.launcher(name)
        remote = launchers.as_remote(launcher)
        if remote is not None:
            return _ask_remote(site, remote, runs)
        states = launcher.poll(site, [placement.handle for _, placement in runs])
    except SnaprunError as error:
        return _record_failure(runs, error)
    for (folder, _), state in zip(runs, states, strict=True):
        _record_state(folder, state)
    return None


def _ask_remote(site: Site, remote: RemoteLauncher, runs: Sequence[tuple[Live, Placement]]) -> Trouble | None:
    deadline = time.monotonic() + PATIENCE
    folders = {placement.handle: folder for folder, placement in runs}
    results: list[tuple[Live, News]] = []
    changes: list[tuple[Live, News]] = []
    while folders:
        answers = remote.news(site, {handle: _local_state(folder) for handle, folder in folders.items()})
        next_folders = {}
        for handle, folder in folders.items():
            news = answers[handle]
            contact = _keep_news(folder, news)
            if news.tip is not None:
                results.append((folder, news))
            elif news.has_more or any(len(data) == PIECE for data in news.files.values()):
                next_folders[handle] = folder
            if news.state.state != contact.state:
                changes.append((folder, news))
        folders = next_folders if time.monotonic() < deadline else {}
    _index_changes(site, changes)
    return _fetch_results(site, remote, results)


def _local_state(folder: Live) -> dict[str, int]:
    """What the other machine need not send again."""
    contact = read_contact(folder)
    return {**_sizes(folder), **({"attempt": contact.attempt} if contact.attempt is not None else {})}


def _keep_news(folder: Live, news: News) -> Contact:
    """Keep what is new of a run; what was known before. What a further attempt prints is not that of the one before."""
    contact = read_contact(folder)
    if None not in (contact.attempt, news.attempt) and news.attempt != contact.attempt:
        _renew(folder)
    _record_state(folder, news.state, attempt=news.attempt or contact.attempt)
    _append(folder, news.files)
    return contact


def _index_changes(site: Site, changes: Sequence[tuple[Live, News]]) -> None:
    """Tell the index of runs that have begun, or wait again, or never will begin. It is imported only for that."""
    runs = []
    for folder, news in changes:
        status = STATES[news.state.state]
        if status is not None:
            run = Run.from_commits(folder.id, folder.spec(), folder.params(), commit=folder.id, status=status)
            runs.append(replace(run, attempts=news.attempt or run.attempts))
    if runs:
        from snaprun.git.gitrepo import GitRepo  # GitPython: only where a run has begun or will never begin
        from snaprun.index import reindex

        repo = GitRepo(site.place)
        order = changes[0][0].order()
        reindex.record(repo, order.get("index_url"), *runs)
    for folder, news in changes:
        if news.state.state == "dropped":
            remove(folder)


def _fetch_results(site: Site, remote: RemoteLauncher, results: Sequence[tuple[Live, News]]) -> Trouble | None:
    """Fetch the results of ended runs and record them; their live folders go. The modules come only now: an end is
    rare, and git and the index take half a second to import."""
    by_url: dict[str, list[Live]] = {}
    for folder, news in results:
        by_url.setdefault(news.url, []).append(folder)
    for url, folders in by_url.items():
        from snaprun.launchers import collect  # git and the index take half a second

        try:
            collect.collect(site.place, url, folders, env=remote.git_env(site))
        except SnaprunError as error:
            return _record_failure([(folder, Placement("", "")) for folder in folders], error)
    return None


def _record_failure(runs: Sequence[tuple[Live, Placement]], error: SnaprunError) -> Trouble:
    for folder, _ in runs:
        contact = read_contact(folder)
        new_contact = replace(contact, asked=time.time(), failures=contact.failures + 1, trouble=error.message)
        _write(folder, new_contact)
    return Trouble(tuple(folder.id for folder, _ in runs), error)


def _record_state(folder: Live, state: State, *, attempt: int | None = None) -> None:
    now = time.time()
    contact = read_contact(folder)
    unknown_since = (contact.unknown or now) if state.state == "unknown" else None
    status = Status(state.status) if state.status else None
    new_contact = Contact(state.state, state.reason, status, state.exit_code, now, now, unknown_since, attempt=attempt)
    _write(folder, new_contact)


def _write(folder: Live, contact: Contact) -> None:
    """Keep it. Not for after a power cut: a hundred runs would wait for the disk a hundred times at every look."""
    with suppress(FileNotFoundError):  # it has ended
        write_json(folder.path / CONTACT_FILE, asdict(contact), durable=False)


def _renew(folder: Live) -> None:
    """Begin the growing files anew, under other inodes: whoever follows them sees that they are others, and a process
    that is killed in between has all of it asked for again."""
    for name in reversed(GROWING_FILES):
        with suppress(FileNotFoundError):
            files.write(folder.path / name, b"", durable=False)


def _sizes(folder: Live) -> dict[str, int]:
    sizes = {}
    for name in GROWING_FILES:
        try:
            sizes[name] = (folder.path / name).stat().st_size
        except FileNotFoundError:
            sizes[name] = 0
    return sizes


def _append(folder: Live, files: Mapping[str, bytes]) -> None:
    """Append what is new. Killed in between, the next one asks from where this one came to."""
    for name in GROWING_FILES:
        if not files.get(name):
            continue
        try:
            with (folder.path / name).open("ab") as file:
                file.write(files[name])
        except FileNotFoundError:
            return
