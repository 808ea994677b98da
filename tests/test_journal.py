"""The journal's writer and reader."""

from __future__ import annotations

import json
import os
import resource
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from snaprun.errors import WriteFault
from snaprun.live.journal import CHUNK, LARGE, Journal, load_output, read_events, strip_ansi
from tests.sandbox import wait_for


def events(folder: Path) -> list[dict[str, Any]]:
    return [event for _, event in read_events(folder / "events.jsonl")]


def test_events_say_what_and_when(tmp_path: Path) -> None:
    with Journal(tmp_path, clock=lambda: 12.5) as journal:
        journal.start(attempt=1, cells=2, kernel="python3")
        journal.cell(1, "start", label="fit")
        journal.cell(1, "ok", seconds=0.5, count=1)
        journal.note("careful")
        journal.end(status="succeeded", exit_code=0)
    assert events(tmp_path) == [
        {"t": 12.5, "e": "start", "attempt": 1, "cells": 2, "kernel": "python3"},
        {"t": 12.5, "e": "cell", "n": 1, "state": "start", "label": "fit"},
        {"t": 12.5, "e": "cell", "n": 1, "state": "ok", "seconds": 0.5, "count": 1},
        {"t": 12.5, "e": "note", "text": "careful"},
        {"t": 12.5, "e": "end", "status": "succeeded", "exit_code": 0, "reason": None, "signal": None},
    ]


