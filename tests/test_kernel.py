"""What is special about the kernel engine: Jupyter's protocol, other languages, widgets, holding on an error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import zmq

from snaprun.engines.job import Stop
from snaprun.live.journal import Journal
from snaprun.live.livefolder import SOCKET_PREFIX
from snaprun.machine.oom import oom_kills
from snaprun.notebooks.kernels import Kernel
from snaprun.statuses import Status
from tests.engineroom import BASH, execute
from tests.sandbox import notebook, wait_for

PYTHON = (sys.executable, "-c")


def live_folder(folder: Path) -> Path:
    return folder / "state" / "snaprun" / "live" / ("a" * 40)


def test_another_language(tmp_path: Path) -> None:
    code = "for i in $(seq 20000); do echo $i; done"
    ran = execute(tmp_path, "x=5; echo $x", code, "echo on; false", "echo never", kernel=BASH)
    assert ran.text(1) == "5\n"
    assert ran.text(2).split() == [str(number) for number in range(1, 20_001)]
    assert ran.states == ["ok", "ok", "failed", "not-run"]
    assert (ran.outcome.exit_code, ran.outcome.reason) == (1, "cell 3: status 1")
    assert ran.replay.notebook["metadata"]["language_info"]["name"] == "bash"
    assert (ran.events("start")[0]["kernel"], ran.events("start")[0]["cells"]) == ("bash", 4)


def test_bytes_that_are_no_text_are_in_the_log_as_they_are(tmp_path: Path) -> None:
    printed = b"\xff\xfe\x00 \xc3\xa9 \xc3 \xed\xa0\x80 end\n"
    code = f"import os; _ = os.write(1, {printed!r})"
    child = f"import subprocess, sys; _ = subprocess.run([sys.executable, '-c', {code!r}])"
    ran = execute(tmp_path, code, child, "print('\ufffd')")
    assert ran.live.log.read_bytes() == 2 * printed + "\ufffd\n".encode()
    assert ran.text(1) == ran.text(2) == printed.decode("utf-8", "replace")


class SlowJournal(Journal):
    """A journal on a slow disk."""

    def stream(self, number: int, name: str, text: str, *, log: bool = True) -> None:
        threading.Event().wait(0.0005)
        super().stream(number, name, text, log=log)


def test_every_print_arrives_while_the_worker_is_slow(tmp_path: Path) -> None:
    """The kernel is five times as fast as its reader: ZeroMQ would drop."""
    ran = execute(tmp_path, "for i in range(5000):\n    print(i, flush=True)", journal_type=SlowJournal)
    assert ran.text(1) == "".join(f"{number}\n" for number in range(5000))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_100000_flushed_prints_arrive_every_time(tmp_path: Path) -> None:
    expected = "".join(f"{number}\n" for number in range(100_000))
    for attempt in range(3):
        ran = execute(tmp_path / str(attempt), "for i in range(100_000):\n    print(i, flush=True)")
        assert ran.text(1) == expected


def test_what_a_dying_kernel_had_sent_is_kept(tmp_path: Path) -> None:
    code = "import os\nfor i in range(2000):\n    print(i, flush=True)\nos.kill(os.getpid(), 9)"
    ran = execute(tmp_path, code)
    kept = ran.text(1)
    assert kept == "".join(f"{number}\n" for number in range(2000))[: len(kept)]
    assert kept.count("\n") > 1000  # the rest was in the kernel's own memory


def test_what_a_dying_kernel_had_written_to_its_descriptors_is_kept(tmp_path: Path) -> None:
    ran = execute(tmp_path, "import os\nos.abort()")
    assert ran.outcome.signal == 6
    assert "Fatal Python error: Aborted" in ran.text(1, "stderr")


def test_output_of_a_thread_is_never_lost(tmp_path: Path) -> None:
    code = (
        "import threading, time\n"
        "def work():\n    for i in range(5):\n        print('late', i, flush=True); time.sleep(0.05)\n"
        "threading.Thread(target=work).start()"
    )
    ran = execute(tmp_path, code, "time.sleep(0.1)", "print('end')")
    assert [line for line in ran.log.splitlines() if "late" in line] == [f"late {i}" for i in range(5)]
    everything = "".join(ran.text(number) for number in (1, 2, 3))
    assert everything.count("late") == 5


def test_exit_hooks_are_heard(tmp_path: Path) -> None:
    code = "import atexit, os\n_ = atexit.register(lambda: (print('bye'), os.system('echo bye too')))"
    ran = execute(tmp_path, code)
    assert ran.log == "bye\nbye too\n"
    assert ran.text(1) == "bye\nbye too\n"


@pytest.mark.parametrize(
    "code",
    [
        "import subprocess\nleft = subprocess.Popen(['sleep', '1000'])",
        "import subprocess\nleft = subprocess.Popen(['sh', '-c', 'trap \"\" TERM; while :; do sleep 0.1; done'])",
        "import math, multiprocessing as mp\nleft = mp.get_context('spawn').Pool(2)\nleft.map(math.sqrt, [1, 4])",
        "import math, multiprocessing as mp\nleft = mp.get_context('forkserver').Pool(2)\nleft.map(math.sqrt, [1, 4])",
    ],
    ids=["child", "deaf child", "spawn", "forkserver"],
)
def test_children_that_are_left_do_not_hold_the_end(tmp_path: Path, code: str) -> None:
    ran = execute(tmp_path, code + "\nimport atexit\natexit.register(print, 'bye')", how="kernel")
    assert (ran.outcome.exit_code, ran.log, list(ran.replay.notes)) == (0, "bye\n", [])


def test_output_widgets_do_not_hang(tmp_path: Path) -> None:
    cells = [
        "import ipywidgets as w\nfrom IPython.display import display\nout = w.Output()\ndisplay(out)\n"
        "with out:\n    print('inside')\nprint('outside')",
        "@w.interact(x=(0, 5))\ndef f(x=2):\n    print('x is', x)",
        "out.clear_output()\nwith out:\n    print('again')",
    ]
    ran = execute(tmp_path, *cells, cell_timeout=30)
    assert ran.states == ["ok", "ok", "ok"]
    assert ran.text(1) == "outside\n"
    assert [out["output_type"] for out in ran.outputs(2)] == ["display_data"]
    assert ran.log == "inside\noutside\nx is 2\nagain\n"
    state = ran.replay.notebook["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    name = ran.outputs(1)[0]["data"]["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert [out["text"] for out in state[name]["state"]["outputs"]] == ["again\n"]


def test_progress_bars_are_one_line(tmp_path: Path) -> None:
    ran = execute(tmp_path, "from tqdm import tqdm\nfor i in tqdm(range(300), mininterval=0): pass")
    assert len(ran.outputs(1)) == 1
    assert ran.text(1, "stderr").count("\n") == 1
    assert "300/300" in ran.text(1, "stderr")
    assert ran.log.count("\r") > 50


def test_magic_payloads_and_questions(tmp_path: Path) -> None:
    ran = execute(tmp_path, "len?", "%cd ..", "%pinfo print", "%config InlineBackend.figure_format = 'svg'")
    assert ran.outcome.exit_code == 0


def test_the_first_error_counts(tmp_path: Path) -> None:
    ran = execute(tmp_path, "%pdb on", "def f():\n    raise KeyError('first')\nf()")
    assert ran.error is not None
    assert ran.error.ename == "KeyError"
    assert ran.outcome.reason == "cell 2: KeyError: 'first'"


def test_a_kernel_that_dies_between_two_cells(tmp_path: Path) -> None:
    code = "import os, threading\nthreading.Timer(0.3, os._exit, [7]).start()"
    ran = execute(tmp_path, code, "import time; time.sleep(30)", "3")
    assert (ran.outcome.exit_code, ran.outcome.reason) == (137, "the kernel exited by itself with status 7")
    assert ran.states == ["ok", "failed", "not-run"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import sys; sys.exit('no module named foo')", "the kernel died while starting: no module named foo"),
        ("import os, signal; os.kill(os.getpid(), 9)", "the kernel died while starting"),
    ],
)
def test_a_kernel_that_does_not_start(tmp_path: Path, code: str, reason: str) -> None:
    ran = execute(tmp_path, "1", kernel=Kernel("odd", "odd", (*PYTHON, code)))
    assert (ran.outcome.status, ran.outcome.exit_code, ran.outcome.reason) == (Status.FAILED, 69, reason)
    assert ran.states == ["not-run"]


def test_a_kernel_that_never_answers(tmp_path: Path) -> None:
    odd = Kernel("odd", "odd", (*PYTHON, "import time; time.sleep(100)"))
    ran = execute(tmp_path, "1", kernel=odd, start_timeout=0.5)
    assert (ran.outcome.exit_code, ran.outcome.reason) == (69, "the kernel did not answer within 0.5 s")


def test_a_missing_ipykernel_is_named(tmp_path: Path) -> None:
    (tmp_path / "ipykernel.py").write_text("raise ModuleNotFoundError(\"No module named 'ipykernel'\")")
    ran = execute(tmp_path, "1", environment={"PYTHONPATH": str(tmp_path)})
    assert ran.outcome.exit_code == 69
    assert "No module named 'ipykernel'" in (ran.outcome.reason or "")


def test_a_second_request_kills_at_once(tmp_path: Path) -> None:
    stop = Stop()
    log = live_folder(tmp_path) / "log.txt"

    def ask() -> None:
        wait_for(lambda: log.exists() and "ready" in log.read_text(), "the cell to run")
        stop.request(2)
        wait_for(lambda: "no" in log.read_text(), "the interrupt to arrive")
        stop.request(2)

    code = (
        "import time\nprint('ready', flush=True)\n"
        "while True:\n    try:\n        time.sleep(100)\n    except KeyboardInterrupt:\n        print('no', flush=True)"
    )
    thread = threading.Thread(target=ask)
    thread.start()
    ran = execute(tmp_path, code, stop=stop, grace=1000.0)
    thread.join()
    assert (ran.outcome.status, ran.outcome.exit_code) == (Status.STOPPED, 130)


def test_the_sockets_are_private_and_the_kernel_can_be_found(tmp_path: Path) -> None:
    short = Path("/tmp") if len(os.fsencode(tmp_path)) > 70 else tmp_path
    code = (
        "import json, os, sys\n"
        "path = sys.argv[sys.argv.index('-f') + 1]\n"
        "about = json.load(open(path))\n"
        "print(json.dumps([about['transport'], oct(os.stat(os.path.dirname(about['ip'])).st_mode), about['ip'], path]))"
    )
    ran = execute(tmp_path, code, environment={"XDG_RUNTIME_DIR": str(short)})
    transport, mode, address, path = json.loads(ran.text(1))
    assert (transport, mode) == ("ipc", "0o40700")
    assert Path(address).parent.parent == short
    assert Path(address).parent.name.startswith(SOCKET_PREFIX)
    assert Path(path) == ran.live.kernel
    assert not Path(address).parent.exists()


def test_a_folder_whose_name_is_too_long_for_sockets(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    ran = execute(deep, "print(1)", environment={"XDG_RUNTIME_DIR": str(deep)})
    assert ran.text(1) == "1\n"


def test_hold_and_mend(tmp_path: Path) -> None:
    folder = live_folder(tmp_path)

    def mend() -> None:
        wait_for(lambda: '"e":"hold"' in (folder / "events.jsonl").read_text(), "the run to be held")
        (folder / "half").write_text(json.dumps({"source": "print('mended', x)"}))
        (folder / "half").replace(folder / "resume.json")

    thread = threading.Thread(target=mend)
    wait_for(lambda: True, "nothing")
    threading.Timer(0.2, thread.start).start()
    ran = execute(tmp_path, "x = 41 + 1", "print(1 / 0)", "print('after', x)", hold=60.0)
    assert (ran.outcome.status, ran.outcome.exit_code) == (Status.SUCCEEDED, 0)
    assert ran.states == ["ok", "ok", "ok"]
    assert (ran.text(2), ran.text(3)) == ("mended 42\n", "after 42\n")
    assert ran.replay.notebook["cells"][1]["source"] == "print('mended', x)"
    assert [event["edited"] for event in ran.events("resume")] == [True]
    assert ran.error is None


def test_hold_ends_by_itself(tmp_path: Path) -> None:
    ran = execute(tmp_path, "1 / 0", hold=0.3)
    assert (ran.outcome.status, ran.outcome.exit_code) == (Status.FAILED, 1)
    assert len(ran.events("hold")) == 1


CONSOLE = """
import sys, time
from jupyter_client import BlockingKernelClient
client = BlockingKernelClient(connection_file=sys.argv[1])
client.load_connection_file()
client.start_channels(hb=False, stdin=False)
name = client.execute("print('from the console'); value = 7; open('go', 'w').close()")
while client.get_shell_msg(timeout=60)["parent_header"].get("msg_id") != name:
    continue
