"""nbdime gets two notebooks whose ids agree where the cells do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from snaprun.diffs import sides, tool
from snaprun.errors import Unavailable
from tests.runs import copied, edited, gate, made
from tests.sandbox import Sandbox


def prepared(repo: Sandbox, folder: Path) -> tuple[Path, Path]:
    path = copied(repo, "no_ids.ipynb")
    a = made(repo, "no_ids.ipynb")
    edited(path, 4, None)
    b = made(repo, "no_ids.ipynb", given={"lr": 0.2})
    git = gate(repo)
    return tool.prepare(sides.of_run(git, a), sides.of_run(git, b), folder)


def test_ids_agree_where_the_cells_do(repo: Sandbox, tmp_path: Path) -> None:
    a, b = (json.loads(path.read_text())["cells"] for path in prepared(repo, tmp_path))
    ids_b = {cell["id"]: cell["source"] for cell in b}
    assert len(ids_b) == len(b)
    both = [cell for cell in a if cell["id"] in ids_b]
    assert len(both) == len(a) - 1
    assert all(cell["source"] == ids_b[cell["id"]] for cell in both)


@pytest.mark.slow
def test_nbdime_itself_shows_the_one_edit(repo: Sandbox, tmp_path: Path) -> None:
    try:
        command = tool.command("nbdime", *prepared(repo, tmp_path))
    except Unavailable as error:
        pytest.skip(error.message)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1)
    assert "deleted" in done.stdout
    assert "axes" in done.stdout


def test_tools_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match="no diff tool meld"):
        tool.command("meld", Path("a"), Path("b"))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(Unavailable, match="nbdiff is not installed"):
        tool.command("nbdime", Path("a"), Path("b"))
