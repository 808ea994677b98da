"""Engines carry their own abilities: a new one is a module and a line in the table, and nothing else is told of it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from snaprun import engines
from snaprun.engines import ENGINES
from snaprun.errors import Unavailable, UsageFault
from snaprun.launchers import LAUNCHERS
from snaprun.model import NO_LAUNCHER
from tests.sandbox import Sandbox

MODULE = '''
"""An engine that shows the cells and executes nothing."""

from snaprun.errors import UsageFault
from snaprun.model import Outcome
from snaprun.statuses import Status
from snaprun.notebooks.cells import number_cells, read_source


def check(notebook, language, *, commented_magics):
    if any("magic" in read_source(cell) for _, _, cell in number_cells(notebook)):
        raise UsageFault("there is no magic in an echo", hint="--engine kernel")


def run(job, journal, stop):
    cells = list(number_cells(job.notebook))
    journal.start(attempt=job.attempt, cells=len(cells), kernel=None)
    for number, _, cell in cells:
        journal.cell(number, "start", label=job.labels.get(number, ""))
        journal.stream(number, "stdout", f"echo {read_source(cell)}\\n")
        journal.cell(number, "ok", seconds=0.0, count=number)
    return Outcome(Status.SUCCEEDED, 0)
'''

LINE = """
from snaprun import engines

engines.ENGINES["echo"] = engines.EngineKind("echo_engine", is_choosy=True)
"""


@pytest.fixture
def box(repo: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A repository where every process, supervisor and worker too, has one line more in the table of engines."""
    (tmp_path / "echo_engine.py").write_text(MODULE)
    (tmp_path / "sitecustomize.py").write_text(LINE)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(engines.__file__).parents[2]}")
    repo.notebook("a.ipynb", "1 / 0", "print('two')")
    repo.notebook("b.ipynb", "'magic'")
    return repo


@pytest.mark.usefixtures("nothing_left")
def test_a_line_in_the_table_is_all_that_a_new_engine_needs(box: Sandbox) -> None:
    done = box.snaprun("exec", "a.ipynb", "--engine", "echo")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "echo 1 / 0\necho print('two')\n"
    assert box.snaprun("history", "--where", "engine == 'echo' and status == 'succeeded'", "-q").stdout
    again = box.snaprun("rerun", "@")
    assert (again.returncode, again.stdout) == (0, done.stdout), again.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("a.ipynb", "--kernel", "python3"), "the echo engine runs without a kernel, and --kernel names one"),
        (("a.ipynb", "--hold-on-error", "5"), "the echo engine cannot be held on an error: only a kernel can"),
        (("b.ipynb",), "there is no magic in an echo"),
    ],
)
def test_what_a_new_engine_cannot_is_refused_before_anything_is_frozen(
    box: Sandbox, args: tuple[str, ...], message: str
) -> None:
    done = box.snaprun("exec", *args, "--engine", "echo")
    assert (done.returncode, f"snaprun: error: {message}\nhint: --engine kernel" in done.stderr) == (2, True)
    assert box.git("for-each-ref", "refs/snaprun") == ""


def test_one_that_is_misspelt_is_named(box: Sandbox) -> None:
    done = box.snaprun("exec", "a.ipynb", "--engine", "ecko")
    assert done.returncode == 2
    assert "hint: --engine echo" in done.stderr
    with pytest.raises(Unavailable, match="there is no engine 'ecko'"):
        engines.engine("ecko")


@pytest.mark.parametrize("name", ENGINES)
def test_the_line_of_an_engine_is_true_to_its_module(name: str) -> None:
    kind = engines.kind(name)
    module = engines.engine(name)
    assert module.__name__ == kind.module  # type: ignore[attr-defined]
    assert kind.is_choosy == hasattr(module, "check")
    assert kind.can_hold <= kind.has_kernel
    if kind.languages:
        with pytest.raises(UsageFault, match=f"the {name} engine runs Python only, not r"):
            engines.require_language(name, "r")


NAMES = {*ENGINES, engines.AUTO, *LAUNCHERS, NO_LAUNCHER}

OTHER_WORDS = {
    "hooks/report.py": "a state of a hook",
    "index/operands.py": "a value in a condition",
    "launchers/slurm.py": "the option of the command line",
    "launchers/ssh.py": "the scheme of an address",
    "live/replay.py": "a kind of event",
}
"""Files that compare with a word that is also the name of an engine or a launcher, and what it means there."""


def test_nobody_compares_the_names_of_engines_and_launchers() -> None:
    package = Path(engines.__file__).parents[1]
    files = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Compare)
        for side in (node.left, *node.comparators)
        for word in (side.elts if isinstance(side, (ast.Tuple, ast.List, ast.Set)) else [side])
        if isinstance(word, ast.Constant) and word.value in NAMES
    }
    assert files == OTHER_WORDS.keys()


def test_abilities_are_read_without_what_the_engines_import() -> None:
    code = (
        "import sys; from snaprun import engines\n"
        "[engines.kind(name) for name in engines.ENGINES]; engines.require_hold('kernel', hint='')\n"
        "print(*{name.partition('.')[0] for name in sys.modules}"
        " & {'zmq', 'jupyter_client', 'nbclient', 'nbformat', 'jupytext', 'IPython', 'asyncio'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
