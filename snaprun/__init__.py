"""snaprun: freeze a notebook with everything it imports, run it unattended, keep every run findable.

Inside a run, ``snaprun.log(loss=0.3, step=10)``, ``snaprun.params`` and ``snaprun.artifact(path)`` are all that a
notebook needs.
"""

from __future__ import annotations

from snaprun.track import artifact, log, params

__version__ = "0.1.0"

__all__ = ["__version__", "artifact", "log", "params"]
