"""What a notebook says to its run."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from datetime import date, datetime, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snaprun import track
from snaprun.notebooks import exact
from snaprun.track import ARTIFACTS, METRICS, PARAMS, artifact, log


@pytest.fixture
def metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "metrics.jsonl"
    monkeypatch.setenv(METRICS, str(path))
    return path


def logged(path: Path) -> list[tuple[str, Any, Any]]:
    if not path.exists():
        return []
    return [(one["name"], one["value"], one["step"]) for one in map(json.loads, path.read_text().splitlines())]


class Tensor:
    """A tensor of one element as torch has it: comparing or converting it otherwise is an error."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def item(self) -> Any:
        if isinstance(self.value, list):
            raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")
        return self.value

    def __bool__(self) -> bool:
        raise RuntimeError("ambiguous")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    __hash__ = None  # type: ignore[assignment]


class Hostile:
    """Every way of asking it something fails."""

    def __float__(self) -> float:
        raise OSError("no")

    def __str__(self) -> str:
        raise ValueError("no")

    __repr__ = __str__

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError(name)


def test_outside_a_run_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log(loss=1, step=2)
    artifact("x")
    assert list(tmp_path.iterdir()) == []
    assert dict(track._Params()) == {}


def test_ways_of_logging(metrics: Path) -> None:
    log(loss=0.5, acc=1, step=10)
    log({"val/loss": 0.25}, step=11)
    log({"val": {"loss": 0.2, "deep": {"er": 1.5}}}, extra=2)
    log("loss", 0.1)
    assert logged(metrics) == [
        ("loss", 0.5, 10),
        ("acc", 1, 10),
        ("val/loss", 0.25, 11),
        ("val/loss", 0.2, None),
        ("val/deep/er", 1.5, None),
        ("extra", 2, None),
        ("loss", 0.1, None),
    ]
    about = json.loads(metrics.read_text().splitlines()[0])
    assert set(about) == {"name", "value", "step", "time"}
    assert abs(about["time"] - time.time()) < 60


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), 1.0),
        (np.array([2.5]), 2.5),
        (np.array(3), 3),
        (Tensor(0.25), 0.25),
        (Tensor(4), 4),
        (True, 1.0),
        (Decimal("1.5"), 1.5),
        (Fraction(1, 4), 0.25),
        (math.inf, math.inf),
        (2**70, 2**70),
    ],
)
def test_numbers_of_all_kinds(metrics: Path, value: Any, number: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log(x=value, step=value)
    assert logged(metrics) == [("x", number, number)]


def test_nan(metrics: Path) -> None:
    log(x=math.nan, y=np.float64("nan"))
    assert [math.isnan(value) for _, value, _ in logged(metrics)] == [True, True]


@pytest.mark.parametrize(
    "value",
    [None, "0.5", b"1", [1], (), {1}, np.array([1, 2]), Tensor([1, 2]), Hostile(), object(), 1j, lambda: 1, 10**5000],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_number_is_passed_over(metrics: Path, value: Any) -> None:
    log(x=value, good=1)
    log(good=2, step=value)
    log(value)
    log(value, value, value)
    assert logged(metrics) == [("good", 1, None), ("good", 2, None)]


def test_hostile_names_and_cycles(metrics: Path) -> None:
    endless: dict[str, Any] = {"x": 1}
    endless["again"] = endless
    log({Hostile(): 1})
    log({1: 2, "a\nb": 3, "\udcff": 4, None: 5})
    log(endless)
    names = [name for name, _, _ in logged(metrics)]
    assert names[:4] == ["1", "a\nb", "\udcff", "None"]
    assert "again/again/again/again/x" in names


def test_a_file_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path / "gone" / "metrics", tmp_path, "/dev/full", "a\0b"):
        if "\0" not in str(path):
            monkeypatch.setenv(METRICS, str(path))
            monkeypatch.setenv(ARTIFACTS, str(path))
        log(loss=1)
        artifact("x")


def test_threads_and_forks_do_not_mix(metrics: Path) -> None:
    def work(number: int) -> None:
        for step in range(200):
            log(**{f"m{number}_{'x' * 200}": step}, step=step)

    pids = []
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            work(number)
            os._exit(0)
        pids.append(pid)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(3, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
    assert len(logged(metrics)) == 1200


def test_is_fast_enough(metrics: Path) -> None:
    began = time.process_time()
    for step in range(5000):
        log(loss=0.5, acc=np.float32(0.25), step=step)
    assert (time.process_time() - began) / 5000 < 100e-6


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    def give(values: Any) -> Any:
        path = tmp_path / "params.json"
        path.write_text(values if isinstance(values, str) else json.dumps(values))
        monkeypatch.setenv(PARAMS, str(path))
        return track._Params()

    return give


def test_params_are_exact(params: Any) -> None:
    values = {
        "lr": 0.1,
        "name": "ü",
        "xs": [1, 2, {"a": None}],
        "inf": -math.inf,
        "day": date(2026, 1, 2),
        "moment": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
        "by number": {1: "a", 2.5: [date(2026, 1, 2)]},
    }
    read = params({name: exact.to_json(value) for name, value in values.items()})
    assert dict(read) == values
    assert len(read) == len(values)
    assert read.get("missing", 5) == 5
    assert repr(read).startswith("params({'lr': 0.1")
    assert math.isnan(params({"x": {"$yaml": ".nan"}})["x"])


@pytest.mark.parametrize("text", ["", "[1]", "nonsense", "null"])
def test_damaged_params_are_none(params: Any, text: str) -> None:
    assert dict(params(text)) == {}


def test_params_of_a_later_version_stay_as_they_are(params: Any) -> None:
    assert params({"x": {"$yaml": "!!set {a}"}})["x"] == {"$yaml": "!!set {a}"}


def test_artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "artifacts.jsonl"
    monkeypatch.setenv(ARTIFACTS, str(path))
    monkeypatch.chdir(tmp_path)
    for given in ("model.pt", Path("out/ü.csv"), b"raw\xff", "/abs/x", None, 5, Hostile()):
        artifact(given)  # type: ignore[arg-type]
    kept = [json.loads(line)["path"] for line in path.read_text().splitlines()]
    assert kept == [f"{tmp_path}/model.pt", f"{tmp_path}/out/ü.csv", f"{tmp_path}/raw\udcff", "/abs/x"]


def test_imports_the_standard_library_alone() -> None:
    code = (
        "import sys; before = set(sys.modules); import snaprun; "
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["snaprun"]