"""


def test_a_console_is_none_of_the_runs_output(tmp_path: Path) -> None:
    """Another client of the same kernel executes something between two cells."""
    folder = live_folder(tmp_path)
    codes: list[int] = []

    def talk() -> None:
        wait_for(lambda: folder.exists() and "ready" in (folder / "log.txt").read_text(), "the cell to run")
        done = subprocess.run([sys.executable, "-c", CONSOLE, str(folder / "kernel.json")], check=False)
        codes.append(done.returncode)

    thread = threading.Thread(target=talk)
    thread.start()
    waiting = "import os, time\nprint('ready', flush=True)\n"
    cells = [waiting, *["time.sleep(0 if os.path.exists('go') else 0.05)"] * 300, "print(value)"]
    ran = execute(tmp_path, *cells)
    thread.join()
    assert codes == [0]
    assert ran.text(len(cells)) == "7\n"
    assert "from the console" not in ran.log


def test_the_oom_counter_is_read(tmp_path: Path) -> None:
    assert oom_kills() is None or oom_kills() >= 0  # type: ignore[operator]
    group = tmp_path / "mnt" / "user.slice"
    group.mkdir(parents=True)
    (group / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    (tmp_path / "cgroup").write_text("0::/user.slice\n")
    assert oom_kills(tmp_path / "cgroup", tmp_path / "mnt") == 2
    old = tmp_path / "old" / "memory" / "job"
    old.mkdir(parents=True)
    (old / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 4\n")
    (tmp_path / "cgroup").write_text("5:cpu,cpuacct:/job\n4:memory:/job\n0::/\n")
    assert oom_kills(tmp_path / "cgroup", tmp_path / "old") == 4
    assert oom_kills(tmp_path / "missing", tmp_path) is None


def test_10000_cells(tmp_path: Path) -> None:
    document = notebook(*[f"x = {number}" if number % 100 == 0 else "" for number in range(10_000)])
    ran = execute(tmp_path, document=document)
    assert (ran.outcome.exit_code, len(ran.cells)) == (0, 10_000)


ODD = Kernel("odd", "odd", (sys.executable, str(Path(__file__).with_name("odd_kernel.py")), "{connection_file}"))


def test_a_kernel_that_is_not_pythons(tmp_path: Path) -> None:
    ran = execute(tmp_path, "one", "noise", "late", "last", kernel=ODD)
    assert ran.outcome.exit_code == 0
    assert [ran.text(number) for number in (1, 2, 3, 4)] == ["one\n", "noise\n", "late\nafter the reply\n", "last\n"]
    assert "a warning of the process itself\n" in ran.log
    assert ran.replay.notebook["metadata"]["language_info"]["name"] == "odd"


def test_a_kernel_of_another_language_that_dies(tmp_path: Path) -> None:
    ran = execute(tmp_path, "die", "never", kernel=ODD)
    assert (ran.outcome.exit_code, ran.outcome.reason) == (137, "the kernel exited by itself with status 5")
    assert ran.text(1) == "die\n"


def test_a_lost_idle_message_is_found_out(tmp_path: Path) -> None:
    ran = execute(tmp_path, "drop", "on", kernel=ODD, patience=0.3)
    assert ran.outcome.exit_code == 0
    assert ran.states == ["ok", "ok"]
    assert [note for note in ran.replay.notes if "dropped messages of cell 1" in note]


def test_a_kernel_that_publishes_nothing_more_is_given_up(tmp_path: Path) -> None:
    ran = execute(tmp_path, "mute", "never", kernel=ODD, patience=0.1)
    assert (ran.outcome.status, ran.outcome.exit_code) == (Status.FAILED, 125)
    assert ran.outcome.reason == "the kernel never finished the output of cell 2"
    assert ran.states == ["ok", "stopped"]


def test_a_suspended_console_does_not_hold_the_run(tmp_path: Path) -> None:
    """A subscriber that takes nothing: without a socket of our own the kernel would wait for it."""
    folder = live_folder(tmp_path)
    context = zmq.Context()
    asleep = context.socket(zmq.SUB)
    asleep.setsockopt(zmq.RCVHWM, 1)

    def subscribe() -> None:
        wait_for(lambda: folder.exists() and "ready" in (folder / "log.txt").read_text(), "the cell to run")
        about = json.loads((folder / "kernel.json").read_bytes())
        asleep.connect(f"{about['transport']}://{about['ip']}-{about['iopub_port']}")
        asleep.setsockopt(zmq.SUBSCRIBE, b"")
        assert asleep.poll(60_000)
        (tmp_path / "go").write_text("")

    thread = threading.Thread(target=subscribe)
    thread.start()
    wait = "import os, time\nprint('ready', flush=True)\nwhile not os.path.exists('go'):\n"
    code = wait + "    print('.', flush=True)\n    time.sleep(0.01)"
    try:
        ran = execute(tmp_path, code, "for i in range(5000):\n    print(i, 'x' * 500, flush=True)")
    finally:
        thread.join()
        context.destroy(linger=0)
    assert ran.text(2).count("\n") == 5000
