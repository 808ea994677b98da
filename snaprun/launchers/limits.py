"""Refuse before a start the GPUs and the memory that a launcher cannot give a run, or hold it to."""

from __future__ import annotations

from collections.abc import Mapping

from snaprun import launchers
from snaprun.errors import Unavailable
from snaprun.live import gpus
from snaprun.machine import memorylimit


def check(env: Mapping[str, str], launcher: str, *, gpu_count: int | None, max_memory: int | None) -> None:
    """Make sure that a run with these limits can be started.

    Raises:
        Unavailable: there are not so many GPUs, or nothing can enforce it.
    """
    kind = launchers.kind(launcher)
    if gpu_count and not kind.abilities.gpus:
        text = f"the launcher {launcher} cannot give a run GPUs of its own"
        raise Unavailable(text, hint="leave --gpus out, and ask that launcher in its own way")
    if gpu_count and kind.at_once:
        gpus.require(env, gpu_count)
    if max_memory and kind.at_once:
        memorylimit.check()


def check_now(env: Mapping[str, str], launcher: str, gpu_count: int | None) -> None:
    """Make sure that a run that starts at once would get its GPUs. Raises Busy where others have them."""
    if gpu_count and launchers.kind(launcher).at_once:
        gpus.check_free(env, gpu_count)
