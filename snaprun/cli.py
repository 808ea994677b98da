"""The command line: the table of commands, and the one place where an error becomes two lines and an exit code."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from snaprun import __version__
from snaprun.errors import INTERRUPT_CODE, SnaprunError, UsageFault, os_fault
from snaprun.machine import streams

SECTIONS = {
    "Run": {
        "exec": "Freeze a notebook and run the frozen copy.",
        "snapshot": "Freeze the work tree without running anything.",
        "sweep": "Run a notebook with many parameter sets or seeds.",
        "rerun": "Run the snapshot of an earlier run again.",
        "resume": "Go on with a held run, or try a failed or lost one again.",
        "stop": "End runs, keeping what they have made so far.",
        "wait": "Wait until runs have ended.",
        "attach": "Watch a run in progress as exec would show it.",
        "console": "Talk to the kernel of a run in progress.",
        "queue": "List runs that wait for their turn, and set them in order.",
    },
    "Look": {
        "history": "List runs, newest first.",
        "ps": "List the runs in progress.",
        "show": "Show everything of one run, or print one file of it.",
        "logs": "Print what a run has printed, and follow it.",
        "diff": "Show what changed between two runs.",
        "compare": "Show many runs as one table.",
        "log": "Show how a cell changed from run to run.",
        "plot": "Draw a metric of runs.",
    },
    "Use": {
        "restore": "Write files of a run back to disk.",
        "open": "Write a run's executed notebook to a file.",
    },
    "Share": {
        "fetch": "Bring home the results of runs on other machines, now.",
    },
    "Keep": {
        "hook": "Check notebooks when they are committed.",
        "pair": "Pair a notebook with a script, by jupytext.",
        "reindex": "Rebuild the index from the refs in git.",
        "doctor": "Look for what is wrong here, and say how to mend it.",
        "gc": "Remove checkouts and files that no run needs any more.",
        "config": "Show every setting and where its value comes from.",
    },
}
"""Every command with its one line of help, in the order of ``--help``.

A command's file is imported only when it is called, so that ``--help`` and ``--version`` stay instant; a test holds the
lines equal to the commands' own help.
"""

MODULES = {"exec": "exec_", "open": "open_"}
"""Where a command's file cannot have its name, because Python has taken it."""


OUTPUT_CLOSED = 141
"""The code of a command whose output nobody reads any more: what a shell says of a program that SIGPIPE ended."""


class OutputClosed(Exception):
    """The reader of standard output has left. Click would take a BrokenPipeError for itself, and exit with 1."""


class StderrFile(io.FileIO):
    """Standard error; where its reader has left or its disk is full, what cannot be said changes nothing."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


class Commands(click.Group):
    """A group that imports a command when it is called."""

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        try:
            return super().make_context(*args, **options)
        except BrokenPipeError as error:  # --help
            raise OutputClosed from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise OutputClosed from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for section in SECTIONS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if not any(cmd_name in section for section in SECTIONS.values()):
            return None
        module = importlib.import_module(f"snaprun.commands.{MODULES.get(cmd_name, cmd_name)}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()))


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Data goes to stdout, talk to stderr. Exit codes: docs/exit-codes.md.",
)
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
def group() -> None:
    """Freeze a notebook with everything it imports into git, run it unattended, and keep every run.

    \b
      snaprun exec train.ipynb -p lr=0.01     freeze and run it, in the background
      snaprun history                         what ran, and how it ended
      snaprun show @                          everything of the latest run
      snaprun diff @~1 @                      what changed between two runs
    """


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    _repair_streams()
    sys.exit(call(sys.argv[1:] if argv is None else argv))


def call(argv: Sequence[str]) -> int:
    """Run the command line and return its exit code: every error ends here, as two lines on stderr."""
    try:
        result = group.main(args=list(argv), prog_name="snaprun", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        return _usage(error)
    except click.ClickException as error:
        return _say(UsageFault(error.format_message(), hint="snaprun --help"))
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPT_CODE
    except (BrokenPipeError, OutputClosed):
        # The reader of a pipe has left (`snaprun history | head`): nobody is there to be told. Point stdout elsewhere,
        # or Python complains while it shuts down.
        streams.detach(streams.OUT)
        return OUTPUT_CLOSED
    except SnaprunError as error:
        return _say(error)
    except OSError as error:
        return _say(os_fault(error))  # nobody below could say it better
    except Exception as error:  # noqa: BLE001 - the edge: a bug becomes a report and exit 70
        return _say(_bug(error, argv))


def _usage(error: click.UsageError) -> int:
    """Click's own words, in our two lines."""
    path = error.ctx.command_path if error.ctx else "snaprun"
    return _say(UsageFault(error.format_message().replace("\n", " "), hint=f"{path} --help"))


def _say(error: SnaprunError) -> int:
    """Print the two lines, and return the exit code."""
    lines = [f"snaprun: error: {_one_line(error.message)}"]
    if error.hint:
        lines.append(f"hint: {_one_line(error.hint)}")
    print("\n".join(lines), file=sys.stderr)  # noqa: T201
    return error.code


def _one_line(text: str) -> str:
    return " ".join(text.split("\n")).strip()


def _bug(error: Exception, argv: Sequence[str]) -> SnaprunError:
    """A bug of ours: the traceback goes to a file, the user gets its name."""
    from snaprun import bugreport  # traceback and tempfile cost every command, a bug report hardly ever

    file = bugreport.write(error, argv)
    return SnaprunError(
        f"a bug in snaprun: {type(error).__name__}: {error}", hint=f"please report it with the file {file}"
    )


def _repair_streams() -> None:
    """Make the standard streams usable whatever the caller did to them.

    A closed descriptor 0, 1 or 2 would be given to the next file that is opened; a name that the terminal's encoding
    cannot say must not end a listing; and a start must not stop half-way because nobody can be told of it.
    """
    for number in (streams.IN, streams.OUT, streams.ERR):
        try:
            os.fstat(number)
        except OSError:
            streams.detach(number)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - lives as long as we do
    encoding = sys.stderr.encoding if sys.stderr else "utf-8"
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(StderrFile(2, "wb", closefd=False)),
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=True,
    )
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            utf8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
            stream.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")
