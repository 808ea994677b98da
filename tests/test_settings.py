"""Settings: layers, origins, and refusals that say what was meant."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from snaprun import settings
from snaprun.errors import SettingsFault
from snaprun.git import locate
from snaprun.git.locate import Place
from tests.sandbox import Sandbox


@pytest.fixture
def place(repo: Sandbox) -> Place:
    return locate.find(repo.path, {"PATH": "/usr/local/bin:/usr/bin:/bin"})


def test_built_in_values(place: Place) -> None:
    found = settings.load(place, {})
    assert (found.max_file_size, found.engine, found.grace) == (50_000_000, "kernel", 10.0)
    assert found.origin("grace") == "built-in"


def test_every_setting_has_a_reader_a_line_in_the_docs_and_a_value() -> None:
    names = {item.name for item in fields(settings.Settings)} - {"origins"}
    lines = (Path(__file__).parent.parent / "docs" / "settings.md").read_text().splitlines()
    listed = {line.split("`")[1].replace("-", "_") for line in lines if line.startswith("| `")}
    assert names == set(settings.KEYS) == listed
    assert [name for name, _, _ in settings.Settings().rows()] == [name.replace("_", "-") for name in settings.KEYS]


def test_layers_from_low_to_high(place: Place, sealed: Path) -> None:
    user = sealed / ".config" / "snaprun" / "config.toml"
    user.parent.mkdir(parents=True)
    user.write_text('timeout = "1h"\ngrace = 1\njobs = 2\nengine = "inline"\nlink = ["a"]\n')
    (place.top / "pyproject.toml").write_text(
        '[tool.snaprun]\ngrace = 2\njobs = 3\nengine = "script"\n[tool.snaprun.better]\nelbo = "higher"\n'
    )
    found = settings.load(
        place, {"SNAPRUN_JOBS": "4", "SNAPRUN_ENGINE": "kernel"}, {"engine": "inline", "timeout": None}
    )
    assert (found.timeout, found.grace, found.jobs, found.engine, found.link) == (3600.0, 2.0, 4, "inline", ("a",))
    assert found.better == (("elbo", "higher"),)
    origins = [found.origin(name) for name in ("timeout", "grace", "jobs", "engine", "max-file-size", "better")]
    assert origins == [str(user), "pyproject.toml", "$SNAPRUN_JOBS", "option", "built-in", "pyproject.toml"]


def test_snaprun_toml_in_place_of_pyproject(place: Place) -> None:
    (place.top / "snaprun.toml").write_text('index-url = "postgresql://x/y"\n')
    (place.top / "pyproject.toml").write_text('[project]\nname = "snaprun-user"\n')
    assert settings.load(place, {}).origin("index-url") == "snaprun.toml"
    (place.top / "pyproject.toml").write_text("[tool.snaprun]\njobs = 1\n")
    with pytest.raises(SettingsFault, match="both"):
        settings.load(place, {})


@pytest.mark.parametrize(
    ("content", "said", "hint"),
    [
        ("max-file-sise = 1", "there is no setting max-file-sise", "did you mean max-file-size?"),
        ("jobs = 0", "jobs = 0", "mend jobs there"),
        ("jobs = true", "whole number", ""),
        ('max-file-size = "big"', "want a size", ""),
        ('timeout = "soon"', "want a duration", ""),
        ("link = [1]", "want a list", ""),
        ('better = {elbo = "more"}', "want lower or higher", ""),
        ("better = 3", "want a table", ""),
        ("grace = -1", "at least 0", ""),
        ("x = ", "malformed", ""),
        ('engine = ""', "want a text", ""),
    ],
)
def test_bad_settings(place: Place, content: str, said: str, hint: str) -> None:
    (place.top / "snaprun.toml").write_text(content)
    with pytest.raises(SettingsFault) as caught:
        settings.load(place, {})
    assert caught.value.code == 78
    assert said in caught.value.message
    assert "snaprun.toml" in caught.value.message
    assert hint in caught.value.hint


def test_a_table_that_is_none(place: Place) -> None:
    (place.top / "pyproject.toml").write_text("[tool]\nsnaprun = 3\n")
    with pytest.raises(SettingsFault, match="no table"):
        settings.load(place, {})


def test_variables_of_every_kind(place: Place) -> None:
    found = settings.load(
        place,
        {
            "SNAPRUN_MAX_FILE_SIZE": "1.5GiB",
            "SNAPRUN_CELL_TIMEOUT": "none",
            "SNAPRUN_LINK": "data, models",
            "SNAPRUN_BETTER": "elbo=higher,fid=lower",
            "SNAPRUN_PYTHON": "/the/hook's/own",
            "SNAPRUN_RUN_ID": "not a setting",
            "SNAPRUN_ENGINE": "",
        },
    )
    assert found.max_file_size == int(1.5 * 1024**3)
    assert found.cell_timeout is None
    assert found.link == ("data", "models")
    assert found.better == (("elbo", "higher"), ("fid", "lower"))
    assert found.python is None
    assert found.engine == "kernel"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (90, 90),
        (1.5, 1.5),
        ("90", 90),
        ("90s", 90),
        ("30m", 1800),
        ("1h30m", 5400),
        ("2 d", 172800),
        ("250ms", 0.25),
        ("none", None),
    ],
)
def test_limits(said: Any, meant: float | None) -> None:
    assert settings.read_limit(said) == meant


@pytest.mark.parametrize("said", ["", "h", "1x", True, None, [], "1h x", float("inf")])
def test_no_limits(said: Any) -> None:
    with pytest.raises(ValueError, match="duration"):
        settings.read_limit(said)


@pytest.mark.parametrize(
    ("said", "meant"), [(5, 5), ("5", 5), ("50MB", 50_000_000), ("1 kib", 1024), ("2G", 2 * 10**9), ("7B", 7)]
)
def test_sizes(said: Any, meant: int) -> None:
    assert settings.read_size(said) == meant
