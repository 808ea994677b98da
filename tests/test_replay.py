"""From the journal to the executed notebook."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import nbformat
import pytest

from snaprun.live.journal import Journal, read_events
from snaprun.live.replay import CELL_LIMIT, Replay, render, replay
from snaprun.notebooks.cells import number_cells
from tests.sandbox import notebook


def out(number: int, text: str = "", name: str = "stdout", **more: Any) -> dict[str, Any]:
    output = more.pop("output", {"output_type": "stream", "name": name, "text": text})
    return {"t": 1.0, "e": "out", "n": number, "o": output, **more}


def shown(text: str) -> dict[str, Any]:
    return {"output_type": "display_data", "data": {"text/plain": text}, "metadata": {}}


def cell(number: int, state: str = "start", **more: Any) -> dict[str, Any]:
    return {"t": 1.0, "e": "cell", "n": number, "state": state, **more}


def run(*events: dict[str, Any], cells: int = 2) -> Replay:
    return replay(events, notebook(*[f"cell {n}" for n in range(1, cells + 1)]))


def outputs(made: Replay, index: int = 0) -> list[dict[str, Any]]:
    return list(made.notebook["cells"][index]["outputs"])


def test_a_whole_run() -> None:
    made = run(
        {"t": 10.0, "e": "start", "attempt": 1, "cells": 2, "kernel": "python3"},
        {"t": 11.0, "e": "kernel", "language_info": {"name": "python", "version": "3.11"}},
        {"t": 12.0, "e": "cell", "n": 1, "state": "start", "label": "load"},
        out(1, "hi\n"),
        {"t": 13.0, "e": "cell", "n": 1, "state": "ok", "seconds": 1.0, "count": 1},
        {"t": 14.0, "e": "end", "status": "succeeded", "exit_code": 0, "reason": None, "signal": None},
    )
    assert (made.status, made.exit_code, made.start, made.last_time, made.attempts) == ("succeeded", 0, 10.0, 14.0, 1)
    assert [(c.number, c.state, c.label, c.seconds, c.id) for c in made.cells] == [
        (1, "ok", "load", 1.0, "cell-0"),
        (2, "not-run", "", None, "cell-1"),
    ]
    first = made.notebook["cells"][0]
    assert first["execution_count"] == 1
    assert first["metadata"]["execution"] == {
        "iopub.status.busy": "1970-01-01T00:00:12.000000Z",
        "iopub.execute_input": "1970-01-01T00:00:12.000000Z",
        "shell.execute_reply": "1970-01-01T00:00:13.000000Z",
        "iopub.status.idle": "1970-01-01T00:00:13.000000Z",
    }
    assert made.notebook["metadata"]["language_info"]["version"] == "3.11"
    nbformat.validate(nbformat.reads(render(made.notebook).decode(), 4))


def test_saved_outputs_are_cleared_and_the_source_is_not_touched() -> None:
    source = notebook("1", "2")
    source["cells"][1]["outputs"] = [shown("old")]
    source["cells"][1]["execution_count"] = 7
    source["metadata"]["widgets"] = {"old": {}}
    before = json.dumps(source)
    made = replay([cell(1), out(1, "new")], source)
    assert outputs(made, 1) == []
    assert made.notebook["cells"][1]["execution_count"] is None
    assert "widgets" not in made.notebook["metadata"]
    assert json.dumps(source) == before


def test_streams_between_rich_outputs_become_one_of_each_name() -> None:
    made = run(
        cell(1),
        out(1, "e1", "stderr"),
        out(1, "o1"),
        out(1, "e2", "stderr"),
        out(1, "o2"),
        out(1, output=shown("x")),
        out(1, "o3"),
    )
    assert [(o.get("name"), o.get("text")) for o in outputs(made)] == [
        ("stdout", "o1o2"),
        ("stderr", "e1e2"),
        (None, None),
        ("stdout", "o3"),
    ]


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (["10%\r", "20%\r", "100%\n"], "100%\n"),
        (["\r10%", "\r20%", "\r100%\n", "done\n"], "100%\ndone\n"),
        (["a\n\r10%\r20%"], "a\n20%"),
        (["10%\r20%\r"], "20%"),
        (["line\r\n", "next\r", "\n"], "line\nnext\n"),
        (["no newline"], "no newline"),
        (["a", "b\nc", "d"], "ab\ncd"),
        (["x" * 70_000 + "\r" + "y"], "y"),
    ],
)
def test_progress_collapses(parts: list[str], text: str) -> None:
    made = run(cell(1), *[out(1, part) for part in parts])
    assert outputs(made) == [{"output_type": "stream", "name": "stdout", "text": text}]


def test_300_progress_updates_are_one_output() -> None:
    made = run(cell(1), *[out(1, f"\r{n:3}%|###|", "stderr") for n in range(300)], out(1, "\n", "stderr"))
    assert [o["text"] for o in outputs(made)] == ["299%|###|\n"]


def test_clear_output() -> None:
    now = run(cell(1), out(1, "a"), {"t": 1, "e": "clear", "n": 1, "wait": False})
    assert outputs(now) == []
    later = run(cell(1), out(1, "a"), {"t": 1, "e": "clear", "n": 1, "wait": True})
    assert [o["text"] for o in outputs(later)] == ["a"]
    then = run(cell(1), out(1, "a"), {"t": 1, "e": "clear", "n": 1, "wait": True}, out(1, "b"))
    assert [o["text"] for o in outputs(then)] == ["b"]


def test_displays_are_updated_in_every_cell() -> None:
    update = {"t": 1.0, "e": "update", "id": "d", "o": {"data": {"text/plain": "new"}, "metadata": {"m": 1}}}
    made = run(
        cell(1),
        out(1, output=shown("old"), id="d"),
        out(1, output=shown("other"), id="e"),
        cell(1, "ok"),
        cell(2),
        out(2, output=shown("old"), id="d"),
        update,
    )
    assert [o["data"]["text/plain"] for o in [*outputs(made), *outputs(made, 1)]] == ["new", "other", "new"]
    assert outputs(made)[0]["metadata"] == {"m": 1}


def test_a_cleared_display_is_not_updated() -> None:
    update = {"t": 1.0, "e": "update", "id": "d", "o": {"data": {"text/plain": "new"}, "metadata": {}}}
    made = run(cell(1), out(1, output=shown("a"), id="d"), {"t": 1, "e": "clear", "n": 1, "wait": False}, update)
    assert outputs(made) == []


def test_what_a_crash_leaves() -> None:
    made = run(cell(1), cell(1, "ok", seconds=1.0), cell(2), {**out(2, "half"), "t": 5.0})
    assert [(c.state, c.seconds) for c in made.cells] == [("ok", 1.0), ("stopped", 4.0)]
    assert (made.status, made.current_cell) == (None, 2)
    assert outputs(made, 1)[0]["text"] == "half"


def test_late_output_belongs_to_its_own_cell() -> None:
    made = run(cell(1), cell(1, "ok"), cell(2), out(1, "late"), out(2, "own"))
    assert [outputs(made, n)[0]["text"] for n in (0, 1)] == ["late", "own"]


def test_the_error_is_the_first_one() -> None:
    def error(name: str) -> dict[str, Any]:
        return {"output_type": "error", "ename": name, "evalue": "v", "traceback": [f"\x1b[31m{name}\x1b[0m"]}

    made = run(cell(1), out(1, output=error("First")), out(1, output=error("Second")), cell(1, "failed"))
    assert made.error is not None
    assert (made.error.number, made.error.ename, made.error.traceback, made.error.source) == (
        1,
        "First",
        "First",
        "cell 1",
    )


def test_an_allowed_error_is_no_error_of_the_run() -> None:
    error = {"output_type": "error", "ename": "E", "evalue": "", "traceback": []}
    assert run(cell(1), out(1, output=error), cell(1, "ok")).error is None


def test_a_new_attempt_starts_afresh() -> None:
    made = run(
        {"t": 1.0, "e": "start", "attempt": 1},
        cell(1),
        out(1, "first"),
        {"t": 1.5, "e": "end", "status": "lost", "exit_code": 1},
        {"t": 2.0, "e": "start", "attempt": 2},
        cell(1),
        out(1, "second"),
    )
    assert [o["text"] for o in outputs(made)] == ["second"]
    assert (made.attempts, made.start, made.status) == (2, 2.0, None)


def test_a_mended_cell_is_recorded_with_its_new_source() -> None:
    made = run(cell(1), out(1, "x"), cell(1, "failed"), cell(1, source="mended"), out(1, "y"), cell(1, "ok"))
    assert made.notebook["cells"][0]["source"] == "mended"
    assert [o["text"] for o in outputs(made)] == ["y"]
    assert made.cells[0].state == "ok"


def test_injected_parameters_are_cell_0() -> None:
    document = notebook("a", "# %% md\ntext", "b", parameters="p = 1")
    injected = {"cell_type": "code", "metadata": {"tags": ["injected-parameters"]}, "source": "p = 2", "outputs": []}
    document["cells"].insert(1, injected)
    assert [(number, index) for number, index, _ in number_cells(document)] == [(1, 0), (0, 1), (2, 2), (3, 4)]


def test_much_output_is_cut_in_the_middle() -> None:
    line = "0123456789" * 10 + "\n"
    count = 4 * CELL_LIMIT // len(line)
    made = run(cell(1), *[out(1, line * (count // 100))] * 100)
    (stream,) = outputs(made)
    assert CELL_LIMIT <= len(stream["text"]) < CELL_LIMIT + 200
    assert stream["text"].startswith(line)
    assert stream["text"].endswith(line)
    assert stream["text"].count("characters left out here; the run's log.txt has them all") == 1


def test_many_cells_of_much_output_stay_bounded() -> None:
    cells = 8
    line = "x" * 79 + "\n"
    made = run(*[out(number, line * 120_000) for number in range(1, cells + 1)], cells=cells)
    total = sum(len(outputs(made, index)[0]["text"]) for index in range(cells))
    assert total < 50_000_000


def test_outputs_stored_by_hash(tmp_path: Path) -> None:
    big = shown("z" * 2_000_000)
    with Journal(tmp_path) as journal:
        journal.cell(1, "start")
        journal.out(1, big)
    found = [event for _, event in read_events(tmp_path / "events.jsonl")]
    made = replay(found, notebook("x"), blobs=tmp_path / "blobs")
    assert outputs(made) == [big]
    (tmp_path / "blobs" / found[1]["ref"]).unlink()
    assert "damaged" in outputs(replay(found, notebook("x"), blobs=tmp_path / "blobs"))[0]["text"]


def test_unknown_events_and_cells_are_passed_over() -> None:
    made = run({"t": 1, "e": "later-version"}, out(99, "x"), {"t": 1, "e": "hold", "n": 1, "seconds": 5})
    assert [c.state for c in made.cells] == ["not-run", "not-run"]


def test_rendered_as_nbformat_does() -> None:
    document = notebook("a\nb", "# %% md\n# T\ntext")
    made = replay(
        [
            cell(1),
            out(1, "1\n2\n"),
            out(
                1,
                output={
                    "output_type": "execute_result",
                    "data": {"text/html": "<a>\n</a>", "image/png": "QQ==\n"},
                    "metadata": {},
                    "execution_count": 1,
                },
            ),
            out(1, output={"output_type": "display_data", "data": {"application/json": {"a": "b\nc"}}, "metadata": {}}),
            cell(1, "ok", count=1),
        ],
        document,
    )
    node = nbformat.from_dict(json.loads(json.dumps(made.notebook)))
    assert render(made.notebook).decode() == nbformat.writes(node) + "\n"


@pytest.mark.parametrize(
    "text", ["", "a", "a\n", "\n\n", "a\r\nb\rc\u2028d\x0ce", "ä\n" * 100_000, "x" * 200_000 + "\r\ny\r\n" * 70_000]
)
def test_texts_are_lists_of_lines(text: str) -> None:
    document = run(out(1, output=shown(text))).notebook
    document["cells"][0]["source"] = text
    made = json.loads(render(document))["cells"][0]
    assert made["source"] == made["outputs"][0]["data"]["text/plain"] == text.splitlines(keepends=True)


def test_many_lines_are_rendered_in_little_memory() -> None:
    document = run(out(1, output=shown(("x" * 9 + "\n") * 500_000))).notebook
    tracemalloc.start()
    made = render(document)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * len(made)
