"""Launch a run on this machine with a tmux window that shows it: attach to it, leave it, close it; the run goes on."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence

from snaprun.errors import Unavailable
from snaprun.launchers import Site, State, Submission, local
from snaprun.live.stoprequest import StopRequest
from snaprun.live.supervision import supervisor_env

SESSION = "snaprun"
"""The session that gets the windows, made where there is none."""


def check(site: Site) -> None:
    """Make sure that there is a tmux. Raises Unavailable."""
    if shutil.which("tmux", path=site.env.get("PATH")) is None:
        raise Unavailable("tmux is not installed", hint="install tmux, or leave --launcher tmux out")


def submit(site: Site, runs: Sequence[Submission]) -> list[str]:
    """Start these runs under supervisors of their own, each with a window. Raises Unavailable."""
    check(site)
    for run in runs:
        window = _open_window(site, run)
        try:
            local.submit(site, [run])
        except BaseException:
            _tmux(site, "kill-window", "-t", window)
            raise
    return [run.run for run in runs]


def poll(site: Site, handles: Sequence[str]) -> list[State]:
    """How these runs stand."""
    return local.poll(site, handles)


def cancel(site: Site, handle: str, request: StopRequest) -> bool:
    """Ask that a run ends."""
    return local.cancel(site, handle, request)


def _open_window(site: Site, run: Submission) -> str:
    """A window with the view of ``snaprun attach``, kept after the run's end to be read; its id."""
    name = run.run[:8]
    command = [sys.executable, "-m", "snaprun", "attach", run.run]
    options = ["-c", str(site.place.top), "-n", name]
    if _tmux(site, "has-session", "-t", f"={SESSION}").returncode == 0:
        process = _tmux(site, "new-window", "-d", "-P", "-F", "#{window_id}", "-t", f"={SESSION}:", *options, *command)
    else:
        process = _tmux(site, "new-session", "-d", "-P", "-F", "#{window_id}", "-s", SESSION, *options, *command)
        if process.returncode != 0:  # another run was faster
            process = _tmux(
                site, "new-window", "-d", "-P", "-F", "#{window_id}", "-t", f"={SESSION}:", *options, *command
            )
    if process.returncode != 0:
        reason = process.stderr.strip() or "it gave no reason"
        raise Unavailable(f"tmux opened no window: {reason}", hint="tmux new-session, or leave --launcher tmux out")
    window = process.stdout.strip()
    _tmux(site, "set-option", "-w", "-t", window, "remain-on-exit", "on")
    return window


def _tmux(site: Site, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["tmux", *args], env=supervisor_env(site.env), capture_output=True, text=True, check=False)
