"""Every launcher starts, shows, stops and forgets a run by the same five functions."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from snaprun import launchers
from snaprun.errors import Unavailable, UsageFault
from snaprun.launchers import (
    LAUNCHERS,
    Abilities,
    LauncherKind,
    Lineup,
    Site,
    State,
    Submission,
    limits,
    local,
    plugin,
    tmux,
)
from snaprun.live.stoprequest import StopRequest
from snaprun.machine import process
from snaprun.statuses import Status
from tests import running
from tests.sandbox import Sandbox, wait_for

pytestmark = pytest.mark.usefixtures("nothing_left")

SLOW = "import time\nprint('on', flush=True)\ntime.sleep(600)"


@pytest.fixture
def tmux_server(
    nothing_left: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A tmux server of the test's own."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path_factory.mktemp("tmux")))
    monkeypatch.delenv("TMUX", raising=False)
    yield
    subprocess.run(["tmux", "kill-server"], capture_output=True, check=False)


@pytest.mark.parametrize("name", ["local", "tmux"])
@pytest.mark.usefixtures("tmux_server")
def test_a_launcher_from_submit_to_cancel(repo: Sandbox, name: str) -> None:
    launcher = launchers.launcher(name)
    site = Site(running.place(repo), os.environ)
    launcher.check(site)
    run = running.frozen(repo, repo.notebook("a.ipynb", SLOW), launcher=name)
    [handle] = launcher.submit(site, [Submission(run.id, run.live.path)])
    run.until_logged("on")
    assert launcher.poll(site, [handle]) == [State("running")]
    assert launcher.cancel(site, handle, StopRequest(signal.SIGINT))
    assert run.end().exit_code == 130
    assert launcher.poll(site, [handle]) == [State("ended")]
    assert not launcher.cancel(site, handle, StopRequest(signal.SIGINT))


@pytest.mark.usefixtures("tmux_server")
def test_a_tmux_window_shows_the_run_and_may_be_closed(repo: Sandbox) -> None:
    book = repo.notebook("a.ipynb", "import time, pathlib\nprint('on', flush=True)\n"
                         "while not pathlib.Path('GO').exists(): time.sleep(0.01)\nprint('done')")  # fmt: skip
    done = repo.snaprun("exec", "a.ipynb", "--launcher", "tmux", "--detach")
    assert done.returncode == 0, done.stderr
    run = running.found(repo, done.stdout.strip())
    run.until_logged("on")

    def windows() -> list[str]:
        listing = ["tmux", "list-windows", "-t", tmux.SESSION, "-F", "#{window_name}"]
        return subprocess.run(listing, capture_output=True, text=True, check=False).stdout.split()

    def shown() -> str:
        capture = ["tmux", "capture-pane", "-p", "-t", f"{tmux.SESSION}:{run.id[:8]}"]
        return subprocess.run(capture, capture_output=True, text=True, check=False).stdout

    assert windows() == [run.id[:8]]
    wait_for(lambda: "on" in shown().split(), "the view")
    subprocess.run(["tmux", "kill-server"], check=True)
    slot = next(event["path"] for event in run.events() if event["e"] == "slot")
    Path(slot, "GO").touch()
    assert run.end().status is Status.SUCCEEDED
    assert running.listed(run).launcher == "tmux"
    assert book.exists()


def test_without_tmux_nothing_is_made(repo: Sandbox, tmp_path: Path) -> None:
    for tool in ("git", "env"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")
    repo.notebook("a.ipynb", "1")
    with repo.untouched():
        done = repo.snaprun("exec", "a.ipynb", "--launcher", "tmux", PATH=str(tmp_path))
    assert done.returncode == Unavailable.code
    assert "tmux is not installed" in done.stderr
    assert repo.git("for-each-ref", "refs/snaprun") == ""


PAGE = Path(__file__).parent.parent / "docs" / "launchers.md"


def example() -> str:
    """The launcher that the documentation shows."""
    found = re.search(r"<!-- example: gentle_launcher.py -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def plugin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another package that brings two launchers, of which one cannot be imported."""
    (tmp_path / "gentle_launcher.py").write_text(example())
    (tmp_path / "broken_launcher.py").write_text("import no_such_module\n")
    about = tmp_path / "demo-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: demo\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[snaprun.launchers]\ngentle = gentle_launcher\nbroken = broken_launcher\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(":"))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("plugin_folder")
