"""The fork server: runs that start without importing anything, and are supervised as any other."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from snaprun.errors import Unavailable
from snaprun.launchers import local
from snaprun.machine import process
from snaprun.statuses import Status
from tests import running
from tests.sandbox import Sandbox, wait_for

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fork servers are for Linux")

HOLD = "import time\nprint('on', flush=True)\ntime.sleep(600)"


@pytest.fixture
def server() -> Iterator[local.ForkServer]:
    made = local.ForkServer({**os.environ, "COLOUR": "blue"}, engine="inline")
    yield made
    made.close()


def servers() -> list[int]:
    """The fork servers that this test process has started: what they started is nobody's child."""
    return [
        line.pid
        for line in process.read_table().values()
        if line.parent == os.getpid() and b"snaprun.lifecycle.forkserver" in _command(line.pid)
    ]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_runs_are_forked_and_supervised_as_any_other(repo: Sandbox, server: local.ForkServer) -> None:
    code = "import os\nprint(os.environ['COLOUR'], sorted(n for n in os.environ if n.startswith('SNAPRUN_SUPER')))"
    one, other = (running.start(repo, repo.notebook(f"{at}.ipynb", code), handle=server.start()) for at in "ab")
    for run in (one, other):
        assert run.end().status is Status.SUCCEEDED
        assert run.outputs() == "blue []\n"


def test_nobody_has_to_reap_what_it_starts(repo: Sandbox, server: local.ForkServer) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", HOLD), handle=server.start())
    run.until_logged("on")
    supervisor, worker = run.pids()
    lines = process.read_table()
    assert lines[worker.pid].parent == supervisor.pid
    assert lines[supervisor.pid].parent not in (os.getpid(), *servers())
    assert os.getsid(supervisor.pid) not in (os.getsid(0), *map(os.getsid, servers()))
    os.kill(supervisor.pid, signal.SIGTERM)
    assert run.end().exit_code == 143
    wait_for(lambda: not process.alive(supervisor) and not process.alive(worker), "their end")


@pytest.mark.parametrize("victim", ["supervisor", "worker"])
def test_a_run_whose_process_is_killed_is_recorded(repo: Sandbox, server: local.ForkServer, victim: str) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", HOLD), handle=server.start())
    run.until_logged("on")
    supervisor, worker = run.pids()
    os.kill(worker.pid if victim == "worker" else supervisor.pid, signal.SIGKILL)
    if victim == "supervisor":  # the worker goes on alone
        wait_for(lambda: not process.alive(supervisor), "its end")
        os.kill(worker.pid, signal.SIGTERM)
    assert run.end().status is (Status.LOST if victim == "worker" else Status.STOPPED)


def test_a_run_outlives_the_server(repo: Sandbox, server: local.ForkServer) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", HOLD), handle=server.start())
    run.until_logged("on")
    server.close()
    supervisor, worker = run.pids()
    assert process.alive(supervisor)
    assert process.alive(worker)
    os.kill(supervisor.pid, signal.SIGTERM)
    assert run.end().exit_code == 143


def test_without_an_order_both_vanish(server: local.ForkServer) -> None:
    server.start().abandon()
    wait_for(lambda: len(running.leftovers(Path(os.environ["HOME"]))) == 1, "nobody to be left but the server")


def test_a_server_that_is_killed_is_told(server: local.ForkServer) -> None:
    waiting = server.start()  # a supervisor that it has started does not hide its end
    (pid,) = servers()
    started = wait_for(lambda: found if len(found := _started(pid)) == 2 else None, "supervisor and worker")
    requests = _sockets(pid)
    assert requests
    for other in started:
        assert not requests & _sockets(other)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Unavailable, match="does not answer"):
        server.start()
    waiting.abandon()


def _started(server: int) -> list[int]:
    """What a server of this test has forked."""
    home = f"HOME={os.environ['HOME']}".encode()
    return [
        pid
        for pid in process.read_table()
        if pid != server and _command(pid) == _command(server) and home in process.read_environment(pid)
    ]


def _sockets(pid: int) -> set[str]:
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(path))
    return {name for name in found if name.startswith("socket:")}


@pytest.mark.parametrize("engine", ["inline", "kernel", "script"])
def test_it_has_one_thread_when_it_forks(engine: str) -> None:
    """A fork takes one thread along, and whatever lock another one held is then held for ever."""
    server = local.ForkServer(os.environ, engine=engine)
    try:
        server.start().abandon()
        (pid,) = servers()
        assert len(os.listdir(f"/proc/{pid}/task")) == 1
    finally:
        server.close()
