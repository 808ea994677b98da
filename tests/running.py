"""Start real runs the way the command does, and look at what is left of them."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snaprun import records
from snaprun.context import Context, open_context
from snaprun.freeze import capture
from snaprun.freeze.capture import SnapshotRequest
from snaprun.git import locate
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import Place
from snaprun.index import runlist
from snaprun.launchers import local
from snaprun.lifecycle import settle
from snaprun.live import livefolder, supervision
from snaprun.live.livefolder import Live
from snaprun.live.order import Order
from snaprun.machine import process
from snaprun.model import Result, Run, RunSpec, utc
from snaprun.notebooks import cells, parameters
from snaprun.notebooks.kernels import of_python
from tests.sandbox import Sandbox, wait_for

WAITING = "import pathlib, time\nprint('on', flush=True)\nwhile not pathlib.Path('GO').exists(): time.sleep(0.01)"
"""A cell that waits for :meth:`Started.go`."""


@dataclass(frozen=True)
class Started:
    """A run that was started."""

    id: str
    place: Place
    repo: GitRepo
    live: Live
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether the run has a live folder."""
        return self.live.path.exists()

    def pids(self) -> tuple[process.Identity, process.Identity]:
        """Supervisor and worker."""
        return wait_for(lambda: supervision.read_identities(self.live), "supervisor.json")  # type: ignore[no-any-return]

    def kernel(self) -> int:
        """The pid of the kernel, once it answered."""
        return int(wait_for(lambda: [e["pid"] for e in self.events() if e["e"] == "kernel"], "the kernel")[-1])

    def events(self) -> list[dict[str, Any]]:
        try:
            lines = self.live.events.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines]

    def go(self) -> None:
        """Let a cell that is :data:`WAITING` go on."""
        Path(next(event["path"] for event in self.events() if event["e"] == "slot"), "GO").touch()

    def log(self) -> str:
        """The log so far, or of the ended run."""
        try:
            return self.live.log.read_text()
        except FileNotFoundError:
            return self.file("log.txt").decode()

    def until_logged(self, text: str) -> None:
        try:
            wait_for(lambda: text in self.log(), f"{text!r} in the log")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.log()} {self.said()} {self.events()[-5:]}") from error

    def end(self) -> Result:
        """Wait for the end; how it was."""
        wait_for(lambda: not self.alive, f"the end of the run: {self.said()}")
        found = records.read_result(self.repo, self.id)
        assert found is not None
        return found

    def file(self, name: str) -> bytes:
        """A file of ``.snaprun/`` at the tip of the run's ref."""
        found = self.repo.blob(f"refs/snaprun/runs/{self.id}", f".snaprun/{name}")
        assert found is not None, name
        return found

    def outputs(self) -> str:
        """All text of the executed notebook."""
        node = json.loads(self.file("executed.ipynb"))
        found = []
        for cell in node["cells"]:
            for output in cell.get("outputs", ()):
                found.append("".join(output.get("text") or output.get("traceback") or ()))
        return "".join(found)

    def git_tip(self) -> str | None:
        """Where the run's ref stands."""
        return self.repo.resolve(f"refs/snaprun/runs/{self.id}")

    def said(self) -> str:
        """What snaprun itself had to say."""
        try:
            return (self.live.path / "snaprun.log").read_text()
        except FileNotFoundError:
            return ""

    def processes(self) -> list[int]:
        """Every process that belongs to the run, its supervisor and worker included."""
        mine = [who.pid for who in process.find_marked(self.id)]
        about = supervision.read_identities(self.live)
        return mine + [who.pid for who in about or () if process.alive(who)]


def place(box: Sandbox) -> Place:
    """The repository of a sandbox, as snaprun sees it."""
    return locate.find(box.path, os.environ)


def found(box: Sandbox, run_id: str) -> Started:
    """A run that somebody else started."""
    there = place(box)
    return Started(run_id, there, GitRepo(there), Live(there.live / run_id))


def leftovers(home: Path) -> list[str]:
    """The command line of every process that a test with this home has left."""
    mark = f"HOME={home}".encode()
    return [
        Path(f"/proc/{line.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        for line in process.read_table().values()
        if line.pid != os.getpid() and not line.dead and mark in process.read_environment(line.pid)
    ]


def context(box: Sandbox, **env: str) -> Context:
    """The sandbox as a command sees it."""
    return open_context(box.path, {**os.environ, **env})


def listed(run: Started) -> Run:
    """The run as the index has it, once its worker has recorded the start."""
    return wait_for(lambda: _listed(run), "the run in the index")  # type: ignore[no-any-return]


def _listed(run: Started) -> Run | None:
    try:
        with runlist.connect(run.place.state) as reader:
            return next(iter(runlist.query(reader, runlist.Filter(id=run.id))), None)
    except runlist.IndexGap:
        return None


def settled(run: Started) -> None:
    """Wait until supervisor and worker are gone, and settle the run."""
    wait_for(lambda: settle.settle(run.place, os.environ), "the settling")


def start(box: Sandbox, notebook: Path, *, env: Mapping[str, str] | None = None, **wanted: Any) -> Started:
    """Freeze a notebook and start its run; ``wanted`` are fields of the spec or of the order."""
    handle = wanted.pop("handle", None) or local.start({**os.environ, **(env or {})})
    run = frozen(box, notebook, **wanted)
    handle.launch(run.live.path)
    return run


def frozen(box: Sandbox, notebook: Path, **wanted: Any) -> Started:
    """Freeze a notebook and make its live folder, for somebody to launch."""
    there = place(box)
    repo = GitRepo(there)
    given = wanted.pop("params", {})
    order = {name: wanted.pop(name) for name in list(wanted) if name in Order.__dataclass_fields__}
    if "timeout" in order:
        wanted["timeout"] = order["timeout"]
    node = cells.normalize(cells.decode(notebook.read_bytes(), notebook.name), notebook.name)
    inner = notebook.relative_to(box.path).as_posix()
    spec = RunSpec(notebook=inner, created=utc(time.time()), host=socket.gethostname(), given=tuple(given), **wanted)
    taken = capture.take(
        repo, SnapshotRequest(spec=spec, params=parameters.to_json(given), source=notebook.read_bytes())
    )
    document = cells.without_outputs(parameters.inject(node, given, "python"))
    made = Order(run=taken.id, place=there, kernel=of_python(sys.executable).to_json(), python=sys.executable, **order)
    folder = livefolder.create(there, taken, made.to_json(), notebook=document)
    return Started(taken.id, there, repo, folder, given)
