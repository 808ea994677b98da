"""Editable installs as the real build backends make them: every one of them leads to the frozen copy."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from snaprun.checkouts import slots
from tests.checkouts import ask, run_in
from tests.runs import gate
from tests.sandbox import Sandbox
from tests.snapshots import freeze

PROJECT = '[build-system]\nrequires = []\nbuild-backend = "{backend}"\n[project]\nname = "demo"\nversion = "1.0"\n'

BACKENDS = {
    "setuptools src": (
        "setuptools.build_meta",
        {"src/demo/__init__.py": "", "src/demo/inner.py": "", "src/demo/data.txt": ""},
        "",
        "demo, demo.inner",
    ),
    "setuptools flat": (
        "setuptools.build_meta",
        {"demo/__init__.py": "", "demo/inner.py": "", "other/__init__.py": ""},
        '[tool.setuptools]\npackages = ["demo", "other"]\n',
        "demo, demo.inner, other",
    ),
    "setuptools renamed": (
        "setuptools.build_meta",
        {"lib/code/__init__.py": "", "lib/code/inner.py": ""},
        '[tool.setuptools]\npackages = ["demo"]\npackage-dir = {demo = "lib/code"}\n',
        "demo, demo.inner",
    ),
    "setuptools namespace": (
        "setuptools.build_meta",
        {"one/space/demo/__init__.py": "", "one/space/demo/inner.py": "", "two/part/__init__.py": ""},
        '[tool.setuptools]\npackages = ["space.demo", "space.part"]\n'
        'package-dir = {"space.demo" = "one/space/demo", "space.part" = "two/part"}\n',
        "space.demo, space.demo.inner, space.part",
    ),
    "hatchling": (
        "hatchling.build",
        {"src/demo/__init__.py": "", "src/demo/inner.py": ""},
        '[tool.hatch.build.targets.wheel]\npackages = ["src/demo"]\n',
        "demo, demo.inner",
    ),
    "hatchling exact": (
        "hatchling.build",
        {"src/demo/__init__.py": "", "src/demo/inner.py": ""},
        '[tool.hatch.build]\ndev-mode-exact = true\n[tool.hatch.build.targets.wheel]\npackages = ["src/demo"]\n',
        "demo, demo.inner",
    ),
}


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of a bare virtual environment."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    return tmp_path / "venv/bin/python"


def install(box: Sandbox, backend: str, python: Path) -> None:
    """``pip install -e`` without pip: build the editable wheel and unpack it."""
    wheels = python.parent.parent / "wheels"
    wheels.mkdir()
    code = f"import {backend} as backend; print(backend.build_editable({str(wheels)!r}))"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=box.path, check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    (site,) = python.parent.parent.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)


@pytest.mark.parametrize("kind", BACKENDS)
def test_the_backends_editable_install_means_the_frozen_copy(kind: str, repo: Sandbox, python: Path) -> None:
    backend, layout, settings, names = BACKENDS[kind]
    if "exact" in kind:  # its finder imports this package
        editables = pytest.importorskip("editables")
        (site,) = python.parent.parent.glob("lib/python*/site-packages")
        shutil.copytree(Path(editables.__file__).parent, site / "editables")
    repo.write("pyproject.toml", PROJECT.format(backend=backend) + settings)
    repo.write(".gitignore", "*.egg-info/\nbuild/\n")
    for name in layout:
        repo.write(name, "WHO = 'frozen'\n")
    repo.commit()
    install(repo, backend, python)
    print_all = f"import {names}; print({', '.join(f'{name.strip()}.WHO' for name in names.split(','))})"
    plain = subprocess.run([python, "-c", print_all], cwd="/", capture_output=True, text=True, check=True)
    assert set(plain.stdout.split()) == {"frozen"}
    slot = run_in(gate(repo), freeze(repo))
    for name in layout:
        repo.write(name, "WHO = 'live'\n")
    code = f"import os; os.chdir('/'); {print_all}"
    assert set(ask(python, code, slot.path, repo).split()) == {"frozen"}
    files = f"import os; os.chdir('/'); import {names}; print({names.split(',')[0]}.__file__)"
    assert ask(python, files, slot.path, repo).startswith(str(slot.path))
    assert "ModuleNotFoundError" in ask(python, "import os; os.chdir('/'); import demo.later", slot.path, repo)
    slots.release(slot)
