"""Ask how jobs of Slurm stand: its controller, then its accounting, and what their words mean for a run."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snaprun.errors import Unavailable
from snaprun.launchers import Site, State
from snaprun.launchers.slurmcall import call, first_error, plain_env
from snaprun.model import FAULT_CODE, KILL_CODE, TERM_CODE, TIMEOUT_CODE, timestamp
from snaprun.statuses import Status

PENDING_STATES = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
RUNNING_STATES = {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT"}
ENDINGS = {
    "COMPLETED": (Status.LOST, FAULT_CODE, "the job ended without a result"),
    "FAILED": (Status.LOST, FAULT_CODE, "the job failed before there was a result"),
    "TIMEOUT": (Status.TIMED_OUT, TIMEOUT_CODE, "the job took longer than its time limit"),
    "DEADLINE": (Status.TIMED_OUT, TIMEOUT_CODE, "the job missed its deadline"),
    "CANCELLED": (Status.STOPPED, TERM_CODE, "the job was cancelled"),
    "PREEMPTED": (Status.LOST, FAULT_CODE, "the job was preempted"),
    "NODE_FAIL": (Status.LOST, FAULT_CODE, "its node failed"),
    "BOOT_FAIL": (Status.LOST, FAULT_CODE, "its node did not boot"),
    "OUT_OF_MEMORY": (Status.FAILED, KILL_CODE, "the job ran out of memory"),
    "REVOKED": (Status.LOST, FAULT_CODE, "the job went to another cluster"),
}
"""What the states of https://slurm.schedmd.com/squeue.html#SECTION_JOB-STATE-CODES mean for a run without a result."""

REASON_TEXTS = {
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
    rows = query_queue(site, jobs)
    absent = [job for job in jobs if job not in rows]
    account_rows = _query_accounting(site, absent) if absent else {}
    return {job: _job_state(job, rows, account_rows) for job in jobs}


def query_queue(site: Site, handles: Sequence[str]) -> dict[str, tuple[str, str]]:
    """State and reason of the jobs that the controller knows: those that wait, run, or ended a few minutes ago."""
    jobs = ",".join(dict.fromkeys(handle.partition("_")[0] for handle in handles))  # arrays as a whole
    process = call(site, "squeue", "-h", "-r", "-t", "all", "-j", jobs, "-o", "%i|%T|%r")
    if process.returncode and "Invalid job id" not in process.stderr:
        raise Unavailable(f"Slurm does not answer: {first_error(process.stderr)}", hint="scontrol ping")
    return _parse_rows(process.stdout, handles)


def _query_accounting(site: Site, handles: Sequence[str]) -> dict[str, tuple[str, str]]:
    """The same from the accounting, which lags some seconds; nothing where there is none. A task that never began has
    no line of its own: where its array has some, it waits, as far as the books say.

    Raises:
        Unavailable: the accounting does not answer.
    """
    jobs = ",".join(dict.fromkeys(handle.partition("_")[0] for handle in handles))
    process = call(site, "sacct", "-n", "-P", "-X", "-j", jobs, "-o", "JobID,State,Reason")
    if process.returncode and "is disabled" not in process.stderr:
        raise Unavailable(f"Slurm's accounting does not answer: {first_error(process.stderr)}", hint=f"sacct -j {jobs}")
    rows = _parse_rows(process.stdout, handles)
    arrays = {line.partition("_")[0] for line in process.stdout.splitlines() if "_" in line.partition("|")[0]}
    return {**{job: ("PENDING", "") for job in handles if job.partition("_")[0] in arrays}, **rows}


def _parse_rows(output: str, handles: Sequence[str]) -> dict[str, tuple[str, str]]:
    """State and reason by handle, from lines of ``job|state|reason``. Tasks of an array that were cancelled before they
    began have one line together, under the array's number or as ``7_[3-9]``."""
    lines = [line.split("|", 2) for line in output.splitlines() if line.count("|") >= 2]
    rows = {job.partition("_[")[0]: (state, reason) for job, state, reason in lines}
    final_rows = {job: row for job, row in rows.items() if state_name(row[0]) in ENDINGS}
    matches = {handle: rows.get(handle) or final_rows.get(handle.partition("_")[0]) for handle in handles}
    return {handle: match for handle, match in matches.items() if match}


def _job_state(job: str, rows: Mapping[str, tuple[str, str]], account_rows: Mapping[str, tuple[str, str]]) -> State:
    """How a job stands, from what the controller knows and else the books. Of these an end counts only: they lag, and
    what a controller has lost, or what was cancelled before it began, runs and waits there for ever."""
    if job in rows:
        return state_of(job, *rows[job])
    name = state_name(account_rows.get(job, ("", ""))[0])
    if name in PENDING_STATES:
        reason = f"it was cancelled before it began, it seems (Slurm job {job})"
        return State("unknown", reason, Status.STOPPED, TERM_CODE)
    return state_of(job, *account_rows[job]) if name in ENDINGS else state_of(job, "", "")


def state_of(handle: str, state: str, reason: str) -> State:
    """What Slurm's words mean; ``CANCELLED by 1000`` is one of them."""
    name = state_name(state)
    explanation = REASON_TEXTS.get(reason, reason).format(handle) if reason not in ("None", "") else None
    if name in PENDING_STATES:
        return State("queued", explanation or "waiting for Slurm to start it")
    if name in RUNNING_STATES:
        return State("running", "suspended by Slurm" if name in ("SUSPENDED", "STOPPED") else None)
    if name in ENDINGS:
        status, code, text = ENDINGS[name]
        return State("ended", f"{text} (Slurm job {handle}: {state})", status, code)
    return State("unknown", f"Slurm knows no job {handle}")


def state_name(state: str) -> str:
    """The state itself, without who cancelled it."""
    return state.partition(" ")[0].rstrip("+")


def scontrol(*words: str, patience: float = 10.0) -> subprocess.CompletedProcess[str]:
    """Call scontrol; what it cannot answer in time is no answer."""
    command, env = ["scontrol", *words], plain_env(os.environ)
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=patience, check=False, env=env)
    except (OSError, subprocess.TimeoutExpired):
        return subprocess.CompletedProcess(words, 1, "", "")


