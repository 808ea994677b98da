"""Find secrets in a notebook: in sources, in what outputs show, in metadata, and in what these hold as base64."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping

from snaprun.hooks.celltext import MAX_SEARCH, find_strings, output_texts
from snaprun.hooks.complaint import Complaint
from snaprun.hooks.secrets import Secret, find
from snaprun.notebooks import cells
from snaprun.notebooks.cells import Node
from snaprun.quantities import round_size

_LONG_BASE64 = re.compile(r"[A-Za-z0-9+/]{24,}={0,2}")
_MAX_BASE64 = 20_000


def find_leaks(node: Node, values: Mapping[str, str] | None = None) -> Iterator[Complaint]:
    """Secrets in sources, in what outputs show as text (decoded, as a reader sees it), and in attachments' names.

    Images and other binary data are not searched: what looks like a key there is chance. ``values`` are secrets known
    by name.
    """
    for label, cell in zip(cells.name_cells(node), node["cells"], strict=True):
        for secret in _secrets_in(cells.read_source(cell), values):
            yield Complaint("secrets", label, f"holds {secret.kind} ({secret.excerpt})", secret.mend)
        for text in output_texts(cell):
            if len(text) > MAX_SEARCH:
                yield Complaint(
                    "size", label, f"prints {round_size(len(text))}: its middle is not searched for secrets"
                )
            for secret in _secrets_in(text, values):
                yield Complaint("secrets", label, f"its output shows {secret.kind} ({secret.excerpt})", secret.mend)
    for text in find_strings(node.get("metadata")):
        for secret in _secrets_in(text, values):
            yield Complaint("secrets", "metadata", f"holds {secret.kind} ({secret.excerpt})", secret.mend)


def _secrets_in(text: str, values: Mapping[str, str] | None) -> Iterator[Secret]:
    """Secrets in a text, and in what it holds as base64 of text."""
    excerpts = set()
    if len(text) > MAX_SEARCH:
        text = text[: MAX_SEARCH // 2] + "\n" + text[-MAX_SEARCH // 2 :]
    for secret in find(text, values):
        excerpts.add(secret.excerpt)
        yield secret
    for match in _LONG_BASE64.finditer(text):
        if len(match[0]) > _MAX_BASE64:
            continue
        for secret in find(_decode_base64(match[0]), values):
            if secret.excerpt not in excerpts:
                excerpts.add(secret.excerpt)
                yield secret


def _decode_base64(word: str) -> str:
    """The text that a word of base64 stands for, or nothing where it is no printable text."""
    try:
        raw = base64.b64decode(word + "=" * (-len(word) % 4), validate=True)
        text = raw.decode("ascii")
    except (binascii.Error, ValueError):
        return ""
    return text if text.replace("\n", " ").replace("\t", " ").replace("\r", " ").isprintable() else ""


def text_as_node(text: str) -> Node:
    """A text as the one cell of a notebook, to be searched as such."""
    return {"cells": [{"cell_type": "text", "metadata": {}, "source": text}], "metadata": {}}
