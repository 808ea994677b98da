"""How long comparing takes: cells matched, outputs compared. ``python benchmarks/compare.py``."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from snaprun.diffs import cellmatch, outputs
from snaprun.diffs.cellmatch import CellItem

WORDS = [
    "model",
    "fit",
    "x",
    "y",
    "plot",
    "axis",
    "loss",
    "data",
    "train",
    "load",
    "mean",
    "std",
    "print",
    "rng",
    "epoch",
]


def main() -> None:
    """Print one line a case, with the best of three times."""
    rng = random.Random(1)
    for count in (60, 150, 1000, 5000):
        a = [_source(rng) for _ in range(count)]
        b = list(a)
        b[4] = b[4].replace("=", "+=", 1)
        b.insert(2, _source(rng))
        b.insert(15, b.pop(10))
        _line(f"{count} cells without ids: an insert, an edit, a move", lambda a=a, b=b: _match(a, b))
    for count in (80, 1000):
        a = [_source(rng) for _ in range(count)]
        b = [text.replace("_", "_z", 3) for text in a]
        _line(f"{count} cells without ids, all edited", lambda a=a, b=b: _match(a, b))
    lines = [f"line {number} {number * 0.37:.5f}\n" for number in range(2_000_000)]
    one = "".join(lines)
    lines[1_000_000] = "another\n"
    other = "".join(lines)
    _line(f"{len(one) // 10**6} MB of text, one line differs", lambda: _texts(one, other))
    _line(f"{len(one) // 10**6} MB of text, every line differs", lambda: _texts(one, one.replace("line", "lime")))


def _source(rng: random.Random) -> str:
    return "\n".join(
        f"{rng.choice(WORDS)}_{rng.randrange(200)} = {rng.choice(WORDS)}({rng.choice(WORDS)}, {rng.randrange(9)})"
        for _ in range(10)
    )


def _match(a: list[str], b: list[str]) -> None:
    cellmatch.match([CellItem("code", text) for text in a], [CellItem("code", text) for text in b])


def _texts(a: str, b: str) -> None:
    outputs.compare(
        [{"output_type": "stream", "name": "stdout", "text": a}],
        [{"output_type": "stream", "name": "stdout", "text": b}],
    )


def _line(what: str, job: Callable[[], None]) -> None:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        job()
        times.append(time.perf_counter() - start)
    print(f"{min(times) * 1000:9.1f} ms  {what}")


if __name__ == "__main__":
    main()
