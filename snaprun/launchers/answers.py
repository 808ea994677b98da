"""What another machine answers to the ssh launcher, checked before anything here believes it.

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

KINDS: dict[int, type[SnaprunError]] = {kind.code: kind for kind in SnaprunError.__subclasses__()}
"""Which kind of error has which exit code: an error over there becomes the same one here."""


def read(line: bytes, who: str) -> dict[str, Any]:
    """The answer in a line.

    Raises:
        Unavailable: it is none. SnaprunError: the other side says so.
    """
    try:
        about = json.loads(line)
    except ValueError as error:
        raise _senseless(who) from error
    if not isinstance(about, dict):
        raise _senseless(who)
    if "error" in about:
        kind = KINDS.get(about["code"], Unavailable) if isinstance(about.get("code"), int) else Unavailable
        raise kind(f"{who}: {words(about['error'])}", hint=words(about.get("hint", "")))
    return about


def news(about: Mapping[str, Any], run: str, data: bytes, who: str) -> tuple[News, bytes]:
    """What an answer says of one run, without the URL, and the bytes behind it that are not this run's.

    Raises:
        Unavailable: it makes no sense.
    """
    try:
        one = about["runs"][run]
        files = {}
        for name, size in one["files"]:
            if not isinstance(name, str) or not 0 <= size <= len(data):
                raise _senseless(who)
            files[name], data = data[:size], data[size:]
        tip, attempt, reason = one.get("tip"), one.get("attempt"), one.get("reason")
        sound = (
            one["state"] in STATES
            and (tip is None or re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", tip))
            and (attempt is None or type(attempt) is int)
        )
        state = State(one["state"], None if reason is None else words(reason))
        more = bool(one.get("more"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _senseless(who) from error
    if not sound:
        raise _senseless(who)
    return News(state, files, tip, "", attempt, more), data


def text(about: Mapping[str, Any], name: str, who: str) -> str:
    """A text of an answer, as it came. Raises Unavailable where it has none."""
    found = about.get(name)
    if not isinstance(found, str):
        raise _senseless(who)
    return found


def texts(about: Mapping[str, Any], name: str, who: str) -> list[str]:
    """A list of texts. Raises Unavailable where the answer has none."""
    found = about.get(name)
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise _senseless(who)
    return found


def words(said: object) -> str:
    """What is to be shown, without anything that a terminal would obey."""
    return "".join(letter if letter.isprintable() else " " for letter in str(said))


def _senseless(who: str) -> Unavailable:
    return Unavailable(f"{who} gives an answer that makes no sense", hint="install the same version of snaprun there")
