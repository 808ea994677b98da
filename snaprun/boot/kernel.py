"""Start ipykernel so that no output is lost. Runs in the user's interpreter: standard library and ipykernel only.

``python kernel.py MODULE ARGUMENT…`` is ``python -m MODULE ARGUMENT…`` for ``ipykernel_launcher`` and for the kernels
of other languages that are built on ipykernel (``bash_kernel``, metakernel's), except that:

* The worker gets all that is published through a socket of its own that never drops (``PUSH``): through Jupyter's IOPub
  20,000 flushed prints arrive as 13,000. The kernel waits for the worker; for a console beside it, it does not.
* What is written to the file descriptors 1 and 2 (``os.system``, child processes, C libraries) belongs to the cell
  that was running: it is all read before the cell counts as done, in the order of arrival, without cutting characters
  in two, and as the bytes that they are. The worker holds the same pipes and reads what a dying kernel leaves in them.
* Forked children print through these pipes, not through ZeroMQ.
* Flushing waits as long as the worker does, and never for a thread that has ended (ipykernel 7 waits 10 s at its exit).
* Text that is no Unicode (a lone surrogate: an odd file name) is printed with a backslash, and nothing is lost by it.
* What the user puts in the place of ``sys.stdout`` need not have a ``flush``: ipykernel would never answer again.
* At its exit it does not wait 14 s for children that are dead, or that do not listen to TERM.
* The reply says with which status ``SystemExit`` would end plain Python; exception groups are shown like other errors.
* IPython keeps no second copy of all outputs in memory.
* ``sys.exit()`` prints no advice to use Ctrl-D.
* ``exit`` in a console beside the worker does not end the kernel.

Written for Python 3.8 and later, ipykernel 6 and 7.
"""

from __future__ import annotations

import os
import sys

BOOT_FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [
    entry for entry in sys.path if os.path.abspath(entry or ".") != BOOT_FOLDER
]  # else user's modules are shadowed

import array
import atexit
import codecs
import contextlib
import faulthandler
import fcntl
import importlib.util
import json
import runpy
import select
import signal
import termios
import threading
import time
import types
import warnings
from typing import Any

REDIRECT = os.path.join(BOOT_FOLDER, "redirect.py")
if os.environ.get("SNAPRUN_REDIRECT") and os.path.exists(REDIRECT):
    runpy.run_path(REDIRECT, run_name="snaprun_redirect")  # editable installs then mean the frozen copy
EXTRA = os.environ.pop("SNAPRUN_PATH", "")
if EXTRA and EXTRA not in sys.path:
    sys.path.append(EXTRA)  # makes ``import snaprun`` work where it is not installed

MODULE = sys.argv.pop(1)
if not MODULE.startswith("ipykernel") and importlib.util.find_spec("ipykernel") is None:
    runpy.run_module(MODULE, run_name="__main__", alter_sys=True)  # a kernel of its own kind: nothing to change
    sys.exit()

sys.modules["debugpy"] = None  # type: ignore[assignment]  # nobody will debug here: it costs time and prints warnings
import zmq
from ipykernel import debugger, iostream
from ipykernel.kernelapp import IPKernelApp
from jupyter_client.jsonutil import json_clean, json_default

del sys.modules["debugpy"], debugger

errors = types.SimpleNamespace(**runpy.run_path(os.path.join(BOOT_FOLDER, "errors.py"), run_name="snaprun_errors"))
shellpatch = types.SimpleNamespace(
    **runpy.run_path(os.path.join(BOOT_FOLDER, "shellpatch.py"), run_name="snaprun_shellpatch")
)

PATIENCE = 0.5
"""Seconds to wait at a cell's end for what is still in a pipe; only a child that never stops writing takes them.
The same at the kernel's end, for children that were told to end."""

FLUSH_PATIENCE = 0.02
"""The same whenever a stream is flushed in the middle of a cell."""

MESSAGES = 100
"""Messages that wait for the worker at most; ZeroMQ's own 1,000 can be a gigabyte."""

BUFFER_LIMIT = 256 * 1024
"""Characters printed at which the printing thread itself waits until they are sent: else the kernel's memory grows."""

WORKER = os.environ.pop("SNAPRUN_WORKER")
"""Where the worker listens."""

PIPES = [int(number) for number in os.environ.pop("SNAPRUN_PIPES", "").split(",") if number]
"""Read and write end of the pipe for stdout, then for stderr; inherited from the worker."""


