"""Runs read back from git: all of them fast, and a damaged one does not hide the others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from snaprun import records
from snaprun.checkouts.result import commit_result
from snaprun.errors import DataFault
from snaprun.git.gitrepo import GitRepo
from snaprun.model import RUN_REF, Cell, CellError, Metric, Result, Run, RunSpec
from snaprun.records import DamagedRun
from snaprun.statuses import Status
from tests.checkouts import LIMIT, ending
from tests.runs import gate
from tests.sandbox import Sandbox
from tests.snapshots import freeze


def raw(box: Sandbox, files: dict[str, bytes], parents: tuple[str, ...] = ()) -> str:
    """A commit with these files below ``.snaprun/``, whatever they hold."""
    lines = []
    for name, content in files.items():
        oid = box.git("hash-object", "-w", "--stdin", stdin=content).strip()
        lines.append(f"100644 blob {oid}\t{name}\0")
    inner = box.git("mktree", "-z", stdin="".join(lines).encode()).strip()
    tree = box.git("mktree", stdin=f"040000 tree {inner}\t.snaprun\n".encode()).strip()
    args = [part for parent in parents for part in ("-p", parent)]
    return box.git("commit-tree", tree, *args, "-m", "run").strip()


def saved(**more: Any) -> bytes:
    return json.dumps(RunSpec(notebook="nb.ipynb", created="2026-01-01T00:00:00.000000Z", **more).to_json()).encode()


def test_a_run_comes_back_whole(repo: Sandbox) -> None:
    git = gate(repo)
    run_id = freeze(repo, name="base", tags=("a", "b"), branch="main", seed=3, dirty=True)
    result = Result(
        status=Status.FAILED,
        exit_code=1,
        reason="ValueError: no",
        seconds=1.5,
        cells=(Cell(1, "load", "ok", 0.1), Cell(2, "fit", "failed", 1.2, "abc")),
        error=CellError(2, "ValueError", "no", "Traceback", "raise ValueError('no')"),
    )
    tip = commit_result(
        git, run_id, ending(result, metrics=b'{"name":"loss","value":0.5,"step":1}\n'), slot=None, max_file_size=LIMIT
    )
    run = records.read_run(git, run_id)
    assert (run.id, run.commit, run.status, run.exit_code, run.name) == (run_id, tip, Status.FAILED, 1, "base")
    assert run.metrics == {"loss": Metric(0.5, 0.5, 0.5, 1)} and run.tags == ("a", "b") and run.cells == result.cells
    assert list(records.read_runs(git)) == [run]
    assert records.read_spec(git, run_id).seed == 3
    assert records.read_params(git, run_id) == {"lr": 0.1}
    found = records.read_result(git, run_id)
    assert found is not None and found.error == result.error


def test_where_a_run_without_a_result_stands(repo: Sandbox) -> None:
    git = gate(repo)
    only_saved, running, deleted, lost = (freeze(repo, launcher=how) for how in ("none", "local", "local", "local"))
    (git.place.live / running).mkdir(parents=True)
    (git.place.live_backup / deleted).mkdir(parents=True)  # whose live folder is back within a second
    found = {run.id: (run.status, run.reason) for run in records.read_runs(git)}
    assert found == {
        only_saved: (Status.SAVED, None),
        running: (Status.RUNNING, None),
        deleted: (Status.RUNNING, None),
        lost: (Status.LOST, records.UNKNOWN),
    }
    assert records.read_result(git, running) is None


@pytest.mark.parametrize(
    "files",
    [
        {"params.json": b"{}"},
        {"run.json": b"{not json"},
        {"run.json": b"[]"},
        {"run.json": b"{}"},
        {"run.json": saved(), "params.json": b"\xff"},
    ],
)
def test_a_damaged_run_is_told_and_hides_no_other(repo: Sandbox, files: dict[str, bytes]) -> None:
    git = gate(repo)
    good = freeze(repo)
    bad = raw(repo, files)
    repo.git("update-ref", RUN_REF + bad, bad)
    found = {item.id: item for item in records.read_runs(git)}
    assert isinstance(found[good], Run)
    damaged = found[bad]
    assert isinstance(damaged, DamagedRun) and damaged.reason
    with pytest.raises(DataFault, match="damaged"):
        records.read_run(git, bad)
    with pytest.raises(DataFault, match="no run"):
        records.read_run(git, "0" * 40)


def test_a_damaged_result_is_told(repo: Sandbox) -> None:
    git = gate(repo)
    run_id = freeze(repo)
    parts = {"run.json": saved(), "params.json": b"{}", "result.json": b'{"status": "dancing"}'}
    repo.git("update-ref", RUN_REF + run_id, raw(repo, parts, parents=(run_id,)))
    (found,) = records.read_runs(git)
    assert isinstance(found, DamagedRun)


def many(box: Sandbox, count: int) -> GitRepo:
    """A repository with so many finished runs, made by fast-import."""
    result = json.dumps(Result(status=Status.SUCCEEDED, exit_code=0, cells=(Cell(1, "fit", "ok", 0.1),)).to_json())
    lines = "".join(json.dumps({"name": "loss", "value": step / 7, "step": step}) + "\n" for step in range(20))
    stream = []
    for number in range(count):
        spec = saved(name=f"run-{number}").decode()
        files = {"run.json": spec, "params.json": json.dumps({"lr": number}), "result.json": result}
        files["metrics.jsonl"] = lines
        stream.append("commit refs/tmp/one\ncommitter a <a> 1767322245 +0000\ndata 0\ndeleteall\n")
        for name, text in files.items():
            stream.append(f"M 100644 inline .snaprun/{name}\ndata {len(text.encode())}\n{text}\n")
        stream.append(f"\nreset {RUN_REF}{number:040x}\nfrom refs/tmp/one\n\nreset refs/tmp/one\n\n")
    box.git("fast-import", "--quiet", "--force", stdin="".join(stream).encode())
    return gate(box)


def test_batches_are_read_in_full(repo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "BATCH", 7)
    git = many(repo, 23)
    runs = list(records.read_runs(git))
    assert [run.params["lr"] for run in runs if isinstance(run, Run)] == list(range(23))
