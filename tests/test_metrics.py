"""Metrics in a nutshell: last, min, max, steps; NaN, infinities and torn lines."""

from __future__ import annotations

import json
import math

from snaprun.metrics import summarise
from snaprun.model import Metric


def lines(*values: object, name: str = "loss") -> bytes:
    return b"".join(json.dumps({"name": name, "value": value}).encode() + b"\n" for value in values)


def test_last_min_max_and_steps() -> None:
    assert summarise(lines(3, 1, 2) + lines(5, name="täb")) == {
        "loss": Metric(last=2, min=1, max=3, steps=3),
        "täb": Metric(last=5, min=5, max=5, steps=1),
    }
    assert summarise(b"") == {}
    assert list(summarise(lines(1, name="b") + lines(1, name="a"))) == ["b", "a"]


def test_nan_is_never_the_smallest_or_largest_but_may_be_the_last() -> None:
    found = summarise(lines(math.nan, 2, 1, math.nan))["loss"]
    assert math.isnan(found.last) and (found.min, found.max, found.steps) == (1, 2, 4)
    only = summarise(lines(math.nan))["loss"]
    assert math.isnan(only.last) and math.isnan(only.min) and math.isnan(only.max)
    assert summarise(lines(math.inf, -math.inf, 0))["loss"] == Metric(last=0, min=-math.inf, max=math.inf, steps=3)


def test_torn_and_foreign_lines_are_passed_over() -> None:
    good = lines(1)
    foreign = b'{"name": "x"}\n[1]\n"x"\n1\nnull\n\xff\xfe\n{"name": 3, "value": 1}\n{"name": "x", "value": "1"}\n'
    foreign += b'{"name": "x", "value": true}\n\n'
    assert summarise(good + foreign + b'{"name": "loss", "val') == summarise(good)
    assert summarise(lines(10**400, -(10**400)))["loss"] == Metric(last=-math.inf, min=-math.inf, max=math.inf, steps=2)
