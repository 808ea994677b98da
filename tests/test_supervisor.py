"""The supervisor: started early, told late, stubborn afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from snaprun.launchers import local
from snaprun.lifecycle import settle
from snaprun.machine import process
from snaprun.statuses import Status
from tests import running
from tests.sandbox import Sandbox, wait_for

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_a_run_outlives_its_command_and_its_terminal(repo: Sandbox) -> None:
    """The command's whole session is killed as a closing terminal kills it, and the run goes on."""
    book = repo.notebook("a.ipynb", "import pathlib, time\nprint('on', flush=True)",
                         "while not pathlib.Path('GO').exists(): time.sleep(0.01)\nprint('done')")  # fmt: skip
    script = f"""
import os, sys
from pathlib import Path
from tests import running
from tests.sandbox import Sandbox
box = Sandbox.__new__(Sandbox); box.path = Path({str(repo.path)!r})
run = running.start(box, Path({str(book)!r}))
print(run.id, flush=True)
sys.stdin.read()
"""
    command = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert command.stdout is not None
    run_id = command.stdout.readline().decode().strip()
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(command.pid, number)
        except ProcessLookupError:
            break
    command.communicate()
    run = running.found(repo, run_id)
    run.until_logged("on")
    slot = next(event["path"] for event in run.events() if event["e"] == "slot")
    Path(slot, "GO").touch()
    assert run.end().status is Status.SUCCEEDED


def test_signals_that_the_caller_ignores_are_heard(repo: Sandbox) -> None:
    """A shell starts background jobs with INT ignored; a stop must work all the same."""
    book = repo.notebook("a.ipynb", "import time\nprint('on', flush=True)\ntime.sleep(600)")
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run = running.start(repo, book)
    finally:
        signal.signal(signal.SIGINT, before)
    run.until_logged("on")
    os.kill(run.pids()[0].pid, signal.SIGINT)
    assert run.end().exit_code == 130


def test_the_supervisor_is_small(repo: Sandbox) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", "import time\nprint('on', flush=True)\ntime.sleep(600)"))
    run.until_logged("on")
    supervisor = run.pids()[0]
    status = Path(f"/proc/{supervisor.pid}/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    assert peak * 1024 < 30_000_000
    os.kill(supervisor.pid, signal.SIGTERM)
    run.end()


def test_git_variables_of_a_hook_do_not_reach_the_run(repo: Sandbox) -> None:
    cell = "import os\nprint(sorted(name for name in os.environ if name.startswith(('GIT_', 'SNAPRUN_'))))"
    env = {"GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere/index", "GIT_CONFIG_COUNT": "0", "SNAPRUN_RUN_ID": "x"}
    run = running.start(repo, repo.notebook("a.ipynb", cell), env=env)
    assert run.end().status is Status.SUCCEEDED
    shown = run.outputs()
    assert not {"GIT_DIR", "GIT_INDEX_FILE", "GIT_CONFIG_COUNT", "GIT_PYTHON_REFRESH"} & set(shown.split("'"))
    for name in ("SNAPRUN_RUN_ID", "SNAPRUN_METRICS_FILE", "SNAPRUN_CHECKPOINT_DIR", "SNAPRUN_PARAMS_FILE"):
        assert name in shown


def test_a_run_started_by_a_run_goes_its_own_way(repo: Sandbox) -> None:
    inner = repo.notebook("inner.ipynb", "import time\nprint('inner', flush=True)\ntime.sleep(600)")
    cell = f"""
import os, sys
sys.path[:0] = {[str(Path(__file__).parent.parent)]!r}
from pathlib import Path
from tests import running
from tests.sandbox import Sandbox
box = Sandbox.__new__(Sandbox); box.path = Path({str(repo.path)!r})
print(running.start(box, Path({str(inner)!r})).id)
"""
    outer = running.start(repo, repo.notebook("outer.ipynb", cell))
    assert outer.end().status is Status.SUCCEEDED, outer.outputs()
    run = running.found(repo, outer.outputs().strip())
    run.until_logged("inner")
    os.kill(run.pids()[0].pid, signal.SIGTERM)
    assert run.end().status is Status.STOPPED


@pytest.mark.parametrize("victim", ["supervisor", "worker"])
def test_a_start_that_fails_says_so(repo: Sandbox, victim: str) -> None:
    """Whoever dies before the order is taken: the command is told, or the record tells."""
    run_or_error: object
    handle = local.start(os.environ)
    me = process.identify()
    assert me is not None

    def children() -> list[process.Identity]:
        found = [
            line for line in process.read_table().values() if not line.dead and _in_session(line.pid, handle.child.pid)
        ]
        return [process.Identity(me.boot, line.pid, line.start) for line in sorted(found, key=lambda one: one.pid)]

    wait_for(lambda: handle.child.poll() is not None and len(children()) == 2, "supervisor and worker")
    supervisor, worker = children()
    process.send(supervisor if victim == "supervisor" else worker, signal.SIGKILL)
    wait_for(lambda: not process.alive(supervisor if victim == "supervisor" else worker), "the death")
    try:
        run_or_error = running.start(repo, repo.notebook("a.ipynb", "1"), handle=handle)
    except local.RunFault as error:
        run_or_error = error
    assert isinstance(run_or_error, local.RunFault)
    wait_for(lambda: not children(), "nobody to be left")


def _in_session(pid: int, session: int) -> bool:
    try:
        return os.getsid(pid) == session
    except ProcessLookupError:
        return False


def test_settling_is_cheap_when_nothing_is_live(repo: Sandbox) -> None:
    code = "import sys, os\nfrom pathlib import Path\nfrom snaprun.git import locate\n"
    code += "from snaprun.lifecycle import settle\n"
    code += f"print(settle.settle(locate.find(Path({str(repo.path)!r}), os.environ), os.environ))\n"
    code += "heavy = {'sqlalchemy', 'git', 'jupytext', 'nbformat', 'IPython', 'zmq'} & set(sys.modules)\nprint(heavy)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "[]\nset()\n"
    assert settle.settle(running.place(repo), os.environ) == []
