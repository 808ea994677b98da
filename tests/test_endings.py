"""Every way a run can end, and who was hit: a truthful record, all output, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from snaprun import files
from snaprun.index import runlist, selectors
from snaprun.lifecycle import settle
from snaprun.live import livefolder, lock, stoprequest, supervision
from snaprun.live.names import STOP_FILE, SUPERVISOR_FILE
from snaprun.live.stoprequest import StopRequest, write_stop_request
from snaprun.machine import process
from snaprun.model import Result, Run
from snaprun.reader import index
from snaprun.statuses import Status
from tests import running
from tests.running import WAITING, Started
from tests.sandbox import Sandbox, wait_for

pytestmark = pytest.mark.usefixtures("nothing_left")

CHILDREN = """
import multiprocessing, os, signal, subprocess, sys, time
subprocess.Popen(["sleep", "601"], start_new_session=True)
subprocess.Popen("sleep 602 & sleep 603 & wait", shell=True)
subprocess.Popen(["sh", "-c", "trap '' TERM INT HUP; while :; do sleep 0.1; done"])
lost = "import os, time\\nif os.fork(): os._exit(0)\\nos.setsid()\\nif os.fork(): os._exit(0)\\ntime.sleep(604)"
subprocess.Popen([sys.executable, "-c", lost]).wait()
pool = multiprocessing.get_context("fork").Pool(8)
print("ready", flush=True)
"""
WAIT = "import time\nfor _ in range(6000): time.sleep(0.02)\nprint('too', 'late')"


@pytest.fixture
def run(repo: Sandbox) -> Started:
    """A run in its second cell, with a crowd of children."""
    started = running.start(repo, repo.notebook("long.ipynb", CHILDREN, "print('second', flush=True)\n" + WAIT))
    started.until_logged("second")
    return started


def check(run: Started, status: Status, code: int, reason: str) -> Result:
    """The record of a run is true and whole, and the run left nothing."""
    result = run.end()
    assert (result.status, result.exit_code) == (status, code), result
    assert reason in (result.reason or "")
    wait_for(lambda: not run.processes(), f"processes of the run to go: {run.processes()}")
    wait_for(lambda: not list(run.place.live.iterdir()), "an empty folder of live runs")
    assert not list((run.place.state / "slots").glob("*.owner"))
    assert not list((run.place.state / "tmp").iterdir())
    with runlist.connect(run.place.state) as reader:
        listed = runlist.query(reader, runlist.Filter())
    assert [(one.id, one.status, one.exit_code) for one in listed] == [(run.id, status, code)]
    assert all(line in run.file("log.txt").decode() for line in ("ready", "second"))
    assert all(line in run.outputs() for line in ("ready", "second"))
    assert "too late" not in run.outputs()
    assert result.started is not None
    assert result.ended is not None
    return result


@pytest.mark.parametrize("victim", ["supervisor", "worker"])
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=["INT", "TERM", "HUP"]
)
def test_a_signal_stops_the_run(run: Started, victim: str, number: int, code: int) -> None:
    supervisor, worker = run.pids()
    os.kill((supervisor if victim == "supervisor" else worker).pid, number)
    result = check(run, Status.STOPPED, code, "stopped by")
    assert [cell.state for cell in result.cells] == ["ok", "stopped"]
    assert result.signal == number


def test_a_killed_kernel_is_named(run: Started) -> None:
    os.kill(run.kernel(), signal.SIGKILL)
    check(run, Status.FAILED, 137, "KILL")


def test_a_killed_worker_is_finalised_by_the_supervisor(run: Started) -> None:
    os.kill(run.pids()[1].pid, signal.SIGKILL)
    result = check(run, Status.LOST, 125, "worker was killed by SIGKILL")
    assert [cell.state for cell in result.cells] == ["ok", "stopped"]


def test_a_killed_supervisor_is_survived(repo: Sandbox) -> None:
    book = repo.notebook("long.ipynb", CHILDREN, "import pathlib, time\nprint('second', flush=True)\n"
                         "while not pathlib.Path('GO').exists(): time.sleep(0.01)\nprint('third')")  # fmt: skip
    run = running.start(repo, book)
    run.until_logged("second")
    os.kill(run.pids()[0].pid, signal.SIGKILL)
    slot = next(event["path"] for event in run.events() if event["e"] == "slot")
    Path(slot, "GO").touch()
    result = check(run, Status.SUCCEEDED, 0, "")
    assert "third" in run.outputs()
    assert any("supervisor was killed" in warning for warning in result.warnings)


@pytest.mark.parametrize("kernel_too", [False, True], ids=["both", "all"])
def test_whoever_reads_next_settles_what_was_killed(run: Started, kernel_too: bool) -> None:
    pids = [who.pid for who in run.pids()] + ([run.kernel()] if kernel_too else [])
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)  # all at once
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not any(process.alive(who) for who in run.pids()), "the end of both")
    running.settled(run)
    check(run, Status.LOST, 125, "supervisor and its worker were killed")
    assert settle.settle(run.place, os.environ) == []


def test_readers_settle_a_run_once(run: Started) -> None:
    for who in run.pids():
        os.kill(who.pid, signal.SIGKILL)
    wait_for(lambda: not any(process.alive(who) for who in run.pids()), "the end of both")
    script = "import os, sys\nfrom snaprun.git import locate\nfrom snaprun.lifecycle import settle\n"
    script += "from pathlib import Path\n"
    script += "print(len(settle.settle(locate.find(Path(sys.argv[1]), os.environ), os.environ)))"
    readers = [
        subprocess.Popen([sys.executable, "-c", script, str(run.place.top)], stdout=subprocess.PIPE) for _ in range(4)
    ]
    said = [int(reader.communicate()[0]) for reader in readers]
    assert sum(said) <= 1
    if not sum(said):  # the last thread of the killed worker still held the lock
        running.settled(run)
    check(run, Status.LOST, 125, "killed")


def test_a_run_of_another_machine_is_not_judged(run: Started) -> None:
    for who in run.pids():
        os.kill(who.pid, signal.SIGKILL)
    wait_for(lambda: not any(process.alive(who) for who in run.pids()), "the end of both")
    path = run.live.path / SUPERVISOR_FILE
    about = files.read_json(path)
    files.write_json(path, {**about, "host": "elsewhere", "boot": "another"})
    assert supervision.host_of(run.live) == "elsewhere"
    assert settle.settle(run.place, os.environ) == []
    assert run.alive
    files.write_json(path, {**about, "boot": "another"})  # this machine, before it was restarted
    running.settled(run)
    assert run.end().reason == "the machine was restarted while it ran"
    for who in process.find_marked(run.id):
        os.kill(who.pid, signal.SIGKILL)


def test_suspended_is_not_lost(run: Started) -> None:
    everyone = [who.pid for who in run.pids()] + [run.kernel()]
    for pid in everyone:
        os.kill(pid, signal.SIGSTOP)
    assert settle.settle(run.place, os.environ) == []
    for pid in everyone:
        os.kill(pid, signal.SIGCONT)
    os.kill(run.pids()[0].pid, signal.SIGTERM)
    check(run, Status.STOPPED, 143, "TERM")


def test_a_suspended_worker_obeys_a_stop(run: Started) -> None:
    os.kill(run.pids()[1].pid, signal.SIGSTOP)
    os.kill(run.pids()[0].pid, signal.SIGINT)
    check(run, Status.STOPPED, 130, "INT")


STUBBORN = """
import signal, time
print('ready', flush=True)
signal.signal(signal.SIGINT, signal.SIG_IGN)
print('second', flush=True)
"""


@pytest.mark.parametrize("how", ["twice", "kill", "grace"])
def test_a_stubborn_cell_is_killed(repo: Sandbox, how: str) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", STUBBORN + WAIT), grace=0.3 if how == "grace" else 600)
    run.until_logged("second")
    supervisor = run.pids()[0].pid
    begin = time.monotonic()
    if how == "kill":
        write_stop_request(run.live.path, StopRequest(signal.SIGINT, kill=True))
    os.kill(supervisor, signal.SIGINT)
    if how == "twice":
        wait_for(lambda: (run.live.path / STOP_FILE).exists(), "the first to be heard")
        os.kill(supervisor, signal.SIGINT)
    check(run, Status.STOPPED, 130, "INT")
    assert time.monotonic() - begin < 60


def test_a_grace_given_with_the_stop_counts(repo: Sandbox) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", STUBBORN + WAIT), grace=600)
    run.until_logged("second")
    write_stop_request(run.live.path, StopRequest(signal.SIGTERM, grace=0.2))
    os.kill(run.pids()[0].pid, signal.SIGTERM)
    check(run, Status.STOPPED, 143, "TERM")


SAVING = """
import pathlib, time
print('ready')
print('second', flush=True)
try:
    time.sleep(600)
