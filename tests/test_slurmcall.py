"""What is typed for Slurm, and what its commands find in their environment; no Slurm is needed."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from snaprun.errors import UsageFault
from snaprun.launchers import slurmstates
from snaprun.launchers.slurmcall import env_of, parse_options
from snaprun.launchers.slurmstates import JobState


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("", {}),
        ("hold", {"hold": ""}),
        ("gres=gpu:1,mem=4G", {"gres": "gpu:1", "mem": "4G"}),
        ("--partition=gpu , mem = 4G,", {"partition": "gpu", "mem": "4G"}),
        ("nodelist=a[1-3,5],time=5", {"nodelist": "a[1-3,5]", "time": "5"}),
        ('partition="a,b",time=5', {"partition": "a,b", "time": "5"}),
        ("comment='it said \"a, b\"'", {"comment": 'it said "a, b"'}),
        ("constraint=[r1|r2]&ib,time=1-12:00", {"constraint": "[r1|r2]&ib", "time": "1-12:00"}),
        ("dependency='afterok:1,afterok:2'", {"dependency": "afterok:1,afterok:2"}),
        ("git-url=ssh://me@[::1]/p?a=b,dir=/far", {"git-url": "ssh://me@[::1]/p?a=b", "dir": "/far"}),
    ],
)
def test_options_as_typed(typed: str, meant: dict[str, str]) -> None:
    assert parse_options(typed) == meant


@pytest.mark.parametrize("typed", ["partition='a,b", 'comment="a', "nodelist=a[1-3", "nodelist=a]"])
def test_what_is_left_open_is_refused(typed: str) -> None:
    with pytest.raises(UsageFault, match="left open"):
        parse_options(typed)


def test_a_job_of_a_job_is_another_one() -> None:
    outer = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_MEM_PER_NODE": "1", "SLURM_CONF": "/s", "SLURM_JOB_ID": "7", "X": "1"}
    assert set(env_of(outer)) & set(outer) == {"SLURM_CONF", "X"}
    assert env_of({"SLURM_MPI_TYPE": "pmix"})["SLURM_MPI_TYPE"] == "pmix"


def test_what_hides_jobs_from_a_user_hides_none_from_us() -> None:
    turned = ("SQUEUE_PARTITION", "SCANCEL_STATE", "SLURM_TIME_FORMAT", "SBATCH_WAIT", "SBATCH_ARRAY_INX")
    assert set(env_of(dict.fromkeys((*turned, "SBATCH_ACCOUNT"), "x"))) & {*turned, "SBATCH_ACCOUNT"} == {
        "SBATCH_ACCOUNT"
    }


SHOWN = (
    "JobId=7 JobName=a UserId=ada(1) JobState={state} Reason=None Requeue=1 Restarts=2 TimeLimit={limit} "
    "StartTime=2026-01-02T03:00:00 EndTime={end} PreemptTime={preempted} Command=(null)"
)


@pytest.mark.parametrize(
    ("words", "deadline", "why"),
    [
        ({}, True, None),
        ({"limit": "UNLIMITED"}, False, None),
        ({"end": "Unknown"}, False, None),
        ({"preempted": "2026-01-02T03:30:00"}, True, "the job was preempted"),
        ({"state": "COMPLETING"}, True, "the job was ended"),
        ({"state": "TIMEOUT"}, True, "the job took longer than its time limit"),
    ],
    ids=["running", "unlimited", "unknown", "preempted", "completing", "timeout"],
)
def test_what_the_controller_shows_of_a_job_is_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: dict[str, str], deadline: bool, why: str | None
) -> None:
    usual = {"state": "RUNNING", "limit": "01:00:00", "end": "2026-01-02T04:00:00", "preempted": "None"}
    shown = SHOWN.format(**{**usual, **words})
    script = tmp_path / "scontrol"
    script.write_text(f'#!/bin/sh\n[ "$*" = "show job -o 7" ] && echo "{shown}"\n')
    script.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    state = slurmstates.query_job("7")
    assert state.restarts == 2
    assert state.deadline == (datetime(2026, 1, 2, 4).timestamp() if deadline else None)
    assert slurmstates.why_ended("7", 2) == why
    assert slurmstates.why_ended("7", 1) == "the job is to be started again"
    assert slurmstates.query_job("8") == JobState()
    assert slurmstates.why_ended("8", 0) is None
