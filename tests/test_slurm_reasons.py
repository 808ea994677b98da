"""What a real Slurm does to a job of its own accord, and what the run's record and ps say of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from snaprun.statuses import Status
from tests import cluster
from tests.cluster import CHECKPOINTED, SLOW, asked, job, started
from tests.sandbox import Sandbox, wait_for

pytestmark = [pytest.mark.service, pytest.mark.usefixtures("slurm")]

WHOLE = "nodes=1,exclusive,time=30"
"""A job that lets no other one beside it."""


def urgent(*options: str) -> str:
    """Submit a job that others must make room for."""
    words = ("--parsable", "--partition=high", "--exclusive", "--output=/dev/null", *options)
    return asked("sbatch", *words, script="#!/bin/sh\ntrue\n")


@pytest.mark.parametrize("cut", ["preempted", "node"])
def test_a_job_that_slurm_takes_back_is_a_further_attempt(repo: Sandbox, cut: str) -> None:
    repo.notebook("a.ipynb", CHECKPOINTED)
    run = started(repo, f"partition=low,{WHOLE}", "--engine", "inline")
    run.until_logged("first")
    if cut == "preempted":
        urgent()
    else:
        node = asked("sinfo", "-h", "-N", "-o", "%N").split()[0]
        asked("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    wait_for(lambda: "queued: its begin time has not come" in repo.snaprun("ps").stdout, "the reason")
    assert repo.snaprun("wait", run.id).returncode == 0
    end = run.end()
    assert (end.status, end.attempts) == (Status.SUCCEEDED, 2)
    assert run.log() == "again\n"
    assert "the job is to be started again" in repo.git("show", f"{run.git_tip()}^2:.snaprun/result.json")


def test_what_slurm_ends_for_good_says_why(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", SLOW)
    runs = {"the job was preempted": started(repo, f"partition=spare,{WHOLE}", "--engine", "inline")}
    runs["the job was preempted"].until_logged("on")
    urgent()
    runs["the job was ended"] = started(repo, "", "--engine", "inline")
    runs["the job was ended"].until_logged("on")
    asked("scancel", ended := job(runs["the job was ended"]))
    for why, run in runs.items():
        end = run.end()
        assert (end.status, end.exit_code) == (Status.STOPPED, 143)
        assert str(end.reason).startswith(f"stopped by TERM ({why}, Slurm job ")
    assert ended in str(runs["the job was ended"].end().reason)


def test_jobs_that_can_not_start_say_why(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", "1")
    bad = asked("sbatch", "--parsable", "--output=/dev/null", script="#!/bin/sh\nexit 1\n")
    waiting = {
        f"dependency=afterok:{bad}": "its dependency can never be satisfied: snaprun stop ends the waiting",
        "partition=short,time=5": "it asks for more time than the partition gives",
        "begin=now+1hour": "its begin time has not come",
    }
    runs = [started(repo, options) for options in waiting]
    wait_for(lambda: all(why in repo.snaprun("ps").stdout for why in waiting.values()), "the reasons")
    assert repo.snaprun("stop", "-q", *(run.id for run in runs)).returncode == 0
    assert {run.end().exit_code for run in runs} == {143}


def test_a_node_daemon_that_dies_ends_nothing(repo: Sandbox, slurm_cluster: Path, tmp_path: Path) -> None:
    gate = tmp_path / "GO"
    waiting = f"import os, time\nprint('on', flush=True)\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.05)"
    repo.notebook("a.ipynb", waiting)
    run = started(repo, "", "--engine", "inline")
    run.until_logged("on")
    cluster.do("cut", slurm_cluster, "slurmd")
    assert '"status": "running"' in repo.snaprun("history", "--json").stdout
    cluster.do("restart", slurm_cluster)
    gate.touch()
    assert repo.snaprun("wait", run.id).returncode == 0
    assert run.end().attempts == 1
