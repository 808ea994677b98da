"""Start the command line (``python -m snaprun``); a hook's call with nothing to check ends without click."""

from __future__ import annotations

import sys

from snaprun.hooks.gate import idle


def main() -> None:
    """Run the command line and exit with its code."""
    if idle(sys.argv[1:]):
        sys.exit(0)
    from snaprun import cli  # click: a hook's call with nothing to check does without

    cli.main()


if __name__ == "__main__":
    main()
