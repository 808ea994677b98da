"""Ask nvidia-smi about the graphics cards of this machine. Standard library only."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping


def query(fields: str, env: Mapping[str, str], *, patience: float) -> list[str]:
    """A line a card with these fields (``nvidia-smi --help-query-gpu``) between commas; none where there is no
    nvidia-smi, no driver, or no answer within ``patience`` seconds."""
    program = shutil.which("nvidia-smi", path=env.get("PATH"))
    if program is None:
        return []
    try:
        process = subprocess.run(
            [program, f"--query-gpu={fields}", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=patience,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in process.stdout.splitlines() if line.strip()]
