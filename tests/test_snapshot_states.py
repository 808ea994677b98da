"""Whatever state a repository is in, a snapshot holds what is on disk and leaves the user's side as it was."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from snaprun.errors import SnaprunError
from snaprun.freeze.capture import SnapshotRequest, take
from snaprun.git import locate
from snaprun.git.gitrepo import GitRepo
from snaprun.model import RunSpec
from tests.sandbox import Sandbox
from tests.states import NOTEBOOK, STATES, State, base, in_commit, on_disk

CREATED = "2026-01-02T03:04:05.000000Z"


def request(box: Sandbox, **options: object) -> SnapshotRequest:
    source = (box.path / NOTEBOOK).read_bytes()
    return SnapshotRequest(spec=RunSpec(notebook=NOTEBOOK, created=CREATED), source=source, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_a_snapshot_is_exact_in_this_state(state: State, tmp_path: Path) -> None:
    box = Sandbox(tmp_path / "repo", *state.init)
    box.write("README", "a project\n")
    box.commit("start")
    base(box)
    box = state.make(box) or box
    repo = GitRepo(locate.find(box.path, os.environ))
    with box.untouched():
        if state.refused:
            with pytest.raises(SnaprunError, match=state.refused):
                take(repo, request(box, **state.options))
            assert box.git("for-each-ref", "refs/snaprun") == ""
            return
        made = take(repo, request(box, **state.options))
    assert not (tmp_path / "hooks-that-ran").exists()
    kept = in_commit(box, made.id)
    links = {path: what for path, what in kept.items() if what[0] == "160000"}
    expected = {path: what for path, what in on_disk(box).items() if path not in state.left}
    for path, why in state.left.items():
        if why == "stored raw":
            expected[path] = on_disk(box)[path]
    for path, content in state.content.items():
        if content is None:
            expected.pop(path, None)
        elif path == NOTEBOOK:
            assert content in kept[path][1]
            assert box.git("show", f"{made.id}:.snaprun/source.ipynb") == (box.path / path).read_text()
            expected[path] = kept[path]
        else:
            expected[path] = ("100644", content)
    assert {path: what for path, what in kept.items() if path not in links} == expected
    told = json.loads(box.git("show", f"{made.id}:.snaprun/run.json"))
    assert {item["path"]: item["why"] for item in told["left_out"]}.keys() == state.left.keys()
    for item in told["left_out"]:
        assert state.left[item["path"]] in item["why"]
    assert len(told["warnings"]) == len(state.warns), told["warnings"]
    for words, warning in zip(state.warns, told["warnings"], strict=True):
        assert words in warning
    assert told["dirty"] == state.dirty
    if NOTEBOOK not in state.content:
        assert ".snaprun/source.ipynb" not in box.git("ls-tree", "-r", "--name-only", made.id)
    box.git("fsck", "--strict", "--no-dangling", made.id, ok="offline" not in state.name)
