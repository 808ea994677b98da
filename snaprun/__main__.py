"""``python -m snaprun``: the same door as the ``snaprun`` command."""

from __future__ import annotations

from snaprun.cli import main

if __name__ == "__main__":
    main()
