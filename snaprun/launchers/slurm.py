"""Launch runs as Slurm jobs by Slurm's own commands: many runs are one array, the nodes share the file system.

What the job does, :mod:`snaprun.remote.slurmjob` says. ``squeue`` says how it stands, ``sacct`` (where there is any)
what became of it, and nothing that Slurm does not know of is ever taken for failed by that alone.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from snaprun import programs
from snaprun.errors import Unavailable, UsageFault
from snaprun.launchers import LAUNCHERS, PENDING_PREFIX, Lineup, Site, State, Submission
from snaprun.launchers.placement import read_placement, write_placement
from snaprun.launchers.slurmcall import DEPENDENCY, JOBS, NO_REQUEUE, call, first_error, sbatch
from snaprun.launchers.slurmstates import PENDING_STATES, RUNNING_STATES, query_queue, state_name, states
from snaprun.live.stoprequest import StopRequest

GPU_OPTIONS = ("gres", "gpus", "gpus-per-node", "gpus-per-socket", "gpus-per-task")
MEMORY_OPTIONS = ("mem", "mem-per-cpu", "mem-per-gpu")
"""Options of sbatch by which a user says how many GPUs and how much memory in another way: then they stand."""

OWN_MEMORY = 512 * 1000**2
"""Bytes that a job gets beyond the run's limit, for snaprun's own processes: the guard is to strike first."""

NO_JOB = State("unknown", "no job was submitted for it, as far as Slurm knows")

DAY = 86400.0

STDIN_SCRIPT = "(null)"
"""What squeue calls the file of a script that came by standard input, as ours do, in the folder ``/``."""

BATCH_SIZE = 1000
"""Jobs in one call of scancel, and tasks of an array where Slurm does not say how many it takes (its default)."""


def limit_options(options: Mapping[str, str], *, gpu_count: int | None, max_memory: int | None) -> dict[str, str]:
    """What Slurm is asked for, with what these limits mean to it, unless the user has said so in its words."""
    limits = {}
    if gpu_count and not any(name in options for name in GPU_OPTIONS):
        limits["gres"] = f"gpu:{gpu_count}"
    if max_memory and not any(name in options for name in MEMORY_OPTIONS):
        limits["mem"] = f"{-(-(max_memory + OWN_MEMORY) // 1024**2)}M"
    return {**options, **limits}


def check(site: Site) -> None:
    """Make sure that Slurm answers, and would take a job with these options.

    Raises:
        Unavailable: there is no Slurm, or its controller does not answer. UsageFault: it refuses an option.
    """
    if shutil.which("sbatch", path=site.env.get("PATH")) is None:
        raise Unavailable("Slurm is not installed here: there is no sbatch", hint="call snaprun on a login node")
    sbatch(site, [*_scheduling_options(site), "--test-only"], "#!/bin/sh\ntrue\n")


def submit(site: Site, runs: Sequence[Submission]) -> list[str]:
    """Submit these runs as one job, an array when they are more than one. Raises as :func:`check`."""
    log_folder = site.place.state / "slurm"
    log_folder.mkdir(mode=0o700, exist_ok=True)
    _remove_empty_logs(log_folder)
    lineup = site.lineup or Lineup()
    after_options = ["--after", lineup.after] if lineup.after else []
    command = [sys.executable, "-m", programs.SLURM_JOB, "--retries", str(lineup.retries), *after_options]

    def script(part: Sequence[Submission]) -> str:
        return batch_script(part, [os.fspath(run.live) for run in part], command, [os.fspath(site.place.top)])

    return submit_arrays(site, runs, script, f"{_escape(log_folder)}/", ".log")


def submit_arrays(
    site: Site, runs: Sequence[Submission], script: Callable[[Sequence[Submission]], str], prefix: str, suffix: str
) -> list[str]:
    """Submit runs as arrays as large as Slurm takes them; ``prefix``, a job's number and ``suffix`` name its output.

    Where only some may work at a time, each array begins when the one before is over. Raises as :func:`check`; nothing
    of it is left in Slurm then.
    """
    size = _max_array_size(site) if len(runs) > 1 else 1
    parts = [runs[start : start + size] for start in range(0, len(runs), size)]
    handles: list[str] = []
    jobs: list[str] = []
    try:
        for part in parts:
            previous = jobs[-1] if jobs and _throttle(site) else None
            output = f"--output={prefix}{'%A_%a' if len(part) > 1 else '%j'}{suffix}"
            options = [
                *_name_options(site, part),
                *_array_options(site, part),
                *_scheduling_options(site, previous),
                output,
            ]
            answer = sbatch(site, [*options, "--open-mode=append", "--chdir=/", "--export=ALL"], script(part))
            jobs.append(_job_number(answer))
            handles += [f"{jobs[-1]}_{number}" for number in range(len(part))] if len(part) > 1 else jobs[-1:]
    except BaseException:  # sbatch too may have been cut off after it had said all to the controller
        with suppress(Unavailable):
            jobs += find_jobs(site, [run.run for run in runs]).values()
        for job in dict.fromkeys(job.partition("_")[0] for job in jobs):
            call(site, "scancel", "--quiet", job)
        raise
    return handles


def batch_script(
    part: Sequence[Submission], task_arguments: Sequence[str], command: Sequence[str], common_arguments: Sequence[str]
) -> str:
    """The batch script: a task becomes ``command`` with its own of ``task_arguments``, then the common ones."""
    assert len(part) == len(task_arguments)
    line = f'exec {shlex.join(command)} "$1" {shlex.join(common_arguments)}'
    return f'#!/bin/sh\nset -- {shlex.join(task_arguments)}\nshift "${{SLURM_ARRAY_TASK_ID:-0}}"\n{line}\n'


def handle(site: Site, run: str) -> str:  # noqa: ARG001
    """The handle of a run that is about to be submitted: its job is looked for by its script."""
    return PENDING_PREFIX + run


def poll(site: Site, handles: Sequence[str]) -> list[State]:
    """How these jobs stand, with Slurm's reason. Raises Unavailable where Slurm does not answer."""
    jobs = _resolve_jobs(site, handles)
    job_states = states(site, list(jobs.values())) if jobs else {}
    return [job_states[jobs[handle]] if handle in jobs else NO_JOB for handle in handles]


