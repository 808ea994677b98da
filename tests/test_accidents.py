"""A slot is whole after any accident: killed layouts, damage behind our back, a power cut."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from snaprun.checkouts import checkout, links, slots, worktree
from snaprun.checkouts.result import ResultParts, commit_result
from snaprun.errors import SnaprunError
from snaprun.freeze.capture import take
from snaprun.model import Result
from snaprun.statuses import Status
from tests import schedule
from tests.checkouts import contents, used
from tests.runs import gate
from tests.sandbox import Sandbox
from tests.snapshots import request
from tests.strace import calls, shim, traced

LAY_OUT = """
import os, sys
from pathlib import Path
from snaprun.checkouts import slots
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import find
git = GitRepo(find(Path(sys.argv[1]), os.environ))
slot = slots.claim(git, sys.argv[2], live=git.place.live)
print("go", flush=True)
slots.lay_out(git, slot, sys.argv[2])
slots.release(slot)
"""


def varied(box: Sandbox) -> list[str]:
    """Two commits that differ in every way; the first file of each folder is the same."""
    for number in range(150):
        box.write(f"f{number % 7}/{number}", f"one {number}\n" * 50)
    one = box.commit()
    for number in range(150):
        if number % 3 == 0:
            (box.path / f"f{number % 7}/{number}").unlink()
        elif number % 3 == 1:
            box.write(f"f{number % 7}/{number}", f"two {number}\n" * 50)
    box.write("f3.txt/a", "new folder")
    box.write("g", "file")
    two = box.commit()
    return [one, two]


def expected(box: Sandbox, commit: str) -> dict[str, bytes]:
    names = box.git("ls-tree", "-r", "-z", "--name-only", commit).split("\0")[:-1]
    return {name: box.git("show", f"{commit}:{name}").encode() for name in names}


def test_killed_at_any_instant_the_next_user_gets_a_whole_checkout(repo: Sandbox) -> None:
    commits = varied(repo)
    wanted = {commit: expected(repo, commit) for commit in commits}
    chance = random.Random(1)
    before = repo.state()
    slot = used(repo, commits[0])
    slots.release(slot)
    for number in range(8):
        commit = commits[(number + 1) % 2]
        child = subprocess.Popen(
            [sys.executable, "-c", LAY_OUT, repo.path, commit], stdout=subprocess.PIPE, start_new_session=True
        )
        assert child.stdout is not None
        child.stdout.readline()
        try:
            child.wait(chance.uniform(0, 0.08))
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        if number % 2:
            continue  # two accidents in a row
        other = commits[number // 2 % 2]
        slot = used(repo, other)
        assert {path: content for path, (_, content) in contents(slot.path).items()} == wanted[other]
        inner = subprocess.check_output(["git", "status", "--porcelain", "--ignored"], cwd=slot.path)
        assert inner == b""
        slots.release(slot)
    slots.release(used(repo, commits[0]))  # the last accident is mended by the next user, its lock included
    assert repo.git("fsck", "--no-dangling") == ""
    assert repo.state() == before


def test_a_file_damaged_behind_the_back_of_a_killed_layout_is_found(repo: Sandbox) -> None:
    one, _ = varied(repo)
    slot = used(repo, one)
    slots.release(slot)
    slot.state_file("laid").write_text("another boot " + one)
    inner = worktree.open_worktree(gate(repo), slot.path)
    assert inner is not None
    victim = slot.path / "f0/0"
    about = victim.stat()
    victim.write_bytes(b"\0" * about.st_size)  # what a power cut leaves of a file that was never flushed
    os.utime(victim, ns=(about.st_atime_ns, about.st_mtime_ns))
    slot = used(repo, one)
    assert victim.read_text() == "one 0\n" * 50
    slots.release(slot)


@pytest.mark.parametrize("damage", ["index", "git file", "git folder", "admin", "head", "everything", "locks", "link"])
def test_a_damaged_slot_is_mended_or_made_anew(damage: str, repo: Sandbox, tmp_path: Path) -> None:
    one, two = varied(repo)
    slot = used(repo, one)
    slots.release(slot)
    inner = worktree.open_worktree(gate(repo), slot.path)
    assert inner is not None
    git_dir = inner.place.git_dir
    if damage == "index":
        (git_dir / checkout.INDEX).write_bytes(b"DIRC rubbish")
        (git_dir / "index").unlink()
    elif damage == "git file":
        (slot.path / ".git").unlink()
    elif damage == "git folder":
        (slot.path / ".git").unlink()
        subprocess.run(["git", "init", "-q"], cwd=slot.path, check=True)
    elif damage == "admin":
        worktree.erase(git_dir)
    elif damage == "head":
        (git_dir / "HEAD").write_text("ref: refs/heads/main\n")
    elif damage == "everything":
        worktree.erase(slot.path)
    elif damage == "locks":
        for name in ("index.lock", "HEAD.lock", f"{checkout.INDEX}.lock", "MERGE_HEAD"):
            (git_dir / name).write_text(one)
    elif damage == "link":
        precious = tmp_path / "precious"
        slot.path.rename(precious)
        slot.path.symlink_to(precious)
    slot = used(repo, two)
    assert {path: content for path, (_, content) in contents(slot.path).items()} == expected(repo, two)
    assert not slot.path.is_symlink()
    status = subprocess.check_output(["git", "status", "--porcelain=v2", "--branch"], cwd=slot.path, text=True)
    assert status.splitlines() == [f"# branch.oid {two}", "# branch.head (detached)"]
    if damage == "link":
        assert (tmp_path / "precious/f0/0").exists()
    slots.release(slot)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["read-tree", "worktree", "update-ref"])
def test_killing_git_at_any_system_call_leaves_slots_that_work(repo: Sandbox, tmp_path: Path, command: str) -> None:
    commits = varied(repo)
    if command == "worktree":
        repo.git("config", "extensions.worktreeConfig", "true")
        repo.git("config", "--worktree", "core.abbrev", "9")  # only git knows how to add a worktree then
    wanted = [expected(repo, commit) for commit in commits]
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    shim(tmp_path / "bin", command, "-e trace=all", output=tmp_path / "calls")
    with repo.untouched(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path)
        slots.release(used(repo, commits[0]))
    with repo.untouched():
        for number, (call, count) in enumerate(schedule.sample(calls(tmp_path / "calls"), 23)):
            shim(tmp_path / "bin", command, f"-e inject={call}:signal=SIGKILL:when={count}")
            if command == "worktree":
                slots.prune(gate(repo), live=gate(repo).place.live)
            with pytest.MonkeyPatch.context() as patch, suppress(SnaprunError):
                patch.setenv("PATH", path)
                slots.release(used(repo, commits[number % 2]))
            slot = used(repo, commits[(number + 1) % 2])
            assert {name: data for name, (_, data) in contents(slot.path).items()} == wanted[(number + 1) % 2]
            slots.release(slot)
    assert repo.git("fsck", "--strict", "--no-dangling") == ""
    assert [path for path in (repo.path / ".git").rglob("*.lock") if "slots" not in path.parts[:-1]] == (
        [repo.path / ".git/snaprun/worktrees.lock"] if command == "worktree" else []
    )


@pytest.mark.slow
@pytest.mark.parametrize("fresh", [False, True])
def test_killing_the_process_at_any_system_call_leaves_slots_that_work(
    repo: Sandbox, tmp_path: Path, fresh: bool
) -> None:
    commits = varied(repo)
    wanted = [expected(repo, commit) for commit in commits]
    with repo.untouched():
        if not fresh:
            slots.release(used(repo, commits[0]))
        traced(lambda: slots.release(used(repo, commits[1])), tmp_path / "calls", "trace=all")
        for number, (call, count) in enumerate(schedule.sample(calls(tmp_path / "calls"), 11)):
            if fresh:
                slots.prune(gate(repo), live=gate(repo).place.live)
            rule = f"inject={call}:signal=SIGKILL:when={count}"
            traced(lambda: slots.release(used(repo, commits[number % 2])), tmp_path / "calls", rule)  # noqa: B023
            slot = used(repo, commits[(number + 1) % 2])
            assert {name: data for name, (_, data) in contents(slot.path).items()} == wanted[(number + 1) % 2]
            slots.release(slot)
    assert repo.git("fsck", "--strict", "--no-dangling") == ""


@pytest.mark.slow
def test_killing_a_finaliser_at_any_system_call_leaves_the_result_to_the_next(repo: Sandbox, tmp_path: Path) -> None:
    git = gate(repo)
    log = tmp_path / "log"
    log.write_bytes(b"x" * 3_000_000)

    def finish(run_id: str) -> None:
        """What a finaliser does, whoever was there before."""
        slot = slots.reclaim(git, run_id)
        if slot is None:
            return
        ending = ResultParts(Result(Status.SUCCEEDED, 0), notebook=b"{}", log=log)
        commit_result(git, run_id, ending, slot=slot, max_file_size=1000)
        slots.release(slot)

    def crashed() -> str:
        """A run that ended without a record."""
        run_id = take(git, request("README")).id
        (git.place.live / run_id).mkdir(parents=True)
        slot = slots.claim(git, run_id, live=git.place.live)
        slots.lay_out(git, slot, run_id)
        (slot.path / "made").write_text("by the run")
        (slot.path / "large").write_bytes(b"0" * 2000)
        os.close(slot.lock)
        return run_id

    run_id = crashed()
    traced(lambda: finish(run_id), tmp_path / "calls", "trace=all")
    for call, count in schedule.sample(calls(tmp_path / "calls"), 17):
        (git.place.live / run_id).rmdir()
        run_id = crashed()
        traced(lambda: finish(run_id), tmp_path / "calls", f"inject={call}:signal=SIGKILL:when={count}")  # noqa: B023
        finish(run_id)
        tip = repo.git("rev-parse", f"refs/snaprun/runs/{run_id}").strip()
        assert repo.git("rev-parse", f"{tip}^").strip() == run_id
        assert repo.git("show", f"{tip}:made") == "by the run"
        assert len(repo.git("show", f"{tip}:.snaprun/log.txt")) > 2_000_000
        assert len(list((git.place.state / "artifacts").iterdir())) == 2
    assert repo.git("fsck", "--strict", "--no-dangling") == ""


@pytest.mark.parametrize("call", ["write", "mkdir", "openat"])
def test_a_full_disk_leaves_nothing_half_made(repo: Sandbox, tmp_path: Path, call: str) -> None:
    one, two = varied(repo)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    shim(tmp_path / "bin", "read-tree", f"-e inject={call}:error=ENOSPC:when={60 if call == 'openat' else 3}+")
    with pytest.MonkeyPatch.context() as patch, repo.untouched():
        patch.setenv("PATH", path)
        with pytest.raises(SnaprunError) as caught:
            used(repo, one)
        if call != "write":  # then git cannot even say so
            assert "No space left" in caught.value.message and caught.value.code == 74
    slot_folder = repo.path / ".git/snaprun/slots"
    assert not (slot_folder / "0").exists() and repo.git("worktree", "list").count("\n") == 1
    slot = used(repo, two)
    assert slot.number == 0
    assert {name: data for name, (_, data) in contents(slot.path).items()} == expected(repo, two)
    slots.release(slot)


def test_a_name_too_long_for_the_slots_file_system_is_said(repo: Sandbox, tmp_path: Path) -> None:
    one, _ = varied(repo)
    shim(tmp_path / "bin", "read-tree", "-e inject=openat:error=ENAMETOOLONG:when=60+")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SnaprunError) as caught:
        patch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        used(repo, one)
    assert "File name too long" in caught.value.message and "--in-place" in caught.value.hint


def test_a_moved_repository_makes_its_slots_anew(repo: Sandbox, tmp_path: Path) -> None:
    one, two = varied(repo)
    slots.release(used(repo, one))
    box = Sandbox.__new__(Sandbox)
    box.path = repo.path.rename(tmp_path / "moved")
    slot = used(box, two)
    assert {path: content for path, (_, content) in contents(slot.path).items()} == expected(box, two)
    assert len(list((box.path / ".git/worktrees").iterdir())) == 1
    slots.release(slot)


def test_a_repository_behind_a_link_keeps_its_slots(repo: Sandbox, tmp_path: Path) -> None:
    one, two = varied(repo)
    slots.release(used(repo, one))
    box = Sandbox.__new__(Sandbox)
    box.path = tmp_path / "link"
    box.path.symlink_to(repo.path)
    slot = used(box, two)
    assert slot.is_reused and len(list((box.path / ".git/worktrees").iterdir())) == 1
    assert {path: content for path, (_, content) in contents(slot.path).items()} == expected(box, two)
    slots.release(slot)


def test_a_work_tree_on_another_file_system(tmp_path: Path) -> None:
    shared = Path("/dev/shm")
    if not shared.is_dir() or os.stat(shared).st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("there is no second file system")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        box = Sandbox(Path(folder) / "repo", f"--separate-git-dir={tmp_path / 'git'}")
        box.write(".gitignore", "/data/\n")
        box.write("data/x", "1")
        box.write("code.py", "x")
        git = gate(box)
        run_id = take(git, request("code.py")).id
        slot = slots.claim(git, run_id, live=git.place.live)
        slots.lay_out(git, slot, run_id)
        links.link(git, slot)
        assert (slot.path / "data/x").read_text() == "1" and (slot.path / "code.py").read_text() == "x"
        (slot.path / "made").write_text("y")
        ending = ResultParts(Result(Status.SUCCEEDED, 0), notebook=b"{}", log=b"")
        tip = commit_result(git, run_id, ending, slot=slot, max_file_size=1000)
        slots.release(slot)
        assert box.git("show", f"{tip}:made") == "y"
