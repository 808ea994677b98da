"""What is special about the script engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from snaprun import engines
from snaprun.engines.script import find_commented_cells, split_script
from snaprun.notebooks import cells
from snaprun.statuses import Status
from tests.engineroom import execute, script_of
from tests.sandbox import notebook


def test_chunks_are_the_code_cells() -> None:
    head = "# ---\n# jupyter: x\n# ---\n\n# %% [markdown]\n# # T\n\n"
    script = head + "# %% fit [x]\na = 1\n\n# %% [raw]\n# r\n    # %%%\nb\n"
    assert [(chunk.line, chunk.lines) for chunk in split_script(script)] == [(8, ("a = 1", "")), (13, ("b",))]


@pytest.mark.parametrize(
    "source",
    [
        "!ls",
        "%matplotlib inline",
        "x = !ls",
        "%%bash\nls",
        "x = 1\n%time y = 2",
        "print?",
        "    %cd ..",
        "%%time\ny = 2",
    ],
)
def test_commented_magics_are_found(source: str) -> None:
    document = notebook("a = 1", source, "# just a comment\nb = 2  # %")
    assert find_commented_cells(document, script_of(document)) == [2]


def test_magics_are_refused_by_name(tmp_path: Path) -> None:
    ran = execute(tmp_path, "%matplotlib inline", "x = 1", "!ls", how="script")
    assert (ran.outcome.status, ran.outcome.exit_code) == (Status.FAILED, 69)
    assert "cells 1, 3" in (ran.outcome.reason or "")
    assert ran.log == ""


def test_magics_may_be_left_out(tmp_path: Path) -> None:
    ran = execute(tmp_path, "%matplotlib inline\nprint(1)", how="script", commented_magics=True)
    assert (ran.outcome.exit_code, ran.text(1)) == (0, "1\n")


def test_a_cell_whose_magic_is_left_out_is_still_a_cell(tmp_path: Path) -> None:
    ran = execute(tmp_path, "print(1)", "%%time\nprint(2)", "print(3)", how="script", commented_magics=True)
    assert (ran.states, [ran.text(number) for number in (1, 2, 3)]) == (["ok"] * 3, ["1\n", "2\n", "3\n"])


def test_a_skipped_cell_may_have_magics(tmp_path: Path) -> None:
    document = notebook("!rm -rf data", "print(1)", "1 / 0", "print(2)")
    document["cells"][0]["metadata"]["tags"] = ["skip-execution"]
    document["cells"][2]["metadata"]["tags"] = ["raises-exception"]
    engines.check("script", cells.normalize(document, "a.ipynb"), "python", commented_magics=False)
    ran = execute(tmp_path, document=document, how="script")
    assert ran.states == ["skipped", "ok", "ok", "ok"]
    assert ran.outputs(3)[0]["ename"] == "ZeroDivisionError"


def test_the_script_is_main_and_knows_itself(tmp_path: Path) -> None:
    code = "from __future__ import annotations\nimport sys\nx: undefined = 1"
    ran = execute(tmp_path, code, "def f(a: undefined): pass\nprint(__file__ == sys.argv[0], __name__)", how="script")
    assert ran.outcome.exit_code == 0, ran.log
    assert ran.text(2) == "True __main__\n"


def test_a_syntax_error_anywhere_stops_before_the_start(tmp_path: Path) -> None:
    ran = execute(tmp_path, "print('never')", "x = = 1", how="script")
    assert (ran.outcome.exit_code, ran.states) == (1, ["not-run", "failed"])
    assert "never" not in ran.log
    assert ran.error is not None
    assert ran.error.ename == "SyntaxError"


def test_tracebacks_show_the_source_and_not_us(tmp_path: Path) -> None:
    ran = execute(tmp_path, "x = 1", "@property\ndef f(): pass\nraise KeyError('k')", how="script")
    assert ran.error is not None
    assert "raise KeyError('k')" in ran.error.traceback
    assert "boot" not in ran.error.traceback


def test_pools_by_spawn_find_their_functions(tmp_path: Path) -> None:
    cells = [
        "import multiprocessing as mp\ndef double(x):\n    return 2 * x",
        "if __name__ == '__main__':\n    with mp.get_context('spawn').Pool(2) as pool:\n"
        "        print(pool.map(double, [1, 2]))",
    ]
    ran = execute(tmp_path, *cells, how="script")
    assert ran.outcome.exit_code == 0, ran.log
    assert ran.text(2) == "[2, 4]\n"


def test_a_script_of_other_cells_still_runs(tmp_path: Path) -> None:
    script = tmp_path / "other.py"
    script.write_text("print(1)\nprint(2)\n")
    ran = execute(tmp_path, "print(1)", "print(2)", how="script", script=script)
    assert (ran.outcome.exit_code, ran.text(1)) == (0, "1\n2\n")
    assert any("other cells" in note for note in ran.replay.notes)


def test_an_interrupt_of_its_own_is_a_failure(tmp_path: Path) -> None:
    ran = execute(tmp_path, "raise KeyboardInterrupt", how="script")
    assert (ran.outcome.exit_code, ran.states) == (1, ["failed"])


def test_holding_is_refused(tmp_path: Path) -> None:
    assert execute(tmp_path, "1", how="script", hold=5.0).outcome.exit_code == 69


def test_an_exception_that_cannot_speak(tmp_path: Path) -> None:
    code = "class Mute(Exception):\n    def __str__(self): raise ValueError('no')\nraise Mute()"
    ran = execute(tmp_path, code, "1", how="script")
    assert (ran.outcome.exit_code, ran.states) == (1, ["failed", "not-run"])
    assert ran.outcome.reason == "cell 1: Mute: <exception str() failed>"
    assert "snaprun" not in ran.log.replace(str(tmp_path), "")
