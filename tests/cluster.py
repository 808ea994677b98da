"""A Slurm cluster of one host for tests, and what they ask it."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snaprun.launchers.placement import read_placement
from tests import running
from tests.sandbox import Sandbox, wait_for

SERVICE = Path(__file__).parent / "services" / "slurm"

CHECKPOINTED = """import os, time
from pathlib import Path
kept = Path(os.environ['SNAPRUN_CHECKPOINT_DIR'], 'x')
print('again' if kept.exists() else 'first', flush=True)
if not kept.exists():
    kept.touch()
    time.sleep(600)"""
SLOW = "import time\nprint('on', flush=True)\ntime.sleep(600)"


def service(*words: str) -> Iterator[Path]:
    """Start a cluster, and stop it afterwards; ``words`` say what it is to have beyond the usual."""
    with tempfile.TemporaryDirectory(prefix="sl") as folder:
        where = Path(folder, "slurm")
        Path(folder).chmod(0o755)
        try:
            done = subprocess.run([SERVICE, "start", where, *words], capture_output=True, text=True, check=False)
            if done.returncode == 69:
                pytest.skip(done.stderr.strip())
            assert done.returncode == 0, done.stderr
            yield where
        finally:
            subprocess.run([SERVICE, "stop", where], check=False, capture_output=True)


def do(verb: str, where: Path, *words: str) -> None:
    """Do something to a cluster: restart, cut, reopen."""
    subprocess.run([SERVICE, verb, where, *words], check=True, capture_output=True)


def asked(*command: str, script: str | None = None) -> str:
    """What one of Slurm's commands says."""
    return subprocess.run(command, input=script, capture_output=True, text=True, check=True).stdout.strip()


def started(box: Sandbox, options: str, *args: str) -> running.Started:
    """Start ``a.ipynb`` as a job, detached."""
    done = box.snaprun("exec", "a.ipynb", "--detach", "--slurm", options, *args)
    assert done.returncode == 0, done.stderr
    return running.found(box, done.stdout.strip())


def swept(box: Sandbox, options: str, *args: str) -> str:
    """Start a sweep of ``a.ipynb``, detached; its group."""
    done = box.snaprun("sweep", "a.ipynb", "--detach", "--engine", "inline", "--slurm", options, *args)
    assert done.returncode == 0, done.stderr
    return str(done.stdout.strip())


def runs_of(box: Sandbox, group: str) -> list[dict[str, Any]]:
    """The runs of a sweep, oldest first."""
    done = box.snaprun("history", "--group", group, "-n", "1000", "--json")
    assert done.returncode == 0, done.stderr
    return list(reversed(json.loads(done.stdout)["runs"]))


def over(box: Sandbox, group: str) -> list[dict[str, Any]]:
    """The same once all of them are over."""

    def ended() -> list[dict[str, Any]] | None:
        runs = runs_of(box, group)
        return runs if all(run["status"] not in ("queued", "running") for run in runs) else None

    return list(wait_for(ended, "the end of the sweep", patience=150.0))


def table(runs: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What two sweeps of the same are to have in common."""
    return [(run["params"], run["seed"], run["status"], run["exit_code"], _last(run["metrics"])) for run in runs]


def job(run: running.Started) -> str:
    """The handle of a run in progress."""
    told = wait_for(lambda: (it := read_placement(run.live.path)) and it.handle, "the handle")
    return str(told)


def about(job: str) -> str:
    """What Slurm knows of a job."""
    return subprocess.run(["scontrol", "show", "job", "-o", job], capture_output=True, text=True, check=True).stdout


def _last(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: metric["last"] for name, metric in metrics.items()}
