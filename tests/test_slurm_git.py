"""Runs as Slurm jobs that know the project by a git URL alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import cluster
from tests.cluster import over, swept, table
from tests.sandbox import Sandbox, wait_for

pytestmark = [pytest.mark.service, pytest.mark.usefixtures("slurm")]


def test_a_job_has_nothing_of_the_project_but_its_url(repo: Sandbox, tmp_path: Path) -> None:
    repo.notebook("a.ipynb", "from pathlib import Path\nprint(x, Path.cwd())", parameters="x = 1")
    far = tmp_path / "far" / "runs"
    options = f"git-url=file://{repo.path},dir={far},log={tmp_path}"
    with repo.untouched():
        done = repo.snaprun("exec", "a.ipynb", "-p", "x=7", "--engine", "inline", "--slurm", options)
    assert done.returncode == 0, done.stderr
    log = repo.snaprun("logs", "@").stdout
    assert log.startswith(f"7 {far}/.git/snaprun/slots/")
    [run] = json.loads(repo.snaprun("history", "--json").stdout)["runs"]
    assert (run["launcher"], run["status"], run["exit_code"]) == ("slurm-git", "succeeded", 0)
    assert not (repo.path / ".git" / "snaprun" / "slots").exists()
    assert repo.git("for-each-ref", "--format=%(refname)", "refs/snaprun").split() == [f"refs/snaprun/runs/{run['id']}"]
    # the same job once more: the run has its result, and does not start twice
    ask = {"url": f"file://{repo.path}", "dir": str(far), "hash": "sha1", "retries": 0}
    again = [sys.executable, "-m", "snaprun.remote.batch", run["id"], json.dumps(ask)]
    said = subprocess.run(again, capture_output=True, text=True, check=True, env=dict(os.environ)).stdout
    assert "has its result already" in said


def test_a_sweep_through_another_repository(repo: Sandbox, tmp_path: Path) -> None:
    repo.notebook("a.ipynb", "import snaprun\nsnaprun.log(loss=x)\nassert x != 2", parameters="x = 1")
    hub = tmp_path / "hub.git"
    subprocess.run(["git", "init", "-q", "--bare", hub], check=True)
    runs = over(repo, swept(repo, f"git-url={hub},dir={tmp_path}/far", "-p", "x=1,2", "--retries", "1", "-j", "1"))
    assert table(runs) == [
        ({"x": 1}, None, "succeeded", 0, {"loss": 1.0}),
        ({"x": 2}, None, "failed", 1, {"loss": 2.0}),
    ]
    assert [run["attempts"] for run in runs] == [1, 2]


def test_a_job_that_waits_is_queued_and_can_be_stopped(repo: Sandbox, tmp_path: Path) -> None:
    repo.notebook("a.ipynb", "1")
    run = cluster.started(repo, f"hold,git-url={repo.path},dir={tmp_path}/far")
    wait_for(lambda: "held by its user" in repo.snaprun("ps").stdout, "the reason")
    assert repo.snaprun("stop", run.id, "-q").returncode == 0
    assert run.end().exit_code == 143


def test_what_cannot_be_is_refused(repo: Sandbox, tmp_path: Path) -> None:
    repo.notebook("a.ipynb", "1")
    for options, args, said in (
        ("git-url=some/folder", [], "means nothing on a node"),
        (f"git-url={tmp_path}/nothing", [], "cannot be reached"),
        (f"git-url={repo.path},dir=here", [], "want a folder of the node"),
        (f"git-url={repo.path},log=/nowhere/at/all", [], "no such folder"),
        (f"git-url={repo.path}", ["--in-place"], "--in-place needs"),
        (f"git-url={repo.path}", ["--hold-on-error"], "--hold-on-error needs"),
    ):
        done = repo.snaprun("exec", "a.ipynb", "--slurm", options, *args)
        assert done.returncode in (2, 69), (options, done.stderr)
        assert said in done.stderr
    assert repo.git("for-each-ref", "refs/snaprun") == ""
