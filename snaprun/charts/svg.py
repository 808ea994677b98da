"""Draw a chart as SVG, and as a page that needs no network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from snaprun.charts import axes
from snaprun.charts.axes import COLOURS, Axis
from snaprun.charts.series import Chart, Curve
from snaprun.diffs.linediff import clean

WIDTH, HEIGHT = 900, 480
LEFT, RIGHT, TOP, BOTTOM = 80, 20, 40, 60
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
    across, up = axes.of(chart)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for tick in up.ticks:
        y = _y(up, tick)
        yield f'<line x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e0e0e0"/>'
        yield _text(LEFT - 8, y + 4, axes.label(tick, up), anchor="end")
    for tick in across.ticks:
        x = _x(across, tick)
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 5}" stroke="#333"/>'
        yield _text(x, bottom + 20, axes.label(tick, across))
    yield f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#333"/>'
    yield _text((LEFT + right) / 2, bottom + 42, chart.x_name)
    middle = (TOP + bottom) / 2
    yield _text(20, middle, chart.y_name, more=f' transform="rotate(-90 20 {middle:.1f})"')
    for number, one in enumerate(chart.curves):
        colour = COLOURS[number % len(COLOURS)]
        yield from _curve(one, across, up, colour)
        y = HEIGHT + LEGEND_ROW * number
        yield f'<rect x="{LEFT}" y="{y - 8}" width="24" height="4" fill="{colour}"/>'
        yield _text(LEFT + 32, y, one.label, anchor="start")


def _curve(one: Curve, across: Axis, up: Axis, colour: str) -> Iterator[str]:
    if one.low:
        around = _points(one.x, one.high, across, up) + " " + _points(one.x[::-1], one.low[::-1], across, up)
        yield f'<polygon points="{around}" fill="{colour}" fill-opacity="0.2"/>'
    yield (
        f'<polyline points="{_points(one.x, one.y, across, up)}" fill="none" stroke="{colour}" stroke-width="2" '
        'stroke-linejoin="round"/>'
    )
    every = max(1, len(one.x) // POINTS_MOST)
    for x, y in list(zip(one.x, one.y, strict=True))[::every]:
        said = escape(f"{clean(one.label)}: {x:g}, {y:g}")
        place = f'cx="{_x(across, x):.1f}" cy="{_y(up, y):.1f}"'
        yield f'<circle {place} r="3" fill="{colour}"><title>{said}</title></circle>'


def _points(xs: Sequence[float], ys: Sequence[float], across: Axis, up: Axis) -> str:
    return " ".join(f"{_x(across, x):.1f},{_y(up, y):.1f}" for x, y in zip(xs, ys, strict=True))


def _x(across: Axis, value: float) -> float:
    return LEFT + across.share(value) * (WIDTH - LEFT - RIGHT)


def _y(up: Axis, value: float) -> float:
    return TOP + (1 - up.share(value)) * (HEIGHT - TOP - BOTTOM)


def _text(x: float, y: float, said: str, *, anchor: str = "middle", size: int = 13, more: str = "") -> str:
    shown = escape(clean(said))
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{more}>{shown}</text>'
