"""The queue at work: real runs, one after the other, whoever is killed in between."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from snaprun.api import queue, sweep
from snaprun.api.sweep import SweepOptions
from snaprun.context import Context, open_context
from snaprun.live import bell, livefolder, supervision
from snaprun.machine import process
from snaprun.model import Run
from snaprun.reader import index
from snaprun.runplan import RunOptions
from snaprun.statuses import Status
from tests.queues import dispatchers, runs
from tests.running import context
from tests.sandbox import Sandbox, wait_for

HELD = """
import os, pathlib, time
folder = pathlib.Path(os.environ["GATES"])
(folder / f"at-{x}").touch()
while not (folder / f"go-{x}").exists() and not (folder / "go").exists():
    time.sleep(0.01)
"""


THIRD_TIME = """
import os, pathlib
folder = pathlib.Path(os.environ["SNAPRUN_CHECKPOINT_DIR"])
(folder / f"try-{len(os.listdir(folder))}").touch()
assert len(os.listdir(folder)) > 2
"""


class Gates:
    """Lets the runs of a notebook go on, one by one or all."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder

    def at(self, number: int) -> bool:
        return (self.folder / f"at-{number}").exists()

    def open(self, number: int | None = None) -> None:
        (self.folder / ("go" if number is None else f"go-{number}")).touch()


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    return Gates(tmp_path / "gates")


@pytest.fixture
def box(repo: Sandbox) -> Sandbox:
    repo.notebook("nb.ipynb", "print(x)", parameters="x = 0\nseed = 0")
    repo.notebook("held.ipynb", HELD, parameters="x = 0")
    repo.notebook("bad.ipynb", THIRD_TIME)
    repo.commit()
    return repo


def start(here: Context, notebook: str, *axes: str, jobs: int = 2, **asked: object) -> str:
    wanted = RunOptions(notebook=Path(notebook), engine="inline")
    planned = sweep.plan(here, wanted, SweepOptions(axes=axes, jobs=jobs, **asked))  # type: ignore[arg-type]
    sweep.start(here, planned)
    return planned.group


def until_idle(here: Context) -> None:
    wait_for(
        lambda: bell.read_mark(here.place) is None and not livefolder.scan(here.place),
        f"the queue to be done: {said(here)}",
    )


def said(here: Context) -> str:
    path = here.place.queue / bell.LOG_NAME
    return path.read_text() if path.exists() else ""


def forkserver(dispatcher: int) -> int | None:
    """The fork server of a dispatcher."""
    return next(
        (line.pid for line in process.read_table().values() if line.parent == dispatcher and _forks(line.pid)), None
    )


def _forks(pid: int) -> bool:
    try:
        return b"snaprun.lifecycle.forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def together(found: list[Run]) -> int:
    """The largest number of runs that were at work at one time."""
    moments = [(run.started or "", 1) for run in found] + [(run.ended or "", -1) for run in found]
    most = now = 0
    for _, step in sorted(moments):
        now += step
        most = max(most, now)
    return most


def test_a_sweep_runs_in_order_and_goes(box: Sandbox) -> None:
    here = context(box)
    with box.untouched():
        group = start(here, "nb.ipynb", "x=1..4", seeds="2", jobs=1)
        until_idle(here)
    found = runs(here, group=group)
    assert [(run.params["x"], run.seed, run.status.value) for run in found] == [
        (x, seed, "succeeded") for x in (1, 2, 3, 4) for seed in (0, 1)
    ]
    assert [run.started for run in found] == sorted(run.started or "" for run in found)
    assert together(found) == 1
    assert len({run.commit for run in found}) == 8
    wait_for(lambda: not dispatchers(here), "the dispatcher to go")
    assert sorted(path.name for path in here.place.queue.iterdir()) == ["bell", "dispatch.log", "lock", "starting"]
    assert said(here) == ""


