"""Which engine a notebook gets where the choice is left to snaprun."""

from __future__ import annotations

import json
from typing import Any

import pytest

from snaprun.engines.auto import needs_kernel
from tests.sandbox import Sandbox, notebook

WIDGET = "inline engine has no widgets, and cell 2 imports ipywidgets"


def shown(box: Sandbox, *args: str) -> Any:
    return json.loads(box.snaprun("show", "--json", *args).stdout)


@pytest.fixture
def box(repo: Sandbox) -> Sandbox:
    repo.notebook("plain.ipynb", "%matplotlib inline\n!true", "print(x)", parameters="x = 0")
    repo.notebook("widgets.ipynb", "print(1)", "if False:\n    import ipywidgets", parameters=None)
    repo.commit()
    return repo


@pytest.mark.parametrize(
    "code",
    [
        "import numpy as np\n%matplotlib inline\n%time x = 1\n!ls\nawait f()",
        "import comma, asyncpg\nmodel.input(3)\nself.comment = 'Comm'",
        "%%bash\necho on",
        "%%html\n<b>x</b>",
        "%matplotlib --list\nraw = my_input(3)",
        "from tqdm.auto import tqdm\nkernel = rbf_kernel(x)",
    ],
)
def test_nothing_in_it_asks_for_a_kernel(code: str) -> None:
    assert needs_kernel(notebook(code)) is None


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import ipywidgets as w", "cell 2 imports ipywidgets"),
        ("from tqdm.notebook import tqdm", "cell 2 shows widgets"),
        ("go.FigureWidget(data)", "cell 2 shows widgets"),
        ("%matplotlib widget", "cell 2 shows figures that one can click on"),
        ("  %matplotlib qt5", "cell 2 shows figures that one can click on"),
        ("import asyncio", "cell 2 may count on the kernel's event loop"),
        ("from ipykernel.comm import Comm", "cell 2 talks with Jupyter itself"),
        ("get_ipython().kernel.comm_manager", "cell 2 talks with Jupyter itself"),
        ("%connect_info", "cell 2 has a magic that needs a kernel"),
        ("%%javascript\n1", "cell 2 runs JavaScript"),
        ("name = input('who? ')", "cell 2 asks somebody at the keyboard"),
        ("from getpass import getpass\nx = getpass()", "cell 2 asks somebody at the keyboard"),
    ],
)
def test_what_asks_for_a_kernel_is_named(code: str, why: str) -> None:
    assert why in (needs_kernel(notebook("x = 1", code)) or "")


def test_a_cell_that_is_skipped_does_not_count_and_a_language_does() -> None:
    skipped = notebook("import asyncio")
    skipped["cells"][0]["metadata"]["tags"] = ["skip-execution"]
    assert needs_kernel(skipped) is None
    assert "this notebook is r" in (needs_kernel(skipped, language="r") or "")


def test_the_record_says_what_was_used_and_why(box: Sandbox) -> None:
    done = box.snaprun("exec", "plain.ipynb", "--engine", "auto")
    assert done.returncode == 0, done.stderr
    assert (shown(box)["engine"], shown(box)["warnings"]) == ("inline", [])
    done = box.snaprun("exec", "widgets.ipynb", "--engine", "auto")
    assert done.returncode == 0, done.stderr
    assert shown(box)["engine"] == "kernel"
    assert WIDGET in shown(box)["warnings"][0]
    assert f"note: run by a kernel, not inline: the {WIDGET}" in done.stderr


def test_wishes_that_only_a_kernel_grants(box: Sandbox) -> None:
    box.snaprun("exec", "plain.ipynb", "--engine", "auto", "--kernel", "python3", "-q")
    assert (shown(box)["engine"], "a kernel is asked for by name" in shown(box)["warnings"][0]) == ("kernel", True)
    box.snaprun("exec", "plain.ipynb", "--engine", "auto", "--hold-on-error", "-q")
    assert shown(box)["engine"] == "kernel"


@pytest.mark.parametrize("engine", ["inline", "script"])
def test_what_only_a_kernel_grants_is_refused_before_anything_is_frozen(box: Sandbox, engine: str) -> None:
    before = box.git("for-each-ref")
    done = box.snaprun("exec", "plain.ipynb", "--engine", engine, "--hold-on-error")
    said = f"snaprun: error: the {engine} engine cannot be held on an error: only a kernel can"
    assert (done.returncode, done.stderr.splitlines()) == (2, [said, "hint: --engine kernel"])
    assert box.git("for-each-ref") == before
    done = box.snaprun("exec", "--hold-on-error", "plain.ipynb")
    assert (done.returncode, "or put the option behind the notebook" in done.stderr) == (2, True)


def test_as_a_setting_in_a_sweep_a_rerun_and_a_snapshot(box: Sandbox) -> None:
    box.write("snaprun.toml", 'engine = "auto"\n')
    done = box.snaprun("sweep", "plain.ipynb", "-p", "x=1,2", "-q", "--json")
    assert [run["engine"] for run in json.loads(done.stdout)["runs"]] == ["inline", "inline"]
    box.snaprun("rerun", "--engine", "kernel", "-q")
    assert shown(box)["engine"] == "kernel"
    for args, engine in ((["widgets.ipynb"], "kernel"), (["plain.ipynb"], "inline"), ([], "kernel")):
        made = box.snaprun("snapshot", *args, "-q")
        assert shown(box, made.stdout.strip() or "@")["engine"] == engine


def test_a_name_that_is_none_is_refused_with_the_nearest(box: Sandbox) -> None:
    done = box.snaprun("exec", "plain.ipynb", "--engine", "autos")
    assert (done.returncode, "--engine auto" in done.stderr) == (2, True)
    done = box.snaprun("exec", "plain.ipynb", "--engine", "x")
    assert "--engine kernel or inline or script or auto" in done.stderr
