"""The lines of ``metrics.jsonl``: NaN, infinities, torn and foreign lines, the same for everyone who reads them."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest

from snaprun import metrics
from snaprun.metrics import CurvePoint, LoggedValue, Series, summarise
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


def line(**entry: Any) -> bytes:
    return json.dumps(entry).encode() + b"\n"


LOGGED = [
    ({"value": 2, "step": 5, "time": 10}, LoggedValue("loss", 2, 5, 10)),
    ({"value": 0.5}, LoggedValue("loss", 0.5, None, 0)),
    ({"value": 1, "step": None, "time": None}, LoggedValue("loss", 1, None, 0)),
    ({"value": 1, "step": True, "time": True}, LoggedValue("loss", 1, None, 0)),
    ({"value": 1, "step": "7", "time": "8"}, LoggedValue("loss", 1, None, 0)),
    ({"value": 1, "step": math.nan, "time": math.inf}, LoggedValue("loss", 1, None, 0)),
    ({"value": 1, "step": 10**400, "time": -math.inf}, LoggedValue("loss", 1, None, 0)),
    ({"value": 1, "step": -1.5, "extra": [1]}, LoggedValue("loss", 1, -1.5, 0)),
    ({"value": math.inf}, LoggedValue("loss", math.inf, None, 0)),
    ({"value": 10**400, "step": 1}, LoggedValue("loss", math.inf, 1, 0)),
    ({"value": -(10**400), "step": 1}, LoggedValue("loss", -math.inf, 1, 0)),
    ({"value": 2**53 + 1}, LoggedValue("loss", float(2**53 + 1), None, 0)),
]
NOT_LOGGED = [
    line(name="loss"),
    line(name="loss", value=True),
    line(name="loss", value="1"),
    line(name="loss", value=None),
    line(name="loss", value=[1]),
    line(name=3, value=1),
    line(value=1),
    b'[{"name": "loss", "value": 1}]\n',
    b'{"name": "loss", "value": 1}{"name": "loss", "value": 2}\n',
    b'{"name": "loss", "value": 1},{"name": "loss", "value": 2}\n',
    b"1, 2\n[3\n4]\n",
    b'null\n3\n"loss"\n \t\r\n\n\0\n',
    b"[" * 100_000 + b"\n",
    b"\xff\xfe\n",
]


@pytest.mark.parametrize(("entry", "logged"), LOGGED)
def test_all_readers_agree_on_what_is_a_value(tmp_path: Path, entry: dict[str, Any], logged: LoggedValue) -> None:
    data = line(name="loss", **entry)
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(data)
    value, step = logged.value, logged.step
    assert list(metrics.read(data)) == [logged]
    assert summarise(data) == {"loss": Metric(value, value, value, 1)}
    assert metrics.points(data) == {"loss": [CurvePoint(0.0 if step is None else step, logged.time, value)]}
    assert metrics.read_last(path) == logged
    assert Series("loss", {}).read(path) == ({} if step is None or step < 0 else {int(step): value})


@pytest.mark.parametrize("data", NOT_LOGGED)
def test_all_readers_agree_on_what_is_none(tmp_path: Path, data: bytes) -> None:
    good = line(name="loss", value=7, step=1)
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(good + data)
    assert [entry.value for entry in metrics.read(data + good + data)] == [7]
    assert summarise(data + good + data)["loss"].steps == 1
    assert len(metrics.points(data + good + data)["loss"]) == 1
    assert Series("loss", {}).read(path) == {1: 7.0}
    if len(data) < metrics.TAIL:
        assert metrics.read_last(path) == LoggedValue("loss", 7, 1, 0)


def test_a_name_of_broken_text_is_one_name_for_all() -> None:
    data = b'{"name": "t\xffb", "value": 1, "step": 0}\n'
    assert list(summarise(data)) == list(metrics.points(data)) == ["t\ufffdb"]
    assert Series("t\ufffdb", {}).read_all(data) == {0: 1.0}


def test_a_point_without_a_step_counts_from_the_points_before() -> None:
    data = line(name="loss", value=3) + line(name="loss", value=2, step=9) + line(name="loss", value=1)
    assert [point.step for point in metrics.points(data)["loss"]] == [0.0, 9.0, 2.0]
    assert Series("loss", {}).read_all(data) == {9: 2.0}


def test_a_long_log_is_read_in_blocks_of_whole_lines() -> None:
    count = metrics.BLOCK // 10
    data = b"".join(line(name="tä", value=step, step=step) for step in range(count))
    assert len(data) > 3 * metrics.BLOCK
    values = [entry.value for entry in metrics.read(io.BytesIO(data + b'{"name": "t", "val'))]
    assert values == list(range(count))
    summary = {"tä": Metric(last=count - 1, min=0, max=count - 1, steps=count)}
    assert summarise(data) == summarise(io.BytesIO(data)) == summary
    blank = summarise(lines(math.nan) + data + lines(math.nan))["loss"]
    assert math.isnan(blank.min) and math.isnan(blank.max) and blank.steps == 2


def test_the_value_logged_last_is_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert metrics.read_last(path) is None
    path.write_bytes(b"")
    assert metrics.read_last(path) is None
    for count in (1, 1000):
        path.write_bytes(b"".join(line(name="loss", value=step, step=step) for step in range(count)) + b'{"name": "l')
        last = metrics.read_last(path)
        assert last is not None and last.value == count - 1
    path.write_bytes(b"x" * (metrics.TAIL - 10) + b"\n" + line(name="loss", value=1))
    assert metrics.read_last(path) == LoggedValue("loss", 1, None, 0)
