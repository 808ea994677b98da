"""Commands that are killed or interrupted while they submit jobs to a real Slurm."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from snaprun.launchers import contact
from snaprun.launchers.placement import read_placement
from snaprun.statuses import Status
from tests import running
from tests.cluster import asked
from tests.sandbox import Sandbox, wait_for

pytestmark = [pytest.mark.service, pytest.mark.usefixtures("slurm")]


def interrupted(tmp_path: Path, before: str, after: str) -> str:
    """A PATH with an sbatch that does something to its caller before it submits a job, or after."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    real = shutil.which("sbatch")
    test = f'case "$*" in *--test-only*) exec {real} "$@";; esac'
    (folder / "sbatch").write_text(f'#!/bin/sh\n{test}\n{before}\n{real} "$@"\n{after}\n')
    (folder / "sbatch").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.parametrize("far", [False, True])
def test_a_command_killed_before_it_knew_its_job(repo: Sandbox, tmp_path: Path, far: bool) -> None:
    repo.notebook("a.ipynb", "print('ran', x)", parameters="x = 0")
    how = f"hold,job-name=mine{f',git-url={repo.path},dir={tmp_path}/far' if far else ''}"
    path = interrupted(tmp_path, "", 'kill -9 "$PPID"')
    words = ("sweep", "a.ipynb", "-p", "x=1,2", "--detach", "--engine", "inline", "--slurm", how)
    assert repo.snaprun(*words, PATH=path).returncode == -9
    ids = repo.git("for-each-ref", "--format=%(refname:lstrip=3)", "refs/snaprun/runs").split()
    wait_for(lambda: repo.snaprun("ps").stdout.count("queued: held by its user") == 2, "both to be found")
    told = [read_placement(running.found(repo, run).live.path) for run in ids]
    jobs = {str(one and one.handle.partition("@")[0]) for one in told}
    assert {name.partition("_")[2] for name in jobs} == {"0", "1"}
    [array] = {name.partition("_")[0] for name in jobs}
    asked("scontrol", "release", array)
    for run in ids:
        assert repo.snaprun("wait", run).returncode == 0
        assert running.found(repo, run).end().attempts == 1
    assert sorted(running.found(repo, run).log() for run in ids) == ["ran 1\n", "ran 2\n"]


def test_a_job_that_starts_before_its_command_noted_it(repo: Sandbox, tmp_path: Path) -> None:
    repo.notebook("a.ipynb", "print('ran')")
    path = interrupted(tmp_path, "", 'kill -9 "$PPID"')
    words = ("exec", "a.ipynb", "--detach", "--engine", "inline", "--slurm", "time=5")
    assert repo.snaprun(*words, PATH=path).returncode == -9
    assert repo.snaprun("wait", "@").returncode == 0
    assert repo.snaprun("logs", "@").stdout == "ran\n"


def test_a_command_killed_before_it_submitted_anything(repo: Sandbox, tmp_path: Path) -> None:
    repo.notebook("a.ipynb", "1")
    path = interrupted(tmp_path, 'kill -9 "$PPID"; exit 1', "")
    assert repo.snaprun("exec", "a.ipynb", "--detach", "--slurm", "", PATH=path).returncode == -9
    run = running.found(repo, repo.git("for-each-ref", "--format=%(refname:lstrip=3)", "refs/snaprun/runs").strip())
    contact.refresh(run.place, os.environ, [run.live], at_once=True)
    told = read_placement(run.live.path)
    assert told is not None
    assert contact.judge_ending(run.live, told, now=time.time()) is None
    late = contact.judge_ending(run.live, told, now=time.time() + 70)
    assert late is not None
    assert (late.status, "no job was submitted for it" in str(late.reason)) == (Status.LOST, True)


def test_a_submission_that_is_interrupted_leaves_no_job(repo: Sandbox, tmp_path: Path) -> None:
    repo.notebook("a.ipynb", "1", parameters="x = 0")
    path = interrupted(tmp_path, "", 'kill -2 "$PPID"; sleep 60')
    before = asked("squeue", "-h")
    done = repo.snaprun("sweep", "a.ipynb", "-p", "x=1,2", "--detach", "--slurm", "hold", PATH=path)
    assert done.returncode == 130, done.stderr
    assert asked("squeue", "-h") == before
