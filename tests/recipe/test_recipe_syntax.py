"""From text to a tree: positions, what YAML allows and a recipe does not, and limits that hold before building."""

import time
from pathlib import Path

import pytest

from cloudcpt.errors import Diagnostic
from cloudcpt.recipe.source import RecipeSource
from cloudcpt.recipe.syntax import MAX_DEPTH, MAX_NODES, compose
from cloudcpt.recipe.tree import Node


def read(text: str) -> tuple[Node | None, list[Diagnostic]]:
    return compose(RecipeSource(path="r.yaml", text=text, blake3=""))


def where(found: Diagnostic) -> tuple[str, int | None, int | None, int]:
    assert found.place is not None
    return found.code, found.place.line, found.place.column, found.place.length


def test_every_key_and_value_remembers_its_line_column_and_length() -> None:
    root, found = read("run:\n  name: demo   # c\n  'q': \"x y\"\nlist:\n  - 1e-5\n  - [a, b]\nempty:\n")
    assert found == []
    assert root is not None

    def at(*loc: str | int) -> tuple[int | None, int | None, int]:
        place = root.nearest(loc)[0].place
        return place.line, place.column, place.length

    assert root.plain() == {"run": {"name": "demo", "q": "x y"}, "list": [1e-5, ["a", "b"]], "empty": None}
    assert at("run") == (1, 1, 3), "a block mapping has no place of its own, its key stands for it"
    assert at("run", "name") == (2, 9, 4)
    assert at("run", "q") == (3, 8, 5)
    assert at("list", 0) == (5, 5, 4)
    assert at("list", 1) == (6, 5, 6)
    assert at("list", 1, 1) == (6, 9, 1)
    assert at("empty") == (7, 1, 5), "so does the key of an empty value"
    key = root.nearest(("run", "q"))[0].key
    assert key is not None
    assert (key.line, key.column, key.length) == (3, 3, 3)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_count_alike_for_every_kind_of_line_break(newline: str) -> None:
    root, _ = read(newline.join(["a: 'one", "  two'", "b: |", "  text", "c: 3"]))
    assert root is not None
    assert root.nearest(("c",))[0].place.line == 5
    assert root.nearest(("a",))[0].place.length == 4, "a value of several lines is underlined on its first"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3", ("CPT010", 3, 1, 1)),
        ("a: &x 1", ("CPT011", 1, 4, 4)),
        ("a: *x", ("CPT011", 1, 4, 2)),
        ("*x : 1", ("CPT011", 1, 1, 2)),
        ("a: !!float 1", ("CPT013", 1, 4, 9)),
        ("a: !x [1]", ("CPT013", 1, 4, 4)),
        ("!x a: 1", ("CPT013", 1, 1, 4)),
        ("a:\n  <<: {b: 1}", ("CPT014", 2, 3, 2)),
        ("a: 1\n---\nb: 2", ("CPT015", 2, 1, 3)),
        ("a: .nan", ("CPT018", 1, 4, 4)),
        ("a: 99999999999999999999", ("CPT018", 1, 4, 20)),
        ("? [a]\n: 1", ("CPT019", 1, 3, 1)),
        ('a: "\\e[2J"', ("CPT005", 1, 4, 7)),
        ('a: "\\ud800"', ("CPT005", 1, 4, 8)),
        ('"\\0": 1', ("CPT005", 1, 1, 4)),
        ("%YAML 1.1\n---\na: 1", ("CPT026", 1, 1, 1)),
    ],
)
def test_what_yaml_allows_and_a_recipe_does_not_is_found_and_the_rest_is_read(
    text: str, expected: tuple[str, int, int, int]
) -> None:
    root, found = read(text)
    assert root is not None
    assert [where(one) for one in found] == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("CPT006", None, None, 1)),
        ("# only a comment", ("CPT006", None, None, 1)),
        ("---\n", ("CPT006", 2, 1, 1)),
        ("- a", ("CPT009", 1, 1, 1)),
        ("text", ("CPT009", 1, 1, 4)),
        ("a:\n\tb: 1", ("CPT008", 2, 1, 1)),
        ("a: 'x", ("CPT007", 1, 6, 1)),
        ("a: [1, 2", ("CPT007", 1, 9, 1)),
        ("a: {b: 1\nc: 2", ("CPT007", 2, 2, 1)),
        ("a: b: c", ("CPT007", 1, 5, 1)),
        ("a: 1\nb", ("CPT007", 2, 1, 1)),
        ("a:\n  b: 1\n c: 2", ("CPT007", 3, 2, 1)),
        ("  a: 1\nb: 2", ("CPT007", 2, 1, 1)),
        ("a: - b", ("CPT007", 1, 4, 1)),
        ("a: @x", ("CPT007", 1, 4, 1)),
        ('a: "\\q"', ("CPT007", 1, 6, 1)),
        ('a: "\\x4"', ("CPT007", 1, 7, 1)),
        ('a: "\\U99999999"', ("CPT007", None, None, 1)),
    ],
)
def test_what_cannot_be_read_ends_with_one_finding_at_its_place(
    text: str, expected: tuple[str, int | None, int | None, int]
) -> None:
    root, found = read(text)
    assert root is None
    assert [where(one) for one in found] == [expected]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 'x", "a quoted text is never closed"),
        ("a: [1", "a list or mapping that was opened is not closed with `]`"),
        ("a: b: c", "a second `:` on one line, or wrong indentation"),
        ("a: 1\nb", "a key without `:` behind it"),
        ("a:\n  b: 1\n c: 2", "this line is indented differently from the lines around it"),
        ("  a: 1\nb: 2", "this line is indented less than the first one"),
        ("a: - b", "a list item `- ` cannot stand on the line of its key"),
        ("a: %x", "a value cannot start with `%`"),
        ('a: "\\q"', "an unknown `\\` escape inside double quotes"),
    ],
)
def test_a_syntax_error_is_one_friendly_sentence(text: str, sentence: str) -> None:
    assert read(text)[1][0].message == f"this is not YAML: {sentence}"


