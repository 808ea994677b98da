"""Which Python runs: the order of DESIGN, what it has installed, and the command that installs what is missing."""

from __future__ import annotations

import os
import sys
import venv
from pathlib import Path

import pytest

from snaprun.errors import Unavailable
from snaprun.notebooks.interpreter import Interpreter, choose_python, has_package, layout_of, query_layout, require


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with nothing in it."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    return folder


def fake(prefix: Path) -> str:
    """The interpreter of an environment that exists by name only."""
    python = prefix / "bin/python"
    python.parent.mkdir(parents=True)
    python.touch(0o755)
    (prefix / "pyvenv.cfg").touch()
    return str(python)


def test_the_order_of_choice(tmp_path: Path) -> None:
    top = tmp_path / "project"
    folder = top / "notebooks"
    folder.mkdir(parents=True)
    where = {"top": top, "folder": folder}
    assert choose_python(None, env={}, **where) == Interpreter(sys.executable, "snaprun's own Python")
    kernel = fake(tmp_path / "kernel")
    assert choose_python(None, env={}, kernel=kernel, **where) == Interpreter(kernel, "the notebook's kernel")
    project = fake(top / ".venv")
    assert choose_python(None, env={}, kernel=kernel, **where) == Interpreter(project, ".venv")
    nearer = fake(folder / "venv")
    assert choose_python(None, env={}, **where) == Interpreter(nearer, "notebooks/venv")
    assert choose_python(None, env={}, top=top, folder=tmp_path) == Interpreter(project, ".venv")
    conda, active = fake(tmp_path / "conda"), fake(tmp_path / "active")
    env = {"CONDA_PREFIX": str(tmp_path / "conda")}
    assert choose_python(None, env=env, **where) == Interpreter(conda, "CONDA_PREFIX")
    env["VIRTUAL_ENV"] = str(tmp_path / "active")
    assert choose_python(None, env=env, **where) == Interpreter(active, "VIRTUAL_ENV")
    env["VIRTUAL_ENV"] = str(tmp_path / "gone")
    assert choose_python(None, env=env, **where) == Interpreter(conda, "CONDA_PREFIX")
    assert choose_python(str(tmp_path / "active"), env=env, **where) == Interpreter(active, "--python")
    assert choose_python(kernel, env=env, **where) == Interpreter(kernel, "--python")
    env["PATH"] = str(tmp_path / "kernel/bin")
    assert choose_python("python", env=env, **where) == Interpreter(kernel, "--python")
    for wrong in ("python9.9", str(tmp_path / "nothing"), str(top)):
        with pytest.raises(Unavailable, match="no Python interpreter"):
            choose_python(wrong, env=env, **where)


def test_a_missing_package_comes_with_its_command(bare: Path) -> None:
    chosen = Interpreter(str(bare / "bin/python"), ".venv")
    with pytest.raises(Unavailable, match=r"ipykernel is not installed in .*\(\.venv\)") as caught:
        require(chosen)
    assert caught.value.code == 69
    assert caught.value.hint == f"uv pip install --python {chosen.python} ipykernel"
    (site,) = bare.glob("lib/python3*/site-packages")
    for name in ("pip", "ipykernel"):
        (site / name).mkdir()
    (site / "pip/__init__.py").touch()
    with pytest.raises(Unavailable) as caught:
        require(chosen)
    assert caught.value.hint == f"{chosen.python} -m pip install ipykernel"
    (site / "ipykernel/__init__.py").touch()
    require(chosen)


def test_our_own_python_has_ipykernel() -> None:
    require(Interpreter(sys.executable, "snaprun's own Python"))


def test_files_and_interpreter_tell_the_same(bare: Path) -> None:
    python = str(bare / "bin/python")
    by_files, by_asking = layout_of(python, os.environ), query_layout(python, os.environ)
    assert by_files.version == by_asking.version
    assert set(by_files.folders) <= set(by_asking.folders)
    assert not has_package(by_files, "json") and has_package(by_asking, "json")


def test_an_interpreter_that_does_not_start(tmp_path: Path) -> None:
    python = fake(tmp_path / "broken")
    with pytest.raises(Unavailable, match="does not start"):
        layout_of(python, os.environ)
    assert os.access(python, os.X_OK)
