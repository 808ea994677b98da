"""Read what the hook demands of a notebook: the settings' table ``hook``, by kind of check and by path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any

from snaprun.errors import SettingsFault
from snaprun.settings import read_size

LEVELS = ("off", "warn", "require")
"""Not checked at all; told, but the commit goes on; the commit is refused."""


def _check(*more: str) -> dict[str, tuple[str, ...]]:
    """What a field of a policy may say that is a check."""
    return {"levels": (*LEVELS, *more)}


@dataclass(frozen=True)
class Policy:
    """What is demanded of one notebook: a level for each check, and sizes in bytes."""

    pair: str = field(default="require", metadata=_check())
    run: str = field(default="warn", metadata=_check())
    outputs: str = field(default="warn", metadata=_check("strip"))
    secrets: str = field(default="require", metadata=_check())
    size: str = field(default="warn", metadata=_check())
    leftovers: str = field(default="off", metadata=_check())
    max_output: int = 10 * 10**6
    max_image: int = 2 * 10**6

    @property
    def is_off(self) -> bool:
        """Whether nothing at all is demanded."""
        return all(self.level_of(check) == "off" for check in CHECKS)

    def level_of(self, check: str) -> str:
        """What is demanded in one check."""
        return str(getattr(self, check))


CHECKS: Mapping[str, tuple[str, ...]] = {
    item.name: item.metadata["levels"] for item in fields(Policy) if "levels" in item.metadata
}
"""The checks, and the levels that each can have."""

SIZES = tuple(item.name for item in fields(Policy) if item.name not in CHECKS)


@dataclass(frozen=True)
class Policies:
    """What is demanded of all notebooks: ``base``, with what the globs that match a path say on top, in their order."""

    base: Policy = field(default_factory=Policy)
    globs: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    trailer: bool = False

    def of(self, path: str) -> Policy:
        """What is demanded of the notebook at ``path``."""
        policy = self.base
        for glob, values in self.globs:
            if _pattern(glob).fullmatch(path):
                policy = replace(policy, **values)
        return policy


def read(table: Mapping[str, Any], *, skip: str = "") -> Policies:
    """The policies that a settings table says; ``skip`` (``SNAPRUN_SKIP``) names checks to leave out this time.

    Raises:
        SettingsFault: an unknown key, or a value that it cannot have.
    """
    keys = {item.name.replace("_", "-") for item in fields(Policy)} | {"trailer", "globs"}
    unknown = sorted(set(table) - keys)
    if unknown:
        raise SettingsFault(f"hook.{unknown[0]} is no setting", hint=f"known are {' '.join(sorted(keys))}")
    globs = table.get("globs", {})
    if not isinstance(globs, Mapping):
        raise SettingsFault("hook.globs is no table", hint='[tool.snaprun.hook.globs] "drafts/**" = "off"')
    overrides = _read_skip(skip)
    base = replace(Policy(), **_values("hook", {key: table[key] for key in table if key not in ("trailer", "globs")}))
    rules = tuple((glob, {**_rule(glob, rule), **overrides}) for glob, rule in globs.items())
    trailer = table.get("trailer", False)
    if not isinstance(trailer, bool):
        raise SettingsFault(f"hook.trailer is {trailer!r}", hint="true or false")
    return Policies(base=replace(base, **overrides), globs=rules, trailer=trailer)


def _read_skip(text: str) -> dict[str, Any]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if "all" in names:
        names = list(CHECKS)
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        raise SettingsFault(f"SNAPRUN_SKIP names {unknown[0]!r}", hint=f"it takes {', '.join(CHECKS)} or all")
    return dict.fromkeys(names, "off")


def _rule(glob: str, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return _values(f"hook.globs.{glob!r}", dict.fromkeys(CHECKS, value))
    if isinstance(value, Mapping):
        return _values(f"hook.globs.{glob!r}", value)
    raise SettingsFault(f"hook.globs.{glob!r} is {value!r}", hint='"off", or a table as {run = "off"}')


def _values(section: str, table: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name in CHECKS:
            if value not in CHECKS[name]:
                raise SettingsFault(f"{section}.{key} is {value!r}", hint=f"it takes {', '.join(CHECKS[name])}")
            values[name] = value
        elif name in SIZES:
            values[name] = _bytes(f"{section}.{key}", value)
        else:
            raise SettingsFault(f"{section}.{key} is no setting", hint=f"known are {' '.join(CHECKS)}")
    return values


def _bytes(setting: str, value: Any) -> int:
    try:
        return read_size(value)
    except ValueError as error:
        raise SettingsFault(f"{setting} is {value!r}: {error}", hint=f"mend {setting}") from error


@lru_cache(maxsize=256)
def _pattern(glob: str) -> re.Pattern[str]:
    """``*`` and ``?`` stay inside a folder, ``**`` crosses folders; a glob without a slash matches in any folder."""
    text = glob.lstrip("/") if "/" in glob else f"**/{glob}"
    if text.endswith("/"):
        text += "**"
    pattern = ""
    position = 0
    while position < len(text):
        if text.startswith("**/", position):
            pattern, position = pattern + "(?:.*/)?", position + 3
        elif text.startswith("**", position):
            pattern, position = pattern + ".*", position + 2
        elif text[position] == "*":
            pattern, position = pattern + "[^/]*", position + 1
        elif text[position] == "?":
            pattern, position = pattern + "[^/]", position + 1
        else:
            pattern, position = pattern + re.escape(text[position]), position + 1
    return re.compile(pattern, re.DOTALL)
