"""snaprun: freeze a notebook with everything it imports, run it unattended, keep every run findable.

Inside a run, ``snaprun.log(loss=0.3, step=10)``, ``snaprun.params`` and ``snaprun.artifact(path)`` are all that a
notebook needs.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from snaprun.track import artifact, log, params

__version__ = "0.1.0"

__all__ = ["__version__", "artifact", "log", "params"]


def __getattr__(name: str) -> object:
    """Import ``track`` when it is first asked for: every commit pays for what this file imports, through the hook."""
    if name not in __all__:
        raise AttributeError(f"module 'snaprun' has no attribute {name!r}")
    import snaprun.track  # not before it is used

    globals().update({export: getattr(snaprun.track, export) for export in __all__[1:]})
    return globals()[name]
