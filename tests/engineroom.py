"""Run a notebook through an engine as the worker does, without a repository around it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snaprun.engines import engine
from snaprun.engines.job import Job, Stop
from snaprun.git.locate import Place
from snaprun.live import livefolder, replay
from snaprun.live.journal import Journal, read_events
from snaprun.live.livefolder import Live
from snaprun.model import Cell, CellError, Outcome, RunSpec, Snapshot
from snaprun.notebooks.cells import number_cells
from snaprun.notebooks.kernels import Kernel, of_python
from tests.sandbox import notebook

BASH = Kernel("bash", "bash", (sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"))


@dataclass(frozen=True)
class Ran:
    """What an execution left."""

    outcome: Outcome
    live: Live
    replay: replay.Replay

    @property
    def log(self) -> str:
        return self.live.log.read_bytes().decode()

    @property
    def states(self) -> list[str]:
        return [cell.state for cell in self.replay.cells]

    @property
    def cells(self) -> tuple[Cell, ...]:
        return self.replay.cells

    @property
    def error(self) -> CellError | None:
        return self.replay.error

    def outputs(self, number: int) -> list[dict[str, Any]]:
        """The outputs of a code cell in the executed notebook; cells count from 1."""
        found = {n: cell for n, _, cell in number_cells(self.replay.notebook)}
        return list(found[number]["outputs"])

    def text(self, number: int, name: str = "stdout") -> str:
        """A cell's stream."""
        return "".join(out["text"] for out in self.outputs(number) if out.get("name") == name)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for _, event in read_events(self.live.events) if event["e"] == kind]


def place(folder: Path) -> Place:
    """A repository's folders, as far as the live folder needs them."""
    return Place(top=folder, git_dir=folder, common_dir=folder, index=folder / "index")


def make_live(folder: Path, run_id: str = "a" * 40, **spec: Any) -> Live:
    folder.mkdir(parents=True, exist_ok=True)
    snapshot = Snapshot(run_id, "b" * 40, RunSpec("x.ipynb", "2026-01-01T00:00:00Z", **spec), {"lr": 0.1})
    return livefolder.create(place(folder), snapshot, {})


def script_of(document: dict[str, Any]) -> str:
    """The paired script of a notebook, as jupytext writes it."""
    import jupytext
    import nbformat

    node = nbformat.from_dict(document)
    return str(jupytext.writes(node, "py:percent"))


def execute(
    folder: Path,
    *cells: str,
    how: str = "kernel",
    stop: Stop | None = None,
    document: Any = None,
    journal_type: type[Journal] = Journal,
    **job: Any,
) -> Ran:
    """Execute these cells (or this document) and read everything back."""
    made = make_live(folder / "state")
    document = document or notebook(*cells)
    if how == "script" and "script" not in job:
        script = folder / "paired.py"
        script.write_text(script_of(document))
        job["script"] = script
    environment = {
        **os.environ,
        "SNAPRUN_METRICS_FILE": str(made.metrics),
        "SNAPRUN_PARAMS_FILE": str(made.path / "params.json"),
        "SNAPRUN_ARTIFACTS_FILE": str(made.artifacts),
        **job.pop("environment", {}),
    }
    environment.pop("PYTEST_CURRENT_TEST", None)  # ipykernel looks at it
    options = {"kernel": of_python(sys.executable), "python": sys.executable, "grace": 5.0, **job}
    with journal_type(made.path) as journal:
        outcome = engine(how).run(
            Job(live=made, notebook=document, folder=folder, environment=environment, **options),
            journal,
            stop or Stop(),
        )
        journal.end(
            status=outcome.status.value, exit_code=outcome.exit_code, reason=outcome.reason, signal=outcome.signal
        )
    return Ran(outcome, made, replay.replay_live(made, document))
