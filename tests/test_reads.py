"""What every looking command does first: the index tells the truth, whatever happened to it."""

from __future__ import annotations

import os
from pathlib import Path

from snaprun import context
from snaprun.context import Context
from snaprun.index import runlist
from snaprun.index.runlist import Filter
from snaprun.reader import index
from tests.sandbox import Sandbox


def at(repo: Sandbox) -> Context:
    return context.open_context(repo.path, os.environ)


def ids(repo: Sandbox) -> list[str]:
    with index(at(repo)) as reader:
        return [run.id for run in runlist.query(reader, Filter())]


def test_looking_where_nothing_ran_makes_nothing(repo: Sandbox) -> None:
    with repo.untouched():
        assert ids(repo) == []
    assert not (repo.path / ".git" / "snaprun").exists()


def test_a_missing_or_damaged_index_is_rebuilt_from_git(repo: Sandbox) -> None:
    made = [repo.snaprun("snapshot", "-q").stdout.strip() for _ in range(2)]
    index = repo.path / ".git" / "snaprun" / "index.sqlite3"
    assert ids(repo) == made[::-1]
    index.unlink()
    assert ids(repo) == made[::-1]
    index.write_bytes(b"this is no database at all" * 1000)
    told = repo.snaprun("history", "-q")
    assert told.stdout.split() == made[::-1]
    [aside] = [path for path in index.parent.iterdir() if path.is_file() and path.read_bytes()[:7] == b"this is"]
    said = f"warning: the index was damaged and has been rebuilt from git; the damaged one is now {aside}\n"
    assert told.stderr == said
    assert repo.snaprun("history", "-q").stderr == ""


def test_a_linked_worktree_sees_the_same_runs(repo: Sandbox, tmp_path: Path) -> None:
    run_id = repo.snaprun("snapshot", "-q").stdout.strip()
    repo.git("worktree", "add", "-q", str(tmp_path / "other"))
    with index(context.open_context(tmp_path / "other", os.environ)) as reader:
        assert [run.id for run in runlist.query(reader, Filter())] == [run_id]
