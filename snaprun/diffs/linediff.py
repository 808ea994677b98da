"""Show the lines of a diff: in colours, with the words that changed, and nothing in them that commands a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from snaprun.diffs import textdiff
from snaprun.show import Look


def clean(line: str) -> str:
    """A line without what would move the cursor or colour the terminal: a notebook may hold anything."""
    return "".join(char if char.isprintable() or char == "\t" else "�" for char in line)


def coloured(lines: Sequence[str], how: Look) -> list[str]:
    """Lines in red and green, the words that changed within a line bold; as they are where no colour is wanted."""
    made = [clean(line) for line in lines]
    if not how.colour:
        return made
    shown = [_painted(line, how) for line in made]
    for old, new in textdiff.paired(made):
        parts = textdiff.inline(made[old][1:], made[new][1:])
        if parts:
            shown[old] = _words("-", "red", parts, how)
            shown[new] = _words("+", "green", parts, how)
    return shown


def marked(lines: Sequence[str]) -> list[str]:
    """Lines without colour: a removed and an added one as a single ``[-old-]{+new+}``, as ``git diff --word-diff``."""
    made = [clean(line) for line in lines]
    pairs = dict(textdiff.paired(made))
    found = []
    later: dict[int, str] = {}
    for number, line in enumerate(made):
        if number in later:
            if later[number]:
                found.append(later[number])
            continue
        if number not in pairs:
            found.append(line)
            continue
        parts = textdiff.inline(line[1:], made[pairs[number]][1:])
        later[pairs[number]] = "" if parts else made[pairs[number]]
        found.append(" " + "".join(_mark(sign, said) for sign, said in parts) if parts else line)
    return found


def _painted(line: str, how: Look) -> str:
    colour = {"+": "green", "-": "red"}.get(line[:1])
    return how.style(line, colour) if colour else line


def _words(sign: str, colour: str, parts: Sequence[textdiff.Part], how: Look) -> str:
    pieces = [how.style(said, colour, bold=kind == sign) for kind, said in parts if kind in ("=", sign)]
    return how.style(sign, colour) + "".join(pieces)


def _mark(sign: str, said: str) -> str:
    return {"=": said, "-": f"[-{said}-]", "+": f"{{+{said}+}}"}[sign]
