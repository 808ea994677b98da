"""Draw a chart in a terminal, with the dots of braille letters."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from snaprun.charts import axes
from snaprun.charts.axes import Axis
from snaprun.charts.series import Chart, Curve
from snaprun.printable import clean
from snaprun.show import Look

HEIGHT = 16
WIDTH = 80
WIDTH_LEAST = 30

COLOURS = ("blue", "red", "green", "magenta", "yellow", "cyan")
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The dots of a braille letter: four rows of two."""


def text(chart: Chart, look: Look, *, height: int = HEIGHT) -> str:
    """The chart as lines of text, with a legend below; says so where there is nothing to draw."""
    if not chart.curves:
        return f"no values of {clean(chart.y_name)}"
    x_axis, y_axis = axes.of(chart, ticks=max(2, height // 4))
    names = {
        _row(tick, y_axis, height): axes.label(tick, y_axis)
        for tick in y_axis.ticks
        if y_axis.low <= tick <= y_axis.high
    }
    margin = max(map(len, names.values()), default=0)
    width = max(WIDTH_LEAST, (look.width or WIDTH) - margin - 2)
    dots, owners = _canvas(chart, x_axis, y_axis, width, height)
    lines = [look.style(clean(chart.title), bold=True)]
    for row in range(height):
        body = "".join(_letter(dots, owners, row, column, look) for column in range(width)).rstrip()
        lines.append(f"{names.get(row, '').rjust(margin)} {'┤' if row in names else '│'}{body}")
    lines.append(f"{' ' * margin} └{'─' * width}")
    lines.append(" " * (margin + 2) + _x_labels(x_axis, width, chart.x_name))
    lines += _legend(chart, look)
    return "\n".join(lines)


def _canvas(
    chart: Chart, x_axis: Axis, y_axis: Axis, width: int, height: int
) -> tuple[dict[tuple[int, int], int], dict[tuple[int, int], int]]:
    """The dots of each letter, and the curve that drew there first."""
    dots: dict[tuple[int, int], int] = {}
    owners: dict[tuple[int, int], int] = {}
    for number, curve in enumerate(chart.curves):
        for x, y in _line(curve, x_axis, y_axis, width * 2 - 1, height * 4 - 1):
            cell = (y // 4, x // 2)
            dots[cell] = dots.get(cell, 0) | _DOTS[y % 4][x % 2]
            owners.setdefault(cell, number)
    return dots, owners


def _line(curve: Curve, x_axis: Axis, y_axis: Axis, right: int, bottom: int) -> Iterator[tuple[int, int]]:
    """Every dot of a curve, its points joined by straight lines."""
    places = [
        (round(x_axis.share(x) * right), round((1 - y_axis.share(y)) * bottom))
        for x, y in zip(curve.x, curve.y, strict=True)
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
    dots: dict[tuple[int, int], int], owners: dict[tuple[int, int], int], row: int, column: int, look: Look
) -> str:
    bits = dots.get((row, column))
    if not bits:
        return " "
    return look.style(chr(0x2800 + bits), COLOURS[owners[row, column] % len(COLOURS)])


def _row(value: float, y_axis: Axis, height: int) -> int:
    return round((1 - y_axis.share(value)) * (height * 4 - 1)) // 4


def _x_labels(x_axis: Axis, width: int, name: str) -> str:
    """The smallest and largest x at the ends, the axis's name in the middle."""
    low, high = (axes.label(value, x_axis) for value in (x_axis.low, x_axis.high))
    room = max(0, width - len(low) - len(high))
    return low + name.center(room)[:room] + high


def _legend(chart: Chart, look: Look) -> list[str]:
    lines = []
    for number, curve in enumerate(chart.curves):
        mark = look.style("━━", COLOURS[number % len(COLOURS)])
        band = f"  ± {(curve.high[-1] - curve.low[-1]) / 2:.4g}" if curve.low else ""
        lines.append(
            f"{mark} {clean(curve.label)}  last {curve.y[-1]:.6g}{band}  min {min(curve.y):.6g}  max {max(curve.y):.6g}"
        )
    return lines
