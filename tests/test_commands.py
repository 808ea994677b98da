"""The commands around a run, each as a real process: watching, stopping, taking files out, running again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import running
from tests.sandbox import Sandbox, wait_for

GATED = "import os, time\nprint('waiting', flush=True)\nwhile not os.path.exists(r'{}'): time.sleep(0.02)"


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that a gated notebook waits for."""
    return tmp_path / "gate"


@pytest.fixture
def going(repo: Sandbox, gate: Path) -> str:
    """The id of a run that waits at its first cell until the gate is there."""
    repo.notebook("slow.ipynb", GATED.format(gate), "print('through')")
    run_id = repo.snaprun("exec", "slow.ipynb", "--detach", "--name", "slow").stdout.strip()
    running.found(repo, run_id).until_logged("waiting")
    return run_id


def test_a_run_in_progress_is_seen_everywhere(repo: Sandbox, going: str, gate: Path) -> None:
    [item] = json.loads(repo.snaprun("ps", "--json").stdout)["runs"]
    assert (item["id"], item["status"]) == (going, "running")
    assert (item["progress"]["cell"], item["progress"]["cells"]) == (1, 2)
    assert "1/2" in repo.snaprun("ps").stdout
    assert repo.snaprun("ps", "-q").stdout == f"{going}\n"
    assert json.loads(repo.snaprun("history", "--json").stdout)["runs"][0]["status"] == "running"
    assert repo.snaprun("show", "@running").returncode == 0

    notebook = Path(repo.snaprun("open", "slow").stdout.strip())
    assert "waiting" in notebook.read_text()

    assert repo.snaprun("wait", "slow", "--timeout", "0.2").returncode == 75
    follower = subprocess.Popen(
        [sys.executable, "-m", "snaprun", "logs", "-f", "slow"], cwd=repo.path, stdout=subprocess.PIPE, text=True
    )
    gate.touch()
    assert follower.communicate()[0] == "waiting\nthrough\n"
    assert repo.snaprun("attach", "slow").returncode == 0
    assert repo.snaprun("wait", "slow").returncode == 0
    assert repo.snaprun("ps").stdout == ""


def test_stop_keeps_what_there_is(repo: Sandbox, going: str) -> None:
    done = repo.snaprun("stop", "slow", "--grace", "5")
    assert done.returncode == 0, done.stderr
    [run] = json.loads(repo.snaprun("history", "--json").stdout)["runs"]
    assert (run["status"], run["exit_code"]) == ("stopped", 143)
    assert repo.snaprun("logs", "slow").stdout.startswith("waiting\n")
    again = repo.snaprun("stop", "slow")
    assert again.returncode == 3
    assert "is not running" in again.stderr


