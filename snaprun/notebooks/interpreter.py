"""Which Python runs a notebook, and what that Python has installed: read from its folders, without starting it."""

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

PROJECT = (".venv", "venv", "env")
"""Folders that are taken for a project's environment, as uv, poetry and editors do."""

ASK = (
    "import json,platform,sys;"
    "print(json.dumps([[p for p in sys.path if p],platform.python_version(),platform.python_implementation()]))"
)


@dataclass(frozen=True)
class Chosen:
    """An interpreter as an absolute path (a virtual environment's link is kept as it is), and why it was taken."""

    python: str
    how: str


@dataclass(frozen=True)
class Layout:
    """Where an interpreter's packages are, first one winning, and its version."""

    folders: tuple[Path, ...]
    version: str
    implementation: str = "CPython"


def choose_python(
    asked: str | None, *, env: Mapping[str, str], top: Path, folder: Path, kernel: str | None = None
) -> Chosen:
    """The interpreter of a run: the one asked for, else of the active environment, else of the project, and so on.

    ``asked`` may be an interpreter, a command on the PATH, or the folder of an environment. ``folder`` is the
    notebook's, where the search for a project's environment begins, up to ``top``. ``kernel`` is the interpreter that
    the notebook's kernelspec names.

    Raises:
        Unavailable: there is no such interpreter.
    """
    if asked is not None:
        found = _interpreter(asked, env)
        if found is None:
            raise Unavailable(f"there is no Python interpreter {asked}", hint="which -a python3")
        return Chosen(found, "--python")
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        found = _of_environment(Path(env[variable])) if env.get(variable) else None
        if found is not None:
            return Chosen(found, variable)
    for place in _upwards(folder, top):
        for name in PROJECT:
            found = _of_environment(place / name) if (place / name / "pyvenv.cfg").exists() else None
            if found is not None:
                return Chosen(found, os.path.relpath(place / name, top))
    found = _interpreter(kernel, env) if kernel else None
    if found is not None:
        return Chosen(found, "the notebook's kernel")
    return Chosen(sys.executable, "snaprun's own Python")


def require(chosen: Chosen, module: str = "ipykernel", *, env: Mapping[str, str] | None = None) -> None:
    """Make sure that an interpreter has the package an engine needs. ``env`` is the environment to ask it in (ours).

    Raises:
        Unavailable: it has not; the hint is the command that installs it.
    """
    layout = _by_files(Path(chosen.python))
    if layout is not None and has(layout, module):
        return
    layout = asked_layout(chosen.python, env)
    if has(layout, module) or _imports(chosen.python, module, env):
        return
    raise Unavailable(
        f"{module} is not installed in {chosen.python} ({chosen.how})", hint=_install(chosen, layout, module)
    )


def layout_of(python: str, env: Mapping[str, str]) -> Layout:
    """Where the packages of an interpreter are: from the files of its environment, else by asking it.

    Raises:
        Unavailable: it does not start.
    """
    return _by_files(Path(python)) or asked_layout(python, env)


def has(layout: Layout, module: str) -> bool:
    """Whether a top-level package is installed there."""
    return any((folder / module / "__init__.py").exists() for folder in layout.folders)


def asked_layout(python: str, env: Mapping[str, str] | None) -> Layout:
    """What the interpreter itself says about its search path and version (one short call, 20 ms).

    Raises:
        Unavailable: it does not start.
    """
    try:
        done = subprocess.run(
            [python, "-c", ASK],
            env=env,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=True,
        )
        path, version, implementation = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        raise Unavailable(
            f"the Python interpreter {python} does not start: {error}", hint=f"{python} --version"
        ) from error
    return Layout(tuple(Path(entry) for entry in path), version, implementation)


def _imports(python: str, module: str, env: Mapping[str, str] | None) -> bool:
    """Whether an interpreter finds a package where no folder shows it: an editable install, an import hook."""
    code = f"import importlib.util,sys;sys.exit(not getattr(importlib.util.find_spec({module!r}), 'origin', None))"
    done = subprocess.run(
        [python, "-c", code],
        env=env,
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode == 0


def _by_files(python: Path) -> Layout | None:
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
    said = {key.strip().lower(): value.strip() for key, _, value in (line.partition("=") for line in text.splitlines())}
    version = said.get("version") or said.get("version_info", "")
    if not re.match(r"\d+\.\d+", version) or said.get("include-system-site-packages", "false").lower() == "true":
        return None
    folders = tuple(_packages(prefix))
    return Layout(folders, ".".join(version.split(".")[:3])) if len(folders) == 1 else None


def _packages(prefix: Path) -> Iterator[Path]:
    yield from sorted(prefix.glob("lib/python3*/site-packages"))


def _interpreter(asked: str, env: Mapping[str, str]) -> str | None:
    """The interpreter that a user means by a path, a command or an environment's folder."""
    path = Path(os.path.abspath(os.path.expanduser(asked)))
    if path.is_dir():
        return _of_environment(path)
    if os.sep in asked:
        return os.fspath(path) if os.access(path, os.X_OK) else None
    found = shutil.which(asked, path=env.get("PATH"))
    return None if found is None else os.path.abspath(found)


def _of_environment(prefix: Path) -> str | None:
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


def _install(chosen: Chosen, layout: Layout, module: str) -> str:
    """The command that installs a package there, by the tool that the environment was made with."""
    prefix = Path(chosen.python).parent.parent
    if (prefix / "conda-meta").is_dir():
        return f"conda install -p {prefix} {module}"
    if has(layout, "pip"):
        return f"{chosen.python} -m pip install {module}"
    return f"uv pip install --python {chosen.python} {module}"
