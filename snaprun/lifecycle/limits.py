"""GPUs and memory of a run: refuse before a start what a launcher cannot honour, and tell Slurm what it has to know."""

from __future__ import annotations

from collections.abc import Mapping

from snaprun.errors import Unavailable
from snaprun.launchers import AT_ONCE
from snaprun.live import gpus
from snaprun.machine import memorylimit

SLURM = ("slurm", "slurm-git")

GIVES_GPUS = (*AT_ONCE, "ssh", *SLURM)
"""Launchers that see to it that runs do not share GPUs."""

GPU_OPTIONS = ("gres", "gpus", "gpus-per-node", "gpus-per-socket", "gpus-per-task")
MEMORY_OPTIONS = ("mem", "mem-per-cpu", "mem-per-gpu")
"""Options of sbatch by which a user says it in another way: then they stand."""

OWN_MEMORY = 512 * 1000**2
"""Bytes that a Slurm job gets beyond the run's limit, for snaprun's own processes: the guard is to strike first."""


def check(env: Mapping[str, str], launcher: str, *, gpu_count: int | None, max_memory: int | None) -> None:
    """Make sure that a run with these limits can be started.

    Raises:
        Unavailable: there are not so many GPUs, or nothing can enforce it.
    """
    if gpu_count and launcher not in GIVES_GPUS:
        text = f"the launcher {launcher} cannot give a run GPUs of its own"
        raise Unavailable(text, hint="leave --gpus out, and ask that launcher in its own way")
    if gpu_count and launcher in AT_ONCE:
        gpus.require(env, gpu_count)
    if max_memory and launcher in AT_ONCE:
        memorylimit.check()


def check_now(env: Mapping[str, str], launcher: str, gpu_count: int | None) -> None:
    """Make sure that a run that starts at once would get its GPUs. Raises Busy where others have them."""
    if gpu_count and launcher in AT_ONCE:
        gpus.check_free(env, gpu_count)


def add_limits(
    launcher: str, base: Mapping[str, str], *, gpu_count: int | None, max_memory: int | None
) -> dict[str, str]:
    """What a launcher is asked for, with what these limits mean to Slurm, unless the user has said so in its words."""
    options = dict(base)
    if launcher not in SLURM:
        return options
    if gpu_count and not any(name in options for name in GPU_OPTIONS):
        options["gres"] = f"gpu:{gpu_count}"
    if max_memory and not any(name in options for name in MEMORY_OPTIONS):
        options["mem"] = f"{-(-(max_memory + OWN_MEMORY) // 1024**2)}M"
    return options
