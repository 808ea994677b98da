"""One table of tests over every engine: the same notebook gives the same record, log, outputs and exit code."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from snaprun.engines import ENGINES
from snaprun.engines.job import Stop
from snaprun.engines.outcomes import outcome_of_death, outcome_of_exit
from snaprun.errors import WriteFault
from snaprun.live.journal import Journal
from snaprun.statuses import Status
from tests.engineroom import execute
from tests.sandbox import notebook, wait_for


@pytest.fixture(params=ENGINES)
def how(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_success(how: str, tmp_path: Path) -> None:
    ran = execute(tmp_path, "print('one')", "x = 2", "import sys\nprint(x)\nprint('err', file=sys.stderr)", how=how)
    assert (ran.outcome.status, ran.outcome.exit_code, ran.outcome.reason) == (Status.SUCCEEDED, 0, None)
    assert ran.states == ["ok", "ok", "ok"]
    assert ran.text(1) == "one\n"
    assert (ran.text(3), ran.text(3, "stderr")) == ("2\n", "err\n")
    assert sorted(ran.log.splitlines()) == ["2", "err", "one"]
    assert all(cell.seconds is not None for cell in ran.cells)


def test_labels_and_markdown(how: str, tmp_path: Path) -> None:
    document = notebook("# %% md\n# Title", "print(1)", "", "print(2)")
    ran = execute(tmp_path, document=document, how=how, labels={1: "load", 3: "fit"})
    assert [(cell.number, cell.label, cell.state) for cell in ran.cells] == [
        (1, "load", "ok"),
        (2, "", "ok"),
        (3, "fit", "ok"),
    ]
    assert (ran.text(1), ran.text(3)) == ("1\n", "2\n")


def test_exception(how: str, tmp_path: Path) -> None:
    ran = execute(tmp_path, "print('before')", "def f():\n    return 1 / 0\nf()", "print('never')", how=how)
    assert (ran.outcome.status, ran.outcome.exit_code) == (Status.FAILED, 1)
    assert ran.outcome.reason == "cell 2: ZeroDivisionError: division by zero"
    assert ran.states == ["ok", "failed", "not-run"]
    assert ran.error is not None
    assert (ran.error.number, ran.error.ename, ran.error.evalue) == (2, "ZeroDivisionError", "division by zero")
    assert "return 1 / 0" in ran.error.traceback
    assert "\x1b" not in ran.error.traceback
    assert ran.log.startswith("before\n")
    assert ran.log.count("ZeroDivisionError: division by zero") == 1
    assert "never" not in ran.log
    assert [out["ename"] for out in ran.outputs(2) if out["output_type"] == "error"] == ["ZeroDivisionError"]


@pytest.mark.parametrize(
    ("code", "exit_code", "states"),
    [
        ("sys.exit()", 0, ["ok", "ok", "skipped"]),
        ("sys.exit(0)", 0, ["ok", "ok", "skipped"]),
        ("sys.exit(3)", 3, ["ok", "failed", "not-run"]),
        ("sys.exit('bad')", 1, ["ok", "failed", "not-run"]),
        ("sys.exit('')", 1, ["ok", "failed", "not-run"]),
        ("sys.exit('3')", 1, ["ok", "failed", "not-run"]),
        ("sys.exit('--5')", 1, ["ok", "failed", "not-run"]),
        ("class Leave(SystemExit): pass\nraise Leave(3)", 3, ["ok", "failed", "not-run"]),
        ("class Leave(SystemExit): pass\nraise Leave(0)", 0, ["ok", "ok", "skipped"]),
    ],
)
def test_sys_exit(how: str, tmp_path: Path, code: str, exit_code: int, states: list[str]) -> None:
    ran = execute(tmp_path, "import sys", code, "print('never')", how=how)
    assert ran.outcome.exit_code == exit_code
    assert ran.outcome.status is (Status.SUCCEEDED if exit_code == 0 else Status.FAILED)
    assert ran.states == states
    assert "never" not in ran.log


def test_exception_groups(how: str, tmp_path: Path) -> None:
    if sys.version_info < (3, 11):
        pytest.skip("Python has none yet")
    ran = execute(tmp_path, "raise ExceptionGroup('many', [ValueError('a'), TypeError('b')])", how=how)
    assert ran.outcome.reason == "cell 1: ExceptionGroup: many (2 sub-exceptions)"
    assert [out["output_type"] for out in ran.outputs(1)] == ["error"]
    assert ran.error is not None
    assert "| ValueError: a" in ran.error.traceback
    assert "IPython" not in ran.error.traceback
    assert ran.log.count("ValueError: a\n") == 1


@pytest.mark.parametrize(
    "stream",
    ["None", "type('W', (), {'write': lambda self, text: sys.__stdout__.write(text)})()"],
    ids=["none", "no flush"],
)
def test_streams_that_cannot_be_flushed(how: str, tmp_path: Path, stream: str) -> None:
    ran = execute(tmp_path, f"import sys\nsys.stdout = {stream}\nprint('a')", "x = 1", "1 / 0", how=how, timeout=30.0)
    assert ran.outcome.reason == "cell 3: ZeroDivisionError: division by zero"
    assert ran.states == ["ok", "ok", "failed"]


def test_a_stream_that_is_closed(how: str, tmp_path: Path) -> None:
    ran = execute(tmp_path, "import sys\nsys.stdout.close()", "x = 1", "print('a')", how=how, timeout=30.0)
    assert "ValueError: I/O operation on closed file" in (ran.outcome.reason or "")
    assert ran.states == ["ok", "ok", "failed"]


def test_text_that_is_no_unicode(how: str, tmp_path: Path) -> None:
    code = "print('before')\nprint('a\\ud800b')\nprint('after')"
    ran = execute(tmp_path, code, "raise ValueError('bad \\ud800')", how=how)
    assert ran.text(1) == "before\na\\ud800b\nafter\n"
    assert ran.text(1, "stderr") == ""
    assert ran.error is not None
    assert (ran.error.ename, ran.error.evalue) == ("ValueError", "bad \ud800")
    assert "bad \\ud800" in ran.log


def test_cell_timeout(how: str, tmp_path: Path) -> None:
    ran = execute(tmp_path, "print('a', flush=True)\nimport time\ntime.sleep(100)", "1", how=how, cell_timeout=2.0)
    assert (ran.outcome.status, ran.outcome.exit_code) == (Status.TIMED_OUT, 124)
    assert ran.outcome.reason == "cell 1 took longer than 2 s"
    assert ran.states == ["stopped", "not-run"]
    assert ran.text(1) == "a\n"


def test_run_timeout_of_one_who_does_not_listen(how: str, tmp_path: Path) -> None:
    stubborn = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('a', flush=True)\n"
    ran = execute(tmp_path, stubborn + "time.sleep(100)", how=how, timeout=5.0, grace=0.2)
    assert (ran.outcome.status, ran.outcome.exit_code) == (Status.TIMED_OUT, 124)
    assert ran.outcome.reason == "the run took longer than 5 s"
    assert ran.states == ["stopped"]
    assert ran.text(1) == "a\n"


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_stop(how: str, tmp_path: Path, signum: int, code: int) -> None:
    stop = Stop()
    log = tmp_path / "state" / "snaprun" / "live" / ("a" * 40) / "log.txt"

    def when_ready() -> None:
        wait_for(lambda: log.exists() and log.read_text() == "ready\n", "the cell to run")
        stop.request(signum)

    thread = threading.Thread(target=when_ready)
    thread.start()
    ran = execute(tmp_path, "import time\nprint('ready', flush=True)\ntime.sleep(100)", "2", how=how, stop=stop)
    thread.join()
    assert (ran.outcome.status, ran.outcome.exit_code, ran.outcome.signal) == (Status.STOPPED, code, signum)
    assert ran.states == ["stopped", "not-run"]
    assert ran.text(1) == "ready\n"


def test_stop_before_the_start(how: str, tmp_path: Path) -> None:
    stop = Stop()
    stop.request(signal.SIGTERM)
    ran = execute(tmp_path, "print('never')", how=how, stop=stop)
    assert (ran.outcome.status, ran.outcome.exit_code) == (Status.STOPPED, 143)
    assert ran.log == ""


def test_killed(how: str, tmp_path: Path) -> None:
    ran = execute(
        tmp_path, "print('a', flush=True)\nimport os, time\ntime.sleep(0.2)\nos.kill(os.getpid(), 9)", how=how
    )
    assert (ran.outcome.status, ran.outcome.exit_code, ran.outcome.signal) == (Status.FAILED, 137, 9)
    assert ran.outcome.reason is not None
    assert "SIGKILL" in ran.outcome.reason or "memory" in ran.outcome.reason
    assert ran.states == ["failed"]
    assert ran.text(1) == "a\n"


def test_segfault_says_where(how: str, tmp_path: Path) -> None:
    ran = execute(tmp_path, "import ctypes\ndef crash():\n    ctypes.string_at(0)\ncrash()", how=how)
    assert (ran.outcome.exit_code, ran.outcome.signal) == (137, signal.SIGSEGV)
    assert "Segmentation fault" in ran.text(1, "stderr")
    assert "in crash" in ran.log


def test_20000_flushed_prints_arrive(how: str, tmp_path: Path) -> None:
    ran = execute(tmp_path, "for i in range(20_000):\n    print(i, flush=True)", how=how)
    expected = "".join(f"{number}\n" for number in range(20_000))
    assert ran.text(1) == expected
    assert ran.log == expected


def test_children_are_heard_in_order(how: str, tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys\n"
        "print('1', flush=True); os.system('echo 2'); print('3', flush=True)\n"
        "subprocess.run([sys.executable, '-c', 'print(4)']); os.write(1, b'5\\n')\n"
    )
    ran = execute(tmp_path, code, "print('6')", how=how)
    assert sorted(ran.text(1).split()) == ["1", "2", "3", "4", "5"]
    assert ran.text(2) == "6\n"
    if how != "kernel":  # ipykernel reads its own pipe beside its own prints
        assert ran.text(1) == "1\n2\n3\n4\n5\n"


def test_characters_are_not_cut(how: str, tmp_path: Path) -> None:
    text = "äöü😀" * 30_000
    ran = execute(
        tmp_path,
        f"import os\ndata = ({text[:4]!r} * 30_000 + '\\n').encode()\nwhile data: data = data[os.write(1, data):]",
        how=how,
    )
    assert ran.text(1) == text + "\n"
    assert ran.log == text + "\n"


def test_forked_children_are_heard(how: str, tmp_path: Path) -> None:
    code = (
        "import multiprocessing as mp\n"
        "def work(n):\n    print(f'child {n}', flush=True)\n"
        "ps = [mp.get_context('fork').Process(target=work, args=(n,)) for n in range(4)]\n"
        "[p.start() for p in ps]; [p.join() for p in ps]\n"
        "print('parent')"
    )
    ran = execute(tmp_path, code, how=how)
    assert ran.outcome.exit_code == 0, ran.log
    lines = [line for line in ran.text(1).splitlines() if line]
    assert sorted(lines) == ["child 0", "child 1", "child 2", "child 3", "parent"]


def test_input_is_refused(how: str, tmp_path: Path) -> None:
    ran = execute(tmp_path, "name = input('who? ')", how=how)
    assert (ran.outcome.status, ran.outcome.exit_code) == (Status.FAILED, 1)
    assert "input() was called" in (ran.outcome.reason or "")
    assert ran.states == ["failed"]


def test_works_in_its_folder_and_its_environment_only(how: str, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("answer = 42")
    (tmp_path / "kernel.py").write_text("own = 'mine'")
    (tmp_path / "data.csv").write_text("1,2")
    code = (
        "import os, beside, kernel\n"
        "print(beside.answer, kernel.own, open('data.csv').read(), os.environ['MINE'])\n"
        "print([name for name in os.environ if name in ('SNAPRUN_PIPES', 'SNAPRUN_TALK')])\n"
        "print(__name__)"
    )
    ran = execute(tmp_path, code, how=how, environment={"MINE": "yes"})
    assert ran.text(1) == "42 mine 1,2 yes\n[]\n__main__\n"


def test_no_process_and_no_socket_is_left(how: str, tmp_path: Path) -> None:
    code = "import os, subprocess\nprint(os.getpid(), subprocess.Popen(['sleep', '1000']).pid)"
    ran = execute(
        tmp_path, code, how=how, environment={"XDG_RUNTIME_DIR": str(tmp_path)} if len(str(tmp_path)) < 70 else {}
    )
    for pid in map(int, ran.text(1).split()):
        wait_for(lambda pid=pid: not _alive(pid), f"process {pid} to go")
    assert not ran.live.kernel.exists()
    assert not list(tmp_path.glob("snaprun-*"))


def test_an_interpreter_that_is_not_there(how: str, tmp_path: Path) -> None:
    from snaprun.notebooks.kernels import of_python

    missing = "/nowhere/bin/python"
    ran = execute(tmp_path, "print(1)", how=how, kernel=of_python(missing), python=missing)
    assert (ran.outcome.status, ran.outcome.exit_code) == (Status.FAILED, 69)
    assert missing in (ran.outcome.reason or "")
    assert ran.states == ["not-run"]


def test_tracking(how: str, tmp_path: Path) -> None:
    ran = execute(tmp_path, "import snaprun\nsnaprun.log(loss=0.5, step=1)\nprint(snaprun.params['lr'])", how=how)
    assert ran.text(1) == "0.1\n"
    assert '"name": "loss", "value": 0.5, "step": 1' in ran.live.metrics.read_text()


def test_parameters_cell(how: str, tmp_path: Path) -> None:
    document = notebook("print(p)", parameters="p = 1")
    injected = {
        "cell_type": "code",
        "metadata": {"tags": ["injected-parameters"]},
        "source": "p = 2",
        "outputs": [],
        "execution_count": None,
        "id": "injected",
    }
    document["cells"].insert(1, injected)
    ran = execute(tmp_path, document=document, how=how)
    assert [(cell.number, cell.state) for cell in ran.cells] == [(1, "ok"), (0, "ok"), (2, "ok")]
    assert ran.text(2) == "2\n"


def test_a_cell_with_both_tags_is_skipped(how: str, tmp_path: Path) -> None:
    document = notebook("1 / 0", "print('on')")
    document["cells"][0]["metadata"]["tags"] = ["raises-exception", "skip-execution"]
    ran = execute(tmp_path, document=document, how=how)
    assert (ran.states, ran.log) == (["skipped", "ok"], "on\n")


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "script"])
class TestNotebookFeatures:
    """What only a notebook has: the script engine is plain Python."""

    def test_results_and_displays(self, engine: str, tmp_path: Path) -> None:
        code = (
            "from IPython.display import display, HTML, update_display, clear_output\n"
            "print('gone'); clear_output()\n"
            "handle = display(HTML('<b>old</b>'), display_id='d')\n"
            "print('between')\n"
            "6 * 7"
        )
        ran = execute(tmp_path, code, "update_display(HTML('<b>new</b>'), display_id='d')\n'quiet';", how=engine)
        shown, stream, result = ran.outputs(1)
        assert shown["data"]["text/html"] == "<b>new</b>"
        assert stream["text"] == "between\n"
        assert (result["output_type"], result["data"]["text/plain"], result["execution_count"]) == (
            "execute_result",
            "42",
            1,
        )
        assert ran.outputs(2) == []
        assert ran.replay.notebook["cells"][1]["execution_count"] == 2

    def test_children_are_heard_before_what_is_shown_after_them(self, engine: str, tmp_path: Path) -> None:
        ran = execute(tmp_path, "import os\nprint('a')\nos.system('echo b')\n6 * 7", how=engine)
        assert [out.get("text") for out in ran.outputs(1)] == ["a\nb\n", None]

    def test_figures(self, engine: str, tmp_path: Path) -> None:
        code = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nprint('after')"
        ran = execute(tmp_path, code, "plt.plot([2, 1]); plt.show()\nprint('shown')", how=engine)
        assert [out["output_type"] for out in ran.outputs(1)] == ["execute_result", "stream", "display_data"] or [
            out["output_type"] for out in ran.outputs(1)
        ] == ["stream", "display_data"]
        assert ran.outputs(1)[-1]["data"]["image/png"].startswith("iVBOR")
        assert [out["output_type"] for out in ran.outputs(2)] == ["display_data", "stream"]

    def test_magics_shell_and_await(self, engine: str, tmp_path: Path) -> None:
        cells = [
            "import asyncio\nawait asyncio.sleep(0.01)\nprint('awaited')",
            "!echo shell",
            "lines = !echo captured\nprint(lines[0])",
            "%%bash\necho script",
            "%env MAGIC=yes",
            "%time x = 1",
        ]
        ran = execute(tmp_path, *cells, how=engine)
        assert ran.outcome.exit_code == 0, ran.log
        assert [ran.text(n).strip() for n in (1, 2, 3, 4)] == ["awaited", "shell", "captured", "script"]

    def test_tags(self, engine: str, tmp_path: Path) -> None:
        document = notebook("1 / 0", "print('skipped')", "print('on')")
        document["cells"][0]["metadata"]["tags"] = ["raises-exception"]
        document["cells"][1]["metadata"]["tags"] = ["skip-execution"]
        ran = execute(tmp_path, document=document, how=engine)
        assert ran.outcome.exit_code == 0
        assert ran.states == ["ok", "skipped", "ok"]
        assert ran.outputs(1)[0]["ename"] == "ZeroDivisionError"
        assert ran.error is None
        assert ran.log.endswith("on\n")

    def test_a_broken_display_is_a_warning(self, engine: str, tmp_path: Path) -> None:
        code = "class Bad:\n    def _repr_html_(self):\n        raise ValueError('no')\nBad()"
        ran = execute(tmp_path, code, "print('on')", how=engine)
        assert ran.states == ["ok", "ok"]
        assert any("ValueError" in note for note in ran.replay.notes)

    def test_exit_without_sys(self, engine: str, tmp_path: Path) -> None:
        ran = execute(tmp_path, "exit", "print('never')", how=engine)
        assert (ran.outcome.exit_code, ran.states) == (0, ["ok", "skipped"])
        again = execute(tmp_path / "again", "quit(4)", "print('never')", how=engine)
        assert (again.outcome.exit_code, again.states) == (4, ["failed", "not-run"])

    def test_magics_that_come_as_extensions(self, engine: str, tmp_path: Path) -> None:
        home = {"HOME": str(tmp_path), "IPYTHONDIR": str(tmp_path / "ipython")}
        ran = execute(tmp_path, "x = 5\n%store x\ndel x", "%store -r x\nprint(x)", how=engine, environment=home)
        assert (ran.outcome.exit_code, ran.text(2)) == (0, "5\n")

    def test_help_is_no_output(self, engine: str, tmp_path: Path) -> None:
        assert execute(tmp_path, "len?", "str.join??", how=engine).log == ""

    def test_syntax_error(self, engine: str, tmp_path: Path) -> None:
        ran = execute(tmp_path, "print('ok')", "def (:", how=engine)
        assert ran.states == ["ok", "failed"]
        assert ran.error is not None
        assert ran.error.ename == "SyntaxError"

    def test_interrupted_cell_may_clean_up(self, engine: str, tmp_path: Path) -> None:
        code = "import time\ntry:\n    time.sleep(100)\nfinally:\n    print('clean')"
        ran = execute(tmp_path, code, how=engine, cell_timeout=2.0)
        assert ran.outcome.exit_code == 124
        assert ran.text(1) == "clean\n"

    def test_a_large_output(self, engine: str, tmp_path: Path) -> None:
        code = "from IPython.display import display\ndisplay({'text/plain': 'x' * 5_000_000}, raw=True)"
        ran = execute(tmp_path, code, how=engine)
        assert len(ran.outputs(1)[0]["data"]["text/plain"]) == 5_000_000
        assert len(list(ran.live.blobs.iterdir())) == 1

    def test_much_output_costs_no_memory(self, engine: str, tmp_path: Path) -> None:
        code = (
            "import resource\nbefore = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "for i in range(400_000):\n    print(i, 'x' * 92)\n"
        )
        ask = "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
        ran = execute(tmp_path, code, ask, how=engine)
        assert ran.log.count("\n") == 400_001
        assert int(ran.text(2)) < 20_000  # of 40 MB that were printed; in KB, on macOS in bytes
        assert "characters left out here" in ran.text(1)

    def test_exit_hooks_run_and_are_heard(self, engine: str, tmp_path: Path) -> None:
        code = "import atexit, pathlib\natexit.register(lambda: pathlib.Path('bye.txt').write_text('bye'))"
        execute(tmp_path, code, how=engine)
        assert (tmp_path / "bye.txt").read_text() == "bye"


@pytest.mark.parametrize(
    ("evalue", "code", "status"),
    [
        ("", 0, Status.SUCCEEDED),
        ("None", 0, Status.SUCCEEDED),
        ("False", 0, Status.SUCCEEDED),
        ("0", 0, Status.SUCCEEDED),
        ("3", 3, Status.FAILED),
        ("-1", 255, Status.FAILED),
        ("256", 1, Status.FAILED),
        ("True", 1, Status.FAILED),
        ("a message", 1, Status.FAILED),
        ("--5", 1, Status.FAILED),
        ("\N{SUPERSCRIPT TWO}", 1, Status.FAILED),
        ("x" * 1000, 1, Status.FAILED),
    ],
)
def test_exit_values(evalue: str, code: int, status: Status) -> None:
    outcome = outcome_of_exit(evalue)
    assert (outcome.exit_code, outcome.status) == (code, status)
    assert len(outcome.reason or "") < 300


def test_deaths() -> None:
    assert outcome_of_death("kernel", -9, oom=True).reason == "the kernel was killed because memory ran out"
    assert outcome_of_death("kernel", -11, oom=False).signal == 11
    assert outcome_of_death("kernel", 3, oom=False).reason == "the kernel exited by itself with status 3"
    assert outcome_of_death("kernel", None, oom=False).exit_code == 137
    assert "signal 200" in (outcome_of_death("kernel", -200, oom=False).reason or "")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    if sys.platform.startswith("linux"):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return True


class FullJournal(Journal):
    """A journal whose disk is full after the first output."""

    def stream(self, number: int, name: str, text: str, *, log: bool = True) -> None:
        if "2" in text:
            raise WriteFault("the disk is full", hint="df -h")
        super().stream(number, name, text, log=log)


def test_a_journal_that_refuses_ends_the_run(how: str, tmp_path: Path) -> None:
    code = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\nprint(1, flush=True)\nprint(2, flush=True)\n"
    code += "time.sleep(100)"
    with pytest.raises(WriteFault):
        execute(tmp_path, code, how=how, journal_type=FullJournal)
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: not _alive(pid), "the process to go")


def test_snaprun_can_be_imported_in_child_processes(how: str, tmp_path: Path) -> None:
    code = (
        "import subprocess\nsubprocess.run(['python3', '-S', '-c', 'import snaprun; snaprun.log(child=1)'], check=True)"
    )
    ran = execute(tmp_path, code, how=how)
    assert ran.outcome.exit_code == 0, ran.log
    assert '"name": "child"' in ran.live.metrics.read_text()
