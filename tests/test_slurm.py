"""Runs as jobs of a real Slurm: one host, loopback, no accounting."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snaprun.errors import UsageFault
from snaprun.launchers import State, contact, handover, slurmstates
from snaprun.launchers.placement import read_placement, write_placement
from snaprun.live import livefolder
from snaprun.statuses import Status
from tests import cluster, running
from tests.cluster import CHECKPOINTED, SLOW, asked, job, started
from tests.sandbox import Sandbox, wait_for

pytestmark = [pytest.mark.service, pytest.mark.usefixtures("slurm")]


def listed(box: Sandbox) -> dict[str, object]:
    [run] = json.loads(box.snaprun("history", "--json").stdout)["runs"]
    return dict(run)


def test_a_job_is_a_run_as_any_other(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", "print(lr)", "import sys\nsys.exit(3)", parameters="lr = 1")
    with repo.untouched():
        done = repo.snaprun("exec", "a.ipynb", "-p", "lr=2", "--slurm", "time=5,job-name=mine")
    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith("2\n")
    assert listed(repo)["launcher"] == "slurm"


def test_a_job_that_waits_says_why_and_can_be_stopped(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", SLOW)
    run = started(repo, "hold")
    assert listed(repo)["status"] == "queued"
    handle = job(run)
    wait_for(lambda: f"held by its user: scontrol release {handle}" in repo.snaprun("ps", "--json").stdout, "why")
    assert repo.snaprun("stop", run.id).returncode == 0
    end = run.end()
    assert (end.status, end.exit_code) == (Status.STOPPED, 143)


def test_a_running_job_is_stopped_with_all_its_output(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", SLOW)
    run = started(repo, "")
    run.until_logged("on")
    assert listed(repo)["status"] == "running"
    done = repo.snaprun("stop", run.id)
    assert done.returncode == 0, done.stderr
    end = run.end()
    assert (end.status, end.exit_code) == (Status.STOPPED, 143)
    assert "on" in run.outputs()
    assert run.processes() == []


def test_a_run_ends_itself_before_the_time_limit_does(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", SLOW)
    run = started(repo, "time=2")
    run.until_logged("on")
    order = wait_for(lambda: run.live.order() if run.live.order()["timeout"] else None, "the limit")
    assert 60 < order["timeout"] < 115
    assert "Slurm would have ended job" in order["options"]["limit"]
    assert repo.snaprun("stop", run.id).returncode == 0


def test_a_requeued_job_is_a_further_attempt(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", CHECKPOINTED)
    run = started(repo, "")
    run.until_logged("first")
    for who in run.pids():
        running.process.send(who, signal.SIGSTOP)  # the node hangs: nothing is recorded
    subprocess.run(["scontrol", "requeue", job(run)], check=True)
    wait_for(lambda: "again" in run.log(), "the second attempt", patience=150)
    end = run.end()
    assert (end.status, end.attempts) == (Status.SUCCEEDED, 2)
    assert listed(repo)["attempts"] == 2


def test_a_restart_of_the_controller_loses_nothing(repo: Sandbox, slurm_cluster: Path, tmp_path: Path) -> None:
    gate = tmp_path / "GO"
    repo.notebook("a.ipynb", f"import pathlib, time\nprint('on', flush=True)\n"
                  f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.02)")  # fmt: skip
    run = started(repo, "")
    run.until_logged("on")
    cluster.do("restart", slurm_cluster)
    assert listed(repo)["status"] == "running"
    gate.touch()
    assert repo.snaprun("wait", run.id).returncode == 0


def test_a_job_killed_outright_is_told_in_slurms_words(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", SLOW)
    run = started(repo, "")
    run.until_logged("on")
    for who in run.pids():
        running.process.send(who, signal.SIGKILL)
    wait_for(lambda: repo.snaprun("history", "-q") and not run.alive, "the settling")
    end = run.end()
    assert end.status is Status.LOST
    assert "on" in run.outputs()


def test_an_array_of_runs(repo: Sandbox) -> None:
    books = [repo.notebook(f"{number}.ipynb", f"print({number} * 7)") for number in range(3)]
    runs = [running.frozen(repo, book, launcher="slurm", options={"launcher": {"jobs": "2"}}) for book in books]
    handover.submit(running.context(repo), "slurm", [run.live for run in runs])
    for number, run in enumerate(runs):
        assert run.end().status is Status.SUCCEEDED
        assert run.log() == f"{number * 7}\n"
    names = {path.stem.partition("_")[2] for path in (runs[0].place.state / "slurm").glob("*.log")}
    assert names == {"0", "1", "2"}
    assert livefolder.scan(runs[0].place) == []


def test_what_slurm_refuses_is_refused_before_anything_is_frozen(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", "1")
    for options, said in (
        ("partition=nope", "invalid partition"),
        ("gres=gpu:4", "gres"),
        ("array=0-5", "not yours"),
        ("arr=0-5", "not yours"),
        ("version", "not yours"),
        ("clusters=other", "not yours"),
        ("jobs=x", "whole number"),
        ("mail-type=END,FAIL", "FAIL: that is no option"),
        ("p=main", "p: that is no option"),
        ("comment='a", "left open"),
        ("nodelist=nope[1-3,5]", "Slurm refuses the job: "),
    ):
        done = repo.snaprun("exec", "a.ipynb", "--slurm", options)
        assert done.returncode == UsageFault.code, options
        assert said in done.stderr
    assert repo.git("for-each-ref", "refs/snaprun") == ""


@pytest.mark.parametrize(
    ("state", "reason", "meant"),
    [
        ("PENDING", "Resources", State("queued", "Resources")),
        ("SUSPENDED", "None", State("running", "suspended by Slurm")),
        ("COMPLETING", "None", State("running")),
        ("", "", State("unknown", "Slurm knows no job 7")),
    ],
)
def test_states_that_are_no_end(state: str, reason: str, meant: State) -> None:
    assert slurmstates.state_of("7", state, reason) == meant


@pytest.mark.parametrize(
    ("state", "status", "code"),
    [
        ("CANCELLED by 1000", "stopped", 143),
        ("TIMEOUT", "timed-out", 124),
        ("NODE_FAIL", "lost", 125),
        ("OUT_OF_MEMORY", "failed", 137),
        ("PREEMPTED", "lost", 125),
    ],
)
def test_states_that_are_ends(state: str, status: str, code: int) -> None:
    found = slurmstates.state_of("7", state, "None")
    assert (found.state, found.status, found.exit_code) == ("ended", status, code)
    assert state in str(found.reason)


def test_a_job_that_slurm_has_forgotten_is_lost_after_a_while_only(repo: Sandbox) -> None:
    run = running.frozen(repo, repo.notebook("a.ipynb", "1"), launcher="slurm")
    write_placement(run.live.path, "slurm", "999999")
    assert contact.refresh(run.place, os.environ, [run.live], at_once=True) == []
    told = read_placement(run.live.path)
    assert told is not None
    assert contact.judge_ending(run.live, told, now=time.time() + 50) is None
    found = contact.judge_ending(run.live, told, now=time.time() + 70)
    assert found is not None
    assert found.status is Status.LOST


def test_gpus_are_asked_of_slurm_and_it_says_which(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", "import os\nprint('cards', os.environ['CUDA_VISIBLE_DEVICES'], flush=True)", SLOW)
    one, two = started(repo, "", "--gpus", "1"), started(repo, "", "--gpus", "1", "--engine", "inline")
    one.until_logged("cards")
    two.until_logged("cards")
    assert sorted((one.log().split("\n")[0], two.log().split("\n")[0])) == ["cards 0", "cards 1"]
    done = repo.snaprun("exec", "a.ipynb", "--slurm", "", "--gpus", "3")
    assert (done.returncode, "Slurm refuses the job: " in done.stderr) == (2, True)
    assert repo.snaprun("stop", one.id, two.id).returncode == 0
    assert "1 GPU (CUDA_VISIBLE_DEVICES=" in repo.snaprun("show", one.id).stdout


def test_a_limit_of_memory_is_told_to_slurm_and_measured(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", "import time\nkept = bytearray(b'x') * 400_000_000\ntime.sleep(600)")
    run = started(repo, "", "--max-memory", "200M")
    told = subprocess.run(["scontrol", "show", "job", "-o", job(run)], capture_output=True, text=True, check=True)
    assert "MinMemoryNode=680M" in told.stdout
    end = run.end()
    assert (end.status, end.exit_code) == (Status.FAILED, 137)
    assert "more than the 200 MB of --max-memory" in (end.reason or "")


def test_a_run_that_starts_a_job_from_within_a_job(repo: Sandbox, tmp_path: Path) -> None:
    repo.notebook("a.ipynb", "import os\nprint(os.environ.get('SLURM_ARRAY_TASK_ID'))")
    call = f"cd {repo.path} && exec {sys.executable} -m snaprun exec a.ipynb --engine inline --slurm time=5"
    log = tmp_path / "log"
    asked("sbatch", "--array=3", f"--output={log}", script=f"#!/bin/sh\n{call}\n")
    wait_for(lambda: log.exists() and "exit " in log.read_text(), "the end of the run within")
    assert "None\nsucceeded" in log.read_text()


def test_how_a_user_likes_to_see_jobs_changes_nothing(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", "print(1)")
    liked = {"SLURM_TIME_FORMAT": "relative", "SQUEUE_PARTITION": "short", "SBATCH_ARRAY_INX": "0-3"}
    done = repo.snaprun("exec", "a.ipynb", "--engine", "inline", "--slurm", 'partition="main,low",time=5', **liked)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
