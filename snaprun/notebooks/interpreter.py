"""Find the Python that runs a notebook, and what it has installed, from its folders, without starting it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from snaprun.errors import Unavailable

PATIENCE = 30
"""Seconds that an interpreter may take to say where its packages are."""

ENVIRONMENT_FOLDERS = (".venv", "venv", "env")
"""Folders that are taken for a project's environment, as uv, poetry and editors do."""

LAYOUT_QUERY = (
    "import json,platform,sys;"
    "print(json.dumps([[p for p in sys.path if p],platform.python_version(),platform.python_implementation()]))"
)


@dataclass(frozen=True)
class Interpreter:
    """An interpreter as an absolute path (a virtual environment's link is kept as it is), and why it was taken."""

    python: str
    origin: str


@dataclass(frozen=True)
class Layout:
    """Where an interpreter's packages are, first one winning, and its version."""

    folders: tuple[Path, ...]
    version: str
    implementation: str = "CPython"


def choose_python(
    python: str | None, *, env: Mapping[str, str], top: Path, folder: Path, kernel: str | None = None
) -> Interpreter:
    """The interpreter of a run: the one asked for, else of the active environment, else of the project, and so on.

    ``python`` may be an interpreter, a command on the PATH, or the folder of an environment. ``folder`` is the
    notebook's, where the search for a project's environment begins, up to ``top``. ``kernel`` is the interpreter that
    the notebook's kernelspec names.

    Raises:
        Unavailable: there is no such interpreter.
    """
    if python is not None:
        path = _find_interpreter(python, env)
        if path is None:
            raise Unavailable(f"there is no Python interpreter {python}", hint="which -a python3")
        return Interpreter(path, "--python")
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        path = _environment_python(Path(env[variable])) if env.get(variable) else None
        if path is not None:
            return Interpreter(path, variable)
    for place in _upwards(folder, top):
        for name in ENVIRONMENT_FOLDERS:
            path = _environment_python(place / name) if (place / name / "pyvenv.cfg").exists() else None
            if path is not None:
                return Interpreter(path, os.path.relpath(place / name, top))
    path = _find_interpreter(kernel, env) if kernel else None
    if path is not None:
        return Interpreter(path, "the notebook's kernel")
    return Interpreter(sys.executable, "snaprun's own Python")


def require(interpreter: Interpreter, module: str = "ipykernel", *, env: Mapping[str, str] | None = None) -> None:
    """Make sure that an interpreter has the package an engine needs. ``env`` is the environment to ask it in (ours).

    Raises:
        Unavailable: it has not; the hint is the command that installs it.
    """
    layout = _read_layout(Path(interpreter.python))
    if layout is not None and has_package(layout, module):
        return
    layout = query_layout(interpreter.python, env)
    if has_package(layout, module) or _can_import(interpreter.python, module, env):
        return
    raise Unavailable(
        f"{module} is not installed in {interpreter.python} ({interpreter.origin})",
        hint=_install_command(interpreter, layout, module),
    )


def layout_of(python: str, env: Mapping[str, str]) -> Layout:
    """Where the packages of an interpreter are: from the files of its environment, else by asking it.

    Raises:
        Unavailable: it does not start.
    """
    return _read_layout(Path(python)) or query_layout(python, env)


def has_package(layout: Layout, module: str) -> bool:
    """Whether a top-level package is installed there."""
    return any((folder / module / "__init__.py").exists() for folder in layout.folders)


def query_layout(python: str, env: Mapping[str, str] | None) -> Layout:
    """What the interpreter itself says about its search path and version (one short call, 20 ms).

    Raises:
        Unavailable: it does not start.
    """
    try:
        process = subprocess.run(
            [python, "-c", LAYOUT_QUERY],
            env=env,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=True,
        )
        path, version, implementation = json.loads(process.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        raise Unavailable(
            f"the Python interpreter {python} does not start: {error}", hint=f"{python} --version"
        ) from error
    return Layout(tuple(Path(entry) for entry in path), version, implementation)


def _can_import(python: str, module: str, env: Mapping[str, str] | None) -> bool:
    """Whether an interpreter finds a package where no folder shows it: an editable install, an import hook."""
    code = f"import importlib.util,sys;sys.exit(not getattr(importlib.util.find_spec({module!r}), 'origin', None))"
    process = subprocess.run(
        [python, "-c", code],
        env=env,
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return process.returncode == 0


def _read_layout(python: Path) -> Layout | None:
    """The layout of a virtual environment or conda environment as its files tell it; None where they do not."""
    prefix = python.parent.parent
    conda = prefix / "conda-meta"
    if conda.is_dir():
        versions = [
            match[1] for name in os.listdir(conda) if (match := re.match(r"python-(\d[\w.]*)-[^-]+\.json$", name))
        ]
        return Layout(tuple(_packages(prefix)), versions[0]) if len(versions) == 1 else None
    try:
        text = (prefix / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    config = {
        key.strip().lower(): value.strip() for key, _, value in (line.partition("=") for line in text.splitlines())
    }
    version = config.get("version") or config.get("version_info", "")
    if not re.match(r"\d+\.\d+", version) or config.get("include-system-site-packages", "false").lower() == "true":
        return None
    folders = tuple(_packages(prefix))
    return Layout(folders, ".".join(version.split(".")[:3])) if len(folders) == 1 else None


def _packages(prefix: Path) -> Iterator[Path]:
    yield from sorted(prefix.glob("lib/python3*/site-packages"))


def _find_interpreter(python: str, env: Mapping[str, str]) -> str | None:
    """The interpreter that a user means by a path, a command or an environment's folder."""
    path = Path(os.path.abspath(os.path.expanduser(python)))
    if path.is_dir():
        return _environment_python(path)
    if os.sep in python:
        return os.fspath(path) if os.access(path, os.X_OK) else None
    command = shutil.which(python, path=env.get("PATH"))
    return None if command is None else os.path.abspath(command)


def _environment_python(prefix: Path) -> str | None:
    for name in ("python", "python3"):
        path = prefix / "bin" / name
        if path.is_file() and os.access(path, os.X_OK):
            return os.path.abspath(path)
    return None


def _upwards(folder: Path, top: Path) -> Iterator[Path]:
    """``folder`` and the folders above it up to ``top``; only ``top`` where it lies elsewhere."""
    if not folder.is_relative_to(top):
        yield top
        return
    while True:
        yield folder
        if folder == top:
            return
        folder = folder.parent


def _install_command(interpreter: Interpreter, layout: Layout, module: str) -> str:
    """The command that installs a package there, by the tool that the environment was made with."""
    prefix = Path(interpreter.python).parent.parent
    if (prefix / "conda-meta").is_dir():
        return f"conda install -p {prefix} {module}"
    if has_package(layout, "pip"):
        return f"{interpreter.python} -m pip install {module}"
    return f"uv pip install --python {interpreter.python} {module}"
