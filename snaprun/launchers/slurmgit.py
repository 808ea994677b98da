"""Launch runs as Slurm jobs that reach the project by a git URL alone: nodes without the repository's file system.

What travels is a run's id and the URL; :mod:`snaprun.remote.batch` is what the job does with them. Slurm says how a job
stands, the run's ref at the URL how the run ended.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from snaprun import programs
from snaprun.errors import Unavailable, UsageFault
from snaprun.git import farclaim
from snaprun.git.gitrepo import GitRepo
from snaprun.launchers import Lineup, News, Site, State, Submission, slurm
from snaprun.launchers.placement import write_placement
from snaprun.live.names import LOG_FILE
from snaprun.live.order import read_order
from snaprun.live.stoprequest import StopRequest

URL = "git-url"
DIR = "dir"
PYTHON = "python"
LOG = "log"
"""The options that are not sbatch's: where the project is, the folder for runs on the node, a Python there that has
snaprun, and a folder that the nodes and this machine share, for the output of jobs."""

KERNEL = "run-kernel"
INTERPRETER = "run-python"
DATA = "data:"
"""What ``--kernel``, ``--python`` and ``--data`` said, which are names of the node."""

OWN_OPTIONS = (URL, DIR, PYTHON, LOG, KERNEL, INTERPRETER)

NO_JOB = State("unknown", "it was not submitted, as far as this machine knows")


limit_options = slurm.limit_options


def check(site: Site) -> None:
    """Make sure that Slurm would take a job, and that the URL leads to a repository of this project's hash.

    Raises:
        UsageFault: an option makes no sense. SnaprunError: Slurm or the repository cannot be reached.
    """
    url = site.options.get(URL, "")
    if not re.match(r"[a-z+]+://|/|[A-Za-z0-9][\w.@-]*:(?!/)|[A-Za-z0-9][\w.@-]*:/[^/]", url):
        raise UsageFault(f"{URL}={url} means nothing on a node", hint=f"--slurm '{URL}=ssh://login/home/me/project'")
    folder = site.options.get(DIR)
    if folder is not None and not folder.startswith(("/", "~/", "$")):
        raise UsageFault(f"{DIR}={folder}: want a folder of the node, from /", hint=f"--slurm {DIR}=/scratch/me/runs")
    if site.options.get(LOG) and not os.path.isdir(site.options[LOG]):
        raise UsageFault(f"{LOG}={site.options[LOG]}: there is no such folder here", hint=f"mkdir {site.options[LOG]}")
    slurm.check(_slurm_site(site))
    farclaim.read_tips(GitRepo(site.place), url, [], env=git_env(site))


def notes(site: Site) -> list[str]:
    """As ``check``; where nothing shows the log while the run goes on, that."""
    check(site)
    if site.options.get(LOG):
        return []
    return [f"its log comes with the result (--slurm {LOG}=/folder/that/is/shared shows it before)"]


def submit(site: Site, runs: Sequence[Submission]) -> list[str]:
    """Put the snapshots at the URL, and submit the runs as one job. Raises as :func:`check`."""
    repo, url = GitRepo(site.place), site.options[URL]
    farclaim.publish(repo, url, [run.run for run in runs], env=git_env(site))
    instructions = json.dumps(_instructions(site, repo, runs[0].live))
    python = site.options.get(PYTHON, sys.executable)

    def script(part: Sequence[Submission]) -> str:
        return slurm.batch_script(part, [run.run for run in part], [python, "-m", programs.SLURM_BATCH], [instructions])

    log = site.options.get(LOG, "/tmp").replace("\\", "\\\\").replace("%", "%%").rstrip("/")
    jobs = slurm.submit_arrays(_slurm_site(site), runs, script, f"{log}/snaprun-{os.getuid()}-", ".log")
    return [_format_handle(job, url, run.run, site.options.get(LOG)) for job, run in zip(jobs, runs, strict=True)]


def poll(site: Site, handles: Sequence[str]) -> list[State]:
    """How these jobs stand. Raises Unavailable where Slurm does not answer."""
    jobs = _resolve_jobs(site, handles)
    states = dict(zip(jobs, slurm.poll(site, list(jobs.values())), strict=True)) if jobs else {}
    return [states.get(handle, NO_JOB) for handle in handles]


def cancel(site: Site, handle: str, request: StopRequest) -> bool:
    """Ask that a job ends. Raises Unavailable."""
    return bool(cancel_all(site, [handle], request))


def cancel_all(site: Site, handles: Sequence[str], request: StopRequest) -> list[str]:
    """The same of many; the second of two interrupts ends a run at once. Raises Unavailable."""
    jobs = {job: handle for handle, job in _resolve_jobs(site, handles).items()}
    stop_request = replace(request, signal=2) if request.kill else request
    cancelled_jobs = slurm.cancel_all(site, list(jobs), stop_request) if jobs else []
    if request.kill and cancelled_jobs:
        slurm.cancel_all(site, cancelled_jobs, stop_request)
    return [jobs[job] for job in cancelled_jobs]


def handle(site: Site, run: str) -> str:
    """The handle of a run that is about to be submitted: no job is known yet."""
    return _format_handle("", site.options[URL], run, site.options.get(LOG))


def host(handle: str) -> str:  # noqa: ARG001
    """Whose word counts: which node it will be, nobody knows before."""
    return "Slurm"


def news(site: Site, offsets: Mapping[str, Mapping[str, int]]) -> dict[str, News]:
    """What is new of these runs. Raises SnaprunError where Slurm or the repository cannot be reached."""
    states = dict(zip(offsets, poll(site, list(offsets)), strict=True))
    handles_by_url: dict[str, list[str]] = {}
    for handle, state in states.items():
        if state.state in ("ended", "unknown"):
            handles_by_url.setdefault(parse_handle(handle)[1], []).append(handle)
    tips: dict[str, str] = {}
    for url, handles in handles_by_url.items():
        runs = {parse_handle(handle)[2]: handle for handle in handles}
        remote_tips = farclaim.read_tips(GitRepo(site.place), url, list(runs), env=git_env(site))
        tips.update({runs[run]: tip for run, tip in remote_tips.items() if tip != run})
    return {handle: _news(handle, state, tips.get(handle), offsets[handle]) for handle, state in states.items()}


def artifact(site: Site, handle: str, sha256: str, path: Path) -> bool:  # noqa: ARG001
    """Large files stay on the node.

    Raises:
        Unavailable: always.
    """
    raise Unavailable(
        "the large files of a job that has the project by git only stay on its node", hint="sacct -o NodeList"
    )


def git_env(site: Site) -> dict[str, str]:
    """What git needs in its environment to go there."""
    return farclaim.ssh_env(site.env)


def parse_handle(handle: str) -> tuple[str, str, str, str]:
    """The job (empty: not known), the URL, the run, and the folder of its output (empty: not shared)."""
    job, _, remainder = handle.partition("@")
    location, _, run = remainder.rpartition("#")
    folder, _, url = location.partition("|")
    return job, url, run, folder


def _resolve_jobs(site: Site, handles: Sequence[str]) -> dict[str, str]:
    """The job of each handle. Those that nobody has noted down are looked for, and noted when they are found."""
    parts = {handle: parse_handle(handle) for handle in handles}
    jobs = {handle: job for handle, (job, _, _, _) in parts.items() if job}
    runs = {run: handle for handle, (_, _, run, _) in parts.items() if handle not in jobs}
    for run, job in (slurm.find_jobs(site, list(runs)) if runs else {}).items():
        jobs[runs[run]] = job
        _, url, _, folder = parts[runs[run]]
        with suppress(FileNotFoundError):  # it has just ended
            write_placement(site.place.live / run, "slurm-git", _format_handle(job, url, run, folder))
    return jobs


def _format_handle(job: str, url: str, run: str, log: str | None) -> str:
    return f"{job}@{log or ''}|{url}#{run}"


def _news(handle: str, state: State, tip: str | None, offsets: Mapping[str, int]) -> News:
    offset = offsets.get(LOG_FILE, 0)
    data = _read_log(handle, offset) if offset >= 0 else b""
    return News(State("ended") if tip else state, {LOG_FILE: data} if data else {}, tip, parse_handle(handle)[1])


def _read_log(handle: str, offset: int) -> bytes:
    """What the job has printed, where its output lies in a shared folder: the run's own log, and Slurm's words."""
    job, _, _, folder = parse_handle(handle)
    if not folder or not job:
        return b""
    try:
        with Path(folder, f"snaprun-{os.getuid()}-{job}.log").open("rb") as file:
            file.seek(offset)
            return file.read()
    except OSError:
        return b""


def _slurm_site(site: Site) -> Site:
    """What of it Slurm has to do with."""
    options = {
        name: value for name, value in site.options.items() if name not in OWN_OPTIONS and not name.startswith(DATA)
    }
    return replace(site, options=options)


def _instructions(site: Site, repo: GitRepo, live: Path) -> dict[str, Any]:
    """What a job has to know: where the project is, and what else the start of a run over ssh is told."""
    lineup = site.lineup or Lineup()
    return {
        **read_order(live).portable_part(),
        "url": site.options[URL],
        "dir": site.options.get(DIR),
        "hash": repo.hash_name(),
        "retries": lineup.retries,
        "after": lineup.after,
        "kernel": site.options.get(KERNEL),
        "python": site.options.get(INTERPRETER),
        "data": {name.removeprefix(DATA): path for name, path in site.options.items() if name.startswith(DATA)},
    }
