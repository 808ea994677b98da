"""Run the process of a search; :mod:`snaprun.live.searches` starts it with the search's lock as its standard output."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from snaprun import files
from snaprun.errors import RunFault, SnaprunError, Unavailable
from snaprun.git.locate import read_place
from snaprun.live import daemon, searches


def main(argv: list[str]) -> int:
    """Serve the search ``argv[1]`` of the place that ``argv[0]`` names as JSON; whoever watches it hears of trouble."""
    for number in (signal.SIGINT, signal.SIGQUIT):  # a shell ignores them for what it starts in the background
        signal.signal(number, signal.SIG_DFL)
    lock = os.dup(1)
    daemon.release()
    place = read_place(json.loads(argv[0]))
    path = searches.folder(place, argv[1])
    try:
        if searches.is_active(place, argv[1]):
            from snaprun.sweeps.searcher import Searcher  # Optuna may be gone

            Searcher(place, argv[1]).serve(lock)
    except SnaprunError as error:
        return _trouble(path, f"{error.message} ({error.hint})" if error.hint else error.message, error.code)
    except ModuleNotFoundError as error:
        return _trouble(path, f"{error.name} is not installed (pip install 'snaprun[optuna]')", Unavailable.code)
    except Exception as error:  # noqa: BLE001  # the edge: whoever watches the search is told
        traceback.print_exc()
        return _trouble(path, f"{type(error).__name__}: {error} (cat {path / searches.LOG_NAME})", RunFault.code)
    return 0


def _trouble(path: Path, text: str, code: int) -> int:
    sys.stderr.write(f"{text}\n")
    with suppress(OSError):
        files.write(path / searches.TROUBLE, f"{text}\n".encode(), durable=False)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
