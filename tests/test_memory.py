"""What somebody deletes under a run comes back, and nobody who watches it notices."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from snaprun.index import selectors
from snaprun.live import livefolder
from snaprun.live.names import RESERVE_FILE
from snaprun.reader import index
from snaprun.statuses import Status
from tests import running
from tests.running import WAITING
from tests.sandbox import Sandbox, wait_for

pytestmark = pytest.mark.usefixtures("nothing_left")

BLOB = "from IPython.display import HTML\nHTML('x' * 2_000_000)"
WAIT_HERE = """
print('on', flush=True)
snaprun.log(loss=1)
while not pathlib.Path(home, f"go-{os.environ['SNAPRUN_RUN_ID']}").exists(): time.sleep(0.01)
print('off')
"""


def test_a_live_folder_that_is_deleted_comes_back_as_it_was(repo: Sandbox) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", BLOB, WAITING, "print('off')"))
    run.until_logged("on\n")
    command = [sys.executable, "-m", "snaprun"]
    viewer = subprocess.Popen([*command, "attach"], cwd=repo.path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    waiter = subprocess.Popen([*command, "wait", run.id, "-q"], cwd=repo.path)
    assert viewer.stdout is not None
    assert viewer.stdout.readline() == b"on\n"
    before = {path.name for path in run.live.path.iterdir()}
    wait_for(lambda: list(livefolder.backup_folder(run.live).glob("blobs/*")), "the second name of the large output")
    subprocess.run(["rm", "-rf", str(run.live.path)], check=True)
    wait_for(run.live.path.is_dir, "the folder")
    assert before - {path.name for path in run.live.path.iterdir()} <= {RESERVE_FILE}
    assert repo.snaprun("logs").stdout == "on\n"
    assert waiter.poll() is None
    run.go()
    assert viewer.communicate()[0] == b"off\n"
    assert (viewer.returncode, waiter.wait()) == (0, 0)
    assert run.end().status is Status.SUCCEEDED
    assert run.file("log.txt") == b"on\noff\n"
    assert b"x" * 1000 in run.file("executed.ipynb")
    assert json.loads(run.file("environment.json"))["packages"]


def test_the_whole_state_folder_deleted_under_runs(repo: Sandbox) -> None:
    """All that snaprun keeps: what is in progress goes on, and a run that starts now is not mixed up with it."""
    book = repo.notebook("a.ipynb", BLOB, "import pathlib, time, os, snaprun\nhome = os.environ['GATE']", WAIT_HERE)
    env = {"GATE": str(repo.path.parent)}
    one = running.start(repo, book, env=env)
    one.until_logged("on\n")
    wait_for(lambda: list(livefolder.backup_folder(one.live).glob("blobs/*")), "the second name of the large output")
    subprocess.run(["rm", "-rf", str(one.place.state)], check=True)
    wait_for(one.live.path.is_dir, "its live folder")
    repo.write(".gitignore", "data\n")
    repo.write("data", "1")
    other = running.start(repo, book, env=env)
    other.until_logged("on\n")
    slots = [event["path"] for run in (one, other) for event in run.events() if event["e"] == "slot"]
    assert slots[0] == slots[1]
    with index(running.context(repo)) as reader:
        assert [selectors.find(reader, run.id).status for run in (one, other)] == [Status.RUNNING] * 2
    Path(repo.path.parent, f"go-{one.id}").touch()
    result = one.end()
    assert result.status is Status.SUCCEEDED
    assert result.warnings == ("its checkout was deleted while it ran, and the files that it made there with it",)
    assert one.file("log.txt").startswith(b"on\noff\n")  # IPython does not like its folder to be gone, and says so
    assert b"x" * 1000 in one.file("executed.ipynb")
    assert json.loads(one.file("metrics.jsonl").splitlines()[0])["value"] == 1
    assert Path(slots[1], "data").read_text() == "1"  # the other's links are not this one's to take away
    Path(repo.path.parent, f"go-{other.id}").touch()
    assert other.end().warnings == ()
    assert not one.place.live_backup.exists()
