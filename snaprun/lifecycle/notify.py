"""Tell the user that a run has ended, by a command of theirs or on the desktop."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from snaprun.model import Run

NOTIFY_SECONDS = 60
"""How long a notify command may take before it is ended."""


def notify(command: str, run: Run, env: Mapping[str, str], folder: Path) -> None:
    """Run the user's notify command, with the run's id and ending in its environment."""
    variables = {
        "SNAPRUN_RUN": run.id,
        "SNAPRUN_NAME": run.name or "",
        "SNAPRUN_NOTEBOOK": run.notebook,
        "SNAPRUN_STATUS": run.status.value,
        "SNAPRUN_EXIT_CODE": str(run.exit_code),
        "SNAPRUN_REASON": run.reason or "",
    }
    try:
        subprocess.run(
            command,
            shell=True,
            cwd=folder,
            env={**env, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=NOTIFY_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return


def notify_desktop(run: Run, env: Mapping[str, str]) -> None:
    """Tell the desktop, where it has ``notify-send`` (freedesktop.org's libnotify) and a session that shows it."""
    program = shutil.which("notify-send", path=env.get("PATH"))
    if program is None:
        return
    text = f"{run.name or run.notebook}: {run.status.value}, exit {run.exit_code}"
    try:
        subprocess.run(
            [program, "--app-name=snaprun", f"snaprun {run.id[:8]}", text],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=NOTIFY_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return
