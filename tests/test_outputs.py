"""What counts in outputs, and what is the noise of another run."""

from __future__ import annotations

import base64
import io
import time
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from snaprun.diffs import htmltable, noise, pictures
from snaprun.diffs.outputs import OutputDiff, compare
from tests.runs import display, stream


def only(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> OutputDiff:
    found = compare(a, b)
    assert len(found) == 1, found
    return found[0]


def error(name: str, said: str, trace: str = "") -> dict[str, Any]:
    return {"output_type": "error", "ename": name, "evalue": said, "traceback": [trace]}


def png(
    colour: str = "red", *, dot: tuple[int, int] | None = None, size: tuple[int, int] = (64, 48), note: str = ""
) -> Any:
    picture = Image.new("RGB", size, colour)
    if dot:
        picture.putpixel(dot, (9, 9, 9))
    about = PngInfo()
    about.add_text("Software", note)
    data = io.BytesIO()
    picture.save(data, "png", pnginfo=about)
    return display(image_png=base64.b64encode(data.getvalue()).decode(), text_plain="<Figure>")


def table(*values: str) -> dict[str, Any]:
    rows = "".join(f"<tr><th>{number}</th><td>{value}</td></tr>" for number, value in enumerate(values))
    return display(text_html=f"<style>x</style><table><tr><th></th><th>right</th></tr>{rows}</table>", text_plain="t")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([stream("a\n"), stream("b\n")], [stream("a\nb\n")]),
        ([stream("a\n"), stream("w\n", "stderr"), stream("b\n")], [stream("w\n", "stderr"), stream("a\nb\n")]),
        ([stream(" 10%|█   | 1/9\r 50%|████| 5/9\rdone               \n")], [stream("done\n")]),
        ([stream("\x1b[31mred\x1b[0m\n")], [stream("red\n")]),
        ([stream("")], []),
        ([stream("ab\b\bcd\n")], [stream("cd\n")]),
        ([display(text_plain=["a\n", "b"])], [display(text_plain="a\nb")]),
    ],
)
def test_chunks_and_what_was_overwritten_do_not_count(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> None:
    assert all(one.state == "same" and not one.noise for one in compare(a, b))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("<Model at 0x7f3a12345678>", "<Model at 0x7f3a12349999>"),
        ("trained in 0.21 s", "trained in 12.7 s"),
        ("Wall time: 1min 3s", "Wall time: 2min 40s"),
        ("1.2 µs ± 3 ns per loop", "900 ns ± 1.5 ns per loop"),
        ("100%|████| 300/300 [00:02<00:00, 120.5it/s]", "100%|████| 300/300 [00:03<00:00, 99.1it/s]"),
        ("2026-11-22 21:19:06,123 INFO x", "2026-11-23 09:00:00,001 INFO x"),
        ("/tmp/ipykernel_123/456.py:3", "/tmp/ipykernel_9/8.py:3"),
        ("/repo/.git/snaprun/slots/1/x.py", "/repo/.git/snaprun/slots/12/x.py"),
        ("/tmp/tmpab12cd34/x", "/tmp/tmpzz99yy88/x"),
        ("pid 123", "PID 4567".lower()),
        ("1.2 µs ± 3 ns per loop (7 runs, 1,000,000 loops each)", "2 µs ± 1 ns per loop (7 runs, 100,000 loops each)"),
        ("div 3f2504e0-4f89-11d3-9a0c-0305e82c3301", "div 11111111-4f89-11d3-9a0c-0305e82c3301"),
    ],
)
def test_moments_durations_and_addresses_are_noise(a: str, b: str) -> None:
    found = only([stream(a)], [stream(b)])
    assert (found.state, found.noise) == ("same", True)


@pytest.mark.parametrize(
    ("a", "b"),
    [("epoch 3", "epoch 4"), ("0x12", "0x13"), ("size 10 m", "size 12 m"), ("v1.2.3", "v1.2.4"), ("a s", "b s")],
)
def test_what_looks_like_noise_and_is_not(a: str, b: str) -> None:
    assert only([stream(a)], [stream(b)]).state != "same"


def test_numbers_only() -> None:
    found = only([stream("epoch 1 loss 0.31\nepoch 2 loss nan\n")], [stream("epoch 1 loss 0.32\nepoch 2 loss nan\n")])
    assert found.state == "numbers"
    assert found.largest == pytest.approx(0.03125)
    assert found.summary == "stdout: numbers differ in 1 line, by 0.031 relative at most"


def test_numbers_that_became_no_numbers() -> None:
    found = only([stream("loss 0.3\n")], [stream("loss nan\n")])
    assert found.largest == float("inf")
    assert found.to_json()["max_rel"] is None


def test_text_with_its_hunks() -> None:
    found = only([stream("a\nb\nc\n")], [stream("a\nX\nc\nd\n")])
    assert (found.state, found.summary) == ("changed", "stdout: 1 line -> 2 lines")
    assert [hunk.lines for hunk in found.hunks] == [("-b", "+X"), ("+d",)]


