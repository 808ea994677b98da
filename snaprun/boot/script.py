"""Run a paired script as plain Python, cell by cell. Runs in the user's interpreter: standard library only.

What differs from ``python paired.py``: the worker is told where a cell starts and ends, the folder of the notebook is
first on the import path (the script lies elsewhere), and the tags ``skip-execution`` and ``raises-exception`` count.
"""

from __future__ import annotations

import os
import sys

BOOT_FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [
    entry for entry in sys.path if os.path.abspath(entry or ".") != BOOT_FOLDER
]  # else user's modules are shadowed

import __future__

import ast
import runpy
import signal
import traceback
import types
from typing import Any

talk = types.SimpleNamespace(**runpy.run_path(os.path.join(BOOT_FOLDER, "talk.py"), run_name="snaprun_talk"))
FUTURES = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)


def main(path: str) -> int:
    """Execute the script; the exit code says nothing that the messages did not."""
    talk.prepare()
    module = types.ModuleType("__main__")
    module.__file__ = path
    sys.modules["__main__"] = module
    sys.argv = [path]
    sys.path.insert(0, os.getcwd())
    talk.send("ready")
    cells = talk.receive()["cells"] or [(0, 1, "run")]
    try:
        with open(path, "rb") as file:
            text = file.read()
        program = compile(text, path, "exec", dont_inherit=True)
        statements = ast.parse(text, path).body
    except (SyntaxError, ValueError) as error:
        number = _find_cell(cells, getattr(error, "lineno", None) or 1)
        talk.send("start", n=number)
        _report_failure(number, error)
        return 1
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for index, (first, number, mode) in enumerate(cells):
        last = cells[index + 1][0] if index + 1 < len(cells) else sys.maxsize
        body = [statement for statement in statements if first <= _first_line(statement) < last]
        if mode == "skip":
            talk.send("skip", n=number)
        elif not _run_cell(number, body, path, program.co_flags & FUTURES, module, mode):
            return 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    talk.send("over")
    return 0


def _run_cell(number: int, body: Any, path: str, flags: int, module: Any, mode: str) -> bool:
    """Execute the statements of a cell; whether to go on."""
    talk.send("start", n=number)
    try:
        code = compile(ast.Module(body, []), path, "exec", flags=flags, dont_inherit=True)
        exec(code, module.__dict__)
    except BaseException as error:  # noqa: BLE001 (what plain Python would print, the worker has to know)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if isinstance(error, SystemExit) and error.code is not None and not isinstance(error.code, int):
            sys.stderr.write(f"{error.code}\n")
        _report_failure(number, error, is_forgiven=mode == "forgive")
        if mode != "forgive":
            return False
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return True
    talk.send("done", n=number)
    return True


def _report_failure(number: int, error: BaseException, is_forgiven: bool = False) -> None:
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    lines = "".join(traceback.format_exception(type(error), error, frames)).splitlines()
    talk.send("error", n=number, forgiven=is_forgiven, traceback=lines, **talk.describe_error(error))


def _first_line(statement: Any) -> int:
    """The first line of a statement, its decorators included."""
    return int(min([statement.lineno, *(item.lineno for item in getattr(statement, "decorator_list", ()))]))


def _find_cell(cells: list[tuple[int, int, str]], line: int) -> int:
    """The cell that a line of the script belongs to."""
    return next((number for first, number, _ in reversed(cells) if first <= line), cells[0][1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
