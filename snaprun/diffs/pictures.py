"""Compare two pictures pixel by pixel, where Pillow is installed (the extra ``images``)."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any

try:
    from PIL import Image, ImageChops
except ImportError:
    Image = None

PIXELS_MOST = 50_000_000
"""A larger picture is compared by its bytes alone."""


@dataclass(frozen=True)
class Difference:
    """``share`` of the pixels that differ, the largest difference of a channel (0 to 255), and the sizes."""

    share: float
    largest: int
    size_a: tuple[int, int]
    size_b: tuple[int, int]


def difference(a: bytes, b: bytes) -> Difference | None:
    """What differs between two pictures of any format that Pillow reads; None where that cannot be told."""
    if Image is None:
        return None
    picture_a, picture_b = _pixels(a), _pixels(b)
    if picture_a is None or picture_b is None:
        return None
    if picture_a.size != picture_b.size:
        return Difference(1.0, 255, picture_a.size, picture_b.size)
    delta = ImageChops.difference(picture_a, picture_b)
    if delta.getbbox(alpha_only=False) is None:
        return Difference(0.0, 0, picture_a.size, picture_b.size)
    bands = delta.split()
    peak = bands[0]
    for band in bands[1:]:
        peak = ImageChops.lighter(peak, band)
    counts = peak.histogram()
    total = picture_a.size[0] * picture_a.size[1]
    return Difference(
        1 - counts[0] / total, max(value for value, count in enumerate(counts) if count), picture_a.size, picture_b.size
    )


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG by its header, without Pillow."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    return None


def _pixels(data: bytes) -> Any:
    try:
        picture = Image.open(io.BytesIO(data))
        if picture.size[0] * picture.size[1] > PIXELS_MOST:
            return None
        return picture.convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what Pillow raises on damaged files
        return None
