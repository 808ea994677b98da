"""Which tests run, in which order, and what they took.

``SNAPRUN_TESTS`` says which: nothing, the fast ones that need no service; ``ci``, all of them, but one of the scenes of
chaos, drawn by the commit; ``all``, every one at its full size. The ones that took longest come first, so that no
worker is left with a long one when the others are done.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest

WHICH = os.environ.get("SNAPRUN_TESTS", "")
FAST = "not slow and not service"

DURATIONS = Path(__file__).parent / "durations.json"
"""Seconds that tests took, by their node id; those below :data:`LONG` are not in it."""

LONG = 2.0
"""Seconds from which on a test has a place of its own in the order; shorter ones stay together as they are written."""

UNKNOWN = 10.0
"""Seconds that are assumed of a slow or a service test without a figure."""

EXCUSED = ("root may", "Python has none yet")
"""How the reasons of skips begin that are none of CI's business: no service that is missing."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep-durations", action="store_true", help=f"write what the tests took to {DURATIONS.name}")


def pytest_configure(config: pytest.Config) -> None:
    if WHICH not in ("", "ci", "all"):
        raise pytest.UsageError(f"SNAPRUN_TESTS is {WHICH!r}: it may be ci or all")
    if not config.option.markexpr and not WHICH:
        config.option.markexpr = FAST
    if getattr(config.option, "dist", None) == "load":
        config.option.dist = "worksteal"
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):  # a shell's background job, as of CI, ignores them,
        if signal.getsignal(number) is signal.SIG_IGN:  # and so would all that tests start, and wait for ever
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: much of a test is waiting for the processes that it has started."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(trylast=True)  # when those that are not wanted are gone
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    scenes = [item for item in items if item.get_closest_marker("chaos")]
    if WHICH == "ci" and len(scenes) > 1:
        spared = [scene for scene in scenes if scene is not scenes[turn() % len(scenes)]]
        items[:] = [item for item in items if item not in spared]
        config.hook.pytest_deselected(items=spared)
    items[:] = ordered(items, getattr(config, "workerinput", {}).get("workercount", 1))


def ordered(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """The tests so that each of the equal parts which xdist deals out begins with its share of the longest.

    The long ones of a file stay together, so that no crowd of processes meets another one.
    """
    known: dict[str, float] = json.loads(DURATIONS.read_text()) if DURATIONS.exists() else {}

    def seconds(item: pytest.Item) -> float:
        heavy = item.get_closest_marker("slow") or item.get_closest_marker("service")
        return known.get(item.nodeid, UNKNOWN if heavy else 0.0)

    files: dict[Path, list[pytest.Item]] = {}
    short = []
    for item in items:
        if seconds(item) < LONG:
            short.append(item)
        else:
            files.setdefault(item.path, []).append(item)
    shares: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for file in sorted(files.values(), key=lambda file: -sum(map(seconds, file))):
        min(shares, key=lambda share: sum(map(seconds, share))).extend(file)
    made: list[pytest.Item] = []
    for number, share in enumerate(shares):
        fill = max((len(items) - len(made)) // (workers - number) - len(share), 0)
        made += [*share, *short[:fill]]
        del short[:fill]
    return made + short


Sampled = TypeVar("Sampled")


def sample(found: Sequence[Sampled], every: int) -> Sequence[Sampled]:
    """One in ``every``, other ones at most commits, so that all have their turn."""
    return found[turn() % every :: every]


@cache
def turn() -> int:
    """A number that each commit has another one of."""
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=DURATIONS.parent, capture_output=True, text=True, check=False
    )
    return int(done.stdout or "0", 16)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(session.config, "workerinput"):
        return
    if session.config.option.keep_durations:
        DURATIONS.write_text(json.dumps(_taken(reporter.stats), indent=0, sort_keys=True) + "\n")
    if WHICH and _unexcused(reporter.stats) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if WHICH:
        for why in _unexcused(terminalreporter.stats):
            terminalreporter.write_line(f"nothing may be skipped here: {why}", red=True)


def _taken(stats: dict[str, list[Any]]) -> dict[str, float]:
    """What each test took, with what was before and after it."""
    sums: dict[str, float] = {}
    for reports in stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                sums[report.nodeid] = sums.get(report.nodeid, 0.0) + report.duration
    return {name: round(seconds, 1) for name, seconds in sums.items() if seconds >= LONG}


def _unexcused(stats: dict[str, list[Any]]) -> list[str]:
    """Which tests were skipped, and why, but for reasons that are excused."""
    told = [(report.nodeid, str(report.longrepr[2]).removeprefix("Skipped: ")) for report in stats.get("skipped", ())]
    return [f"{name}: {why}" for name, why in told if not why.startswith(EXCUSED)]
