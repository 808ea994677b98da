"""Tell whether a commit has anything for the hook to look at, with next to no imports.

``python -c pass`` takes 10 ms, ``import subprocess`` another 10 and click 20: most commits hold no notebook, and must
not pay for that. So this asks git through :func:`os.posix_spawnp` alone.
"""

from __future__ import annotations

import os
import sys

NOTEBOOK = ".ipynb"

_TEXT = """
.md .markdown .Rmd .py .coco .R .r .jl .cpp .ss .clj .scm .sh .ps1 .q .m .wolfram .pro .js .ts .scala .rs .robot
.resource .cs .fsx .fs .sos .java .groovy .sage .ml .hs .tcl .mac .gp .do .sas .jenner .xsh .lgt .logtalk .lua .go .qmd
.myst .mystnb .mnb
"""
TEXT = tuple(_TEXT.split())
"""The endings of text notebooks (``notebook.TEXT_EXTENSIONS``; a test holds them equal)."""

_MAX_OUTPUT = 1 << 20
_PATHSPEC_VARIABLES = ("GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS")
_CONFIGS = (":(top,glob)**/jupytext*", ":(top,glob)**/.jupytext*", ":(top,glob)**/pyproject.toml")


def idle(argv: list[str]) -> bool:
    """Whether ``snaprun <argv>`` is a hook's call in a commit that holds nothing to look at.

    False where that is not certain; then the command itself decides.
    """
    if (
        argv[:2] != ["hook", "run"]
        or sys.platform == "win32"
        or any(name in os.environ for name in _PATHSPEC_VARIABLES)
    ):
        return False
    kind, *args = [word for word in argv[2:] if word != "--fix"] or [""]
    if kind == "commit-msg":
        return len(args) == 1 and not _has_trailer(args[0]) and _nothing_staged()
    return kind in ("pre-commit", "pre-merge-commit") and not args and _nothing_staged()


def is_related(path: str, stem: str) -> bool:
    """Whether a text file may be the other half of the notebook ``<stem>.ipynb``: one name is part of the other.

    A pair shares its name but for a prefix or suffix of one side. (Where both sides have one, the header of the text
    says that it is paired.)
    """
    name = os.path.splitext(os.path.basename(path))[0]
    return stem in name or name in stem


def _nothing_staged() -> bool:
    """Whether the commit certainly changes no notebook and no half of a pair."""
    out = _git("diff", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff", "--no-relative")
    if out is None:
        return False
    parts = [os.fsdecode(part) for part in out.split(b"\0")]
    changes = list(zip(parts[::2], parts[1::2]))  # noqa: B905 - what is left over is git's last NUL
    if any(path.endswith(NOTEBOOK) for _, path in changes):
        return False
    texts = [(attributes.split(" "), path) for attributes, path in changes if os.path.splitext(path)[1] in TEXT]
    return not texts or _are_unpaired(texts)


def _are_unpaired(texts: list[tuple[list[str], str]]) -> bool:
    """Whether these staged text files are certainly no halves of pairs, nor text notebooks."""
    listing = _git("ls-files", "-s", "-z", "--", ":(top)*.ipynb", *_CONFIGS)
    if listing is None:
        return False
    entries = [os.fsdecode(line).split("\t", 1) for line in listing.split(b"\0") if line]
    blobs = [fields[2 if fields[4] == "D" else 3] for fields, _ in texts]
    for attributes, path in entries:
        if path.endswith(NOTEBOOK):
            stem = os.path.basename(path)[: -len(NOTEBOOK)]
            if any(is_related(text, stem) for _, text in texts):
                return False
        elif path.endswith("pyproject.toml"):
            blobs.append(attributes.split(" ")[1])
        else:
            return False
    query = "".join(f"{blob}\n" for blob in blobs).encode("ascii")
    if len(query) > 4096:  # what a pipe takes without a reader, on every system
        return False
    content = _git("cat-file", "--batch", stdin=query)
    return content is not None and b"jupytext:" not in content and b"tool.jupytext" not in content


def _has_trailer(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return b"Snaprun-Run:" in file.read()
    except OSError:
        return True


def _git(*args: str, stdin: bytes = b"") -> bytes | None:
    """The output of a git command, or None where it failed or said more than is worth reading here."""
    reader, writer = os.pipe()
    input_reader, input_writer = os.pipe()
    if stdin:
        os.write(input_writer, stdin)
    os.close(input_writer)
    actions = [
        (os.POSIX_SPAWN_DUP2, input_reader, 0),
        (os.POSIX_SPAWN_DUP2, writer, 1),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
    ]
    try:
        pid = os.posix_spawnp("git", ["git", *args], {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}, file_actions=actions)
    except OSError:
        os.close(reader)
        return None
    finally:
        os.close(input_reader)
        os.close(writer)
    with open(reader, "rb") as file:
        out = file.read(_MAX_OUTPUT + 1)
    _, status = os.waitpid(pid, 0)
    return out if len(out) <= _MAX_OUTPUT and os.waitstatus_to_exitcode(status) == 0 else None
