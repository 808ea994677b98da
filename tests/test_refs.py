"""Run refs are packed when they are many, and old runs can be folded into one ref without losing anything."""

from __future__ import annotations

import os
import re
from itertools import count

import pytest

from snaprun.git import locate, refs
from snaprun.git.gitrepo import GitRepo
from snaprun.model import RUN_REF
from tests.sandbox import Sandbox


def runs(box: Sandbox, number: int) -> list[str]:
    """So many runs, oldest first, made in bulk: only their refs matter here."""
    tree = box.git("rev-parse", "HEAD^{tree}").strip()
    numbers = count(len(box.git("for-each-ref", RUN_REF).splitlines()))
    made = [box.git("commit-tree", tree, "-m", f"run {next(numbers)} of {number}").strip() for _ in range(number)]
    box.git("update-ref", "--stdin", stdin="".join(f"create {RUN_REF}{oid} {oid}\n" for oid in made).encode())
    return made


def opened(box: Sandbox) -> GitRepo:
    return GitRepo(locate.find(box.path, os.environ))


def test_many_loose_refs_are_packed_and_few_are_left_alone(repo: Sandbox) -> None:
    git = opened(repo)
    assert refs.tidy(git) is False
    made = runs(repo, 5)
    assert refs.tidy(git) is False
    with repo.untouched():
        assert refs.tidy(git, loose=5) is True
    assert list((repo.path / ".git" / RUN_REF).glob("*")) == []
    assert set(refs.tips(git)) == set(made)
    assert refs.tidy(git, loose=5) is False


def test_folded_runs_stay_reachable_and_can_have_their_ref_back(repo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    git = opened(repo)
    made = runs(repo, 9)
    over = {run: run != made[1] for run in made}
    with repo.untouched():
        assert refs.fold(git, keep=5, is_over=over) == 4
    gone = [made[0], *made[2:5]]
    assert set(refs.read_archive(git)) == set(gone)
    assert set(git.refs(RUN_REF)) == {RUN_REF + run for run in made if run not in gone}
    repo.git("gc", "-q", "--prune=now")
    assert set(refs.tips(git)) == set(made)
    assert all(git.resolve(run) == run for run in made)
    assert refs.fold(git, keep=4, is_over=over) == 1
    assert len(refs.read_archive(git)) == 5
    assert refs.unfold(git, made[0]) is True
    assert git.refs(RUN_REF + made[0]) == {RUN_REF + made[0]: made[0]}
    assert refs.unfold(git, "0" * 40) is False
    repo.git("fsck", "--strict", "--no-dangling")


def test_an_archive_commit_takes_so_many_runs_and_no_more(repo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refs, "WIDTH", 3)
    git = opened(repo)
    made = runs(repo, 8)
    assert refs.fold(git, keep=1, is_over=dict.fromkeys(made, True)) == 7
    widths = [len(line.split()) for line in repo.git("log", "--first-parent", "--format=%P", refs.ARCHIVE).splitlines()]
    assert max(widths) == 4
    assert len(refs.read_archive(git)) == 7
    assert not re.search(r"\bHEAD\b", repo.git("for-each-ref", "refs/snaprun"))
