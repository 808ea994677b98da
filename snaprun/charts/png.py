"""Draw a chart as a PNG picture, with Pillow (the extra ``images``)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from snaprun.charts.series import Chart
from snaprun.charts.shapes import TEXT_COLOUR, Area, Caption, Dot, Drawing, Position, Segment, Shape, Stroke, draw
from snaprun.errors import Unavailable

try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError:
    Image = None

SCALE = 2
"""Pixels for each unit of a drawing: sharp on a dense screen and in print."""

ANCHORS = {"start": "lm", "middle": "mm", "end": "rm"}
"""Pillow's words for where a text stands."""


def png(chart: Chart) -> bytes:
    """The chart as a PNG file.

    Raises:
        Unavailable: Pillow is not installed.
    """
    if Image is None:
        raise Unavailable("a PNG needs Pillow", hint="pip install 'snaprun[images]', or --svg FILE")
    out = io.BytesIO()
    _paint(draw(chart)).save(out, "PNG", optimize=True)
    return out.getvalue()


def _paint(drawing: Drawing) -> Any:
    picture = Image.new("RGB", (drawing.width * SCALE, drawing.height * SCALE), "white")
    for shape in drawing.shapes:
        _add(picture, shape)
    return picture


def _add(picture: Any, shape: Shape) -> None:
    pen = ImageDraw.Draw(picture)
    match shape:
        case Segment(start, end, colour, width):
            pen.line(_pixels([start, end]), fill=colour, width=round(width * SCALE))
        case Stroke(points, colour, width):
            pen.line(_pixels(points), fill=colour, width=round(width * SCALE), joint="curve")
        case Area(points, colour, opacity):
            mask = Image.new("L", picture.size, 0)
            ImageDraw.Draw(mask).polygon(_pixels(points), fill=round(255 * opacity))
            picture.paste(colour, (0, 0, *picture.size), mask)
        case Dot((x, y), colour, _, radius):
            pen.ellipse(_pixels([(x - radius, y - radius), (x + radius, y + radius)]), fill=colour)
        case Caption():
            _write(picture, shape)


def _write(picture: Any, caption: Caption) -> None:
    font = ImageFont.load_default(caption.size * SCALE)
    ((x, y),) = _pixels([caption.position])
    if not caption.is_vertical:
        pen = ImageDraw.Draw(picture)
        pen.text((x, y), caption.text, fill=TEXT_COLOUR, font=font, anchor=ANCHORS[caption.anchor])
        return
    length, height = max(1, round(font.getlength(caption.text))), 2 * caption.size * SCALE
    mask = Image.new("L", (length, height), 0)
    ImageDraw.Draw(mask).text((length / 2, height / 2), caption.text, fill=255, font=font, anchor="mm")
    mask = mask.rotate(90, expand=True)
    picture.paste(TEXT_COLOUR, (round(x - height / 2), round(y - length / 2)), mask)


def _pixels(points: Sequence[Position]) -> list[Position]:
    return [(x * SCALE, y * SCALE) for x, y in points]
