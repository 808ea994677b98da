"""Much of everything: fifty starts at once, a flood printed, ten thousand cells, a hundred thousand metrics."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from snaprun import records
from snaprun.index import store
from tests import running, schedule
from tests.running import Started
from tests.sandbox import Sandbox, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("nothing_left")]

STARTS = 50
LINES = 10_000_000 if schedule.WHICH == "all" else 1_000_000
"""Lines of a hundred bytes that a run prints: a gigabyte, or what is far above :data:`MEMORY` already."""

TURNS = 25
"""Runs that each of twenty writers starts and ends, against twenty readers that never rest."""

CELLS = 10_000
POINTS = 100_000
MEMORY = 160_000_000
"""Bytes that neither supervisor nor worker may exceed, whatever a run prints."""

LONG = 600.0
"""Seconds of patience with a run that has much to do."""


@pytest.mark.timeout(900)
def test_fifty_starts_at_once(repo: Sandbox) -> None:
    repo.notebook("nb.ipynb", "print('x is', x)", parameters="x = 0")
    repo.commit()
    with repo.untouched():
        commands = [
            subprocess.Popen(
                [sys.executable, "-m", "snaprun", "exec", "nb.ipynb", "-p", f"x={x}", "--engine", "inline", "--detach"],
                cwd=repo.path,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for x in range(STARTS)
        ]
        said = [command.communicate() for command in commands]
        assert [command.returncode for command in commands] == [0] * STARTS, said
        ids = [out.strip() for out, _ in said]
        assert repo.snaprun("wait", *ids, "-q").returncode == 0
    listed = json.loads(repo.snaprun("history", "--all", "--json").stdout)["runs"]
    assert {run["id"]: (run["status"], run["params"]["x"]) for run in listed} == {
        id: ("succeeded", x) for x, id in enumerate(ids)
    }
    assert [running.found(repo, id).file("log.txt") for id in ids] == [f"x is {x}\n".encode() for x in range(STARTS)]
    assert repo.git("fsck", "--connectivity-only") == ""


@pytest.mark.timeout(900)
def test_a_flood_of_lines(repo: Sandbox) -> None:
    run = running.start(
        repo, repo.notebook("nb.ipynb", f"for i in range({LINES}):\n    print(f'{{i:099d}}')"), engine="inline"
    )
    peaks = _peaks(run)
    assert all(peak < MEMORY for peak in peaks), peaks
    result = records.read_result(run.repo, run.id)
    assert result is not None and result.status.value == "succeeded"
    shown = run.outputs()
    left_out = f"[snaprun: {LINES * 100 - 10_000_000:,} characters left out here; the run's log.txt has them all]"
    assert len(shown) < 11_000_000 and shown.startswith(f"{0:099d}\n") and shown.endswith(f"{LINES - 1:099d}\n")
    assert left_out in shown
    said = hashlib.sha256()
    logs = subprocess.Popen([sys.executable, "-m", "snaprun", "logs", run.id], cwd=repo.path, stdout=subprocess.PIPE)
    assert logs.stdout is not None
    with logs:
        while piece := logs.stdout.read(1 << 20):
            said.update(piece)
    printed = hashlib.sha256()
    for start in range(0, LINES, 10_000):
        printed.update("".join(f"{i:099d}\n" for i in range(start, start + 10_000)).encode())
    assert said.hexdigest() == printed.hexdigest()


def _peaks(run: Started) -> list[int]:
    """The most memory that supervisor and worker had resident until the run ended, in bytes."""
    peaks = [0, 0]

    def over() -> bool:
        for number, who in enumerate(run.pids() if run.alive else ()):
            try:
                lines = Path(f"/proc/{who.pid}/status").read_text().splitlines()
            except OSError:
                continue
            peaks[number] = max(peaks[number], *(int(line.split()[1]) << 10 for line in lines if "VmHWM" in line), 0)
        return not run.alive

    wait_for(over, "the end of the run", patience=LONG)
    return peaks


@pytest.mark.timeout(900)
def test_ten_thousand_cells(repo: Sandbox) -> None:
    book = repo.notebook("nb.ipynb", *(f"x = {number}\nx" for number in range(CELLS)))
    run = running.start(repo, book, engine="inline")
    wait_for(lambda: not run.alive, "the end of the run", patience=LONG)
    shown = json.loads(repo.snaprun("show", run.id, "--json").stdout)
    assert (shown["status"], len(shown["cells"])) == ("succeeded", CELLS)
    cells = json.loads(run.file("executed.ipynb"))["cells"]
    assert [cell["outputs"][-1]["data"]["text/plain"] for cell in cells] == [[str(number)] for number in range(CELLS)]


@pytest.mark.timeout(900)
def test_a_hundred_thousand_metrics(repo: Sandbox) -> None:
    log = f"import snaprun\nfor step in range({POINTS}):\n    snaprun.log(loss=1 / (1 + step), step=step)"
    run = running.start(repo, repo.notebook("nb.ipynb", log), engine="inline")
    wait_for(lambda: not run.alive, "the end of the run", patience=LONG)
    shown = json.loads(repo.snaprun("show", run.id, "--json").stdout)
    assert shown["metrics"] == {"loss": {"last": 1 / POINTS, "min": 1 / POINTS, "max": 1.0, "steps": POINTS}}
    assert len(run.file("metrics.jsonl").splitlines()) == POINTS


READ = """
import pathlib, sys
from snaprun.index import runlist
state, stop = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
most, last = 0, False
while not last:
    last = stop.exists()
    with runlist.connect(state) as reader:
        found = runlist.query(reader, runlist.Filter(limit=20), cells=True)
        count = runlist.count(reader, runlist.Filter())
    assert all(run.status.over == bool(run.metrics) == bool(run.cells) for run in found), "a run half written"
    assert count >= most, "a run is gone"
    most = count
print(most)
"""
WRITE = """
import pathlib, sys
from dataclasses import replace
from snaprun.index import recorder, store
from snaprun.statuses import Status
from tests.indexed import oid, run
state, number, count = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for turn in range(count):
    ended = run(id=oid(number * count + turn))
    started = replace(ended, status=Status.RUNNING, exit_code=None, metrics={}, cells=(), ended=None)
    assert recorder.record(state, None, [started])
    store.open_store(state).record(ended)
print("written")
"""


@pytest.mark.timeout(900)
def test_twenty_readers_and_twenty_writers(tmp_path: Path) -> None:
    store.open_store(tmp_path).rebuild([])
    top = Path(__file__).resolve().parent.parent
    stop = tmp_path / "stop"

    def start(code: str, *args: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code, *map(str, args)],
            cwd=top,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    readers = [start(READ, tmp_path, stop) for _ in range(20)]
    writers = [start(WRITE, tmp_path, number, TURNS) for number in range(20)]
    try:
        assert [writer.communicate() for writer in writers] == [("written\n", "")] * 20
    finally:
        stop.touch()
        counts = [reader.communicate() for reader in readers]
    assert counts == [(f"{20 * TURNS}\n", "")] * 20