def test_writes_by_itself_and_soon(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.stream(1, "stdout", "hello")
    wait_for(lambda: events(tmp_path), "the first event", patience=5)
    assert (tmp_path / "log.txt").read_bytes() == b"hello"
    journal.close()


def test_streams_are_joined_in_order(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        for number in range(100):
            journal.stream(1, "stdout", f"{number}\n")
        journal.stream(1, "stderr", "oh\n")
        journal.stream(1, "stdout", "end\n")
    outs = [event["o"] for event in events(tmp_path)]
    assert [(out["name"], len(out["text"])) for out in outs] == [("stdout", 290), ("stderr", 3), ("stdout", 4)]
    assert (tmp_path / "log.txt").read_text() == "".join(f"{n}\n" for n in range(100)) + "oh\nend\n"


def test_a_long_text_is_many_events(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.stream(1, "stdout", "x" * (3 * CHUNK))
    assert [len(event["o"]["text"]) for event in events(tmp_path)] == [CHUNK] * 3


def test_large_outputs_are_stored_once(tmp_path: Path) -> None:
    output = {"output_type": "display_data", "data": {"text/plain": "x" * LARGE}, "metadata": {}}
    with Journal(tmp_path) as journal:
        journal.out(1, output, display_id="a")
        journal.out(2, output)
    first, second = events(tmp_path)
    assert first["ref"] == second["ref"]
    assert first["id"] == "a"
    assert [path.name for path in (tmp_path / "blobs").iterdir()] == [first["ref"]]
    assert load_output(first, tmp_path / "blobs") == output
    (tmp_path / "blobs" / first["ref"]).write_bytes(b"{}")
    assert load_output(first, tmp_path / "blobs") is None


@pytest.mark.parametrize("text", ["x" * 20_000_000, 'ä\U0001f600\ud800\n"' * 1_000_000], ids=["ascii", "odd"])
def test_a_large_output_is_stored_without_another_copy(tmp_path: Path, text: str) -> None:
    output = {"output_type": "display_data", "data": {"text/plain": text, "n": {"1": [1, None]}}, "metadata": {}}
    with Journal(tmp_path) as journal:
        tracemalloc.start()
        journal.out(1, output)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 4_000_000
    (event,) = events(tmp_path)
    assert event["size"] == len(json.dumps(output, separators=(",", ":")))
    assert load_output(event, tmp_path / "blobs") == output


def test_errors_reach_the_log_without_colours(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.out(1, {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["\x1b[31mE\x1b[0m: v"]})
    assert (tmp_path / "log.txt").read_text() == "E: v\n"
    assert strip_ansi("\x1b]8;;http://x\x07link\x1b]8;;\x07 \x1b[1;32mok\x1b[0m") == "link ok"


def test_every_character_can_be_said(tmp_path: Path) -> None:
    text = "é \U0001f600 \udcff \x00 \u2028 end"
    with Journal(tmp_path) as journal:
        journal.stream(1, "stdout", text)
    assert events(tmp_path)[0]["o"]["text"] == text


def test_a_torn_line_is_left_and_then_cut(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.note("one")
    with open(tmp_path / "events.jsonl", "ab") as file:
        file.write(b'{"t":1,"e":"out","n":1,"o":{"text":"' + b"x" * 200_000)
    assert [event["text"] for event in events(tmp_path)] == ["one"]
    with Journal(tmp_path) as journal:
        journal.note("two")
    assert [event["text"] for event in events(tmp_path)] == ["one", "two"]


def test_a_file_that_is_one_torn_line_is_emptied(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_bytes(b"\0" * 100_000)
    with Journal(tmp_path) as journal:
        journal.note("one")
    assert [event["text"] for event in events(tmp_path)] == ["one"]


def test_reading_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.note("one")
        journal.flush()
        ((offset, _),) = read_events(tmp_path / "events.jsonl")
        journal.note("two")
    assert [event["text"] for _, event in read_events(tmp_path / "events.jsonl", offset)] == ["two"]


def test_damaged_lines_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_bytes(b'\0\0\0\n[1]\n{"t":1,"e":"note","text":"x"}\n')
    assert [event["text"] for event in events(tmp_path)] == ["x"]
    assert list(read_events(tmp_path / "missing")) == []


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:

        def work(number: int) -> None:
            for step in range(300):
                journal.stream(number, "stdout", f"{step}\n")
                journal.cell(number, "start")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for number in range(1, 5):
        texts = [event["o"]["text"] for event in events(tmp_path) if event["e"] == "out" and event["n"] == number]
        assert "".join(texts) == "".join(f"{step}\n" for step in range(300))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_said_and_loses_nothing_before_it(tmp_path: Path) -> None:
    (tmp_path / "log.txt").symlink_to("/dev/full")
    journal = Journal(tmp_path)
    journal.stream(1, "stdout", "kept\n")
    with pytest.raises(WriteFault):
        journal.close()
    assert events(tmp_path)[0]["o"]["text"] == "kept\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_ends_the_run_before_the_memory_is_full(tmp_path: Path) -> None:
    (tmp_path / "log.txt").symlink_to("/dev/full")
    journal = Journal(tmp_path)
    with pytest.raises(WriteFault):
        for _ in range(2000):
            journal.stream(1, "stdout", "x" * CHUNK)
    with pytest.raises(WriteFault):
        journal.close()


def test_a_disk_that_recovers_has_everything(tmp_path: Path) -> None:
    """A file-size limit refuses in the middle of a line, as a full disk does."""
    code = f"""
import resource, signal
from pathlib import Path
from snaprun.live.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal(Path({str(tmp_path)!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for number in range(100):
    journal.stream(1, "stdout", f"line {{number}}\\n")
    journal.cell(1, "start")
journal.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.close()
"""
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", code], check=True)
    texts = [event["o"]["text"] for event in events(tmp_path) if event["e"] == "out"]
    assert texts == [f"line {number}\n" for number in range(100)]
    assert (tmp_path / "log.txt").read_text() == "".join(texts)


def test_memory_stays_small(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Journal(tmp_path) as journal:
        for _ in range(2000):
            journal.stream(1, "stdout", "y" * 50_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    assert (tmp_path / "log.txt").stat().st_size == 100_000_000


def test_lines_are_json_alone(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.event("x", value="a\nb")
    (line,) = (tmp_path / "events.jsonl").read_text().splitlines()
    assert json.loads(line)["value"] == "a\nb"
