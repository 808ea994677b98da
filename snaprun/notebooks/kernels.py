"""Find the kernel specs that Jupyter would find, and choose among them (stdlib only).

Search path and layout: https://jupyter-client.readthedocs.io/en/stable/kernels.html#kernel-specs. Reading them here
saves the 0.2 s that importing jupyter_client costs before a run has even started.
"""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snaprun.errors import Unavailable


@dataclass(frozen=True)
class Kernel:
    """A kernel that can be started: its command holds ``{connection_file}``. ``python`` is set for ipykernel only."""

    name: str
    language: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    interrupt_mode: str = "signal"
    python: str | None = None
    folder: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The kernel as the worker's order holds it."""
        return {**self.__dict__, "argv": list(self.argv), "env": dict(self.env)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Kernel:
        """Read it back."""
        return cls(**{**data, "argv": tuple(data["argv"])})


def of_python(python: str) -> Kernel:
    """IPython's kernel in this interpreter, whether or not a spec names it."""
    return Kernel("python3", "python", (python, "-m", "ipykernel_launcher", "-f", "{connection_file}"), python=python)


def read_specs(env: Mapping[str, str], prefixes: Sequence[str] = ()) -> dict[str, Kernel]:
    """Every kernel spec by name, the first found winning; ``prefixes`` are environments to look in first."""
    kernels: dict[str, Kernel] = {}
    for folder in _folders(env, prefixes):
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            kernel = _read(entry)
            if kernel is not None:
                kernels.setdefault(kernel.name.lower(), kernel)
    return kernels


def choose(
    available: Mapping[str, Kernel], *, name: str | None, notebook_kernel: str | None, language: str, python: str | None
) -> tuple[Kernel, tuple[str, ...]]:
    """The kernel to run with, and notes on what was decided that the user did not say.

    ``name`` is ``--kernel`` and must exist. Without it a Python notebook runs IPython's kernel in ``python`` (the
    chosen interpreter); another language runs the spec that the notebook names, else one of the same language.

    Raises:
        Unavailable: no such kernel; the ones that exist are named.
    """
    if name is not None:
        kernel = available.get(name.lower())
        if kernel is None and name in ("python", "python3") and python:
            kernel = of_python(python)
        if kernel is None:
            raise _no_such_kernel(f"there is no kernel {name!r}", name, available)
        return kernel, ()
    if language == "python" and python is not None:
        return of_python(python), ()
    if notebook_kernel is not None and notebook_kernel.lower() in available:
        return available[notebook_kernel.lower()], ()
    for kernel in available.values():
        if kernel.language == language:
            note = (
                f"kernel {notebook_kernel!r} is not installed: running with {kernel.name!r}" if notebook_kernel else ""
            )
            return kernel, (note,) if note else ()
    subject = (
        f"the notebook's kernel {notebook_kernel!r} ({language}) is"
        if notebook_kernel
        else f"a kernel for {language} is"
    )
    raise _no_such_kernel(f"{subject} not installed", notebook_kernel or language, available)


def _no_such_kernel(text: str, name: str, available: Mapping[str, Kernel]) -> Unavailable:
    suggestions = difflib.get_close_matches(name, available, n=1)
    if suggestions:
        return Unavailable(text, hint=f"--kernel {suggestions[0]}")
    names = ", ".join(sorted(available)) or "none"
    return Unavailable(text, hint=f"install it, or choose one with --kernel (installed: {names})")


def _folders(env: Mapping[str, str], prefixes: Sequence[str]) -> Iterator[Path]:
    """Where Jupyter looks for kernels, in its order, after the environments given."""
    for prefix in prefixes:
        yield Path(prefix, "share", "jupyter", "kernels")
    for part in env.get("JUPYTER_PATH", "").split(os.pathsep):
        if part:
            yield Path(part, "kernels")
    home = Path(env.get("HOME") or Path.home())
    user = home / "Library" / "Jupyter" if sys.platform == "darwin" else None
    data = env.get("XDG_DATA_HOME")
    yield (
        Path(env["JUPYTER_DATA_DIR"], "kernels")
        if env.get("JUPYTER_DATA_DIR")
        else (user or Path(data or home / ".local" / "share") / ("" if user else "jupyter")) / "kernels"
    )
    yield Path(sys.prefix, "share", "jupyter", "kernels")
    yield Path("/usr/local/share/jupyter/kernels")
    yield Path("/usr/share/jupyter/kernels")


def _read(entry: os.DirEntry[str]) -> Kernel | None:
    """The spec in a folder; None where there is none that can be read."""
    try:
        data = json.loads(Path(entry.path, "kernel.json").read_text(encoding="utf-8"))
        argv = tuple(str(part).replace("{resource_dir}", entry.path) for part in data["argv"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    ipykernel = any("ipykernel" in part for part in argv)
    return Kernel(
        name=entry.name,
        language=str(data.get("language", "")).lower(),
        argv=argv,
        env={str(key): str(text) for key, text in data.get("env", {}).items()},
        interrupt_mode=data.get("interrupt_mode", "signal"),
        python=interpreter_of(argv[0]) if ipykernel else None,
        folder=entry.path,
    )


def interpreter_of(command: str) -> str:
    """The interpreter that a spec's first word means: ``python`` stands for the one that Jupyter itself runs in."""
    return sys.executable if command in ("python", "python3") else command
