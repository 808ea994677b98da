"""One cell through its runs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from snaprun import records
from snaprun.diffs import cellhistory
from snaprun.errors import NothingFound
from snaprun.model import Run
from snaprun.show import Look
from tests.runs import copied, edited, gate, logged, made
from tests.sandbox import Sandbox, notebook


def runs(box: Sandbox, *ids: str) -> list[Run]:
    return [records.read_run(gate(box), run_id) for run_id in reversed(ids)]


def test_when_a_cell_changed_and_the_metrics_then(repo: Sandbox) -> None:
    path = copied(repo, "digits.ipynb")
    a = made(repo, "digits.ipynb", metrics=logged(loss=0.5))
    b = made(repo, "digits.ipynb", metrics=logged(loss=0.4))
    document = json.loads(path.read_text())
    document["cells"].insert(
        2, {"cell_type": "code", "id": "new", "metadata": {}, "source": "x = 1", "outputs": [], "execution_count": None}
    )
    path.write_text(json.dumps(document))
    c = made(repo, "digits.ipynb", metrics=logged(loss=0.3))
    edited(path, 9, '# another way\naccuracy = model.score(X_test, y_test)\nprint(f"accuracy {accuracy:.4f}")\n')
    d = made(repo, "digits.ipynb", metrics=logged(loss=0.2), name="better")
    found = cellhistory.history(gate(repo), runs(repo, a, b, c, d), "6")
    assert [([run.id for run in one.runs], one.state, one.number) for one in found] == [
        ([d], "changed", 6),
        ([c, b, a], "first", 6),
    ]
    assert found[0].hunks[0].lines[0] == "+# another way"
    assert cellhistory.history(gate(repo), runs(repo, a, b, c, d), "accuracy")[0].label == "Evaluate"
    text = cellhistory.text(found, Look(), now=1767409445).split("\n")
    assert text[0].startswith(f"~ {d[:8]} better  1 d ago  cell 6 (Evaluate) changed")
    assert text[0].endswith("loss 0.2")
    assert text[-1].endswith("the first run, 3 runs  loss 0.3")
    assert found[0].to_json()["metrics"] == {"loss": 0.2}


def test_a_cell_that_was_added_later(repo: Sandbox) -> None:
    repo.write("x.ipynb", json.dumps(notebook("one = 1")))
    a = made(repo, "x.ipynb")
    repo.write("x.ipynb", json.dumps(notebook("one = 1", "import other\nother.thing()")))
    b = made(repo, "x.ipynb")
    found = cellhistory.history(gate(repo), runs(repo, a, b), "2")
    assert [(one.state, len(one.runs)) for one in found] == [("added", 1)]


def test_a_cell_that_was_split_off_is_followed(repo: Sandbox) -> None:
    repo.write("x.ipynb", json.dumps(notebook("a = 1\nb = 2\nc = 3\nd = 4", ids=False)))
    a = made(repo, "x.ipynb")
    repo.write("x.ipynb", json.dumps(notebook("a = 1\nb = 2", "c = 3\nd = 4", ids=False)))
    b = made(repo, "x.ipynb")
    assert [one.state for one in cellhistory.history(gate(repo), runs(repo, a, b), "2")] == ["changed", "first"]


def test_cells_that_are_not_found(repo: Sandbox) -> None:
    copied(repo, "digits.ipynb")
    listed = runs(repo, made(repo, "digits.ipynb"))
    for wanted, said in (
        ("99", "there is no cell 99"),
        ("zzz", "no cell has the text"),
        ("print", "cells have the text"),
    ):
        with pytest.raises(NothingFound, match=said) as caught:
            cellhistory.history(gate(repo), listed, wanted)
        assert caught.value.hint
    with pytest.raises(NothingFound):
        cellhistory.history(gate(repo), [], "1")


def test_a_damaged_notebook_breaks_no_chain(repo: Sandbox) -> None:
    repo.write("x.ipynb", json.dumps(notebook("one = 1")))
    ids = [made(repo, "x.ipynb"), made(repo, "x.ipynb")]
    newest, oldest = runs(repo, *ids)
    damaged = replace(newest, notebook="gone.ipynb", code_hash="")
    found = cellhistory.history(gate(repo), [newest, damaged, oldest], "1")
    assert [run.id for run in found[0].runs] == [newest.id, oldest.id]
