"""What to freeze for each point of a sweep: one request a run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from snaprun.freeze.capture import Request
from snaprun.model import utc
from snaprun.notebooks import cells, notebook, parameters
from snaprun.notebooks.notebook import Notebook
from snaprun.notebooks.parameters import Resolved
from snaprun.sweeps.points import Point

STAND_IN = "snaprun_parameters_of_this_run_go_here"
"""Source of the injected cell while the script is made once for all runs; no notebook has this word."""


def requests(found: Notebook, base: Request, points: Sequence[Point]) -> Iterator[Request]:
    """What to freeze for each point, ``base`` being what they have in common.

    The script is made once, each run's parameters put into it.

    Raises:
        ParameterFault: the notebook has no such parameter, or a value cannot be written exactly.
    """
    runs = cells.inject(found.node, STAND_IN)
    extension, script = notebook.script(runs, found.language)
    now = time.time()
    for point in points:
        resolved = parameters.resolve(found.node, found.language, point.params)
        text = _script(found, script, resolved)
        spec = replace(
            base.spec,
            created=utc(now + point.number * 2e-6),  # told apart in spite of rounding: the runs keep their order
            given=tuple(resolved.given),
            seed=point.seed,
            warnings=(*base.spec.warnings, *resolved.notes),
        )
        yield replace(
            base,
            spec=spec,
            params=parameters.to_json(resolved.merged),
            files={**base.files, f"notebook{extension}": text.encode("utf-8", "surrogateescape")},
        )


def _script(found: Notebook, script: str, resolved: Resolved) -> str:
    if resolved.given and script.count(STAND_IN) == 1:
        return script.replace(STAND_IN, resolved.source.strip("\n"))
    return notebook.script(parameters.inject(found.node, resolved.given, found.language), found.language)[1]
