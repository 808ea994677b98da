"""Draw a chart as a PNG picture, with Pillow (the extra ``images``)."""

from __future__ import annotations

import io
from typing import Any

from snaprun.charts import axes
from snaprun.charts.axes import COLOURS, Axis
from snaprun.charts.series import Chart, Curve
from snaprun.charts.svg import HEIGHT, LEGEND_ROW, MARGIN_BOTTOM, MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, WIDTH
from snaprun.errors import Unavailable
from snaprun.printable import clean

try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError:
    Image = None

SCALE = 2
"""Pixels for each unit of the SVG's size: sharp on a dense screen and in print."""


def png(chart: Chart) -> bytes:
    """The chart as a PNG file.

    Raises:
        Unavailable: Pillow is not installed.
    """
    if Image is None:
        raise Unavailable("a PNG needs Pillow", hint="pip install 'snaprun[images]', or --svg FILE")
    height = HEIGHT + LEGEND_ROW * len(chart.curves)
    picture = Image.new("RGB", (WIDTH * SCALE, height * SCALE), "white")
    pen = _Pen(picture)
    pen.text(WIDTH / 2, 20, chart.title, size=16)
    if chart.curves:
        _draw(pen, chart)
    else:
        pen.text(WIDTH / 2, HEIGHT / 2, f"no values of {chart.y_name}")
    out = io.BytesIO()
    pen.picture.save(out, "PNG", optimize=True)
    return out.getvalue()


class _Pen:
    """Draws in the units of the SVG."""

    def __init__(self, picture: Any) -> None:
        self.picture = picture
        self._draw = ImageDraw.Draw(picture)

    def line(self, points: list[tuple[float, float]], colour: str, width: float = 1) -> None:
        pixels = [(x * SCALE, y * SCALE) for x, y in points]
        self._draw.line(pixels, fill=colour, width=round(width * SCALE), joint="curve")

    def text(self, x: float, y: float, label: str, *, anchor: str = "mm", size: int = 13) -> None:
        font = ImageFont.load_default(size * SCALE)
        self._draw.text((x * SCALE, y * SCALE), clean(label), fill="#222222", font=font, anchor=anchor)

    def band(self, points: list[tuple[float, float]], colour: str) -> None:
        mask = Image.new("L", self.picture.size, 0)
        ImageDraw.Draw(mask).polygon([(x * SCALE, y * SCALE) for x, y in points], fill=51)
        self.picture.paste(Image.new("RGB", self.picture.size, colour), mask=mask)
        self._draw = ImageDraw.Draw(self.picture)


def _draw(pen: _Pen, chart: Chart) -> None:
    x_axis, y_axis = axes.of(chart)
    right, bottom = WIDTH - MARGIN_RIGHT, HEIGHT - MARGIN_BOTTOM
    for tick in y_axis.ticks:
        y = _y(y_axis, tick)
        pen.line([(MARGIN_LEFT, y), (right, y)], "#e0e0e0")
        pen.text(MARGIN_LEFT - 8, y, axes.label(tick, y_axis), anchor="rm")
    for tick in x_axis.ticks:
        x = _x(x_axis, tick)
        pen.line([(x, bottom), (x, bottom + 5)], "#333333")
        pen.text(x, bottom + 16, axes.label(tick, x_axis))
    pen.line([(MARGIN_LEFT, MARGIN_TOP), (MARGIN_LEFT, bottom), (right, bottom)], "#333333")
    pen.text((MARGIN_LEFT + right) / 2, bottom + 38, chart.x_name)
    pen.text(MARGIN_LEFT, MARGIN_TOP - 12, chart.y_name, anchor="mm")
    for number, curve in enumerate(chart.curves):
        colour = COLOURS[number % len(COLOURS)]
        _curve(pen, curve, x_axis, y_axis, colour)
        y = HEIGHT + LEGEND_ROW * number - 4
        pen.line([(MARGIN_LEFT, y), (MARGIN_LEFT + 24, y)], colour, 4)
        pen.text(MARGIN_LEFT + 32, y, curve.label, anchor="lm")


def _curve(pen: _Pen, curve: Curve, x_axis: Axis, y_axis: Axis, colour: str) -> None:
    def places(xs: tuple[float, ...], ys: tuple[float, ...]) -> list[tuple[float, float]]:
        return [(_x(x_axis, x), _y(y_axis, y)) for x, y in zip(xs, ys, strict=True)]

    if curve.low:
        pen.band(places(curve.x, curve.high) + places(curve.x[::-1], curve.low[::-1]), colour)
    points = places(curve.x, curve.y)
    if len(points) == 1:
        (x, y) = points[0]
        points = [(x - 2, y), (x + 2, y)]
    pen.line(points, colour, 2)


def _x(x_axis: Axis, value: float) -> float:
    return MARGIN_LEFT + x_axis.share(value) * (WIDTH - MARGIN_LEFT - MARGIN_RIGHT)


def _y(y_axis: Axis, value: float) -> float:
    return MARGIN_TOP + (1 - y_axis.share(value)) * (HEIGHT - MARGIN_TOP - MARGIN_BOTTOM)
