"""A hundred runs, three at a time, one of them killed every few seconds: on this machine, on another one whose
connection is cut, and in a Slurm whose controller is restarted. The table is always the same."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from snaprun import records
from snaprun.api import sweep
from snaprun.context import open_context
from snaprun.errors import SnaprunError
from snaprun.live import bell, livefolder
from snaprun.live.livefolder import Live
from snaprun.live.supervision import read_identities
from snaprun.machine import process
from snaprun.model import RUN_REF, Run
from snaprun.statuses import Status
from tests import cluster, running
from tests.far import Machine
from tests.queues import dispatchers
from tests.running import context
from tests.sandbox import Sandbox, wait_for

RUNS = 100
CODE = "import time, snaprun\ntime.sleep(0.1)\nsnaprun.log(loss=(x - 40) ** 2)\nprint('whole', x)"
FEW = 30
ARGS = ("nb.ipynb", "-j", "3", "--engine", "inline", "-d")
MANY = (*ARGS, "-p", f"x=1..{RUNS}", "--retries", "20")
PAUSE = 2.0
"""Seconds between two blows."""

PATIENCE = 800.0


class Killer:
    """Somebody who kills every few seconds: a supervisor, a worker, all processes of a run, or the dispatcher."""

    def __init__(self, where: Path) -> None:
        self._door = open_context(where, os.environ)
        self.place = self._door.place
        self.struck: set[str] = set()
        self._chance = random.Random(11)
        self._next = time.monotonic() + PAUSE

    def strike(self) -> bool:
        """Kill something if it is time; whether it was."""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + PAUSE
        folders = [folder for folder in livefolder.scan(self.place) if read_identities(folder)]
        if self._chance.random() < 0.2:
            for pid in dispatchers(self._door):
                os.kill(pid, signal.SIGKILL)
            return True
        if not folders:  # a dispatcher that was woken by the same look, each time again, would never start a run
            return False
        folder = self._chance.choice(folders)
        self.struck.add(folder.id)
        for who in self._victims(folder):
            process.send(who, signal.SIGKILL)
        return True

    def _victims(self, folder: Live) -> Sequence[process.Identity]:
        both = read_identities(folder) or ()
        which = self._chance.choice([both[:1], both[1:], both, ()])
        return which or [*both, *process.find_marked(folder.id)]


@pytest.fixture
def box(repo: Sandbox) -> Sandbox:
    repo.notebook("nb.ipynb", CODE, parameters="x = 0")
    repo.commit()
    return repo


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("nothing_left")
def test_on_this_machine(box: Sandbox) -> None:
    with box.untouched():
        killer = Killer(box.path)
        group = until_over(box, killer, *MANY)
        found = check(box, group, RUNS)
    assert {run.status for run in found} == {Status.SUCCEEDED}
    assert any(run.attempts > 1 for run in found)
    assert {run.id for run in found if run.attempts > 1} <= killer.struck


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("nothing_left")
def test_without_retries_each_says_what_became_of_it(box: Sandbox) -> None:
    killer = Killer(box.path)
    found = check(box, until_over(box, killer, *ARGS, "-p", f"x=1..{FEW}"), FEW)
    fallen = {run.id: run for run in found if run.status is not Status.SUCCEEDED}
    assert fallen.keys() <= killer.struck
    assert fallen
    for run in fallen.values():
        assert run.status in (Status.LOST, Status.FAILED)
        assert run.reason
        assert run.exit_code


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.service
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("nothing_left")
def test_over_ssh_with_the_connection_cut(box: Sandbox, machine: Machine) -> None:
    verbs = ["down", "cut", "cut", "down", "cut"]
    gone = False

    def unplug(done: int) -> None:
        nonlocal gone
        if gone:
            machine.call("up")
            gone = False
        elif verbs and done > RUNS - 15 * len(verbs):
            gone = verbs[-1] == "down"
            machine.call(verbs.pop())

    with box.untouched():
        started = box.snaprun("sweep", *MANY, "--on", machine.address)
        assert started.returncode == 0, started.stderr
        killer = Killer(machine.folder)
        group = watch(box, killer, started.stdout.strip(), unplug)
        found = check(box, group, RUNS)
    assert {run.status for run in found} == {Status.SUCCEEDED}
    assert any(run.attempts > 1 for run in found)
    assert livefolder.scan(machine.place) == []
    wait_for(lambda: bell.read_mark(machine.place) is None, "the far queue to be empty")
    wait_for(lambda: not running.leftovers(machine.service / "home"), "the far processes to go")


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.service
@pytest.mark.timeout(900)
def test_in_slurm_with_the_controller_restarted(box: Sandbox, slurm: Path, sealed: Path) -> None:
    due = RUNS // 3

    def restart(done: int) -> None:
        nonlocal due
        if done >= due:
            due += RUNS // 3
            cluster.do("restart", slurm)

    with box.untouched():
        started = box.snaprun("sweep", *MANY, "--slurm", "time=30")
        assert started.returncode == 0, started.stderr
        killer = Killer(box.path)
        group = watch(box, killer, started.stdout.strip(), restart)
        found = check(box, group, RUNS)
    assert {run.status for run in found} == {Status.SUCCEEDED}
    assert any(run.attempts > 1 for run in found)
    wait_for(lambda: not any("snaprun.lifecycle" in line for line in running.leftovers(sealed)), "the processes to go")


def until_over(box: Sandbox, killer: Killer, *args: str) -> str:
    """Start the sweep here, and watch it to its end; its group."""
    started = box.snaprun("sweep", *args)
    assert started.returncode == 0, started.stderr
    group = watch(box, killer, started.stdout.strip(), lambda _: None)
    wait_for(lambda: bell.read_mark(killer.place) is None, "the queue to be empty")
    return group


def watch(box: Sandbox, killer: Killer, group: str, unplug: Callable[[int], None]) -> str:
    """Look at a sweep until it is over, as a user would, with blows in between; its group."""
    here = context(box)

    def over() -> bool:
        try:
            now = sweep.read_progress(here, group)
        except SnaprunError:  # an index that somebody was killed over: busy for a moment
            return False
        assert len(now.runs) in (FEW, RUNS)
        unplug(sum(run.status.over for run in now.runs))
        killer.strike()
        return now.over

    wait_for(over, "all runs to be over", patience=PATIENCE)
    return group


def check(box: Sandbox, group: str, count: int) -> Sequence[Run]:
    """Every run is there, in the index as in git, with its own result; the runs in their order."""
    listed = cluster.runs_of(box, group)
    assert [run["params"]["x"] for run in listed] == list(range(1, count + 1))
    repo = running.GitRepo(running.place(box))
    tips = {ref.removeprefix(RUN_REF): tip for ref, tip in repo.refs(RUN_REF).items()}
    assert {run["id"]: run["commit"] for run in listed} == tips
    assert all(run != tip for run, tip in tips.items())
    found = {run.id: run for run in records.read_runs(repo, tips) if isinstance(run, Run)}
    logs = dict(zip(tips, repo.blobs(f"{tip}:.snaprun/log.txt" for tip in tips.values()), strict=True))
    for run in listed:
        kept = found[run["id"]]
        assert facts(run) == (kept.status.value, kept.exit_code, kept.attempts, kept.reason)
        if kept.status is Status.SUCCEEDED:
            x = run["params"]["x"]
            assert (logs[kept.id], kept.metrics["loss"].last) == (f"whole {x}\n".encode(), (x - 40) ** 2)
    assert livefolder.scan(repo.place) == []
    return [found[run["id"]] for run in listed]


def facts(run: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(run[name] for name in ("status", "exit_code", "attempts", "reason"))
