"""Every test is sealed: its own home, its own git configuration, no inherited GIT_* or SNAPRUN_* variable."""

from __future__ import annotations

import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests import cluster
from tests.far import machine, server  # noqa: F401  # fixtures
from tests.running import leftovers
from tests.sandbox import Sandbox, wait_for
from tests.schedule import (  # noqa: F401  # hooks
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_xdist_auto_num_workers,
)

hypothesis.settings.register_profile("tests", deadline=None)  # a busy machine makes no example wrong
hypothesis.settings.load_profile("tests")


@pytest.fixture(autouse=True)
def sealed(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private home with a fixed identity; the machine's own configuration is out of sight."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(("GIT_", "SNAPRUN_", "JUPYTER_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)  # else every process compiles all sources again
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.getbasetemp() / "bytecode"))
    monkeypatch.setenv("TERM", "dumb")
    (home / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n[gc]\n\tauto = 0\n")
    return home


@pytest.fixture
def nothing_left(sealed: Path) -> Iterator[None]:
    """Afterwards no process is there that the test has started, directly or not: each one has the test's own home."""
    yield
    wait_for(lambda: not leftovers(sealed), "every process of the test to go", patience=15.0)


@pytest.fixture
def repo(tmp_path: Path) -> Sandbox:
    """A repository with one commit."""
    box = Sandbox(tmp_path / "repo")
    box.write("README", "a project\n")
    box.commit("start")
    return box


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a throw-away PostgreSQL server; the test is skipped where none is installed."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'snaprun[postgresql]'")
    script = Path(__file__).parent / "services" / "postgresql"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        started = subprocess.run([script, "start", f"{folder}/pg"], capture_output=True, text=True, check=False)
        if started.returncode == 69:
            pytest.skip(started.stderr.strip())
        assert started.returncode == 0, Path(f"{folder}/pg.log").read_text()
        yield started.stdout.strip()
        subprocess.run([script, "stop", f"{folder}/pg"], check=True)


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[Path]:
    """The folder of a throw-away Slurm cluster without accounting; the test is skipped where none can be started."""
    yield from cluster.service()


@pytest.fixture
def slurm(slurm_cluster: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That cluster, as the one that Slurm's commands talk to."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_cluster / "slurm.conf"))
    return slurm_cluster


@pytest.fixture(scope="session")
def slurm_cluster_with_books() -> Iterator[Path]:
    """The folder of one with accounting, whose controller forgets a job after two seconds; skipped as the other one."""
    yield from cluster.service("books")


@pytest.fixture
def slurm_with_books(slurm_cluster_with_books: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That cluster, as the one that Slurm's commands talk to."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_cluster_with_books / "slurm.conf"))
    return slurm_cluster_with_books


@pytest.fixture
def postgresql(postgresql_server: str) -> str:
    """The URL of an empty database."""
    psycopg = pytest.importorskip("psycopg")
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return postgresql_server.removesuffix("/postgres") + f"/{name}"
