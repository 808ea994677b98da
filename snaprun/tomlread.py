"""The one gate to TOML: Python's own reader, or tomli on Python 3.10."""

from __future__ import annotations

import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def loads(text: str) -> dict[str, Any]:
    """The content of a TOML document.

    Raises:
        ValueError: it is malformed; the text says where.
    """
    found: dict[str, Any] = tomllib.loads(text)
    return found