class KernelPublisher(zmq.Socket):  # type: ignore[type-arg]
    """Jupyter's publishing socket, which drops what a slow console does not take, and the worker's, which waits."""

    worker: Any = None

    def send_multipart(self, *args: Any, **options: Any) -> Any:
        self.worker.send_multipart(*args, **options)
        return super().send_multipart(*args, **options)

    def close(self, linger: Any = None) -> None:
        self.worker.close(linger)
        super().close(linger)


class PublishingContext:
    """A ZeroMQ context that makes such a socket where ipykernel asks for a publishing one."""

    def __init__(self, context: Any) -> None:
        self.context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self.context, name)

    def socket(self, kind: Any, *args: Any, **options: Any) -> Any:
        if kind not in (zmq.PUB, zmq.XPUB):
            return self.context.socket(kind, *args, **options)
        publisher = KernelPublisher(self.context, kind)
        publisher.worker = self.context.socket(zmq.PUSH)
        publisher.worker.setsockopt(zmq.SNDHWM, MESSAGES)
        publisher.worker.setsockopt(zmq.RECONNECT_IVL, 10)
        publisher.worker.linger = 5000
        publisher.worker.connect(WORKER)
        return publisher


class OutStream(iostream.OutStream):  # type: ignore[misc]
    """A stream that reads its file descriptor in large pieces and knows when it has read all."""

    flush_interval = 0.05  # seconds; what a killed kernel had not yet sent is lost

    _character_count = 0  # characters since the last pause; a class's default, for streams that are not redirected

    def _setup_stream_redirects(self, name: str) -> None:
        self._busy = threading.Lock()
        self._owner_pid = os.getpid()
        self._child_text = ""
        fd = self._original_stdstream_fd = 1 if name == "stdout" else 2
        self._original_stdstream_copy = os.dup(fd)
        read, write = PIPES[2 * fd - 2 : 2 * fd] if PIPES else os.pipe()
        os.set_inheritable(read, False)
        os.dup2(write, fd)
        os.close(write)
        self._fid = read
        self._exc: Any = None
        self.watch_fd_thread = threading.Thread(target=self._watch_pipe_fd, daemon=True)
        self.watch_fd_thread.start()

    def _watch_pipe_fd(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")  # as Jupyter sends it
        poll = select.poll()
        poll.register(self._fid, select.POLLIN)
        try:
            while self._should_watch:
                poll.poll()
                with self._busy:
                    data = os.read(self._fid, 65536) if self._should_watch else b""
                    if not data:
                        return
                    self._put(decoder.decode(data))
        except (OSError, ValueError):
            self._exc = sys.exc_info()

    def drain(self, patience: float = PATIENCE) -> None:
        """Wait until all that was written to the file descriptor is in the stream."""
        if not self._should_watch or threading.current_thread() is self.watch_fd_thread:  # no watching below pytest
            return
        deadline = time.monotonic() + patience
        byte_count = array.array("i", [0])
        while self._should_watch and self._owner_pid == os.getpid():
            fcntl.ioctl(self._fid, termios.FIONREAD, byte_count)
            if not byte_count[0] or time.monotonic() > deadline:
                break
            time.sleep(0.001)
        with self._busy:
            return

    def write(self, string: str) -> Any:
        if self._should_watch and self._owner_pid != os.getpid() and isinstance(string, str):
            self._child_text += string
            if "\n" in string:
                self._flush_child()
            return len(string)
        return self._put(escape_surrogates(string))

    def _put(self, string: str) -> Any:
        length = super().write(string)
        self._character_count += len(string)
        if self._character_count > BUFFER_LIMIT:
            self._character_count = 0
            self.flush()
        return length

    def flush(self) -> None:
        if self._should_watch and self._owner_pid != os.getpid():
            self._flush_child()
            return
        thread = self.pub_thread.thread if self.pub_thread else None
        if thread is None or not thread.is_alive() or thread is threading.current_thread():
            self._flush()
            return
        self.drain(FLUSH_PATIENCE)  # what a child wrote before a display comes before it
        flush_event = threading.Event()
        self.pub_thread.schedule(self._flush)
        self.pub_thread.schedule(flush_event.set)
        while not flush_event.wait(0.1) and thread.is_alive():
            continue

    def _flush_child(self) -> None:
        data, self._child_text = self._child_text.encode("utf-8", "backslashreplace"), ""
        while data:
            data = data[os.write(self._original_stdstream_fd, data) :]


def patch(application: Any) -> None:
    """Give ipykernel's application our publishing socket, our streams and our manners."""
    init_iopub, init_io, init_shell = application.init_iopub, application.init_io, application.init_shell

    def open_iopub(self: Any, context: Any) -> None:
        init_iopub(self, PublishingContext(context))
        self.session.pack = make_packer(self.session.pack)

    def open_io(self: Any) -> None:
        self.outstream_class = "snaprun_boot.OutStream"
        init_io(self)
        faulthandler.enable(2)

    def open_shell(self: Any) -> None:
        init_shell(self)
        if self.shell is not None:
            self.shell.events.register("post_execute", drain_streams)
            shellpatch.forget_outputs(self.shell)
            ignore_console_exit(self.shell)
            shellpatch.show_groups(self.shell)
            report_exit_status(self.kernel, self.shell)
        atexit.register(send_last_output)  # after the publishing thread's own exit hook, so it comes before that one
        end_children_after_hooks(self.kernel)

    application.init_iopub, application.init_io, application.init_shell = open_iopub, open_io, open_shell


def ignore_console_exit(shell: Any) -> None:
    """``exit(0)`` and ``ask_exit()`` said in a console would end the kernel as soon as it is idle, and the run with it.

    The worker has what it executes stored in the history; a console never does.
    """
    leave_kernel = shell.ask_exit

    def ask_exit() -> None:
        try:
            is_stored = shell.kernel.get_parent("shell")["content"]["store_history"]
        except (AttributeError, KeyError, TypeError):  # not what a kernel of another kind keeps
            is_stored = True
        if is_stored:
            leave_kernel()

    shell.ask_exit = ask_exit


def report_exit_status(kernel: Any, shell: Any) -> None:
    """Put the status that a ``SystemExit`` stands for into the reply: its text does not tell."""
    execute = kernel.do_execute

    async def do_execute(*args: Any, **options: Any) -> Any:
        reply = await execute(*args, **options)
        result = getattr(shell, "last_execution_result", None)
        status = errors.find_exit_status(getattr(result, "error_in_exec", None))
        return reply if status is None or reply.get("status") == "ok" else {**reply, "snaprun_exit": status}

    kernel.do_execute = do_execute


def end_children_after_hooks(kernel: Any) -> None:
    """End children as plain Python does: their owners' exit hooks come first, then those that TERM ends.

    ipykernel would send TERM before the hooks, so that pools start new workers, and would wait 14 s for children that
    are dead (nobody has reaped them) or that ignore it, as multiprocessing's and joblib's resource tracker does.
    """
    if not hasattr(kernel, "_progressively_terminate_all_children"):  # before ipykernel 6.8
        return

    async def end_nothing() -> None:
        return

    def end_children() -> None:
        children = [child for child in kernel._process_children() if accepts_term(child)]
        for child in children:
            with contextlib.suppress(Exception):  # psutil's own: it has just gone
                child.terminate()
        deadline = time.monotonic() + PATIENCE
        while any(map(accepts_term, children)) and time.monotonic() < deadline:
            time.sleep(0.01)

    kernel._progressively_terminate_all_children = end_nothing
    atexit.register(end_children)


def accepts_term(child: Any) -> bool:
    """Whether TERM may end a process: it runs, and is no resource tracker."""
    try:
        return child.status() != "zombie" and not any("resource_tracker" in word for word in child.cmdline())
    except Exception:  # noqa: BLE001  # psutil's own: it has just gone
        return False


def make_packer(pack: Any) -> Any:
    """A session's way to JSON that does not fail at text which is no Unicode."""

    def pack_content(content: Any) -> Any:
        try:
            return pack(content)
        except UnicodeEncodeError:
            return json.dumps(json_clean(content), default=json_default).encode("ascii")

    return pack_content


def escape_surrogates(text: Any) -> Any:
    """The text with a backslash for every lone surrogate, as Python prints it to standard error."""
    if not isinstance(text, str) or text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def drain_streams() -> None:
    """Read all that a cell wrote to the file descriptors, at its end; give what stands for a stream a ``flush``."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, OutStream):
            stream.drain()
        elif stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (until the user takes it away)
        elif not hasattr(stream, "flush"):
            with contextlib.suppress(AttributeError):
                stream.flush = lambda: None


def send_last_output() -> None:
    """Send what the user's exit hooks said, when they have run, and leave the pipes to the worker."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, OutStream):
            stream.drain()
            stream.flush()
            stream._should_watch = False


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be inherited as ignored
    warnings.filterwarnings("ignore", message="To exit: use 'exit', 'quit', or Ctrl-D.")
    sys.modules["snaprun_boot"] = sys.modules["__main__"]
    patch(IPKernelApp)
    if MODULE.startswith("ipykernel"):
        IPKernelApp.launch_instance()
    else:
        runpy.run_module(MODULE, run_name="__main__", alter_sys=True)
