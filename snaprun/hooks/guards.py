"""Find what belongs into no commit, whoever ran the notebook: huge outputs, leftovers, merge markers, damage."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from snaprun.errors import InputMissing
from snaprun.hooks.celltext import MAX_SEARCH, output_data, output_texts
from snaprun.hooks.complaint import Complaint
from snaprun.hooks.policy import Policy
from snaprun.notebooks import cells
from snaprun.notebooks.cells import Node
from snaprun.quantities import round_size

MARKER = re.compile(rb"^(<{7} |>{7} |={7}\r?$)", re.MULTILINE)
"""How git marks the two sides of a conflict."""

_HOME = re.compile(r"(?:/home/|/Users/|[A-Za-z]:\\\\?Users\\\\?)(?!runner|jovyan|vscode|shared)[\w.-]+", re.IGNORECASE)
"""A folder in somebody's home; not those of well-known containers."""


@dataclass(frozen=True)
class HookGuard:
    """A search of every notebook that a commit takes, for what the policy's field ``check`` forbids or warns of.

    ``mend`` is the command that helps where a complaint has none of its own, with the notebook for ``{path}``.
    """

    check: str
    find: Callable[[Node, Policy], Iterator[Complaint]]
    mend: str = ""


def markers(path: str, content: bytes) -> Complaint | None:
    """Merge markers in a text notebook; for an ``.ipynb`` its JSON tells."""
    kinds = {match[1][:7] for match in MARKER.finditer(content)}
    if len(kinds) < 3:
        return None
    return Complaint("damaged", "", "has unresolved merge markers", f"git mergetool -- {path}")


def damage(path: str, error: InputMissing) -> Complaint:
    """What is said of a file that is no readable notebook."""
    return Complaint("damaged", "", error.message.removeprefix(path).removeprefix(":").strip(), error.hint)


def sizes(node: Node, policy: Policy) -> Iterator[Complaint]:
    """Outputs that make the notebook, or one image, larger than is allowed (bytes as stored)."""
    total = 0
    heaviest: tuple[int, str] = (0, "")
    for label, cell in zip(cells.name_cells(node), node["cells"], strict=True):
        weight = 0
        for output in cell.get("outputs") or ():
            weight += _weight(output)
            for mime, value in output_data(output).items():
                size = _weight(value)
                if mime.startswith("image/") and size > policy.max_image:
                    yield Complaint(
                        "size",
                        label,
                        f"stores an image of {round_size(size)} (limit {round_size(policy.max_image)})",
                    )
        total += weight
        heaviest = max(heaviest, (weight, label))
    if total > policy.max_output:
        yield Complaint(
            "size",
            heaviest[1],
            f"outputs weigh {round_size(total)} (limit {round_size(policy.max_output)}), "
            f"{round_size(heaviest[0])} of it in this cell",
        )


def leftovers(node: Node, policy: Policy) -> Iterator[Complaint]:  # noqa: ARG001
    """What a reader elsewhere has no use for: tracebacks, paths of one's own home, the state of widgets."""
    if isinstance(node["metadata"].get("widgets"), dict):
        yield Complaint("leftovers", "metadata", "stores the state of widgets")
    for label, cell in zip(cells.name_cells(node), node["cells"], strict=True):
        if any(output.get("output_type") == "error" for output in cell.get("outputs") or ()):
            yield Complaint("leftovers", label, "stores a traceback")
        for text in (cells.read_source(cell), *output_texts(cell)):
            home = _HOME.search(text[:MAX_SEARCH])
            if home is not None:
                yield Complaint("leftovers", label, f"names a folder of one computer: {home[0]}")
                break


GUARDS = (
    HookGuard("size", sizes, mend="jupyter nbconvert --clear-output --inplace {path}"),
    HookGuard("leftovers", leftovers),
)
"""In the order in which they are told: a new one is a function, a line here, and a field of :class:`Policy`."""


def _weight(value: Any) -> int:
    """About how many bytes a JSON value takes in the file."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, dict):
        return sum(_weight(key) + _weight(item) + 6 for key, item in value.items())
    if isinstance(value, list):
        return sum(_weight(item) + 3 for item in value)
    return 5
