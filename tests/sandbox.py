"""A real repository in a temporary folder, the ways tests change it, and the proof that it was not touched."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE = 60.0
"""Seconds that a test waits for a condition before it gives up: generous, for loaded machines."""


class Sandbox:
    """A git repository at ``path`` with helpers that read like the test's story."""

    def __init__(self, path: Path, *init: str) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main", *init)

    def git(self, *args: str, ok: bool = True, stdin: bytes | None = None, env: dict[str, str] | None = None) -> str:
        """Run git here; its standard output as text."""
        done = subprocess.run(
            ["git", *args],
            cwd=self.path,
            capture_output=True,
            input=stdin,
            env={**os.environ, **(env or {})},
            check=False,
        )
        if ok and done.returncode != 0:
            raise AssertionError(f"git {args} gave {done.returncode}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode("utf-8", "surrogateescape")

    def write(self, name: str, content: str | bytes = "") -> Path:
        """Write a file, making its folders."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def notebook(self, name: str, *cells: str, **options: Any) -> Path:
        """Write a notebook of these code cells; see :func:`notebook` for the options."""
        return self.write(name, json.dumps(notebook(*cells, **options), indent=1))

    def commit(self, message: str = "work") -> str:
        """Commit everything; the new HEAD."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    def snaprun(self, *args: str, stdin: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        """Call the real command as a real process, in this repository."""
        return subprocess.run(
            [sys.executable, "-m", "snaprun", *args],
            cwd=self.path,
            env={**os.environ, **env},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
        )

    def state(self) -> dict[str, Any]:
        """Everything of the user's that no command may touch: compare before and after."""
        git_dir = Path(self.git("rev-parse", "--absolute-git-dir").strip())
        index = git_dir / "index"
        return {
            "head": self.git("rev-parse", "HEAD", ok=False),
            "symbolic": self.git("symbolic-ref", "HEAD", ok=False),
            "branches": self.git("for-each-ref", "refs/heads", "refs/tags", "refs/remotes"),
            "index": hashlib.sha256(index.read_bytes()).hexdigest() if index.exists() else None,
            "status": self.git("--no-optional-locks", "status", "--porcelain=v2", ok=False),
            "stash": self.git("stash", "list", ok=False),
            "config": (git_dir / "config").read_bytes() if (git_dir / "config").exists() else None,
            "locks": sorted(str(path) for path in git_dir.rglob("*.lock") if "snaprun" not in path.parts),
            "files": dict(self._files()),
        }

    def _files(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        for folder, names, files in os.walk(os.fsencode(self.path)):
            if b".git" in names and os.path.isdir(os.path.join(folder, b".git")):
                names.remove(b".git")
            for name in [*files, *names]:
                path = os.path.join(folder, name)
                about = os.lstat(path)
                content = os.readlink(path) if os.path.islink(path) else b""
                if not content and os.path.isfile(path) and os.access(path, os.R_OK):
                    with open(path, "rb") as handle:
                        content = hashlib.sha256(handle.read()).digest()
                mtime = None if os.path.isdir(path) else about.st_mtime_ns
                yield os.fsdecode(path), (about.st_mode, mtime, content)

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Assert that what runs inside leaves the user's side of the repository exactly as it was."""
        before = self.state()
        yield
        after = self.state()
        for key, value in before.items():
            assert after[key] == value, f"{key} changed"


def notebook(
    *cells: str,
    kernel: str | None = "python3",
    language: str = "python",
    parameters: str | None = None,
    ids: bool = True,
) -> dict[str, Any]:
    """A notebook document (nbformat 4.5, or 4.4 without ids). A cell that starts with ``# %% md`` is markdown."""
    made: list[dict[str, Any]] = []
    if parameters is not None:
        made.append(_cell(parameters, tags=["parameters"]))
    for source in cells:
        if source.startswith("# %% md\n"):
            made.append({"cell_type": "markdown", "metadata": {}, "source": source[8:]})
        else:
            made.append(_cell(source))
    if ids:
        for number, cell in enumerate(made):
            cell["id"] = f"cell-{number}"
    metadata: dict[str, Any] = {"language_info": {"name": language}}
    if kernel:
        metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": language}
    return {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5 if ids else 4}


def _cell(source: str, tags: list[str] | None = None) -> dict[str, Any]:
    metadata = {"tags": tags} if tags else {}
    return {"cell_type": "code", "metadata": metadata, "source": source, "outputs": [], "execution_count": None}


def wait_for(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Wait until ``condition()`` is true, and return what it gave."""
    end = time.monotonic() + patience
    pause = 0.01
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"gave up waiting for {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)
