"""Make the axes of a chart: ranges, round ticks, and where a value stands between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from snaprun.charts.series import Chart

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c564b", "#7f7f7f")
"""Okabe and Ito's colours, which colour-blind people can tell apart, in an order that starts with contrast."""


@dataclass(frozen=True)
class Axis:
    """One axis: its range, its ticks, and whether it is logarithmic."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def share(self, value: float) -> float:
        """Where ``value`` stands: 0 at the low end, 1 at the high one."""
        if self.log:
            return (math.log10(value) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))
        return (value - self.low) / (self.high - self.low)


def of(chart: Chart, *, ticks: int = 6) -> tuple[Axis, Axis]:
    """The x and the y axis of a chart with at least one curve."""
    x = [value for curve in chart.curves for value in (curve.x[0], curve.x[-1])]
    y = [value for line in chart.curves for value in (*line.y, *line.low, *line.high)]
    x_axis = axis(min(x), max(x), ticks)
    return x_axis, _log_axis(min(y), max(y)) if chart.log else axis(min(y), max(y), ticks, margin=0.05)


def axis(low: float, high: float, ticks: int, *, margin: float = 0.0) -> Axis:
    """A linear axis from ``low`` to ``high``; a single value gets room on both sides."""
    if low == high:
        room = abs(low) * 0.1 or 1.0
        low, high = low - room, high + room
    room = (high - low) * margin
    low, high = low - room, high + room
    step = _round_step((high - low) / max(1, ticks))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return Axis(low, high, tuple(number * step for number in range(first, last + 1)))


def label(value: float, axis: Axis) -> str:
    """The number of a tick with as many digits as it takes to tell it from its neighbours."""
    if axis.log:
        return f"{value:g}"
    step = min((abs(b - a) for a, b in pairwise(axis.ticks)), default=abs(value) or 1.0)
    if value and (abs(value) >= 1e6 or abs(value) < 1e-4):
        return f"{value:.3g}"
    places = max(0, -math.floor(math.log10(step) + 1e-9)) if step else 0
    return f"{value:.{min(places, 10)}f}"


def _log_axis(low: float, high: float) -> Axis:
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    if first == last:
        last += 1
    step = max(1, (last - first) // 8)
    return Axis(10.0**first, 10.0**last, tuple(10.0**power for power in range(first, last + 1, step)), log=True)


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9)))
