"""Keep the environment of runs that start later in a file named by its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from snaprun import files
from snaprun.errors import os_fault
from snaprun.git.locate import make_private


def keep(folder: Path, env: Mapping[str, str]) -> str:
    """Keep an environment for runs that start later, readable for the owner alone; its name.

    Raises:
        Denied, WriteFault: it cannot be written.
    """
    text = json.dumps(dict(sorted(env.items()))).encode("utf-8", "surrogateescape")
    name = f"env-{hashlib.sha256(text).hexdigest()[:32]}.json"
    try:
        make_private(folder)
        files.write(folder / name, text)
    except OSError as error:
        raise os_fault(error, f"cannot write {folder / name}", folder) from error
    return name


def read(folder: Path, name: str) -> dict[str, str] | None:
    """The environment of this name, or None where it is gone or damaged."""
    try:
        return {str(key): str(value) for key, value in files.read_json(folder / name).items()}
    except (OSError, ValueError):
        return None
