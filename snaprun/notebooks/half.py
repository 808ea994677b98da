"""Describe a half of a jupytext pair, and say where pairs are configured: data only, no jupytext."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from snaprun.notebooks.cells import Node

CONFIG_NAMES = (
    "jupytext",
    "jupytext.toml",
    "jupytext.yml",
    "jupytext.yaml",
    "jupytext.json",
    ".jupytext",
    ".jupytext.toml",
    ".jupytext.yml",
    ".jupytext.yaml",
    ".jupytext.json",
    "pyproject.toml",
)
"""Where jupytext looks for its configuration in each folder, in this order. ``.jupytext.py`` is left out: it is a
program, and a hook executes nothing that was staged."""


@dataclass(frozen=True)
class Half:
    """One file of a pair: ``path`` as git names it, and its format in jupytext's long form."""

    path: str
    format: Mapping[str, Any]

    @property
    def is_notebook(self) -> bool:
        """Whether this half is the ``.ipynb``."""
        return self.path.endswith(".ipynb")


@dataclass(frozen=True)
class Config:
    """jupytext's configuration for some folder: the text of a file, by its path from the top."""

    path: str
    content: bytes


class Jupytext(Protocol):
    """What the hook needs of ``halves.py``, which it loads only when a notebook of the commit may be paired."""

    def members(self, path: str, content: bytes, config: Config | None) -> list[Half]:
        """See :func:`snaprun.notebooks.halves.members`."""

    def find_differences(self, notebook: bytes, text: bytes, half: Half) -> tuple[str, ...]:
        """See :func:`snaprun.notebooks.halves.find_differences`."""

    def text_from(self, notebook: bytes, text: bytes | None, half: Half) -> bytes:
        """See :func:`snaprun.notebooks.halves.text_from`."""

    def notebook_from(self, text: bytes, notebook: bytes | None, half: Half) -> bytes:
        """See :func:`snaprun.notebooks.halves.notebook_from`."""

    def document(self, path: str, content: bytes) -> Node:
        """See :func:`snaprun.notebooks.halves.document`."""


def find_config(candidates: Iterable[tuple[str, bytes | None]]) -> Config | None:
    """The first of these files that configures jupytext: path and content, None where there is no such file.

    Any of jupytext's own names does, ``pyproject.toml`` if it says so.
    """
    for path, content in candidates:
        if content is not None and (not path.endswith("pyproject.toml") or b"jupytext" in content):
            return Config(path, content)
    return None


def config_paths(path: str) -> Sequence[str]:
    """Where a configuration for ``path`` may lie, nearest first."""
    folder = os.path.dirname(path)
    paths = []
    while True:
        paths += [f"{folder}/{name}" if folder else name for name in CONFIG_NAMES]
        if not folder:
            return paths
        folder = os.path.dirname(folder)
