"""Every way an editable install reaches the live tree leads to the frozen copy instead, in children as well."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from snaprun.checkouts import slots
from tests.checkouts import ask, run_in
from tests.runs import gate
from tests.sandbox import Sandbox, wait_for
from tests.snapshots import freeze

LAYOUT = {
    "src/flat/__init__.py": "WHO = 'frozen'",
    "src/flat/inner.py": "WHO = 'frozen'",
    "src/single.py": "WHO = 'frozen'",
    "lib/other_name/__init__.py": "WHO = 'frozen'",
    "lib/other_name/inner.py": "WHO = 'frozen'",
    "ns1/space/part/__init__.py": "WHO = 'frozen'",
    "linked/flitted/__init__.py": "WHO = 'frozen'",
    "linked/flitted/inner.py": "WHO = 'frozen'",
    "hard/coded.py": "WHO = 'frozen'",
    "json5000.py": "WHO = 'frozen'",
}

FINDER = """
import sys
import sysconfig
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
MAPPING = {{'renamed': '{top}/lib/other_name'}}
class _EditableFinder:
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        for pkg, place in MAPPING.items():
            if fullname == pkg or fullname.startswith(pkg + '.'):
                rest = fullname.replace(pkg, '', 1).strip('.').split('.')
                return cls._find_spec(fullname, Path(place, *rest))
        return None
    @classmethod
    def _find_spec(cls, fullname, candidate_path):
        for candidate in (candidate_path / '__init__.py', candidate_path.with_suffix('.py')):
            if candidate.exists():
                return spec_from_file_location(fullname, candidate)
def install():
    sys.meta_path.append(_EditableFinder)
"""


@pytest.fixture(scope="module")
def env_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment without pip: its interpreter has nothing but what a test puts there."""
    folder = tmp_path_factory.mktemp("env") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    return folder


@pytest.fixture
def site(env_folder: Path) -> Iterator[Path]:
    """The site-packages folder of that environment, emptied afterwards."""
    (folder,) = env_folder.glob("lib/python*/site-packages")
    before = set(folder.iterdir())
    yield folder
    for path in set(folder.iterdir()) - before:
        if path.is_dir() and not path.is_symlink():
            subprocess.run(["rm", "-r", path], check=True)
        else:
            path.unlink()


@pytest.fixture
def project(repo: Sandbox) -> Iterator[slots.Slot]:
    """A project with packages in all layouts, frozen; then every live module says ``live``."""
    for name, content in LAYOUT.items():
        repo.write(name, content + "\n")
    repo.commit()
    slot = run_in(gate(repo), freeze(repo))
    for name in LAYOUT:
        repo.write(name, "WHO = 'live'\n")
    repo.write("src/flat/later.py", "WHO = 'live'\n")
    repo.write("src/later.py", "WHO = 'live'\n")
    yield slot
    slots.release(slot)


WAYS = {
    "path file": "flat, flat.inner, single",
    "mapping finder": "renamed, renamed.inner",
    "namespace": "space.part",
    "symlink": "flitted, flitted.inner",
}


@pytest.mark.parametrize("way", WAYS)
def test_editable_installs_mean_the_frozen_copy(
    way: str, repo: Sandbox, project: slots.Slot, env_folder: Path, site: Path
) -> None:
    top = repo.path
    if way == "path file":
        (site / "__editable__.flat-1.0.pth").write_text(f"{top}/src\n")
    elif way == "mapping finder":
        (site / "__editable___renamed_finder.py").write_text(FINDER.format(top=top))
        (site / "__editable__.renamed.pth").write_text(
            "import __editable___renamed_finder; __editable___renamed_finder.install()\n"
        )
    elif way == "namespace":
        (site / "space/elsewhere").mkdir(parents=True)
        (site / "space/elsewhere/__init__.py").write_text("WHO = 'installed'")
        (site / "ns.pth").write_text(f"{top}/ns1\n")
    else:
        (site / "flitted").symlink_to(top / "linked/flitted")
    names = WAYS[way]
    said = ask(
        env_folder / "bin/python", f"import {names}\nprint({names.replace(',', '.WHO,')}.WHO)", project.path, repo
    )
    assert set(said.split()) == {"frozen"}
    if way == "namespace":
        both = "import space.part, space.elsewhere as e; print(e.WHO)"
        assert ask(env_folder / "bin/python", both, project.path, repo) == "installed\n"


def test_a_module_made_after_the_snapshot_is_not_there(
    repo: Sandbox, project: slots.Slot, env_folder: Path, site: Path
) -> None:
    (site / "flat.pth").write_text(f"{repo.path}/src\n")
    python = env_folder / "bin/python"
    assert "No module named 'flat.later'" in ask(python, "import flat.later", project.path, repo)
    assert "No module named 'later'" in ask(python, "import later", project.path, repo)


def test_a_path_written_into_a_cell_is_redirected(repo: Sandbox, project: slots.Slot) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(repo.path / 'hard')!r}); import coded; print(coded.WHO, coded.__file__)"
    )
    assert ask(Path(sys.executable), code, project.path, repo) == f"frozen {project.path}/hard/coded.py\n"