def find_jobs(site: Site, runs: Sequence[str]) -> dict[str, str]:
    """The jobs of these runs by what their scripts say, for runs whose command was killed before it noted the job.

    Raises:
        Unavailable: Slurm does not answer.
    """
    process = call(site, "squeue", "-h", "-u", str(os.getuid()), "-t", "all", "-o", "%F|%Z|%o")
    if process.returncode:
        raise Unavailable(f"Slurm does not answer: {first_error(process.stderr)}", hint="scontrol ping")
    jobs = dict.fromkeys(
        line.partition("|")[0] for line in process.stdout.splitlines() if line.endswith(f"|/|{STDIN_SCRIPT}")
    )
    jobs_by_run: dict[str, str] = {}
    for job in jobs:
        tasks = _script_runs(call(site, "scontrol", "write", "batch_script", job, "-").stdout)
        for number, run in enumerate(tasks):
            if run in runs:
                jobs_by_run[run] = f"{job}_{number}" if len(tasks) > 1 else job
    return jobs_by_run


def cancel(site: Site, handle: str, request: StopRequest) -> bool:
    """Ask that a job ends: one that waits goes at once, one that runs gets the signal. Raises Unavailable."""
    return bool(cancel_all(site, [handle], request))


def cancel_all(site: Site, handles: Sequence[str], request: StopRequest) -> list[str]:
    """The same of many jobs in one go; those that there was something to end of. Raises Unavailable."""
    jobs = _resolve_jobs(site, handles)
    job_states = (
        {job: state_name(state) for job, (state, _) in query_queue(site, list(jobs.values())).items()} if jobs else {}
    )
    name = signal.Signals(request.signal).name.removeprefix("SIG")
    pending_jobs = [job for job in jobs.values() if job_states.get(job) in PENDING_STATES]
    running_jobs = [job for job in jobs.values() if job_states.get(job) in RUNNING_STATES]
    for options, group in (([], pending_jobs), (["--batch", f"--signal={name}"], running_jobs)):
        for start in range(0, len(group), BATCH_SIZE):
            process = call(site, "scancel", "--quiet", *options, *group[start : start + BATCH_SIZE])
            if process.returncode and "Invalid job id" not in process.stderr:  # one of them has just ended
                raise Unavailable(f"scancel failed: {first_error(process.stderr)}", hint=f"scancel {group[0]}")
    cancelled_jobs = {*pending_jobs, *running_jobs}
    return [handle for handle, job in jobs.items() if job in cancelled_jobs]


def _name_options(site: Site, part: Sequence[Submission]) -> list[str]:
    name = "snaprun" if len(part) > 1 else f"snaprun-{part[0].run[:8]}"
    return [] if "job-name" in site.options else ["--job-name", name]


