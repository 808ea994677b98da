"""Many processes at one index at the same time."""

from __future__ import annotations

import subprocess
import sys

WRITER = """
import sys
from pathlib import Path
from snaprun.index import store
from tests.indexed import run
number = int(sys.argv[2])
index = store.open_store(Path(sys.argv[1]), sys.argv[3] if len(sys.argv) > 3 else None)
for step in range(10):
    index.record(run(number * 100 + step))
"""
"""Records ten runs."""


def at_once(count: int, script: str, *args: str) -> list[str]:
    """Run a script in many processes at the same time; what each said on stderr."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, args[0], str(number), *args[1:]], stderr=subprocess.PIPE, text=True
        )
        for number in range(count)
    ]
    return [process.communicate()[1] for process in started]
