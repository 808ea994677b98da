"""One number a cell, whoever names it: the run's record, its log, the diff, the history of a cell, and the hook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from snaprun.notebooks import cells, halves
from tests.engineroom import execute
from tests.hooking import findings
from tests.sandbox import Sandbox

Cell = dict[str, Any]


def code(source: str, *tags: str) -> Cell:
    return {"cell_type": "code", "metadata": {"tags": list(tags)} if tags else {}, "source": source} | {
        "outputs": [],
        "execution_count": None,
    }


def prose(kind: str) -> Cell:
    return {"cell_type": kind, "metadata": {}, "source": "some words"}


PARAMETERS = code("lr = 1", "parameters")
FIRST = code("lr = 2", "injected-parameters")
SECOND = code("lr = 3\nprint('injected again')", "injected-parameters")
READS, PRINTS, FAILS = code("print('reads', lr)"), code("print('prints')"), code("raise ValueError(lr)")

NOTEBOOKS: dict[str, tuple[list[Cell], list[int]]] = {
    "two injected": ([PARAMETERS, FIRST, SECOND, READS, PRINTS], [1, 0, 2, 3, 4]),
    "two injected, text between": (
        [prose("raw"), FIRST, prose("markdown"), PARAMETERS, prose("raw"), SECOND, prose("markdown"), READS],
        [0, 1, 2, 3],
    ),
    "injected in the middle": ([PARAMETERS, READS, prose("markdown"), FIRST, PRINTS], [1, 2, 0, 3]),
    "none injected": ([prose("raw"), PARAMETERS, prose("markdown"), READS, PRINTS], [1, 2, 3]),
}
"""Cells of a notebook, and the numbers of its code cells."""


def document(*content: Cell) -> dict[str, Any]:
    metadata = {"kernelspec": {"name": "python3", "display_name": "python3", "language": "python"}}
    entries = [{**cell, "id": f"cell-{place}"} for place, cell in enumerate(content)]
    return {"cells": entries, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_first_injected_cell_is_0_and_a_second_one_is_a_cell_like_any_other(name: str) -> None:
    content, numbers = NOTEBOOKS[name]
    raw = document(*content)
    node = cells.normalize(raw, "a.ipynb")
    assert [number for number, _, _ in cells.number_cells(raw)] == numbers
    assert [cell.number for cell in cells.code_cells(node)] == numbers
    assert [cell.index for cell in cells.code_cells(node)] == [index for _, index, _ in cells.number_cells(raw)]


def test_numbers_need_no_more_than_a_list_of_cells() -> None:
    """A document that was not normalized: sources as lists, damaged tags, no metadata."""
    damaged: Cell = {"cell_type": "code", "metadata": {"tags": "injected-parameters"}, "source": ["a\n", "b"]}
    assert [number for number, _, _ in cells.number_cells({"cells": [damaged, {"cell_type": "code"}, {}]})] == [1, 2]
    assert list(cells.number_cells({})) == []
    assert cells.read_source(damaged) == "a\nb"


@pytest.mark.parametrize("engine", ["kernel", "inline", "script"])
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_engines_number_cells_so(engine: str, name: str, tmp_path: Path) -> None:
    content, numbers = NOTEBOOKS[name]
    ran = execute(tmp_path, document=document(*content), how=engine)
    assert [(cell.number, cell.state) for cell in ran.cells] == [(number, "ok") for number in numbers]
    reads = numbers[[cell["source"] for cell in content if cell["cell_type"] == "code"].index(READS["source"])]
    assert [event["o"]["text"] for event in ran.events("out") if event["n"] == reads] == [
        f"reads {3 if SECOND in content else 2 if FIRST in content[: content.index(READS)] else 1}\n"
    ]


@pytest.mark.parametrize("engine", ["kernel", "inline"])
@pytest.mark.parametrize("given", [(), ("-p", "lr=7")])
def test_every_command_names_a_cell_by_the_same_number(repo: Sandbox, engine: str, given: tuple[str, ...]) -> None:
    """``-p`` takes the place of every injected cell, so that the cells behind the second one move up by one."""
    content = [prose("raw"), PARAMETERS, FIRST, prose("markdown"), SECOND, READS, PRINTS, FAILS]
    repo.write("x.ipynb", json.dumps(document(*content), indent=1))
    repo.write("snaprun.toml", '[hook]\noutputs = "keep"\n')
    repo.commit()
    reads, prints, fails = (2, 3, 4) if given else (3, 4, 5)
    done = repo.snaprun("exec", "x.ipynb", "--engine", engine, *given)
    assert done.returncode == 1, done.stderr

    shown = json.loads(repo.snaprun("show", "@", "--json").stdout)
    assert sorted(cell["number"] for cell in shown["cells"]) == list(range(fails + 1))
    assert shown["error"]["number"] == fails
    assert shown["params"] == {"lr": 7 if given else 3}
    for number, text in ((reads, f"reads {7 if given else 3}\n"), (prints, "prints\n"), (fails, "")):
        log = repo.snaprun("logs", "@", "--cell", str(number))
        assert (log.returncode, log.stdout) == (0, text), log.stderr
    assert repo.snaprun("logs", "@", "--cell", str(fails + 1)).returncode == 65

    place = content.index(PRINTS)
    content[place] = code("print('prints more')")
    repo.write("x.ipynb", json.dumps(document(*content), indent=1))
    assert repo.snaprun("exec", "x.ipynb", "--engine", engine, *given).returncode == 1
    diff = json.loads(repo.snaprun("diff", "@~1", "@", "--json").stdout)
    changed = [cell for cell in diff["cells"] if cell["state"] == "changed"]
    assert [(cell["a"], cell["b"]) for cell in changed] == [(prints, prints)]
    assert [output["state"] for output in changed[0]["outputs"]] == ["changed"]
    assert [cell["a"] for cell in diff["cells"] if cell["kind"] == "code"] == list(range(1, fails + 1))

    log = json.loads(repo.snaprun("log", f"x.ipynb:{prints}", "--json").stdout)
    assert [(version["cell"], version["source"]) for version in log["versions"]] == [
        (prints, "print('prints more')"),
        (prints, "print('prints')"),
    ]


def test_the_hook_names_cells_by_the_number_of_the_staged_notebook(repo: Sandbox) -> None:
    secret = code("key = 'ghp_" + "aB3dE5fG7h" * 3 + "1J2k3L'")
    secret["execution_count"], early = 1, {**PRINTS, "execution_count": 2}
    repo.write("x.ipynb", json.dumps(document(PARAMETERS, FIRST, prose("markdown"), SECOND, early, secret), indent=1))
    repo.git("add", ".")
    texts = {found["check"]: found["text"] for found in findings(repo)}
    assert texts["secrets"].startswith("cell 4: holds a GitHub token"), texts
    assert texts["outputs"] == "outputs are out of order: cell 4 ran before a cell above"


def test_the_halves_of_a_pair_name_cells_by_the_same_numbers() -> None:
    """An empty cell counts, whether or not the text half has it."""
    node = document(PARAMETERS, FIRST, code(""), prose("markdown"), SECOND, PRINTS)
    node["metadata"]["jupytext"] = {"formats": "ipynb,py:percent"}
    raw = json.dumps(node).encode()
    (half,) = (half for half in halves.members("a.ipynb", raw, None) if not half.is_notebook)
    text = halves.text_from(raw, None, half)
    assert halves.find_differences(raw, text.replace(b"'prints'", b"'prints more'"), half) == ("cell 4",)
    assert halves.find_differences(raw, text.replace(b"lr = 2", b"lr = 8"), half) == ("injected parameters",)
    assert halves.find_differences(raw, text.replace(b"some words", b"other words"), half) == ("markdown cell 1",)
