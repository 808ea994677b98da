"""Whether a commit has anything for the hook to look at, found out with next to no imports.

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

_MOST = 1 << 20
_ODD = ("GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS")
_CONFIGS = (":(top,glob)**/jupytext*", ":(top,glob)**/.jupytext*", ":(top,glob)**/pyproject.toml")


def idle(argv: list[str]) -> bool:
    """Whether ``snaprun <argv>`` is a hook's call in a commit that holds nothing to look at.

    False where that is not certain; then the command itself decides.
    """
    if argv[:2] != ["hook", "run"] or sys.platform == "win32" or any(name in os.environ for name in _ODD):
        return False
    kind, *rest = [word for word in argv[2:] if word != "--fix"] or [""]
    if kind == "commit-msg":
        return len(rest) == 1 and not _has_trailer(rest[0]) and _nothing_staged()
    return kind in ("pre-commit", "pre-merge-commit") and not rest and _nothing_staged()


def related(path: str, stem: str) -> bool:
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
    changed = list(zip(parts[::2], parts[1::2]))  # noqa: B905 - what is left over is git's last NUL
    if any(path.endswith(NOTEBOOK) for _, path in changed):
        return False
    texts = [(about.split(" "), path) for about, path in changed if os.path.splitext(path)[1] in TEXT]
    return not texts or _unpaired(texts)


def _unpaired(texts: list[tuple[list[str], str]]) -> bool:
    """Whether these staged text files are certainly no halves of pairs, nor text notebooks."""
    listed = _git("ls-files", "-s", "-z", "--", ":(top)*.ipynb", *_CONFIGS)
    if listed is None:
        return False
    entries = [os.fsdecode(line).split("\t", 1) for line in listed.split(b"\0") if line]
    blobs = [about[2 if about[4] == "D" else 3] for about, _ in texts]
    for about, path in entries:
        if path.endswith(NOTEBOOK):
            stem = os.path.basename(path)[: -len(NOTEBOOK)]
            if any(related(text, stem) for _, text in texts):
                return False
        elif path.endswith("pyproject.toml"):
            blobs.append(about.split(" ")[1])
        else:
            return False
    asked = "".join(f"{blob}\n" for blob in blobs).encode("ascii")
    if len(asked) > 4096:  # what a pipe takes without a reader, on every system
        return False
    content = _git("cat-file", "--batch", stdin=asked)
    return content is not None and b"jupytext:" not in content and b"tool.jupytext" not in content


def _has_trailer(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return b"Snaprun-Run:" in file.read()
    except OSError:
        return True


def _git(*args: str, stdin: bytes = b"") -> bytes | None:
    """The output of a git command, or None where it failed or said more than is worth reading here."""
    read, write = os.pipe()
    asked, ask = os.pipe()
    if stdin:
        os.write(ask, stdin)
    os.close(ask)
    actions = [
        (os.POSIX_SPAWN_DUP2, asked, 0),
        (os.POSIX_SPAWN_DUP2, write, 1),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
    ]
    try:
        child = os.posix_spawnp("git", ["git", *args], {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}, file_actions=actions)
    except OSError:
        os.close(read)
        return None
    finally:
        os.close(asked)
        os.close(write)
    with open(read, "rb") as file:
        out = file.read(_MOST + 1)
    _, status = os.waitpid(child, 0)
    return out if len(out) <= _MOST and os.waitstatus_to_exitcode(status) == 0 else None
