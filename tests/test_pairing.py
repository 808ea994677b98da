"""Pairing: the script comes to be, the notebook keeps its bytes, and nothing of anybody's is overwritten."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from snaprun.errors import CannotCreate, Denied, InputMissing, SnaprunError, UsageFault
from snaprun.notebooks import jsonedit, notebook, pairing
from tests.sandbox import notebook as document

NOTEBOOKS = Path(__file__).parent / "notebooks"


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    return Path(shutil.copy(NOTEBOOKS / "digits.ipynb", tmp_path / "digits.ipynb"))


def test_a_script_beside_the_notebook(digits: Path) -> None:
    before = digits.read_bytes()
    digits.chmod(0o640)
    done = pairing.pair(digits)
    assert done.scripts == ((digits.with_suffix(".py"), True),)
    assert notebook.read(digits.with_suffix(".py")).code_hash == notebook.read(digits).code_hash
    added = b'  "jupytext": {\n   "formats": "ipynb,py:percent"\n  },\n'
    assert digits.read_bytes().replace(added, b"", 1) == before
    assert digits.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in digits.parent.iterdir()) == ["digits.ipynb", "digits.py"]


def test_twice_is_as_once(digits: Path) -> None:
    pairing.pair(digits)
    before = {path: path.read_bytes() for path in digits.parent.iterdir()}
    done = pairing.pair(digits)
    assert done.scripts[0][1] is False
    assert not done.formats_set
    assert {path: path.read_bytes() for path in digits.parent.iterdir()} == before


@pytest.mark.parametrize("content", ["print('mine')\n", "", "# %%\nlr = 3\n", b"\xff\xfe"])
def test_a_file_that_is_not_its_pair_is_left_alone(digits: Path, content: str | bytes) -> None:
    script = digits.with_suffix(".py")
    script.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = digits.read_bytes()
    with pytest.raises(CannotCreate, match="is there and"):
        pairing.pair(digits)
    assert script.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert digits.read_bytes() == before


def test_a_script_that_says_the_same_is_taken(digits: Path) -> None:
    _, text = notebook.script(notebook.read(digits).node, "python")
    digits.with_suffix(".py").write_text(text)
    done = pairing.pair(digits)
    assert done.scripts[0][1] is False
    assert done.formats_set
    assert digits.with_suffix(".py").read_text() == text


def test_a_folder_or_a_dead_link_in_the_way(digits: Path) -> None:
    digits.with_suffix(".py").symlink_to("nowhere")
    with pytest.raises(CannotCreate):
        pairing.pair(digits)
    digits.with_suffix(".py").unlink()
    digits.with_suffix(".py").mkdir()
    with pytest.raises(CannotCreate):
        pairing.pair(digits)


def test_the_configuration_of_jupytext_is_heeded(digits: Path) -> None:
    (digits.parent / "jupytext.toml").write_text('formats = "notebooks///ipynb,scripts///py:percent"\n')
    (digits.parent / "notebooks" / "deep").mkdir(parents=True)
    moved = digits.rename(digits.parent / "notebooks" / "deep" / "digits.ipynb")
    before = moved.read_bytes()
    done = pairing.pair(moved)
    assert done.scripts == ((digits.parent / "scripts" / "deep" / "digits.py", True),)
    assert done.source.endswith("jupytext.toml")
    assert moved.read_bytes() == before


def test_formats_of_the_callers_choice(digits: Path) -> None:
    done = pairing.pair(digits, "ipynb,md,py:light")
    assert [path.name for path, _ in done.scripts] == ["digits.md", "digits.py"]
    for formats in ("ipynb", "nonsense", "py:percent", "ipynb,py:nonsense"):
        with pytest.raises(SnaprunError) as caught:
            pairing.pair(digits, formats)
        assert caught.value.hint


def test_other_languages_get_their_own_script(tmp_path: Path) -> None:
    path = Path(shutil.copy(NOTEBOOKS / "cars_r.ipynb", tmp_path / "cars.ipynb"))
    assert pairing.pair(path).scripts[0][0].name == "cars.r"


def test_what_cannot_be_paired(tmp_path: Path) -> None:
    with pytest.raises(UsageFault):
        pairing.pair(NOTEBOOKS / "decay.py")
    with pytest.raises(InputMissing):
        pairing.pair(tmp_path / "gone.ipynb")
    with pytest.raises(InputMissing, match="old notebook format"):
        pairing.pair(Path(shutil.copy(NOTEBOOKS / "spectrum_v3.ipynb", tmp_path / "x.ipynb")))


def test_a_folder_that_may_not_be_written(digits: Path) -> None:
    if digits.stat().st_uid == 0:
        pytest.skip("root may write everywhere")
    digits.parent.chmod(0o500)
    with pytest.raises(Denied):
        pairing.pair(digits)
    digits.parent.chmod(0o700)


@pytest.mark.parametrize("style", [{"indent": 1}, {"indent": 4}, {}, {"separators": (",", ":")}, {"indent": "\t"}])
@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"kernelspec": {"name": "python3"}},
        {"jupytext": {"x": 1}, "a": 2, "z": 3},
        {"z": 3},
        {"a": "}"},
        {"jupytext": {"formats": "x"}},
    ],
)
def test_one_value_is_put_into_json_of_any_style(style: dict[str, Any], metadata: dict[str, Any]) -> None:
    made = document("x = '{'", parameters="lr = 1")
    made["metadata"] = metadata
    text = json.dumps(made, **style)
    put = jsonedit.put(text, ("metadata", "jupytext", "formats"), "ipynb,py:percent")
    made["metadata"].setdefault("jupytext", {})["formats"] = "ipynb,py:percent"
    assert json.loads(put) == json.loads(json.dumps(made))
    if style.get("indent") == 1 and "jupytext" not in metadata:
        assert put == json.dumps(json.loads(put), indent=1), "it looks as Jupyter would write it"


def test_json_with_something_else_on_the_way() -> None:
    with pytest.raises(ValueError, match="metadata is no object"):
        jsonedit.put('{"metadata": 3}', ("metadata", "jupytext"), 1)
    with pytest.raises(ValueError, match="document"):
        jsonedit.put("[1]", ("metadata", "jupytext"), 1)
