"""Curves of metrics: reading, smoothing, groups; and the ways to draw them."""

from __future__ import annotations

import io
import math
import xml.etree.ElementTree as ET

import pytest
from PIL import Image

from snaprun import metrics
from snaprun.charts import axes, png, series, shapes, svg, terminal
from snaprun.charts.series import Curve
from snaprun.charts.shapes import Area, Caption, Dot, Segment, Stroke
from snaprun.metrics import CurvePoint
from snaprun.show import Look
from tests.runs import copied, gate, logged, made
from tests.sandbox import Sandbox

SVG = "{http://www.w3.org/2000/svg}"


def points(*values: float) -> list[CurvePoint]:
    return [CurvePoint(float(step), 100.0 + 2 * step, value) for step, value in enumerate(values)]


def test_reading_lines() -> None:
    lines = (
        b'{"name": "loss", "value": 2, "step": 5, "time": 10}\n{"name": "loss", "value": 1, "step": null}\n'
        b'rubbish\n{"name": "loss"}\n[1]\n{"name": "acc", "value": NaN, "step": true}\n{"name": "loss", "val'
    )
    found = metrics.points(lines)
    assert found["loss"] == [CurvePoint(5.0, 10.0, 2.0), CurvePoint(1.0, 0.0, 1.0)]
    assert math.isnan(found["acc"][0].value)
    assert found["acc"][0].step == 0


def test_of_a_run_that_ended_and_of_one_in_progress(repo: Sandbox) -> None:
    copied(repo, "digits.ipynb")
    run_id = made(repo, "digits.ipynb", metrics=logged(loss=[3.0, 2.0]))
    git = gate(repo)
    tip = git.refs("refs/snaprun/")[f"refs/snaprun/runs/{run_id}"]
    assert [point.value for point in metrics.points_of_run(git, run_id, tip)["loss"]] == [3.0, 2.0]
    going = made(repo, "digits.ipynb", ended=False)
    assert metrics.points_of_run(git, going, going) == {}
    (git.place.live / going).mkdir(parents=True)
    (git.place.live / going / "metrics.jsonl").write_text('{"name": "loss", "value": 7}\n')
    assert metrics.points_of_run(git, going, going)["loss"][0].value == 7


def test_curves_over_steps_and_over_time() -> None:
    found = series.curve("a", points(3, math.nan, 1))
    assert (found.x, found.y) == ((0.0, 2.0), (3.0, 1.0))
    assert series.curve("a", points(3, 2, 1), by_time=True).x == (0.0, 2.0, 4.0)
    assert series.curve("a", list(reversed(points(3, 2, 1)))).y == (3.0, 2.0, 1.0)


def test_smoothing() -> None:
    assert series.moving_average([1, 2, 3], 0) == [1, 2, 3]
    assert series.moving_average([5, 5, 5], 0.9) == pytest.approx([5, 5, 5])
    assert series.moving_average([0, 1], 0.5) == pytest.approx([0, 2 / 3])
    for weight in (1, -0.1, 2):
        with pytest.raises(ValueError, match="smoothing"):
            series.moving_average([1], weight)


def test_a_group_has_a_mean_and_a_band() -> None:
    found = series.mean_curve("lr=1", [Curve("a", (0, 2), (0, 2)), Curve("b", (0, 1, 2, 3), (2, 3, 4, 5))])
    assert found.label == "lr=1 (n=2)"
    assert found.x == (0, 1, 2, 3)
    assert found.y == (1, 2, 3, 5)
    assert found.high[0] == pytest.approx(1 + math.sqrt(2))
    assert found.low[3] == found.high[3] == 5, "beyond its end a curve does not count"
    assert series.mean_curve("x", []).x == ()
    assert series.mean_curve("x", [Curve("a", (0,), (1,))]).label == "x"


def test_many_points_are_thinned_and_peaks_stay() -> None:
    values = [0.0] * 100_000
    values[54_321] = 9.0
    found = series.curve("a", points(*values))
    assert len(found.x) <= series.POINTS_MOST + 4
    assert max(found.y) == 9
    assert found.x[-1] == 99_999


