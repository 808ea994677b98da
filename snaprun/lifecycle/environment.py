"""Describe what a run runs in: Python, platform, packages, graphics cards, and harmless environment variables."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from snaprun.errors import Unavailable
from snaprun.machine import nvidia
from snaprun.notebooks.interpreter import Layout, layout_of

ALLOW_LIST = (
    "CONDA_DEFAULT_ENV",
    "CONDA_PREFIX",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_HOME",
    "CUDA_VISIBLE_DEVICES",
    "HF_HOME",
    "HF_HUB_OFFLINE",
    "HIP_VISIBLE_DEVICES",
    "JAX_ENABLE_X64",
    "JAX_PLATFORMS",
    "JULIA_NUM_THREADS",
    "LANG",
    "LC_ALL",
    "LC_NUMERIC",
    "LD_LIBRARY_PATH",
    "MKL_NUM_THREADS",
    "MPLBACKEND",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "PYTHONOPTIMIZE",
    "PYTORCH_CUDA_ALLOC_CONF",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_CPUS_PER_TASK",
    "SLURM_JOB_ID",
    "SLURM_JOB_NODELIST",
    "SNAPRUN_SEED",
    "TF_CPP_MIN_LOG_LEVEL",
    "TF_DETERMINISTIC_OPS",
    "TF_FORCE_GPU_ALLOW_GROWTH",
    "TMPDIR",
    "TOKENIZERS_PARALLELISM",
    "TZ",
    "VIRTUAL_ENV",
    "XLA_FLAGS",
)
"""Variables that say how code behaves; ``environment`` in the settings adds to them.

An allow-list: a variable that nobody thought of may hold a password. Nothing that differs from run to run by itself.
"""

SECRET = re.compile(r"(?i)token|secret|passw|credential|api_?key|private|auth")
"""Names that are not recorded even where the settings ask for them."""

PATIENCE = 5
"""Seconds that nvidia-smi may take."""


def describe(
    python: str | None, env: Mapping[str, str], *, origin: str = "", extra_names: Iterable[str] = ()
) -> dict[str, Any]:
    """The content of ``.snaprun/environment.json``; what cannot be found out is left out.

    ``python`` is the interpreter that runs the code (None: another language's kernel), ``origin`` tells why it was
    taken, ``env`` are the run's variables, and ``extra_names`` names further variables to record.
    """
    return {
        **({} if python is None else _python(python, origin, env)),
        **machine(),
        "gpus": graphics(env),
        "variables": variables(env, extra_names),
    }


def machine() -> dict[str, Any]:
    """The machine and its system; memory in bytes."""
    return {
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }


def _python(python: str, origin: str, env: Mapping[str, str]) -> dict[str, Any]:
    interpreter: dict[str, Any] = {"executable": python, **({"chosen": origin} if origin else {})}
    try:
        layout = layout_of(python, env)
    except Unavailable:
        return interpreter
    return {
        "python": layout.version,
        "implementation": layout.implementation,
        **interpreter,
        "packages": packages(layout),
        "editable": editables(layout),
    }


def packages(layout: Layout) -> dict[str, str]:
    """Every installed distribution with its version, from the names of the metadata folders (PEP 376, PEP 503)."""
    versions: dict[str, str] = {}
    for folder in layout.folders:
        for name in _entries(folder):
            stem, dot, kind = name.rpartition(".")
            if not dot or kind not in ("dist-info", "egg-info") or "-" not in stem:
                continue
            project, version = stem.split("-")[:2]
            versions.setdefault(re.sub(r"[-_.]+", "-", project).lower(), version)
    return dict(sorted(versions.items()))


def editables(layout: Layout) -> dict[str, str]:
    """The folders of the distributions that are installed from a source tree (PEP 610's ``direct_url.json``)."""
    folders: dict[str, str] = {}
    for folder in layout.folders:
        for name in _entries(folder):
            if not name.endswith(".dist-info"):
                continue
            try:
                data = json.loads((folder / name / "direct_url.json").read_bytes())
                editable, url = data["dir_info"]["editable"], urlsplit(data["url"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if editable and url.scheme == "file":
                folders[re.sub(r"[-_.]+", "-", name.split("-")[0]).lower()] = unquote(url.path)
    return dict(sorted(folders.items()))


def graphics(env: Mapping[str, str]) -> list[str]:
    """The names of the NVIDIA cards, by the driver's files or else by nvidia-smi; empty where there is neither."""
    names = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        names += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return names or nvidia.query("name", env, patience=PATIENCE)


def variables(env: Mapping[str, str], extra_names: Iterable[str] = ()) -> dict[str, str]:
    """The variables of the allow-list that are set; never one whose name speaks of a secret."""
    names = [*ALLOW_LIST, *(name for name in extra_names if not SECRET.search(name))]
    return {name: env[name] for name in sorted(set(names)) if name in env}


def _entries(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
