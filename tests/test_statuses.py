"""A status carries all that is asked of it, so that a new one is a line in ``snaprun/statuses.py``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from snaprun import model, show
from snaprun.model import Run
from snaprun.show import Look
from snaprun.statuses import GOOD, ONGOING, Status
from snaprun.sweeps import table
from snaprun.sweeps.sweepplan import SweepProgress

PACKAGE = Path(model.__file__).parent
VALUES = {status.value for status in Status}

ALLOWED = {
    "launchers/__init__.py": "the states that launchers know, and the status that each stands for",
    "live/progress.py": "states of cells, and of a run in progress",
    "show/run.py": "states of cells",
    "sweeps/table.py": "the words under which the runs of a sweep are counted",
}
"""Files with a table that has names of statuses in it, and what it is a table of."""


@pytest.mark.parametrize("status", Status)
def test_a_status_knows_what_it_means(status: Status) -> None:
    assert show.status(status, Look(colour=True)) == click.style(status.value, fg=status.colour, bold=False)
    assert status.tally in table.TALLIES
    assert (status in ONGOING, status in GOOD) == (not status.over, status.good)
    if status.good or status.retried or status.cut_short:
        assert (status.over, status.launched) == (True, True)
    assert not (status.good and (status.retried or status.cut_short))


@pytest.mark.parametrize("status", Status)
def test_a_sweep_counts_runs_of_each_status(status: Status) -> None:
    run = Run(id="a" * 40, notebook="a.ipynb", status=status, created="2026-01-01T00:00:00Z", commit="a" * 40)
    text = table.sweep(SweepProgress((run, run)), [], None, Look())
    assert text == f"{2 if status.over else 0} of 2 done: 2 {status.tally}"


def tables(tree: ast.AST) -> Iterator[int]:
    """The lines of dicts that have a status among their keys or values, and of sets, lists and tuples that have two.

    Of strings that could be names of statuses it takes two in any case: ``"queued"`` is also a key of JSON.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            names, least = [key for key in node.keys if key is not None], 1
            members = [*names, *node.values]
        elif isinstance(node, (ast.Set, ast.List, ast.Tuple)):
            names, least = node.elts, 2
            members = names
        else:
            continue
        if sum(map(_is_member, members)) >= least or sum(map(_is_status, names)) > 1:
            yield node.lineno


def _is_status(node: ast.expr) -> bool:
    return _is_member(node) or (isinstance(node, ast.Constant) and node.value in VALUES)


def _is_member(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Status"


def test_no_module_keeps_a_table_of_statuses_of_its_own() -> None:
    lines = {
        path.relative_to(PACKAGE).as_posix(): list(tables(ast.parse(path.read_text("utf-8"))))
        for path in PACKAGE.rglob("*.py")
    }
    offenders = {name for name, numbers in lines.items() if numbers} - {"statuses.py"}
    assert {name: lines[name] for name in offenders - ALLOWED.keys()} == {}
    assert offenders >= ALLOWED.keys(), "what is allowed is still needed"
