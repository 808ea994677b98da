"""The queue's rules: order, caps, what waits for what, retries; and that no crowd of processes breaks them."""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from snaprun.errors import DataFault, UsageFault
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import Place
from snaprun.index import claims, queue, runlist, store
from snaprun.index.claims import BlockedRun, Claim, QueueEntry
from snaprun.index.store import IndexStore
from snaprun.live import envfile
from snaprun.live.order import Order
from snaprun.model import RunSpec, Snapshot, utc
from snaprun.statuses import Status
from tests.crowd import at_once
from tests.indexed import START, oid, run

HOST = "here"
PLACE = Place(Path("/r"), Path("/r/.git"), Path("/r/.git"), Path("/r/.git/index"))


def entry(number: int, *, group: str | None = None, **more: object) -> QueueEntry:
    """A run to queue, with the id of ``oid(number)``."""
    spec = RunSpec(notebook="nb.ipynb", created=utc(START + number), group=group)
    snapshot = Snapshot(oid(number), "", spec, {"x": number})
    return QueueEntry(snapshot, Order(run=oid(number), place=PLACE), **more)  # type: ignore[arg-type]


def put(index: IndexStore, entries: Sequence[QueueEntry]) -> None:
    claims.put(index, HOST, entries, env="env-1.json")


def taken(index: IndexStore, *, jobs: int = 1) -> int | None:
    """Number of the run that is claimed next."""
    found = claims.claim(index, HOST, jobs=jobs)
    assert not isinstance(found, BlockedRun)
    return None if found is None else int(json.loads(json.dumps(found.order))["run"] == found.run) * _number(found.run)


def _number(id: str) -> int:
    return next(number for number in range(1, 200) if oid(number) == id)


def end(index: IndexStore, number: int, status: Status = Status.SUCCEEDED, **more: object) -> bool:
    ended = run(number, status=status, commit=oid(number, "result"), **more)
    index.record(ended)
    return claims.finish_or_retry(index, ended)


@pytest.fixture
def index(tmp_path: Path) -> IndexStore:
    made = store.open_store(tmp_path / "state")
    made.rebuild([])
    return made


def statuses(tmp_path: Path) -> dict[int, str]:
    with runlist.connect(tmp_path / "state") as reader:
        return {_number(found.id): found.status.value for found in runlist.query(reader, runlist.Filter())}


def listed(tmp_path: Path) -> queue.QueueListing:
    with runlist.connect(tmp_path / "state") as reader:
        return queue.listing(reader, HOST)


def test_runs_start_in_the_order_of_queueing(index: IndexStore, tmp_path: Path) -> None:
    put(index, [entry(1), entry(2)])
    put(index, [entry(3)])
    assert statuses(tmp_path) == {1: "queued", 2: "queued", 3: "queued"}
    assert [taken(index, jobs=2) for _ in range(3)] == [1, 2, None]
    assert not end(index, 1)
    assert taken(index, jobs=2) == 3
    assert [(one.run, one.position, one.is_claimed) for one in listed(tmp_path).runs] == [
        (oid(2), 1, True),
        (oid(3), 2, True),
    ]


def test_a_claim_has_all_that_a_start_needs(index: IndexStore) -> None:
    put(index, [entry(1, retries=1)])
    found = claims.claim(index, HOST, jobs=1)
    assert isinstance(found, Claim)
    assert (found.env, found.order["attempt"], found.order["after"]) == ("env-1.json", 1, None)
    assert found.order["place"]["top"] == "/r"
    assert end(index, 1, Status.FAILED)
    again = claims.claim(index, HOST, jobs=1)
    assert isinstance(again, Claim)
    assert (again.order["attempt"], again.order["after"]) == (2, oid(1, "result"))


@pytest.mark.parametrize(
    ("status", "again"),
    [("failed", True), ("lost", True), ("timed-out", True), ("succeeded", False), ("stopped", False)],
)
def test_retries(index: IndexStore, tmp_path: Path, status: str, again: bool) -> None:
    put(index, [entry(1, retries=2), entry(2)])
    assert taken(index) == 1
    assert end(index, 1, Status(status)) is again
    assert statuses(tmp_path)[1] == ("queued" if again else status)
    if again:
        assert taken(index) == 1  # in its old place
        assert end(index, 1, Status(status), attempts=2)
        assert taken(index) == 1
        assert not end(index, 1, Status(status), attempts=3)
    assert statuses(tmp_path)[1] == status
    assert taken(index) == 2


def test_each_sweep_has_its_own_cap(index: IndexStore) -> None:
    put(index, [entry(number, group="a", jobs=2) for number in (1, 2, 3)])
    put(index, [entry(number, group="b", jobs=1) for number in (4, 5)])
    put(index, [entry(6), entry(7)])
    assert [taken(index, jobs=1) for _ in range(4)] == [1, 2, 4, None]
    end(index, 1)
    assert taken(index, jobs=4) == 3
    assert taken(index, jobs=4) == 6
    assert taken(index, jobs=4) is None


