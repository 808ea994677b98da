"""Read the settings: built-in values, the user's file, the repository's, the environment, the command's options.

Files: ``config.toml`` in the user's configuration folder (platformdirs), and at the top of the repository
``snaprun.toml``, else ``[tool.snaprun]`` in ``pyproject.toml``. Names have dashes in files, ``SNAPRUN_`` and upper case
in the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import platformdirs

from snaprun import tomlread
from snaprun.errors import SettingsFault
from snaprun.git.locate import Place
from snaprun.nearest import nearest
from snaprun.quantities import is_finite, is_number, parse_duration, parse_size

BUILT_IN = "built-in"

NO_LIMIT = ("none", "off", "never")
"""What stands in place of a length of time where there is no limit."""

LONGEST = 1e10
"""Seconds that no limit reaches: three hundred years."""

Table = tuple[tuple[str, str], ...]
"""A small table in the order of its file, so that it can be frozen and compared."""


@dataclass(frozen=True)
class Settings:
    """Every setting with its value; :meth:`origin` says where it comes from. Sizes are bytes, durations seconds."""

    engine: str = "kernel"
    launcher: str = "local"
    kernel: str | None = None
    python: str | None = None
    timeout: float | None = None
    cell_timeout: float | None = None
    grace: float = 10.0
    jobs: int | None = None
    max_file_size: int = 50_000_000
    include: tuple[str, ...] = ()
    link: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    index_url: str | None = None
    notify_command: str | None = None
    hook: Mapping[str, Any] = field(default_factory=dict)
    better: Table = ()
    hosts: Table = ()
    origins: Mapping[str, str] = field(default_factory=dict)

    def origin(self, name: str) -> str:
        """Where a setting's value comes from: ``built-in``, a file, a variable, or ``option``."""
        return self.origins.get(name.replace("-", "_"), BUILT_IN)

    def rows(self) -> list[tuple[str, Any, str]]:
        """Every setting in its own order: name as in a file, value, origin."""
        return [(name.replace("_", "-"), getattr(self, name), self.origin(name)) for name in KEYS]


def load(place: Place, env: Mapping[str, str], options: Mapping[str, Any] | None = None) -> Settings:
    """The settings that hold in a repository. ``options`` (None: not given) are on top of everything.

    Raises:
        SettingsFault: a file is malformed, a name unknown, or a value of the wrong kind.
    """
    settings = Settings()
    for origin, values in _layers(place.top, env):
        settings = _overlay(settings, values, origin)
    return _overlay(settings, {name: item for name, item in (options or {}).items() if item is not None}, "option")


def user_file() -> Path:
    """The user's own settings file, whether it is there or not."""
    return platformdirs.user_config_path("snaprun") / "config.toml"


def read_limit(value: Any) -> float | None:
    """Seconds of a length of time, given as a number or as text; None for ``none``: without a limit.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, str) and value.strip().lower() in NO_LIMIT:
        return None
    seconds = parse_duration(value) if isinstance(value, str) else float(value) if is_number(value) else None
    if seconds is None:
        raise ValueError("want a duration: 90, 90s, 30m, 1h30m or none")
    if not 0 <= seconds < LONGEST:
        raise ValueError("want a duration of at least 0")
    return seconds


def read_size(value: Any) -> int:
    """Bytes of a size, given as a number or as text.

    Raises:
        ValueError: it is neither.
    """
    size = parse_size(value) if isinstance(value, str) else None
    if is_finite(value) and value >= 0 and value == int(value):
        size = int(value)
    if size is None:
        raise ValueError("want a size: 50000000, 50MB or 1.5GiB")
    return size


def _layers(top: Path, env: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where values come from, lowest first."""
    user = user_file()
    yield str(user), _file(user) or {}
    own = _file(top / "snaprun.toml")
    project = _file(top / "pyproject.toml", table=("tool", "snaprun"))
    if own is not None and project:
        raise SettingsFault("both snaprun.toml and pyproject.toml have settings", hint="keep them in one of the two")
    yield ("snaprun.toml", own) if own is not None else ("pyproject.toml", project or {})
    variables = {f"SNAPRUN_{name.upper()}": name for name in KEYS if name not in NOT_IN_ENV}
    for variable, name in variables.items():
        if env.get(variable):
            yield f"${variable}", {name: env[variable]}


