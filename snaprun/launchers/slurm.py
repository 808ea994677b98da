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
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from snaprun import programs
from snaprun.errors import Unavailable, UsageFault
from snaprun.launchers import AWAITED, Lineup, Site, State, Submission, note, noted
from snaprun.launchers.slurmcall import DEPENDENCY, JOBS, ONCE, call, sbatch, words
from snaprun.launchers.slurmstates import GOING, WAITING, queue, states, word
from snaprun.live.stoprequest import Request

HONOURS = ("jobs", "retries", "after")
"""What it heeds of a sweep's line-up: an array's throttle, the requeueing of a job, and a dependency."""

NEVER = State("unknown", "no job was submitted for it, as far as Slurm knows")

DAY = 86400.0

TYPED = "(null)"
"""What squeue calls the file of a script that came by standard input, as ours do, in the folder ``/``."""

MANY = 1000
"""Jobs in one call of scancel, and tasks of an array where Slurm does not say how many it takes (its default)."""


def check(site: Site) -> None:
    """Make sure that Slurm answers, and would take a job with these options.

    Raises:
        Unavailable: there is no Slurm, or its controller does not answer. UsageFault: it refuses an option.
    """
    if shutil.which("sbatch", path=site.env.get("PATH")) is None:
        raise Unavailable("Slurm is not installed here: there is no sbatch", hint="call snaprun on a login node")
    sbatch(site, [*_taking_turns(site), "--test-only"], "#!/bin/sh\ntrue\n")


def submit(site: Site, runs: Sequence[Submission]) -> list[str]:
    """Submit these runs as one job, an array when they are more than one. Raises as :func:`check`."""
    talk = site.place.state / "slurm"
    talk.mkdir(mode=0o700, exist_ok=True)
    _tidy(talk)
    how = site.lineup or Lineup()
    after = ["--after", how.after] if how.after else []
    job = [sys.executable, "-m", programs.SLURM_JOB, "--retries", str(how.retries), *after]

    def script(part: Sequence[Submission]) -> str:
        return batch(part, [os.fspath(run.live) for run in part], job, [os.fspath(site.place.top)])

    return arrays(site, runs, script, f"{_escaped(talk)}/", ".log")


def arrays(
    site: Site, runs: Sequence[Submission], script: Callable[[Sequence[Submission]], str], before: str, after: str
) -> list[str]:
    """Submit runs as arrays as large as Slurm takes them; ``before`` and ``after`` a job's number name its output.

    Where only some may work at a time, each array begins when the one before is over. Raises as :func:`check`; nothing
    of it is left in Slurm then.
    """
    most = _most(site) if len(runs) > 1 else 1
    parts = [runs[start : start + most] for start in range(0, len(runs), most)]
    handles: list[str] = []
    jobs: list[str] = []
    try:
        for part in parts:
            previous = jobs[-1] if jobs and _throttle(site) else None
            output = f"--output={before}{'%A_%a' if len(part) > 1 else '%j'}{after}"
            options = [*_named(site, part), *_array(site, part), *_taking_turns(site, previous), output]
            said = sbatch(site, [*options, "--open-mode=append", "--chdir=/", "--export=ALL"], script(part))
            jobs.append(_number(said))
            handles += [f"{jobs[-1]}_{number}" for number in range(len(part))] if len(part) > 1 else jobs[-1:]
    except BaseException:  # sbatch too may have been cut off after it had said all to the controller
        with suppress(Unavailable):
            jobs += sought(site, [run.run for run in runs]).values()
        for job in dict.fromkeys(job.partition("_")[0] for job in jobs):
            call(site, "scancel", "--quiet", job)
        raise
    return handles


def batch(part: Sequence[Submission], first: Sequence[str], job: Sequence[str], rest: Sequence[str]) -> str:
    """The batch script: a task takes its word of ``first``, one a run, and becomes ``job`` with it and the ``rest``."""
    assert len(part) == len(first)
    call = f'exec {shlex.join(job)} "$1" {shlex.join(rest)}'
    return f'#!/bin/sh\nset -- {shlex.join(first)}\nshift "${{SLURM_ARRAY_TASK_ID:-0}}"\n{call}\n'


def handle(site: Site, run: str) -> str:  # noqa: ARG001
    """The handle of a run that is about to be submitted: its job is looked for by its script."""
    return AWAITED + run


def poll(site: Site, handles: Sequence[str]) -> list[State]:
    """How these jobs stand, with Slurm's reason. Raises Unavailable where Slurm does not answer."""
    jobs = _jobs(site, handles)
    known = states(site, list(jobs.values())) if jobs else {}
    return [known[jobs[handle]] if handle in jobs else NEVER for handle in handles]


def sought(site: Site, runs: Sequence[str]) -> dict[str, str]:
    """The jobs of these runs by what their scripts say, for runs whose command was killed before it noted the job.

    Raises:
        Unavailable: Slurm does not answer.
    """
    done = call(site, "squeue", "-h", "-u", str(os.getuid()), "-t", "all", "-o", "%F|%Z|%o")
    if done.returncode:
        raise Unavailable(f"Slurm does not answer: {words(done.stderr)}", hint="scontrol ping")
    jobs = dict.fromkeys(line.partition("|")[0] for line in done.stdout.splitlines() if line.endswith(f"|/|{TYPED}"))
    found: dict[str, str] = {}
    for job in jobs:
        tasks = _tasks(call(site, "scontrol", "write", "batch_script", job, "-").stdout)
        for number, run in enumerate(tasks):
            if run in runs:
                found[run] = f"{job}_{number}" if len(tasks) > 1 else job
    return found


