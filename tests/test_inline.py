"""What is special about the inline engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from snaprun.engines.inline import refusal
from tests.engineroom import BASH, execute
from tests.sandbox import notebook


def test_streams_and_displays_keep_their_order(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom IPython.display import display\n"
        "for n in range(200):\n"
        "    print(f'a{n}'); os.system(f'echo b{n}') if n % 50 == 0 else None\n"
        "    display({'text/plain': str(n)}, raw=True)\n"
    )
    ran = execute(tmp_path, code, how="inline")
    kinds = [out["output_type"] for out in ran.outputs(1)]
    assert kinds == ["stream", "display_data"] * 200
    assert ran.outputs(1)[0]["text"] == "a0\nb0\n"
    assert [out["data"]["text/plain"] for out in ran.outputs(1)[1::2]] == [str(n) for n in range(200)]


@pytest.mark.parametrize("line", ["import ipywidgets as w", "from ipywidgets import interact", "    import ipympl"])
def test_widgets_are_refused_by_name(tmp_path: Path, line: str) -> None:
    ran = execute(tmp_path, "x = 1", line, how="inline")
    assert ran.outcome.exit_code == 69
    assert "cell 2 imports ip" in (ran.outcome.reason or "")
    assert "--engine kernel" in (ran.outcome.reason or "")


def test_other_languages_are_refused(tmp_path: Path) -> None:
    ran = execute(tmp_path, "echo", how="inline", kernel=BASH)
    assert ran.outcome.exit_code == 69
    assert "bash" in (ran.outcome.reason or "")


def test_what_can_run_is_not_refused() -> None:
    skipped = notebook("import ipywidgets")
    skipped["cells"][0]["metadata"]["tags"] = ["skip-execution"]
    assert refusal(skipped) is None
    assert refusal(notebook("x = 'import ipywidgets'")) is None


def test_a_widget_that_comes_by_another_way_is_a_warning(tmp_path: Path) -> None:
    code = (
        "from IPython.display import display\n"
        "display({'application/vnd.jupyter.widget-view+json': {'model_id': 'x'}, 'text/plain': 'w'}, raw=True)"
    )
    ran = execute(tmp_path, code, how="inline")
    assert (ran.outcome.exit_code, len(ran.replay.notes)) == (0, 1)


def test_pools_by_spawn(tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(
        "def double(x):\n    import os; os.write(1, f'at {x}\\n'.encode())\n    return 2 * x\n"
    )
    code = (
        "import multiprocessing as mp, work\n"
        "with mp.get_context('spawn').Pool(2) as pool:\n    print(pool.map(work.double, [1, 2]))"
    )
    ran = execute(tmp_path, code, how="inline")
    assert ran.outcome.exit_code == 0, ran.log
    assert sorted(ran.text(1).splitlines()) == ["[2, 4]", "at 1", "at 2"]


def test_a_forked_child_may_display(tmp_path: Path) -> None:
    code = (
        "import os\nfrom IPython.display import display\n"
        "pid = os.fork()\n"
        "if pid == 0:\n    display({'text/plain': 'child'}, raw=True); os._exit(0)\n"
        "os.waitpid(pid, 0); display({'text/plain': 'parent'}, raw=True)"
    )
    ran = execute(tmp_path, code, how="inline")
    assert [out["data"]["text/plain"] for out in ran.outputs(1)] == ["child", "parent"]


def test_many_forked_children_may_display_at_once(tmp_path: Path) -> None:
    code = (
        "import multiprocessing as mp\nfrom IPython.display import display\n"
        "def show(n):\n    for _ in range(20):\n        display({'text/plain': str(n) * 100_000}, raw=True)\n"
        "with mp.get_context('fork').Pool(4) as pool:\n    pool.map(show, range(8))\nprint('on')"
    )
    ran = execute(tmp_path, code, how="inline")
    assert (ran.outcome.exit_code, list(ran.replay.notes), ran.text(1)) == (0, [], "on\n")
    shown = [out["data"]["text/plain"] for out in ran.outputs(1) if "data" in out]
    assert sorted(shown) == [str(n) * 100_000 for n in range(8) for _ in range(20)]


def test_threads_may_display_while_cells_come_and_go(tmp_path: Path) -> None:
    code = (
        "import threading\nfrom IPython.display import display\n"
        "def show(n):\n    for _ in range(200):\n        display({'text/plain': str(n) * 5_000}, raw=True)\n"
        "threads = [threading.Thread(target=show, args=(n,)) for n in range(6)]\n"
        "for thread in threads:\n    thread.start()"
    )
    cells = [f"display({{'text/plain': 'm{n}'}}, raw=True)" for n in range(100)]
    ran = execute(tmp_path, code, *cells, "for thread in threads:\n    thread.join()\nprint('on')", how="inline")
    assert (ran.outcome.exit_code, list(ran.replay.notes)) == (0, [])
    assert set(ran.states) == {"ok"}
    assert ran.text(102) == "on\n"
    outputs = [out for n in range(1, 103) for out in ran.outputs(n) if "data" in out]
    assert len(outputs) == 6 * 200 + 100


def test_an_interrupt_leaves_no_half_message(tmp_path: Path) -> None:
    code = (
        "import threading, time\nfrom IPython.display import display\n"
        "threading.Thread(target=time.sleep, args=(100,), daemon=True).start()  # it may get the signal\n"
        "try:\n    while True:\n        display({'text/plain': 'x' * 100_000}, raw=True)\n"
        "except KeyboardInterrupt:\n    display({'text/plain': 'last'}, raw=True)\n    raise"
    )
    ran = execute(tmp_path, code, how="inline", cell_timeout=0.5)
    assert (ran.outcome.exit_code, ran.states, list(ran.replay.notes)) == (124, ["stopped"], [])
    *shown, last, error = ran.outputs(1)
    assert {out["data"]["text/plain"] for out in shown} == {"x" * 100_000}
    assert (last["data"]["text/plain"], error["ename"]) == ("last", "KeyboardInterrupt")


def test_half_a_message_is_a_warning(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom IPython.display import display\n"
        "publish = get_ipython().display_pub.publish\n"
        'os.write(publish.__globals__[\'talk\']._MESSAGE_PIPE, b\'{"e": "out", "da\')\n'
        "display({'text/plain': 'whole'}, raw=True)"
    )
    ran = execute(tmp_path, code, "print('on')", how="inline")
    assert (ran.outcome.exit_code, ran.states, ran.text(2)) == (0, ["ok", "ok"], "on\n")
    assert [out["data"]["text/plain"] for out in ran.outputs(1)] == ["whole"]
    assert ["cut off" in note for note in ran.replay.notes] == [True]


def test_values_that_json_cannot_say(tmp_path: Path) -> None:
    code = (
        "import datetime\nfrom IPython.display import display\n"
        "data = {'nan': float('nan'), (1, 2): {3}, 'day': datetime.date(2020, 1, 2), 'raw': b'ab', 'many': range(2)}\n"
        "display({'application/json': data}, raw=True)"
    )
    ran = execute(tmp_path, code, how="inline")
    expected = {"nan": "nan", "(1, 2)": [3], "day": "2020-01-02", "raw": "YWI=", "many": [0, 1]}
    assert ran.outputs(1)[0]["data"]["application/json"] == expected
    assert "NaN" not in ran.live.events.read_text()


def test_an_exception_that_cannot_speak(tmp_path: Path) -> None:
    code = "class Mute(Exception):\n    def __str__(self): raise ValueError('no')\nraise Mute()"
    ran = execute(tmp_path, code, "1", how="inline")
    assert (ran.outcome.exit_code, ran.states) == (1, ["failed", "not-run"])
    assert ran.outcome.reason == "cell 1: Mute: <exception str() failed>"


def test_ipython_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "IPython.py").write_text("raise ModuleNotFoundError(\"No module named 'IPython'\")")
    ran = execute(tmp_path, "1", how="inline", environment={"PYTHONPATH": str(tmp_path)})
    assert ran.outcome.exit_code == 69
    assert "No module named 'IPython'" in (ran.outcome.reason or "")


def test_an_interpreter_that_never_gets_ready(tmp_path: Path) -> None:
    (tmp_path / "IPython.py").write_text("import time; time.sleep(100)")
    options = {"environment": {"PYTHONPATH": str(tmp_path)}, "start_timeout": 0.5, "grace": 0.1}
    ran = execute(tmp_path, "1", how="inline", **options)
    assert ran.outcome.exit_code == 69


def test_holding_is_refused(tmp_path: Path) -> None:
    assert execute(tmp_path, "1", how="inline", hold=5.0).outcome.exit_code == 69
