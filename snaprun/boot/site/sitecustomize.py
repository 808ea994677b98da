"""Reach every Python process of a run: this folder stands first in its PYTHONPATH, so ``site`` imports this file.

It starts the redirection to frozen modules, gets out of the way, and imports the ``sitecustomize`` that would have been
imported without it. Any Python may come along here, so the syntax is the oldest.
"""

import importlib
import os
import runpy
import sys


def _boot():  # type: ignore[no-untyped-def]
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    if sys.version_info >= (3, 8) and os.environ.get("SNAPRUN_REDIRECT"):
        runpy.run_path(os.path.join(os.path.dirname(here), "redirect.py"), run_name="snaprun_redirect")


_boot()  # type: ignore[no-untyped-call]
_mine = sys.modules.pop("sitecustomize", None)
try:
    importlib.import_module("sitecustomize")
except ImportError as _error:
    if getattr(_error, "name", "sitecustomize") != "sitecustomize":
        raise
    if _mine is not None:
        sys.modules["sitecustomize"] = _mine
