"""What a guard finds in a notebook, before it is a finding of the hook."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Complaint:
    """One thing found: ``location`` names the cell (``cell 3``, ``markdown cell 1``), ``mend`` says what to do."""

    check: str
    location: str
    text: str
    mend: str = ""
