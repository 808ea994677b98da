"""The result commit: what it holds, that it is final, and that it can be made by anybody at any time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snaprun import records
from snaprun.checkouts import links, slots
from snaprun.checkouts.result import ResultParts, commit_result
from snaprun.errors import DataFault
from snaprun.model import RUN_REF, Result
from snaprun.statuses import Status
from tests.checkouts import DONE, LIMIT, ending, run_in
from tests.runs import gate
from tests.sandbox import Sandbox, wait_for
from tests.snapshots import freeze


def test_a_result_holds_what_the_run_changed(repo: Sandbox) -> None:
    repo.write(".gitignore", "*.tmp\n")
    repo.write("gone.txt", "x")
    repo.write("kept.txt", "same")
    repo.commit()
    git = gate(repo)
    run_id = freeze(repo)
    with repo.untouched():
        slot = run_in(git, run_id)
        (slot.path / "gone.txt").unlink()
        (slot.path / "README").write_text("changed")
        (slot.path / "out").mkdir()
        (slot.path / "out/täb\t.csv").write_text("1,2")
        (slot.path / "out/x.tmp").write_text("ignored")
        (slot.path / "big.bin").write_bytes(b"0" * 2000)
        (slot.path / "__pycache__").mkdir()
        (slot.path / "__pycache__/mod.pyc").write_text("cache")
        (slot.path / "empty").mkdir()
        (slot.path / ".snaprun/run.json").write_text("tampered")
        tip = commit_result(git, run_id, ending(metrics=b'{"name":"loss","value":1}\n'), slot=slot, max_file_size=LIMIT)
        slots.release(slot)
    assert repo.git("rev-parse", f"{RUN_REF}{run_id}").strip() == tip
    assert repo.git("rev-parse", f"{tip}^@").split() == [run_id]
    changed = repo.git("diff", "--name-status", "-z", run_id, tip).split("\0")
    assert dict(zip(changed[1::2], changed[::2], strict=False)) == {
        ".snaprun/environment.json": "A",
        ".snaprun/executed.ipynb": "A",
        ".snaprun/log.txt": "A",
        ".snaprun/metrics.jsonl": "A",
        ".snaprun/result.json": "A",
        "README": "M",
        "gone.txt": "D",
        "out/täb\t.csv": "A",
    }
    result = records.read_result(git, run_id)
    assert result is not None
    assert [(item.path, item.size, item.stored) for item in result.artifacts] == [
        ("README", 7, "git"),
        ("big.bin", 2000, "store"),
        ("out/täb\t.csv", 3, "git"),
    ]
    stored = git.place.state / "artifacts" / result.artifacts[1].sha256
    assert stored.read_bytes() == b"0" * 2000
    message = repo.git("log", "-1", "--format=%s%n%(trailers)%an %cn", tip)
    assert message.split("\n")[:5] == [
        "snaprun: succeeded nb.ipynb",
        "Snaprun-Schema: 1",
        "Snaprun-Status: succeeded",
        "Snaprun-Exit-Code: 0",
        "Ada snaprun",
    ]
    run = records.read_run(git, run_id)
    assert (run.status, run.exit_code, run.commit, run.params, run.metrics["loss"].last) == (
        Status.SUCCEEDED,
        0,
        tip,
        {"lr": 0.1},
        1,
    )


def test_the_first_result_stands(repo: Sandbox) -> None:
    git = gate(repo)
    run_id = freeze(repo)
    tip = commit_result(git, run_id, ending(), slot=None, max_file_size=LIMIT)
    lost = Result(status=Status.LOST, exit_code=1)
    assert commit_result(git, run_id, ending(lost), slot=None, max_file_size=LIMIT) == tip
    assert records.read_run(git, run_id).status is Status.SUCCEEDED


def test_a_removed_run_gets_no_result(repo: Sandbox) -> None:
    git = gate(repo)
    run_id = freeze(repo)
    repo.git("update-ref", "-d", RUN_REF + run_id)
    with pytest.raises(DataFault, match="no run"):
        commit_result(git, run_id, ending(), slot=None, max_file_size=LIMIT)


def test_commits_of_the_run_stay_and_are_told(repo: Sandbox) -> None:
    git = gate(repo)
    run_id = freeze(repo)
    slot = run_in(git, run_id)
    (slot.path / "README").write_text("committed")
    subprocess.run(["git", "commit", "-qam", "from a cell"], cwd=slot.path, check=True)
    own = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=slot.path, text=True).strip()
    tip = commit_result(git, run_id, ending(), slot=slot, max_file_size=LIMIT)
    slots.release(slot)
    assert repo.git("rev-parse", f"{tip}^@").split() == [run_id, own]
    assert repo.git("show", f"{tip}:README") == "committed"
    result = records.read_result(git, run_id)
    assert result is not None and own[:8] in " ".join(result.warnings)
    assert repo.git("rev-parse", "main") != own
    again = run_in(git, freeze(repo))
    slots.release(again)


def test_a_log_above_the_limit_keeps_its_ends_in_git(repo: Sandbox, tmp_path: Path) -> None:
    git = gate(repo)
    run_id = freeze(repo)
    log = tmp_path / "log.txt"
    log.write_bytes(b"first\n" + b"x" * 3_000_000 + b"last\n")
    tip = commit_result(git, run_id, ResultParts(result=DONE, notebook=b"{}", log=log), slot=None, max_file_size=LIMIT)
    short = git.blob(tip, ".snaprun/log.txt")
    assert short is not None and short.startswith(b"first\n") and short.endswith(b"last\n")
    assert b"bytes are left out here" in short and len(short) < 2_200_000
    result = records.read_result(git, run_id)
    assert result is not None
    (whole,) = result.artifacts
    assert (whole.path, whole.size, whole.stored) == (".snaprun/log.txt", 3_000_011, "store")
    assert (git.place.state / "artifacts" / whole.sha256).read_bytes() == log.read_bytes()


def test_what_cannot_go_into_git_is_said_and_the_rest_goes(repo: Sandbox) -> None:
    git = gate(repo)
    run_id = freeze(repo)
    slot = run_in(git, run_id)
    os.mkfifo(slot.path / "pipe")
    subprocess.run(["git", "init", "-q", "clone"], cwd=slot.path, check=True)
    (slot.path / "clone/file").write_text("x")
    (slot.path / "link").symlink_to("/etc/hostname")
    (slot.path / "fine").write_text("x")
    (slot.path / "token.key").write_text("made by the run")
    (slot.path / "README").unlink()
    (slot.path / "README").mkdir()
    (slot.path / "README/inner").write_text("a file became a folder")
    tip = commit_result(git, run_id, ending(), slot=slot, max_file_size=LIMIT)
    slots.release(slot)
    changed = repo.git("diff", "--name-status", "--no-renames", run_id, tip, "--", ":(exclude).snaprun").split("\n")
    assert changed == ["D\tREADME", "A\tREADME/inner", "A\tfine", "A\tlink", ""]
    assert repo.git("ls-tree", tip, "link").startswith("120000")
    result = records.read_result(git, run_id)
    assert result is not None
    assert result.warnings == (
        "clone/ was not kept: it is a git repository of its own",
        "token.key was not kept: it looks like a credential",
    )


def test_many_files_do_not_flood_git(repo: Sandbox) -> None:
    git = gate(repo)
    run_id = freeze(repo)
    slot = run_in(git, run_id)
    for number in range(12):
        (slot.path / f"part{number}").write_bytes(bytes([number]) * (LIMIT - number))
    commit_result(git, run_id, ending(), slot=slot, max_file_size=LIMIT)
    slots.release(slot)
    result = records.read_result(git, run_id)
    assert result is not None
    assert {item.path for item in result.artifacts if item.stored == "store"} == {"part0", "part1"}
    for item in result.artifacts[:2]:
        assert (git.place.state / "artifacts" / item.sha256).stat().st_size == item.size


def test_files_kept_by_request(repo: Sandbox, tmp_path: Path) -> None:
    repo.write(".gitignore", "*.pt\n")
    repo.commit()
    git = gate(repo)
    run_id = freeze(repo)
    slot = run_in(git, run_id)
    (slot.path / "model.pt").write_text("ignored, but asked for")
    (slot.path / "plots/deep").mkdir(parents=True)
    (slot.path / "plots/deep/a.png").write_text("a")
    outside = tmp_path / "elsewhere.bin"
    outside.write_text("outside")
    asked = (str(slot.path / "model.pt"), str(slot.path / "plots"), str(outside), str(tmp_path / "gone"))
    commit_result(git, run_id, ending(artifacts=asked), slot=slot, max_file_size=LIMIT)
    slots.release(slot)
    result = records.read_result(git, run_id)
    assert result is not None
    assert [(item.path, item.stored) for item in result.artifacts] == [
        (str(outside), "store"),
        ("model.pt", "store"),
        ("plots/deep/a.png", "git"),
    ]
    assert result.warnings == (f"artifact {tmp_path}/gone was not kept: No such file or directory",)


def test_a_crashed_run_is_finished_from_its_slot_with_its_links_left_alone(repo: Sandbox) -> None:
    repo.write(".gitignore", "/data/\n")
    repo.write("data/x", "the user's")
    repo.commit()
    git = gate(repo)
    run_id = freeze(repo)
    (git.place.live / run_id).mkdir(parents=True)
    slot = run_in(git, run_id)
    links.link(git, slot)
    (slot.path / "made").write_text("before the crash")
    os.close(slot.lock)
    found = slots.reclaim(git, run_id)
    assert found is not None
    tip = commit_result(git, run_id, ending(Result(Status.LOST, 125)), slot=found, max_file_size=LIMIT)
    slots.release(found)
    assert repo.git("diff", "--name-only", run_id, tip, "--", ":(exclude).snaprun") == "made\n"
    assert (repo.path / "data/x").read_text() == "the user's"


def test_a_slot_of_another_run_gives_nothing(repo: Sandbox) -> None:
    git = gate(repo)
    one, two = freeze(repo), freeze(repo)
    slot = run_in(git, one)
    (slot.path / "made").write_text("by one")
    tip = commit_result(git, two, ending(), slot=slot, max_file_size=LIMIT)
    slots.release(slot)
    assert repo.git("diff", "--name-only", two, tip, "--", ":(exclude).snaprun") == ""


def test_two_finalisers_at_once_agree(repo: Sandbox) -> None:
    run_id = freeze(repo)
    code = (
        "import os, sys; from pathlib import Path;"
        "from snaprun.git.gitrepo import GitRepo; from snaprun.git.locate import find;"
        "from snaprun.model import Result; from snaprun.statuses import Status;"
        "from snaprun.checkouts.result import ResultParts, commit_result;"
        "git = GitRepo(find(Path(sys.argv[1]), os.environ));"
        "ending = ResultParts(Result(Status.LOST, 125), notebook=b'{}', log=os.urandom(8));"
        "print(commit_result(git, sys.argv[2], ending, slot=None, max_file_size=1000))"
    )
    command = [sys.executable, "-c", code, str(repo.path), run_id]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    tips = {child.communicate()[0].strip() for child in both}
    assert tips == {repo.git("rev-parse", RUN_REF + run_id).strip()}


def test_files_of_a_submodule_are_kept_beside_git(repo: Sandbox) -> None:
    library = Sandbox(repo.path.parent / "library")
    library.write("lib.py", "x")
    library.commit()
    repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library.path), "lib")
    repo.commit()
    git = gate(repo)
    run_id = freeze(repo)
    slot = run_in(git, run_id)
    (slot.path / "lib/lib.py").write_text("changed by the run")
    (slot.path / "lib/made.bin").write_text("made by the run")
    commit_result(git, run_id, ending(), slot=slot, max_file_size=LIMIT)
    slots.release(slot)
    result = records.read_result(git, run_id)
    assert result is not None
    assert [(item.path, item.stored) for item in result.artifacts] == [
        ("lib/lib.py", "store"),
        ("lib/made.bin", "store"),
    ]


def test_an_edit_in_the_second_of_the_layout_is_seen_a_second_later(repo: Sandbox) -> None:
    """Many builds of git tell times by the second: then only the index's own time gives such an edit away."""
    repo.write("state.txt", "old")
    repo.commit()
    git = gate(repo)
    for _ in range(50):
        run_id = freeze(repo)
        slot = run_in(git, run_id)
        path = slot.path / "state.txt"
        laid = path.stat()
        path.write_text("new")
        if int(path.stat().st_ctime) == int(laid.st_mtime) == int(laid.st_ctime):
            break
        slots.release(slot)
    else:
        raise AssertionError("no layout and edit within one second")
    wait_for(lambda: int(time.time()) > int(laid.st_mtime), "the next second")
    assert " M state.txt" in subprocess.run(
        ["git", "status", "--porcelain"], cwd=slot.path, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    tip = commit_result(git, run_id, ending(), slot=slot, max_file_size=LIMIT)
    slots.release(slot)
    assert repo.git("show", f"{tip}:state.txt") == "new"


def test_sha256_and_names_that_are_not_utf8(tmp_path: Path) -> None:
    box = Sandbox(tmp_path / "repo", "--object-format=sha256")
    name = os.fsdecode(b"caf\xe9.txt")
    box.write(name, "old")
    box.write("a folder/inner", "old")
    box.commit()
    git = gate(box)
    run_id = freeze(box)
    slot = run_in(git, run_id)
    (slot.path / name).write_text("new")
    (slot.path / "a folder/inner").unlink()
    (slot.path / "a folder").rmdir()
    (slot.path / "a folder").write_text("a file now")
    (slot.path / "new\nline").write_text("made")
    (slot.path / os.fsdecode(b"big\xff")).write_bytes(b"0" * 2 * LIMIT)
    tip = commit_result(git, run_id, ending(), slot=slot, max_file_size=LIMIT)
    slots.release(slot)
    assert len(tip) == 64
    changed = box.git("diff", "--name-status", "--no-renames", "-z", run_id, tip, "--", ":(exclude).snaprun").split(
        "\0"
    )
    assert dict(zip(changed[1::2], changed[::2], strict=False)) == {
        "a folder": "A",
        "a folder/inner": "D",
        name: "M",
        "new\nline": "A",
    }
    result = records.read_result(git, run_id)
    assert result is not None
    assert {item.path: item.stored for item in result.artifacts}[os.fsdecode(b"big\xff")] == "store"
    assert box.git("fsck", "--strict", "--no-dangling") == ""
