"""Every diagnostic code that the source can give is explained, and every explanation is of a code that it can give."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

import cloudcpt
from cloudcpt.errors import Explanation, explanations

PACKAGE = Path(cloudcpt.__file__).parent
CODE = re.compile(r"\bCPT\d{3}\b")


def codes_in(source: str) -> set[str]:
    """Find the codes in string literals; those in docstrings are examples."""
    tree = ast.parse(source)
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    strings = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
    ]
    return {code for text in strings for code in CODE.findall(text)}


USED = set().union(*(codes_in(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")))


def test_codes_are_found_in_literals_and_not_in_docstrings() -> None:
    assert codes_in('"""CPT001"""\nerror("CPT002", f"x CPT003 {y}")\nCODE = "CPT004"\n"""CPT005"""') == {
        "CPT002",
        "CPT003",
        "CPT004",
    }


def test_every_code_in_the_source_is_explained() -> None:
    assert sorted(USED - explanations().keys()) == []


def test_every_explained_code_is_in_the_source() -> None:
    assert sorted(explanations().keys() - USED) == []


def test_codes_are_listed_in_order_and_have_no_other_keys() -> None:
    table = tomllib.loads((PACKAGE / "codes.toml").read_text("utf-8"))
    assert list(table) == sorted(table)
    assert all(set(row) == {"title", "text"} for row in table.values())


@pytest.mark.parametrize("row", explanations().values(), ids=lambda row: row.code)
def test_an_explanation_has_a_title_and_says_more_than_it(row: Explanation) -> None:
    assert CODE.fullmatch(row.code)
    assert row.title == row.title.strip()
    assert row.title
    assert not row.title.endswith(".")
    assert len(row.text) > len(row.title)