def test_the_order_is_kept_among_runs_of_every_kind(index: IndexStore) -> None:
    index.record(run(9, status=Status.RUNNING))
    for number in range(10, 70):
        after = oid(9) if number % 5 == 0 else None
        put(index, [entry(number, group="abc"[number % 3], jobs=(None, 2, 40)[number % 3], after=after)])
    found = []
    while (number := taken(index, jobs=30)) is not None:
        found.append(number)
    assert found == sorted(found)
    free = [number for number in range(10, 70) if number % 5]
    assert [n for n in found if n % 3 == 1] == [n for n in free if n % 3 == 1][:2]  # of a group only its own cap counts
    assert [n for n in found if n % 3 == 2] == [n for n in free if n % 3 == 2]
    assert claims.read_workload(index, HOST) == (60, 60, [oid(9)])
    index.record(run(9))
    assert taken(index, jobs=60) == 15


def test_the_limit_goes_before_every_cap(index: IndexStore, tmp_path: Path) -> None:
    put(index, [entry(number, group="a", jobs=9) for number in range(1, 6)])
    claims.limit(index, HOST, jobs=2)
    assert [taken(index) for _ in range(3)] == [1, 2, None]
    assert listed(tmp_path).jobs == 2
    claims.limit(index, HOST, jobs=None)
    assert taken(index) == 3
    with pytest.raises(UsageFault, match="at least one"):
        claims.limit(index, HOST, jobs=0)


def test_pause_and_resume(index: IndexStore, tmp_path: Path) -> None:
    put(index, [entry(1), entry(2)])
    assert taken(index) == 1
    claims.set_paused(index, HOST, value=True)
    assert listed(tmp_path).is_paused
    assert claims.read_workload(index, HOST) == (1, 2, [])  # the one that runs is still looked after
    end(index, 1)
    assert taken(index) is None
    assert claims.read_workload(index, HOST) == (0, 1, [])
    claims.set_paused(index, HOST, value=False)
    assert taken(index) == 2


def test_a_run_waits_for_another(index: IndexStore) -> None:
    put(index, [entry(1)])
    put(index, [entry(2, after=oid(1)), entry(3)])
    assert [taken(index, jobs=5) for _ in range(3)] == [1, 3, None]
    end(index, 1)
    assert taken(index, jobs=5) == 2


def test_a_run_outside_of_the_queue_is_waited_for(index: IndexStore) -> None:
    index.record(run(9, status=Status.RUNNING))
    put(index, [entry(1, after=oid(9))])
    assert taken(index) is None
    assert claims.read_workload(index, HOST) == (1, 1, [oid(9)])
    assert not claims.has_waiting(index, HOST)
    index.record(run(9))
    assert taken(index) == 1


def test_a_run_that_can_never_start_is_handed_out_as_such(index: IndexStore) -> None:
    put(index, [entry(1, retries=1)])
    put(index, [entry(2, after=oid(1))])
    put(index, [entry(3, after=oid(2))])
    assert taken(index) == 1
    assert end(index, 1, Status.FAILED)
    assert taken(index) == 1
    assert not end(index, 1, Status.FAILED, attempts=2)
    found = claims.claim(index, HOST, jobs=1)
    assert isinstance(found, BlockedRun)
    assert (found.run, found.after, found.status) == (oid(2), oid(1), Status.FAILED)
    assert not end(index, 2, Status.STOPPED)
    found = claims.claim(index, HOST, jobs=1)
    assert isinstance(found, BlockedRun)
    assert found.run == oid(3)


def test_waiting_for_nothing_is_refused(index: IndexStore, tmp_path: Path) -> None:
    with pytest.raises(DataFault, match="no run"):
        put(index, [entry(1, after=oid(50))])
    index.record(run(9, status=Status.FAILED))
    with pytest.raises(UsageFault, match="nothing can come after it"):
        put(index, [entry(1, after=oid(9))])
    assert statuses(tmp_path) == {9: "failed"}
    assert listed(tmp_path).runs == ()


def test_a_run_that_was_forgotten_is_not_waited_for(index: IndexStore) -> None:
    index.record(run(9, status=Status.RUNNING))
    put(index, [entry(1, after=oid(9))])
    index.forget([oid(9)])
    assert isinstance(claims.claim(index, HOST, jobs=1), BlockedRun)


def test_drop(index: IndexStore, tmp_path: Path) -> None:
    put(index, [entry(1), entry(2), entry(3, retries=1)])
    assert taken(index) == 1
    assert claims.drop(index, GitRepo(PLACE), [oid(1), oid(2), oid(77)]) == [oid(2)]
    assert statuses(tmp_path) == {1: "queued", 2: "saved", 3: "queued"}
    end(index, 1)
    assert taken(index) == 3
    assert claims.drop(index, GitRepo(PLACE), [oid(3)]) == []


