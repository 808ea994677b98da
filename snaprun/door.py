"""What every verb starts from: the repository, the settings, the caller's folder and environment. Nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from snaprun import settings
from snaprun.git import locate
from snaprun.git.locate import Place
from snaprun.settings import Settings


@dataclass(frozen=True)
class Door:
    """A repository as its caller sees it."""

    place: Place
    settings: Settings
    cwd: Path
    env: Mapping[str, str]


def opened(cwd: Path, env: Mapping[str, str]) -> Door:
    """Find the repository around ``cwd`` and read its settings.

    Raises:
        Unavailable: no git, no repository, a bare one. Denied: git refuses it. SettingsFault: a setting is wrong.
    """
    place = locate.around(cwd, env)
    return Door(place=place, settings=settings.load(place, env), cwd=cwd, env=env)
