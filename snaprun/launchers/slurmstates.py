"""How jobs of Slurm stand: what its controller knows, what its books say, and what its words mean for a run."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence

from snaprun.errors import Unavailable
from snaprun.launchers import Site, State
from snaprun.launchers.slurmcall import call, plain, words

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
    "Dependency": "waits for another job",
    "BeginTime": "its begin time has not come (a job that is started again waits two minutes)",
    "DependencyNeverSatisfied": "its dependency can never be satisfied: snaprun stop ends the waiting",
    "PartitionTimeLimit": "it asks for more time than the partition gives",
    "PartitionNodeLimit": "it asks for more nodes than the partition has",
    "launch failed requeued held": "it could not be started and is held: scontrol release {}",
}


def states(site: Site, jobs: Sequence[str]) -> dict[str, State]:
    """How these jobs stand, with Slurm's reason. Raises Unavailable where Slurm does not answer."""
    known = queue(site, jobs)
    missing = [job for job in jobs if job not in known]
    books = _accounted(site, missing) if missing else {}
    return {job: _seen(job, known, books) for job in jobs}


def queue(site: Site, handles: Sequence[str]) -> dict[str, tuple[str, str]]:
    """State and reason of the jobs that the controller knows: those that wait, run, or ended a few minutes ago."""
    jobs = ",".join(dict.fromkeys(handle.partition("_")[0] for handle in handles))  # arrays as a whole
    done = call(site, "squeue", "-h", "-r", "-t", "all", "-j", jobs, "-o", "%i|%T|%r")
    if done.returncode and "Invalid job id" not in done.stderr:
        raise Unavailable(f"Slurm does not answer: {words(done.stderr)}", hint="scontrol ping")
    return _rows(done.stdout, handles)


def _accounted(site: Site, handles: Sequence[str]) -> dict[str, tuple[str, str]]:
    """The same from the accounting, which lags some seconds; nothing where there is none. A task that never began has
    no line of its own: where its array has some, it waits, as far as the books say.

    Raises:
        Unavailable: the accounting does not answer.
    """
    jobs = ",".join(dict.fromkeys(handle.partition("_")[0] for handle in handles))
    done = call(site, "sacct", "-n", "-P", "-X", "-j", jobs, "-o", "JobID,State,Reason")
    if done.returncode and "is disabled" not in done.stderr:
        raise Unavailable(f"Slurm's accounting does not answer: {words(done.stderr)}", hint=f"sacct -j {jobs}")
    found = _rows(done.stdout, handles)
    arrays = {line.partition("_")[0] for line in done.stdout.splitlines() if "_" in line.partition("|")[0]}
    return {**{job: ("PENDING", "") for job in handles if job.partition("_")[0] in arrays}, **found}


def _rows(said: str, handles: Sequence[str]) -> dict[str, tuple[str, str]]:
    """State and reason by handle, from lines of ``job|state|reason``. Tasks of an array that were cancelled before they
    began have one line together, under the array's number or as ``7_[3-9]``."""
    lines = [line.split("|", 2) for line in said.splitlines() if line.count("|") >= 2]
    found = {job.partition("_[")[0]: (state, reason) for job, state, reason in lines}
    over = {job: about for job, about in found.items() if word(about[0]) in ENDINGS}
    both = {handle: found.get(handle) or over.get(handle.partition("_")[0]) for handle in handles}
    return {handle: known for handle, known in both.items() if known}


def _seen(job: str, known: Mapping[str, tuple[str, str]], books: Mapping[str, tuple[str, str]]) -> State:
    """How a job stands, from what the controller knows and else the books. Of these an end counts only: they lag, and
    what a controller has lost, or what was cancelled before it began, runs and waits there for ever."""
    if job in known:
        return state_of(job, *known[job])
    name = word(books.get(job, ("", ""))[0])
    if name in WAITING:
        return State("unknown", f"it was cancelled before it began, it seems (Slurm job {job})", "stopped", 143)
    return state_of(job, *books[job]) if name in ENDINGS else state_of(job, "", "")


def state_of(handle: str, state: str, reason: str) -> State:
    """What Slurm's words mean; ``CANCELLED by 1000`` is one of them."""
    name = word(state)
    why = MENDING.get(reason, reason).format(handle) if reason not in ("None", "") else None
    if name in WAITING:
        return State("queued", why or "waiting for Slurm to start it")
    if name in GOING:
        return State("running", "suspended by Slurm" if name in ("SUSPENDED", "STOPPED") else None)
    if name in ENDINGS:
        status, code, text = ENDINGS[name]
        return State("ended", f"{text} (Slurm job {handle}: {state})", status, code)
    return State("unknown", f"Slurm knows no job {handle}")


def word(state: str) -> str:
    """The state itself, without who cancelled it."""
    return state.partition(" ")[0].rstrip("+")


def scontrol(*words: str, patience: float = 10.0) -> subprocess.CompletedProcess[str]:
    """Call scontrol; what it cannot answer in time is no answer."""
    call, env = ["scontrol", *words], plain(os.environ)
    try:
        return subprocess.run(call, capture_output=True, text=True, timeout=patience, check=False, env=env)
    except (OSError, subprocess.TimeoutExpired):
        return subprocess.CompletedProcess(words, 1, "", "")


def why_ended(job: str, restarts: int) -> str | None:
    """Why Slurm ends a job that it had started again so often; None where it does not end it. One that is being ended
    reads COMPLETING, whatever it will read afterwards."""
    said = scontrol("show", "job", "-o", job, patience=2.0).stdout
    about = dict(re.findall(r" (JobState|PreemptTime|Restarts)=(\S+)", said))
    if int(about.get("Restarts", 0)) > restarts:
        return "the job is to be started again"
    if about.get("PreemptTime", "None") != "None":
        return ENDINGS["PREEMPTED"][2]
    state = about.get("JobState", "")
    return ENDINGS[state][2] if state in ENDINGS else "the job was ended" if state == "COMPLETING" else None
