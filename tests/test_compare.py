"""Two runs of real notebooks out of git: the comparison names exactly the edit that was made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snaprun.diffs import builder, direction, markdown, sides, terminal
from snaprun.diffs.rundiff import SECTIONS, Comparison
from snaprun.diffs.terminal import DiffOptions
from snaprun.errors import DataFault
from snaprun.model import Artifact, Cell, CellError, Result
from snaprun.show import Look
from snaprun.statuses import Status
from tests.runs import ENVIRONMENT, copied, display, edited, gate, logged, made, stream
from tests.sandbox import Sandbox, notebook


def compared(box: Sandbox, a: str, b: str, **options: Any) -> Comparison:
    repo = gate(box)
    one, other = sides.of_run(repo, a), sides.of_run(repo, b)
    return builder.compare(one, other, files=sides.files(repo, one, other), **options)


def shown(found: Comparison, **wanted: Any) -> list[str]:
    return terminal.text(found, DiffOptions(**wanted)).split("\n")


@pytest.fixture
def digits(repo: Sandbox) -> Path:
    path = copied(repo, "digits.ipynb")
    repo.write("src/model.py", "def f():\n    return 1\n")
    repo.commit()
    return path


def test_the_same_run_twice_is_no_difference(repo: Sandbox, digits: Path) -> None:
    again = {4: [stream("epoch 1/5 loss 2.1013\n"), stream("epoch 2/5 loss 1.3350\n")]}
    slower = {4: [stream("epoch 1/5 loss 2.1013\nepoch 2/5 loss 1.3350\n")]}
    a = made(repo, "digits.ipynb", outputs=again, metrics=logged(loss=0.3))
    b = made(repo, "digits.ipynb", outputs=slower, metrics=logged(loss=0.3))
    found = compared(repo, a, b)
    assert not found.differs
    assert all(found.identical.values())
    assert shown(found)[-1].startswith("no difference in params, metrics, code")
    assert len(shown(found)) == 2


def test_one_parameter(repo: Sandbox, digits: Path) -> None:
    outputs = {5: [stream("accuracy 0.9400\n")]}
    a = made(repo, "digits.ipynb", metrics=logged(loss=[2.0, 0.31], acc=0.9, n=1), name="base")
    b = made(repo, "digits.ipynb", given={"lr": 0.2}, metrics=logged(loss=[2.0, 0.27], acc=0.8, n=1), outputs=outputs)
    found = compared(repo, a, b)
    assert [(one.name, one.a, one.b) for one in found.params or () if one.state != "same"] == [("lr", 0.1, 0.2)]
    assert found.code == ()
    assert [(one.name, one.better) for one in found.metrics or ()] == [("loss", True), ("acc", False), ("n", None)]
    assert found.first_divergence is not None
    assert (found.first_divergence.b, found.first_divergence.label) == (5, "Evaluate")
    text = shown(found)
    assert text[1] == "First      cell 5 (Evaluate) is the first whose output differs"
    assert text[2] == "Params     lr  0.1 -> 0.2"
    assert text[4] == "Metrics    loss  0.31 -> 0.27  (-12.9%) better"
    assert text[5] == "           acc   0.9 -> 0.8    (-11.1%) worse"
    assert text[6] == "Outputs    cell 5 (Evaluate)  stdout: numbers differ in 1 line, by 0.028 relative at most"
    assert len(text) == 7


def test_an_edited_an_inserted_and_a_moved_cell(repo: Sandbox, digits: Path) -> None:
    a = made(repo, "digits.ipynb")
    document = json.loads(digits.read_text())
    document["cells"].insert(
        5,
        {
            "cell_type": "code",
            "id": "new",
            "metadata": {},
            "source": "# normalise\nX -= X.mean()",
            "outputs": [],
            "execution_count": None,
        },
    )
    document["cells"].insert(9, document["cells"].pop(4))
    digits.write_text(json.dumps(document))
    edited(digits, 6, "".join(document["cells"][6]["source"]).replace(":.4f", ":.6f"))
    b = made(repo, "digits.ipynb")
    found = compared(repo, a, b)
    assert [(cell.state, cell.a, cell.b) for cell in found.code] == [
        ("added", None, 3),
        ("changed", 4, 4),
        ("moved", 3, 6),
    ]
    text = shown(found, only=("code",))
    assert text[0] == "Code       + cell 3 (normalise)"
    assert '  -    print(f"epoch {epoch + 1}/{epochs} loss {model.loss_:.4f}")' in text
    assert '  +    print(f"epoch {epoch + 1}/{epochs} loss {model.loss_:.6f}")' in text
    assert text[-1].endswith("  from 3")
    assert len(terminal.text(found).split("\n")) < 30


def test_without_ids_the_edit_is_found_all_the_same(repo: Sandbox) -> None:
    path = copied(repo, "no_ids.ipynb")
    a = made(repo, "no_ids.ipynb")
    edited(path, 7, "## Look closer\n")
    edited(path, 4, None)
    b = made(repo, "no_ids.ipynb")
    found = compared(repo, a, b)
    states = [(cell.kind, cell.state, cell.a, cell.b) for cell in found.code]
    assert ("code", "removed", 3, None) in states
    assert all(kind == "code" or state in ("changed", "added", "removed") for kind, state, _, _ in states)


def test_files_environment_artifacts_and_times(repo: Sandbox, digits: Path) -> None:
    before = Result(
        status=Status.SUCCEEDED,
        exit_code=0,
        seconds=30,
        cells=(Cell(4, "Train", "ok", 10.0),),
    )
    after = replace(before, cells=(Cell(4, "Train", "ok", 20.0),))
    repo.write("old name.txt", "a line that stays\n" * 5)
    a = made(repo, "digits.ipynb", result=before)
    repo.write("src/model.py", "def f():\n    return 2\n")
    repo.write("data.bin", b"\0\1")
    (repo.path / "old name.txt").rename(repo.path / "new\nname.txt")
    other = {**ENVIRONMENT, "packages": {"numpy": "2.0.0", "torch": "2.4.1", "extra": "1"}}
    b = made(repo, "digits.ipynb", result=after, environment=other)
    found = compared(repo, a, b)
    assert [(one.state, one.path, one.old_path, one.add, one.delete, one.binary) for one in found.files] == [
        ("A", "data.bin", None, None, None, True),
        ("R", "new\nname.txt", "old name.txt", 0, 0, False),
        ("M", "src/model.py", None, 1, 1, False),
    ]
    text = shown(found)
    for line in (
        "Timings    cell 4 (Train)  10.0 s -> 20.0 s",
        "Files      A data.bin  binary",
        "           R old name.txt -> new�name.txt  +0 -0",
        "           M src/model.py  +1 -1",
        "Env        torch 2.3.0 -> 2.4.1",
        "           +extra 1",
    ):
        assert line in text, text


def test_artifacts(repo: Sandbox, digits: Path) -> None:
    side = sides.of_run(gate(repo), made(repo, "digits.ipynb"))
    done = Result(status=Status.SUCCEEDED, exit_code=0)
    one = replace(done, artifacts=(Artifact("model.pt", 100, "a" * 64), Artifact("gone.txt", 5, "b" * 64)))
    other = replace(done, artifacts=(Artifact("model.pt", 100, "c" * 64), Artifact("new.txt", 7, "d" * 64)))
    found = builder.compare(replace(side, result=one), replace(side, result=other))
    assert found.differs
    assert shown(found)[1:] == [
        "Artifacts  model.pt  100 B -> 100 B  content differs",
        "           - gone.txt  5 B",
        "           + new.txt  7 B",
    ]


def test_the_notebook_and_its_pair_are_no_files(repo: Sandbox, digits: Path) -> None:
    repo.write("jupytext.toml", 'formats = "ipynb,py:percent"\n')
    repo.write("digits.py", "# %%\nlr = 1\n")
    a = made(repo, "digits.ipynb")
    repo.write("digits.py", "# %%\nlr = 2\n")
    edited(digits, 1, "lr = 2\n")
    b = made(repo, "digits.ipynb")
    found = compared(repo, a, b)
    assert found.files == ()
    assert [(cell.state, cell.b) for cell in found.code] == [("changed", 1)]


def test_a_failed_run(repo: Sandbox, digits: Path) -> None:
    error = CellError(4, "ValueError", "bad", "Traceback", "model.fit()")
    states = ("ok", "ok", "ok", "failed", "not-run", "not-run", "not-run")
    cells = tuple(Cell(number, f"cell {number}", state) for number, state in enumerate(states, 1))
    failed = Result(Status.FAILED, 1, reason="cell 4: ValueError: bad", seconds=3, error=error, cells=cells)
    said = {"output_type": "error", "ename": "ValueError", "evalue": "bad", "traceback": []}
    a = made(repo, "digits.ipynb")
    b = made(repo, "digits.ipynb", result=failed, outputs={4: [said], 5: [], 6: [], 7: []})
    found = compared(repo, a, b)
    assert found.differs
    assert [cell.b for cell in found.outputs] == [4]
    text = shown(found)
    assert text[0].endswith(f"{b[:8]} (failed exit 1, 3.00 s)")
    assert f"           {b[:8]}: cell 4: ValueError: bad" in text
    assert any("+ error ValueError: bad" in line for line in text)
    assert f"note: {b[:8]}: cells 5 to 7 did not run" in text


def test_a_run_in_progress(repo: Sandbox, digits: Path) -> None:
    a = made(repo, "digits.ipynb", metrics=logged(loss=0.3))
    b = made(repo, "digits.ipynb", ended=False)
    folder = gate(repo).place.live / b
    folder.mkdir(parents=True)
    (folder / "notebook.json").write_text(digits.read_text())
    events = [
        {"e": "start", "t": 1.0, "attempt": 1, "cells": 7},
        {"e": "cell", "t": 1.0, "n": 1, "state": "start", "label": "parameters"},
        {"e": "cell", "t": 2.0, "n": 1, "state": "ok", "seconds": 1.0},
        {"e": "cell", "t": 2.0, "n": 2, "state": "start", "label": "load"},
        {"e": "out", "t": 2.5, "n": 2, "o": stream("something else\n")},
        {"e": "cell", "t": 3.0, "n": 2, "state": "ok", "seconds": 1.0},
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    (folder / "metrics.jsonl").write_text('{"name": "loss", "value": 0.2}\n')
    found = compared(repo, a, b)
    assert [cell.b for cell in found.outputs] == [2]
    assert [(one.name, one.a, one.b) for one in found.metrics or ()] == [("loss", 0.3, 0.2)]
    assert any("in progress" in note for note in found.notes)
    assert any("cells 3 to 7 did not run" in note for note in found.notes)


def test_a_run_without_result(repo: Sandbox, digits: Path) -> None:
    a = made(repo, "digits.ipynb")
    b = made(repo, "digits.ipynb", given={"lr": 0.5}, ended=False)
    found = compared(repo, a, b)
    assert found.identical["outputs"] is None
    assert found.identical["params"] is False
    assert any("no result" in note for note in found.notes)
    assert found.to_json()["b"]["status"] == "lost"


def test_the_work_tree_and_a_branch_as_a_side(repo: Sandbox, digits: Path) -> None:
    a = made(repo, "digits.ipynb")
    edited(digits, 1, "lr = 0.3\nepochs = 5\nseed = 0\nhidden = (64, 32)\ndata = 'digits'")
    repo.write("untracked.py", "x = 1\n")
    git = gate(repo)
    one = sides.of_run(git, a)
    with repo.untouched():
        now = sides.of_work_tree(git, counterpart=one, max_file_size=1000_000)
        found = builder.compare(one, now, files=sides.files(git, one, now))
    assert [(cell.state, cell.b) for cell in found.code] == [("changed", 1)]
    assert [(value.name, value.b) for value in found.params or () if value.state != "same"] == [("lr", 0.3)]
    assert [file.path for file in found.files] == ["untracked.py"]
    assert git.refs("refs/snaprun/") == {f"refs/snaprun/runs/{a}": git.refs("refs/snaprun/")[f"refs/snaprun/runs/{a}"]}
    main = sides.of_commit(git, "main", counterpart=one)
    assert not builder.compare(one, main, files=sides.files(git, one, main)).differs
    with pytest.raises(DataFault, match="no commit nonsense"):
        sides.of_commit(git, "nonsense", counterpart=one)


def test_a_renamed_notebook_is_followed(repo: Sandbox, digits: Path) -> None:
    a = made(repo, "digits.ipynb")
    (repo.path / "late").mkdir()
    digits.rename(repo.path / "late" / "renamed.ipynb")
    repo.commit()
    git = gate(repo)
    one = sides.of_run(git, a)
    found = sides.of_commit(git, "HEAD", counterpart=one)
    assert found.notebook == "late/renamed.ipynb"
    assert builder.compare(one, found, files=sides.files(git, one, found)).identical["code"] is True
    b = made(repo, "late/renamed.ipynb")
    both = compared(repo, a, b)
    assert both.identical["code"] is True
    assert both.files == ()
    assert "           notebook digits.ipynb -> late/renamed.ipynb" in shown(both)


def test_different_languages_and_notebooks(repo: Sandbox, digits: Path) -> None:
    copied(repo, "count_bash.ipynb")
    copied(repo, "decay.py")
    a = made(repo, "digits.ipynb")
    b = made(repo, "count_bash.ipynb")
    c = made(repo, "decay.py")
    assert any("different languages: python, bash" in note for note in compared(repo, a, b).notes)
    assert compared(repo, a, c).differs


def test_a_damaged_notebook_is_a_note(repo: Sandbox, digits: Path) -> None:
    a = made(repo, "digits.ipynb")
    repo.write("digits.ipynb", b"{not json")
    repo.commit()
    git = gate(repo)
    one = sides.of_run(git, a)
    other = sides.of_commit(git, "HEAD", counterpart=one)
    found = builder.compare(one, other, files=sides.files(git, one, other))
    assert found.cells is None
    assert any("is not a notebook" in note for note in found.notes)
    assert found.identical["code"] is None


def test_the_json_is_the_documented_schema(repo: Sandbox, digits: Path) -> None:
    a = made(repo, "digits.ipynb", metrics=logged(loss=0.3))
    b = made(
        repo,
        "digits.ipynb",
        given={"lr": float("nan")},
        metrics=logged(loss=float("nan")),
        outputs={2: [stream("other\n")]},
    )
    document = json.loads(json.dumps(compared(repo, a, b).to_json(), allow_nan=False))
    assert list(document) == [
        "schema",
        "a",
        "b",
        "identical",
        "first_divergence",
        "run",
        "params",
        "metrics",
        "cells",
        "files",
        "env",
        "artifacts",
        "truncated",
        "notes",
    ]
    assert document["schema"] == "snaprun.diff/1"
    assert document["first_divergence"] == {"a": 2, "b": 2, "label": "Load the data"}
    assert {"name": "lr", "a": 0.1, "b": {"$yaml": ".nan"}, "state": "changed"} in document["params"]
    cell = next(one for one in document["cells"] if one["b"] == 2 and one["kind"] == "code")
    assert {"kind", "a", "b", "label", "state", "match", "similarity", "part_of", "hunks", "outputs", "seconds"} == set(
        cell
    )
    assert {"state", "kind", "mime", "summary", "a_sha", "b_sha", "noise", "max_rel", "hunks"} == set(
        cell["outputs"][0]
    )
    assert document["a"]["run"] == a


def test_stat_everything_and_markdown(repo: Sandbox, digits: Path) -> None:
    a = made(repo, "digits.ipynb", metrics=logged(loss=0.3))
    edited(digits, 8, "accuracy = 1  # `fence` ```\n")
    b = made(repo, "digits.ipynb", given={"lr": 0.2}, metrics=logged(loss=0.2), outputs={5: [stream("| x |\n")]})
    found = compared(repo, a, b)
    assert shown(found, stat=True)[2:6] == [
        "Params     1 of 5 differ",
        "Metrics    1 of 1 differ",
        "Code       ~1 cells, +1 -2 lines",
        "Outputs    1 of 7 cells differ",
    ]
    assert any(line.strip() == "seed = 0" for line in shown(found, include_same=True))
    said = markdown.markdown(found)
    assert "| lr | 0.1 | 0.2 |" in said
    assert "````diff" in said, "the fence is longer than any in the code"
    assert shown(found, only=("params",)) == ["Params     lr  0.1 -> 0.2", "           (4 the same)"]
    assert "\x1b[" in terminal.text(found, DiffOptions(look=Look(colour=True)))


def test_a_section_has_its_lines_wherever_sections_are_shown(repo: Sandbox, digits: Path) -> None:
    b = made(repo, "digits.ipynb", given={"lr": 0.2}, metrics=logged(loss=0.2), environment=ENVIRONMENT)
    found = compared(repo, made(repo, "digits.ipynb"), b)
    for section in SECTIONS:
        lines = shown(found, only=(section.name,))
        assert all(line.startswith((section.title.ljust(11), "First", " ", "note:")) for line in filter(None, lines))
        assert len(terminal.rows(section, found, DiffOptions(stat=True))) <= 1
        assert (f"**{section.name.capitalize()}**" in markdown.markdown(found)) <= (
            section.in_markdown or section.name == "code"
        )
    helped = repo.snaprun("diff", "--help").stdout
    assert ", ".join(section.name for section in SECTIONS) in " ".join(helped.split())


def test_a_notebook_cannot_command_the_terminal(repo: Sandbox) -> None:
    repo.write("x.ipynb", json.dumps(notebook("print('\x1b]0;owned\x07')\nx = 1")))
    a = made(repo, "x.ipynb", outputs={1: [stream("\x1b[2Ja\n")]})
    repo.write("x.ipynb", json.dumps(notebook("print('\x1b]0;owned\x07')\nx = 2")))
    b = made(repo, "x.ipynb", outputs={1: [stream("\x9b2Jb\n")]}, name="\x1b[31mred")
    assert "\x1b" not in terminal.text(compared(repo, a, b), DiffOptions(only=("run", "code", "outputs")))


def test_thousands_of_cells_and_much_output(repo: Sandbox) -> None:
    cells = [f"x_{number} = {number}\nprint(x_{number})" for number in range(2000)]
    repo.write("big.ipynb", json.dumps(notebook(*cells)))
    a = made(repo, "big.ipynb")
    cells[1000] += " # edited"
    repo.write("big.ipynb", json.dumps(notebook(*cells)))
    b = made(repo, "big.ipynb", outputs={5: [stream("x\n" * 100_000)], 7: [display(text_plain="7")]})
    found = compared(repo, a, b)
    assert [(cell.state, cell.b) for cell in found.code] == [("changed", 1001)]
    assert [cell.b for cell in found.outputs] == [5, 7]


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("loss", "lower"),
        ("val_loss", "lower"),
        ("valAcc", "higher"),
        ("test/F1", "higher"),
        ("AUC", "higher"),
        ("accuracy_loss", "lower"),
        ("rmse@10", "lower"),
        ("n", None),
        ("step", None),
        ("classic", None),
        ("elbo", "lower"),
    ],
)
def test_the_direction_of_a_metric(name: str, way: str | None) -> None:
    assert direction.direction(name, [("elbo", "lower")]) == way