def test_several_commands_at_once_share_one_cap(box: Sandbox, gates: Gates) -> None:
    here = context(box, GATES=str(gates.folder))
    queue.limit(here, 2)
    for number in (1, 2, 3, 4):
        queue.add(here, RunOptions(notebook=Path("held.ipynb"), params=[f"x={number}"], engine="inline"))
    wait_for(lambda: gates.at(1) and gates.at(2), "two runs at work")
    assert (gates.at(3), gates.at(4)) == (False, False)
    gates.open(2)
    wait_for(lambda: gates.at(3), "the third")
    assert not gates.at(4)
    assert len(dispatchers(here)) == 1
    gates.open()
    until_idle(here)
    assert [run.status.value for run in runs(here)] == ["succeeded"] * 4


def test_a_killed_dispatcher_is_replaced(box: Sandbox, gates: Gates) -> None:
    here = context(box, GATES=str(gates.folder))
    start(here, "held.ipynb", "x=1..3", jobs=1)
    wait_for(lambda: gates.at(1), "the first run")
    (pid,) = dispatchers(here)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not dispatchers(here), "its end")
    assert livefolder.find(here.place, runs(here)[0].id) is not None  # the run itself goes on
    gates.open()  # and its end starts another dispatcher
    until_idle(here)
    assert [run.status.value for run in runs(here)] == ["succeeded"] * 3


def test_runs_that_wait_are_forked_by_a_server_that_may_be_killed(box: Sandbox, gates: Gates) -> None:
    here = context(box, GATES=str(gates.folder))
    start(here, "held.ipynb", "x=1..4", jobs=1)
    wait_for(lambda: gates.at(1), "the first run")
    (pid,) = dispatchers(here)
    server = forkserver(pid)
    assert server is not None
    os.kill(server, signal.SIGKILL)
    gates.open(1)
    gates.open(2)
    wait_for(lambda: gates.at(3), "the third run, by another server")
    assert forkserver(pid) not in (None, server)
    gates.open(3)
    wait_for(lambda: gates.at(4), "the last run")
    wait_for(lambda: forkserver(pid) is None, "the end of a server that nobody needs")
    gates.open()
    until_idle(here)
    assert [run.status.value for run in runs(here)] == ["succeeded"] * 4


def test_a_killed_dispatcher_leaves_no_server(box: Sandbox, gates: Gates) -> None:
    here = context(box, GATES=str(gates.folder))
    start(here, "held.ipynb", "x=1..3", jobs=1)
    wait_for(lambda: gates.at(1), "the first run")
    (pid,) = dispatchers(here)
    server = process.identify(forkserver(pid))
    assert server is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not process.alive(server), "the end of its server")
    gates.open()
    until_idle(here)


def test_settings_that_are_half_written_do_not_stop_the_queue(box: Sandbox, gates: Gates) -> None:
    here = context(box, GATES=str(gates.folder))
    start(here, "held.ipynb", "x=1..2", jobs=1)
    wait_for(lambda: gates.at(1), "the first run")
    box.write("snaprun.toml", "[jobs = ")
    gates.open(1)
    wait_for(lambda: gates.at(2), "the second run, with nobody's help")
    gates.open()
    until_idle(here)
    assert [run.status.value for run in runs(here)] == ["succeeded"] * 2
    assert "snaprun.toml is malformed" in said(here)


def test_many_who_look_at_once_start_one_dispatcher(box: Sandbox, gates: Gates) -> None:
    here = context(box, GATES=str(gates.folder))
    start(here, "held.ipynb", "x=1..2", jobs=1)
    wait_for(lambda: gates.at(1), "the first run")
    (pid,) = dispatchers(here)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not dispatchers(here), "its end")
    most = 0
    for _ in range(40):  # before one of them listens
        assert bell.wake(here.place, here.env)
        most = max(most, len(dispatchers(here)))
    assert most == 1
    gates.open()
    until_idle(here)
    assert [run.status.value for run in runs(here)] == ["succeeded"] * 2


