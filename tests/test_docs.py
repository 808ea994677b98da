"""What the documentation says is what there is."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from snaprun.cli import SECTIONS
from snaprun.settings import KEYS

DOCS = Path(__file__).parent.parent / "docs"
COMMANDS = [name for section in SECTIONS.values() for name in section]


@pytest.fixture(scope="module")
def refresh() -> ModuleType:
    spec = importlib.util.spec_from_file_location("refresh", DOCS / "refresh.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_page_with_todays_help(name: str, refresh: ModuleType) -> None:
    page = (DOCS / "commands" / f"{name}.md").read_text()
    assert refresh.refreshed(name, page) == page, "run: python docs/refresh.py"


def test_no_page_is_of_a_command_that_is_gone() -> None:
    assert {path.stem for path in (DOCS / "commands").glob("*.md")} == set(COMMANDS)


def test_every_setting_is_explained_and_no_other() -> None:
    page = (DOCS / "settings.md").read_text()
    listed = re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted(name.replace("_", "-") for name in KEYS)


def test_links_lead_somewhere() -> None:
    root = DOCS.parent
    for page in [root / "README.md", *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(root)}: {target}"
