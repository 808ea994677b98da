"""Read the notebooks of a commit as documents: Jupyter's by the standard library, text notebooks by jupytext."""

from __future__ import annotations

import os
from collections.abc import Callable

from snaprun.hooks.gate import NOTEBOOK, TEXT
from snaprun.notebooks import cells
from snaprun.notebooks.cells import Node
from snaprun.notebooks.half import Jupytext

HEADER = 4096
"""So many bytes of a text file are searched for jupytext's header."""


def may_be_notebook(path: str) -> bool:
    """Whether a file may be a notebook, by its name."""
    return os.path.splitext(path)[1] in (NOTEBOOK, *TEXT)


def is_notebook(path: str, content: bytes) -> bool:
    """Whether a file is a notebook, Jupyter's or a text."""
    return path.endswith(NOTEBOOK) or is_text_notebook(path, content)


def is_text_notebook(path: str, content: bytes) -> bool:
    """Whether a file is a text notebook: its ending is one of theirs, and jupytext's header stands in it."""
    return os.path.splitext(path)[1] in TEXT and b"jupytext:" in content[:HEADER]


def read(path: str, content: bytes, load: Callable[[], Jupytext]) -> Node | None:
    """The document of a notebook; None for the formats before nbformat 4, which no run has as its source.

    Raises:
        InputMissing: it is damaged.
    """
    if not path.endswith(NOTEBOOK):
        return load().document(path, content)
    document = cells.decode(content, path)
    return None if cells.version(document) in (2, 3) else cells.normalize(document, path)
