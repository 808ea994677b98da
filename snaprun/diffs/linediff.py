"""Show the lines of a diff: in colours, with the words that changed, and nothing in them that commands a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from snaprun.diffs import textdiff
from snaprun.printable import clean
from snaprun.show import Look


def colour_lines(lines: Sequence[str], look: Look) -> list[str]:
    """Lines in red and green, the words that changed within a line bold; as they are where no colour is wanted."""
    clean_lines = [clean(line) for line in lines]
    if not look.colour:
        return clean_lines
    output_lines = [_paint(line, look) for line in clean_lines]
    for old, new in textdiff.pair_lines(clean_lines):
        parts = textdiff.diff_words(clean_lines[old][1:], clean_lines[new][1:])
        if parts:
            output_lines[old] = _words("-", "red", parts, look)
            output_lines[new] = _words("+", "green", parts, look)
    return output_lines


def mark_words(lines: Sequence[str]) -> list[str]:
    """Lines without colour: a removed and an added one as a single ``[-old-]{+new+}``, as ``git diff --word-diff``."""
    clean_lines = [clean(line) for line in lines]
    pairs = dict(textdiff.pair_lines(clean_lines))
    output_lines = []
    later: dict[int, str] = {}
    for number, line in enumerate(clean_lines):
        if number in later:
            if later[number]:
                output_lines.append(later[number])
            continue
        if number not in pairs:
            output_lines.append(line)
            continue
        parts = textdiff.diff_words(line[1:], clean_lines[pairs[number]][1:])
        later[pairs[number]] = "" if parts else clean_lines[pairs[number]]
        output_lines.append(" " + "".join(_mark(sign, text) for sign, text in parts) if parts else line)
    return output_lines


def _paint(line: str, look: Look) -> str:
    colour = {"+": "green", "-": "red"}.get(line[:1])
    return look.style(line, colour) if colour else line


def _words(sign: str, colour: str, parts: Sequence[textdiff.Part], look: Look) -> str:
    pieces = [look.style(text, colour, bold=kind == sign) for kind, text in parts if kind in ("=", sign)]
    return look.style(sign, colour) + "".join(pieces)


def _mark(sign: str, text: str) -> str:
    return {"=": text, "-": f"[-{text}-]", "+": f"{{+{text}+}}"}[sign]
