"""The page: complete without a network, and nothing that a notebook holds gets out of its frame."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from typing import Any

from PIL import Image

from snaprun.diffs import builder, page, sides
from tests.runs import copied, display, edited, gate, logged, made, stream
from tests.sandbox import Sandbox, notebook

EVIL = "</pre></textarea><script>alert(1)</script><img src=x onerror=alert(2)>\"' onload=alert(3)"


class Tags(HTMLParser):
    """Collects the elements of a page, and checks that they are closed in order."""

    VOID = ("meta", "img", "input", "link")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.found if name == tag]


def rendered(box: Sandbox, a: str, b: str) -> str:
    repo = gate(box)
    one, other = sides.of_run(repo, a), sides.of_run(repo, b)
    return page.page(builder.compare(one, other, files=sides.files(repo, one, other)))


def png(colour: str) -> dict[str, Any]:
    data = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(data, "png")
    return display(image_png=base64.b64encode(data.getvalue()).decode())


def test_a_page_with_everything(repo: Sandbox) -> None:
    path = copied(repo, "digits.ipynb")
    a = made(repo, "digits.ipynb", metrics=logged(loss=0.3), outputs={3: [png("red")], 4: [stream("a\n")]})
    edited(path, 8, "accuracy = model.score(X_test, y_test)\nprint(f'{accuracy:.6f}')\n")
    repo.write("new.txt", "x")
    table = display(text_html="<table><tr><td>1</td></tr></table>", text_plain="1")
    b = made(
        repo,
        "digits.ipynb",
        given={"lr": 0.2},
        metrics=logged(loss=0.2),
        outputs={3: [png("blue")], 4: [stream("b\n")], 6: [table]},
    )
    made_page = rendered(repo, a, b)
    tags = Tags(made_page)
    assert len(tags.named("img")) == 2
    assert len(tags.named("iframe")) == 2
    assert all(frame["sandbox"] == "" for frame in tags.named("iframe"))
    assert "<ins>" in made_page
    for said in ("Parameters", "Metrics", "(-33.3%) better", "A new.txt", "is the first whose output differs"):
        assert said in made_page


def test_nothing_comes_from_outside_and_one_script_runs(repo: Sandbox) -> None:
    copied(repo, "digits.ipynb")
    a = made(repo, "digits.ipynb")
    made_page = rendered(repo, a, a)
    tags = Tags(made_page)
    script = re.search(r"<script>(.*?)</script>", made_page, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    policy = str(next(meta["content"] for meta in tags.named("meta") if meta.get("http-equiv")))
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    links = [value for _, attrs in tags.found for name, value in attrs.items() if name in ("src", "href")]
    assert all(str(link).startswith("data:") for link in links)
    assert not re.search(r"url\(|@import|https?://", made_page)


def test_what_a_notebook_holds_stays_text(repo: Sandbox) -> None:
    repo.write("x.ipynb", json.dumps(notebook(f"# %% md\n# {EVIL}", f"x = {EVIL!r}", "y = 1", parameters="p = 1")))
    hostile = {
        1: [stream(EVIL), display(text_html=EVIL, text_plain="x"), display(image_svg_xml="")],
        2: [
            {"output_type": "error", "ename": EVIL, "evalue": EVIL, "traceback": [EVIL]},
            {"output_type": "display_data", "data": {"image/svg+xml": f"<svg onload='alert(1)'>{EVIL}</svg>"}},
            {"output_type": "display_data", "data": {f"application/{EVIL}": {"a": EVIL}}},
        ],
    }
    a = made(repo, "x.ipynb", metrics=[{"name": EVIL, "value": 1}], name=EVIL)
    repo.write("x.ipynb", json.dumps(notebook(f"# %% md\n# {EVIL}2", f"x = {EVIL!r}+1", "y = 1", parameters="p = 1")))
    repo.write("<script>alert(4)<script>.txt", "x")
    b = made(
        repo,
        "x.ipynb",
        given={"p": EVIL},
        outputs=hostile,
        metrics=[{"name": EVIL, "value": 2}],
        environment={EVIL: EVIL},
    )
    tags = Tags(rendered(repo, a, b))
    assert len(tags.named("script")) == 1
    assert all(str(image["src"]).startswith("data:image/") and "onerror" not in image for image in tags.named("img"))
    assert not any(name.startswith("on") for _, attrs in tags.found for name in attrs)
    assert all(frame["sandbox"] == "" for frame in tags.named("iframe"))


def test_a_huge_output_is_only_named(repo: Sandbox) -> None:
    repo.write("x.ipynb", json.dumps(notebook("x")))
    a = made(repo, "x.ipynb", outputs={1: [display(text_html="<p>" + "x" * 3_000_000, text_plain="x")]})
    b = made(repo, "x.ipynb", outputs={1: [stream("line\n" * 10_000)]})
    made_page = rendered(repo, a, b)
    assert len(made_page) < 100_000
    assert "3000003 characters, not shown" in made_page
    assert "9600 more lines" in made_page