@dataclass(frozen=True)
class JobState:
    """A job as Slurm's controller has it: its state, how often it was started again, when another job was preferred to
    it, its time limit and its end by that, all but the count in Slurm's words."""

    name: str = ""
    restarts: int = 0
    preempt_time: str = "None"
    time_limit: str = "UNLIMITED"
    end_time: str = "Unknown"

    @property
    def deadline(self) -> float | None:
        """When Slurm will end it, in seconds since the epoch; None without a limit, or where Slurm does not say."""
        has_limit = self.time_limit != "UNLIMITED" and self.end_time != "Unknown"
        return timestamp(self.end_time) if has_limit else None


def query_job(job: str, *, patience: float = 10.0) -> JobState:
    """How a job stands, as far as the controller answers. What is being ended reads COMPLETING, whatever it will read
    afterwards."""
    output = scontrol("show", "job", "-o", job, patience=patience).stdout
    words = dict(re.findall(r" (JobState|Restarts|PreemptTime|TimeLimit|EndTime)=(\S+)", output))
    return JobState(
        name=words.get("JobState", JobState.name),
        restarts=int(words.get("Restarts", JobState.restarts)),
        preempt_time=words.get("PreemptTime", JobState.preempt_time),
        time_limit=words.get("TimeLimit", JobState.time_limit),
        end_time=words.get("EndTime", JobState.end_time),
    )


def why_ended(job: str, restarts: int) -> str | None:
    """Why Slurm ends a job that it had started again so often; None where it does not end it."""
    state = query_job(job, patience=2.0)
    if state.restarts > restarts:
        return "the job is to be started again"
    if state.preempt_time != "None":
        return ENDINGS["PREEMPTED"][2]
    if state.name in ENDINGS:
        return ENDINGS[state.name][2]
    return "the job was ended" if state.name == "COMPLETING" else None
