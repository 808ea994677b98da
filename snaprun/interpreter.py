"""Which Python a notebook runs with, and whether it has a kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from snaprun.errors import Unavailable

PROJECT_ENVIRONMENTS = (".venv", "venv", "env")
"""Folders at the top of a repository that are taken for its environment, as uv, poetry and editors do."""


@dataclass(frozen=True)
class Chosen:
    """An interpreter, and what pointed to it."""

    path: str
    how: str


def choose(asked: str | None, *, env: Mapping[str, str], top: Path, spec: str | None) -> Chosen:
    """The interpreter of a Python notebook: the one asked for, else the active environment's, else the project's, else
    the notebook's kernel spec's (``spec``), else snaprun's own.

    Raises:
        Unavailable: the one asked for cannot be run.
    """
    if asked is not None:
        return Chosen(_asked(asked, env), "--python")
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        found = _in(env.get(variable))
        if found:
            return Chosen(found, variable)
    for name in PROJECT_ENVIRONMENTS:
        folder = top / name
        found = _in(os.fspath(folder)) if (folder / "pyvenv.cfg").exists() else None
        if found:
            return Chosen(found, name)
    if spec is not None and os.access(spec, os.X_OK):
        return Chosen(spec, "the notebook's kernel")
    return Chosen(sys.executable, "snaprun's own Python")


def require_ipykernel(chosen: Chosen, env: Mapping[str, str]) -> None:
    """Make sure that an interpreter can start a kernel.

    Raises:
        Unavailable: ipykernel is missing there; the hint is the command that installs it.
    """
    python = chosen.path
    if _has_ipykernel_folder(python):
        return
    # Nothing where a plain environment has it: it may come from a base environment or a .pth file. Ask.
    asked = subprocess.run(
        [python, "-c", "import importlib.util as u, sys; sys.exit(u.find_spec('ipykernel') is None)"],
        env=dict(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if asked.returncode != 0:
        raise Unavailable(
            f"{python} ({chosen.how}) has no ipykernel",
            hint=f"{python} -m pip install ipykernel, or choose another --python",
        )


def _asked(asked: str, env: Mapping[str, str]) -> str:
    """The path of what ``--python`` names: a file, an environment's folder, or a command."""
    inside = _in(os.path.expanduser(asked))
    if inside:
        return os.path.abspath(inside)
    found = shutil.which(os.path.expanduser(asked), path=env.get("PATH"))
    if found is None:
        raise Unavailable(
            f"there is no Python {asked}", hint="--python takes an interpreter's path, or an environment's"
        )
    return os.path.abspath(found)


def _in(prefix: str | None) -> str | None:
    """The interpreter of an environment. Not resolved: its path is what makes it the environment's."""
    if not prefix:
        return None
    for name in ("python", "python3"):
        path = Path(prefix, "bin", name)
        if os.access(path, os.X_OK):
            return str(path)
    return None


def _has_ipykernel_folder(python: str) -> bool:
    prefix = Path(python).parent.parent
    return any(prefix.glob("lib*/python*/site-packages/ipykernel/__init__.py"))
