"""Launch a run on another machine over ssh: push its snapshot, start its supervisor there, and let go.

What travels is a commit and an id. The far side claims the run by creating its ref, so that a start that is repeated
after a cut connection starts nothing twice; the result comes back by git. The runs of a sweep go into the queue there,
all in one call. Connections are shared for a minute.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

from snaprun import programs
from snaprun.checkouts.links import PRIVATE
from snaprun.errors import SnaprunError, Unavailable, UsageFault
from snaprun.git import lfs, sync
from snaprun.git.gitrepo import GitRepo, split_paths
from snaprun.git.locate import clean_env
from snaprun.git.objects import SUBMODULE_MODE
from snaprun.launchers import News, Site, State, Submission, answers
from snaprun.live.names import GROWING_FILES
from snaprun.live.order import read_order
from snaprun.live.stoprequest import StopRequest

Got = TypeVar("Got")

ON = "on"
DATA = "data:"
PYTHON = "python"
KERNEL = "kernel"
"""The options: where, ``data:<name>`` for each folder that lies elsewhere there, the interpreter, the kernel."""

MARK = b"@snaprun "
PROTOCOL = 1
SSH_FAILED = 255
"""Exit code of ssh where it has failed itself; any other is that of the command there."""

NO_SNAPRUN = 96
"""Exit code of the search for snaprun on the far side, where there is none."""

NO_FILES = dict.fromkeys(GROWING_FILES, -1)
"""Instead of the bytes that are known of each file: none of it is wanted."""

PATIENCE = 20.0
"""Seconds for an answer of a few lines. A start may take longer: kernels are looked for, a checkout is not."""

PAUSES = (0.0, 0.5, 2.0)
"""Seconds before something is tried again whose connection was cut."""

START_PATIENCE = 120.0
COPY_PATIENCE = 300.0

SSH_OPTIONS = (
    "BatchMode=yes",
    "ConnectTimeout=5",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
)
"""Options of every connection: no question is asked, and silence ends it after a quarter of a minute."""

LONGEST_SOCKET = 45
"""Characters of the folder for shared connections: a socket's path has 104, ssh adds a hash of 40 and a suffix."""


@dataclass(frozen=True)
class Target:
    """A folder on a machine. ``login`` is what ssh calls it, ``python`` an interpreter there that has snaprun."""

    login: str
    port: int | None
    path: str
    python: str | None = None

    @property
    def url(self) -> str:
        """Where it is, for git."""
        return self.url_of(self.path)

    def url_of(self, path: str) -> str:
        """Where a folder of this machine is, for git."""
        port = f":{self.port}" if self.port else ""
        return f"ssh://{self.login}{port}/{quote(path.lstrip('/'), safe='/~')}"

    @property
    def ssh(self) -> str:
        """What to type to log in there."""
        return sync.login_command(self.url)

    @property
    def destination(self) -> list[str]:
        """What ssh is called with to go there; brackets belong to addresses."""
        port = ["-p", str(self.port)] if self.port else []
        user, at, host = self.login.rpartition("@")
        return [*port, "--", f"{user}{at}{host.strip('[]')}"]

    def handle(self, run: str) -> str:
        """What names a run there."""
        python = f"?python={quote(self.python, safe='/~')}" if self.python else ""
        return f"{self.url}{python}#{run}"


def check(site: Site) -> None:
    """Make sure that runs can be started there; a repository is made where there is none.

    Raises:
        UsageFault: the address makes no sense. SnaprunError: the machine cannot be reached, or something is missing.
    """
    _query_ready(site)


def notes(site: Site) -> list[str]:
    """What the user has beside the code and the other machine has not, a sentence each."""
    large = lfs.list_files(GitRepo(site.place))
    answer = _query_ready(site, _ignored_data(site), large)
    login = parse(site.options.get(ON)).login
    machine = answers.text(answer, "host", login)
    sentences = []
    absent = answers.texts(answer, "absent", login)
    if absent:
        hint = f"--data {absent[0]}=/folder/there"
        sentences.append(
            f"{machine} has no {_abbreviate(absent)}, which git ignores here: the run will not find it ({hint})"
        )
    submodules = _submodules(site)
    if submodules:
        sentences.append(f"submodules are not sent along: {_abbreviate(submodules)} will be empty on {machine}")
    pointers = [large[oid] for oid in answers.texts(answer, "pointers", login) if oid in large]
    if pointers:
        hint = f"git lfs pull in a clone there, or --data {pointers[0]}=/file/there"
        sentences.append(
            f"{machine} has not what Git LFS keeps of {_abbreviate(pointers)}: the run finds pointers there ({hint})"
        )
    return sentences


