"""One fingerprint for what a notebook executes."""

from __future__ import annotations

import json

import pytest

from snaprun.codehash import code_hash
from tests.sandbox import notebook


def test_outputs_ids_markdown_and_injected_parameters_do_not_count() -> None:
    plain = notebook("x = 1", "print(x)", ids=False)
    dressed = notebook("# %% md\n# Title", "x = 1\n", "", "print(x)")
    dressed["cells"][1]["execution_count"] = 7
    dressed["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "hi"}]
    dressed["cells"].insert(
        1, {"cell_type": "code", "metadata": {"tags": ["injected-parameters"]}, "source": "x = 3", "outputs": []}
    )
    assert code_hash(dressed) == code_hash(plain)


@pytest.mark.parametrize("other", [("x = 1\nprint(x)",), ("print(x)", "x = 1"), ("x = 1 ; ", "print(x)"), ("x = 1",)])
def test_every_change_of_what_is_executed_counts(other: tuple[str, ...]) -> None:
    assert code_hash(notebook(*other)) != code_hash(notebook("x = 1", "print(x)"))


def test_the_parameters_tag_counts() -> None:
    assert code_hash(notebook("y = 2", parameters="x = 1")) != code_hash(notebook("x = 1", "y = 2"))


def test_line_lists_crlf_and_nbformat_3_give_the_same() -> None:
    plain = notebook("x = 1\ny = 2")
    listed = json.loads(json.dumps(plain))
    listed["cells"][0]["source"] = ["x = 1\r\n", "y = 2"]
    third = {"worksheets": [{"cells": [{"cell_type": "code", "input": ["x = 1\n", "y = 2"], "language": "python"}]}]}
    assert code_hash(listed) == code_hash(plain) == code_hash(third)


def test_malformed_documents_have_a_fingerprint_too() -> None:
    assert code_hash({"cells": [None, 3, {"cell_type": "code", "source": None, "metadata": []}]}) == code_hash({})
