"""Run cells in IPython's shell without ZeroMQ, by pipes to the worker. Runs in the user's interpreter."""

from __future__ import annotations

import os
import sys

BOOT_FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [
    entry for entry in sys.path if os.path.abspath(entry or ".") != BOOT_FOLDER
]  # else user's modules are shadowed

import runpy
import signal
import types
import warnings
from typing import Any

talk = types.SimpleNamespace(**runpy.run_path(os.path.join(BOOT_FOLDER, "talk.py"), run_name="snaprun_talk"))
shellpatch = types.SimpleNamespace(
    **runpy.run_path(os.path.join(BOOT_FOLDER, "shellpatch.py"), run_name="snaprun_shellpatch")
)
talk.prepare()

from IPython.core.autocall import ExitAutocall
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Type
from traitlets.config import Config


class InlinePublisher(DisplayPublisher):  # type: ignore[misc]
    """Sends what is displayed."""

    def publish(self, data: Any, metadata: Any = None, *_: Any, **options: Any) -> None:
        name = (options.get("transient") or {}).get("display_id")
        kind = "update" if options.get("update") else "out"
        talk.send(kind, type="display_data", data=data, metadata=metadata or {}, id=name)

    def clear_output(self, wait: bool = False) -> None:
        talk.send("clear", wait=wait)


class ResultHook(DisplayHook):  # type: ignore[misc]
    """Sends the value of a cell's last expression."""

    def start_displayhook(self) -> None:
        self.bundle: tuple[Any, Any] = ({}, {})

    def write_output_prompt(self) -> None:
        self.count = self.prompt_count

    def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
        self.bundle = (format_dict, md_dict or {})

    def finish_displayhook(self) -> None:
        data, metadata = self.bundle
        if data:
            talk.send("out", type="execute_result", data=data, metadata=metadata, count=self.count)


class Exit(ExitAutocall):  # type: ignore[misc]
    """``exit`` and ``quit``: the run ends with this cell."""

    def __call__(self, code: Any = None) -> None:
        Shell.instance().exit_text = "" if code is None else str(code)


class Shell(InteractiveShell):  # type: ignore[misc]
    """IPython, with nobody in front of it."""

    displayhook_class = Type(ResultHook)
    display_pub_class = Type(InlinePublisher)
    exit_text: Any = None

    def init_user_ns(self) -> None:
        self.exiter = Exit(self)
        super().init_user_ns()

    def enable_gui(self, gui: Any = None) -> None:
        """There is none."""

    def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
        lines = stb if isinstance(stb, list) else [str(stb)]
        talk.send("error", **{**talk.describe_error(evalue), "ename": etype.__name__}, traceback=lines)


def add_folder() -> None:
    """Put the current folder where IPython has it: before the installed packages, behind the standard library."""
    if "" in sys.path or getattr(sys.flags, "safe_path", False):
        return
    places = (
        index for index, path in enumerate(sys.path) if os.path.basename(path) in ("site-packages", "dist-packages")
    )
    sys.path.insert(next(places, 0), "")


def main() -> None:
    """Execute what comes until nothing comes any more."""
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    warnings.filterwarnings("ignore", message="To exit: use 'exit', 'quit', or Ctrl-D.")
    add_folder()
    sys.argv = [""]
    config = Config()
    config.HistoryManager.hist_file = ":memory:"
    shell = Shell.instance(config=config)
    shellpatch.forget_outputs(shell)
    shellpatch.show_groups(shell)
    shell.set_hook("show_in_pager", lambda *_, **__: None)  # help by ``?`` is no output, in a notebook neither
    shell.extension_manager.load_extension("storemagic")
    sys.modules["__main__"] = shell.user_module
    info = {"name": "python", "version": sys.version.split()[0], "mimetype": "text/x-python", "file_extension": ".py"}
    talk.send("ready", language_info={**info, "codemirror_mode": {"name": "ipython", "version": sys.version_info[0]}})
    while True:
        order = talk.receive()
        if order is None:
            return
        count = shell.execution_count
        error: Any = None
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            result = shell.run_cell(order["code"], store_history=True)
            error = result.error_before_exec or result.error_in_exec
        except KeyboardInterrupt as interrupt:
            error = interrupt
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        fields = talk.describe_error(error) if error is not None else {}
        talk.send("reply", count=count, leaving=shell.exit_text, **fields)


if __name__ == "__main__":
    main()
