"""Draw a chart in a terminal, with the dots of braille letters."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from snaprun.charts import axes
from snaprun.charts.axes import Axis
from snaprun.charts.series import Chart, Curve
from snaprun.diffs.linediff import clean
from snaprun.show import Look

HEIGHT = 16
WIDTH = 80
WIDTH_LEAST = 30

COLOURS = ("blue", "red", "green", "magenta", "yellow", "cyan")
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The dots of a braille letter: four rows of two."""


def text(chart: Chart, how: Look, *, height: int = HEIGHT) -> str:
    """The chart as lines of text, with a legend below; says so where there is nothing to draw."""
    if not chart.curves:
        return f"no values of {clean(chart.y_name)}"
    across, up = axes.of(chart, ticks=max(2, height // 4))
    names = {_row(tick, up, height): axes.label(tick, up) for tick in up.ticks if up.low <= tick <= up.high}
    margin = max(map(len, names.values()), default=0)
    width = max(WIDTH_LEAST, (how.width or WIDTH) - margin - 2)
    dots, owners = _canvas(chart, across, up, width, height)
    lines = [how.style(clean(chart.title), bold=True)]
    for row in range(height):
        body = "".join(_letter(dots, owners, row, column, how) for column in range(width)).rstrip()
        lines.append(f"{names.get(row, '').rjust(margin)} {'┤' if row in names else '│'}{body}")
    lines.append(f"{' ' * margin} └{'─' * width}")
    lines.append(" " * (margin + 2) + _below(across, width, chart.x_name))
    lines += _legend(chart, how)
    return "\n".join(lines)


def _canvas(
    chart: Chart, across: Axis, up: Axis, width: int, height: int
) -> tuple[dict[tuple[int, int], int], dict[tuple[int, int], int]]:
    """The dots of each letter, and the curve that drew there first."""
    dots: dict[tuple[int, int], int] = {}
    owners: dict[tuple[int, int], int] = {}
    for number, one in enumerate(chart.curves):
        for x, y in _line(one, across, up, width * 2 - 1, height * 4 - 1):
            cell = (y // 4, x // 2)
            dots[cell] = dots.get(cell, 0) | _DOTS[y % 4][x % 2]
            owners.setdefault(cell, number)
    return dots, owners


def _line(one: Curve, across: Axis, up: Axis, right: int, bottom: int) -> Iterator[tuple[int, int]]:
    """Every dot of a curve, its points joined by straight lines."""
    places = [
        (round(across.share(x) * right), round((1 - up.share(y)) * bottom)) for x, y in zip(one.x, one.y, strict=True)
    ]
    x, y = places[0]
    yield x, y
    if len(places) == 1:  # a single dot would be overlooked
        yield from ((max(x - 1, 0), y), (min(x + 1, right), y), (x, max(y - 1, 0)), (x, min(y + 1, bottom)))
    for (x0, y0), (x1, y1) in pairwise(places):
        steps = max(abs(x1 - x0), abs(y1 - y0))
        for step in range(1, steps + 1):
            yield round(x0 + (x1 - x0) * step / steps), round(y0 + (y1 - y0) * step / steps)


def _letter(
    dots: dict[tuple[int, int], int], owners: dict[tuple[int, int], int], row: int, column: int, how: Look
) -> str:
    found = dots.get((row, column))
    if not found:
        return " "
    return how.style(chr(0x2800 + found), COLOURS[owners[row, column] % len(COLOURS)])


def _row(value: float, up: Axis, height: int) -> int:
    return round((1 - up.share(value)) * (height * 4 - 1)) // 4


def _below(across: Axis, width: int, name: str) -> str:
    """The smallest and largest x at the ends, the axis's name in the middle."""
    low, high = (axes.label(value, across) for value in (across.low, across.high))
    room = max(0, width - len(low) - len(high))
    return low + name.center(room)[:room] + high


def _legend(chart: Chart, how: Look) -> list[str]:
    lines = []
    for number, one in enumerate(chart.curves):
        mark = how.style("━━", COLOURS[number % len(COLOURS)])
        band = f"  ± {(one.high[-1] - one.low[-1]) / 2:.4g}" if one.low else ""
        lines.append(
            f"{mark} {clean(one.label)}  last {one.y[-1]:.6g}{band}  min {min(one.y):.6g}  max {max(one.y):.6g}"
        )
    return lines
