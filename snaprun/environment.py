"""Find out what a run ran with: Python and its packages, platform, GPUs, and the variables that a list allows."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snaprun.order import write_json

PROBE = Path(__file__).parent / "boot" / "packages.py"

KNOWN = 50
"""Answers kept beside the index: one an interpreter and state of its packages."""

ALLOWED = (
    "CONDA_DEFAULT_ENV",
    "CONDA_PREFIX",
    "CUDA_HOME",
    "CUDA_VISIBLE_DEVICES",
    "HF_HOME",
    "HIP_VISIBLE_DEVICES",
    "HOME",
    "HOSTNAME",
    "JAX_PLATFORMS",
    "JULIA_NUM_THREADS",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "MKL_NUM_THREADS",
    "MPLBACKEND",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "PATH",
    "PYTHONHASHSEED",
    "PYTHONPATH",
    "PYTORCH_CUDA_ALLOC_CONF",
    "SHELL",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_CPUS_PER_TASK",
    "SLURM_JOB_ID",
    "SLURM_JOB_NODELIST",
    "SNAPRUN_CHECKPOINT_DIR",
    "SNAPRUN_SEED",
    "TF_FORCE_GPU_ALLOW_GROWTH",
    "TMPDIR",
    "TZ",
    "VIRTUAL_ENV",
    "XLA_FLAGS",
)
"""Variables that say how code behaves. An allow-list: a variable that nobody thought of may hold a password."""


def describe(python: str | None, env: Mapping[str, str], *, kept: Path) -> dict[str, Any]:
    """What a run with this interpreter (None: another language's kernel) and these variables ran with.

    The list of packages is asked of the interpreter once for each state of its folders and kept in ``kept``.
    """
    about = {} if python is None else _packages(python, env, kept)
    return {
        **about,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "memory": _memory(),
        "gpus": _gpus(),
        "variables": {name: env[name] for name in ALLOWED if name in env},
    }


def _packages(python: str, env: Mapping[str, str], kept: Path) -> dict[str, Any]:
    path = kept / f"{_state(python)}.json"
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError):
        pass
    asked = subprocess.run(
        [python, os.fspath(PROBE)], env=dict(env), capture_output=True, stdin=subprocess.DEVNULL, check=False, cwd="/"
    )
    try:
        about = dict(json.loads(asked.stdout))
    except ValueError:
        return {"executable": python}
    _keep(path, about)
    return about


def _state(python: str) -> str:
    """A name for an interpreter and its packages as they are now: installing one changes its folder's time."""
    sha = hashlib.sha256(os.fsencode(python))
    prefix = Path(python).parent.parent
    for folder in sorted([*prefix.glob("lib*/python*/site-packages"), *prefix.glob("lib*/python3/dist-packages")]):
        sha.update(f"\0{folder}\0{folder.stat().st_mtime_ns}".encode("utf-8", "surrogateescape"))
    return sha.hexdigest()


def _keep(path: Path, about: Mapping[str, Any]) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_json(path, about)
        known = sorted(path.parent.glob("*.json"), key=lambda item: item.stat().st_mtime)
        for old in known[:-KNOWN]:
            old.unlink(missing_ok=True)
    except OSError:  # it is asked again the next time
        return


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _gpus() -> list[str]:
    """The names of NVIDIA's GPUs, as their driver lists them without a slow call of nvidia-smi."""
    names = []
    for info in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        try:
            text = info.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        names += [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("Model:")]
    return names
