"""Runs as jobs of a real Slurm with accounting, whose controller has forgotten them: the books say how they ended."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from snaprun.errors import Unavailable
from snaprun.launchers import Site, State, contact, slurmstates
from snaprun.launchers.placement import read_placement
from snaprun.statuses import Status
from tests import cluster, running
from tests.cluster import asked, job, runs_of, started, swept
from tests.sandbox import Sandbox, wait_for

pytestmark = [pytest.mark.service, pytest.mark.usefixtures("slurm_with_books")]

ENDS = {6: "TIMEOUT", 7: "NODE_FAIL", 8: "PREEMPTED", 9: "BOOT_FAIL", 10: "DEADLINE", 11: "OUT_OF_MEMORY"}
"""Numbers of the ends of a job in Slurm's database, by slurm.h."""


def submitted(script: str, *options: str) -> str:
    return asked("sbatch", "--parsable", "--output=/dev/null", *options, script=f"#!/bin/sh\n{script}\n")


def forgotten(*jobs: str) -> None:
    """Wait until the controller knows these no more."""
    wait_for(lambda: not asked("squeue", "-h", "-t", "all", "-j", ",".join([*jobs, "1"])), "Slurm to forget them")


def ended(box: Sandbox, job: str) -> tuple[str | None, int | None, str | None]:
    def seen() -> State | None:
        state = slurmstates.states(Site(running.place(box), os.environ), [job])[job]
        return state if state.state == "ended" else None

    found = wait_for(seen, f"the end of {job} in the books")
    return found.status, found.exit_code, found.reason


def test_ends_that_the_controller_has_forgotten(repo: Sandbox, slurm_with_books: Path) -> None:
    good, bad = submitted("exit 0"), submitted("exit 3")
    held = submitted("exit 0", "--hold")
    array = submitted('[ "$SLURM_ARRAY_TASK_ID" != 1 ]', "--array=0-5")
    again = submitted('[ "$SLURM_RESTART_COUNT" ] || scontrol requeue "$SLURM_JOB_ID"; exit 0')
    asked("scancel", held)
    forgotten(good, bad, held, array, again)
    assert ended(repo, good) == ("lost", 125, f"the job ended without a result (Slurm job {good}: COMPLETED)")
    assert ended(repo, bad) == ("lost", 125, f"the job failed before there was a result (Slurm job {bad}: FAILED)")
    assert ended(repo, held) == ("stopped", 143, f"the job was cancelled (Slurm job {held}: CANCELLED by 0)")
    assert "FAILED" in str(ended(repo, f"{array}_1")[2])
    assert "COMPLETED" in str(ended(repo, f"{array}_2")[2])
    assert len(asked("sacct", "-D", "-n", "-X", "-j", again).splitlines()) == 2  # one a start of the job
    assert "COMPLETED" in str(ended(repo, again)[2])
    for task, (number, name) in enumerate(ENDS.items()):
        sql = f"UPDATE slurm_acct_db.throwaway_job_table SET state = {number} WHERE id_array_job = {array}"
        socket = f"--socket={slurm_with_books}/mysql.socket"
        asked("mariadb", "--no-defaults", socket, "-e", f"{sql} AND id_array_task = {task}")
        assert ended(repo, f"{array}_{task}")[:2] == slurmstates.ENDINGS[name][:2]


def test_runs_that_were_cancelled_while_nobody_looked(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", "1", parameters="x = 0")
    alone = started(repo, "hold")
    group = swept(repo, "hold", "-p", "x=1..3")
    single, runs = job(alone), [running.found(repo, run["id"]) for run in runs_of(repo, group)]
    array = job(runs[0]).partition("_")[0]
    asked("scancel", single, f"{array}_1")  # a single task that never began leaves nothing in the books
    forgotten(single)
    assert {run["status"] for run in runs_of(repo, group)} == {"queued"}
    end = alone.end() if repo.snaprun("wait", alone.id).returncode else None
    assert end is not None
    assert (end.status, end.exit_code) == (Status.STOPPED, 143)
    assert end.reason == f"the job was cancelled (Slurm job {single}: CANCELLED by 0)"
    told = read_placement(runs[1].live.path)
    assert told is not None
    assert contact.judge_ending(runs[1].live, told, now=time.time()) is None
    late = contact.judge_ending(runs[1].live, told, now=time.time() + 70)
    assert late is not None
    assert (late.status, late.exit_code) == (Status.STOPPED, 143)
    assert "cancelled before it began" in str(late.reason)
    assert repo.snaprun("stop", "--group", group, "-q").returncode == 0
    assert {run["status"] for run in runs_of(repo, group) if run["id"] != runs[1].id} == {"stopped"}


def test_books_that_do_not_answer_say_nothing_about_a_run(repo: Sandbox, slurm_with_books: Path) -> None:
    cluster.do("cut", slurm_with_books, "slurmdbd")
    try:
        bad = submitted("exit 3")
        repo.notebook("a.ipynb", "import sys\nsys.exit(3)")
        done = repo.snaprun("exec", "a.ipynb", "--engine", "inline", "--slurm", "time=5")
        assert done.returncode == 3, done.stderr  # a run that has its result needs no books
        forgotten(bad)
        site = Site(running.place(repo), os.environ)
        with pytest.raises(Unavailable, match="accounting does not answer"):
            slurmstates.states(site, [bad])
    finally:
        cluster.do("reopen", slurm_with_books)
    # what the controller has to tell the books comes some seconds later: until then nobody knows of the job
    assert "FAILED" in str(ended(repo, bad)[2])
