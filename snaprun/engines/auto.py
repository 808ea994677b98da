"""Choose the engine of a notebook: inline where nothing in it asks for more, else a Jupyter kernel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from snaprun.engines import inline
from snaprun.notebooks.cells import is_skipped, number_cells, read_source

KERNEL_PATTERNS: tuple[tuple[str, str], ...] = (
    (r"^\s*(?:import|from)\s+(?:ipykernel|comm|jupyter_client|ipyparallel)\b", "talks with Jupyter itself"),
    (r"\bget_ipython\(\)\.kernel\b|\bcomm_manager\b|(?<!\w)Comm\(", "talks with Jupyter itself"),
    (r"^\s*(?:import|from)\s+(?:asyncio|nest_asyncio|trio|anyio)\b", "may count on the kernel's event loop"),
    (r"\btqdm\.notebook\b|\btqdm_notebook\b|\bFigureWidget\b|\bpush_notebook\b", "shows widgets"),
    (r"^\s*%(?:connect_info|qtconsole|gui|pylab|debug|pdb)\b", "has a magic that needs a kernel"),
    (r"^\s*%matplotlib\s+(?!inline\b|agg\b|--list)\S", "shows figures that one can click on"),
    (r"^\s*%%(?:javascript|js)\b", "runs JavaScript, which may call the kernel"),
    (r"(?<![\w.])(?:input|raw_input|getpass|breakpoint)\s*\(|\bset_trace\(", "asks somebody at the keyboard"),
)
"""What in a code cell speaks against the inline engine, and why. On the safe side: text in a comment counts too."""

_PATTERNS = tuple((re.compile(pattern, re.MULTILINE), reason) for pattern, reason in KERNEL_PATTERNS)


def needs_kernel(notebook: Mapping[str, Any], *, language: str = "python") -> str | None:
    """Why this notebook is better run by a kernel; None where the inline engine does the same for less.

    Only the notebook's own text is looked at, not what it imports.
    """
    refusal = inline.refusal(notebook, language=language)
    if refusal is not None:
        return refusal
    for number, _, cell in number_cells(notebook):
        if is_skipped(cell):
            continue
        text = read_source(cell)
        for pattern, reason in _PATTERNS:
            if pattern.search(text):
                return f"cell {number} {reason}"
    return None