def _array_options(site: Site, part: Sequence[Submission]) -> list[str]:
    throttle = _throttle(site)
    return ["--array", f"0-{len(part) - 1}{f'%{throttle}' if throttle else ''}"] if len(part) > 1 else []


def _throttle(site: Site) -> str | None:
    """How many runs may work at a time: as said to Slurm, else as said to the sweep."""
    jobs = site.lineup.jobs if site.lineup else None
    return site.options.get(JOBS) or (str(jobs) if jobs else None)


def _scheduling_options(site: Site, previous: str | None = None) -> list[str]:
    """What lets a job be tried again, and wait for others: the job ``previous``, and the run that the sweep is to
    follow. Whether that has succeeded, the job itself looks: one that can never start would wait for ever.

    Raises:
        UsageFault: Slurm has nothing to do with that run, or may not start a job again.
    """
    lineup = site.lineup or Lineup()
    if lineup.retries and NO_REQUEUE in site.options:
        raise UsageFault(
            f"--retries lets Slurm start jobs again, {NO_REQUEUE} forbids it", hint=f"leave {NO_REQUEUE} out"
        )
    dependencies = [site.options[DEPENDENCY]] if site.options.get(DEPENDENCY) else []
    dependencies += [f"afterany:{previous}"] if previous else []
    if lineup.after:
        placement = read_placement(site.place.live / lineup.after)
        owner = LAUNCHERS.get(placement.launcher) if placement is not None else None
        is_job = owner is not None and owner.option == "slurm"
        job = placement.handle.partition("@")[0] if placement is not None and is_job else ""
        job = next(iter(_resolve_jobs(site, [job]).values()), "") if job else ""
        if not job:
            text = f"run {lineup.after[:8]} is no job of Slurm: none of its jobs can wait for it"
            raise UsageFault(text, hint=f"snaprun wait {lineup.after[:8]}, then the sweep without --after")
        dependencies.append(f"afterany:{job}")
    return [
        *(["--requeue"] if lineup.retries else []),
        *([f"--{DEPENDENCY}={','.join(dependencies)}"] if dependencies else []),
    ]


def _max_array_size(site: Site) -> int:
    """How many tasks an array may have: the highest index is one less than MaxArraySize; 0 forbids arrays."""
    match = re.search(r"(?m)^MaxArraySize\s*=\s*(\d+)", call(site, "scontrol", "show", "config").stdout)
    return max(1, int(match[1])) if match else BATCH_SIZE


def _resolve_jobs(site: Site, handles: Sequence[str]) -> dict[str, str]:
    """The job of each handle. Those that nobody has noted down are looked for, and noted when they are found."""
    jobs = {handle: handle for handle in handles if not handle.startswith(PENDING_PREFIX)}
    runs = {handle.removeprefix(PENDING_PREFIX): handle for handle in handles if handle not in jobs}
    for run, job in (find_jobs(site, list(runs)) if runs else {}).items():
        jobs[runs[run]] = job
        with suppress(FileNotFoundError):  # it has just ended
            write_placement(site.place.live / run, "slurm", job)
    return jobs


def _script_runs(script: str) -> list[str]:
    """The runs of a batch script of ours, in the order of its tasks; none of any other one."""
    try:
        tokens = shlex.split(script)
    except ValueError:
        return []
    if tokens[:3] != ["#!/bin/sh", "set", "--"] or "shift" not in tokens:
        return []
    return [Path(token).name for token in tokens[3 : tokens.index("shift")]]


def _job_number(answer: str) -> str:
    """The number of a job that sbatch has just taken; after it, there may be the name of a cluster.

    Raises:
        UsageFault: sbatch has submitted none.
    """
    number = answer.partition(";")[0].strip()
    if not number.isdigit():
        raise UsageFault(
            f"sbatch has submitted nothing: {first_error(answer)}", hint="--slurm partition=NAME,time=4:00:00"
        )
    return number


def _remove_empty_logs(folder: Path) -> None:
    """Remove the files of earlier jobs that had nothing to say."""
    for path in folder.glob("*.log"):
        with suppress(FileNotFoundError):
            stat = path.stat()
            if stat.st_size == 0 and time.time() - stat.st_mtime > DAY:
                path.unlink()


def _escape(folder: Path) -> str:
    """A folder in an option where sbatch takes a per cent sign for a pattern."""
    return str(folder).replace("\\", "\\\\").replace("%", "%%")