def test_a_logarithmic_chart_leaves_out_what_is_not_above_nought() -> None:
    found = series.chart("loss", [Curve("a", (0, 1, 2), (1, 0, 0.01), (0.5, -1, -1), (2, 1, 0.02))], log=True)
    assert found.curves[0].y == (1, 0.01)
    assert min(found.curves[0].low) > 0
    assert series.chart("loss", [Curve("a", (0,), (-1,))], log=True).curves == ()


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 10, (0, 2, 4, 6, 8, 10)), (0.1, 0.34, (0.1, 0.15, 0.2, 0.25, 0.3)), (-5, 5, (-4, -2, 0, 2, 4)), (3, 3, None)],
)
def test_ticks_are_round(low: float, high: float, ticks: tuple[float, ...] | None) -> None:
    found = axes.axis(low, high, 6)
    assert found.low < found.high
    assert len(found.ticks) <= 7
    if ticks:
        assert found.ticks == pytest.approx(ticks)


def test_labels_tell_ticks_apart() -> None:
    found = axes.axis(0.99991, 0.99999, 4)
    labels = [axes.label(tick, found) for tick in found.ticks]
    assert len(set(labels)) == len(labels)


CHART = series.chart(
    "loss", [series.curve("run\x1b[2J <a>", points(3, 2, 1.5)), Curve("b", (0, 2), (1, 2), (0.5, 1), (2, 3))]
)


def test_in_a_terminal() -> None:
    lines = terminal.text(CHART, Look(width=60)).split("\n")
    assert len(lines) == 1 + terminal.HEIGHT + 2 + 2
    assert all(len(line) <= 60 for line in lines[: terminal.HEIGHT + 3])
    assert any(0x2800 < ord(char) < 0x2900 for char in lines[2])
    assert lines[-2].endswith("last 1.5  min 1.5  max 3")
    assert "\x1b" not in "".join(lines)
    assert "\x1b[34m" in terminal.text(CHART, Look(colour=True))
    assert terminal.text(series.chart("loss", []), Look()) == "no values of loss"


def test_one_point_is_drawn() -> None:
    one = series.chart("n", [Curve("a", (1,), (2,))])
    assert any(0x2800 < ord(char) < 0x2900 for char in terminal.text(one, Look()))
    assert png.png(one)
    assert svg.svg(one)


def test_a_drawing_is_made_once_for_all_forms() -> None:
    picture = shapes.draw(CHART)
    assert (picture.width, picture.height) == (shapes.WIDTH, shapes.HEIGHT + 2 * shapes.LEGEND_ROW)
    texts = [shape.text for shape in picture.shapes if isinstance(shape, Caption)]
    assert {"loss", "step", "run�[2J <a>", "b"} <= set(texts)
    dots = [shape for shape in picture.shapes if isinstance(shape, Dot)]
    assert [dot.tooltip for dot in dots[-2:]] == ["b: 0, 1", "b: 2, 2"]
    assert dots[-2].centre[0] == shapes.MARGIN_LEFT and dots[-1].centre[0] == shapes.RIGHT
    assert all(shapes.MARGIN_TOP <= dot.centre[1] <= shapes.BOTTOM for dot in dots)
    elements = list(ET.fromstring(svg.svg(CHART)))[1:]
    names = {Segment: "line", Stroke: "polyline", Area: "polygon", Dot: "circle", Caption: "text"}
    assert [element.tag for element in elements] == [SVG + names[type(shape)] for shape in picture.shapes]


def test_what_stands_on_its_side_is_read_upwards() -> None:
    chart = series.chart("a rather long name of a metric", [Curve("", (0, 1), (0, 1))])
    assert 'transform="rotate(-90 ' in svg.svg(chart)
    pixels = Image.open(io.BytesIO(png.png(chart))).crop((0, 0, 60, shapes.BOTTOM * png.SCALE)).convert("L")
    left, top, right, bottom = pixels.point(lambda value: 255 if value < 128 else 0).getbbox() or (0, 0, 0, 0)
    assert bottom - top > 5 * (right - left) > 0


def test_svg_and_page() -> None:
    root = ET.fromstring(svg.svg(CHART))
    assert len(root.findall(f"{SVG}polyline")) == 2
    assert len(root.findall(f"{SVG}polygon")) == 1
    assert any("<a>" in (text.text or "") for text in root.iter(f"{SVG}text"))
    page = svg.html(CHART)
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "no values" in svg.svg(series.chart("loss", []))


def test_png() -> None:
    picture = Image.open(io.BytesIO(png.png(CHART)))
    assert picture.size[0] == shapes.WIDTH * png.SCALE
    assert len(picture.convert("RGB").getcolors(100_000) or []) > 5
    assert png.png(series.chart("loss", []))


def test_json() -> None:
    assert series.as_json(CHART)["curves"][1] == {  # type: ignore[index]
        "label": "b",
        "x": [0, 2],
        "y": [1, 2],
        "low": [0.5, 1],
        "high": [2, 3],
    }
