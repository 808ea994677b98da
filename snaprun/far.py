"""The far side of a run on another machine: what a launcher calls there, as ``python -m snaprun.far VERB``.

A question is one JSON object on standard input; the answer is a line of JSON behind a mark, because a shell's start-up
files may print as well, and after it the bytes that it announces. No code travels: a run is an id in a repository.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from snaprun import __version__, farplace, live, prepare, record, result, settle, stopping
from snaprun.engines import ENGINES
from snaprun.errors import CannotCreate, DataFault, SnaprunError, Unavailable
from snaprun.farplace import chosen, lay_data
from snaprun.gitrepo import GitRepo
from snaprun.launchers import local
from snaprun.locate import Place
from snaprun.model import RUN_REF, Snapshot
from snaprun.order import Order
from snaprun.sync import INCOMING

MARK = "@snaprun "
"""What the line of the answer begins with."""

PROTOCOL = 1
"""Changes when questions or answers do: both sides must agree."""

PIECE = 4 << 20
"""Bytes of one file that one answer holds at most; whoever wants more asks again."""

GROWING = ("log.txt", "metrics.jsonl", "artifacts.jsonl", "events.jsonl")
"""What grows in a live folder, the journal last: what it speaks of must be there before it."""

Answer = tuple[dict[str, Any], list[bytes]]


def main(argv: list[str]) -> int:
    """Answer one question; 0 even when the answer is an error of ours."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what was begun is finished, even if the connection is cut
    try:
        ask = json.loads(sys.stdin.buffer.read() or b"{}")
        if ask.get("protocol") != PROTOCOL:
            text = f"{socket.gethostname()} has snaprun {__version__}, which speaks another protocol"
            raise Unavailable(text, hint="install the same version of snaprun there")
        about, pieces = VERBS[argv[0]](ask)
    except SnaprunError as error:
        about, pieces = {"error": error.message, "hint": error.hint, "code": error.code}, []
    except OSError as error:
        about, pieces = {"error": f"{error.strerror}: {error.filename}", "hint": "df -h", "code": 74}, []
    out = sys.stdout.buffer
    out.write(b"\n" + MARK.encode() + json.dumps(about).encode() + b"\n")
    for piece in pieces:
        out.write(piece)
    out.flush()
    return 0


def make_ready(ask: Mapping[str, Any]) -> Answer:
    """Make sure that runs can be started in a folder: a repository is made there if there is none."""
    place = farplace.made(Path(ask["path"]), ask["hash"], os.environ)
    missing = [path for path in ask.get("data", {}).values() if not Path(path).expanduser().exists()]
    if missing:
        raise Unavailable(f"{socket.gethostname()} has no {missing[0]}", hint=f"--data NAME=FOLDER (not {missing[0]})")
    if ask.get("python"):
        farplace.python_of(ask["python"], place, os.environ)
    absent = [name for name in ask.get("wanted", ()) if not os.path.lexists(place.top / name)]
    about = {"host": socket.gethostname(), "repository": os.fspath(place.git_dir), "absent": absent}
    return {**about, "version": __version__}, []


def start(ask: Mapping[str, Any]) -> Answer:
    """Claim a run that was pushed here, and start it; one that is claimed already goes on as it is."""
    place = farplace.found(Path(ask["path"]), os.environ)
    repo = GitRepo(place)
    run = str(ask["run"])
    if RUN_REF + run in repo.refs(RUN_REF + run):
        return {"claimed": False}, []
    order, frozen = _order(repo, run, ask)
    handle = local.start(os.environ, engine=frozen.spec.engine)
    folder = None
    claimed = False
    try:
        document = prepare.prepare(repo, run, frozen.spec)
        repo.move_ref(RUN_REF + run, run, None)
        claimed = True
        folder = live.create(place, frozen, order.to_json(), notebook=document)
        handle.launch(folder.path)
    except BaseException as error:
        handle.abandon()
        if folder is not None:
            live.remove(folder)
        if claimed:
            repo.delete_ref(RUN_REF + run, run)
        elif isinstance(error, CannotCreate):  # somebody else has just claimed it
            return {"claimed": False}, []
        raise
    _forget_incoming(repo, run)
    return {"claimed": True}, []


