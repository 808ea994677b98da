"""Find the one run that a user means: an id, a prefix, ``@``, ``@~2``, ``@failed``, a name, or a result commit."""

from __future__ import annotations

import re
from difflib import get_close_matches

from snaprun.errors import DataFault
from snaprun.index.runlist import Filter, Reader, query
from snaprun.model import Run, short_id
from snaprun.statuses import Status

MIN_DIGITS = 4
"""Digits that a prefix of an id needs at least."""

_HEX = re.compile(rf"[0-9a-fA-F]{{{MIN_DIGITS},64}}")
_LATEST = re.compile(r"@(?:~(\d{1,9}))?")


def find(reader: Reader, selector: str) -> Run:
    """The run that ``selector`` names, with its cells.

    Raises:
        DataFault: none, or more than one; the hint names candidates or what is near.
    """
    text = selector.strip()
    if text.startswith("@"):
        return _relative(reader, text)
    if _HEX.fullmatch(text):
        runs = _by_id(reader, text.lower())
        if len(runs) > 1:
            raise _ambiguous_error(text, runs)
        if runs:
            return runs[0]
    named_runs = query(reader, Filter(exact_name=text, limit=1), cells=True)
    if named_runs:
        return named_runs[0]
    raise _unknown_error(reader, text)


def _relative(reader: Reader, text: str) -> Run:
    """``@``, ``@~N`` and ``@<status>``."""
    match = _LATEST.fullmatch(text)
    if match:
        offset = int(match[1] or 0)
        runs = query(reader, Filter(limit=1, offset=offset), cells=True)
        if runs:
            return runs[0]
        raise DataFault(f"there is no run {text}", hint="snaprun history")
    states = {status.value: status for status in Status}
    if text[1:] not in states:
        suggestions = get_close_matches(text[1:], states, n=1)
        hint = f"did you mean @{suggestions[0]}?" if suggestions else "@, @~1, @running, @failed, @succeeded"
        raise DataFault(f"there is no run {text}", hint=hint)
    runs = query(reader, Filter(limit=1, status=frozenset({states[text[1:]]})), cells=True)
    if runs:
        return runs[0]
    raise DataFault(f"no run is {text[1:]}", hint="snaprun history")


def _by_id(reader: Reader, prefix: str) -> list[Run]:
    """The runs whose own id, or whose result commit, starts with ``prefix``; a full id is never ambiguous."""
    values = {"repo": reader.repo, "low": prefix, "high": prefix + "g"}
    sides = [
        f'SELECT r.id FROM runs r WHERE r.repo = :repo AND r."{column}" >= :low AND r."{column}" < :high'
        for column in ("id", "commit")
    ]
    ids = [row[0] for row in reader.rows(f"{' UNION '.join(sides)} LIMIT 6", values)]
    exact = [id for id in ids if id == prefix]
    batches = [query(reader, Filter(id=id, limit=1), cells=True) for id in (exact or ids)]
    return [run for runs in batches for run in runs]


def _ambiguous_error(text: str, runs: list[Run]) -> DataFault:
    lines = ", ".join(f"{run.id[:12]} ({run.notebook}, {run.status})" for run in runs[:5])
    return DataFault(f"{text} is the start of more than one run", hint=f"{lines}{', …' if len(runs) > 5 else ''}")


def _unknown_error(reader: Reader, text: str) -> DataFault:
    """Say so, with the nearest names and ids."""
    sql = "SELECT r.id, r.name FROM runs r WHERE r.repo = :repo ORDER BY r.created DESC LIMIT 1000"
    labels = [(short_id(id), name) for id, name in reader.rows(sql, {"repo": reader.repo})]
    words = list(dict.fromkeys([*(name for _, name in labels if name), *(id for id, _ in labels)]))
    suggestions = get_close_matches(text, words, n=3, cutoff=0.6)
    return DataFault(
        f"there is no run {text!r}",
        hint=f"did you mean {', '.join(suggestions)}?" if suggestions else "snaprun history",
    )