except KeyboardInterrupt:
    print('saving', flush=True)
    while not pathlib.Path('GO').exists(): time.sleep(0.01)
    print('saved', flush=True)
    raise
"""


@pytest.mark.parametrize("engine", ["kernel", "inline"])
def test_a_longer_grace_given_with_the_stop_counts(repo: Sandbox, engine: str) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", SAVING), grace=0.5, engine=engine)
    run.until_logged("second")
    asked = time.monotonic()
    assert stoprequest.request(run.live, grace=600.0)
    assert stoprequest.request(run.live)  # another wish takes nothing of it back
    run.until_logged("saving")
    wait_for(lambda: time.monotonic() > asked + 1.5 or not run.alive, "more than the usual grace")
    run.go()
    check(run, Status.STOPPED, 143, "TERM")
    assert "saved" in run.outputs()


@pytest.mark.parametrize("engine", ["kernel", "inline"])
@pytest.mark.parametrize("kill", [False, True], ids=["grace-0", "kill"])
def test_no_grace_is_none_at_all(repo: Sandbox, engine: str, kill: bool) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", SAVING), grace=600.0, engine=engine)
    run.until_logged("second")
    assert stoprequest.request(run.live, grace=None if kill else 0.0, kill=kill)
    result = check(run, Status.STOPPED, 143, "TERM")
    assert not [warning for warning in result.warnings if "by itself" in warning]
    assert "saving" not in run.outputs()


def test_a_second_stop_may_shorten_the_grace(repo: Sandbox) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", SAVING), grace=600.0)
    run.until_logged("second")
    assert stoprequest.request(run.live, grace=600.0)
    run.until_logged("saving")
    assert stoprequest.request(run.live, grace=0.0)
    check(run, Status.STOPPED, 143, "TERM")


@pytest.mark.parametrize("killed", [False, True], ids=["obeyed", "worker-killed"])
def test_a_stop_with_a_reason_says_it(run: Started, killed: bool) -> None:
    if killed:
        os.kill(run.pids()[1].pid, signal.SIGSTOP)
        write_stop_request(run.live.path, StopRequest(signal.SIGTERM, reason="given up"))
        os.kill(run.pids()[1].pid, signal.SIGKILL)
    else:
        assert stoprequest.request(run.live, reason="given up")
        stoprequest.request(run.live, reason="another reason")
    check(run, Status.STOPPED, 143, "given up")


@dataclass(frozen=True)
class Case:
    """A notebook that ends by itself."""

    cells: tuple[str, ...]
    status: Status
    code: int
    states: tuple[str, ...]
    reason: str = ""
    wanted: tuple[tuple[str, float], ...] = ()


SHOWN = "print('ready'); print('second', flush=True)"
CASES = {
    "success": Case((SHOWN, "1+1"), Status.SUCCEEDED, 0, ("ok", "ok")),
    "error": Case((SHOWN, "1/0", "3"), Status.FAILED, 1, ("ok", "failed", "not-run"), "ZeroDivisionError"),
    "exit": Case((SHOWN, "import sys\nsys.exit(0)", "3"), Status.SUCCEEDED, 0, ("ok", "ok", "skipped")),
    "exit-3": Case((SHOWN, "import sys\nsys.exit(3)", "3"), Status.FAILED, 3, ("ok", "failed", "not-run")),
    "timeout": Case((SHOWN, WAIT), Status.TIMED_OUT, 124, ("ok", "stopped"), "", (("timeout", 6.0),)),
    "cell-timeout": Case((SHOWN, WAIT), Status.TIMED_OUT, 124, ("ok", "stopped"), "", (("cell_timeout", 3.0),)),
    "segfault": Case((SHOWN, "import ctypes\nctypes.string_at(0)"), Status.FAILED, 137, ("ok", "failed"), "SEGV"),
    "own-kernel": Case(
        (SHOWN, "import os\nos.kill(os.getpid(), 9)"), Status.FAILED, 137, ("ok", "failed"), "KILL"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_run_ends_by_itself(repo: Sandbox, case: Case) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", *case.cells), **dict(case.wanted))
    result = check(run, case.status, case.code, case.reason)
    assert tuple(cell.state for cell in result.cells) == case.states


def _without_slot(run: Started) -> None:
    slot = Path(next(event["path"] for event in run.events() if event["e"] == "slot"))
    subprocess.run(["rm", "-rf", str(slot)], check=True)


def _without_live(run: Started) -> None:
    subprocess.run(["rm", "-rf", str(run.live.path)], check=True)


@pytest.mark.parametrize("delete", [_without_slot, _without_live], ids=["slot", "live"])
def test_a_folder_deleted_under_the_run(run: Started, delete: Callable[[Started], None]) -> None:
    supervisor = run.pids()[0].pid
    delete(run)
    os.kill(supervisor, signal.SIGTERM)
    wait_for(lambda: run.git_tip() != run.id, "the result commit")
    result = check(run, Status.STOPPED, 143, "TERM")
    assert any("checkout was deleted" in warning for warning in result.warnings) is (delete is _without_slot)


def test_a_run_deleted_and_killed_is_lost_and_not_running_for_ever(repo: Sandbox, run: Started) -> None:
    with index(running.context(repo)) as reader:
        assert selectors.find(reader, run.id).status is Status.RUNNING
    pids = run.pids()
    kernel = run.kernel()
    _without_live(run)
    with index(running.context(repo)) as reader:  # it still goes on
        assert selectors.find(reader, run.id).status is Status.RUNNING
    for pid in (pids[0].pid, pids[1].pid, kernel):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not any(process.alive(who) for who in pids), "the end of both")
    for who in process.find_marked(run.id):
        process.send(who, signal.SIGKILL)
    wait_for(lambda: not process.find_marked(run.id), "the end of the children")

    def looked() -> Run | None:
        with index(running.context(repo)) as reader:
            found = selectors.find(reader, run.id)
        return None if found.status is Status.RUNNING else found

    found = wait_for(looked, "somebody to notice")  # a killed process may hold its locks a moment longer
    assert (found.status, found.reason) == (Status.LOST, "its supervisor and its worker were killed")
    assert "second" in run.file("log.txt").decode()
    assert not list((run.place.state / "slots").glob("*.owner"))
    assert not run.place.live_backup.exists()


def test_a_run_of_which_nothing_was_kept_is_lost_too(repo: Sandbox, run: Started) -> None:
    running.listed(run)  # else only git knows of it, and nobody when it started
    pids = run.pids()
    for who in (*pids, *process.find_marked(run.id)):
        process.send(who, signal.SIGKILL)
    wait_for(lambda: not any(process.alive(who) for who in pids) and not process.find_marked(run.id), "the end of all")
    _without_live(run)
    subprocess.run(["rm", "-rf", str(run.place.live_backup)], check=True)
    with index(running.context(repo)) as reader:
        found = selectors.find(reader, run.id)
    assert (found.status, found.reason) == (Status.LOST, "its live folder was deleted")


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "not-kept"])
def test_a_run_whose_lock_is_deleted_is_left_alone(repo: Sandbox, kept: bool) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", WAITING, "print('off')"))
    run.until_logged("on")
    if not kept:  # as on a file system without links
        (livefolder.backup_folder(run.live) / "lock").unlink()
    run.live.lock.unlink()
    assert settle.settle(run.place, os.environ) == []
    assert repo.snaprun("ps", "-q").stdout.split() == [run.id]
    assert lock.take(run.live.path) is None
    run.go()
    assert run.end().status is Status.SUCCEEDED


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "not-kept"])
def test_a_dead_run_without_its_lock_is_settled(run: Started, kept: bool) -> None:
    pids = run.pids()
    for who in pids:
        process.send(who, signal.SIGSTOP)
    run.live.lock.unlink()
    if not kept:
        (livefolder.backup_folder(run.live) / "lock").unlink()
    for who in pids:
        process.send(who, signal.SIGKILL)
    wait_for(lambda: not any(process.alive(who) for who in pids), "the end of both")
    running.settled(run)
    check(run, Status.LOST, 125, "its supervisor and its worker were killed")


def test_a_deleted_ref_comes_back(repo: Sandbox) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", WAITING))
    run.until_logged("on")
    repo.git("update-ref", "-d", f"refs/snaprun/runs/{run.id}")
    run.go()
    assert run.end().status is Status.SUCCEEDED
    assert run.git_tip() != run.id


def test_a_record_that_cannot_be_made_is_told_and_tried_again(repo: Sandbox) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", WAITING))
    run.until_logged("on")
    head = repo.git("rev-parse", "HEAD").strip()
    repo.git("update-ref", f"refs/snaprun/runs/{run.id}", head)
    pids = run.pids()
    run.go()
    wait_for(lambda: not any(process.alive(who) for who in pids), "the end of both")
    listed = running.listed(run)
    assert (listed.status, listed.exit_code) == (Status.SUCCEEDED, 0)
    assert "its record cannot be made yet" in (listed.reason or "")
    assert settle.settle(run.place, os.environ) == []
    repo.git("update-ref", f"refs/snaprun/runs/{run.id}", run.id)
    assert settle.settle(run.place, os.environ) == [run.id]
    assert run.end().status is Status.SUCCEEDED
    assert running.listed(run).reason is None


def test_a_notify_command_is_told(repo: Sandbox, tmp_path: Path) -> None:
    told = tmp_path / "told"
    command = f'echo "$SNAPRUN_RUN $SNAPRUN_STATUS $SNAPRUN_EXIT_CODE" >> {told}'
    book = repo.notebook("a.ipynb", "print('on', flush=True)\n" + WAIT)
    runs = [running.start(repo, book, notify_command=command) for _ in range(2)]
    for run in runs:
        run.until_logged("on")
    os.kill(runs[0].pids()[0].pid, signal.SIGTERM)
    os.kill(runs[1].pids()[1].pid, signal.SIGKILL)
    wait_for(lambda: told.exists() and len(told.read_text().splitlines()) == 2, "both to be told")
    assert sorted(told.read_text().splitlines()) == sorted([f"{runs[0].id} stopped 143", f"{runs[1].id} lost 125"])


def test_an_abandoned_supervisor_vanishes(repo: Sandbox) -> None:
    from snaprun.launchers import local

    handle = local.start(os.environ)
    group = handle.child.pid
    handle.abandon()

    def of_session() -> list[int]:
        return [line.pid for line in process.read_table().values() if _session(line.pid) == group]

    wait_for(lambda: not of_session(), "the supervisor and its worker to go")


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def test_a_run_has_one_supervisor(run: Started) -> None:
    from snaprun.errors import Busy
    from snaprun.launchers import local

    handle = local.start(os.environ)
    assert lock.take(run.live.path) is None
    with pytest.raises(Busy):
        handle.launch(run.live.path)
    os.kill(run.pids()[0].pid, signal.SIGTERM)
    check(run, Status.STOPPED, 143, "TERM")