def test_long_texts_are_cut_and_say_so() -> None:
    found = only([stream("".join(f"a{n}\n" for n in range(100)))], [stream("".join(f"b{n}\n" for n in range(100)))])
    assert sum(len(hunk.lines) for hunk in found.hunks) == 40
    assert found.left_out == 160


def test_errors() -> None:
    found = only([error("ValueError", "x")], [error("KeyError", "'y'")])
    assert found.summary == "error: ValueError: x -> KeyError: 'y'"
    assert only([error("E", "at 0x7f3a12345678")], [error("E", "at 0x7f3a12345699")]).state == "same"


def test_tables_cell_by_cell() -> None:
    found = only([table("0.9", "0.8")], [table("0.9", "0.84")])
    assert found.state == "numbers"
    assert found.summary == "table: 1 of 6 cells differ, by 0.048 relative at most: 1/right: 0.8 -> 0.84"
    assert only([table("a", "b")], [table("a", "c")]).state == "changed"
    assert only([table("a")], [table("a", "b")]).summary == "table 2 x 2 -> 3 x 2"
    styled = table("1")
    styled["data"]["text/html"] = styled["data"]["text/html"].replace("<style>x", "<style>y")
    assert only([table("1")], [styled]).state == "same"


def test_html_without_a_table_falls_back_to_its_text() -> None:
    a, b = display(text_html="<b>1</b>", text_plain="one"), display(text_html="<b>2</b>", text_plain="two")
    assert only([a], [b]).summary == "HTML: 1 line differs"


def test_nested_tables_and_broken_ones() -> None:
    assert htmltable.read("<table><tr><td>a<table><tr><td>b</td></tr></table></td><td>c</td></tr></table>") == [
        ["ab", "c"]
    ]
    assert htmltable.read("<table><tr><td>a<td>b</tr><tr><td>c</table>") == [["a", "b"], ["c"]]
    assert htmltable.read("<p>none</p>") is None


def test_pictures() -> None:
    assert only([png()], [png()]).state == "same"
    same = only([png(note="a")], [png(note="b")])
    assert (same.state, same.noise) == ("same", True), "the file differs, the pixels do not"
    assert (
        only([png()], [png(dot=(3, 3))]).summary
        == "picture 64x48: under 0.1% of the pixels differ, by at most 246 of 255"
    )
    assert only([png()], [png("blue")]).summary == "picture 64x48: 100.0% of the pixels differ, by at most 255 of 255"
    assert only([png()], [png(size=(9, 9))]).summary == "picture 64x48 -> 9x9"
    damaged = display(image_png=base64.b64encode(b"\x89PNG\r\n\x1a\nrubbish-and-more-rubbish").decode())
    assert only([png()], [damaged]).state == "changed"
    assert pictures.size(b"x") is None


def test_added_and_removed() -> None:
    assert [(one.state, one.summary) for one in compare([stream("x\n")], [png()])] == [
        ("removed", "stdout 1 line"),
        ("added", "picture 64x48"),
    ]


def test_widgets_hold_nothing_but_a_random_name() -> None:
    widget = "application/vnd.jupyter.widget-view+json"
    a = {"output_type": "display_data", "data": {widget: {"model_id": "a"}, "text/plain": "x"}}
    b = {"output_type": "display_data", "data": {widget: {"model_id": "b"}, "text/plain": "y"}}
    assert compare([a], [b]) == []


def test_plots_as_data() -> None:
    def plot(y: float) -> dict[str, Any]:
        return {
            "output_type": "display_data",
            "data": {"application/vnd.plotly.v1+json": {"data": [{"y": [1, y]}]}, "text/html": "x"},
        }

    found = only([plot(2.0)], [plot(2.5)])
    assert (found.state, found.mime) == ("numbers", "application/vnd.plotly.v1+json")


def test_damaged_outputs_do_no_harm() -> None:
    odd = [
        {},
        {"output_type": "stream"},
        {"output_type": "display_data", "data": 3},
        {"output_type": "error"},
        {"data": {}},
    ]
    assert all(one.state == "same" for one in compare(odd, odd))


@pytest.mark.slow
def test_fifty_megabytes_are_compared_in_seconds() -> None:
    lines = [f"line {number} {number * 0.37:.5f}\n" for number in range(2_000_000)]
    a = "".join(lines)
    lines[1_000_000] = "another line\n"
    b = "".join(lines)
    assert len(a) > 45_000_000
    start = time.process_time()
    assert only([stream(a)], [stream(b)]).summary == "stdout: 1 line differs"
    assert "and more" in only([stream(a)], [stream(a.replace("line", "lime"))]).summary
    assert time.process_time() - start < 20


def test_collapse_keeps_what_stands() -> None:
    assert noise.collapse("abc\rX\n") == "Xbc\n"
    assert noise.collapse("a\r\nb\r\n") == "a\nb\n"
    assert noise.collapse("x\r") == "x"
