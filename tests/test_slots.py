"""Slots: who holds which, what they hold, and that nothing of the user's is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from snaprun.checkouts import slots
from snaprun.errors import SnaprunError
from snaprun.git.gitrepo import GitRepo
from tests.runs import gate
from tests.sandbox import Sandbox


def files(top: Path) -> dict[str, bytes]:
    """Every file below a checkout, ``.git`` excepted, a link as its target."""
    found = {}
    for path in top.rglob("*"):
        if path.is_symlink():
            found[str(path.relative_to(top))] = b"-> " + os.fsencode(os.readlink(path))
        elif path.is_file() and path.relative_to(top).parts[0] != ".git":
            found[str(path.relative_to(top))] = path.read_bytes()
    return found


def use(repo: GitRepo, commit: str, run_id: str = "run") -> slots.Slot:
    slot = slots.claim(repo, run_id, live=repo.place.live)
    slots.lay_out(repo, slot, commit)
    return slot


def test_a_slot_holds_the_commit_and_nothing_else(repo: Sandbox) -> None:
    first = repo.commit()
    repo.write("src/a.py", "one")
    repo.write("src/b.py", "same")
    second = repo.commit()
    git = gate(repo)
    with repo.untouched():
        slot = use(git, second)
        assert files(slot.path) == {"README": b"a project\n", "src/a.py": b"one", "src/b.py": b"same"}
        assert not slot.is_reused
        slots.release(slot)
        again = use(git, first)
        assert again.is_reused and again.path == slot.path
        assert files(again.path) == {"README": b"a project\n"}
        slots.release(again)


def test_leftovers_of_every_kind_are_gone(repo: Sandbox, tmp_path: Path) -> None:
    repo.write(".gitignore", "*.log\ncache/\n")
    repo.write("src/a.py", "one")
    commit = repo.commit()
    outside = tmp_path / "precious"
    outside.mkdir()
    (outside / "data").write_text("keep me")
    git = gate(repo)
    slot = use(git, commit)
    (slot.path / "new.txt").write_text("x")
    (slot.path / "x.log").write_text("ignored")
    (slot.path / "cache").symlink_to(outside)
    (slot.path / "link").symlink_to(outside)
    (slot.path / "src/a.py").unlink()
    (slot.path / "src").rmdir()
    (slot.path / "src").symlink_to(outside)
    (slot.path / "README").unlink()
    (slot.path / "README").mkdir()
    (slot.path / "README/deep").write_text("x")
    os.mkfifo(slot.path / "pipe")
    (slot.path / "shut").mkdir()
    (slot.path / "shut/file").write_text("x")
    (slot.path / "shut").chmod(0)
    subprocess.run(["git", "init", "-q", "nested"], cwd=slot.path, check=True)
    slots.release(slot)
    again = use(git, commit)
    assert files(again.path) == {".gitignore": b"*.log\ncache/\n", "README": b"a project\n", "src/a.py": b"one"}
    assert sorted(path.name for path in again.path.iterdir()) == [".git", ".gitignore", "README", "src"]
    assert (outside / "data").read_text() == "keep me"
    slots.release(again)


def test_two_runs_never_share_and_a_crashed_one_keeps_its_slot(repo: Sandbox) -> None:
    git = gate(repo)
    one = slots.claim(git, "one", live=git.place.live)
    two = slots.claim(git, "two", live=git.place.live)
    assert one.path != two.path
    (git.place.live / "one").mkdir(parents=True)
    os.close(one.lock)  # as the system does when the worker dies
    three = slots.claim(git, "three", live=git.place.live)
    assert three.path not in (one.path, two.path)
    found = slots.reclaim(git, "one")
    assert found is not None and found.path == one.path
    (git.place.live / "one").rmdir()
    slots.release(found)
    four = slots.claim(git, "four", live=git.place.live)
    assert four.path == one.path
    for slot in (two, three, four):
        slots.release(slot)


def test_git_in_the_slot_sees_the_snapshot_as_its_detached_head(repo: Sandbox) -> None:
    commit = repo.commit()
    git = gate(repo)
    with repo.untouched():
        slot = use(git, commit)
        assert subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=slot.path, text=True).strip() == commit
        assert subprocess.check_output(["git", "status", "--porcelain"], cwd=slot.path) == b""
        assert subprocess.run(["git", "symbolic-ref", "-q", "HEAD"], cwd=slot.path, check=False).returncode == 1
        slots.release(slot)


HOLD = """
import os, sys
from pathlib import Path

import pytest
from snaprun.checkouts import slots
from snaprun.errors import SnaprunError
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import find
git = GitRepo(find(Path(sys.argv[1]), os.environ))
slot = slots.claim(git, sys.argv[2], live=git.place.live)
slots.lay_out(git, slot, sys.argv[3])
print(slot.number, flush=True)
sys.stdin.read()
slots.release(slot)
"""


def test_many_runs_at_once_each_get_their_own_slot(repo: Sandbox) -> None:
    repo.write("src/a.py", "one")
    commit = repo.commit()
    with repo.untouched():
        children = [
            subprocess.Popen(
                [sys.executable, "-c", HOLD, repo.path, f"run{number}", commit],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(4)
        ]
        numbers = [child.stdout.readline().strip() for child in children if child.stdout]
        for child in children:
            child.communicate()
    assert sorted(numbers) == ["0", "1", "2", "3"]
    assert [child.returncode for child in children] == [0] * 4
    git = gate(repo)
    gone = slots.prune(git, live=git.place.live, keep=1)
    assert sorted(path.name for path in gone) == ["1", "2", "3"]
    assert repo.git("worktree", "list").count("\n") == 2
    slot = use(git, commit)
    assert slot.number == 0 and slot.is_reused
    slots.release(slot)


def test_gc_and_prune_leave_a_slot_in_use_whole(repo: Sandbox) -> None:
    commit = repo.git("commit-tree", "HEAD^{tree}", "-m", "only the slot knows it").strip()
    slot = use(gate(repo), commit)
    repo.git("gc", "--quiet", "--prune=now")
    repo.git("worktree", "prune", "--expire=now")
    assert subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=slot.path, text=True).strip() == commit
    assert subprocess.run(["git", "fsck", "--no-dangling"], cwd=slot.path, check=False).returncode == 0
    slots.release(slot)


def test_a_state_folder_that_cannot_be_made_is_said(repo: Sandbox) -> None:
    (repo.path / ".git/snaprun").write_text("a file in the way")
    git = gate(repo)
    with pytest.raises(SnaprunError) as caught:
        slots.claim(git, "run", live=git.place.live)
    assert caught.value.code == 73
