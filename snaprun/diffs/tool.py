"""Hand two notebooks to nbdime: with ids that agree, so that it pairs the cells as snaprun does, and in seconds.

Without ids nbdime 4.0 took 4 s for 60 cells and over 45 s for 150, and placed an inserted cell wrongly.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from snaprun.diffs import cellmatch
from snaprun.diffs.cellmatch import CellItem
from snaprun.diffs.rundiff import Side
from snaprun.errors import DataFault, Unavailable
from snaprun.notebooks import cells
from snaprun.notebooks.cells import Node

TOOLS = {"nbdime": "nbdiff", "nbdime-web": "nbdiff-web"}
"""What ``--tool`` takes, and the program that it starts."""


def prepare(a: Side, b: Side, folder: Path) -> tuple[Path, Path]:
    """Write both notebooks (with outputs where there are any) below ``folder``, and return their paths.

    Raises:
        DataFault: a side has no notebook.
    """
    nodes = [_document(side) for side in (a, b)]
    align_ids(nodes[0], nodes[1])
    paths = []
    for name, side, node in zip("ab", (a, b), nodes, strict=True):
        path = folder / f"{name}-{''.join(char if char.isalnum() else '-' for char in side.name)}.ipynb"
        path.write_bytes(cells.dump(node))
        paths.append(path)
    return paths[0], paths[1]


def command(tool: str, a: Path, b: Path) -> list[str]:
    """The command line of a tool on two notebooks.

    Raises:
        Unavailable: there is no such tool, or it is not installed.
    """
    if tool not in TOOLS:
        raise Unavailable(f"there is no diff tool {tool}", hint=f"known are {', '.join(TOOLS)}")
    beside = Path(sys.executable).parent  # an environment that is not active is not on the PATH
    program = shutil.which(TOOLS[tool], path=beside) or shutil.which(TOOLS[tool])
    if program is None:
        raise Unavailable(f"{TOOLS[tool]} is not installed", hint="pip install 'snaprun[nbdime]'")
    return [program, str(a), str(b)]


def align_ids(a: Node, b: Node) -> None:
    """Give the cells of two documents ids that are equal where the cells belong together, and only there."""
    matches = cellmatch.match([CellItem.of(cell) for cell in a["cells"]], [CellItem.of(cell) for cell in b["cells"]])
    for number, match in enumerate(matches):
        if match.a is not None:
            a["cells"][match.a]["id"] = f"cell-{number}"
        if match.b is not None:
            b["cells"][match.b]["id"] = f"cell-{number}"
    for node in (a, b):
        node["nbformat_minor"] = max(5, node["nbformat_minor"])


def _document(side: Side) -> Node:
    node = side.executed_node or side.source
    if node is None:
        raise DataFault(f"{side.name} has no notebook that can be read", hint="snaprun diff without --tool")
    return {**node, "cells": [dict(cell) for cell in node["cells"]]}
