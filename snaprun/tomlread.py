"""Read TOML, here alone: by Python's own reader, or by tomli on Python 3.10."""

from __future__ import annotations

import importlib
import sys
from typing import Any

READER = "tomllib" if sys.version_info >= (3, 11) else "tomli"
"""Imported at the first document: most commands meet none, and it takes as long as a query."""


def loads(text: str) -> dict[str, Any]:
    """The content of a TOML document.

    Raises:
        ValueError: it is malformed; the text says where.
    """
    document: dict[str, Any] = importlib.import_module(READER).loads(text)
    return document
