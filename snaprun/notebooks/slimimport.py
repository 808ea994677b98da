"""Import a package without the parts of it that cost seconds and that snaprun does not use."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

JUPYTER_EXTRAS = (
    "rfc3987_syntax",  # jsonschema builds a lark grammar at import: 0.7 to 5 s
    "rfc3986_validator",
    "isoduration",  # brings arrow
    "jupytext.sync_contentsmanager",  # bring tornado, zmq and jupyter_server
    "jupytext.async_contentsmanager",
)
"""Optional parts of jsonschema (format checkers) and jupytext (the Jupyter server's contents managers).

Measured with nbformat 5.11, jsonschema 4.26, jupytext 1.19: ``import jupytext`` 1.2 s with, 0.13 s without them.
"""


@contextmanager
def skip_imports(*names: str) -> Iterator[None]:
    """Make ``import <name>`` fail inside the block, as if these optional modules were not installed."""
    absent_names = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent_names))  # type: ignore[arg-type]  # None means "not there": importlib's own rule
    try:
        yield
    finally:
        for name in absent_names:
            sys.modules.pop(name, None)
