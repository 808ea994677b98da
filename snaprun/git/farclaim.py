"""Claim a run for a job in a git repository that both sides reach by a URL, and give its result back there.

The snapshot lies there as ``refs/snaprun/runs/<id>``. A job claims it by making ``refs/snaprun/claims/<id>``, which
only one can, and moves the run's ref on to the result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from snaprun.errors import Busy, DataFault, SnaprunError
from snaprun.git.gitrepo import GitRepo
from snaprun.git.sync import FETCH_OPTIONS, FETCHED_REF, fault, push_refs
from snaprun.model import RUN_REF

CLAIM_REF = "refs/snaprun/claims/"
"""One ref below here while a job has a run: a blob that says which."""

NO_MAINTENANCE = ("-c", "gc.auto=0", "-c", "maintenance.auto=false")
"""Many jobs may fetch into one repository at a time."""


@dataclass(frozen=True)
class FarClaim:
    """Who has a run: Slurm's name of the job, how often Slurm has started it again, where it is, which attempt."""

    job: str
    restarts: int
    host: str
    attempt: int


def ssh_env(env: Mapping[str, str]) -> dict[str, str]:
    """What git needs in its environment so that ssh asks no question."""
    ssh = env.get("GIT_SSH_COMMAND") or env.get("GIT_SSH") or "ssh"
    return {"GIT_SSH_COMMAND": f"{ssh} -o BatchMode=yes -o ConnectTimeout=20", "GIT_SSH_VARIANT": "ssh"}


def publish(repo: GitRepo, url: str, runs: Sequence[str], *, env: Mapping[str, str]) -> None:
    """Make sure that the snapshots of these runs are there; in this very repository they are.

    Raises:
        SnaprunError: it cannot be reached or written.
    """
    specs = [f"{run}:{RUN_REF}{run}" for run in runs]
    _push(repo, url, specs, env=env)


def read_tips(repo: GitRepo, url: str, runs: Sequence[str], *, env: Mapping[str, str]) -> dict[str, str]:
    """Where the refs of these runs stand there. Raises SnaprunError where it cannot be reached."""
    answer = repo.run("ls-remote", "--quiet", "--end-of-options", url, f"{RUN_REF}*", env=env, ok=())
    if answer.code:
        raise fault(answer.err, url)
    refs = {ref: tip for tip, _, ref in (line.partition("\t") for line in answer.out.decode().splitlines())}
    return {run: refs[RUN_REF + run] for run in runs if RUN_REF + run in refs}


def take(repo: GitRepo, url: str, run: str, *, env: Mapping[str, str]) -> str:
    """Fetch a run; where its ref stands there, which is its snapshot or the result of an attempt.

    Raises:
        SnaprunError: the repository cannot be reached, or has no such run. DataFault: what it has is none.
    """
    tip = _fetch(repo, url, RUN_REF + run, FETCHED_REF + run, env=env)
    if tip != run and repo.resolve(f"{tip}^1") != run:
        raise DataFault(f"{url} has {tip[:8]} as run {run[:8]}, which is none", hint=f"git ls-remote {url}")
    return tip


def claim(repo: GitRepo, url: str, run: str, job_claim: FarClaim, *, env: Mapping[str, str]) -> FarClaim:
    """Claim a run for this job; the claim as it is now, with the attempt after the one that the job was cut off in.

    Raises:
        Busy: another job has it. SnaprunError: the repository cannot be reached, or refuses the claim.
    """
    refusal = _push_claim(repo, url, run, job_claim, None, env=env)
    if refusal is None:
        return job_claim
    try:
        blob = _fetch(repo, url, CLAIM_REF + run, CLAIM_REF + run, env=env)
    except DataFault:  # nobody has it: what stood in the way was a hook, a permission, a full disk
        raise refusal from None
    try:
        far_claim = FarClaim(**json.loads(repo.run("cat-file", "blob", blob).out))
    except (ValueError, TypeError) as error:
        raise DataFault(f"the claim of run {run[:8]} is damaged", hint=f"git push {url} :{CLAIM_REF}{run}") from error
    job_claim = FarClaim(
        job_claim.job, job_claim.restarts, job_claim.host, max(job_claim.attempt, far_claim.attempt + 1)
    )
    is_restart = far_claim.job == job_claim.job and job_claim.restarts > far_claim.restarts
    if not is_restart or _push_claim(repo, url, run, job_claim, blob, env=env):
        raise Busy(f"run {run[:8]} is that of job {far_claim.job} on {far_claim.host}", hint="squeue")
    return job_claim


def give(repo: GitRepo, url: str, run: str, tip: str, *, last: bool, env: Mapping[str, str]) -> None:
    """Give a result back; with the ``last`` one the claim goes.

    Raises:
        SnaprunError: the repository cannot be reached or written, or the run has another result there.
    """
    _push(repo, url, [f"{tip}:{RUN_REF}{run}", *([f":{CLAIM_REF}{run}"] if last else [])], env=env)


def _push(repo: GitRepo, url: str, specs: Sequence[str], *, env: Mapping[str, str]) -> None:
    answer = push_refs(repo, url, specs, "--atomic", env=env)
    if answer.code:
        raise fault(answer.err, url)


def _fetch(repo: GitRepo, url: str, ref: str, target: str, *, env: Mapping[str, str]) -> str:
    answer = repo.run(
        "fetch", *FETCH_OPTIONS, "--end-of-options", url, f"+{ref}:{target}", env=env, options=NO_MAINTENANCE, ok=()
    )
    if answer.code:
        if "couldn't find remote ref" in answer.err:
            raise DataFault(f"{url} has no {ref}", hint=f"git ls-remote {url}")
        raise fault(answer.err, url)
    return repo.refs(target)[target]


def _push_claim(
    repo: GitRepo, url: str, run: str, job_claim: FarClaim, old: str | None, *, env: Mapping[str, str]
) -> SnaprunError | None:
    """Push a claim where ``old`` stands; why the repository did not take it, None where it did.

    Raises:
        SnaprunError: it cannot be reached.
    """
    text = json.dumps(asdict(job_claim)).encode()
    blob = repo.run("hash-object", "-w", "--stdin", stdin=text).out.decode().strip()
    lease = f"--force-with-lease={CLAIM_REF}{run}:{old or ''}"
    answer = push_refs(repo, url, [f"{blob}:{CLAIM_REF}{run}"], lease, env=env)
    if answer.code == 0:
        return None
    error: SnaprunError = fault(answer.err, url)
    if "stale info" in answer.err or "rejected" in answer.err or "already exists" in answer.err:
        return error
    raise error