def test_a_killed_run_is_settled_and_the_queue_goes_on(box: Sandbox, gates: Gates) -> None:
    here = context(box, GATES=str(gates.folder))
    start(here, "held.ipynb", "x=1..2", jobs=1)
    wait_for(lambda: gates.at(1), "the first run")
    folder = livefolder.scan(here.place)[0]
    pair = wait_for(lambda: supervision.read_identities(folder), "its supervisor")
    for who in pair:
        process.send(who, signal.SIGKILL)
    wait_for(lambda: gates.at(2), "the second run")
    gates.open()
    until_idle(here)
    assert [(run.status.value, run.exit_code) for run in runs(here)] == [("lost", 125), ("succeeded", 0)]


def test_everything_killed_at_once(box: Sandbox, gates: Gates) -> None:
    here = context(box, GATES=str(gates.folder))
    start(here, "held.ipynb", "x=1..2", jobs=1, retries=1)
    wait_for(lambda: gates.at(1), "the first run")
    (pid,) = dispatchers(here)
    pair = wait_for(lambda: supervision.read_identities(livefolder.scan(here.place)[0]), "its supervisor")
    os.kill(pid, signal.SIGKILL)
    for who in pair:
        process.send(who, signal.SIGKILL)
    (gates.folder / "at-1").unlink()
    wait_for(lambda: not dispatchers(here) and not any(process.alive(who) for who in pair), "their end")
    wait_for(lambda: not bell.ring(here.place), "the bell to have nobody")  # it closes after the command line is gone
    with index(here):  # any command that looks
        pass
    wait_for(lambda: gates.at(1), "the second attempt")
    gates.open()
    until_idle(here)
    assert [(run.status.value, run.attempts) for run in runs(here)] == [("succeeded", 2), ("succeeded", 1)]


def test_a_worker_gets_the_document_ready_made(box: Sandbox, gates: Gates) -> None:
    here = context(box, GATES=str(gates.folder))
    start(here, "held.ipynb", "x=7,8", jobs=1)
    wait_for(lambda: gates.at(7), "the run")
    document = json.loads(
        livefolder.scan(here.place)[0].notebook.read_text()
    )  # jupytext is loaded once, by the dispatcher
    assert [cell["source"] for cell in document["cells"]][:2] == ["x = 0", "# Parameters\nx = 7"]
    gates.open()
    until_idle(here)


@pytest.mark.parametrize("how", ["git worktree remove", "rm -rf"])
def test_a_work_tree_that_is_removed_loses_no_run(box: Sandbox, gates: Gates, tmp_path: Path, how: str) -> None:
    main, linked = context(box), tmp_path / "linked"
    box.git("worktree", "add", "-q", str(linked))
    group = start(open_context(linked, {**os.environ, "GATES": str(gates.folder)}), "held.ipynb", "x=1..3", jobs=1)
    wait_for(lambda: gates.at(1), "the first run")
    if how == "rm -rf":
        shutil.rmtree(linked)
    else:
        box.git("worktree", "remove", "--force", str(linked))
    with box.untouched():
        gates.open()
        until_idle(main)
    first, second, third = runs(main, group=group)
    assert (first.status, first.exit_code, first.metrics) == (Status.SUCCEEDED, 0, {})
    assert box.git("show", f"{first.commit}:held.ipynb") == box.git("show", "HEAD:held.ipynb")
    assert [(run.status, run.exit_code) for run in (second, third)] == [(Status.FAILED, 125)] * 2
    assert "the work tree that it was started in has been removed" in (second.reason or "")
    assert sweep.read_progress(main, group).over