def test_the_callers_pythonpath_is_redirected(repo: Sandbox, project: slots.Slot, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    code = "import flat, sys; print(flat.WHO); print([p for p in sys.path if 'elsewhere' in p or 'src' in p])"
    said = ask(Path(sys.executable), code, project.path, repo, PYTHONPATH=f"{other}:{repo.path}/src")
    assert said == f"frozen\n{[str(other), f'{project.path}/src']}\n"


def test_an_environment_inside_the_project_stays_itself(repo: Sandbox, project: slots.Slot) -> None:
    venv.create(repo.path / ".venv", with_pip=False, symlinks=True)
    (folder,) = (repo.path / ".venv").glob("lib/python*/site-packages")
    (folder / "installed.py").write_text("WHO = 'installed'")
    said = ask(repo.path / ".venv/bin/python", "import installed; print(installed.WHO)", project.path, repo)
    assert said == "installed\n"


def test_the_users_own_sitecustomize_still_runs(
    repo: Sandbox, project: slots.Slot, env_folder: Path, site: Path
) -> None:
    (site / "sitecustomize.py").write_text("import builtins; builtins.CUSTOM = 1\n")
    assert ask(env_folder / "bin/python", "print(CUSTOM)", project.path, repo) == "1\n"
    (site / "sitecustomize.py").unlink()
    assert ask(env_folder / "bin/python", "import sys; print('ok')", project.path, repo) == "ok\n"


def test_names_of_the_project_do_not_shadow_others(
    repo: Sandbox, project: slots.Slot, env_folder: Path, site: Path
) -> None:
    repo.write("json/__init__.py", "broken")
    (site / "top.pth").write_text(f"{repo.path}\n")
    code = "import os; os.chdir('/'); import json, json5000; print(json.dumps(1), json5000.WHO)"
    assert ask(env_folder / "bin/python", code, project.path, repo) == "1 frozen\n"


RUN = """
import pathlib, time
pathlib.Path("sync/ready").touch()
while not pathlib.Path("sync/go").exists():
    time.sleep(0.02)
import flat, renamed.inner
print(flat.WHO, renamed.inner.WHO, pathlib.Path("data/train.csv").read_text())
import subprocess, sys
print(subprocess.check_output([sys.executable, "-c", "import flat, renamed; print(flat.WHO, renamed.WHO)"], text=True))
print(subprocess.check_output(["git", "rev-parse", "HEAD"], text=True))
subprocess.run(["git", "commit", "-q", "--allow-empty", "-m", "from a cell"], check=True)
"""


def test_a_package_edited_during_the_run_stays_frozen_in_it(repo: Sandbox, env_folder: Path, site: Path) -> None:
    """The whole way: both kinds of editable install, children, linked data, and a commit made by a cell."""
    for name, content in LAYOUT.items():
        repo.write(name, content + "\n")
    repo.write(".gitignore", "/data/\n/sync/\n")
    repo.write("data/train.csv", "1")
    repo.write("sync/.keep")
    repo.notebook("nb.ipynb", RUN)
    main = repo.commit()
    packages = Path(sysconfig.get_path("purelib"))
    (site / "borrowed.pth").write_text(f"{packages}\n")
    (site / "flat.pth").write_text(f"{repo.path}/src\n")
    (site / "__editable___renamed_finder.py").write_text(FINDER.format(top=repo.path))
    (site / "__editable__.renamed.pth").write_text(
        "import __editable___renamed_finder; __editable___renamed_finder.install()\n"
    )
    started = repo.snaprun("exec", "--detach", "--python", str(env_folder / "bin/python"), "nb.ipynb")
    assert started.returncode == 0, started.stderr
    run_id = started.stdout.strip()
    wait_for((repo.path / "sync/ready").exists, "the first cell")
    for name in LAYOUT:
        repo.write(name, "WHO = 'live'\n")
    repo.write("data/train.csv", "changed")
    repo.write("sync/go")
    ref = f"refs/snaprun/runs/{run_id}"
    wait_for(lambda: repo.git("rev-parse", ref).strip() != run_id, "the result")
    log = repo.git("show", f"{ref}:.snaprun/log.txt").split()
    assert log == ["frozen", "frozen", "changed", "frozen", "frozen", run_id]
    result = json.loads(repo.git("show", f"{ref}:.snaprun/result.json"))
    assert (result["status"], result["artifacts"]) == ("succeeded", [])
    assert "data/train.csv changed during the run" in result["warnings"]
    parents = repo.git("rev-parse", f"{ref}^@").split()
    assert parents[0] == run_id and len(parents) == 2
    assert repo.git("log", "-1", "--format=%s", parents[1]) == "from a cell\n"
    assert repo.git("rev-parse", "main").strip() == main
    wait_for(lambda: not (repo.path / ".git/snaprun/live" / run_id).exists(), "the end of the run")