def _submodules(site: Site) -> list[str]:
    """The folders of the submodules that the index has, without asking git where there are none."""
    if not (site.place.top / ".gitmodules").exists():
        return []
    lines = GitRepo(site.place).run("ls-files", "--stage", "-z").out.split(b"\0")
    return [os.fsdecode(line.split(b"\t", 1)[1]) for line in lines if line.startswith(SUBMODULE_MODE.encode() + b" ")]


def _abbreviate(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def submit(site: Site, runs: Sequence[Submission]) -> list[str]:
    """Push the snapshots in one go and start the runs. Where the connection is cut after that, a run counts as
    submitted: whether it is will be seen.

    Raises:
        SnaprunError: nothing was pushed, or the machine refused a run.
    """
    target = parse(site.options.get(ON))
    repo = GitRepo(site.place)
    _retry(lambda: sync.push(repo, target.url, [run.run for run in runs], env=git_env(site)))
    for verb, arguments in _start_calls(site, runs):
        with suppress(ConnectionLost):
            _retry(partial(call, site.env, target, verb, arguments, patience=START_PATIENCE))
    return [handle(site, run.run) for run in runs]


def _start_calls(site: Site, runs: Sequence[Submission]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What to ask so that the runs start: one call each, or a single one that queues them all."""
    common = {
        **read_order(runs[0].live).portable_part(),
        "kernel": site.options.get(KERNEL),
        "python": site.options.get(PYTHON),
        "data": _data_folders(site),
    }
    if site.lineup is not None:
        yield "queue", {**common, "runs": [run.run for run in runs], **asdict(site.lineup)}
        return
    for run in runs:
        yield "start", {**common, "run": run.run}


def poll(site: Site, handles: Sequence[str]) -> list[State]:
    """How these runs stand. Raises Unavailable where the machine cannot be reached."""
    news_by_handle = news(site, dict.fromkeys(handles, NO_FILES))
    return [news_by_handle[handle].state for handle in handles]


def cancel(site: Site, handle: str, request: StopRequest) -> bool:
    """Ask that a run ends. Raises Unavailable where the machine cannot be reached."""
    return bool(cancel_all(site, [handle], request))


def cancel_all(site: Site, handles: Sequence[str], request: StopRequest) -> list[str]:
    """The same of many, in one call a machine; those that there was something to end of. Raises as :func:`cancel`."""
    cancelled_handles: list[str] = []
    for target, runs in _group_by_target(handles).items():
        arguments = {"runs": list(runs), **asdict(request), "signal": int(request.signal)}
        answer, _ = _retry(partial(call, site.env, target, "stop", arguments, patience=START_PATIENCE))
        run_ids = answers.texts(answer, "stopping", target.login)
        cancelled_handles += [handle for run, handle in runs.items() if run in run_ids]
    return cancelled_handles


def handle(site: Site, run: str) -> str:
    """The handle that a run will have."""
    return parse(site.options.get(ON)).handle(run)


def host(handle: str) -> str:
    """The machine's name, as ssh calls it."""
    return parse_handle(handle)[0].login.rpartition("@")[2]


def command(handle: str, verb: str) -> str:
    """What to type so that ``snaprun <verb>`` is called there."""
    target, run = parse_handle(handle)
    program = f"{_display_path(target.python)} -m snaprun" if target.python else "snaprun"
    line = f"cd {_display_path(target.path)} && {program} {verb} {run[:8]}"
    return f"{target.ssh.replace('ssh', 'ssh -t', 1)} {shlex.quote(line)}"


def news(site: Site, offsets: Mapping[str, Mapping[str, int]]) -> dict[str, News]:
    """What is new of these runs. Raises Unavailable where a machine cannot be reached."""
    news_by_handle: dict[str, News] = {}
    for target, runs in _group_by_target(offsets).items():
        arguments = {"runs": {run: offsets[handle] for run, handle in runs.items()}}
        answer, data = call(site.env, target, "news", arguments, patience=PATIENCE)
        url = target.url_of(answers.text(answer, "repository", target.login))
        for run, handle in runs.items():
            run_news, data = answers.news(answer, run, data, target.login)
            news_by_handle[handle] = replace(run_news, url=url)
    return news_by_handle


def _group_by_target(handles: Iterable[str]) -> dict[Target, dict[str, str]]:
    """For each machine and folder, the runs there with their handles."""
    targets: dict[Target, dict[str, str]] = {}
    for handle in handles:
        target, run = parse_handle(handle)
        targets.setdefault(target, {})[run] = handle
    return targets


def artifact(site: Site, handle: str, sha256: str, path: Path) -> bool:
    """Copy a file of the far artifact store to ``path``, which grows; False where it is not there.

    Raises:
        SnaprunError: the machine cannot be reached, or the disk here is full.
    """
    target, _ = parse_handle(handle)
    with path.open("ab") as file:
        while True:
            arguments = {"sha256": sha256, "offset": file.tell()}
            answer, data = _retry(partial(call, site.env, target, "artifact", arguments, patience=COPY_PATIENCE))
            file.write(data)
            if not answer.get("found") or not data:
                return bool(answer.get("found"))


def parse(text: str | None) -> Target:
    """The machine and folder that an address names: ``ssh://[user@]host[:port]/path[?python=/path/there]``.

    Raises:
        UsageFault: it is no such address.
    """
    if not text:
        raise UsageFault("on which machine?", hint="--on ssh://host/path, or a name from the hosts in the settings")
    fault = UsageFault(f"{text!r} is no address of a folder", hint="--on ssh://host/path or ssh://host/~/path")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise fault from error
    query = parse_qs(parts.query)
    path = unquote(parts.path)
    path = path[1:] if path.startswith("/~/") else path
    login_match = re.fullmatch(
        r"(?:[A-Za-z0-9._][A-Za-z0-9._+-]*@)?[A-Za-z0-9._:\[\]][A-Za-z0-9._:\[\]-]*", parts.netloc
    )
    home = path.startswith(("~", "/~")) and not re.match("~/.", path)  # itself, or that of somebody else
    is_odd = home or parts.fragment or "\n" in path or not set(query) <= {"python"}
    if parts.scheme != "ssh" or not login_match or len(path) < 2 or is_odd:
        raise fault
    login = parts.netloc if port is None else parts.netloc.rpartition(":")[0]
    return Target(login, port, path.rstrip("/"), query.get("python", [None])[0])


def parse_handle(handle: str) -> tuple[Target, str]:
    """The machine and the run that a handle names."""
    url, _, run = handle.rpartition("#")
    return parse(url), run


def git_env(site: Site) -> dict[str, str]:
    """What git needs in its environment to go the same way."""
    return {"GIT_SSH_COMMAND": shlex.join(_ssh_command(site.env)), "GIT_SSH_VARIANT": "ssh"}


class ConnectionLost(Unavailable):
    """The connection failed: what was asked may have been done or not."""


def call(
    env: Mapping[str, str], target: Target, verb: str, arguments: Mapping[str, Any], *, patience: float
) -> tuple[dict[str, Any], bytes]:
    """Ask the far side one thing: its answer, and the bytes that come with it.

    Raises:
        ConnectionLost, Denied: the machine cannot be reached. Unavailable: no snaprun there. SnaprunError: as it says.
    """
    question = json.dumps({"protocol": PROTOCOL, "path": target.path, **arguments}).encode()
    command = [*_ssh_command(env), "-T", *target.destination, _remote_command(target, verb)]
    with tempfile.TemporaryFile() as stderr:  # no pipe: a shared connection would keep it open for its whole life
        try:
            process = subprocess.run(
                command, input=question, stdout=subprocess.PIPE, stderr=stderr, timeout=patience, env=clean_env(env),
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise ConnectionLost(f"{target.login} does not answer", hint=target.ssh) from error
        except FileNotFoundError as error:
            raise Unavailable(f"{command[0]} is not installed", hint="install the OpenSSH client") from error
        stderr.seek(0)
        message = stderr.read().decode("utf-8", "replace")
    head, mark, body = process.stdout.partition(b"\n" + MARK)
    if not mark:
        raise _call_error(target, process.returncode, message or head.decode("utf-8", "replace"))
    line, newline, data = body.partition(b"\n")
    if not newline:
        raise ConnectionLost(f"{target.login} was cut off while it answered", hint=target.ssh)
    answer = answers.read(line, target.login.rpartition("@")[2])
    return answer, data


def _call_error(target: Target, code: int, message: str) -> SnaprunError:
    if code == NO_SNAPRUN:
        text = f"no Python on {target.login} has snaprun ({', '.join(_pythons(target))})"
        install = "python3 -m venv ~/.snaprun && ~/.snaprun/bin/pip install snaprun"
        return Unavailable(text, hint=f"{target.ssh} '{install}', or --on '{target.url}?python=/path/there'")
    if code != SSH_FAILED and message.strip():
        text = f"snaprun on {target.login} failed: {answers.printable(message.strip().splitlines()[-1])}"
        return Unavailable(text, hint=f"{target.ssh}, and look whether snaprun works there")
    error = sync.fault(message, target.url)
    return ConnectionLost(error.message, hint=error.hint) if type(error) is Unavailable else error


def _retry(action: Callable[[], Got]) -> Got:
    """Do something, and again where the connection was cut: all that is asked of the far side can be repeated.

    A machine that lets one wait is not asked again.
    """
    deadline = time.monotonic() + PAUSES[-1]
    for pause in PAUSES:
        try:
            return action()
        except Unavailable as error:
            is_cut = isinstance(error, ConnectionLost) or "cannot be reached" in error.message
            if not is_cut or time.monotonic() > deadline:
                raise
        time.sleep(pause)
    return action()


def _query_ready(site: Site, names: Sequence[str] = (), large: Iterable[str] = ()) -> dict[str, Any]:
    arguments = {
        "hash": GitRepo(site.place).hash_name(),
        "data": _data_folders(site),
        "python": site.options.get(PYTHON),
        "wanted": [name for name in names if name not in _data_folders(site)],
        "large": list(large),
        "after": site.lineup.after if site.lineup else None,
    }
    answer, _ = call(site.env, parse(site.options.get(ON)), "ready", arguments, patience=PATIENCE)
    return dict(answer)


def _data_folders(site: Site) -> dict[str, str]:
    return {name.removeprefix(DATA): path for name, path in site.options.items() if name.startswith(DATA)}


def _ignored_data(site: Site) -> list[str]:
    """The topmost ignored files and folders of the user's tree, but caches and environments."""
    output = GitRepo(site.place).run("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory").out
    paths = [path.rstrip("/") for path in split_paths(output)]
    topmost: list[str] = []
    for name in sorted(paths):
        is_nested = topmost and name.startswith(f"{topmost[-1]}/")
        if not is_nested and PRIVATE.isdisjoint(name.split("/")) and not name.endswith(".pyc"):
            topmost.append(name)
    return topmost


def _ssh_command(env: Mapping[str, str]) -> list[str]:
    """The ssh command: the user's own, as git would find it in the environment, with our options."""
    base = shlex.split(env.get("GIT_SSH_COMMAND") or "") or [env.get("GIT_SSH") or "ssh"]
    options = [*SSH_OPTIONS]
    folder = _socket_folder(env)
    if folder is not None:
        options += ["ControlMaster=auto", f"ControlPath={folder}/%C", "ControlPersist=60"]
    return [*base, *(part for option in options for part in ("-o", option))]


def _socket_folder(env: Mapping[str, str]) -> str | None:
    """A folder that only this user can enter for the sockets of shared connections, or None."""
    root = env.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    folder = os.path.join(root, f"snaprun-ssh-{os.getuid()}")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        stat = os.lstat(folder)
    except OSError:
        return None
    is_private = stat.st_uid == os.getuid() and stat.st_mode & 0o77 == 0 and os.path.isdir(folder)
    is_plain = re.fullmatch(r"[\w./-]+", folder, re.ASCII)
    return folder if is_private and is_plain and len(folder) <= LONGEST_SOCKET and not os.path.islink(folder) else None


def _remote_command(target: Target, verb: str) -> str:
    """A line for the far shell, whichever it is: find a Python that has snaprun, and call it there."""
    candidates = " ".join(_quote_path(path) for path in _pythons(target))
    probe = "import importlib.util as u, sys; sys.exit(u.find_spec('snaprun') is None)"
    script = (
        f'cd /; for p in {candidates}; do if "$p" -c {shlex.quote(probe)} </dev/null >/dev/null 2>&1; '
        f'then exec "$p" -m {programs.FAR} {verb}; fi; done; exit {NO_SNAPRUN}'
    )
    return f"exec sh -c {shlex.quote(script)}"


def _pythons(target: Target) -> list[str]:
    """Where to look for snaprun, first one winning."""
    if target.python:
        return [target.python]
    homes = (".snaprun", ".local/share/pipx/venvs/snaprun", ".local/share/uv/tools/snaprun")
    return [f"{target.path}/.venv/bin/python", "python3", "python", *(f"~/{home}/bin/python" for home in homes)]


def _display_path(path: str) -> str:
    """A path for a shell, as one would type it."""
    return f"~/{shlex.quote(path[2:])}" if path.startswith("~/") else shlex.quote(path)


def _quote_path(path: str) -> str:
    """A path for a shell, with its tilde alive."""
    return f'"$HOME"/{shlex.quote(path[2:])}' if path.startswith("~/") else shlex.quote(path)