def _file(path: Path, table: tuple[str, ...] = ()) -> Mapping[str, Any] | None:
    """The settings in a file, or None where there is no file."""
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (OSError, ValueError) as error:
        raise SettingsFault(f"{path} cannot be read: {error}", hint=f"ls -l {path}") from error
    if table and b"snaprun" not in raw:
        return {}
    try:
        document: Any = tomlread.loads(raw.decode("utf-8-sig"))
    except ValueError as error:
        raise SettingsFault(f"{path} is malformed: {error}", hint=f"mend {path}") from error
    for name in table:
        document = document.get(name, {}) if isinstance(document, dict) else document
    if not isinstance(document, dict):
        raise SettingsFault(f"[{'.'.join(table)}] in {path} is no table", hint=f"mend {path}")
    return document


def _overlay(base: Settings, values: Mapping[str, Any], origin: str) -> Settings:
    """``base`` with the values of one more layer on top."""
    new_values: dict[str, Any] = {}
    for raw_name, value in values.items():
        name = raw_name.replace("-", "_")
        if name not in KEYS:
            suggestion = nearest(raw_name, [key.replace("_", "-") for key in KEYS])
            hint = f"did you mean {suggestion}?" if suggestion else "snaprun config lists the settings"
            raise SettingsFault(f"{origin}: there is no setting {raw_name}", hint=hint)
        try:
            new_values[name] = KEYS[name](value)
            if name == "hook":  # key by key: a project adds to what the user demands everywhere
                new_values[name] = {**base.hook, **new_values[name]}
        except ValueError as error:
            dashed_name = name.replace("_", "-")
            raise SettingsFault(
                f"{origin}: {dashed_name} = {value!r}: {error}", hint=f"mend {dashed_name} there"
            ) from error
    return (
        replace(base, **new_values, origins={**base.origins, **dict.fromkeys(new_values, origin)})
        if new_values
        else base
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("want a text")
    return value


def _whole_number(value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError) as error:
        raise ValueError("want a whole number") from error
    if isinstance(value, (bool, float)) or number < 1:
        raise ValueError("want a whole number of at least 1")
    return number


def _list(value: Any) -> tuple[str, ...]:
    items = [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) and item for item in items):
        raise ValueError("want a list of texts")
    return tuple(items)


def _choice(*words: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in words:
            raise ValueError(f"want {', '.join(words[:-1])} or {words[-1]}")
        return str(value)

    return read


def _table(read: Callable[[Any], str]) -> Callable[[Any], Table]:
    """A table whose values ``read`` takes; in a variable ``name=value,name=value``."""

    def read_table(value: Any) -> Table:
        if isinstance(value, str):
            value = dict(item.strip().partition("=")[::2] for item in value.split(",") if item.strip())
        if isinstance(value, tuple):
            value = dict(value)
        if not isinstance(value, dict):
            raise ValueError("want a table")
        return tuple((str(name), read(item)) for name, item in value.items())

    return read_table


def _mapping(value: Any) -> Mapping[str, Any]:
    """A table as it stands in the file; ``hooks/policy.py`` says what may be in it."""
    if not isinstance(value, dict):
        raise ValueError("want a table")
    return value


def _duration(value: Any) -> float:
    seconds = read_limit(value)
    if seconds is None:
        raise ValueError("want a duration: 90, 90s, 30m or 1h30m")
    return seconds


KEYS: dict[str, Callable[[Any], Any]] = {
    "engine": _text,
    "launcher": _text,
    "kernel": _text,
    "python": _text,
    "timeout": read_limit,
    "cell_timeout": read_limit,
    "grace": _duration,
    "jobs": _whole_number,
    "max_file_size": read_size,
    "include": _list,
    "link": _list,
    "outputs": _list,
    "environment": _list,
    "index_url": _text,
    "notify_command": _text,
    "hook": _mapping,
    "better": _table(_choice("lower", "higher")),
    "hosts": _table(_text),
}
"""How each setting's value is read; what each is for stands in docs/settings.md."""

NOT_IN_ENV = ("python", "hook")
"""``SNAPRUN_PYTHON`` is the interpreter that the git hook calls snaprun with; a table with tables fits no variable."""
