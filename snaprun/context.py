"""Open what every verb starts from: the repository, the settings, the folder and the environment. Nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from snaprun import settings
from snaprun.git import locate
from snaprun.git.locate import Place
from snaprun.settings import Settings


@dataclass(frozen=True)
class Context:
    """A repository as its caller sees it; ``warn`` takes a sentence that the user should read, whatever was asked."""

    place: Place
    settings: Settings
    cwd: Path
    env: Mapping[str, str]
    warn: Callable[[str], None] = field(default=lambda _: None, compare=False)


def open_context(cwd: Path, env: Mapping[str, str], warn: Callable[[str], None] = lambda _: None) -> Context:
    """Find the repository around ``cwd`` and read its settings.

    Raises:
        Unavailable: no git, no repository, a bare one. Denied: git refuses it. SettingsFault: a setting is wrong.
    """
    place = locate.find_enclosing(cwd, env)
    return Context(place=place, settings=settings.load(place, env), cwd=cwd, env=env, warn=warn)
