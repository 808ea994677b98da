"""Bring an index to this version with alembic: apart from ``store.py``, because alembic takes 0.75 s to import."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

import snaprun
from snaprun.errors import SettingsFault
from snaprun.index.runlist import newer_version_error


def upgrade(connection: Connection, display_name: str, *, revision: str = "head") -> None:
    """Run every migration up to ``revision`` that the index behind ``connection`` lacks, inside its transaction.

    Raises:
        SettingsFault: its version is none of ours: a newer snaprun wrote it.
    """
    config = Config()
    config.set_main_option("script_location", str(_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        if "Can't locate revision" in str(error):
            raise newer_version_error(display_name) from error
        raise


def _folder() -> Path:
    """The migrations: in the installed package, or beside it in an editable install."""
    package_folder = Path(str(snaprun.__file__)).resolve().parent
    for folder in (package_folder / "migrations", package_folder.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise SettingsFault(
        f"the migrations are missing beside {package_folder}", hint="pip install --force-reinstall snaprun"
    )
