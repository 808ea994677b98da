"""Outputs taken out of a notebook and put back from a run; and which run a commit is from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from snaprun.errors import DataFault, InputMissing
from snaprun.hooks.strip import restore_outputs, strip
from tests.hooking import pair, ran, stream, with_outputs
from tests.sandbox import Sandbox, notebook

SOURCES = ("print('one')", "# %% md\n# Two", "print('two')", "")
PRINTS = {1: [stream("one\n")], 2: [stream("two\n")]}


def executed(*sources: str, outputs: Any = None) -> dict[str, Any]:
    return with_outputs(notebook(*(sources or SOURCES)), PRINTS if outputs is None else outputs)


def outputs_of(content: bytes) -> list[Any]:
    return [cell["outputs"] for cell in json.loads(content)["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("layout", [{"indent": 1}, {"indent": 4}, {}, {"separators": (",", ":")}, {"indent": "\t"}])
@pytest.mark.parametrize("end", ["", "\n"])
def test_only_the_outputs_change(layout: dict[str, Any], end: str) -> None:
    node = executed()
    node["metadata"]["title"] = "Ü"
    node["cells"][0]["metadata"]["collapsed"] = False
    for ascii_only in (True, False):
        before = (json.dumps(node, ensure_ascii=ascii_only, **layout) + end).encode()
        after = strip(before)
        assert outputs_of(after) == [[], [], []]
        bare = json.loads(before)
        for cell in bare["cells"]:
            if cell["cell_type"] == "code":
                cell.update(outputs=[], execution_count=None)
        assert after == (json.dumps(bare, ensure_ascii=ascii_only, **layout) + end).encode()
        assert strip(after) == after
        assert restore_outputs(after, before).content in (
            before,
            _without_count_of_empty(before, layout, end, ascii_only),
        )


def _without_count_of_empty(raw: bytes, layout: dict[str, Any], end: str, ascii_only: bool) -> bytes:
    """The last, empty cell executes nothing: its count is not kept."""
    node = json.loads(raw)
    node["cells"][-1]["execution_count"] = None
    return (json.dumps(node, ensure_ascii=ascii_only, **layout) + end).encode()


def test_a_notebook_without_outputs_keeps_every_byte() -> None:
    odd = b'{ "cells" : [ ] ,\n\n "nbformat":4}  '
    assert strip(odd) == odd


def test_windows_line_ends_stay() -> None:
    raw = json.dumps(executed(), indent=1).encode().replace(b"\n", b"\r\n")
    assert b"\n" not in strip(raw).replace(b"\r\n", b"")


def test_outputs_go_to_the_cells_with_their_source() -> None:
    run = json.dumps(executed("a", "b", "c", outputs={n: [stream(f"{n}")] for n in (1, 2, 3)})).encode()
    done = restore_outputs(json.dumps(notebook("new", "a", "c changed", "c")).encode(), run)
    assert (done.cells, done.unknown) == (2, (1, 3))
    texts = ["".join(out["text"] for out in outputs) for outputs in outputs_of(done.content)]
    assert texts == ["", "1", "", "3"]


def test_the_injected_cell_of_a_run_is_passed_over() -> None:
    run = executed("lr = 1", "print(lr)", outputs={2: [stream("0.5\n")]})
    run["cells"].insert(
        1,
        {"cell_type": "code", "metadata": {"tags": ["injected-parameters"]}, "source": "lr = 0.5", "outputs": []}
        | {"execution_count": 9},
    )
    done = restore_outputs(json.dumps(notebook("lr = 1", "print(lr)")).encode(), json.dumps(run).encode())
    assert outputs_of(done.content)[1] == [stream("0.5\n")]


def test_notebooks_with_nothing_in_common() -> None:
    with pytest.raises(DataFault):
        restore_outputs(json.dumps(notebook("other")).encode(), json.dumps(executed()).encode())
    with pytest.raises(InputMissing):
        restore_outputs(b"no notebook", json.dumps(executed()).encode())


def test_restore_outputs_brings_back_what_strip_took(repo: Sandbox) -> None:
    repo.write("snaprun.toml", '[hook]\noutputs = "strip"\n')
    repo.write("train.ipynb", json.dumps(notebook(*SOURCES), indent=1))
    run_id = ran(repo, "train.ipynb", PRINTS)
    repo.write("train.ipynb", json.dumps(executed(*SOURCES), indent=1) + "\n")
    repo.git("add", ".")
    assert repo.snaprun("hook", "run", "pre-commit").returncode == 0
    repo.git("commit", "-qm", "without outputs")
    assert outputs_of(repo.git("show", "HEAD:train.ipynb").encode()) == [[], [], []]
    done = repo.snaprun("restore", run_id, "--outputs")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{repo.path}/train.ipynb\n"
    assert outputs_of((repo.path / "train.ipynb").read_bytes()) == [PRINTS[1], PRINTS[2], []]


def ids(repo: Sandbox, revision: str) -> list[str]:
    done = repo.snaprun("history", "--commit", revision, "-q")
    assert done.returncode in (0, 3), done.stderr
    return done.stdout.split()


def test_which_run_is_a_commit_from(repo: Sandbox) -> None:
    """By its source: before and after, whatever HEAD was, whatever is rewritten, and without anything to keep."""
    pair(repo, "train", "x = 1")
    first = ran(repo, "train.ipynb")
    repo.commit("first")
    pair(repo, "train", "x = 2")
    second = ran(repo, "train.ipynb")
    again = ran(repo, "train.ipynb")
    repo.commit("second")
    repo.write("README", "more")
    repo.commit("no notebook changed")
    assert ids(repo, "HEAD~1") == [again, second]
    assert set(ids(repo, "HEAD")) == {again, second}, "the notebooks that it holds"
    assert first in ids(repo, "HEAD~2")
    assert ids(repo, first) == [first], "a run's own commit is itself alone"
    repo.git("commit", "-q", "--amend", "-m", "other words")
    repo.git("rebase", "-q", "--force-rebase", "HEAD~2")
    assert ids(repo, "HEAD~1") == [again, second]
    assert ids(repo, "HEAD~3") == [first], "the run that was started on it"
