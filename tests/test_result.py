"""The result commit: what it holds, that it is final, and that it can be made by anybody at any time."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from snaprun import record, slots
from snaprun.errors import DataFault
from snaprun.gitrepo import GitRepo
from snaprun.locate import find
from snaprun.model import RUN_REF, Result, RunSpec, Status
from snaprun.result import Ending, commit_result
from tests.sandbox import Sandbox

DONE = Result(status=Status.SUCCEEDED, exit_code=0)
LIMIT = 1000


def gate(box: Sandbox) -> GitRepo:
    return GitRepo(find(box.path, os.environ))


def freeze(box: Sandbox, **spec: Any) -> str:
    """A snapshot of the last commit, made by hand: a commit with ``.snaprun/`` in it, and its ref."""
    git = gate(box)
    document = RunSpec(notebook="nb.ipynb", created="2026-01-02T03:04:05.000000Z", **spec).to_json()
    index = git.place.state / "test.index"
    index.parent.mkdir(exist_ok=True)
    git.run("read-tree", "HEAD", index=index)
    for name, content in {"run.json": document, "params.json": {"lr": 0.1}}.items():
        oid = git.write_blob(json.dumps(content).encode())
        git.run("update-index", "--add", "--cacheinfo", f"100644,{oid},.snaprun/{name}", index=index)
    tree = git.text("write-tree", index=index)
    index.unlink()
    made = git.commit(
        tree, f"snaprun: nb.ipynb {os.urandom(4).hex()}", parents=[], author=git.author(), date="1767322245 +0000"
    )
    git.move_ref(RUN_REF + made, made, None)
    return made


def ending(result: Result = DONE, **more: Any) -> Ending:
    return Ending(result=result, executed=b'{"cells": []}', log=b"hello\n", **more)


def run_in(git: GitRepo, run_id: str) -> slots.Slot:
    slot = slots.claim(git, run_id, live=git.place.live)
    slots.lay_out(git, slot, run_id)
    return slot


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
    result = record.read_result(git, run_id)
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
    run = record.read_run(git, run_id)
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
    assert record.read_run(git, run_id).status is Status.SUCCEEDED


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
    result = record.read_result(git, run_id)
    assert result is not None and own[:8] in " ".join(result.warnings)
    assert repo.git("rev-parse", "main") != own
    again = run_in(git, freeze(repo))
    slots.release(again)


def test_a_log_above_the_limit_keeps_its_ends_in_git(repo: Sandbox, tmp_path: Path) -> None:
    git = gate(repo)
    run_id = freeze(repo)
    log = tmp_path / "log.txt"
    log.write_bytes(b"first\n" + b"x" * 3_000_000 + b"last\n")
    tip = commit_result(git, run_id, Ending(result=DONE, executed=b"{}", log=log), slot=None, max_file_size=LIMIT)
    short = git.blob(tip, ".snaprun/log.txt")
    assert short is not None and short.startswith(b"first\n") and short.endswith(b"last\n")
    assert b"bytes are left out here" in short and len(short) < 2_200_000
    result = record.read_result(git, run_id)
    assert result is not None
    (whole,) = result.artifacts
    assert (whole.path, whole.size, whole.stored) == (".snaprun/log.txt", 3_000_011, "store")
    assert (git.place.state / "artifacts" / whole.sha256).read_bytes() == log.read_bytes()
