"""Pairs of every format: in sync they are the same, and an edit is found where it is."""

from __future__ import annotations

import json
from typing import Any

import jupytext
import nbformat
import pytest

from snaprun.errors import InputMissing, SettingsFault
from snaprun.notebooks import halves
from snaprun.notebooks.half import Config, Half
from tests.sandbox import notebook

FORMATS = [
    "py:percent",
    "py:light",
    "py:hydrogen",
    "py:nomarker",
    "md:markdown",
    "md:myst",
    "Rmd:rmarkdown",
    "py:sphinx",
]
RICH = (
    "# %% md\n# A title\n\nwith *text* and `code`\n\n- a\n- b",
    "%matplotlib inline\nimport os\n!ls -l\nx = 1",
    "# %% md\n## Second",
    "def f(x):\n\n    return x\n\n\nprint(f(x))",
    "# a comment alone",
    'text = """\n%not magic\n# %% not a cell\n"""',
    "%%time\nsum(range(3))",
    "%%bash\necho $HOME",
    "x = 2;",
    "y = 'ünï🎉'",
)


def paired(fmt: str, *sources: str) -> dict[str, Any]:
    node = notebook(*sources, parameters="lr = 0.1")
    node["metadata"]["jupytext"] = {"formats": f"ipynb,{fmt}"}
    node["cells"][1]["metadata"]["tags"] = ["intro"]
    node["cells"][2]["metadata"]["scrolled"] = True
    node["cells"][2]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "hello"}]
    return node


def both(node: dict[str, Any], config: Config | None = None) -> tuple[bytes, bytes, Half]:
    raw = json.dumps(node).encode()
    (half,) = (half for half in halves.members("a.ipynb", raw, config) if not half.is_notebook)
    text = jupytext.writes(nbformat.from_dict(json.loads(raw)), fmt=dict(half.format))
    return raw, text.encode(), half


@pytest.mark.parametrize("fmt", FORMATS)
def test_in_sync(fmt: str) -> None:
    sources = RICH if fmt not in ("py:nomarker", "py:sphinx") else ("x = 1", "# %% md\nText", "y = 2")
    raw, text, half = both(paired(fmt, *sources))
    assert halves.find_differences(raw, text, half) == ()
    assert halves.find_differences(raw, text.replace(b"\n", b"\r\n"), half) == ()
    assert halves.find_differences(raw, text.replace(jupytext.__version__.encode(), b"1.0.0"), half) == ()
    assert halves.find_differences(raw, text + b"\n\n", half) == ()


@pytest.mark.parametrize("fmt", FORMATS[:3] + FORMATS[4:7])
def test_an_edit_is_found_in_its_cell(fmt: str) -> None:
    raw, text, half = both(paired(fmt, *RICH))
    assert halves.find_differences(raw, text.replace(b"x = 2;", b"x = 22;"), half) == ("cell 8",)
    assert halves.find_differences(raw, text.replace(b"## Second", b"## Third"), half) == ("markdown cell 2",)
    assert halves.find_differences(raw, text.replace(b"lr = 0.1", b"lr = 0.2"), half) == ("cell 1",)


@pytest.mark.parametrize("fmt", FORMATS[:3] + FORMATS[4:7])
def test_each_half_can_be_made_of_the_other(fmt: str) -> None:
    raw, text, half = both(paired(fmt, *RICH))
    edited = json.loads(raw)
    edited["cells"][-1]["source"] = "y = 'other'"
    new = json.dumps(edited).encode()
    made = halves.text_from(new, text, half)
    assert halves.find_differences(new, made, half) == ()
    assert halves.find_differences(raw, made, half) != ()
    back = halves.notebook_from(made, raw, half)
    assert halves.find_differences(back, made, half) == ()
    assert json.loads(back)["cells"][2]["outputs"][0]["text"] in ("hello", ["hello"]), "outputs are kept"
    assert [cell["id"] for cell in json.loads(back)["cells"]] == [cell["id"] for cell in edited["cells"]]


def test_losing_the_parameters_tag_is_a_difference() -> None:
    raw, text, half = both(paired("py:percent", "x = lr", "y = 1"))
    assert halves.find_differences(raw, text.replace(b' tags=["parameters"]', b""), half) == ("cell 1",)


def test_line_ends_of_the_old_half_are_kept() -> None:
    raw, text, half = both(paired("py:percent", "x = 1", "y = 1"))
    made = halves.text_from(raw, text.replace(b"\n", b"\r\n"), half)
    assert b"\n" not in made.replace(b"\r\n", b"")


@pytest.mark.parametrize(
    "options",
    [
        "split_at_heading = true",
        "comment_magics = false",
        'notebook_metadata_filter = "-all"',
        'cell_metadata_filter = "-all"',
        "hide_notebook_metadata = true",
        'cell_markers = "region,endregion"',
    ],
)
@pytest.mark.parametrize("fmt", ["py:light", "py:percent", "md"])
def test_options_of_the_configuration(options: str, fmt: str) -> None:
    node = paired(fmt, *RICH[:3], "# %% md\n### Third\n\ntext", "# %% md\n### Fourth", "z = 1")
    node["cells"].pop(0)
    del node["metadata"]["jupytext"]
    raw, text, half = both(node, Config("jupytext.toml", f'formats = "ipynb,{fmt}"\n{options}\n'.encode()))
    assert halves.find_differences(raw, text, half) == ()


def test_formats_in_folders() -> None:
    node = notebook("x = 1")
    node["metadata"]["jupytext"] = {"formats": "nb///ipynb,src///py:percent,docs///md"}
    found = halves.members("nb/deep/a.ipynb", json.dumps(node).encode(), None)
    assert [half.path for half in found] == ["nb/deep/a.ipynb", "src/deep/a.py", "docs/deep/a.md"]
    text = jupytext.writes(nbformat.from_dict(node), fmt="py:percent").encode()
    assert [half.path for half in halves.members("src/deep/a.py", text, None)] == [half.path for half in found]


def test_what_stands_alone() -> None:
    assert halves.members("a.ipynb", json.dumps(notebook("x")).encode(), None) == []
    assert halves.members("a.py", b"x = 1\n", None) == []
    elsewhere = notebook("x")
    elsewhere["metadata"]["jupytext"] = {"formats": "nb//ipynb,py"}
    assert halves.members("other/a.ipynb", json.dumps(elsewhere).encode(), None) == []


def test_what_cannot_be_understood() -> None:
    odd = notebook("x")
    odd["metadata"]["jupytext"] = {"formats": "ipynb,no such format"}
    with pytest.raises(SettingsFault):
        halves.members("a.ipynb", json.dumps(odd).encode(), None)
    with pytest.raises(SettingsFault):
        halves.members("a.ipynb", json.dumps(notebook("x")).encode(), Config("jupytext.toml", b"formats = ["))
    with pytest.raises(InputMissing):
        halves.members("a.ipynb", b"{", None)
    with pytest.raises(InputMissing):
        halves.find_differences(json.dumps(notebook("x")).encode(), b"\xff\xfe\x00", Half("a.py", {"extension": ".py"}))
