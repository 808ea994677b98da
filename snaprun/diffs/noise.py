"""Make the texts of two runs comparable: collapse what was overwritten, mask what differs from run to run anyway."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]")
_UNIT = r"(?:ns|[µμu]s|ms|s|secs?|seconds?|mins?|minutes?|hours?|hrs?|h)"
_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    # tqdm: `300/300 [00:02<00:00, 120.5it/s]`, and its bar
    (re.compile(r"\[\d+:\d\d(?::\d\d)?<[^\]\n]*\]"), "[…]"),
    (re.compile(r"\|[█▏▎▍▌▋▊▉#=>. -]{3,}\|"), "|…|"),
    # addresses: `<Figure at 0x7f3a…>`
    (re.compile(r"\b0x[0-9a-fA-F]{6,16}\b"), "0x…"),
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<uuid>"),
    # `ipykernel_1234/56789.py`, `/tmp/ipykernel_1234`
    (re.compile(r"\bipykernel_\d+(?:/\d+\.py)?"), "ipykernel_…"),
    # the checkout that a run was laid out in, temporary folders, process numbers
    (re.compile(r"(?<=/snaprun/slots/)\d+"), "…"),
    (re.compile(r"(?<=/tmp)\w{6,}"), "…"),
    (re.compile(r"(?i)(?<=\bpid[ =:])\s*\d+"), "…"),
    # `%timeit`: 10,000,000 loops each
    (re.compile(r"\b\d[\d,]* loops? each"), "<loops>"),
    # moments: `2026-11-22 21:19:06.123`, `21:19:06`
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\b\d{1,2}:\d\d:\d\d(?:[.,]\d+)?\b"), "<time>"),
    # durations: `0.21 s`, `3min 12s`, `12 ms ± 3 µs`, `120.5it/s`
    (
        re.compile(rf"(?<![\w.])\d+(?:\.\d+)?(?:e[+-]?\d+)? ?{_UNIT}(?:/(?:it|step|epoch|batch|loop))?(?![\w/])"),
        "<duration>",
    ),
    (re.compile(r"(?<![\w.])\d+(?:\.\d+)? ?(?:it|step|epoch|batch|sample|image|token)s?/s\b"), "<rate>"),
    (re.compile(r"<duration>(?: <duration>)+"), "<duration>"),
)
_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w])|(?<![\w.])[-+]?(?:nan|inf)\b")


def collapse(text: str) -> str:
    """What a terminal would show in the end: text behind a carriage return overwrites its line; no colours."""
    clean = _ANSI.sub("", text.replace("\r\n", "\n"))
    if "\r" not in clean and "\b" not in clean:
        return clean
    return "\n".join(map(_line, clean.split("\n")))


def mask(text: str) -> str:
    """``text`` without what differs from run to run and means nothing: addresses, moments, durations, rates, UUIDs."""
    for pattern, stand_in in _MASKS:
        text = pattern.sub(stand_in, text)
    return text


def numbers(text: str) -> tuple[str, list[float]]:
    """The text with its numbers taken out, and the numbers."""
    values = [float(number) for number in _NUMBER.findall(text)]
    return _NUMBER.sub("#", text), values


def largest_relative(values_a: Iterable[float], values_b: Iterable[float]) -> float:
    """The largest relative difference of two lists of numbers; NaN equals NaN; infinite where only one is finite."""
    largest = 0.0
    for a, b in zip(values_a, values_b, strict=True):
        if a == b or (a != a and b != b):
            continue
        scale = max(abs(a), abs(b))
        difference = abs(a - b) / scale if scale < float("inf") and a == a and b == b else float("inf")
        largest = max(largest, difference)
    return largest


def _line(line: str) -> str:
    """One line as carriage returns and backspaces leave it."""
    screen = ""
    for part in line.split("\r"):
        text = _apply_backspaces(part) if "\b" in part else part
        screen = text + screen[len(text) :] if text else screen
    return screen.rstrip()


def _apply_backspaces(part: str) -> str:
    output: list[str] = []
    for char in part:
        if char != "\b":
            output.append(char)
        elif output:
            output.pop()
    return "".join(output)
