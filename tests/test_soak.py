"""Kills at random instants: no run is forgotten, none stays running, none lacks an output, no process is left."""

from __future__ import annotations

import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from snaprun import records
from snaprun.index import runlist
from snaprun.lifecycle import settle
from snaprun.live import supervision
from snaprun.machine import process
from snaprun.statuses import Status
from tests import running
from tests.running import Started
from tests.sandbox import Sandbox, wait_for

pytestmark = pytest.mark.usefixtures("nothing_left")

KILLS = int(os.environ.get("SOAK_KILLS", "24"))
"""How many runs are killed: some for CI, 200 by hand now and then."""

AT_ONCE = 2
SETTLED = 5.0
"""Seconds after the kill at which a run must not be running any more (the machine has two cores for all of it)."""

CELLS = (
    "import subprocess, sys, time\nsubprocess.Popen(['sleep', '700'], start_new_session=True)\n"
    "subprocess.Popen('sleep 701 & wait', shell=True)\nprint('cell 1', flush=True)",
    "for i in range(100):\n    print('a', i, flush=True)\n    time.sleep(0.003)",
    "for i in range(100):\n    print('b', i, file=sys.stderr)\n    time.sleep(0.003)\n1/0" ,
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(60 + KILLS * 15)
def test_kills_at_random_instants(repo: Sandbox) -> None:
    book = repo.notebook("soak.ipynb", *CELLS)
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    plans = [(chance.uniform(0.0, 2.0), chance.randrange(1, 8), chance.random() < 0.8) for _ in range(KILLS)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = list(pool.map(lambda plan: _kill(repo, book, *plan), plans))
    place = runs[0].place
    with runlist.connect(place.state) as reader:
        listed = {run.id: run for run in runlist.query(reader, runlist.Filter(limit=None))}
    assert sorted(listed) == sorted(run.id for run in runs)
    for run in runs:
        _check(run)
        assert listed[run.id].status is not Status.RUNNING
    wait_for(lambda: not list(place.live.iterdir()), "an empty folder of live runs")
    assert not list((place.state / "slots").glob("*.owner"))
    assert repo.git("fsck", "--connectivity-only") == ""


def _kill(repo: Sandbox, book: Path, after: float, victims: int, hard: bool) -> Started:
    """Start a run, hit some of its processes a moment later, and see that it is settled soon."""
    run = running.start(repo, book)
    end = time.monotonic() + after
    wait_for(lambda: time.monotonic() >= end or not run.alive, "the instant")
    about = supervision.read_identities(run.live)
    kernels = [event["pid"] for event in run.events() if event["e"] == "kernel"]
    pids = [who.pid for who in about or ()] + kernels[:1]
    for number, pid in enumerate(pids):
        who = process.identify(pid)
        if victims >> number & 1 and who is not None:
            process.send(who, signal.SIGKILL if hard else signal.SIGTERM)
    if hard and victims & 3 == 3:
        killed = time.monotonic()
        wait_for(lambda: settle.settle(run.place, os.environ) or not run.alive, "the settling")
        assert time.monotonic() - killed < SETTLED
    wait_for(lambda: not run.alive, f"the end of {run.id}: {run.said()}")
    return run


def _check(run: Started) -> None:
    result = records.read_result(run.repo, run.id)
    assert result is not None
    assert result.status in (Status.FAILED, Status.LOST, Status.STOPPED), result
    log = run.file("log.txt").decode()
    shown = run.outputs()
    missing = [line for line in log.split("\n")[:-1] if line not in shown and "Error" not in line and "---" not in line]
    assert not [line for line in missing if line.startswith(("a ", "b ", "cell"))], missing
    wait_for(lambda: not run.processes(), f"processes of the run to go: {run.processes()}")
