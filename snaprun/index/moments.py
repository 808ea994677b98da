"""Parse the moments that people type: ``2h`` (ago), ``1h30m``, ``2026-11-22``, ``2026-11-22T10:00Z``."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from snaprun.errors import UsageFault
from snaprun.model import format_utc, utc
from snaprun.quantities import parse_duration

_MOMENT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6})\d*)?)?)?(Z|[+-]\d\d:?\d\d)?", re.ASCII | re.I
)
_EXAMPLES = "2h, 3d, 1w, 2026-11-22, 2026-11-22T10:30, 2026-11-22T10:30Z"


def span(text: str, *, now: float) -> tuple[str, str] | None:
    """The first moment that ``text`` means, and the first one after it, in UTC; None if it is no time.

    A length of time with its unit is one moment, so long before ``now`` (in seconds since the epoch). A date alone
    means the whole day, a time to the minute the whole minute. Without a zone, this machine's is meant.
    """
    seconds = parse_duration(text, bare=None)
    return _calendar_span(text) if seconds is None else _moment_before(seconds, now=now)


def moment(text: str, *, now: float) -> str:
    """The moment that ``--since`` means, as snaprun writes times: a date, a time, or so long before ``now``.

    Raises:
        UsageFault: ``text`` is none of these.
    """
    moments = span(text, now=now)
    if moments is None:
        unit = " without a unit" if parse_duration(text) is not None and parse_duration(text, bare=None) is None else ""
        raise UsageFault(f"{text!r} is no time{unit}", hint=_EXAMPLES)
    return moments[0]


def _calendar_span(text: str) -> tuple[str, str] | None:
    """The moments from and to of a date or a time of day."""
    match = _MOMENT.fullmatch(text.strip())
    if not match:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    step = timedelta(microseconds=1) if fraction else timedelta(seconds=1)
    if second is None:
        step = timedelta(minutes=1) if minute else timedelta(days=1)
    numbers = [int(part or 0) for part in (year, month, day, hour, minute, second, (fraction or "").ljust(6, "0"))]
    try:
        start = datetime(*numbers).replace(tzinfo=_zone(zone))  # type: ignore[arg-type]
        return format_utc(start), format_utc(start + step)
    except (ValueError, OverflowError):
        return None


def _moment_before(seconds: float, *, now: float) -> tuple[str, str] | None:
    """The moment ``seconds`` before ``now``, twice; None where the calendar does not reach."""
    try:
        moment = utc(now - seconds)
    except (ValueError, OverflowError, OSError):
        return None
    return moment, moment


def _zone(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text in "Zz":
        return timezone.utc
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))
