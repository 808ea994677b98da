"""Make text of any origin safe to show: nothing in it moves the cursor, colours the terminal or rings its bell."""

from __future__ import annotations


def clean(text: str, stand_in: str = "�", *, keep: str = "\t") -> str:
    """The text with ``stand_in`` for every character that is not printable, but for those in ``keep``."""
    return "".join(char if char.isprintable() or char in keep else stand_in for char in text)


def one_line(text: str) -> str:
    """The text on one line, whatever a file is called."""
    return clean(text.replace("\n", " "), "?", keep="")
