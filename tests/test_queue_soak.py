"""A sweep in bad company: somebody kills its workers, supervisors and dispatchers all the time."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from snaprun.api import sweep
from snaprun.api.sweep import SweepOptions
from snaprun.errors import SnaprunError
from snaprun.git.gitrepo import GitRepo
from snaprun.live import bell, livefolder, supervision
from snaprun.machine import process
from snaprun.records import read_result
from snaprun.runplan import RunOptions
from tests.queues import dispatchers, runs
from tests.running import context
from tests.sandbox import Sandbox, wait_for

RUNS = 24


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_run_has_a_true_record(repo: Sandbox) -> None:
    repo.notebook("nb.ipynb", "import time\ntime.sleep(0.3)\nprint('whole', x)", parameters="x = 0")
    repo.commit()
    here = context(repo)
    planned = sweep.plan(
        here, RunOptions(notebook=Path("nb.ipynb"), engine="inline"), SweepOptions((f"x=1..{RUNS}",), jobs=3)
    )
    sweep.start(here, planned)
    chance = random.Random(7)
    killed: set[str] = set()

    def strike() -> bool:
        """Kill one thing, look as a user would, and say whether all is over."""
        folders = livefolder.scan(here.place)
        if len(folders) > 3:
            raise AssertionError(f"{len(folders)} at once")
        if folders and chance.random() < 0.25:
            folder = chance.choice(folders)
            for who in supervision.read_identities(folder) or ():
                killed.add(folder.id)
                process.send(who, signal.SIGKILL)
        elif chance.random() < 0.1:
            for pid in dispatchers(here):
                os.kill(pid, signal.SIGKILL)
        try:
            return sweep.read_progress(here, planned.group).over
        except SnaprunError:
            return False

    wait_for(strike, "all runs to be over", patience=800)
    wait_for(lambda: bell.read_mark(here.place) is None, "the queue to be empty")
    found = runs(here, group=planned.group)
    assert [run.params["x"] for run in found] == list(range(1, RUNS + 1))
    assert livefolder.scan(here.place) == []
    repository = GitRepo(here.place)
    for run in found:
        result = read_result(repository, run.id)
        assert result is not None
        assert (result.status, result.exit_code) == (run.status, run.exit_code)
        log = repo.git("show", f"{run.commit}:.snaprun/log.txt")
        if run.status.value == "succeeded":
            assert log == f"whole {run.params['x']}\n"
        else:
            assert run.status.value == "lost"
            assert run.id in killed
    assert sum(run.status.value == "succeeded" for run in found) > RUNS // 3
