"""Read the moments and durations that people type: ``2h``, ``3d``, ``1h30m``, ``2026-11-22``, ``2026-11-22T10:00Z``."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from snaprun.errors import UsageFault

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

_DURATION = re.compile(r"(?:(?:\d+(?:\.\d*)?|\.\d+)[smhdw])+", re.ASCII)
_PART = re.compile(r"([\d.]+)([smhdw])", re.ASCII)
_MOMENT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6})\d*)?)?)?(Z|[+-]\d\d:?\d\d)?", re.ASCII | re.I
)
_EXAMPLES = "2h, 3d, 1w, 2026-11-22, 2026-11-22T10:30, 2026-11-22T10:30Z"


def duration(text: str) -> float | None:
    """Seconds of ``90s``, ``1h30m``, ``2d``, ``1w``; None where ``text`` is no duration."""
    text = text.strip().lower()
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * UNITS[unit] for number, unit in _PART.findall(text))


def span(text: str) -> tuple[str, str] | None:
    """The first moment that a written date or time means, and the first one after it, in UTC; None if it is neither.

    A date alone means the whole day, a time to the minute the whole minute. Without a zone, this machine's is meant.
    """
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
        return _utc(start), _utc(start + step)
    except (ValueError, OverflowError):
        return None


def moment(text: str, *, now: float) -> str:
    """The moment that ``--since`` means, as snaprun writes times: a date, a time, or so long before ``now``.

    ``now`` is in seconds since the epoch.

    Raises:
        UsageFault: ``text`` is none of these.
    """
    seconds = duration(text)
    timestamp = moment_before(seconds, now=now) if seconds is not None else (span(text) or (None,))[0]
    if timestamp is None:
        raise UsageFault(f"{text!r} is no time", hint=_EXAMPLES)
    return timestamp


def moment_before(seconds: float, *, now: float) -> str | None:
    """The moment ``seconds`` before ``now``; None where the calendar does not reach."""
    try:
        return _utc(datetime.fromtimestamp(now - seconds, tz=timezone.utc))
    except (ValueError, OverflowError, OSError):
        return None


def _zone(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text in "Zz":
        return timezone.utc
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))


def _utc(moment: datetime) -> str:
    """As :func:`snaprun.model.utc` writes it; a moment without a zone is of this machine's."""
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
