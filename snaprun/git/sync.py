"""Carry runs between repositories: push a snapshot to where it will run, fetch results from where they were made.

Every refspec is spelled out, no configured one is used, no tag comes along. What arrives is checked before a run's ref
moves, so that a cut connection or a foreign ref changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from snaprun.errors import DataFault, Denied, SnaprunError, Unavailable, WriteFault
from snaprun.git.gitchild import out_of_space
from snaprun.git.gitrepo import GitRepo
from snaprun.model import RUN_REF

INCOMING = "refs/snaprun/incoming/"
"""On the far side: snapshots that have arrived and that nobody has claimed yet."""

FETCHED = "refs/snaprun/fetched/"
"""On this side: what has arrived and is not checked yet."""

PLAIN = ("-c", "push.followTags=false", "-c", "push.gpgSign=false", "-c", "push.recurseSubmodules=no")


def push(repo: GitRepo, url: str, runs: Sequence[str], *, env: Mapping[str, str]) -> None:
    """Push the snapshots of these runs to a repository, in one go; ``env`` says how to reach it.

    Raises:
        SnaprunError: it cannot be reached or written; nothing of it is claimed then.
    """
    specs = [f"{run}:{INCOMING}{run}" for run in runs]
    args = ("push", "--quiet", "--no-verify", "--atomic", "--end-of-options", url, *specs)
    done = repo.run(*args, env=env, options=PLAIN, ok=())
    if done.code:
        raise fault(done.err, url)


def fetch(repo: GitRepo, url: str, runs: Sequence[str], *, env: Mapping[str, str]) -> dict[str, str]:
    """Fetch the results of these runs, in one go, and move their refs on; the result commit of each.

    A run that has a result here already keeps it.

    Raises:
        SnaprunError: the repository cannot be reached or has not all of them. DataFault: what came is no result.
    """
    specs = [f"+{RUN_REF}{run}:{FETCHED}{run}" for run in runs]
    quiet = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--refmap=")
    done = repo.run("fetch", *quiet, "--end-of-options", url, *specs, env=env, ok=())
    if done.code:
        raise fault(done.err, url)
    return {run: accept(repo, run) for run in runs}


def accept(repo: GitRepo, run: str) -> str:
    """Move a run's ref on to the result that has arrived; where it stands then.

    Raises:
        DataFault: what has arrived is no result of this run.
    """
    arrived = repo.refs(FETCHED + run).get(FETCHED + run)
    if arrived is None:
        raise DataFault(f"the result of run {run[:8]} did not arrive", hint=f"snaprun fetch {run[:8]}")
    old = repo.refs(RUN_REF + run).get(RUN_REF + run)
    first = repo.resolve(f"{arrived}^1")
    if arrived == run or first != run:
        repo.delete_ref(FETCHED + run, arrived)
        raise DataFault(f"{arrived[:8]} is no result of run {run[:8]}", hint=f"git log {arrived[:8]}")
    if old is None or old == run or _later(repo, arrived, old):
        repo.move_ref(RUN_REF + run, arrived, old)
        old = arrived
    repo.delete_ref(FETCHED + run, arrived)
    return old


def fault(said: str, url: str) -> SnaprunError:
    """The error that fits what ssh, or git over ssh, has said."""
    where = re.sub(r"^ssh://([^/]+).*", r"\1", url)
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("@@@")]
    why = next((line for line in lines if _telling(line)), lines[-1] if lines else "it gave no reason")
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in said:
        return Denied(f"the host key of {where} has changed", hint=f"if that is right: ssh-keygen -R {where}")
    if "Host key verification failed" in said:
        return Denied(f"the host key of {where} is not known yet", hint=f"ssh {where}, and accept its key")
    if "Permission denied (" in said or "Too many authentication failures" in said:
        return Denied(f"{where} lets nobody in without a question: {why}", hint=f"ssh-add, ssh-copy-id {where}")
    if out_of_space(said):
        return WriteFault(f"the disk of {where} is full: {why}", hint=f"ssh {where} df -h")
    if "Permission denied" in said or "insufficient permission" in said or "dubious ownership" in said:
        return Denied(f"{where}: {why}", hint=f"ssh {where}, and look who owns the folder")
    return Unavailable(f"{where} cannot be reached: {why}", hint=f"ssh {where}")


def _later(repo: GitRepo, new: str, old: str) -> bool:
    """Whether ``new`` is the result of a further attempt after ``old``."""
    return repo.run("merge-base", "--is-ancestor", old, new, ok=()).code == 0


def _telling(line: str) -> bool:
    return line.startswith(("ssh:", "fatal:", "error:", "kex_")) and "Could not read from remote" not in line
