"""The main job as a user does it: the real command, a real repository, real kernels."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from tests import running
from tests.sandbox import Sandbox

TRAIN = (
    "# load the data\nfrom model import scale\nprint('scale', scale)",
    "# % fit\nimport snaprun\nfor step in range(3):\n    snaprun.log(loss=1 / (step + lr), step=step)",
    "print('done', lr, epochs, flush=True)",
)


@pytest.fixture
def project(repo: Sandbox) -> Sandbox:
    """A project with a notebook, its module, one change and one untracked file."""
    repo.write("model.py", "scale = 1\n")
    repo.write("other.py", "x = 1\n")
    repo.notebook("train.ipynb", *TRAIN, parameters="lr = 0.1\nepochs = 2")
    repo.commit()
    repo.write("other.py", "x = 2\n")
    repo.write("new.py", "y = 1\n")
    return repo


def runs(project: Sandbox, *args: str) -> list[dict[str, object]]:
    """The runs of ``history --json``."""
    done = project.snaprun("history", "--json", *args)
    assert done.stderr == ""
    found: list[dict[str, object]] = json.loads(done.stdout)["runs"]
    return found


def test_from_exec_to_reindex(project: Sandbox) -> None:
    with project.untouched():
        done = project.snaprun(
            "exec", "train.ipynb", "-p", "lr=0.01", "-p", "epochs=5", "--name", "base", "-t", "first"
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == "scale 1\ndone 0.01 5\n"
        first, second, last = done.stderr.splitlines()
        run_id = first.split()[1]
        assert first.startswith(f"snapshot {run_id}  train.ipynb + 2 changed files (1 untracked)   0.")
        assert second == f"started  {run_id}  base    logs: snaprun logs -f {run_id}"
        assert last.startswith(f"succeeded  {run_id}  exit 0  ")

        [run] = runs(project)
        assert str(run["id"]).startswith(run_id)
        assert (run["name"], run["status"], run["exit_code"], run["tags"]) == ("base", "succeeded", 0, ["first"])
        assert run["params"] == {"lr": 0.01, "epochs": 5}
        assert run["metrics"] == {"loss": {"last": 1 / 2.01, "min": 1 / 2.01, "max": 100.0, "steps": 3}}

        shown = project.snaprun("show", "base").stdout
        assert "lr      0.01" in shown
        assert "load the data" in shown
        assert project.snaprun("show", "@:.snaprun/log.txt").stdout == "scale 1\ndone 0.01 5\n"
        assert project.snaprun("show", "@:new.py").stdout == "y = 1\n"
        assert project.snaprun("logs").stdout == "scale 1\ndone 0.01 5\n"
        assert project.snaprun("logs", "--cell", "4").stdout == "done 0.01 5\n"

        listing = runs(project, "--all")
        for path in (project.path / ".git" / "snaprun").glob("index*"):
            path.unlink()
        assert runs(project, "--all") == listing
        assert project.snaprun("reindex").returncode == 0
        assert runs(project, "--all") == listing


def test_what_is_edited_during_the_run_reaches_neither_outputs_nor_result(project: Sandbox, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    project.notebook(
        "train.ipynb",
        f"import os, time\nprint('waiting', flush=True)\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.02)",
        "from model import scale\nprint('scale', scale)",
    )
    run_id = project.snaprun("exec", "train.ipynb", "--detach").stdout.strip()
    assert len(run_id) == 40
    running.found(project, run_id).until_logged("waiting")
    project.write("model.py", "scale = 2\n")
    project.notebook("train.ipynb", "print('other words')")
    with project.untouched():
        gate.touch()
        assert project.snaprun("wait", run_id).returncode == 0
    assert project.snaprun("logs", run_id).stdout == "waiting\nscale 1\n"
    assert project.snaprun("show", f"{run_id}:model.py").stdout == "scale = 1\n"
    assert "other words" not in project.snaprun("show", f"{run_id}:.snaprun/executed.ipynb").stdout


def test_a_failing_cell(project: Sandbox) -> None:
    project.notebook("train.ipynb", "x = 1", "# divide\nx / 0", "print('never')")
    done = project.snaprun("exec", "train.ipynb")
    assert done.returncode == 1
    assert "failed" in done.stderr
    [run] = runs(project, "--status", "failed")
    assert run["exit_code"] == 1
    shown = project.snaprun("show", "@failed").stdout
    assert "cell 2 failed" in shown
    assert "x / 0" in shown
    assert "ZeroDivisionError: division by zero" in shown
    assert "not-run" in shown


@pytest.mark.parametrize(
    ("cell", "code", "status", "after"),
    [("import sys; sys.exit(3)", 3, "failed", "not-run"), ("import sys; sys.exit()", 0, "succeeded", "skipped")],
)
def test_sys_exit(project: Sandbox, cell: str, code: int, status: str, after: str) -> None:
    project.notebook("train.ipynb", cell, "print('after')")
    done = project.snaprun("exec", "train.ipynb", "--json")
    assert done.returncode == code
    run = json.loads(done.stdout)
    assert (run["exit_code"], run["status"], run["cells"][1]["state"]) == (code, status, after)


def test_a_timeout(project: Sandbox) -> None:
    project.notebook("train.ipynb", "print('in', flush=True)\nimport time\ntime.sleep(600)")
    done = project.snaprun("exec", "train.ipynb", "--cell-timeout", "2")
    assert done.returncode == 124
    assert done.stdout.startswith("in\n")
    assert runs(project)[0]["status"] == "timed-out"


def test_another_language(project: Sandbox) -> None:
    data = Path(sys.prefix, "share", "jupyter", "kernels", "bash")
    if not data.exists():
        kernels = Path(os.environ["HOME"], ".local", "share", "jupyter", "kernels", "bash")
        kernels.mkdir(parents=True)
        spec = {
            "argv": [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"],
            "language": "bash",
            "display_name": "Bash",
        }
        (kernels / "kernel.json").write_text(json.dumps(spec))
    project.notebook("count.ipynb", "echo one $PWD_IS", "echo two >&2; exit_code=0", kernel="bash", language="bash")
    done = project.snaprun("exec", "count.ipynb")
    assert done.returncode == 0, done.stderr
    assert "one" in done.stdout


@pytest.mark.parametrize(
    ("args", "code", "error", "hint"),
    [
        (["exec", "missing.ipynb"], 66, "missing.ipynb", ""),
        (["exec", "train.ipynb", "-p", "learning_rat=1"], 64, "learning_rat", ""),
        (["exec", "train.ipynb", "-p", "epoch=1"], 64, "epoch", "epochs"),
        (["exec", "train.ipynb", "-p", "lr=[1"], 64, "lr", ""),
        (["exec", "train.ipynb", "-p", "class=1"], 64, "class", ""),
        (["exec", "train.ipynb", "--kernel", "pyton3"], 69, "pyton3", "python3"),
        (["exec", "train.ipynb", "--python", "/nowhere/python"], 69, "/nowhere/python", ""),
        (["exec", "train.ipynb", "--engine", "kernal"], 2, "kernal", "kernel"),
        (["exec", "train.ipynb", "--timeout", "soon"], 2, "soon", ""),
        (["show", "zzzz"], 65, "zzzz", "history"),
        (["show", "@failed"], 65, "failed", "history"),
        (["history", "--where", "lr <"], 2, "", ""),
        (["history", "--status", "fine"], 2, "fine", "succeeded"),
        (["stop", "nobody"], 65, "nobody", ""),
    ],
)
def test_bad_input_is_two_lines_and_leaves_nothing(
    project: Sandbox, args: list[str], code: int, error: str, hint: str
) -> None:
    with project.untouched():
        done = project.snaprun(*args)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first.startswith("snaprun: error: ")
    assert error in first
    assert second.startswith("hint: ")
    assert hint in second
    assert project.git("for-each-ref", "refs/snaprun") == ""
    assert not list((project.path / ".git" / "snaprun").glob("live/*"))


@pytest.mark.parametrize("name", ["a b.ipynb", "quote'\".ipynb", "-dash.ipynb", "smile 😀.ipynb", "line\nbreak.ipynb"])
def test_names(project: Sandbox, name: str) -> None:
    shutil.copy(project.path / "train.ipynb", project.path / name)
    project.notebook(name, "print('ran')")
    done = project.snaprun("exec", "-q", "--", name)
    assert (done.returncode, done.stdout) == (0, "ran\n"), done.stderr
    assert runs(project)[0]["notebook"] == name


def test_no_home_no_identity_no_locale(project: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(os.environ["HOME"], ".gitconfig").unlink()
    for name in ("HOME", "USER", "LOGNAME", "LC_ALL", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    done = project.snaprun("exec", "train.ipynb", "-q", LANG="C")
    assert done.returncode == 0, done.stderr
    assert project.snaprun("history", LANG="C").returncode == 0


def test_a_work_tree_on_another_file_system(tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    with tempfile.TemporaryDirectory(dir=other) as folder:
        box = Sandbox(Path(folder) / "tree", f"--separate-git-dir={tmp_path / 'git'}")
        box.write(".gitignore", "data/\n")
        box.write("data/x", "42")
        box.write("lib.py", "def read(): return open('data/x').read()\n")
        box.notebook("nb.ipynb", "from lib import read\nprint(read())")
        with box.untouched():
            done = box.snaprun("exec", "nb.ipynb", "-q")
        assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