def test_a_run_between_two_attempts_has_no_ending(index: IndexStore, tmp_path: Path) -> None:
    put(index, [entry(3, retries=1)])
    taken(index)
    end(index, 3, Status.FAILED)
    with runlist.connect(tmp_path / "state") as reader:
        (found,) = runlist.query(reader, runlist.Filter())
    assert (found.status, found.attempts, found.reason) == (Status.QUEUED, 2, "attempt 1: failed")
    assert (found.exit_code, found.started, found.ended, found.seconds) == (None, None, None, None)


def test_move(index: IndexStore, tmp_path: Path) -> None:
    put(index, [entry(number) for number in (1, 2, 3, 4, 5)])
    assert taken(index) == 1
    claims.move(index, HOST, [oid(5), oid(3)], before=oid(2))
    assert [_number(one.run) for one in listed(tmp_path).runs] == [1, 5, 3, 2, 4]
    claims.move(index, HOST, [oid(5)], before=None)
    assert [_number(one.run) for one in listed(tmp_path).runs] == [1, 3, 2, 4, 5]
    for ids, before in (([oid(1)], None), ([oid(2)], oid(1)), ([oid(66)], None)):
        with pytest.raises(DataFault, match="does not wait"):
            claims.move(index, HOST, ids, before=before)
    with pytest.raises(UsageFault, match="before itself"):
        claims.move(index, HOST, [oid(2), oid(4)], before=oid(4))


def test_what_did_not_start_waits_again(index: IndexStore, tmp_path: Path) -> None:
    put(index, [entry(1), entry(2)])
    assert taken(index) == 1
    claims.give_back(index, oid(1), note="the disk is full")
    assert listed(tmp_path).runs[0].note == "the disk is full"
    assert taken(index) == 1
    assert listed(tmp_path).runs[0].note is None


def test_rebuilding_keeps_the_queue(index: IndexStore, tmp_path: Path) -> None:
    put(index, [entry(1), entry(2)])
    assert taken(index) == 1
    index.rebuild([run(1, status=Status.RUNNING), run(2, status=Status.LOST), run(3, status=Status.LOST)])
    assert statuses(tmp_path) == {1: "running", 2: "queued", 3: "lost"}
    assert taken(index, jobs=2) == 2


def test_each_machine_has_its_own_queue(index: IndexStore, tmp_path: Path) -> None:
    put(index, [entry(1)])
    claims.put(index, "there", [entry(2)], env="e")
    assert [taken(index, jobs=5) for _ in range(2)] == [1, None]
    assert [one.run for one in listed(tmp_path).runs] == [oid(1)]


def test_putting_a_run_that_the_index_knows(index: IndexStore, tmp_path: Path) -> None:
    index.record(replace(run(1), status=Status.LOST))
    put(index, [entry(1)])
    assert statuses(tmp_path) == {1: "queued"}


def test_an_environment_is_kept_for_the_owner_alone(tmp_path: Path) -> None:
    env = {"TOKEN": "secret", "ODD": "caf\udce9"}
    name = envfile.keep(tmp_path / "queue", env)
    assert envfile.keep(tmp_path / "queue", dict(reversed(env.items()))) == name
    assert stat.S_IMODE((tmp_path / "queue" / name).stat().st_mode) == 0o600
    assert envfile.read(tmp_path / "queue", name) == env
    assert envfile.read(tmp_path / "queue", "env-none.json") is None


CROWD = """
import sys
from pathlib import Path
from snaprun.index import claims, store
from snaprun.statuses import Status
from tests.indexed import run
index = store.open_store(Path(sys.argv[1]), sys.argv[3] if len(sys.argv) > 3 else None)
idle = 0
while idle < 50:
    found = claims.claim(index, "here", jobs=3)
    if found is None:
        left = claims.read_workload(index, "here")[1]
        if not left:
            break
        idle += 1
        continue
    idle = 0
    at_work = len(claims.list_claimed(index, "here"))
    assert 1 <= at_work <= 3, at_work
    with open(sys.argv[1] + "/started", "a") as file:
        file.write(found.run + "\\n")
    claims.finish_or_retry(index, run(0, id=found.run))
"""


def test_a_crowd_neither_exceeds_the_cap_nor_starts_a_run_twice(index: IndexStore, tmp_path: Path) -> None:
    put(index, [entry(number) for number in range(1, 61)])
    assert at_once(6, CROWD, str(tmp_path / "state")) == [""] * 6
    started = (tmp_path / "state" / "started").read_text().split()
    assert sorted(started) == sorted(oid(number) for number in range(1, 61))


@pytest.mark.service
def test_a_crowd_at_postgresql(tmp_path: Path, postgresql: str) -> None:
    made = store.open_store(tmp_path / "state", postgresql)
    made.rebuild([])
    put(made, [entry(number) for number in range(1, 41)])
    assert at_once(4, CROWD, str(tmp_path / "state"), postgresql) == [""] * 4
    started = (tmp_path / "state" / "started").read_text().split()
    assert sorted(started) == sorted(oid(number) for number in range(1, 41))
