"""Read the first table out of an HTML output, as rows of texts."""

from __future__ import annotations

from html.parser import HTMLParser

CELLS_MOST = 200_000

Table = list[list[str]]


def read(html: str) -> Table | None:
    """The rows of the first ``<table>``, spans not expanded; None where there is none, or a huge one."""
    parser = _TableParser()
    parser.feed(html)
    return parser.rows or None


class _TableParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: Table = []
        self._depth = 0
        self._complete = False
        self._cell: list[str] | None = None
        self._count = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if self._complete:
            return
        if tag == "table":
            self._depth += 1
        elif self._depth == 1 and tag == "tr":
            self.rows.append([])
        elif self._depth == 1 and tag in ("td", "th"):
            self._close_cell()
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if self._complete:
            return
        if self._depth == 1 and tag in ("td", "th", "tr", "table"):
            self._close_cell()
        if tag == "table" and self._depth:
            self._depth -= 1
            self._complete = self._depth == 0

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)

    def _close_cell(self) -> None:
        if self._cell is None:
            return
        if not self.rows:
            self.rows.append([])
        self.rows[-1].append(" ".join("".join(self._cell).split()))
        self._cell = None
        self._count += 1
        if self._count > CELLS_MOST:
            self.rows, self._complete = [], True
