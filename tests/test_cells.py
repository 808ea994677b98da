"""What cells say: numbers, labels, the fingerprint of the code, and where parameters go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snaprun.notebooks import cells
from tests.sandbox import notebook as document

NOTEBOOKS = Path(__file__).parent / "notebooks"


def node(*sources: str, **options: object) -> cells.Node:
    return cells.normalize(document(*sources, **options), "a.ipynb")  # type: ignore[arg-type]


def digits() -> cells.Node:
    return cells.normalize(cells.decode((NOTEBOOKS / "digits.ipynb").read_bytes(), "digits.ipynb"), "digits.ipynb")


def labels(document: cells.Node) -> list[str]:
    return [cell.label for cell in cells.code_cells(document) if cell.number]


def injected_index(document: cells.Node) -> int:
    (index,) = (index for number, index, _ in cells.number_cells(document) if number == 0)
    return index


def test_labels_are_what_a_person_would_call_the_cells() -> None:
    assert labels(digits()) == [
        "parameters",
        "Load the data",
        "fig, axes = plt.subplots(1, 4, figsize=(6, 2))",
        "Train",
        "Evaluate",
        "import pandas as pd",
        "!echo done",
    ]


@pytest.mark.parametrize(
    ("source", "label"),
    [
        ("# fit the model\nmodel.fit()", "fit the model"),
        ("#!/bin/sh\nls", "ls"),
        ("# %%\n#-----\n# --- load ---\nx", "load"),
        ("# noqa\nx = 1", "x = 1"),
        ("// in JavaScript\nlet x", "in JavaScript"),
        ("\n\n", ""),
        ("%%bash\nls", "%%bash"),
        ("x = '" + "y" * 80 + "'", "x = '" + "y" * 44 + "…"),
        ("\x1b[31mred = 1", "[31mred = 1"),
    ],
)
def test_label_of_a_cell_without_heading(source: str, label: str) -> None:
    assert labels(node(source)) == [label]


def test_heading_without_its_markup() -> None:
    assert labels(node("# %% md\ntext\n\n### The *best* `model` [see](http://x)", "x")) == ["The best model see"]


def test_injected_cells_are_number_nought() -> None:
    made = cells.inject(digits(), "lr = 3")
    numbers = [(cell.number, cell.label) for cell in cells.code_cells(made)][:3]
    assert numbers == [(1, "parameters"), (0, "parameters"), (2, "Load the data")]
    again = cells.inject(made, "lr = 4")
    assert len(again["cells"]) == len(made["cells"]), "the injected cell of an earlier run is replaced"
    assert injected_index(again) == 2


def test_at_the_top_front_matter_and_future_imports_stay_first() -> None:
    plain = node("x = 1", "y = 2")
    assert injected_index(cells.inject(plain, "a = 1")) == 0
    raw = {**plain, "cells": [{"cell_type": "raw", "metadata": {}, "source": "---\ntitle: x\n---"}, *plain["cells"]]}
    assert injected_index(cells.inject(raw, "a = 1")) == 1
    assert injected_index(cells.inject(node("from __future__ import annotations", "x"), "a = 1")) == 1


def test_the_fingerprint_is_of_what_runs() -> None:
    base = node("x = 1", "# %% md\ntext", "y = 2", parameters="lr = 1")
    same = [
        node("x = 1\n", "# %% md\nother", "y = 2  ", parameters="lr = 1", ids=False, kernel="other"),
        node("x = 1\r\n", "", "y = 2\n\n", parameters="lr = 1"),
        cells.inject(base, "lr = 2"),
    ]
    other = [
        node("y = 2", "x = 1", parameters="lr = 1"),
        node("x = 1", "y = 3", parameters="lr = 1"),
        node("lr = 1", "x = 1", "y = 2"),
        node("x = 1\ny = 2", parameters="lr = 1"),
    ]
    assert {cells.code_hash(one) for one in same} == {cells.code_hash(base)}
    assert cells.code_hash(base) not in {cells.code_hash(one) for one in other}


def test_ids_made_of_content_are_unique_and_stable() -> None:
    made = cells.with_ids(node("x", "x", "y", ids=False))
    ids = [cell["id"] for cell in made["cells"]]
    assert len(set(ids)) == 3
    assert ids == [cell["id"] for cell in cells.with_ids(node("x", "x", "y", ids=False))["cells"]]
    assert [cell["id"] for cell in cells.with_ids(node("a", "b"))["cells"]] == ["cell-0", "cell-1"]


def test_a_document_is_dumped_as_jupyter_would() -> None:
    assert json.loads(cells.dump(digits())) == digits()
    assert cells.dump(digits()).endswith(b"}\n")


@pytest.mark.parametrize(
    ("metadata", "language"),
    [
        ({}, "python"),
        ({"kernelspec": {"name": "ir"}}, "r"),
        ({"kernelspec": {"name": "julia-1.10"}}, "julia"),
        ({"kernelspec": {"name": "x", "language": "R"}}, "r"),
        ({"language_info": {"name": "ipython"}}, "python"),
        ({"jupytext": {"main_language": "bash"}}, "bash"),
        ({"kernelspec": None, "language_info": []}, "python"),
    ],
)
def test_language(metadata: dict[str, object], language: str) -> None:
    assert (
        cells.find_language(cells.normalize({"nbformat": 4, "cells": [], "metadata": metadata}, "a.ipynb")) == language
    )