def test_retries_keep_what_the_run_had_saved(box: Sandbox) -> None:
    here = context(box)
    made = queue.add(here, RunOptions(notebook=Path("bad.ipynb"), engine="inline"), retries=5)
    until_idle(here)
    (found,) = runs(here)
    assert (found.status.value, found.attempts) == ("succeeded", 3)
    # by the graph: every attempt has the snapshot as a parent, and commits of one second have no order in time
    subjects = box.git("log", "--topo-order", "--format=%s", f"refs/snaprun/runs/{made.id}").splitlines()[:4]
    assert subjects == ["snaprun: succeeded bad.ipynb", *["snaprun: failed bad.ipynb"] * 2, "snaprun: bad.ipynb"]


def test_a_run_dropped_between_two_attempts_is_what_the_last_one_made_of_it(box: Sandbox, gates: Gates) -> None:
    box.notebook("fails.ipynb", HELD + "1/0", parameters="x = 0")
    here = context(box, GATES=str(gates.folder))
    made = queue.add(here, RunOptions(notebook=Path("fails.ipynb"), engine="inline"), retries=5)
    wait_for(lambda: gates.at(0), "the first attempt")
    queue.pause(here)
    gates.open()
    wait_for(lambda: runs(here)[0].status is Status.QUEUED, "its end")
    (between,) = runs(here)
    assert (between.attempts, between.exit_code, between.reason) == (2, None, "attempt 1: failed")
    queue.drop(here, [made.id])
    (found,) = runs(here)
    assert (found.status, found.attempts, found.exit_code) == (Status.FAILED, 1, 1)
    queue.resume(here)
    until_idle(here)
    assert runs(here) == [found]


def test_what_follows_a_failure_is_recorded_as_not_started(box: Sandbox) -> None:
    here = context(box)
    queue.pause(here)
    first = queue.add(here, RunOptions(notebook=Path("bad.ipynb"), engine="inline"))
    second = queue.add(here, RunOptions(notebook=Path("nb.ipynb"), engine="inline"), after=first.id)
    queue.add(here, RunOptions(notebook=Path("nb.ipynb"), engine="inline", params=["x=2"]))
    queue.resume(here)
    until_idle(here)
    found = runs(here)
    assert [run.status.value for run in found] == ["failed", "stopped", "succeeded"]
    assert found[1].reason == f"not started: run {first.id[:8]}, which it was to follow, has failed"
    assert box.git("log", "-1", "--format=%s", f"refs/snaprun/runs/{second.id}") == "snaprun: stopped nb.ipynb\n"


def test_runs_get_the_environment_of_who_queued_them(box: Sandbox) -> None:
    box.notebook("env.ipynb", "import os\nprint(os.environ['WHO'])")
    one, other = context(box, WHO="ada"), context(box, WHO="bob")
    for here in (one, other, one):
        queue.add(here, RunOptions(notebook=Path("env.ipynb"), engine="inline"))
    until_idle(one)
    logs = [box.git("show", f"{run.commit}:.snaprun/log.txt") for run in runs(one)]
    assert logs == ["ada\n", "bob\n", "ada\n"]


def test_a_run_that_is_gone_leaves_the_queue(box: Sandbox) -> None:
    here = context(box)
    queue.pause(here)
    made = queue.add(here, RunOptions(notebook=Path("nb.ipynb"), engine="inline"))
    queue.add(here, RunOptions(notebook=Path("nb.ipynb"), engine="inline"))
    box.git("update-ref", "-d", f"refs/snaprun/runs/{made.id}")
    queue.resume(here)
    until_idle(here)
    assert [run.status for run in runs(here)][1] is Status.SUCCEEDED
    assert "leaves the queue" in said(here)


def test_a_full_queue_costs_a_look_nothing(box: Sandbox) -> None:
    here = context(box)
    queue.pause(here)
    queue.add(here, RunOptions(notebook=Path("nb.ipynb"), engine="inline"))
    wait_for(lambda: bell.read_mark(here.place) is None, "the dispatcher to rest")
    wait_for(lambda: not dispatchers(here), "the dispatcher to go")
    assert not bell.wake(here.place, here.env)
    assert not dispatchers(here)
