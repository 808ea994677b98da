"""Lay a chart out as a list of shapes, which ``svg.py`` and ``png.py`` draw each in its own way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from snaprun.charts import axes
from snaprun.charts.axes import COLOURS, Axis
from snaprun.charts.series import Chart, Curve
from snaprun.printable import clean

WIDTH, HEIGHT = 900, 480
MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 80, 20, 40, 60
RIGHT, BOTTOM = WIDTH - MARGIN_RIGHT, HEIGHT - MARGIN_BOTTOM
LEGEND_ROW = 20

TEXT_COLOUR, AXIS_COLOUR, GRID_COLOUR = "#222222", "#333333", "#e0e0e0"
TEXT_SIZE, TITLE_SIZE = 13, 16

DOTS_MOST = 60
"""Points of a curve that are marked."""

Position = tuple[float, float]
"""From the left and from the top."""


@dataclass(frozen=True)
class Segment:
    """A straight line."""

    start: Position
    end: Position
    colour: str
    width: float = 1


@dataclass(frozen=True)
class Stroke:
    """A line through points."""

    points: tuple[Position, ...]
    colour: str
    width: float = 2


@dataclass(frozen=True)
class Area:
    """What an outline encloses, see-through."""

    points: tuple[Position, ...]
    colour: str
    opacity: float = 0.2


@dataclass(frozen=True)
class Dot:
    """A marked point; ``tooltip`` is told where the form allows it."""

    centre: Position
    colour: str
    tooltip: str
    radius: float = 3


@dataclass(frozen=True)
class Caption:
    """A line of text whose ``anchor`` stands at a position, half of its height above it; read upwards if it is
    vertical."""

    position: Position
    text: str
    anchor: Literal["start", "middle", "end"] = "middle"
    size: int = TEXT_SIZE
    is_vertical: bool = False


Shape = Segment | Stroke | Area | Dot | Caption


@dataclass(frozen=True)
class Drawing:
    """Shapes on a white ground, each on top of those before."""

    width: int
    height: int
    shapes: tuple[Shape, ...]


def draw(chart: Chart) -> Drawing:
    """The drawing of a chart; says so where there is nothing to draw."""
    shapes = [Caption((WIDTH / 2, 20), clean(chart.title), size=TITLE_SIZE)]
    if chart.curves:
        x_axis, y_axis = axes.of(chart)
        content = (*_grid(x_axis, y_axis), *_names(chart), *_curves(chart, x_axis, y_axis))
    else:
        content = (Caption((WIDTH / 2, HEIGHT / 2), clean(f"no values of {chart.y_name}")),)
    return Drawing(WIDTH, HEIGHT + LEGEND_ROW * len(chart.curves), (*shapes, *content))


def _grid(x_axis: Axis, y_axis: Axis) -> Iterator[Shape]:
    """The axes with their ticks."""
    for tick in y_axis.ticks:
        _, y = _place(x_axis, y_axis, x_axis.low, tick)
        yield Segment((MARGIN_LEFT, y), (RIGHT, y), GRID_COLOUR)
        yield Caption((MARGIN_LEFT - 8, y), axes.label(tick, y_axis), anchor="end")
    for tick in x_axis.ticks:
        x, _ = _place(x_axis, y_axis, tick, y_axis.low)
        yield Segment((x, BOTTOM), (x, BOTTOM + 5), AXIS_COLOUR)
        yield Caption((x, BOTTOM + 16), axes.label(tick, x_axis))
    yield Segment((MARGIN_LEFT, MARGIN_TOP), (MARGIN_LEFT, BOTTOM), AXIS_COLOUR)
    yield Segment((MARGIN_LEFT, BOTTOM), (RIGHT, BOTTOM), AXIS_COLOUR)


def _names(chart: Chart) -> Iterator[Shape]:
    """What the axes are of."""
    yield Caption(((MARGIN_LEFT + RIGHT) / 2, BOTTOM + 38), clean(chart.x_name))
    yield Caption((16, (MARGIN_TOP + BOTTOM) / 2), clean(chart.y_name), is_vertical=True)


def _curves(chart: Chart, x_axis: Axis, y_axis: Axis) -> Iterator[Shape]:
    """The curves with their legend."""
    for number, curve in enumerate(chart.curves):
        colour = COLOURS[number % len(COLOURS)]
        yield from _curve(curve, x_axis, y_axis, colour)
        y = HEIGHT + LEGEND_ROW * number - 5
        yield Segment((MARGIN_LEFT, y), (MARGIN_LEFT + 24, y), colour, width=4)
        yield Caption((MARGIN_LEFT + 32, y), clean(curve.label), anchor="start")


def _curve(curve: Curve, x_axis: Axis, y_axis: Axis, colour: str) -> Iterator[Shape]:
    def places(xs: Sequence[float], ys: Sequence[float]) -> tuple[Position, ...]:
        return tuple(_place(x_axis, y_axis, x, y) for x, y in zip(xs, ys, strict=True))

    if curve.low:
        yield Area((*places(curve.x, curve.high), *places(curve.x[::-1], curve.low[::-1])), colour)
    yield Stroke(places(curve.x, curve.y), colour)
    stride = max(1, len(curve.x) // DOTS_MOST)
    for x, y in list(zip(curve.x, curve.y, strict=True))[::stride]:
        yield Dot(_place(x_axis, y_axis, x, y), colour, f"{clean(curve.label)}: {x:g}, {y:g}")


def _place(x_axis: Axis, y_axis: Axis, x: float, y: float) -> Position:
    return (
        MARGIN_LEFT + x_axis.share(x) * (RIGHT - MARGIN_LEFT),
        MARGIN_TOP + (1 - y_axis.share(y)) * (BOTTOM - MARGIN_TOP),
    )
