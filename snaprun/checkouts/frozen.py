"""Make the environment by which a run, and every Python that it starts, imports the frozen copy of its packages."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from snaprun.git.locate import Place

SITE = Path(__file__).parent.parent / "boot" / "site"
"""The folder whose ``sitecustomize`` starts ``boot/redirect.py`` in every Python process of a run."""

REDIRECT = "SNAPRUN_REDIRECT"

RECORD, UNIT = "\x1e", "\x1f"
"""Between the lists in the variable, and between the paths of a list: reading JSON would cost every process 5 ms."""


def environment(env: Mapping[str, str], *, place: Place, slot: Path) -> dict[str, str]:
    """What to add to ``env`` for a run in the checkout ``slot`` of the repository at ``place``.

    ``PYTHONPATH`` keeps the caller's own entries in their order, those in the live tree replaced by the checkout's.
    Nothing is asked of the interpreter: the redirection works on whatever its finders find (see ``boot/redirect.py``).
    It does not reach a Python that ignores its environment (``python -I``, ``-E``) or skips ``site`` (``-S``).
    """
    live = list(dict.fromkeys([os.fspath(place.top), os.path.realpath(place.top)]))
    git_dirs = {os.fspath(place.common_dir), os.path.realpath(place.common_dir)}
    redirect = RECORD.join([os.fspath(slot), UNIT.join(live), UNIT.join(sorted(git_dirs))])
    entries = [_redirect_entry(entry, live, slot) for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return {
        "PYTHONPATH": os.pathsep.join([os.fspath(SITE), *(entry for entry in entries if entry != os.fspath(SITE))]),
        REDIRECT: redirect,
    }


def _redirect_entry(entry: str, live: list[str], slot: Path) -> str:
    """An entry of a search path, in the checkout instead of the live tree where the checkout has it."""
    for top in live:
        if entry == top or entry.startswith(top + os.sep):
            path = slot / os.path.relpath(entry, top)
            return os.fspath(path) if path.is_dir() else entry
    return entry
