"""Check what another machine answers to the ssh launcher, before anything here believes it.

It may have another version of snaprun, or may have been cut off, or may lie: an answer that makes no sense says nothing
about a run, as no answer does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from snaprun.errors import SnaprunError, Unavailable
from snaprun.launchers import STATES, News, State
from snaprun.printable import clean

KINDS: dict[int, type[SnaprunError]] = {kind.code: kind for kind in SnaprunError.__subclasses__()}
"""Which kind of error has which exit code: an error over there becomes the same one here."""


def read(line: bytes, machine: str) -> dict[str, Any]:
    """The answer in a line.

    Raises:
        Unavailable: it is none. SnaprunError: the other side says so.
    """
    try:
        answer = json.loads(line)
    except ValueError as error:
        raise _invalid_answer(machine) from error
    if not isinstance(answer, dict):
        raise _invalid_answer(machine)
    if "error" in answer:
        kind = KINDS.get(answer["code"], Unavailable) if isinstance(answer.get("code"), int) else Unavailable
        raise kind(f"{machine}: {printable(answer['error'])}", hint=printable(answer.get("hint", "")))
    return answer


def news(answer: Mapping[str, Any], run: str, data: bytes, machine: str) -> tuple[News, bytes]:
    """What an answer says of one run, without the URL, and the bytes behind it that are not this run's.

    Raises:
        Unavailable: it makes no sense.
    """
    try:
        entry = answer["runs"][run]
        files = {}
        for name, size in entry["files"]:
            if not isinstance(name, str) or not 0 <= size <= len(data):
                raise _invalid_answer(machine)
            files[name], data = data[:size], data[size:]
        tip, attempt, reason = entry.get("tip"), entry.get("attempt"), entry.get("reason")
        is_valid = (
            entry["state"] in STATES
            and (tip is None or re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", tip))
            and (attempt is None or type(attempt) is int)
        )
        state = State(entry["state"], None if reason is None else printable(reason))
        has_more = bool(entry.get("more"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _invalid_answer(machine) from error
    if not is_valid:
        raise _invalid_answer(machine)
    return News(state, files, tip, "", attempt, has_more), data


def text(answer: Mapping[str, Any], name: str, machine: str) -> str:
    """A text of an answer, as it came. Raises Unavailable where it has none."""
    value = answer.get(name)
    if not isinstance(value, str):
        raise _invalid_answer(machine)
    return value


def texts(answer: Mapping[str, Any], name: str, machine: str) -> list[str]:
    """A list of texts. Raises Unavailable where the answer has none."""
    values = answer.get(name)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise _invalid_answer(machine)
    return values


def printable(value: object) -> str:
    """What is to be shown, without anything that a terminal would obey."""
    return clean(str(value), " ", keep="")


def _invalid_answer(machine: str) -> Unavailable:
    return Unavailable(
        f"{machine} gives an answer that makes no sense", hint="install the same version of snaprun there"
    )