def news(ask: Mapping[str, Any]) -> Answer:
    """How runs stand, and what is new in their live folders; ``runs`` holds the bytes known by run and file."""
    place = farplace.found(Path(ask["path"]), os.environ)
    settle.settle(place, os.environ)
    repo = GitRepo(place)
    about: dict[str, Any] = {}
    pieces: list[bytes] = []
    for run, known in ask["runs"].items():
        folder = live.find(place, run)
        sizes: list[tuple[str, int]] = []
        if folder is not None:
            for name, data in _grown(folder.path, known):
                sizes.append((name, len(data)))
                pieces.append(data)
            about[run] = {"state": "running", "files": sizes}
        else:
            about[run] = {**_over(repo, run), "files": sizes}
    return {"host": socket.gethostname(), "repository": os.fspath(place.git_dir), "runs": about}, pieces


def stop(ask: Mapping[str, Any]) -> Answer:
    """Ask a run that it ends."""
    place = farplace.found(Path(ask["path"]), os.environ)
    folder = live.find(place, str(ask["run"]))
    if folder is None:
        return {"stopping": False}, []
    asked = stopping.request(folder, int(ask["signal"]), grace=ask.get("grace"), kill=bool(ask.get("kill")))
    if not asked:
        settle.settle(place, os.environ)
    return {"stopping": asked}, []


def artifact(ask: Mapping[str, Any]) -> Answer:
    """A piece of a file of the artifact store, from a byte on."""
    place = farplace.found(Path(ask["path"]), os.environ)
    name = str(ask["sha256"])
    if len(name) != 64 or not name.isalnum():
        raise DataFault(f"{name} is no sha256", hint="snaprun show --json")
    try:
        with (place.state / "artifacts" / name).open("rb") as file:
            file.seek(int(ask["offset"]))
            return {"found": True}, [file.read(PIECE)]
    except FileNotFoundError:
        return {"found": False}, []


VERBS: Mapping[str, Callable[[Mapping[str, Any]], Answer]] = {
    "ready": make_ready,
    "start": start,
    "news": news,
    "stop": stop,
    "artifact": artifact,
}


def _order(repo: GitRepo, run: str, ask: Mapping[str, Any]) -> tuple[Order, Snapshot]:
    """What to run, and how, with an interpreter and a kernel of this machine."""
    place: Place = repo.place
    if repo.resolve(run) is None:
        raise DataFault(f"run {run[:8]} did not arrive", hint="try again")
    spec = record.read_spec(repo, run)
    if spec.engine not in ENGINES:
        raise Unavailable(f"there is no engine {spec.engine!r} on {socket.gethostname()}", hint="--engine kernel")
    kernel, python = chosen(place, spec, kernel=ask.get("kernel"), python=ask.get("python"), env=os.environ)
    wishes = ask["order"]
    order = Order(
        run=run,
        place=place,
        grace=wishes["grace"],
        timeout=wishes["timeout"],
        hold=wishes["hold"],
        max_file_size=wishes["max_file_size"],
        link=(*wishes["link"], *lay_data(repo, run)),
        outputs=tuple(wishes["outputs"]),
        kernel=kernel.to_json() if kernel else None,
        python=python,
        options={"data": {name: os.path.expanduser(path) for name, path in ask.get("data", {}).items()}},
    )
    return order, Snapshot(run, "", spec, record.read_params(repo, run))


def _grown(folder: Path, known: Mapping[str, int]) -> list[tuple[str, bytes]]:
    """What files have beyond the bytes known. The journal is read first, so that the others hold what it speaks of."""
    found = {}
    for name in reversed(GROWING):
        try:
            with (folder / name).open("rb") as file:
                file.seek(known.get(name, 0))
                found[name] = file.read(PIECE)
        except FileNotFoundError:  # it ends right now
            continue
    if len(found.get("log.txt", b"")) == PIECE:  # the journal must not run ahead of the log
        found.pop("events.jsonl", None)
    return [(name, found[name]) for name in GROWING if found.get(name)]


def _over(repo: GitRepo, run: str) -> dict[str, Any]:
    """How a run without a live folder stands: its result commit decides."""
    try:
        tip = result.finished(repo, run)
    except DataFault as error:
        return {"state": "unknown", "reason": error.message}
    if tip is None:
        return {"state": "unknown", "reason": f"{socket.gethostname()} has neither a process nor a result of it"}
    return {"state": "ended", "tip": tip}


def _forget_incoming(repo: GitRepo, run: str) -> None:
    if INCOMING + run in repo.refs(INCOMING + run):
        repo.delete_ref(INCOMING + run, run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
