"""Make the request that freezes a run for each point of a sweep."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from snaprun.freeze.capture import SnapshotRequest
from snaprun.model import utc
from snaprun.notebooks import cells, notebook, parameters
from snaprun.notebooks.notebook import Notebook
from snaprun.notebooks.parameters import RunParameters
from snaprun.sweeps.points import Point

STAND_IN = "snaprun_parameters_of_this_run_go_here"
"""Source of the injected cell while the script is made once for all runs; no notebook has this word."""


def make_requests(book: Notebook, base: SnapshotRequest, points: Sequence[Point]) -> Iterator[SnapshotRequest]:
    """What to freeze for each point, ``base`` being what they have in common.

    The script is made once, each run's parameters put into it.

    Raises:
        ParameterFault: the notebook has no such parameter, or a value cannot be written exactly.
    """
    document = cells.inject(book.node, STAND_IN)
    extension, script = notebook.script(document, book.language)
    now = time.time()
    for point in points:
        resolution = parameters.resolve(book.node, book.language, point.params)
        text = _script(book, script, resolution)
        spec = replace(
            base.spec,
            created=utc(now + point.number * 2e-6),  # told apart in spite of rounding: the runs keep their order
            given=tuple(resolution.overrides),
            seed=point.seed,
            warnings=(*base.spec.warnings, *resolution.notes),
        )
        yield replace(
            base,
            spec=spec,
            params=parameters.to_json(resolution.values),
            files={**base.files, f"notebook{extension}": text.encode("utf-8", "surrogateescape")},
        )


def _script(book: Notebook, script: str, resolution: RunParameters) -> str:
    if resolution.overrides and script.count(STAND_IN) == 1:
        return script.replace(STAND_IN, resolution.source.strip("\n"))
    return notebook.script(parameters.inject(book.node, resolution.overrides, book.language), book.language)[1]
