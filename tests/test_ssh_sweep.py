"""Sweeps on another machine: one push, one call, its own queue, and results that come home together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from snaprun.api.sweep import SweepOptions, plan, start
from snaprun.errors import UsageFault
from snaprun.index import runlist
from snaprun.index.queue import listing
from snaprun.launchers import Lineup, Site, Submission, ssh
from snaprun.live import livefolder
from snaprun.runplan import RunOptions
from tests import far, running
from tests.far import Machine
from tests.running import context
from tests.sandbox import Sandbox, wait_for

pytestmark = pytest.mark.service

GATED = "import os, time\nprint(x, flush=True)\nwhile not os.path.exists(r'{}'): time.sleep(0.02)"
TRIES = """import os, pathlib, sys
count = pathlib.Path(os.environ['SNAPRUN_CHECKPOINT_DIR'], 'count')
tried = len(count.read_text()) if count.exists() else 0
count.write_text('x' * (tried + 1))
print('attempt', tried + 1)
assert tried == x"""


@pytest.fixture
def box(repo: Sandbox, tmp_path: Path) -> Sandbox:
    repo.notebook("nb.ipynb", "import snaprun\nsnaprun.log(loss=x * x)\nprint('x', x)", parameters="x = 0")
    repo.notebook("held.ipynb", GATED.format(tmp_path / "gate"), parameters="x = 0")
    repo.notebook("tries.ipynb", TRIES, parameters="x = 0")
    repo.commit()
    return repo


@pytest.fixture
def calls(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a line for each call of ssh."""
    path = tmp_path / "calls"
    path.touch()
    wrapper = tmp_path / "ssh"
    wrapper.write_text(f'#!/bin/sh\necho "$@" | tr "\\n" " " >>{path}\necho >>{path}\nexec {machine.command()} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(wrapper))
    return path


def sweep(box: Sandbox, machine: Machine, *args: str) -> subprocess.CompletedProcess[str]:
    return box.snaprun("sweep", *args, "--on", machine.address, "--engine", "inline")


def history(box: Sandbox, group: str) -> list[dict[str, Any]]:
    found = json.loads(box.snaprun("history", "--group", group, "--json", "--all").stdout)["runs"]
    return sorted(found, key=lambda run: run["params"]["x"])


def test_one_push_and_one_call_start_them_all(box: Sandbox, machine: Machine, calls: Path) -> None:
    with box.untouched():
        done = sweep(box, machine, "nb.ipynb", "-p", "x=1..12", "-j", "2", "--minimize", "loss")
    assert done.returncode == 0, done.stderr
    assert "12 of 12 done: 12 succeeded\nbest loss 1" in done.stderr
    [listed] = [history(box, group) for group in {done.stderr.split("sweep ")[1].split()[0]}]
    assert [(run["params"]["x"], run["status"], run["metrics"]["loss"]["last"]) for run in listed] == [
        (x, "succeeded", x * x) for x in range(1, 13)
    ]
    lines = calls.read_text().splitlines()
    assert sum("far queue" in line for line in lines) == 1
    assert sum("far start" in line for line in lines) == 0
    assert sum("receive-pack" in line for line in lines) == 1
    assert sum("git-upload-pack" in line for line in lines) <= sum("far news" in line for line in lines)
    assert livefolder.scan(running.place(box)) == livefolder.scan(machine.place) == []
    there = subprocess.run(["git", "for-each-ref", "refs/snaprun/incoming"], cwd=machine.folder, capture_output=True)
    assert there.stdout == b""


def test_what_waits_there_is_queued_here_and_can_be_stopped(box: Sandbox, machine: Machine) -> None:
    group = sweep(box, machine, "held.ipynb", "-p", "x=1..4", "-j", "1", "-d").stdout.strip()
    wait_for(lambda: [run["status"] for run in history(box, group)] == ["running", *["queued"] * 3], "the first one")
    first, *others = (run["id"] for run in history(box, group))
    wait_for(lambda: box.snaprun("logs", first).stdout == "1\n", "its log")
    table = box.snaprun("ps").stdout
    assert "queued: next there (on far)" in table
    assert "queued: 2 before it there (on far)" in table
    assert box.snaprun("queue", "-q").stdout == "", "they wait in the queue of the other machine"
    assert box.snaprun("wait", others[0], "--timeout", "0.1").returncode == 75
    done = box.snaprun("stop", "--group", group)
    assert done.returncode == 0, done.stderr
    assert [run["status"] for run in history(box, group)] == ["stopped", *["saved"] * 3]
    assert livefolder.scan(running.place(box)) == livefolder.scan(machine.place) == []


def test_a_failed_run_is_tried_again_there(box: Sandbox, machine: Machine) -> None:
    done = sweep(box, machine, "tries.ipynb", "-p", "x=0..3", "-j", "2", "--retries", "2", "--json")
    assert done.returncode == 1, done.stderr
    found = sorted(json.loads(done.stdout)["runs"], key=lambda run: run["params"]["x"])
    assert [(run["status"], run["attempts"]) for run in found] == [
        ("succeeded", 1),
        ("succeeded", 2),
        ("succeeded", 3),
        ("failed", 3),
    ]
    assert box.snaprun("logs", found[2]["id"]).stdout == "attempt 3\n"


def test_the_log_of_a_further_attempt_is_its_own(box: Sandbox, machine: Machine, tmp_path: Path) -> None:
    box.notebook(
        "again.ipynb", TRIES.replace("assert", f"{GATED.format(tmp_path / 'gate')}\nassert"), parameters="x = 0"
    )
    group = sweep(box, machine, "again.ipynb", "-p", "x=1,9", "-j", "1", "--retries", "1", "-d").stdout.strip()
    run, other = (run["id"] for run in history(box, group))
    wait_for(lambda: box.snaprun("logs", run).stdout == "attempt 1\n1\n", "the first attempt")
    command = [sys.executable, "-m", "snaprun", "logs", "-f", run]
    with subprocess.Popen(command, cwd=box.path, stdout=subprocess.PIPE) as viewer:
        assert viewer.stdout is not None
        assert viewer.stdout.readline() == b"attempt 1\n"
        (tmp_path / "gate").touch()
        assert viewer.stdout.read() == b"1\nattempt 2\n1\n"
    assert viewer.returncode == 0
    assert box.snaprun("logs", run).stdout == "attempt 2\n1\n"
    assert box.snaprun("wait", other).returncode == 1


def test_a_sweep_waits_for_a_run_of_the_same_machine(box: Sandbox, machine: Machine, tmp_path: Path) -> None:
    first = far.started(box, machine, "held.ipynb", "--engine", "inline")
    group = sweep(box, machine, "nb.ipynb", "-p", "x=1,2", "--after", first.id, "-d").stdout.strip()
    wait_for(lambda: f"after {first.id[:8]}" in box.snaprun("ps").stdout, "word of what they wait for")
    (tmp_path / "gate").touch()
    wait_for(lambda: {run["status"] for run in history(box, group)} == {"succeeded"}, "the sweep")
    here = box.snaprun("exec", "held.ipynb", "-d").stdout.strip()
    box.snaprun("wait", here)
    assert sweep(box, machine, "nb.ipynb", "-p", "x=1,2", "--after", here, "-q").returncode == 0, "it has succeeded"
    (tmp_path / "gate").unlink()
    here = box.snaprun("exec", "held.ipynb", "-d").stdout.strip()
    before = box.git("for-each-ref", "refs/snaprun")
    refused = sweep(box, machine, "nb.ipynb", "-p", "x=1,2", "--after", here)
    assert refused.returncode == UsageFault.code
    assert f"has no run {here[:8]}: a run waits for another one of the same folder" in refused.stderr
    assert box.git("for-each-ref", "refs/snaprun") == before
    assert box.snaprun("stop", here).returncode == 0


def test_a_call_that_is_repeated_queues_nothing_twice(
    box: Sandbox, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The near side was cut off, and asks again; or the far side was killed between its refs and its queue."""
    monkeypatch.chdir(box.path)
    here = context(box)
    wanted = RunOptions(
        notebook=Path("held.ipynb"), engine="inline", launcher="ssh", launcher_options={"on": machine.address}
    )
    planned = plan(here, wanted, SweepOptions(("x=1..3",), jobs=1))
    where = Site(here.place, os.environ, {"on": machine.address}, Lineup(jobs=1))
    ssh.check(where)
    made = start(here, planned)
    runs = [Submission(one.id, here.place.live / one.id) for one in made]
    assert len(there(machine)) == 3
    ssh.submit(where, runs)
    assert len(there(machine)) == 3
    again = start(here, plan(here, wanted, SweepOptions(("x=4..5",), jobs=1)))
    assert len(there(machine)) == 5
    (machine.place.state / "index.sqlite3").unlink()
    ssh.submit(where, [Submission(one.id, here.place.live / one.id) for one in again])
    begun = {folder.id for folder in livefolder.scan(machine.place)}
    assert {one.id for one in again} <= begun | {one.run for one in there(machine)}
    (tmp_path / "gate").touch()
    wait_for(lambda: {run["status"] for run in history(box, str(again[0].spec.group))} == {"succeeded"}, "their end")


def there(machine: Machine) -> list[Any]:
    """The queue of the machine."""
    with runlist.connect(machine.place.state) as reader:
        return list(listing(reader, os.uname().nodename).runs)
