"""Write the hook file that snaprun installs, and know it again: POSIX shell, LF, nothing else.

The file calls the interpreter that installed it, by its absolute path, because a graphical client commits without the
user's PATH. A hook that cannot run must say so and fail: one that is passed over in silence is worse than none
(typicode/husky#715).
"""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass
from enum import Enum

from snaprun.hooks import shell
from snaprun.hooks.managers import MANAGERS

VERSION = 1
"""Version of the text below: raise it with every change, so that `hook install` brings older files up to date."""

ORIGINAL_SUFFIX = ".snaprun-orig"
"""What the name of a hook that was there before gets at its end; it is run first."""

_MARK = re.compile(rb"\A#!/bin/sh\n# snaprun-hook v(\d+) ([0-9a-f]{64})\n")
_PYTHON = re.compile(r"^python=('(?:[^']|'\\'')*')$", re.MULTILINE)
_OPTIONS = re.compile(r"^options='([^'\n]*)'$", re.MULTILINE)

_BODY = r"""# Written by `snaprun hook install`, taken away by `snaprun hook uninstall`; an edited file is left alone.
hook='@kind@'
options='@options@'
python=@python@
original="${0%/*}/@kind@@original@"
@stdin@
if [ -x "$original" ]; then
  @feed@"$original" "$@" || exit $?
fi

# The folder that the hook runs in is the user's: nothing of theirs may be imported in our place. 97: no snaprun there.
boot='import sys
if sys.path[:1] == [""]: sys.path.pop(0)
try: from snaprun.__main__ import main
except ModuleNotFoundError: sys.exit(97)
main()'

for candidate in "${SNAPRUN_PYTHON:-}" "$python"; do
  if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1; then
    @feed@"$candidate" -c "$boot" hook run $options "$hook" "$@"
    code=$?
    [ "$code" -eq 97 ] || exit "$code"
  fi
done
if command -v snaprun >/dev/null 2>&1; then
  @feed@snaprun hook run $options "$hook" "$@"
  exit $?
fi
if command -v py >/dev/null 2>&1; then
  @feed@py -c "$boot" hook run $options "$hook" "$@"
  code=$?
  [ "$code" -eq 97 ] || exit "$code"
fi

required=$(git config --type=bool --get snaprun.hookRequired 2>/dev/null)
if [ "$required" = false ] || [ "$hook" = post-commit ] || [ "$hook" = post-rewrite ]; then
  echo "snaprun: warning: the $hook hook did nothing: no snaprun in $python" >&2
  echo "hint: snaprun hook install" >&2
  exit 0
fi
echo "snaprun: error: the $hook hook cannot run: no snaprun in $python, nor on the PATH" >&2
echo "hint: snaprun hook install (or, to commit without it: git config snaprun.hookRequired false)" >&2
exit 1
"""


class Owner(str, Enum):
    """Whose a hook file is."""

    ABSENT = "none"
    OURS = "ours"
    OURS_EDITED = "ours, edited"
    MANAGER = "manager"
    FOREIGN = "foreign"


@dataclass(frozen=True)
class HookFile:
    """What a hook file's text tells: whose it is, and for our own the version, interpreter and options."""

    owner: Owner
    version: int | None = None
    python: str | None = None
    options: str | None = None
    manager: str | None = None


def text(kind: str, *, python: str, fix: bool = False) -> bytes:
    """The hook file for ``kind`` that calls the interpreter ``python``; ``fix`` lets it stage stale halves of pairs."""
    reads_stdin = kind == "post-rewrite"
    script = _BODY
    for name, value in {
        "kind": kind,
        "original": ORIGINAL_SUFFIX,
        "options": "--fix" if fix and kind == "pre-commit" else "",
        "python": shell.single_quote(python),
        "stdin": "input=$(cat)\n" if reads_stdin else "",
        "feed": "printf '%s\\n' \"$input\" | " if reads_stdin else "",
    }.items():
        script = script.replace(f"@{name}@", value)
    body = script.encode("utf-8", "surrogateescape")
    return b"#!/bin/sh\n# snaprun-hook v%d %s\n%s" % (VERSION, hashlib.sha256(body).hexdigest().encode(), body)


def identify(content: bytes) -> HookFile:
    """Whose hook file this is."""
    header = _MARK.match(content)
    if header:
        body = content[header.end() :]
        is_intact = hashlib.sha256(body).hexdigest().encode() == header[2]
        source = body.decode("utf-8", "surrogateescape")
        python, options = _PYTHON.search(source), _OPTIONS.search(source)
        return HookFile(
            Owner.OURS if is_intact else Owner.OURS_EDITED,
            version=int(header[1]),
            python=shell.unquote(python[1]) if python else None,
            options=options[1] if options else None,
        )
    for name, manager in MANAGERS.items():
        if any(sign in content for sign in manager.signs):
            return HookFile(Owner.MANAGER, manager=name)
    return HookFile(Owner.FOREIGN)


def current_python() -> str:
    """The interpreter that runs now, as a hook file names it."""
    return sys.executable.replace("\\", "/") if sys.platform == "win32" else sys.executable
