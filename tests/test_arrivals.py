"""When the bytes of a log arrived: the lines that the journal writes, and reading them back."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from snaprun.live.arrivals import FINE_LINES, ArrivalReader, ArrivalWriter
from snaprun.live.journal import Journal
from snaprun.live.names import ARRIVALS_FILE


class Clock:
    """A clock that stands until it is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_every_flush_has_the_time_of_its_first_byte(tmp_path: Path) -> None:
    clock = Clock()
    with Journal(tmp_path, clock=clock) as journal:
        journal.stream(1, "stdout", "one\n")
        clock.now = 1000.5
        journal.stream(1, "stderr", "still one flush\n")
        journal.flush()
        clock.now = 2000.25
        journal.raw(b"two\n")
    assert (tmp_path / ARRIVALS_FILE).read_text() == "[0, 1000.0]\n[20, 2000.25]\n"


def test_a_journal_that_is_opened_again_goes_on(tmp_path: Path) -> None:
    clock = Clock()
    with Journal(tmp_path, clock=clock) as journal:
        journal.raw(b"12345")
    with (tmp_path / ARRIVALS_FILE).open("ab") as file:
        file.write(b"[5, 10")  # whoever wrote this was killed
    clock.now = 3000.0
    with Journal(tmp_path, clock=clock) as journal:
        journal.raw(b"67890")
    assert (tmp_path / ARRIVALS_FILE).read_text() == "[0, 1000.0]\n[5, 3000.0]\n"


def test_an_offset_has_the_time_of_the_line_before_it() -> None:
    arrivals = ArrivalReader(BytesIO(b"[0, 1.0]\n[10, 2.0]\nnonsense\n[20, 3.0]\n"))
    assert [arrivals.at(offset) for offset in (0, 9, 10, 19, 25)] == [1.0, 1.0, 2.0, 2.0, 3.0]
    assert ArrivalReader(BytesIO(b"")).at(7) is None


def test_a_growing_file_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / ARRIVALS_FILE
    path.write_bytes(b"[0, 1.0]\n[10, 2")
    with path.open("rb") as file, path.open("ab") as more:
        arrivals = ArrivalReader(file)
        assert arrivals.at(10) == 1.0
        more.write(b".5]\n")
        more.flush()
        assert arrivals.at(10) == 2.5


def test_many_arrivals_are_thinned_out() -> None:
    pen = ArrivalWriter()
    lines = [pen.line(number, number / 10) for number in range(FINE_LINES + 100)]
    assert all(lines[:FINE_LINES])
    assert sum(map(bool, lines[FINE_LINES:])) == 10
    assert pen.line(5, 1e9) == b""  # never backwards
