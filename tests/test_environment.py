"""What is recorded of an environment: packages without starting Python, graphics cards, and no secret."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path

from snaprun.lifecycle import environment
from snaprun.notebooks.interpreter import Layout, layout_of


def test_packages_are_those_that_python_knows() -> None:
    found = environment.packages(layout_of(sys.executable, os.environ))
    assert found["ipykernel"] == importlib.metadata.version("ipykernel")
    assert found["sqlalchemy"] == importlib.metadata.version("sqlalchemy")
    assert list(found) == sorted(found)


def test_names_are_normal_and_the_first_folder_wins(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for name in ("Jupyter_Client-8.6.0.dist-info", "old-1.0-py3.11.egg-info", "no_version.egg-info"):
        (one / name).mkdir(parents=True)
    (two / "jupyter.client-9.0.dist-info").mkdir(parents=True)
    (two / "mine-0.1.dist-info").mkdir()
    (two / "mine-0.1.dist-info/direct_url.json").write_text(
        '{"url": "file:///home/me/my%20project", "dir_info": {"editable": true}}'
    )
    layout = Layout((one, two, tmp_path / "gone"), "3.11.0")
    assert environment.packages(layout) == {"jupyter-client": "8.6.0", "mine": "0.1", "old": "1.0"}
    assert environment.editables(layout) == {"mine": "/home/me/my project"}


def test_no_secret_is_recorded() -> None:
    env = {"PYTHONHASHSEED": "0", "AWS_SECRET_ACCESS_KEY": "x", "HF_TOKEN": "x", "MY_MODE": "fast", "OTHER": "x"}
    assert environment.variables(env, ["MY_MODE", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"]) == {
        "MY_MODE": "fast",
        "PYTHONHASHSEED": "0",
    }


def test_graphics_cards_are_named_by_nvidia_smi(tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA A100-SXM4-80GB'\necho 'NVIDIA A100-SXM4-80GB'\n")
    tool.chmod(0o755)
    if not list(Path("/proc/driver/nvidia/gpus").glob("*")):
        assert environment.graphics({"PATH": str(tmp_path)}) == ["NVIDIA A100-SXM4-80GB"] * 2
        assert environment.graphics({"PATH": ""}) == []
        tool.write_text("#!/bin/sh\nexit 9\n")
        assert environment.graphics({"PATH": str(tmp_path)}) == []


def test_what_cannot_be_found_out_is_left_out(tmp_path: Path) -> None:
    broken = str(tmp_path / "python")
    found = environment.describe(broken, env={"TZ": "UTC"}, origin="--python")
    assert (found["executable"], found["chosen"]) == (broken, "--python") and "packages" not in found
    assert found["variables"] == {"TZ": "UTC"} and found["cpus"]
    assert "executable" not in environment.describe(None, env={})
    whole = environment.describe(sys.executable, env=os.environ)
    assert whole["python"] == ".".join(map(str, sys.version_info[:3]))
