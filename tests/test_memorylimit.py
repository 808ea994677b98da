"""A limit of memory: what is measured, what is ended, and what is told of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from snaprun.machine import memorylimit
from snaprun.statuses import Status
from tests import running
from tests.sandbox import Sandbox

MB = 1000**2

GREEDY = """import time
kept = []
while True:
    kept.append(bytearray(b"x") * 10_000_000)
    time.sleep(0.02)"""

CHILD = f"""import subprocess, sys
subprocess.run([sys.executable, "-c", {GREEDY!r}])"""

SHARED = """import os, time
kept = bytearray(b"x") * 150_000_000
here, there = os.pipe()
children = []
for _ in range(8):
    children.append(os.fork())
    if children[-1] == 0:
        os.read(here, 1)
        os._exit(0)
time.sleep(1.5)
os.write(there, b"x" * 8)
for child in children: os.waitpid(child, 0)
print("done")"""
"""Nine processes that share what one of them has written: 1.4 GB by resident sizes, 0.2 GB in truth."""

ENGINES = ("kernel", "inline", "script")


@pytest.fixture
def box(repo: Sandbox) -> Sandbox:
    repo.notebook("greedy.ipynb", "print('on', flush=True)", GREEDY, "print('never')")
    repo.notebook("child.ipynb", CHILD)
    repo.notebook("shared.ipynb", SHARED)
    repo.notebook("modest.ipynb", "print('on')")
    repo.commit()
    return repo


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_that_uses_more_is_ended(box: Sandbox, engine: str) -> None:
    done = box.snaprun("exec", "greedy.ipynb", "--max-memory", "300M", "--engine", engine)
    assert done.returncode == 137, done.stderr
    run = running.found(box, box.snaprun("history", "-q").stdout.strip())
    result = run.end()
    assert (result.status, result.exit_code, result.signal) == (Status.FAILED, 137, 9)
    assert (result.reason or "").startswith("used ")
    assert (result.reason or "").endswith(" MB, more than the 300 MB of --max-memory")
    assert [cell.state for cell in result.cells] == ["ok", "failed", "not-run"]
    assert run.log().startswith("on\n")
    assert "300.0 MB of memory" in box.snaprun("show").stdout


@pytest.mark.usefixtures("nothing_left")
def test_what_a_run_starts_counts(box: Sandbox) -> None:
    assert box.snaprun("exec", "child.ipynb", "--max-memory", "300M", "--engine", "inline").returncode == 137


@pytest.mark.usefixtures("nothing_left")
def test_what_processes_share_counts_once(box: Sandbox) -> None:
    done = box.snaprun("exec", "shared.ipynb", "--max-memory", "500M", "--engine", "inline")
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


@pytest.mark.usefixtures("nothing_left")
def test_a_rerun_has_the_limit_of_its_run_and_may_drop_it(box: Sandbox) -> None:
    assert box.snaprun("exec", "modest.ipynb", "--max-memory", "2G", "--engine", "inline").returncode == 0
    box.snaprun("rerun")
    assert "2.0 GB of memory" in box.snaprun("show").stdout
    box.snaprun("rerun", "--max-memory", "0")
    assert "of memory" not in box.snaprun("show").stdout


@pytest.mark.usefixtures("nothing_left")
def test_a_sweep_has_it_too(box: Sandbox) -> None:
    box.notebook("both.ipynb", f"if greedy:\n    {GREEDY.replace(chr(10), chr(10) + '    ')}", parameters="greedy = 0")
    done = box.snaprun("sweep", "both.ipynb", "-p", "greedy=0,1", "--max-memory", "300M", "--engine", "inline")
    assert done.returncode == 1
    assert "1 succeeded, 1 failed" in done.stderr


@pytest.mark.parametrize("said", ["lots", "-1", "4X"])
def test_a_size_that_is_none_is_refused(box: Sandbox, said: str) -> None:
    done = box.snaprun("exec", "modest.ipynb", "--max-memory", said)
    assert (done.returncode, box.git("for-each-ref", "refs/snaprun")) == (2, "")
    assert "is no size: write 500M, 4G or 1.5GiB" in done.stderr


def test_shares_of_memory() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "x = bytearray(b'x') * 50_000_000; print(1, flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.readline()
    used, quick = memorylimit.proportional(child.pid), memorylimit.resident(child.pid)
    assert 50 * MB < used <= quick < 100 * MB
    child.communicate()
    assert (memorylimit.proportional(child.pid), memorylimit.resident(child.pid)) == (0, 0)


def test_the_guard_leaves_alone_what_is_below_the_limit() -> None:
    with memorylimit.Guard(10**12) as guard:
        pass
    assert guard.excess is None
