"""Make system calls fail or kill: git or a fork of this process under strace."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest


def shim(folder: Path, command: str, rule: str, *, output: Path = Path("/dev/null")) -> None:
    """A ``git`` that comes first on the PATH and runs one command under strace."""
    if not shutil.which("strace"):
        pytest.skip("there is no strace")
    folder.mkdir(exist_ok=True)
    real = shutil.which("git")
    script = folder / "git"
    script.write_text(
        f'#!/bin/sh\nfor word in "$@"; do\n  if [ "$word" = {command} ]; then\n'
        f'    exec strace -f -o {output} {rule} {real} "$@"\n  fi\ndone\nexec {real} "$@"\n'
    )
    script.chmod(0o755)


def traced(call: Callable[[], object], calls: Path, rule: str) -> None:
    """Call it in a fork under strace."""
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            call()
        finally:
            os._exit(0)
    os.read(ready[0], 1)
    tracer = subprocess.Popen(["strace", "-q", "-o", str(calls), "-e", rule, "-p", str(child)])
    while "TracerPid:\t0" in Path(f"/proc/{child}/status").read_text() and tracer.poll() is None:
        pass
    os.write(go[1], b"x")
    os.waitpid(child, 0)
    tracer.wait()
    for end in (*ready, *go):
        os.close(end)


def calls(trace: Path) -> list[tuple[str, int]]:
    """The system calls of a trace in order, each with its number among those of its name, as strace counts them."""
    found: list[tuple[str, int]] = []
    counts: Counter[str] = Counter()
    for name in re.findall(r"^(?:\d+ +)?(\w+)\(", trace.read_text(errors="replace"), re.MULTILINE):
        counts[name] += 1
        found.append((name, counts[name]))
    assert len(found) > 100, "strace saw next to nothing"
    return found
