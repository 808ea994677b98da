"""Runs to put into an index: complete ones, and thousands of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from snaprun.model import Cell, Metric, Run, utc
from snaprun.statuses import Status

START = 1_700_000_000.0
"""When the first made run was created, in seconds since the epoch."""


def oid(number: int, salt: str = "run") -> str:
    """An object id that looks like one, always the same for the same number."""
    return hashlib.sha1(f"{salt} {number}".encode()).hexdigest()


def run(number: int = 0, **changes: Any) -> Run:
    """A run that succeeded, created ``number`` seconds after the first, with ``changes``."""
    return Run(
        **{
            "id": oid(number),
            "commit": oid(number, "result"),
            "notebook": "work/train.ipynb",
            "status": Status.SUCCEEDED,
            "created": utc(START + number),
            "started": utc(START + number + 0.5),
            "ended": utc(START + number + 2),
            "seconds": 1.5,
            "exit_code": 0,
            "params": {"lr": 0.1, "opt": "adam", "layers": [1, 2], "deep": True},
            "metrics": {"loss": Metric(0.5, 0.25, 2.0, 10)},
            "tags": ("base",),
            "parent": oid(0, "head"),
            "branch": "main",
            "host": "here",
            "user": "ada",
            "code_hash": "c0de",
            "cells": (Cell(1, "load data", "ok", 0.5, "cell-1"), Cell(2, "fit model", "ok", 1.0)),
            **changes,
        }
    )


def many(count: int) -> Iterator[Run]:
    """Runs that differ, in the order of their making."""
    states = [Status.SUCCEEDED, Status.SUCCEEDED, Status.FAILED, Status.STOPPED]
    for number in range(count):
        yield run(
            number,
            status=states[number % 4],
            exit_code=number % 2,
            name=f"trial {number}" if number % 10 == 0 else None,
            group=f"g{number // 100}",
            params={"lr": 0.1 / (1 + number % 7), "epochs": number % 5, "opt": "sgd" if number % 3 else "adam"},
            metrics={
                "loss": Metric(1.0 / (1 + number), 0.5 / (1 + number), 2.0, 100),
                "accuracy": Metric(number / count, 0.0, number / count, 100),
            },
            tags=("even",) if number % 2 == 0 else (),
        )