def test_an_unclosed_quote_shows_where_it_began() -> None:
    (found,) = read("a: 1\nb: 'x\nc: 2\n")[1]
    assert [(related.place.line, related.place.column, related.label) for related in found.related] == [
        (2, 4, "began here")
    ]


def test_a_duplicate_key_shows_both_places_and_keeps_the_first() -> None:
    root, (found,) = read("run:\n  lr: 1\n  lr: 2")
    assert root is not None
    assert root.plain() == {"run": {"lr": 1}}
    assert [(related.place.line, related.place.column) for related in found.related] == [(2, 3)]


def test_syntax_findings_do_not_hide_each_other() -> None:
    _, found = read("a: &x 1\nb: *x\n<<: 1\nc: !t 2\na: 3\nd: .inf")
    assert [one.code for one in found] == ["CPT011", "CPT011", "CPT014", "CPT013", "CPT010", "CPT018"]


def nested(depth: int) -> str:
    return "\n".join(" " * level + "a:" for level in range(depth - 1)) + " 1"


def test_the_deepest_recipe_has_16_levels() -> None:
    assert read(nested(MAX_DEPTH))[1] == []
    (found,) = read(nested(MAX_DEPTH + 1))[1]
    assert where(found)[:3] == ("CPT016", 16, 19)


def test_the_largest_recipe_has_1000_keys_and_values() -> None:
    items = MAX_NODES - 3  # the mapping, the key and the list count as well
    assert read("a: [" + "1," * items + "]")[1] == []
    assert [one.code for one in read("a: [" + "1," * (items + 1) + "]")[1]] == ["CPT017"]


SIZE = 65_000
BOMBS = {
    "flow lists": "a: " + "[" * SIZE,
    "flow mappings": "{a: " * (SIZE // 4),
    "flow mappings without keys": "a: " + "{" * SIZE,
    "block lists": "a:\n" + "- " * (SIZE // 2),
    "complex keys": "? " * (SIZE // 2),
    "one long word": "a: " + "x" * SIZE,
    "many words": "a: " + "x " * (SIZE // 2),
    "escapes": 'a: "' + "\\x41" * (SIZE // 4) + '"',
    "keys": "\n".join(f"k{number}: 1" for number in range(SIZE // 9)),
    "a list": "a: [" + "1," * (SIZE // 2) + "]",
    "documents": "a: 1\n" + "---\n" * (SIZE // 4),
    "blank lines": "a: b" + "\n" * SIZE + " c",
    "colons": "a" + ":" * SIZE,
    "quotes": "a: " + "'" * SIZE,
    "anchors": "a: " + "&" * SIZE,
    "an alias bomb": "\n".join(
        [f"a{n}: &a{n} [" + ",".join([f"*a{n - 1}"] * 9) + "]" if n else "a0: &a0 [1]" for n in range(20)]
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_no_file_of_the_allowed_size_keeps_the_reader_busy(name: str) -> None:
    """I1: bounded work for hostile files; 5 CPU seconds is far above the measured 0.1 and below any bomb."""
    start = time.process_time()
    read(BOMBS[name])
    assert time.process_time() - start < 5


def test_the_path_is_written_as_the_user_gave_it(tmp_path: Path) -> None:
    _, (found,) = compose(RecipeSource(path="./recipes/../r.yaml", text="a: .nan", blake3=""))
    assert str(found.place) == "./recipes/../r.yaml:1:4"
