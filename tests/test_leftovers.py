"""What a run has left, whatever of it is missing or damaged: how it is judged, and what goes into its record."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from snaprun.errors import SnaprunError
from snaprun.lifecycle import finish, retries
from snaprun.lifecycle.leftovers import Leftovers, read_leftovers
from snaprun.live.journal import Journal
from snaprun.live.order import LOST_BYTES, read_order
from snaprun.live.stoprequest import StopRequest
from snaprun.statuses import Status
from tests import running
from tests.running import Started
from tests.sandbox import Sandbox

STARTED, ENDED = 1_800_000_000.0, 1_800_000_003.0
LAST_WRITE = 1_800_000_005.0
SEEN = {"status": "lost", "exit_code": 125, "reason": "snaprun's worker was killed by SIGKILL", LOST_BYTES: 7}
STOP = {"signal": 15, "kill": False, "grace": None, "time": 1.0, "reason": "a better one"}
INPUTS = {"data/train.csv": (12, 1)}
CONTENTS: Mapping[str, bytes] = {
    "log.txt": b"first\nsecond\n",
    "log-times.jsonl": b"[0, 1800000001.0]\n",
    "metrics.jsonl": b'{"name": "loss", "value": 1.5, "step": 0, "time": 1.0}\n',
    "artifacts.jsonl": b'{"path": "/a/model.pt"}\n[]\n{"path": "/a/model.pt"}\n{"path": 3}\n',
    "consoles.jsonl": b'{"t": 1.0, "pid": 2}\n{"t": 2.0, "pid": 2}\n',
    "snaprun.log": b"Traceback\n",
    "environment.json": b'{"python": "3.12.1"}',
    "inputs.json": json.dumps({"inputs": INPUTS}).encode(),
    "ending.json": json.dumps(SEEN).encode(),
    "stop.json": json.dumps(STOP).encode(),
}


@pytest.fixture
def run(repo: Sandbox) -> Started:
    """A run whose live folder holds every file, as one that was stopped left it; nobody looks after it."""
    run = running.frozen(repo, repo.notebook("a.ipynb", "print('first')", "print('second')"), params={"seed": 7})
    now = [STARTED]
    with Journal(run.live.path, clock=lambda: now[0]) as journal:
        journal.start(attempt=1, cells=2, kernel="python3")
        now[0] = STARTED + 1
        journal.cell(1, "start")
        journal.stream(1, "stdout", "first\n", log=False)
        journal.cell(1, "ok", seconds=1.0, count=1)
        journal.cell(2, "start")
        now[0] = ENDED
        journal.end(status="stopped", exit_code=143, reason="stopped by TERM", signal=15)
    for name, content in CONTENTS.items():
        (run.live.path / name).write_bytes(content)
    for name in ("log.txt", "metrics.jsonl"):
        os.utime(run.live.path / name, (LAST_WRITE, LAST_WRITE))
    return run


def read(run: Started) -> Leftovers:
    return read_leftovers(run.repo, run.live, read_order(run.live.path))


def silence(run: Started) -> None:
    """Take the end out of the journal: as it is where the worker was killed."""
    lines = run.live.events.read_bytes().splitlines(keepends=True)
    run.live.events.write_bytes(b"".join(line for line in lines if b'"e":"end"' not in line))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def put(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: Mapping[str, Callable[[Path], None]] = {
    "missing": Path.unlink,
    "empty": empty,
    "truncated": truncate,
    "list": put(b"[]"),
    "text": put(b'"text"\n'),
    "binary": put(b"\xff\xfe\x00{"),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
}
"""Ways in which a file that is written as a whole is damaged."""


def damaged(run: Started, name: str, ways: Mapping[str, Callable[[Path], None]]) -> Iterator[tuple[str, Leftovers]]:
    """What is read where one file is damaged in each of these ways."""
    path = run.live.path / name
    content, times = path.read_bytes(), (path.stat().st_atime, path.stat().st_mtime)
    for way, damage in ways.items():
        damage(path)
        if path.is_file():
            os.utime(path, times)
        yield way, read(run)
        if path.is_dir():
            path.rmdir()
        path.write_bytes(content)
        os.utime(path, times)


def test_everything_that_was_left_is_read(run: Started) -> None:
    leftovers = read(run)
    assert (leftovers.spec, leftovers.params) == (run.live.spec(), {"seed": 7})
    assert leftovers.stop_request == StopRequest(**STOP)
    assert leftovers.ending is not None
    assert (leftovers.ending.status, leftovers.ending.exit_code) == (Status.LOST, 125)
    assert leftovers.lost_bytes == 7
    assert leftovers.inputs == INPUTS
    assert leftovers.environment == {"python": "3.12.1"}
    assert leftovers.console_count == 2
    assert leftovers.artifacts == ("/a/model.pt", "3")
    assert leftovers.log == run.live.log
    assert leftovers.log_times == CONTENTS["log-times.jsonl"]
    assert leftovers.metrics == CONTENTS["metrics.jsonl"]
    assert leftovers.messages == b"Traceback\n"
    assert leftovers.last_write == LAST_WRITE
    assert leftovers.fault is None
    assert leftovers.replay.status == "stopped"
    assert [cell.state for cell in leftovers.replay.cells if cell.number] == ["ok", "stopped"]


@dataclass(frozen=True)
class Part:
    """A file that is written as a whole, the fields that are lost with it, and further ways of being damaged."""

    name: str
    loss: Mapping[str, Any] = field(default_factory=dict)
    contents: tuple[bytes, ...] = ()


PARTS = [
    Part("stop.json", {"stop_request": None}, (b"{}", b'{"kill": true}', b'{"signal": 99}', b'{"signal": "TERM"}')),
    Part(
        "ending.json",
        {"ending": None, "lost_bytes": 0},
        (b"{}", b'{"status": 3, "exit_code": 0}', b'{"status": "odd", "exit_code": 0}', b'{"status": "lost"}'),
    ),
    Part(
        "inputs.json",
        {"inputs": {}},
        (b"{}", b'{"inputs": []}', b'{"inputs": {"a": 3}}', b'{"inputs": {"a": [1, 2, 3]}}'),
    ),
    Part("environment.json", {"environment": {}}, (b"{}",)),
    Part("spec.json", contents=(b"{}", b'{"notebook": 3}', b'{"notebook": "a", "created": "b", "left_out": [3]}')),
    Part("params.json"),
    Part("notebook.json", contents=(b"{}", b'{"cells": 3}', b'{"cells": [3]}')),
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_damaged_part_is_as_good_as_none(run: Started, part: Part) -> None:
    whole = read(run)
    ways = {**DAMAGE, **{content.decode(): put(content) for content in part.contents}}
    for way, leftovers in damaged(run, part.name, ways):
        assert leftovers == replace(whole, **part.loss), way
        outcome = finish.judge(leftovers)  # the journal knows
        assert (outcome.status, outcome.exit_code, outcome.signal) == (Status.STOPPED, 143, 15), way


def test_some_of_an_ending_is_better_than_nothing(run: Started) -> None:
    silence(run)
    (run.live.path / "stop.json").unlink()
    ending = json.dumps({"status": "failed", "exit_code": "3", LOST_BYTES: "many"}).encode()
    for _, leftovers in damaged(run, "ending.json", {"": put(ending)}):
        outcome = finish.judge(leftovers)
        assert (outcome.status, outcome.exit_code, outcome.reason) == (Status.FAILED, 3, None)
        assert leftovers.lost_bytes == 0
    for _, leftovers in damaged(run, "ending.json", {"": put(b'{"lost": 9}')}):
        assert (leftovers.ending, leftovers.lost_bytes) == (None, 9)
        assert finish.judge(leftovers).reason == "nobody saw how it ended"


@pytest.mark.parametrize(
    ("name", "attribute"), [("metrics.jsonl", "metrics"), ("log-times.jsonl", "log_times"), ("snaprun.log", "messages")]
)
def test_what_grew_is_kept_as_it_is(run: Started, name: str, attribute: str) -> None:
    whole = read(run)
    content = CONTENTS[name]
    expected = {"missing": b"", "empty": b"", "truncated": content[:-4], "list": b"[]", "zeros": bytes(len(content))}
    for way, leftovers in damaged(run, name, {way: DAMAGE[way] for way in expected}):
        assert leftovers == replace(whole, **{attribute: expected[way]}), way


def test_damaged_lines_of_artifacts_are_passed_over(run: Started) -> None:
    whole = read(run)
    expected = {
        "missing": (),
        "empty": (),
        "truncated": ("/a/model.pt",),
        "list": (),
        "text": (),
        "binary": (),
        "zeros": (),
    }
    for way, leftovers in damaged(run, "artifacts.jsonl", DAMAGE):
        assert leftovers == replace(whole, artifacts=expected[way]), way


def test_consoles_are_counted_whatever_they_say(run: Started) -> None:
    whole = read(run)
    expected = {"missing": 0, "empty": 0, "truncated": 2, "list": 1, "text": 1, "binary": 1, "zeros": 1}
    for way, leftovers in damaged(run, "consoles.jsonl", DAMAGE):
        assert leftovers == replace(whole, console_count=expected[way]), way


@pytest.mark.parametrize(
    "name", ["metrics.jsonl", "log-times.jsonl", "artifacts.jsonl", "consoles.jsonl", "snaprun.log"]
)
def test_what_cannot_be_read_forbids_the_record_and_not_the_judgement(run: Started, name: str) -> None:
    whole = finish.judge(read(run))
    for _, leftovers in damaged(run, name, {"folder": replace_by_folder}):
        assert finish.judge(leftovers) == whole
        with pytest.raises(IsADirectoryError):
            finish.result_parts(leftovers, whole, peak_memory=None, warnings=[])


def test_a_damaged_journal_loses_what_came_last(run: Started) -> None:
    whole = read(run)
    for way, leftovers in damaged(run, "events.jsonl", DAMAGE):
        assert leftovers.replay.status is None, way
        assert replace(leftovers, replay=whole.replay) == whole, way
        assert leftovers.replay.attempts == 1
        states = ["ok", "stopped"] if way == "truncated" else ["not-run", "not-run"]
        assert [cell.state for cell in leftovers.replay.cells if cell.number] == states, way
        outcome = finish.judge(leftovers)
        assert (outcome.status, outcome.exit_code, outcome.reason) == (Status.STOPPED, 143, "a better one"), way


def test_who_knows_best_is_believed(run: Started) -> None:
    outcome = finish.judge(read(run))
    assert (outcome.status, outcome.reason, outcome.signal) == (Status.STOPPED, "a better one", 15)
    silence(run)
    (run.live.path / "stop.json").write_text('{"signal": 2}')
    outcome = finish.judge(read(run))
    assert (outcome.status, outcome.exit_code, outcome.reason) == (Status.STOPPED, 130, "stopped by INT")
    (run.live.path / "stop.json").unlink()
    outcome = finish.judge(read(run))
    assert (outcome.status, outcome.exit_code, outcome.reason) == (Status.LOST, 125, SEEN["reason"])
    (run.live.path / "ending.json").unlink()
    outcome = finish.judge(read(run))
    assert (outcome.status, outcome.exit_code, outcome.reason) == (Status.LOST, 125, "nobody saw how it ended")


def test_a_run_ended_with_its_last_event_or_what_it_wrote_after_that(run: Started) -> None:
    def ended() -> str | None:
        leftovers = read(run)
        return finish.result_parts(leftovers, finish.judge(leftovers), peak_memory=None, warnings=[]).result.ended

    assert ended() == "2027-01-15T08:00:03.000000Z"
    silence(run)
    assert ended() == "2027-01-15T08:00:05.000000Z"
    for name in ("log.txt", "metrics.jsonl"):
        (run.live.path / name).write_bytes(b"")
    assert read(run).last_write is None
    assert ended() == "2027-01-15T08:00:01.000000Z"


def test_the_record_says_what_was_left(run: Started) -> None:
    leftovers = read(run)
    parts = finish.result_parts(leftovers, finish.judge(leftovers), peak_memory=5, warnings=["of the data"])
    assert parts.log == run.live.log
    assert (parts.log_times, parts.metrics) == (leftovers.log_times, leftovers.metrics)
    assert (parts.environment, parts.artifacts) == (leftovers.environment, leftovers.artifacts)
    assert (parts.result.seconds, parts.result.peak_memory) == (3.0, 5)
    assert parts.result.warnings == (
        "of the data",
        "a console was opened on the run's kernel 2 times",
        "7 bytes of what it printed could not be written: the disk was full",
    )


def test_snaprun_says_in_the_log_why_it_failed(run: Started) -> None:
    silence(run)
    (run.live.path / "stop.json").unlink()
    leftovers = read(run)
    lost = finish.judge(leftovers)
    note = b"\n[snaprun: its own messages]\nTraceback\n"
    assert finish.result_parts(leftovers, lost, peak_memory=None, warnings=[]).log == CONTENTS["log.txt"] + note
    run.live.log.unlink()
    assert finish.result_parts(leftovers, lost, peak_memory=None, warnings=[]).log == note
    silent = replace(leftovers, messages=b" \n")
    assert finish.result_parts(silent, lost, peak_memory=None, warnings=[]).log == run.live.log


def test_a_run_with_nothing_left_but_its_order_is_recorded(run: Started) -> None:
    for path in run.live.path.iterdir():
        if path.name != "order.json" and path.is_file():
            path.unlink()
    ended = finish.finish(run.repo, run.live, read_order(run.live.path), slot=None)
    assert (ended.status, ended.exit_code, ended.reason) == (Status.LOST, 125, "nobody saw how it ended")
    assert not run.alive
    assert run.file("log.txt") == run.file("metrics.jsonl") == b""
    assert json.loads(run.file("environment.json")) == {"schema": 1}
    assert [cell.state for cell in run.end().cells if cell.number] == ["not-run", "not-run"]


@pytest.mark.parametrize("name", ["spec.json", "params.json"])
def test_a_further_attempt_has_what_the_live_folder_lost(run: Started, name: str) -> None:
    spec, params = run.live.spec(), run.live.params()
    retries.allow_retries(run.live.path, 1)
    silence(run)
    for lost in (name, "stop.json", "notebook.json"):
        (run.live.path / lost).unlink()
    ended = finish.finish(run.repo, run.live, read_order(run.live.path), slot=None)
    listed = running.listed(run)
    assert (ended.status, listed.status, listed.attempts) == (Status.LOST, Status.QUEUED, 2)
    assert (run.live.spec(), run.live.params()) == (spec, params)
    order = read_order(run.live.path)
    assert (order.attempt, order.after) == (2, run.git_tip())
    assert retries.is_due(run.live, Status.LOST, 1)
    assert not retries.is_due(run.live, Status.LOST, 2)


def test_without_snapshot_and_spec_there_is_nothing_to_record(run: Started, repo: Sandbox) -> None:
    (run.live.path / "spec.json").unlink()
    repo.git("update-ref", "-d", f"refs/snaprun/runs/{run.id}")
    repo.git("prune", "--expire=now")
    with pytest.raises(SnaprunError):
        read(run)
