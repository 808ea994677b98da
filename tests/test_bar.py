"""The live line under a run's output."""

from __future__ import annotations

import io

import pytest

from snaprun.bar import Bar
from snaprun.live.progress import Progress


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def bar(earlier: dict[int, float] | None = None) -> tuple[Bar, io.BytesIO, Terminal]:
    data, talk = io.BytesIO(), Terminal()
    return Bar(data, talk, earlier or {}), data, talk


def test_output_passes_through_byte_for_byte() -> None:
    line, data, _ = bar()
    for piece in (b"one\n", b"\xff\xfe half", b"\r 50 %\r100 %\n"):
        line.write(piece)
        line.update(Progress(total=3, cell=1, label="fit", start=0.0, state="running"))
    line.close()
    assert data.getvalue() == b"one\n\xff\xfe half\r 50 %\r100 %\n"


def test_the_line_says_which_cell_and_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    line, _, talk = bar({1: 5.0, 2: 100.0})
    line.update(Progress(total=2, cell=1, label="fit [model]", start=0.0, cell_started=0.0, state="running"))
    line.close()
    assert "[1/2]" in talk.getvalue()
    assert "fit [model]" in talk.getvalue()
    assert "about 01:40 left" in talk.getvalue()


@pytest.mark.parametrize("columns", [32, 40, 60])
def test_a_narrow_terminal_shows_one_line(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    line, _, talk = bar({1: 5.0, 2: 100.0})
    line.update(Progress(total=2, cell=1, label="x" * 60, start=0.0, cell_started=0.0, state="running"))
    drawn = talk.getvalue()
    assert "[1/2]" in drawn
    assert "\n" not in drawn
    line.close()


def test_nothing_is_drawn_into_a_line_that_is_not_finished() -> None:
    line, data, talk = bar()
    line.write(b"50 %")
    line.update(Progress(total=2, cell=1, label="fit", start=0.0, state="running"))
    assert "fit" not in talk.getvalue()
    line.close()
    assert data.getvalue() == b"50 %\n"
