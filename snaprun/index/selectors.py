"""Find the one run that a user means: an id, a prefix, ``@``, ``@~2``, ``@failed``, a name, or a result commit."""

from __future__ import annotations

import re
from difflib import get_close_matches

from snaprun.errors import DataFault
from snaprun.index.runlist import Filter, Reader, query
from snaprun.model import Run, Status

SHORTEST = 4
"""Digits that a prefix of an id needs at least."""

SHOWN = 8
"""Digits under which a run is shown."""

_HEX = re.compile(rf"[0-9a-fA-F]{{{SHORTEST},64}}")
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
        found = _by_id(reader, text.lower())
        if len(found) > 1:
            raise _ambiguous(text, found)
        if found:
            return found[0]
    named = query(reader, Filter(named=text, limit=1), cells=True)
    if named:
        return named[0]
    raise _unknown(reader, text)


def _relative(reader: Reader, text: str) -> Run:
    """``@``, ``@~N`` and ``@<status>``."""
    counted = _LATEST.fullmatch(text)
    if counted:
        back = int(counted[1] or 0)
        found = query(reader, Filter(limit=1, offset=back), cells=True)
        if found:
            return found[0]
        raise DataFault(f"there is no run {text}", hint="snaprun history")
    states = {status.value: status for status in Status}
    if text[1:] not in states:
        near = get_close_matches(text[1:], states, n=1)
        hint = f"did you mean @{near[0]}?" if near else "@, @~1, @running, @failed, @succeeded"
        raise DataFault(f"there is no run {text}", hint=hint)
    found = query(reader, Filter(limit=1, status=frozenset({states[text[1:]]})), cells=True)
    if found:
        return found[0]
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
    found = [query(reader, Filter(id=id, limit=1), cells=True) for id in (exact or ids)]
    return [run for runs in found for run in runs]


def _ambiguous(text: str, found: list[Run]) -> DataFault:
    lines = ", ".join(f"{run.id[:12]} ({run.notebook}, {run.status})" for run in found[:5])
    return DataFault(f"{text} is the start of more than one run", hint=f"{lines}{', …' if len(found) > 5 else ''}")


def _unknown(reader: Reader, text: str) -> DataFault:
    """Say so, with the nearest names and ids."""
    sql = "SELECT r.id, r.name FROM runs r WHERE r.repo = :repo ORDER BY r.created DESC LIMIT 1000"
    known = [(id[:SHOWN], name) for id, name in reader.rows(sql, {"repo": reader.repo})]
    words = list(dict.fromkeys([*(name for _, name in known if name), *(id for id, _ in known)]))
    near = get_close_matches(text, words, n=3, cutoff=0.6)
    return DataFault(
        f"there is no run {text!r}", hint=f"did you mean {', '.join(near)}?" if near else "snaprun history"
    )
