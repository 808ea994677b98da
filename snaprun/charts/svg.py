"""Draw a chart as SVG, and as a page that needs no network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from snaprun.charts import axes
from snaprun.charts.axes import COLOURS, Axis
from snaprun.charts.series import Chart, Curve
from snaprun.printable import clean

WIDTH, HEIGHT = 900, 480
MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 80, 20, 40, 60
LEGEND_ROW = 20
POINTS_MOST = 60
"""Points of a curve that are marked, each with its numbers as a tooltip."""


def svg(chart: Chart) -> str:
    """The chart as an SVG document."""
    height = HEIGHT + LEGEND_ROW * len(chart.curves)
    body = "".join(_body(chart)) if chart.curves else _text(WIDTH / 2, HEIGHT / 2, f"no values of {chart.y_name}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="13">'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
        f"{_text(WIDTH / 2, 24, chart.title, size=16)}{body}</svg>\n"
    )


def html(chart: Chart) -> str:
    """The chart as a page."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{escape(clean(chart.title))}</title>"
        "<style>body{margin:2rem auto;max-width:1000px}svg{max-width:100%;height:auto}</style></head>"
        f"<body>{svg(chart)}</body></html>\n"
    )


def _body(chart: Chart) -> Iterator[str]:
    x_axis, y_axis = axes.of(chart)
    right, bottom = WIDTH - MARGIN_RIGHT, HEIGHT - MARGIN_BOTTOM
    for tick in y_axis.ticks:
        y = _y(y_axis, tick)
        yield f'<line x1="{MARGIN_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e0e0e0"/>'
        yield _text(MARGIN_LEFT - 8, y + 4, axes.label(tick, y_axis), anchor="end")
    for tick in x_axis.ticks:
        x = _x(x_axis, tick)
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 5}" stroke="#333"/>'
        yield _text(x, bottom + 20, axes.label(tick, x_axis))
    yield f'<path d="M{MARGIN_LEFT} {MARGIN_TOP}V{bottom}H{right}" fill="none" stroke="#333"/>'
    yield _text((MARGIN_LEFT + right) / 2, bottom + 42, chart.x_name)
    middle = (MARGIN_TOP + bottom) / 2
    yield _text(20, middle, chart.y_name, attributes=f' transform="rotate(-90 20 {middle:.1f})"')
    for number, curve in enumerate(chart.curves):
        colour = COLOURS[number % len(COLOURS)]
        yield from _curve(curve, x_axis, y_axis, colour)
        y = HEIGHT + LEGEND_ROW * number
        yield f'<rect x="{MARGIN_LEFT}" y="{y - 8}" width="24" height="4" fill="{colour}"/>'
        yield _text(MARGIN_LEFT + 32, y, curve.label, anchor="start")


def _curve(curve: Curve, x_axis: Axis, y_axis: Axis, colour: str) -> Iterator[str]:
    if curve.low:
        outline = (
            _points(curve.x, curve.high, x_axis, y_axis) + " " + _points(curve.x[::-1], curve.low[::-1], x_axis, y_axis)
        )
        yield f'<polygon points="{outline}" fill="{colour}" fill-opacity="0.2"/>'
    yield (
        f'<polyline points="{_points(curve.x, curve.y, x_axis, y_axis)}" fill="none" '
        f'stroke="{colour}" stroke-width="2" '
        'stroke-linejoin="round"/>'
    )
    stride = max(1, len(curve.x) // POINTS_MOST)
    for x, y in list(zip(curve.x, curve.y, strict=True))[::stride]:
        tooltip = escape(f"{clean(curve.label)}: {x:g}, {y:g}")
        place = f'cx="{_x(x_axis, x):.1f}" cy="{_y(y_axis, y):.1f}"'
        yield f'<circle {place} r="3" fill="{colour}"><title>{tooltip}</title></circle>'


def _points(xs: Sequence[float], ys: Sequence[float], x_axis: Axis, y_axis: Axis) -> str:
    return " ".join(f"{_x(x_axis, x):.1f},{_y(y_axis, y):.1f}" for x, y in zip(xs, ys, strict=True))


def _x(x_axis: Axis, value: float) -> float:
    return MARGIN_LEFT + x_axis.share(value) * (WIDTH - MARGIN_LEFT - MARGIN_RIGHT)


def _y(y_axis: Axis, value: float) -> float:
    return MARGIN_TOP + (1 - y_axis.share(value)) * (HEIGHT - MARGIN_TOP - MARGIN_BOTTOM)


def _text(x: float, y: float, text: str, *, anchor: str = "middle", size: int = 13, attributes: str = "") -> str:
    content = escape(clean(text))
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{attributes}>{content}</text>'
