"""A launch that is broken off when a supervisor has the run already: the run stays, and starts once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snaprun.api.run import RunOptions, resume, start
from snaprun.errors import RunFault
from snaprun.index.claims import QueueEntry
from snaprun.launchers import handover, local
from snaprun.launchers.local import Handle
from snaprun.live import livefolder
from snaprun.live.livefolder import Live
from snaprun.live.order import Order, read_order
from snaprun.model import Snapshot
from snaprun.queue import access, dispatcher
from snaprun.queue.dispatcher import Dispatcher
from snaprun.remote import farstart
from snaprun.statuses import Status
from tests import running
from tests.running import Started
from tests.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("nothing_left")

COUNTED = "import os\nwith open(os.environ['STARTS'], 'a') as file: file.write('x')\n"
"""A cell that leaves word of each start of the run."""


class InterruptedHandle(Handle):
    """A supervisor that takes its run, and whose launch is interrupted by Ctrl-C just then."""

    def launch(self, path: Path, *, lock_descriptor: int | None = None) -> None:
        super().launch(path, lock_descriptor=lock_descriptor)
        raise KeyboardInterrupt


@pytest.fixture
def starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a :data:`COUNTED` cell writes to."""
    path = tmp_path / "starts"
    monkeypatch.setenv("STARTS", str(path))
    return path


@pytest.fixture
def is_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No supervisor answers in time."""
    monkeypatch.setattr(local, "PATIENCE", 0.0)


@pytest.fixture
def is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes when the supervisor has taken the run."""
    monkeypatch.setattr(local, "Handle", InterruptedHandle)


BREAKS = pytest.mark.parametrize(
    ("break_", "error"), [("is_impatient", RunFault), ("is_interrupted", KeyboardInterrupt)]
)


def only_run(repo: Sandbox) -> Started:
    """The run of a repository that has one."""
    (ref,) = repo.git("for-each-ref", "--format=%(refname)", "refs/snaprun/runs").split()
    return running.found(repo, ref.rpartition("/")[2])


def take_back(run: Started) -> tuple[Order, Snapshot]:
    """Remove the live folder of a run that nobody has launched; what it takes to make it again."""
    order = read_order(run.live.path)
    snapshot = Snapshot(run.id, "", run.live.spec(), run.live.params())
    livefolder.remove(run.live)
    return order, snapshot


@BREAKS
def test_a_new_run_is_stopped(
    repo: Sandbox, request: pytest.FixtureRequest, break_: str, error: type[BaseException]
) -> None:
    repo.notebook("a.ipynb", "import time\ntime.sleep(600)")
    request.getfixturevalue(break_)
    with pytest.raises(error):
        start(running.context(repo), RunOptions("a.ipynb"))
    end = only_run(repo).end()
    assert (end.status, end.exit_code) == (Status.STOPPED, 130)


@BREAKS
def test_a_further_attempt_is_stopped(
    repo: Sandbox, request: pytest.FixtureRequest, break_: str, error: type[BaseException]
) -> None:
    repo.notebook("a.ipynb", "import os, time\nassert 'AGAIN' in os.environ\ntime.sleep(600)")
    assert repo.snaprun("exec", "a.ipynb").returncode == 1
    run = only_run(repo)
    first_tip = run.git_tip()
    request.getfixturevalue(break_)
    with pytest.raises(error):
        resume(running.context(repo, AGAIN="1"), run.id)
    end = run.end()
    assert (end.status, end.exit_code) == (Status.STOPPED, 130)
    assert run.git_tip() not in (None, first_tip)


@BREAKS
def test_a_run_from_another_machine_stays_claimed(
    repo: Sandbox, starts: Path, request: pytest.FixtureRequest, break_: str, error: type[BaseException]
) -> None:
    run = running.frozen(repo, repo.notebook("a.ipynb", COUNTED))
    order, _ = take_back(run)
    run.repo.delete_ref(f"refs/snaprun/runs/{run.id}", run.id)
    question = {"path": str(repo.path), "run": run.id, "order": order.to_json()}
    request.getfixturevalue(break_)
    if error is RunFault:
        assert farstart.start(question) == ({"claimed": True}, [])
    else:
        with pytest.raises(error):
            farstart.start(question)
    assert farstart.start(question) == ({"claimed": False}, [])
    assert run.end().status is Status.SUCCEEDED
    assert starts.read_text() == "x"


@BREAKS
def test_a_queued_run_starts_once(
    repo: Sandbox, starts: Path, request: pytest.FixtureRequest, break_: str, error: type[BaseException]
) -> None:
    run = running.frozen(repo, repo.notebook("a.ipynb", COUNTED))
    order, snapshot = take_back(run)
    here = running.context(repo)
    access.enqueue(here, [QueueEntry(snapshot, order)])
    index = access.open_queue(here)
    request.getfixturevalue(break_)
    served = Dispatcher(run.place, index, dispatcher.open_bell(run.place))
    if error is RunFault:
        served.serve()
    else:
        with pytest.raises(error):
            served.serve()
        Dispatcher(run.place, index, dispatcher.open_bell(run.place)).serve()  # whoever comes after a kill
    assert run.end().status is Status.SUCCEEDED
    assert starts.read_text() == "x"


def test_a_refused_run_is_nobody_s(repo: Sandbox) -> None:
    run = running.frozen(repo, repo.notebook("a.ipynb", "1"))
    _, snapshot = take_back(run)
    handle = local.start(os.environ)

    def create() -> Live:
        return livefolder.create(run.place, snapshot, {"run": "without a place"})

    with pytest.raises(RunFault, match="the supervisor did not start"):
        handover.launch_new(handle, create, lambda folder: handle.launch(folder.path))
    assert not run.alive