def cancel(site: Site, handle: str, request: Request) -> bool:
    """Ask that a job ends: one that waits goes at once, one that runs gets the signal. Raises Unavailable."""
    return bool(cancel_all(site, [handle], request))


def cancel_all(site: Site, handles: Sequence[str], request: Request) -> list[str]:
    """The same of many jobs in one go; those that there was something to end of. Raises Unavailable."""
    jobs = _jobs(site, handles)
    found = {job: word(state) for job, (state, _) in queue(site, list(jobs.values())).items()} if jobs else {}
    name = signal.Signals(request.signal).name.removeprefix("SIG")
    waiting = [job for job in jobs.values() if found.get(job) in WAITING]
    going = [job for job in jobs.values() if found.get(job) in GOING]
    for extra, some in (([], waiting), (["--batch", f"--signal={name}"], going)):
        for start in range(0, len(some), MANY):
            done = call(site, "scancel", "--quiet", *extra, *some[start : start + MANY])
            if done.returncode and "Invalid job id" not in done.stderr:  # one of them has just ended
                raise Unavailable(f"scancel failed: {words(done.stderr)}", hint=f"scancel {some[0]}")
    asked = {*waiting, *going}
    return [handle for handle, job in jobs.items() if job in asked]


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


def _named(site: Site, part: Sequence[Submission]) -> list[str]:
    name = "snaprun" if len(part) > 1 else f"snaprun-{part[0].run[:8]}"
    return [] if "job-name" in site.options else ["--job-name", name]


def _array(site: Site, part: Sequence[Submission]) -> list[str]:
    throttle = _throttle(site)
    return ["--array", f"0-{len(part) - 1}{f'%{throttle}' if throttle else ''}"] if len(part) > 1 else []


def _throttle(site: Site) -> str | None:
    """How many runs may work at a time: as said to Slurm, else as said to the sweep."""
    jobs = site.lineup.jobs if site.lineup else None
    return site.options.get(JOBS) or (str(jobs) if jobs else None)


def _taking_turns(site: Site, previous: str | None = None) -> list[str]:
    """What lets a job be tried again, and wait for others: the job ``previous``, and the run that the sweep is to
    follow. Whether that has succeeded, the job itself looks: one that can never start would wait for ever.

    Raises:
        UsageFault: Slurm has nothing to do with that run, or may not start a job again.
    """
    how = site.lineup or Lineup()
    if how.retries and ONCE in site.options:
        raise UsageFault(f"--retries lets Slurm start jobs again, {ONCE} forbids it", hint=f"leave {ONCE} out")
    waits = [site.options[DEPENDENCY]] if site.options.get(DEPENDENCY) else []
    waits += [f"afterany:{previous}"] if previous else []
    if how.after:
        told = noted(site.place.live / how.after)
        first = told.handle.partition("@")[0] if told is not None and told.launcher.startswith("slurm") else ""
        first = next(iter(_jobs(site, [first]).values()), "") if first else ""
        if not first:
            text = f"run {how.after[:8]} is no job of Slurm: none of its jobs can wait for it"
            raise UsageFault(text, hint=f"snaprun wait {how.after[:8]}, then the sweep without --after")
        waits.append(f"afterany:{first}")
    return [*(["--requeue"] if how.retries else []), *([f"--{DEPENDENCY}={','.join(waits)}"] if waits else [])]


def _most(site: Site) -> int:
    """How many tasks an array may have: the highest index is one less than MaxArraySize; 0 forbids arrays."""
    found = re.search(r"(?m)^MaxArraySize\s*=\s*(\d+)", call(site, "scontrol", "show", "config").stdout)
    return max(1, int(found[1])) if found else MANY


def _jobs(site: Site, handles: Sequence[str]) -> dict[str, str]:
    """The job of each handle. Those that nobody has noted down are looked for, and noted when they are found."""
    jobs = {handle: handle for handle in handles if not handle.startswith(AWAITED)}
    runs = {handle.removeprefix(AWAITED): handle for handle in handles if handle not in jobs}
    for run, job in (sought(site, list(runs)) if runs else {}).items():
        jobs[runs[run]] = job
        with suppress(FileNotFoundError):  # it has just ended
            note(site.place.live / run, "slurm", job)
    return jobs


def _tasks(script: str) -> list[str]:
    """The runs of a batch script of ours, in the order of its tasks; none of any other one."""
    try:
        said = shlex.split(script)
    except ValueError:
        return []
    if said[:3] != ["#!/bin/sh", "set", "--"] or "shift" not in said:
        return []
    return [Path(word).name for word in said[3 : said.index("shift")]]


def _number(said: str) -> str:
    """The number of a job that sbatch has just taken; after it, there may be the name of a cluster.

    Raises:
        UsageFault: sbatch has submitted none.
    """
    number = said.partition(";")[0].strip()
    if not number.isdigit():
        raise UsageFault(f"sbatch has submitted nothing: {words(said)}", hint="--slurm partition=NAME,time=4:00:00")
    return number


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