@pytest.mark.parametrize(("times", "code"), [(1, 130)])
def test_ctrl_c_on_an_attached_exec_stops_the_run(repo: Sandbox, gate: Path, times: int, code: int) -> None:
    repo.notebook("slow.ipynb", GATED.format(gate), "print('through')")
    viewer = subprocess.Popen(
        [sys.executable, "-m", "snaprun", "exec", "slow.ipynb"],
        cwd=repo.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert viewer.stdout is not None
    assert viewer.stdout.readline() == "waiting\n"
    viewer.send_signal(signal.SIGINT)
    _, talk = viewer.communicate()
    assert viewer.returncode == code, talk
    assert "stopped" in talk
    [run] = json.loads(repo.snaprun("history", "--json").stdout)["runs"]
    assert (run["status"], run["exit_code"]) == ("stopped", 130)


def test_leaving_the_view_of_logs_lets_the_run_go_on(repo: Sandbox, going: str, gate: Path) -> None:
    follower = subprocess.Popen(
        [sys.executable, "-m", "snaprun", "logs", "-f", "slow"], cwd=repo.path, stdout=subprocess.PIPE, text=True
    )
    assert follower.stdout is not None
    assert follower.stdout.readline() == "waiting\n"
    follower.send_signal(signal.SIGINT)
    follower.communicate()
    assert follower.returncode == 130
    gate.touch()
    assert repo.snaprun("wait", "slow").returncode == 0


def test_snapshot_then_rerun_with_other_parameters(repo: Sandbox) -> None:
    repo.write("lib.py", "factor = 2\n")
    repo.notebook("nb.ipynb", "from lib import factor\nprint(x * factor)", parameters="x = 1\ny = 0")
    repo.commit()
    with repo.untouched():
        made = repo.snaprun("snapshot", "nb.ipynb", "-p", "y=5", "-m", "before the change")
        run_id = made.stdout.strip()
        assert made.stderr.startswith(f"snapshot {run_id[:8]}  nb.ipynb")
    [run] = json.loads(repo.snaprun("history", "--json").stdout)["runs"]
    assert (run["id"], run["status"], run["message"]) == (run_id, "saved", "before the change")
    repo.write("lib.py", "factor = 100\n")
    repo.notebook("nb.ipynb", "print('other')")
    done = repo.snaprun("rerun", run_id, "-p", "x=21", "-q")
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    run = json.loads(repo.snaprun("show", "@", "--json").stdout)
    assert run["params"] == {"x": 21, "y": 5}
    assert run["parent"] == repo.git("rev-parse", "HEAD").strip()


def test_a_rerun_may_run_otherwise_than_the_run(repo: Sandbox) -> None:
    repo.notebook("nb.ipynb", "print(x)", parameters="x = 1")
    run_id = repo.snaprun("snapshot", "nb.ipynb").stdout.strip()
    done = repo.snaprun("rerun", run_id, "--engine", "inline", "--cell-timeout", "1h", "--python", sys.executable, "-q")
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    run = json.loads(repo.snaprun("show", "@", "--json").stdout)
    assert (run["engine"], run["launcher"]) == ("inline", "local")
    for option, said in (("--launcher=nope", "'nope'"), ("--data=a=/b", "--data"), ("--kernel=nope", "nope")):
        done = repo.snaprun("rerun", run_id, option)
        assert done.returncode in (2, 69)
        assert said in done.stderr
    assert len(repo.snaprun("history", "-q").stdout.split()) == 2


def test_snapshot_without_a_notebook(repo: Sandbox) -> None:
    repo.write("notes.txt", "unsaved work\n")
    run_id = repo.snaprun("snapshot", "-q").stdout.strip()
    assert repo.git("show", f"{run_id}:notes.txt") == "unsaved work\n"
    done = repo.snaprun("rerun", run_id)
    assert done.returncode == 65
    assert "froze no notebook" in done.stderr


def test_restore(repo: Sandbox, tmp_path: Path) -> None:
    repo.write("src/a.py", "old\n")
    script = repo.write("tool.sh", "#!/bin/sh\n")
    script.chmod(0o755)
    repo.snaprun("snapshot")
    repo.write("src/a.py", "new\n")
    with repo.untouched():
        refused = repo.snaprun("restore", "@", "src/a.py")
        assert refused.returncode == 73
        assert "would be overwritten" in refused.stderr
        whole = repo.snaprun("restore", "@", "--to", str(tmp_path / "out"))
        assert whole.returncode == 0, whole.stderr
        assert repo.snaprun("restore", "@").returncode == 69
        assert repo.snaprun("restore", "@", "nowhere").returncode == 65
    assert (tmp_path / "out" / "src" / "a.py").read_text() == "old\n"
    assert os.access(tmp_path / "out" / "tool.sh", os.X_OK)
    assert repo.snaprun("restore", "@", "src", "--force").returncode == 0
    assert (repo.path / "src" / "a.py").read_text() == "old\n"


def test_open_writes_where_it_is_told_and_overwrites_nothing(repo: Sandbox, tmp_path: Path) -> None:
    repo.notebook("nb.ipynb", "print(6 * 7)")
    assert repo.snaprun("exec", "nb.ipynb", "-q").stdout == "42\n"
    target = tmp_path / "out.ipynb"
    assert repo.snaprun("open", "@", "-o", str(target)).stdout == f"{target}\n"
    assert json.loads(target.read_text())["cells"][0]["outputs"][0]["text"] == ["42\n"]
    assert repo.snaprun("open", "@", "-o", str(target)).returncode == 73
    assert repo.snaprun("open", "@", "-o", str(target), "--force").returncode == 0


def test_open_writes_through_a_link_and_keeps_the_mode(repo: Sandbox, tmp_path: Path) -> None:
    repo.notebook("nb.ipynb", "print(6 * 7)")
    assert repo.snaprun("exec", "nb.ipynb", "-q").stdout == "42\n"
    target, link, dead_link = tmp_path / "target.ipynb", tmp_path / "link.ipynb", tmp_path / "dead.ipynb"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    dead_link.symlink_to("elsewhere.ipynb")
    assert repo.snaprun("open", "@", "-o", str(link), "--force").returncode == 0
    assert repo.snaprun("open", "@", "-o", str(dead_link)).returncode == 0
    assert link.is_symlink() and dead_link.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640
    assert target.read_bytes() == (tmp_path / "elsewhere.ipynb").read_bytes() != b"old"
    assert json.loads(repo.snaprun("open", "@", "-o", "/dev/stdout", "--force").stdout.rpartition("/dev/stdout")[0])


def test_doctor_gc_and_config(repo: Sandbox) -> None:
    repo.notebook("nb.ipynb", "1")
    repo.snaprun("exec", "nb.ipynb", "-q")
    assert repo.snaprun("doctor").returncode == 0
    slot = repo.path / ".git" / "snaprun" / "slots" / "0"
    assert slot.exists()
    done = repo.snaprun("gc")
    assert done.returncode == 0, done.stderr
    assert not slot.exists()
    assert repo.git("worktree", "list").count("\n") == 1
    lock = repo.path / ".git" / "refs" / "snaprun" / "runs" / ("0" * 40 + ".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)  # gc has packed the refs, and their folder went with them
    lock.touch()
    wrong = repo.snaprun("doctor")
    assert wrong.returncode == 65
    assert f"rm {lock}" in wrong.stdout
    settings = json.loads(repo.snaprun("config", "--json", SNAPRUN_GRACE="3").stdout)["settings"]
    assert {"name": "grace", "value": 3.0, "origin": "$SNAPRUN_GRACE"} in settings


def test_history_filters_and_forms(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", "import snaprun\nsnaprun.log(loss=x)", parameters="x = 1.0")
    repo.notebook("b.ipynb", "1")
    for x in ("0.5", "2.5"):
        repo.snaprun("exec", "a.ipynb", "-p", f"x={x}", "-q", "-t", "sweep")
    repo.snaprun("snapshot", "b.ipynb", "--name", "plain")

    def ids(*args: str) -> list[str]:
        return repo.snaprun("history", "-q", *args).stdout.split()

    plain, high, low = ids()
    assert ids("-n", "1") == [plain]
    assert ids("--notebook", "a.ipynb") == [high, low]
    assert ids("--tag", "sweep", "--sort", "loss") == [low, high]
    assert ids("--where", "x < 1 and status == 'succeeded'") == [low]
    assert ids("--where", "metrics.loss > 1") == [high]
    assert ids("--name", "plain") == [plain]
    assert ids("--since", "1h") == [plain, high, low]
    assert ids("--status", "saved", "--status", "failed") == [plain]
    assert set(ids("--commit", "HEAD")) == {plain, high, low}
    table = repo.snaprun("history", "-p", "x", "-m", "loss").stdout.splitlines()
    assert table[0].split()[-2:] == ["x", "loss"]
    assert table[2].split()[-2:] == ["2.5", "2.5"]
    csv = repo.snaprun("history", "--csv", "--tag", "sweep").stdout.splitlines()
    assert csv[0].endswith("tags,params.x,metrics.loss")
    assert csv[1].endswith("sweep,2.5,2.5")
    none = repo.snaprun("history", "--name", "nobody")
    assert (none.returncode, none.stderr) == (3, "no run matches\n")


def test_notify_tells_the_desktop_and_the_users_command(
    repo: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "said"
    tool = tmp_path / "bin" / "notify-send"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\necho "desktop: $*" >> {said}\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SNAPRUN_NOTIFY_COMMAND", f'echo "command: $SNAPRUN_STATUS $SNAPRUN_EXIT_CODE" >> {said}')
    repo.notebook("nb.ipynb", "1 / 0")
    assert repo.snaprun("exec", "nb.ipynb", "--notify", "--name", "odd").returncode == 1
    wait_for(lambda: said.exists() and len(said.read_text().splitlines()) == 2, "both notifications")
    first, second = said.read_text().splitlines()
    assert first == "command: failed 1"
    assert second.startswith("desktop: --app-name=snaprun snaprun ")
    assert second.endswith("odd: failed, exit 1")


def test_the_script_engine_leaves_magics_out_only_when_told(repo: Sandbox) -> None:
    repo.notebook("nb.ipynb", "%matplotlib inline\nprint('ran')")
    refused = repo.snaprun("exec", "nb.ipynb", "--engine", "script")
    assert refused.returncode == 2
    assert "cell 1 would silently not run" in refused.stderr
    done = repo.snaprun("exec", "nb.ipynb", "--engine", "script", "--allow-commented-magics", "-q")
    assert (done.returncode, done.stdout) == (0, "ran\n"), done.stderr


@pytest.mark.parametrize("engine", ["inline", "script"])
def test_what_an_engine_without_a_kernel_cannot_do_is_refused_before_the_start(repo: Sandbox, engine: str) -> None:
    repo.notebook("plain.ipynb", "print('ran')")
    path = repo.notebook("r.ipynb", "x <- 1")
    content = json.loads(path.read_bytes())
    content["metadata"]["kernelspec"] = {"name": "ir", "language": "R", "display_name": "R"}
    path.write_text(json.dumps(content))
    for words, said in {
        ("r.ipynb",): f"the {engine} engine runs Python only, not r",
        ("plain.ipynb", "--kernel", "python3"): f"the {engine} engine runs without a kernel",
        ("plain.ipynb", "--hold-on-error"): f"the {engine} engine cannot be held",
    }.items():
        refused = repo.snaprun("exec", *words, "--engine", engine)
        assert (refused.returncode, refused.stdout) == (2, ""), words
        assert said in refused.stderr
        assert "--engine kernel" in refused.stderr
    assert repo.git("for-each-ref", "refs/snaprun") == ""


def test_widgets_are_refused_inline_before_the_start(repo: Sandbox) -> None:
    repo.notebook("nb.ipynb", "import ipywidgets")
    refused = repo.snaprun("exec", "nb.ipynb", "--engine", "inline")
    assert refused.returncode == 2
    assert "cell 1 imports ipywidgets" in refused.stderr
    assert repo.git("for-each-ref", "refs/snaprun") == ""
