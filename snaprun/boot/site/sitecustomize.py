"""Reach every Python process of a run: this folder stands first in its PYTHONPATH, so ``site`` imports this file.

It starts the redirection to frozen modules, gets out of the way, and imports the ``sitecustomize`` that would have been
imported without it. Any Python may come along here, so the syntax is the oldest.
"""

import os
import sys


def _boot():  # type: ignore[no-untyped-def]
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != folder]
    if sys.version_info < (3, 8) or not os.environ.get("SNAPRUN_REDIRECT"):
        return
    boot = os.path.dirname(folder)
    user_module = sys.modules.pop("redirect", None)
    sys.path.insert(0, boot)
    try:
        __import__("redirect")
    finally:
        sys.path.remove(boot)
        if "redirect" in sys.modules:
            sys.modules["snaprun_redirect"] = sys.modules.pop("redirect")
        if user_module is not None:
            sys.modules["redirect"] = user_module


_boot()  # type: ignore[no-untyped-call]
_own_module = sys.modules.pop("sitecustomize", None)
try:
    __import__("sitecustomize")
except ImportError as _error:
    if getattr(_error, "name", "sitecustomize") != "sitecustomize":
        raise
    if _own_module is not None:
        sys.modules["sitecustomize"] = _own_module
