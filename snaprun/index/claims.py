"""Change the queue: put runs in, take the next one out, set it in order. Every change is one transaction."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update

from snaprun import records
from snaprun.errors import DataFault, UsageFault
from snaprun.git.gitrepo import GitRepo
from snaprun.index.store import IndexStore
from snaprun.index.tables import queue, queues, runs
from snaprun.live.order import Order
from snaprun.model import Run, Snapshot, short_id, utc
from snaprun.statuses import Status


@dataclass(frozen=True)
class QueueEntry:
    """A run to queue. At most ``jobs`` of its group work at a time; it waits until the run ``after`` has succeeded."""

    snapshot: Snapshot
    order: Order
    jobs: int | None = None
    after: str | None = None
    retries: int = 0


@dataclass(frozen=True)
class Claim:
    """A run whose turn it is: the content of its ``order.json``, and the name of its environment."""

    run: str
    order: Mapping[str, Any]
    env: str


@dataclass(frozen=True)
class BlockedRun:
    """A run that can never start, because the one that it waits for did not succeed."""

    run: str
    order: Mapping[str, Any]
    after: str
    status: Status


def put(store: IndexStore, host: str, entries: Sequence[QueueEntry], *, env: str) -> None:
    """Queue frozen runs behind those that wait, and record them as queued; all of them or none.

    ``env`` names their environment, see :mod:`snaprun.live.envfile`.

    Raises:
        DataFault: a run to wait for is not in the index. UsageFault: it has ended without success.
    """
    queued_runs = [
        Run.from_commits(
            entry.snapshot.id,
            entry.snapshot.spec,
            entry.snapshot.params,
            commit=entry.snapshot.id,
            status=Status.QUEUED,
        )
        for entry in entries
    ]
    with store.transaction() as connection:
        store.lock_repo(connection)
        for after in dict.fromkeys(item.after for item in entries if item.after):
            _check_after(connection, store, after)
        store.add(connection, queued_runs)
        last_position = connection.scalar(select(func.max(queue.c.position)).where(_host_condition(store, host))) or 0
        now = utc(time.time())
        rows = [
            {
                "repo": store.repo,
                "run": queue_entry.snapshot.id,
                "host": host,
                "position": last_position + number,
                "state": "waiting",
                "group": queue_entry.snapshot.spec.group,
                "jobs": queue_entry.jobs,
                "after": queue_entry.after,
                "retries": queue_entry.retries,
                "attempt": queue_entry.order.attempt,
                "tip": queue_entry.order.after,
                "task": json.dumps(queue_entry.order.to_json()),
                "env": env,
                "queued": now,
                "note": None,
                "gpus": queue_entry.snapshot.spec.gpus,
            }
            for number, queue_entry in enumerate(entries, start=1)
        ]
        connection.execute(insert(queue), rows)


def claim(store: IndexStore, host: str, *, jobs: int, gpus: bool = True) -> Claim | BlockedRun | None:
    """Take the next run whose turn it is; None where there is none, or the cap is reached, or the queue rests.

    ``jobs`` caps the runs that brought no cap of their own with them. Without ``gpus`` those that want GPUs are passed
    by.
    """
    with store.transaction() as connection:
        store.lock_repo(connection)
        limits = connection.execute(
            select(queues.c.jobs, queues.c.paused).where(_limits_condition(store, host))
        ).one_or_none()
        if limits is not None and limits.paused:
            return None
        claimed_rows = connection.execute(
            select(queue.c.group).where(_host_condition(store, host), queue.c.state == "claimed")
        ).all()
        if limits is not None and limits.jobs is not None and len(claimed_rows) >= limits.jobs:
            return None
        groups = Counter(row.group for row in claimed_rows)
        candidates = _first_of_each_kind(connection, store, host)
        afters = _after_statuses(connection, store, host, candidates)
        for row in candidates:
            if (groups[row.group] if row.jobs else len(claimed_rows)) >= (row.jobs or jobs):
                continue
            if row.gpus and not gpus:
                continue
            status = afters.get(row.after)
            if row.after is None or (status is not None and status.good):
                return _take_claim(connection, store, row.run)
            if status is not None and status.over:
                return _take_blocked(connection, store, row.run, status)
    return None


def give_back(store: IndexStore, run: str, *, note: str | None = None) -> None:
    """Let a claimed run wait again: it did not start, because of ``note``."""
    with store.transaction() as connection:
        connection.execute(update(queue).where(_run_condition(store, run)).values(state="waiting", note=note))


def finish_or_retry(store: IndexStore, run: Run) -> bool:
    """Take a run that is over out of the queue, or let it wait for its next attempt; whether it does."""
    with store.transaction() as connection:
        row = connection.execute(
            select(queue.c.retries, queue.c.attempt).where(_run_condition(store, run.id))
        ).one_or_none()
        if row is None:
            return False
        if not run.status.retried or row.attempt > row.retries:
            connection.execute(delete(queue).where(_run_condition(store, run.id)))
            return False
        values = {"state": "waiting", "attempt": row.attempt + 1, "tip": run.commit, "note": None}
        connection.execute(update(queue).where(_run_condition(store, run.id)).values(values))
        store.add(connection, [run.requeue(row.attempt + 1)])
    return True


def drop(store: IndexStore, repo: GitRepo, ids: Iterable[str]) -> list[str]:
    """Take waiting runs out of the queue; those that were in it. Their snapshots stay, as saved ones.

    A run that was tried before is again what its last attempt made of it.
    """
    dropped_ids = []
    with store.transaction() as connection:
        for run in ids:
            condition = _run_condition(store, run) & (queue.c.state == "waiting")
            row = connection.execute(select(queue.c.tip).where(condition)).one_or_none()
            if row is None:
                continue
            connection.execute(delete(queue).where(condition))
            if row.tip is None:
                row_condition = (runs.c.repo == store.repo) & (runs.c.id == run)
                connection.execute(update(runs).where(row_condition).values(status=Status.SAVED.value))
            else:
                store.add(connection, [records.read_run(repo, run, commit=row.tip)])
            dropped_ids.append(run)
    return dropped_ids


def move(store: IndexStore, host: str, ids: Sequence[str], *, before: str | None) -> None:
    """Put waiting runs, in this order, before another waiting one, or behind all others with None.

    Raises:
        DataFault: one of them does not wait in this queue.
    """
    with store.transaction() as connection:
        store.lock_repo(connection)
        statement = (
            select(queue.c.run)
            .where(_host_condition(store, host), queue.c.state == "waiting")
            .order_by(queue.c.position)
        )
        waiting_ids = list(connection.scalars(statement))
        for run in [*ids, *([before] if before else [])]:
            if run not in waiting_ids:
                raise DataFault(f"run {short_id(run)} does not wait in the queue", hint="snaprun queue")
        if before in ids:
            raise UsageFault("a run cannot stand before itself", hint="snaprun queue")
        other_ids = [run for run in waiting_ids if run not in ids]
        offset = other_ids.index(before) if before else len(other_ids)
        last_position = connection.scalar(select(func.max(queue.c.position)).where(_host_condition(store, host))) or 0
        for number, run in enumerate([*other_ids[:offset], *ids, *other_ids[offset:]], start=1):
            connection.execute(update(queue).where(_run_condition(store, run)).values(position=last_position + number))


def limit(store: IndexStore, host: str, *, jobs: int | None) -> None:
    """Let at most ``jobs`` runs of the queue work at a time, whatever they asked for; None takes that back."""
    if jobs is not None and jobs < 1:
        raise UsageFault(f"--jobs {jobs}: at least one run must be allowed", hint="snaprun queue pause")
    _set_limits(store, host, {"jobs": jobs})


def set_paused(store: IndexStore, host: str, *, value: bool) -> None:
    """Start nothing more, or go on. What runs, runs on."""
    _set_limits(store, host, {"paused": value})


def list_claimed(store: IndexStore, host: str) -> dict[str, str | None]:
    """The runs that were taken out, each with the result commit that it had then."""
    with store.transaction() as connection:
        columns = select(queue.c.run, queue.c.tip).where(_host_condition(store, host), queue.c.state == "claimed")
        return {row.run: row.tip for row in connection.execute(columns)}


def read_workload(store: IndexStore, host: str) -> tuple[int, int, list[str]]:
    """How many runs there are to serve, none that wait while the queue rests; how many there are in all; and the runs
    outside of the queue that some wait for.
    """
    with store.transaction() as connection:
        limits = connection.execute(select(queues.c.paused).where(_limits_condition(store, host))).one_or_none()
        condition = _host_condition(store, host)
        counts = select(queue.c.state, func.count()).where(condition).group_by(queue.c.state)
        counts_by_state = {row.state: int(row[1]) for row in connection.execute(counts)}
        outside = queue.c.after.is_not(None) & queue.c.after.not_in(select(queue.c.run).where(condition))
        outside_ids = sorted(set(connection.scalars(select(queue.c.after).where(condition, outside))))
    is_paused = limits is not None and limits.paused
    total = sum(counts_by_state.values())
    return (counts_by_state.get("claimed", 0) if is_paused else total), total, outside_ids


def has_waiting(store: IndexStore, host: str) -> bool:
    """Whether a run waits that could be started before long."""
    with store.transaction() as connection:
        statement = select(queue.c.run).where(
            _host_condition(store, host), queue.c.state == "waiting", queue.c.after.is_(None)
        )
        return connection.scalar(statement.limit(1)) is not None


def forget(store: IndexStore, run: str) -> None:
    """Take a run out of the queue whatever its state: it is gone from git."""
    with store.transaction() as connection:
        connection.execute(delete(queue).where(_run_condition(store, run)))


def _take_claim(connection: Connection, store: IndexStore, run: str) -> Claim:
    row = _row(connection, store, run)
    connection.execute(update(queue).where(_run_condition(store, run)).values(state="claimed", note=None))
    return Claim(run, {**json.loads(row.task), "attempt": row.attempt, "after": row.tip}, row.env)


def _take_blocked(connection: Connection, store: IndexStore, run: str, status: Status) -> BlockedRun:
    row = _row(connection, store, run)
    connection.execute(update(queue).where(_run_condition(store, run)).values(state="claimed"))
    return BlockedRun(run, {**json.loads(row.task), "attempt": row.attempt, "after": row.tip}, row.after, status)


def _row(connection: Connection, store: IndexStore, run: str) -> Row[Any]:
    return connection.execute(select(queue).where(_run_condition(store, run))).one()


def _first_of_each_kind(connection: Connection, store: IndexStore, host: str) -> Sequence[Row[Any]]:
    """Of waiting runs that may start under the same conditions, the first one each, in the order of the queue: where
    that one has to wait, so have all behind it. A queue of thousands is looked at after every run."""
    condition = _host_condition(store, host) & (queue.c.state == "waiting")
    kind = [queue.c[name] for name in ("group", "jobs", "after", "gpus")]
    firsts = select(func.min(queue.c.position)).where(condition).group_by(*kind)
    statement = select(queue.c.run, *kind).where(condition, queue.c.position.in_(firsts)).order_by(queue.c.position)
    return connection.execute(statement).all()


def _after_statuses(
    connection: Connection, store: IndexStore, host: str, candidates: Sequence[Row[Any]]
) -> dict[str, Status]:
    """How the runs stand that others wait for; one that is in the queue itself has not ended, retries counted."""
    after_ids = {row.after for row in candidates if row.after}
    if not after_ids:
        return {}
    after_ids -= set(
        connection.scalars(select(queue.c.run).where(_host_condition(store, host), queue.c.run.in_(after_ids)))
    )
    rows = connection.execute(
        select(runs.c.id, runs.c.status).where(runs.c.repo == store.repo, runs.c.id.in_(after_ids))
    )
    statuses = {row.id: Status(row.status) for row in rows}
    return {run: statuses.get(run, Status.LOST) for run in after_ids}


def _check_after(connection: Connection, store: IndexStore, after: str) -> None:
    value = connection.scalar(select(runs.c.status).where(runs.c.repo == store.repo, runs.c.id == after))
    if value is None:
        raise DataFault(f"there is no run {short_id(after)} to wait for", hint="snaprun history")
    status = Status(value)
    if status.over and not status.good:
        raise UsageFault(
            f"run {short_id(after)} has {status}: nothing can come after it", hint=f"snaprun rerun {short_id(after)}"
        )


def _set_limits(store: IndexStore, host: str, values: Mapping[str, Any]) -> None:
    with store.transaction() as connection:
        store.lock_repo(connection)
        if connection.execute(update(queues).where(_limits_condition(store, host)).values(values)).rowcount == 0:
            defaults = {"repo": store.repo, "host": host, "jobs": None, "paused": False, **values}
            connection.execute(insert(queues).values(defaults))


def _host_condition(store: IndexStore, host: str) -> ColumnElement[bool]:
    return (queue.c.repo == store.repo) & (queue.c.host == host)


def _run_condition(store: IndexStore, run: str) -> ColumnElement[bool]:
    return (queue.c.repo == store.repo) & (queue.c.run == run)


def _limits_condition(store: IndexStore, host: str) -> ColumnElement[bool]:
    return (queues.c.repo == store.repo) & (queues.c.host == host)