def test_a_plug_in_launches_runs(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", "print(6 * 7)")
    done = repo.snaprun("exec", "a.ipynb", "--launcher", "gentle")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "42\n"
    assert repo.snaprun("history", "--json").stdout.count('"launcher": "gentle"') == 1


@pytest.mark.usefixtures("plugin_folder")
def test_a_plug_in_stops_runs_and_is_asked_about_those_that_vanished(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", SLOW)
    done = repo.snaprun("exec", "a.ipynb", "--launcher", "gentle", "--detach")
    assert done.returncode == 0, done.stderr
    run = running.found(repo, done.stdout.strip())
    run.until_logged("on")
    assert os.getpriority(os.PRIO_PROCESS, run.pids()[0].pid) == 19
    assert repo.snaprun("stop", run.id).returncode == 0
    assert run.end().exit_code == 143
    lost = running.found(repo, repo.snaprun("exec", "a.ipynb", "--launcher", "gentle", "--detach").stdout.strip())
    lost.until_logged("on")
    for who in lost.pids():
        process.send(who, signal.SIGKILL)
    wait_for(lambda: repo.snaprun("history", "-q") and not lost.alive, "the settling")
    assert lost.end().reason == "its process is gone"


@pytest.mark.usefixtures("plugin_folder")
def test_a_launcher_that_cannot_give_cards_says_so(repo: Sandbox) -> None:
    with pytest.raises(Exception, match="the launcher gentle cannot give a run GPUs of its own"):
        limits.check({"CUDA_VISIBLE_DEVICES": "0"}, "gentle", gpu_count=1, max_memory=None)
    repo.notebook("a.ipynb", "1")
    done = repo.snaprun("exec", "a.ipynb", "--launcher", "gentle", "--gpus", "1")
    assert (done.returncode, "the launcher gentle cannot give a run GPUs" in done.stderr) == (Unavailable.code, True)
    assert repo.git("for-each-ref", "refs/snaprun") == ""


CARDS = """
from snaprun.launchers import Abilities

ABILITIES = Abilities(gpus=True, lineup=("jobs",))


def limit_options(options, *, gpu_count, max_memory):
    return {**options, "cards": f"{gpu_count} of 4"}
"""


def test_a_plug_in_gives_gpus(repo: Sandbox, plugin_folder: Path) -> None:
    text = f"{example()}{CARDS}"
    env = "{**site.env, 'CUDA_VISIBLE_DEVICES': ','.join(map(str, range(run.gpus))), 'CARDS': site.options['cards']}"
    (plugin_folder / "cards_launcher.py").write_text(text.replace("env=dict(site.env)", f"env={env}"))
    (plugin_folder / "demo-1.dist-info" / "entry_points.txt").write_text("[snaprun.launchers]\ncards=cards_launcher\n")
    repo.notebook("a.ipynb", "import os\nprint(os.environ['CUDA_VISIBLE_DEVICES'], 'as', os.environ['CARDS'])")
    done = repo.snaprun("exec", "a.ipynb", "--launcher", "cards", "--gpus", "2")
    assert (done.returncode, done.stdout) == (0, "0,1 as 2 of 4\n"), done.stderr
    lineup = Lineup(jobs=1, retries=1)
    assert launchers.unsupported_options("cards", lineup) == ["retries"]
    assert launchers.kind("cards") == LauncherKind("", Abilities(gpus=True, lineup=("jobs",)))


WAITING = """

def submit(site, runs):
    return [run.run for run in runs]


def poll(site, handles):
    return [State("queued") for handle in handles]
"""


def test_a_run_that_its_launcher_lets_wait_is_queued(repo: Sandbox, plugin_folder: Path) -> None:
    (plugin_folder / "gentle_launcher.py").write_text(f"{example()}{WAITING}")
    repo.notebook("a.ipynb", "1")
    for launcher, status in (("gentle", "queued"), ("local", "running")):
        started = repo.snaprun("exec", "a.ipynb", "--launcher", launcher, "--detach", "--json")
        assert (started.returncode, json.loads(started.stdout)["status"]) == (0, status), started.stderr
    assert repo.snaprun("history", "--json").stdout.count('"queued"') == 1


@pytest.mark.parametrize("name", LAUNCHERS)
def test_the_entry_of_a_launcher_is_true_to_its_module(name: str) -> None:
    kind, launcher = launchers.kind(name), launchers.launcher(name)
    assert launcher.__name__ == kind.module  # type: ignore[attr-defined]
    assert all(callable(getattr(launcher, function)) for function in plugin.FUNCTIONS)
    assert kind.abilities.shared_files == (launchers.as_remote(launcher) is None)
    assert not (kind.at_once and (kind.option or kind.abilities.lineup)), "what starts here at once lets nothing wait"
    assert kind.at_once >= (kind.has_queue or kind.starts_early)


def test_how_a_run_stands_is_asked_without_importing_its_launcher() -> None:
    code = (
        "import sys; from snaprun import launchers; from snaprun.launchers import placement\n"
        "print(*[placement.Placement(name, '17').needs_poll for name in (*launchers.LAUNCHERS, 'gentle')])\n"
        "print(*[name for name in sys.modules if name.startswith(('snaprun.launchers.', 'git.'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False False True True True True", "snaprun.launchers.placement"]


@pytest.mark.usefixtures("plugin_folder")
def test_a_broken_plug_in_is_named_and_hides_no_other() -> None:
    with pytest.raises(Unavailable, match="broken_launcher"):
        launchers.launcher("broken")
    with pytest.raises(UsageFault, match="no launcher 'locl'") as told:
        launchers.launcher("locl")
    assert "gentle" in told.value.hint
    assert launchers.launcher("gentle")


WRONG = {
    "check": ("check(site)", "raise ValueError('boom')"),
    "submit": ("submit(site, runs)", "raise ValueError('boom')"),
    "unhandled": ("submit(site, runs)", "return []"),
    "numbered": ("submit(site, runs)", "return [17 for run in runs]"),
    "poll": ("poll(site, handles)", "raise ValueError('boom')"),
    "silent": ("poll(site, handles)", "return []"),
    "odd": ("poll(site, handles)", "return [State('RUNNING') for handle in handles]"),
    "oddly": ("poll(site, handles)", "return [State('ended', status='dead') for handle in handles]"),
    "stuck": ("poll(site, handles)", "import time; time.sleep(600)"),
    "cancel": ("cancel(site, handle, request)", "sys.exit('boom')"),
}
"""What a plug-in may do wrong: the function of the example that is replaced, and what it does instead."""


@pytest.fixture
def faulty(plugin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plug-in for each of these faults, and some that are no launchers."""
    points = "gone = no_such_module\nempty = empty_launcher\nleaving = leaving_launcher\nboastful = boastful_launcher\n"
    (plugin_folder / "empty_launcher.py").write_text("")
    (plugin_folder / "boastful_launcher.py").write_text(f"{example()}\nABILITIES = {{'gpus': True}}\n")
    (plugin_folder / "leaving_launcher.py").write_text("import sys\nsys.exit('no licence')\n")
    for name, (head, body) in WRONG.items():
        (plugin_folder / f"wrong_{name}.py").write_text(f"{example()}\n\nimport sys\n\ndef {head}:\n    {body}\n")
        points += f"{name} = wrong_{name}\n"
    with (plugin_folder / "demo-1.dist-info" / "entry_points.txt").open("a") as file:
        file.write(points)
    return plugin_folder


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone", "launcher 'gone' (no_such_module) cannot be imported: No module named 'no_such_module'"),
        ("leaving", "launcher 'leaving' (leaving_launcher) cannot be imported: no licence"),
        ("empty", "launcher 'empty' (empty_launcher) has no function check"),
        ("boastful", "launcher 'boastful' (boastful_launcher) must have snaprun.launchers.Abilities as ABILITIES"),
        ("check", "launcher 'check' (wrong_check) failed: ValueError: boom (wrong_check.py:"),
        ("submit", "launcher 'submit' (wrong_submit) failed: ValueError: boom (wrong_submit.py:"),
        ("unhandled", "launcher 'unhandled' (wrong_unhandled) must return a text for each run from submit, not []"),
        ("numbered", "launcher 'numbered' (wrong_numbered) must return a text for each run from submit, not [17]"),
    ],
)
def test_a_plug_in_that_cannot_start_a_run_is_named_and_nothing_stays(repo: Sandbox, name: str, said: str) -> None:
    repo.notebook("a.ipynb", "print(6 * 7)")
    done = repo.snaprun("exec", "a.ipynb", "--launcher", name)
    assert done.returncode == Unavailable.code, done.stderr
    assert f"snaprun: error: {said}" in done.stderr
    assert repo.git("for-each-ref", "refs/snaprun") == ""
    assert repo.snaprun("history", "-q").stdout == ""


@pytest.mark.usefixtures("faulty")
def test_a_plug_in_that_fails_to_answer_is_in_nobody_s_way(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", SLOW)
    started = repo.snaprun("exec", "a.ipynb", "--launcher", "poll", "--detach")
    assert started.returncode == 0, started.stderr
    run = running.found(repo, started.stdout.strip())
    run.until_logged("on")
    told = repo.snaprun("fetch")
    assert told.returncode == Unavailable.code
    assert "launcher 'poll' (wrong_poll) failed: ValueError: boom (wrong_poll.py:" in told.stderr
    assert repo.snaprun("history", "--json").stdout.count('"running"') == 1
    assert run.id[:8] in repo.snaprun("ps").stdout
    assert repo.snaprun("stop", run.id).returncode == 0
    assert run.end().exit_code == 143


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize("name", ["silent", "odd", "oddly"])
def test_a_plug_in_that_answers_wrongly_is_named(repo: Sandbox, name: str) -> None:
    with pytest.raises(Unavailable, match=rf"wrong_{name}\) must return a State for each handle from poll, not \["):
        launchers.launcher(name).poll(Site(running.place(repo), os.environ), ["1 2 3"])


@pytest.mark.usefixtures("faulty")
def test_a_plug_in_that_does_not_answer_is_not_waited_for(repo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "PATIENCE", 0.1)
    with pytest.raises(Unavailable, match="has not answered for"):
        launchers.launcher("stuck").poll(Site(running.place(repo), os.environ), ["1 2 3"])


@pytest.mark.usefixtures("faulty")
def test_a_run_of_this_machine_is_stopped_without_its_plug_in(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", SLOW)
    started = repo.snaprun("exec", "a.ipynb", "--launcher", "cancel", "--detach")
    run = running.found(repo, started.stdout.strip())
    run.until_logged("on")
    stopped = repo.snaprun("stop", run.id)
    assert stopped.returncode == 0, stopped.stderr
    assert run.end().exit_code == 143


@pytest.mark.usefixtures("faulty")
def test_a_plug_in_that_cannot_stop_says_so(repo: Sandbox) -> None:
    site = Site(running.place(repo), os.environ)
    with pytest.raises(Unavailable, match=r"wrong_cancel\) failed: SystemExit: boom"):
        launchers.launcher("cancel").cancel(site, "handle", StopRequest(signal.SIGINT))


def test_of_two_plug_ins_with_one_name_none_is_taken(plugin_folder: Path) -> None:
    other = plugin_folder / "other-1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1\n")
    (other / "entry_points.txt").write_text("[snaprun.launchers]\ngentle = other_launcher\nlocal = other_launcher\n")
    with pytest.raises(UsageFault, match="more than one package brings a launcher 'gentle': gentle_launcher, other"):
        launchers.launcher("gentle")
    assert launchers.launcher("local") is local, "the package's own launchers are not replaced"
    with pytest.raises(UsageFault) as told:
        launchers.launcher("locl")
    assert (told.value.hint.count("gentle"), told.value.hint.count("local")) == (1, 1)
