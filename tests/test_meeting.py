"""Where jobs meet: one of them has a run, and what keeps it from one is called by its name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snaprun.errors import Busy, SnaprunError
from snaprun.git import farclaim
from snaprun.git.farclaim import CLAIM_REF, FarClaim
from snaprun.git.gitrepo import GitRepo
from tests import running
from tests.sandbox import Sandbox

RUN = "a" * 40


def job(name: str = "7", restarts: int = 0) -> FarClaim:
    return FarClaim(name, restarts, "node1", 1)


@pytest.fixture
def hub(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path / "hub", "--bare")


def claim(box: Sandbox, hub: Sandbox, mine: FarClaim) -> FarClaim:
    return farclaim.claim(GitRepo(running.place(box)), str(hub.path), RUN, mine, env=dict(os.environ))


def test_one_job_has_a_run(repo: Sandbox, hub: Sandbox) -> None:
    assert claim(repo, hub, job()) == job()
    with pytest.raises(Busy, match="that of job 7 on node1"):
        claim(repo, hub, job("8"))
    assert claim(repo, hub, job(restarts=1)).attempt == 2  # Slurm has started it again
    assert hub.git("for-each-ref", "--format=%(refname)").split() == [CLAIM_REF + RUN]


def test_a_claim_that_is_refused_is_nobodys(repo: Sandbox, hub: Sandbox) -> None:
    hook = hub.write("hooks/pre-receive", "#!/bin/sh\necho 'not on a Thursday' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(SnaprunError, match=r"pre-receive hook declined|not on a Thursday") as refused:
        claim(repo, hub, job())
    assert not isinstance(refused.value, Busy)
    hook.unlink()
    assert claim(repo, hub, job("8")) == job("8")
