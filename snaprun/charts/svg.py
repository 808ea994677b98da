"""Draw a chart as SVG, and as a page that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from snaprun import webpage
from snaprun.charts.series import Chart
from snaprun.charts.shapes import (
    TEXT_COLOUR,
    TEXT_SIZE,
    Area,
    Caption,
    Dot,
    Position,
    Segment,
    Shape,
    Stroke,
    draw,
)
from snaprun.printable import clean

PAGE_STYLE = "body{margin:2rem auto;max-width:1000px}svg{max-width:100%;height:auto}"


def svg(chart: Chart) -> str:
    """The chart as an SVG document."""
    drawing = draw(chart)
    width, height = drawing.width, drawing.height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="{TEXT_SIZE}" fill="{TEXT_COLOUR}">'
        f'<rect width="{width}" height="{height}" fill="#fff"/>{"".join(map(_element, drawing.shapes))}</svg>\n'
    )


def html(chart: Chart) -> str:
    """The chart as a page."""
    return webpage.page(clean(chart.title), svg(chart), style=PAGE_STYLE)


def _element(shape: Shape) -> str:
    match shape:
        case Segment((x1, y1), (x2, y2), colour, width):
            ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
            return f'<line {ends} stroke="{colour}" stroke-width="{width:g}"/>'
        case Stroke(points, colour, width):
            line = f'stroke="{colour}" stroke-width="{width:g}" stroke-linejoin="round"'
            return f'<polyline points="{_points(points)}" fill="none" {line}/>'
        case Area(points, colour, opacity):
            return f'<polygon points="{_points(points)}" fill="{colour}" fill-opacity="{opacity:g}"/>'
        case Dot((x, y), colour, tooltip, radius):
            circle = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{colour}"'
            return f"<circle {circle}><title>{escape(tooltip)}</title></circle>"
        case Caption():
            return _text(shape)


def _text(caption: Caption) -> str:
    x, y = caption.position
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if caption.is_vertical else ""
    baseline = y + 0.35 * caption.size  # not every viewer knows dominant-baseline
    place = f'x="{x:.1f}" y="{baseline:.1f}" text-anchor="{caption.anchor}" font-size="{caption.size}"'
    return f"<text {place}{turn}>{escape(caption.text)}</text>"


def _points(points: Sequence[Position]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
