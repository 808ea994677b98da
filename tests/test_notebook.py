"""The gate to jupytext and nbformat: every kind of notebook in, one kind of document out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from snaprun.engines.script import find_commented_cells
from snaprun.errors import Denied, InputMissing, Unavailable
from snaprun.notebooks import cells, notebook
from tests.sandbox import notebook as document

NOTEBOOKS = Path(__file__).parent / "notebooks"


def parsed(*sources: str, **options: Any) -> notebook.Notebook:
    return notebook.parse(json.dumps(document(*sources, **options)).encode(), Path("a.ipynb"))


@pytest.mark.parametrize(
    ("name", "language", "kernel", "count", "parameters"),
    [
        ("digits.ipynb", "python", "python3", 7, 1),
        ("no_ids.ipynb", "python", "conda-env-thesis-py", 5, 1),
        ("spectrum_v3.ipynb", "python", None, 2, None),
        ("cars_r.ipynb", "r", "ir", 3, 1),
        ("count_bash.ipynb", "bash", "bash", 2, 1),
        ("decay.py", "python", "python3", 3, 1),
        ("plain.py", "python", None, 1, None),
        ("report.md", "python", "python3", 2, 1),
        ("cars.Rmd", "r", None, 2, 2),
    ],
)
def test_reads_every_kind(name: str, language: str, kernel: str | None, count: int, parameters: int | None) -> None:
    book = notebook.read(NOTEBOOKS / name)
    assert (book.language, book.kernel, len(book.cells), book.parameters) == (language, kernel, count, parameters)
    assert book.raw == (NOTEBOOKS / name).read_bytes()
    assert book.node["nbformat"] == 4
    assert notebook.read(NOTEBOOKS / name).node == book.node, "the same bytes mean the same notebook"


def test_old_format_is_said_and_its_code_kept() -> None:
    book = notebook.read(NOTEBOOKS / "spectrum_v3.ipynb")
    assert "format 3" in book.notes[0]
    assert book.cells[0].label == "Spectrum of a chirp"
    assert book.cells[1].source.startswith("print abs(")


@pytest.mark.parametrize(
    "name", ["digits.ipynb", "no_ids.ipynb", "cars_r.ipynb", "count_bash.ipynb", "decay.py", "report.md"]
)
def test_the_script_says_what_the_notebook_says(name: str) -> None:
    book = notebook.read(NOTEBOOKS / name)
    extension, text = notebook.script(book.node, book.language)
    back = notebook.parse(text.encode(), Path(f"x{extension}"))
    assert back.code_hash == book.code_hash
    assert back.language == book.language
    assert back.kernel == book.kernel
    assert back.cells[0].tags == ("parameters",)
    assert "jupytext_version" not in text


def test_script_of_a_language_by_its_extension() -> None:
    for language, extension in {"python": ".py", "r": ".r", "julia": ".jl", "bash": ".sh", "javascript": ".js"}.items():
        assert notebook.script(parsed("1", language=language, kernel=None).node, language)[0] == extension


def test_a_plain_script_is_one_cell() -> None:
    book = notebook.read(NOTEBOOKS / "plain.py")
    assert book.cells[0].source == (NOTEBOOKS / "plain.py").read_text().strip("\n")
    assert book.is_text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b"hello", "is not a notebook"),
        (b"[1, 2]", "no notebook (a list)"),
        (b"null", "no notebook (a null)"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "co', "cut off"),
        (b'{"nbformat": 4, "cells": [', "cut off"),
        (b'{"nbformat": 4}', "no list of cells"),
        (b'{"nbformat": 4, "cells": {}}', "no list of cells"),
        (b'{"nbformat": 4, "cells": [1]}', "cell 1 is damaged"),
        (b'{"nbformat": 5, "cells": []}', "format 5"),
        (b'{"cells": []}', "format none"),
        (b'{"nbformat": 3, "worksheets": 1}', "damaged notebook of format 3"),
        (b'\xff\xfe{"a": 1}', "not UTF-8"),
        (b'{\n<<<<<<< ours\n "a": 1\n=======\n>>>>>>> theirs\n}', "merge markers"),
        (b"[" * 100_000, "no readable JSON"),
    ],
)
def test_bad_notebooks_are_named_and_get_a_hint(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "bad.ipynb"
    path.write_bytes(content)
    with pytest.raises(InputMissing) as caught:
        notebook.read(path)
    assert said in caught.value.message
    assert caught.value.hint
    assert caught.value.code == 66


def test_bad_places(tmp_path: Path) -> None:
    (tmp_path / "there.ipynb").write_text("{}")
    with pytest.raises(InputMissing, match="there is no notebook") as caught:
        notebook.read(tmp_path / "gone.ipynb")
    assert "there.ipynb" in caught.value.hint
    for path in (
        tmp_path,
        tmp_path / "there.ipynb" / "x.ipynb",
        tmp_path / ("x" * 300 + ".ipynb"),
        tmp_path / "a\0b.ipynb",
    ):
        with pytest.raises(InputMissing):
            notebook.read(path)
    (tmp_path / "data.csv").write_text("1,2")
    with pytest.raises(InputMissing, match="no notebook by its extension"):
        notebook.read(tmp_path / "data.csv")
    (tmp_path / "latin.py").write_bytes(b"x = '\xe9'\n")
    with pytest.raises(InputMissing, match="UTF-8"):
        notebook.read(tmp_path / "latin.py")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ipynb")
    with pytest.raises(InputMissing, match="no regular file"):
        notebook.read(tmp_path / "pipe.ipynb")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.qmd", "---\ntitle: x\n---\n\n```{python}\nx=1\n```\n"),
        ("a.py", "import marimo\n\napp = marimo.App()\n\n\n@app.cell\ndef _():\n    x=1\n    return\n"),
        (
            "a.md",
            "---\njupyter:\n  jupytext:\n    text_representation:\n      extension: .md\n      format_name: pandoc\n"
            "---\n\n# x\n",
        ),
        ("a.md", "---\nkernelspec:\n  name: python3\n---\n\n```{code-cell} ipython3\nx=1\n```\n"),
    ],
)
def test_formats_that_need_more_say_so(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises((Unavailable, InputMissing)) as caught:
        notebook.parse(text.encode(), Path(name))
    assert caught.value.hint


def test_an_unreadable_notebook_is_denied(tmp_path: Path, sealed: Path) -> None:
    path = tmp_path / "secret.ipynb"
    path.write_text("{}")
    path.chmod(0)
    if path.stat().st_uid == 0:
        pytest.skip("root may read everything")
    with pytest.raises(Denied):
        notebook.read(path)


@pytest.mark.parametrize("name", ["with space.ipynb", "quo'te\".ipynb", "new\nline.ipynb", "-dash.ipynb", "🚀.ipynb"])
def test_odd_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(json.dumps(document("x = 1")))
    assert notebook.read(path).cells[0].source == "x = 1"


def test_a_byte_order_mark_and_windows_line_ends_do_not_count(tmp_path: Path) -> None:
    raw = json.dumps(document("x = 1\ny = 2"), indent=1)
    plain = notebook.parse(raw.encode(), Path("a.ipynb"))
    marked = notebook.parse(
        b"\xef\xbb\xbf" + raw.replace("\n", "\r\n").replace("\\n", "\\r\\n").encode(), Path("a.ipynb")
    )
    assert marked.code_hash == plain.code_hash


def test_what_a_notebook_takes_to_be_read_grows_with_its_cells_only() -> None:
    def calls(count: int) -> int:
        """How many functions of Python reading a notebook of so many cells calls."""
        raw = json.dumps(document(*(f"x = {number}\nprint(x)" for number in range(count)))).encode()
        total = 0

        def note(_frame: FrameType, event: str, _arg: object) -> None:
            nonlocal total
            total += event == "call"

        sys.setprofile(note)
        try:
            book = notebook.parse(raw, Path("big.ipynb"))
            assert book.code_hash
        finally:
            sys.setprofile(None)
        assert len(book.cells) == count
        return total

    calls(10)  # what is imported or compiled once
    assert calls(8_000) < 5 * calls(2_000)


def test_ids_that_are_missing_or_doubled_are_made_good() -> None:
    raw = document("x", "y", "z")
    del raw["cells"][0]["id"]
    raw["cells"][2]["id"] = raw["cells"][1]["id"]
    ids = [cell["id"] for cell in notebook.parse(json.dumps(raw).encode(), Path("a.ipynb")).node["cells"]]
    assert len(set(ids)) == 3
    assert ids[1] == "cell-1"
    assert "id" not in parsed("x", ids=False).node["cells"][0]


def test_commented_magics_are_found() -> None:
    book = parsed("x = 1", "%time x", "!ls", "%%bash\nls", "y = '''\n%not a magic\n'''", "z = !ls", "a % b")
    assert find_commented_cells(book.node, notebook.script(book.node, "python")[1]) == [2, 3, 4, 6]


@pytest.mark.parametrize(
    ("language", "extension"),
    [("r", ".r"), ("c++", ".cpp"), ("octave", ".m"), ("haskell", ".hs"), ("brainfuck", ".py")],
)
def test_magics_and_scripts_of_other_languages(language: str, extension: str) -> None:
    book = parsed("x", "%timeit x", language=language, kernel=None)
    script_extension, text = notebook.script(book.node, language)
    assert script_extension == extension
    assert find_commented_cells(book.node, text) in ([2], [])


def test_importing_the_gate_leaves_the_slow_parts_out() -> None:
    slow = ["lark", "arrow", "tornado", "zmq", "jupyter_server", "jupyter_client", "git", "sqlalchemy"]
    code = (
        f"import sys, snaprun.notebooks.notebook; "
        f"print([m for m in {slow} if m in sys.modules], None in sys.modules.values())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] False"


def test_nothing_of_the_node_changes_when_a_script_is_made() -> None:
    book = notebook.read(NOTEBOOKS / "digits.ipynb")
    before = json.dumps(book.node)
    notebook.script(book.node, "python")
    cells.inject(book.node, "lr = 3")
    assert json.dumps(book.node) == before
