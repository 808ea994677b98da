"""Make the curves of a metric: read the logged values of runs, smooth them, put groups together. Pure data."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from snaprun.metrics import Point

POINTS_MOST = 2000
"""Points that a curve is drawn with; of more, the first and last of each stretch and its extremes stay."""


@dataclass(frozen=True)
class Curve:
    """A line of a chart, with the band around it where it stands for a group."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True)
class Chart:
    """Curves on common axes."""

    title: str
    x_name: str
    y_name: str
    curves: tuple[Curve, ...]
    log: bool = False


def curve(label: str, points: Sequence[Point], *, by_time: bool = False, smooth: float = 0.0) -> Curve:
    """A run's curve over steps, or over the seconds since its first value; ``smooth`` as :func:`smoothed` takes it."""
    kept = [point for point in points if math.isfinite(point.value)]
    start = kept[0].time if kept else 0.0
    x = [point.time - start if by_time else point.step for point in kept]
    order = sorted(range(len(kept)), key=x.__getitem__)
    y = smoothed([kept[number].value for number in order], smooth)
    return thinned(Curve(label, tuple(x[number] for number in order), tuple(y)))


def smoothed(values: Sequence[float], weight: float) -> list[float]:
    """The exponential moving average, corrected at its start as TensorBoard does; ``weight`` 0 (none) to under 1.

    Raises:
        ValueError: the weight is out of range.
    """
    if not 0 <= weight < 1:
        raise ValueError("smoothing is from 0 to under 1")
    if not weight:
        return list(values)
    made = []
    last = 0.0
    for number, value in enumerate(values, 1):
        last = last * weight + (1 - weight) * value
        made.append(last / (1 - weight**number))
    return made


def together(label: str, curves: Sequence[Curve]) -> Curve:
    """The mean of curves and the band of one standard deviation, wherever all that reach so far have a value.

    Between its own points a curve is taken as straight lines; a curve that ends early counts up to its end.
    """
    curves = [one for one in curves if one.x]
    if len(curves) < 2:
        return replace(curves[0], label=label) if curves else Curve(label, (), ())
    grid = sorted({x for one in curves for x in one.x})
    xs, means, lows, highs = [], [], [], []
    for x in grid[:: max(1, len(grid) // POINTS_MOST)]:
        values = [value for one in curves if (value := _at(one, x)) is not None]
        mean = statistics.fmean(values)
        sd = statistics.stdev(values) if len(values) > 1 else 0.0
        xs.append(x)
        means.append(mean)
        lows.append(mean - sd)
        highs.append(mean + sd)
    return Curve(f"{label} (n={len(curves)})", tuple(xs), tuple(means), tuple(lows), tuple(highs))


def chart(metric: str, curves: Iterable[Curve], *, by_time: bool = False, log: bool = False, title: str = "") -> Chart:
    """Curves on common axes; on a logarithmic one what is not above 0 is left out."""
    kept = [_positive(one) if log else one for one in curves]
    x_name = "seconds" if by_time else "step"
    return Chart(title or metric, x_name, metric, tuple(one for one in kept if one.x), log)


def thinned(one: Curve) -> Curve:
    """A curve with at most about ``POINTS_MOST`` points, its peaks kept."""
    if len(one.x) <= POINTS_MOST:
        return one
    width = -(-len(one.x) * 4 // POINTS_MOST)
    kept: list[int] = []
    for start in range(0, len(one.x), width):
        stretch = range(start, min(start + width, len(one.x)))
        extremes = {stretch[0], stretch[-1], min(stretch, key=one.y.__getitem__), max(stretch, key=one.y.__getitem__)}
        kept += sorted(extremes)
    return replace(one, x=tuple(one.x[number] for number in kept), y=tuple(one.y[number] for number in kept))


def as_json(found: Chart) -> Mapping[str, object]:
    """The document of ``plot --json``."""
    return {
        "schema": "snaprun.plot/1",
        "title": found.title,
        "x": found.x_name,
        "y": found.y_name,
        "curves": [
            {"label": one.label, "x": list(one.x), "y": list(one.y), "low": list(one.low), "high": list(one.high)}
            for one in found.curves
        ],
    }


def _at(one: Curve, x: float) -> float | None:
    """The value of a curve at ``x``, between its points on a straight line; None outside of it."""
    if not one.x[0] <= x <= one.x[-1]:
        return None
    low, high = 0, len(one.x) - 1
    while low < high:
        middle = (low + high) // 2
        if one.x[middle] < x:
            low = middle + 1
        else:
            high = middle
    if one.x[low] == x or low == 0:
        return one.y[low]
    share = (x - one.x[low - 1]) / (one.x[low] - one.x[low - 1])
    return one.y[low - 1] + share * (one.y[low] - one.y[low - 1])


def _positive(one: Curve) -> Curve:
    kept = [number for number, value in enumerate(one.y) if value > 0]

    def only(values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(values[number] for number in kept) if values else ()

    least = min((one.y[number] for number in kept), default=0.0)
    low = tuple(max(value, least / 10) for value in only(one.low))
    return Curve(one.label, only(one.x), only(one.y), low, only(one.high))
