"""Make the curves of a metric from the values of runs: smooth them, put groups together, thin them out. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from snaprun import show
from snaprun.metrics import CurvePoint
from snaprun.model import Run, short_id

POINTS_MOST = 2000
"""Points that a curve is drawn with; of more, the first and last of each stretch and its extremes stay."""

LABEL_PARAMS = 3
"""Parameters in the label of a curve."""


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


def curve(label: str, points: Sequence[CurvePoint], *, by_time: bool = False, smooth: float = 0.0) -> Curve:
    """A run's curve over steps, or over the seconds since its first value; ``smooth`` is a moving average's weight."""
    finite_points = [point for point in points if math.isfinite(point.value)]
    start = finite_points[0].time if finite_points else 0.0
    x = [point.time - start if by_time else point.step for point in finite_points]
    order = sorted(range(len(finite_points)), key=x.__getitem__)
    y = moving_average([finite_points[number].value for number in order], smooth)
    return thin(Curve(label, tuple(x[number] for number in order), tuple(y)))


def moving_average(values: Sequence[float], weight: float) -> list[float]:
    """The exponential moving average, corrected at its start as TensorBoard does; ``weight`` 0 (none) to under 1.

    Raises:
        ValueError: the weight is out of range.
    """
    if not 0 <= weight < 1:
        raise ValueError("smoothing is from 0 to under 1")
    if not weight:
        return list(values)
    averages = []
    last = 0.0
    for number, value in enumerate(values, 1):
        last = last * weight + (1 - weight) * value
        averages.append(last / (1 - weight**number))
    return averages


def mean_curve(label: str, curves: Sequence[Curve]) -> Curve:
    """The mean of curves and the band of one standard deviation, wherever all that reach so far have a value.

    Between its own points a curve is taken as straight lines; a curve that ends early counts up to its end.
    """
    curves = [member for member in curves if member.x]
    if len(curves) < 2:
        return replace(curves[0], label=label) if curves else Curve(label, (), ())
    grid = sorted({x for curve in curves for x in curve.x})
    xs, means, lows, highs = [], [], [], []
    for x in grid[:: max(1, len(grid) // POINTS_MOST)]:
        values = [value for line in curves if (value := _at(line, x)) is not None]
        mean = statistics.fmean(values)
        sd = statistics.stdev(values) if len(values) > 1 else 0.0
        xs.append(x)
        means.append(mean)
        lows.append(mean - sd)
        highs.append(mean + sd)
    return Curve(f"{label} (n={len(curves)})", tuple(xs), tuple(means), tuple(lows), tuple(highs))


def setting_label(params: Mapping[str, Any]) -> str:
    """What a setting is called in a legend: its first parameters."""
    return show.pairs({name: params[name] for name in list(params)[:LABEL_PARAMS]})


def run_label(run: Run, setting: str) -> str:
    """What the curve of a run is called in a legend, with what is special to it."""
    return " ".join(part for part in (run.name or short_id(run.id), setting) if part)


def chart(metric: str, curves: Iterable[Curve], *, by_time: bool = False, log: bool = False, title: str = "") -> Chart:
    """Curves on common axes; on a logarithmic one what is not above 0 is left out."""
    visible = [_positive(curve) if log else curve for curve in curves]
    x_name = "seconds" if by_time else "step"
    return Chart(title or metric, x_name, metric, tuple(line for line in visible if line.x), log)


def thin(curve: Curve) -> Curve:
    """A curve with at most about ``POINTS_MOST`` points, its peaks kept."""
    if len(curve.x) <= POINTS_MOST:
        return curve
    width = -(-len(curve.x) * 4 // POINTS_MOST)
    indices: list[int] = []
    for start in range(0, len(curve.x), width):
        stretch = range(start, min(start + width, len(curve.x)))
        extremes = {
            stretch[0],
            stretch[-1],
            min(stretch, key=curve.y.__getitem__),
            max(stretch, key=curve.y.__getitem__),
        }
        indices += sorted(extremes)
    return replace(
        curve, x=tuple(curve.x[number] for number in indices), y=tuple(curve.y[number] for number in indices)
    )


def as_json(chart: Chart) -> Mapping[str, object]:
    """The document of ``plot --json``."""
    return {
        "schema": "snaprun.plot/1",
        "title": chart.title,
        "x": chart.x_name,
        "y": chart.y_name,
        "curves": [
            {
                "label": curve.label,
                "x": list(curve.x),
                "y": list(curve.y),
                "low": list(curve.low),
                "high": list(curve.high),
            }
            for curve in chart.curves
        ],
    }


def _at(curve: Curve, x: float) -> float | None:
    """The value of a curve at ``x``, between its points on a straight line; None outside of it."""
    if not curve.x[0] <= x <= curve.x[-1]:
        return None
    low, high = 0, len(curve.x) - 1
    while low < high:
        middle = (low + high) // 2
        if curve.x[middle] < x:
            low = middle + 1
        else:
            high = middle
    if curve.x[low] == x or low == 0:
        return curve.y[low]
    share = (x - curve.x[low - 1]) / (curve.x[low] - curve.x[low - 1])
    return curve.y[low - 1] + share * (curve.y[low] - curve.y[low - 1])


def _positive(curve: Curve) -> Curve:
    indices = [number for number, value in enumerate(curve.y) if value > 0]

    def pick(values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(values[number] for number in indices) if values else ()

    least = min((curve.y[number] for number in indices), default=0.0)
    low = tuple(max(value, least / 10) for value in pick(curve.low))
    return Curve(curve.label, pick(curve.x), pick(curve.y), low, pick(curve.high))
