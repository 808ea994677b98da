"""The fields of a run: every place that has them follows one table."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest

import snaprun
from snaprun import show
from snaprun.index import operands, rows, runlist, tables, where
from snaprun.model import CHILD_KINDS, INDEX_VERSION, JSON_KEYS, RUN_FIELDS, Result, Run, RunSpec
from snaprun.show import Columns, Look
from snaprun.statuses import Status
from tests.indexed import START, run
from tests.sandbox import Sandbox

ROOT = Path(str(snaprun.__file__)).parent.parent
COLUMNS = [field.name for field in RUN_FIELDS if field.is_column]


def test_the_table_has_every_field_of_a_run() -> None:
    assert [field.name for field in RUN_FIELDS] == [field.name for field in fields(Run)]
    origins: Mapping[str, type] = {"spec": RunSpec, "result": Result}
    for field in RUN_FIELDS:
        if field.origin in origins:
            assert field.name in {item.name for item in fields(origins[field.origin])}, field.name


def test_the_index_has_a_column_for_every_field_and_reads_it_back() -> None:
    assert list(tables.runs.c.keys()) == ["key", "repo", *COLUMNS]
    assert {name: column.nullable for name, column in tables.runs.c.items() if name in COLUMNS} == {
        field.name: field.optional for field in RUN_FIELDS if field.is_column
    }
    assert list(rows.of_run("repo", run())) == ["repo", *COLUMNS]
    assert list(runlist.FIELDS) == COLUMNS
    children = [field.name for field in RUN_FIELDS if field.kind in CHILD_KINDS]
    assert children == list(rows.CHILDREN)


def test_filters_and_sorting_know_every_field() -> None:
    assert list(operands.KINDS) == COLUMNS
    for name in COLUMNS:
        assert f'r."{name}"' in where.compile(f"{name} == none", now=START).sql
        assert where.order(name).keys == (f'r."{name}"',)


def test_json_and_csv_and_the_docs_have_every_field() -> None:
    assert list(run().to_json()) == list(JSON_KEYS)
    header = show.history_csv([run(params={}, metrics={})], Columns()).splitlines()[0].split(",")
    assert sorted(header) == sorted(name for name in JSON_KEYS if name not in ("params", "metrics"))
    document = (ROOT / "docs" / "json.md").read_text()
    listed = document.split("## `history --json`")[1].split("## `show --json`")[0]
    assert [name for name in JSON_KEYS if f"`{name}`" not in listed] == []


def test_a_list_shows_the_fields_that_have_a_heading() -> None:
    text = show.history([run(name="a", status=Status.FAILED, exit_code=None)], Columns(), Look(), now=START)
    headings = [field.heading for field in RUN_FIELDS if field.heading]
    assert text.splitlines()[0].split() == [*headings, "params"]
    assert text.splitlines()[1].split()[1:5] == ["a", "work/train.ipynb", "failed", "0"]


def test_the_newest_migration_is_the_one_that_the_fields_need() -> None:
    numbers = [int(path.name[:4]) for path in (ROOT / "migrations" / "versions").glob("[0-9]*.py")]
    assert max(numbers) == INDEX_VERSION


MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "{new:04}"
down_revision = "{old:04}"


def upgrade():
    view = op.get_bind().exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = 'run_list'").scalar()
    op.add_column("runs", sa.Column("mood", sa.Text))
    op.execute("DROP VIEW run_list")
    op.execute(view.replace("code_hash", "mood, code_hash"))
"""


@pytest.fixture
def edited(tmp_path: Path) -> Path:
    """A copy of snaprun with one more field of a run: three files are changed, and no other."""
    folder = tmp_path / "edited"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "snaprun", folder / "snaprun", ignore=ignore)
    shutil.copytree(ROOT / "migrations", folder / "migrations", ignore=ignore)
    new = INDEX_VERSION + 1
    (folder / "migrations" / "versions" / f"{new:04}_mood.py").write_text(MIGRATION.format(new=new, old=INDEX_VERSION))
    edit(
        folder / "snaprun" / "model.py",
        {
            f"INDEX_VERSION = {INDEX_VERSION}\n": f"INDEX_VERSION = {new}\n",
            '    code_hash: str = ""\n': "    mood: str | None = None\n",
            "    code_hash: str = field(": '    mood: str | None = field(default=None, metadata=_kind("text", "spec", '
            'heading="mood", sparse=True))\n',
        },
    )
    edit(
        folder / "snaprun" / "runplan.py", {"        user=_user(context.env),\n": '        mood=context.env["MOOD"],\n'}
    )
    return folder


def edit(path: Path, additions: Mapping[str, str]) -> None:
    """Add a line before another one; the version is replaced."""
    text = path.read_text()
    for line, new in additions.items():
        assert text.count(line) == 1, line
        text = text.replace(line, new if line.startswith("INDEX_VERSION") else new + line)
    path.write_text(text)


def test_a_new_field_is_a_line_a_migration_and_its_origin(repo: Sandbox, edited: Path) -> None:
    repo.notebook("a.ipynb", "x = 1")
    assert repo.snaprun("snapshot", "a.ipynb", "--name", "before").returncode == 0
    assert repo.snaprun("history").returncode == 0

    def call(*args: str) -> str:
        path = os.pathsep.join([str(edited), os.environ.get("PYTHONPATH", "")])
        done = repo.snaprun(*args, PYTHONPATH=path, MOOD="cheerful")
        assert done.returncode == 0, done.stderr
        return done.stdout

    call("snapshot", "a.ipynb", "--name", "after")
    for _ in ("recorded", "rebuilt from git"):
        after, before = json.loads(call("history", "--json"))["runs"]
        assert (after["mood"], before["mood"]) == ("cheerful", None)
        assert list(after)[-2:] == ["mood", "code_hash"]
        header, newest, _ = call("history").splitlines()
        assert header.split()[-2:] == ["mood", "params"]
        assert newest.endswith("cheerful")
        assert call("history", "-q", "--where", "mood ~ CHEER").split() == [after["id"]]
        assert call("history", "-q", "--sort", "mood").split() == [after["id"], before["id"]]
        assert ",mood," in call("history", "--csv").splitlines()[0]
        call("reindex")
