"""Launch runs as Slurm jobs by Slurm's own commands: many runs are one array, the nodes share the file system.

The job is a supervisor in the foreground, see :mod:`snaprun.running.job`. ``squeue`` says how it stands, ``sacct``
(where there is accounting) what became of it, and nothing that Slurm does not know of is ever taken for failed by that
alone.
"""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from snaprun.errors import Unavailable, UsageFault
from snaprun.launchers import Site, State, Submission
from snaprun.progress.order import Request
from snaprun.progress.supervision import supervisor_env

OURS = ("array", "chdir", "error", "export", "input", "open-mode", "output", "parsable", "signal", "test-only", "wait",
        "wrap")  # fmt: skip
"""Options of sbatch that a run needs as snaprun sets them."""

JOBS = "jobs"
"""The option that is not sbatch's: how many runs of an array may work at a time."""

DAY = 86400.0

PATIENCE = 30
"""Seconds that a command of Slurm may take; a busy controller lets it wait."""

WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
GOING = {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT"}
ENDINGS = {
    "COMPLETED": ("lost", 125, "the job ended without a result"),
    "FAILED": ("lost", 125, "the job failed before there was a result"),
    "TIMEOUT": ("timed-out", 124, "the job took longer than its time limit"),
    "DEADLINE": ("timed-out", 124, "the job missed its deadline"),
    "CANCELLED": ("stopped", 143, "the job was cancelled"),
    "PREEMPTED": ("lost", 125, "the job was preempted"),
    "NODE_FAIL": ("lost", 125, "its node failed"),
    "BOOT_FAIL": ("lost", 125, "its node did not boot"),
    "OUT_OF_MEMORY": ("failed", 137, "the job ran out of memory"),
    "REVOKED": ("lost", 125, "the job went to another cluster"),
}
"""What the states of https://slurm.schedmd.com/squeue.html#SECTION_JOB-STATE-CODES mean for a run without a result."""

MENDING = {
    "JobHeldUser": "held by its user: scontrol release {}",
    "JobHeldAdmin": "held by an administrator",
    "DependencyNeverSatisfied": "its dependency can never be satisfied: snaprun stop ends the waiting",
    "PartitionTimeLimit": "it asks for more time than the partition gives",
    "PartitionNodeLimit": "it asks for more nodes than the partition has",
    "launch failed requeued held": "it could not be started and is held: scontrol release {}",
}


def check(site: Site) -> None:
    """Make sure that Slurm answers, and would take a job with these options.

    Raises:
        Unavailable: there is no Slurm, or its controller does not answer. UsageFault: it refuses an option.
    """
    if shutil.which("sbatch", path=site.env.get("PATH")) is None:
        raise Unavailable("Slurm is not installed here: there is no sbatch", hint="call snaprun on a login node")
    _submit(site, ["--test-only"], "#!/bin/sh\ntrue\n")


def submit(site: Site, runs: Sequence[Submission]) -> list[str]:
    """Submit these runs as one job, an array when they are more than one. Raises as :func:`check`."""
    talk = site.place.state / "slurm"
    talk.mkdir(mode=0o700, exist_ok=True)
    _tidy(talk)
    many = len(runs) > 1
    throttle = f"%{site.options[JOBS]}" if site.options.get(JOBS) else ""
    name = "snaprun" if many else f"snaprun-{runs[0].run[:8]}"
    options = [
        *(["--job-name", name] if "job-name" not in site.options else []),
        *(["--array", f"0-{len(runs) - 1}{throttle}"] if many else []),
        f"--output={_escaped(talk)}/{'%A_%a' if many else '%j'}.log",
        "--open-mode=append",
        "--chdir=/",
        "--export=ALL",
    ]
    job = _submit(site, options, _script(runs, site.place.top)).partition(";")[0].strip()
    return [f"{job}_{number}" for number in range(len(runs))] if many else [job]


def poll(site: Site, handles: Sequence[str]) -> list[State]:
    """How these jobs stand, with Slurm's reason. Raises Unavailable where Slurm does not answer."""
    found = _queue(site, handles)
    missing = [handle for handle in handles if handle not in found]
    if missing:
        found.update(_accounted(site, missing))
    return [_state(handle, *found.get(handle, ("", ""))) for handle in handles]


def cancel(site: Site, handle: str, request: Request) -> bool:
    """Ask that a job ends: one that waits goes at once, one that runs gets the signal. Raises Unavailable."""
    state = _queue(site, [handle]).get(handle, ("", ""))[0].partition(" ")[0]
    if state in WAITING:
        done = _slurm(site, "scancel", "--quiet", handle)
    elif state in GOING:
        name = signal.Signals(request.signal).name.removeprefix("SIG")
        done = _slurm(site, "scancel", "--quiet", "--batch", f"--signal={name}", handle)
    else:
        return False
    if done.returncode:
        raise Unavailable(f"scancel failed: {_last(done.stderr)}", hint=f"scancel {handle}")
    return True


def logs(site: Site, handle: str, offset: int) -> bytes:
    """What the job itself had to say: Slurm's words, and what came before there was a supervisor."""
    if not re.fullmatch(r"\d+(_\d+)?", handle):
        return b""
    try:
        with (site.place.state / "slurm" / f"{handle}.log").open("rb") as file:
            file.seek(offset)
            return file.read()
    except FileNotFoundError:
        return b""


def _script(runs: Sequence[Submission], top: Path) -> str:
    """The batch script: the live folder of the task, and the supervisor in the place of the shell."""
    folders = shlex.join(str(run.live) for run in runs)
    job = shlex.join([sys.executable, "-m", "snaprun.running.job"])
    call = f'exec {job} "$1" {shlex.quote(str(top))}'
    return f'#!/bin/sh\nset -- {folders}\nshift "${{SLURM_ARRAY_TASK_ID:-0}}"\n{call}\n'


def _submit(site: Site, options: Sequence[str], script: str) -> str:
    command = ["sbatch", "--parsable", *_asked(site.options), *options]
    done = _slurm(site, *command, script=script)
    if done.returncode == 0:
        return done.stdout
    why = _last(done.stderr)
    if _silent(done.stderr):
        raise Unavailable(f"Slurm does not answer: {why}", hint="scontrol ping; sinfo")
    raise UsageFault(f"Slurm refuses the job: {why}", hint="sinfo; --slurm partition=NAME,time=4:00:00,gres=gpu:1")


def _asked(options: Mapping[str, str]) -> list[str]:
    """The user's options for sbatch.

    Raises:
        UsageFault: one of them is snaprun's own, or no option at all.
    """
    made = []
    for name, value in options.items():
        if not re.fullmatch(r"[a-z][a-z0-9-]*", name) or name in OURS:
            raise UsageFault(f"--slurm {name}: that is not yours to set", hint="--slurm partition=gpu,time=4:00:00")
        if name != JOBS:
            made.append(f"--{name}={value}" if value else f"--{name}")
        elif not re.fullmatch(r"[1-9]\d*", value):
            raise UsageFault(f"--slurm jobs={value}: want a whole number", hint="--slurm jobs=4")
    return made


def _queue(site: Site, handles: Sequence[str]) -> dict[str, tuple[str, str]]:
    """State and reason of the jobs that the controller knows: those that wait, run, or ended a few minutes ago."""
    done = _slurm(site, "squeue", "-h", "-r", "-t", "all", "-j", ",".join(handles), "-o", "%i|%T|%r")
    if done.returncode and _silent(done.stderr):
        raise Unavailable(f"Slurm does not answer: {_last(done.stderr)}", hint="scontrol ping")
    lines = [line.split("|", 2) for line in done.stdout.splitlines() if line.count("|") >= 2]
    return {job: (state, reason) for job, state, reason in lines}


def _accounted(site: Site, handles: Sequence[str]) -> dict[str, tuple[str, str]]:
    """The same from the accounting, which lags some seconds; nothing where there is none."""
    done = _slurm(site, "sacct", "-n", "-P", "-X", "-j", ",".join(handles), "-o", "JobID,State,Reason")
    if done.returncode:
        return {}
    lines = [line.split("|", 2) for line in done.stdout.splitlines() if line.count("|") >= 2]
    return {job: (state, reason) for job, state, reason in lines}


def _state(handle: str, state: str, reason: str) -> State:
    """What Slurm's words mean; ``CANCELLED by 1000`` is one of them."""
    word = state.partition(" ")[0].rstrip("+")
    why = MENDING.get(reason, reason).format(handle) if reason not in ("None", "") else None
    if word in WAITING:
        return State("queued", why or "waiting for Slurm to start it")
    if word in GOING:
        return State("running", "suspended by Slurm" if word in ("SUSPENDED", "STOPPED") else None)
    if word in ENDINGS:
        status, code, text = ENDINGS[word]
        return State("ended", f"{text} (Slurm job {handle}: {state})", status, code)
    return State("unknown", f"Slurm knows no job {handle}")


def _slurm(site: Site, *command: str, script: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, input=script, env=supervisor_env(site.env), capture_output=True, text=True, timeout=PATIENCE,
            check=False, stdin=None if script is not None else subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
    except FileNotFoundError as error:
        raise Unavailable(f"there is no {command[0]} here", hint="call snaprun on a login node") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{command[0]} gave no answer within {PATIENCE} s", hint="scontrol ping") from error


def _silent(said: str) -> bool:
    """Whether Slurm's words mean that its controller cannot be reached, which says nothing about a job."""
    return any(word in said for word in ("Unable to contact", "Connection refused", "timed out", "authentication"))


def _last(said: str) -> str:
    lines = [re.sub(r"^s\w+: (?:error|fatal): ", "", line.strip()) for line in said.splitlines() if line.strip()]
    return lines[0] if lines else "it gave no reason"


def _tidy(talk: Path) -> None:
    """Remove the files of earlier jobs that had nothing to say."""
    for path in talk.glob("*.log"):
        with suppress(FileNotFoundError):
            about = path.stat()
            if about.st_size == 0 and time.time() - about.st_mtime > DAY:
                path.unlink()


def _escaped(folder: Path) -> str:
    """A folder in an option where sbatch takes a per cent sign for a pattern."""
    return str(folder).replace("\\", "\\\\").replace("%", "%%")
