"""Kernel specs as Jupyter would find them, and the choice among them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from snaprun.errors import Unavailable
from snaprun.notebooks import kernels


def spec(folder: Path, name: str, language: str, argv: list[str]) -> None:
    """Install a kernel spec below a Jupyter data folder."""
    where = folder / "kernels" / name
    where.mkdir(parents=True)
    (where / "kernel.json").write_text(json.dumps({"argv": argv, "language": language, "display_name": name}))


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    data = tmp_path / "data"
    spec(data, "ir", "R", ["R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}"])
    spec(data, "conda-env", "python", ["/opt/conda/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"])
    spec(data, "octave", "octave", ["{resource_dir}/start", "{connection_file}"])
    (data / "kernels" / "broken").mkdir()
    (data / "kernels" / "broken" / "kernel.json").write_text("{")
    return {"HOME": str(tmp_path / "home"), "JUPYTER_PATH": str(data)}


def test_specs_are_read_and_a_broken_one_is_passed_over(env: dict[str, str]) -> None:
    found = kernels.read_specs(env)
    assert {"ir", "conda-env", "octave"} <= set(found)
    assert "broken" not in found
    assert found["conda-env"].python == "/opt/conda/bin/python"
    assert found["ir"].python is None
    assert found["octave"].argv[0].endswith("/kernels/octave/start")


def test_the_first_folder_wins(env: dict[str, str], tmp_path: Path) -> None:
    spec(tmp_path / "prefix" / "share" / "jupyter", "ir", "R", ["other", "{connection_file}"])
    assert kernels.read_specs(env, [str(tmp_path / "prefix")])["ir"].argv[0] == "other"


def test_a_python_notebook_runs_in_the_chosen_interpreter_whatever_its_kernel_is_called(env: dict[str, str]) -> None:
    available = kernels.read_specs(env)
    kernel, notes = kernels.choose(
        available, name=None, notebook_kernel="my-old-env", language="python", python=sys.executable
    )
    assert (kernel.python, notes) == (sys.executable, ())


def test_another_language_falls_back_within_the_language_with_a_note(env: dict[str, str]) -> None:
    kernel, notes = kernels.choose(
        kernels.read_specs(env), name=None, notebook_kernel="ir32", language="r", python=sys.executable
    )
    assert kernel.name == "ir"
    assert notes == ("kernel 'ir32' is not installed: running with 'ir'",)


def test_never_another_language(env: dict[str, str]) -> None:
    with pytest.raises(Unavailable, match="julia"):
        kernels.choose(
            kernels.read_specs(env), name=None, notebook_kernel="julia-1.9", language="julia", python=sys.executable
        )


def test_an_unknown_kernel_gets_the_nearest_name_or_the_list(env: dict[str, str]) -> None:
    available = kernels.read_specs(env)
    with pytest.raises(Unavailable) as near:
        kernels.choose(available, name="octav", notebook_kernel=None, language="octave", python=None)
    assert near.value.hint == "--kernel octave"
    with pytest.raises(Unavailable) as none:
        kernels.choose(available, name="zzz", notebook_kernel=None, language="octave", python=None)
    assert "ir" in none.value.hint


def test_the_order_that_the_worker_gets_reads_back(env: dict[str, str]) -> None:
    kernel = kernels.read_specs(env)["ir"]
    assert kernels.Kernel.from_json(json.loads(json.dumps(kernel.to_json()))) == kernel
