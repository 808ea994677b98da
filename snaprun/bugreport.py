"""Write down what is known of a bug of ours, in a file that the user can send. Imported when there is one."""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections.abc import Sequence

from snaprun import __version__


def write(error: Exception, argv: Sequence[str]) -> str:
    """Put the traceback into a fresh file; its name. Raises OSError where it cannot be written."""
    with tempfile.NamedTemporaryFile("w", prefix="snaprun-report-", suffix=".txt", delete=False) as file:
        file.write(f"snaprun {__version__}, Python {sys.version}, {sys.platform}\n{list(argv)!r}\n\n")
        file.write("".join(traceback.format_exception(error)))
    return file.name
