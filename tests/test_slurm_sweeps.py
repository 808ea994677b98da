"""Sweeps as arrays of a real Slurm: how its runs take turns, and what they leave behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from snaprun import launchers
from snaprun.launchers import Lineup, Site, slurm
from snaprun.launchers.placement import read_placement
from tests import cluster, running
from tests.cluster import about, over, runs_of, swept, table
from tests.running import process
from tests.sandbox import Sandbox, wait_for

pytestmark = [pytest.mark.service, pytest.mark.usefixtures("slurm")]

LOGGED = """import snaprun
print(lr, seed)
snaprun.log(loss=(lr - 3) ** 2 + seed)
assert lr != 4"""
GATED = """import os, time
print("on", flush=True)
while not os.path.exists(gate): time.sleep(0.05)
assert x != 2"""
FLAKY = """import os, sys
from pathlib import Path
kept = Path(os.environ['SNAPRUN_CHECKPOINT_DIR'], 'tries')
tries = len(kept.read_text()) if kept.exists() else 0
kept.write_text('x' * (tries + 1))
sys.exit(0 if tries >= needed else 3)"""


def test_a_sweep_gives_the_table_of_a_local_one(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", LOGGED, parameters="lr = 1\nseed = 0")
    points = ("-p", "lr=1..12", "--seeds", "3", "-j", "6")
    with repo.untouched():
        group = swept(repo, "time=10", *points)
    local = repo.snaprun("sweep", "a.ipynb", "--engine", "inline", "--json", *points)
    assert local.returncode == 1, local.stderr
    found, wanted = over(repo, group), json.loads(local.stdout)["runs"]
    assert len(found) == 36
    assert table(found) == table(wanted)
    assert {run["launcher"] for run in found} == {"slurm"}


def test_an_array_has_as_many_tasks_as_slurm_takes_and_a_throttle(repo: Sandbox, tmp_path: Path) -> None:
    repo.notebook("a.ipynb", GATED, parameters=f"x = 0\ngate = {str(tmp_path / 'GO')!r}")
    group = swept(repo, "hold", "-p", "x=1..33", "-j", "2")
    jobs = {handle.partition("_")[0] for run in runs_of(repo, group) if (handle := _handle(repo, run["id"]))}
    assert len(jobs) == 2  # MaxArraySize of the service is 31
    first, second = sorted(jobs, key=int)
    assert "ArrayTaskId=0-30%2 ArrayTaskThrottle=2" in about(first)
    assert f"Dependency=afterany:{first}" in about(second)
    assert repo.snaprun("stop", "--group", group, "-q").returncode == 0
    assert {run["status"] for run in runs_of(repo, group)} == {"stopped"}
    assert subprocess.run(["squeue", "-h"], capture_output=True, check=True).stdout == b""


def test_the_throttle_may_be_said_to_slurm(repo: Sandbox, tmp_path: Path) -> None:
    repo.notebook("a.ipynb", GATED, parameters=f"x = 0\ngate = {str(tmp_path / 'GO')!r}")
    group = swept(repo, "hold,jobs=3", "-p", "x=1..4", "-j", "2")
    assert "ArrayTaskThrottle=3" in about(str(_handle(repo, runs_of(repo, group)[0]["id"])).partition("_")[0])
    assert repo.snaprun("stop", "--group", group, "-q").returncode == 0


def test_stopping_a_sweep_ends_what_waits_and_what_runs(repo: Sandbox, tmp_path: Path) -> None:
    repo.notebook("a.ipynb", GATED, parameters=f"x = 0\ngate = {str(tmp_path / 'GO')!r}")
    group = swept(repo, "", "-p", "x=1..8", "-j", "2")
    wait_for(lambda: sum(run["status"] == "running" for run in runs_of(repo, group)) == 2, "two to run")
    assert repo.snaprun("stop", "--group", group, "-q").returncode == 0
    assert {(run["status"], run["exit_code"]) for run in runs_of(repo, group)} == {("stopped", 143)}


def test_retries_requeue_a_run_that_failed(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", FLAKY, parameters="needed = 0")
    runs = over(repo, swept(repo, "", "-p", "needed=0,1,2,3", "--retries", "2"))
    assert [(run["status"], run["exit_code"], run["attempts"]) for run in runs] == [
        ("succeeded", 0, 1),
        ("succeeded", 0, 2),
        ("succeeded", 0, 3),
        ("failed", 3, 3),
    ]
    tries = repo.git("log", "--format=%s", runs[3]["commit"]).splitlines()
    assert [line for line in tries if "failed" in line] == ["snaprun: failed a.ipynb"] * 3


def test_a_run_whose_supervisor_was_killed_is_tried_again(repo: Sandbox, tmp_path: Path) -> None:
    repo.notebook("a.ipynb", GATED, parameters=f"x = 0\ngate = {str(tmp_path / 'GO')!r}")
    group = swept(repo, "", "-p", "x=1,2", "--retries", "1")
    first = running.found(repo, runs_of(repo, group)[0]["id"])
    first.until_logged("on")
    for who in first.pids():
        process.send(who, signal.SIGKILL)
    wait_for(lambda: runs_of(repo, group)[0]["attempts"] == 2, "the second attempt")
    (tmp_path / "GO").touch()
    assert [(run["status"], run["attempts"]) for run in over(repo, group)] == [("succeeded", 2), ("failed", 2)]


def test_a_sweep_after_a_job_waits_for_its_success(repo: Sandbox, tmp_path: Path) -> None:
    gate = tmp_path / "GO"
    repo.notebook("a.ipynb", GATED, parameters=f"x = 0\ngate = {str(gate)!r}")
    good = cluster.started(repo, "", "-p", "x=1")
    bad = cluster.started(repo, "", "-p", "x=2")
    follows = [swept(repo, "", "-p", "x=3,4", "--after", run.id) for run in (good, bad)]
    wait_for(lambda: "queued: waits for another job" in repo.snaprun("ps").stdout, "the dependency")
    gate.touch()
    assert [run["status"] for run in over(repo, follows[0])] == ["succeeded"] * 2
    runs = over(repo, follows[1])
    assert [(run["status"], run["exit_code"]) for run in runs] == [("stopped", 1)] * 2
    assert runs[0]["reason"] == f"not started: run {bad.id[:8]}, which it was to follow, has failed"
    once_more = swept(repo, "", "-p", "x=5,6", "--after", good.id)
    assert [run["status"] for run in over(repo, once_more)] == ["succeeded"] * 2


def test_what_slurm_cannot_honour_is_refused(repo: Sandbox, tmp_path: Path) -> None:
    repo.notebook("a.ipynb", GATED, parameters=f"x = 0\ngate = {str(tmp_path / 'GO')!r}")
    local = repo.snaprun("exec", "a.ipynb", "--detach", "--engine", "inline").stdout.strip()
    before = repo.git("for-each-ref", "refs/snaprun")
    for options, args, said in (
        ("", ["--after", local], "is no job of Slurm"),
        ("no-requeue", ["--retries", "1"], "no-requeue forbids it"),
        ("jobs=0", [], "whole number"),
        ("partition=nope", [], "invalid partition"),
    ):
        done = repo.snaprun("sweep", "a.ipynb", "-p", "x=1,2", "--slurm", options, *args)
        assert done.returncode == 2, (options, done.stderr)
        assert said in done.stderr
    assert repo.git("for-each-ref", "refs/snaprun") == before
    assert repo.snaprun("stop", local, "-q").returncode == 0


def test_a_restart_of_slurm_in_the_middle_loses_nothing(repo: Sandbox, slurm_cluster: Path, tmp_path: Path) -> None:
    gate = tmp_path / "GO"
    repo.notebook("a.ipynb", GATED, parameters=f"x = 0\ngate = {str(gate)!r}")
    group = swept(repo, "", "-p", "x=1..6", "-j", "2")
    wait_for(lambda: sum(run["status"] == "running" for run in runs_of(repo, group)) == 2, "two to run")
    now = time.time()  # Slurm writes its state every few seconds: what it has not written, it forgets when it is killed
    array = str(_handle(repo, runs_of(repo, group)[0]["id"])).partition("_")[0]
    cluster.asked("scontrol", "update", f"jobid={array}", "comment=seen")  # it writes only what has changed
    wait_for(lambda: (slurm_cluster / "state" / "job_state").stat().st_mtime > now, "Slurm to save its state")
    cluster.do("cut", slurm_cluster)
    assert len(runs_of(repo, group)) == 6
    assert sum(run["status"] in ("running", "queued") for run in runs_of(repo, group)) == 6
    gate.touch()  # those that run end while the controller is away
    cluster.do("restart", slurm_cluster)
    assert [(run["status"], run["attempts"]) for run in over(repo, group)] == [
        ("failed" if number == 2 else "succeeded", 1) for number in range(1, 7)
    ]


def test_nothing_is_left_in_slurm_of_a_submission_that_fails_half_way(repo: Sandbox) -> None:
    books = [repo.notebook(f"{number}.ipynb", "1") for number in range(33)]
    runs = [running.frozen(repo, book, launcher="slurm") for book in books[:2]]
    site = Site(running.place(repo), os.environ, {"hold": ""}, Lineup())
    asked = [launchers.Submission(run.id, run.live.path) for run in runs]
    parts: list[int] = []

    def script(part: list[launchers.Submission]) -> str:
        parts.append(len(part))
        if len(parts) == 2:
            raise KeyboardInterrupt
        return "#!/bin/sh\ntrue\n"

    with pytest.raises(KeyboardInterrupt):
        slurm.submit_arrays(site, asked * 20, script, "/dev/null", "")  # type: ignore[arg-type]
    assert parts == [31, 9]
    wait_for(  # a held job never leaves by itself; one of the test before does
        lambda: subprocess.run(["squeue", "-h"], capture_output=True, check=True).stdout == b"", "an empty queue"
    )


def _handle(box: Sandbox, run: str) -> str | None:
    told = read_placement(running.place(box).live / run)
    return told.handle if told and re.fullmatch(r"\d+(_\d+)?", told.handle) else None
