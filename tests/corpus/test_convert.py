"""What other programs wrote comes out as documents, to the letter; what is no document is named with its place."""

import bz2
import csv
import functools
import gzip
import itertools
import json
import lzma
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyarrow import feather, ipc, parquet

from cloudcpt.corpus.convert import Conversion, convert, convert_work
from cloudcpt.corpus.file_lines import Making
from cloudcpt.corpus.output import Output
from cloudcpt.corpus.readers.csv_rows import Dialect
from cloudcpt.corpus.readers.json_rows import json_rows
from cloudcpt.corpus.readers.plain_text import Documents
from cloudcpt.corpus.readers.read import Reading
from cloudcpt.corpus.sources import find_sources
from cloudcpt.corpus.template import parse_template
from cloudcpt.dataset.check import check_dataset
from cloudcpt.dataset.fault import VISIBLE
from cloudcpt.dataset.progress import DataProgress
from cloudcpt.errors import DatasetError
from tests.corpus.kills import killed_at

NO_SURROGATES = st.characters(exclude_categories=["Cs"])
TEXTS = st.lists(st.text(NO_SURROGATES, min_size=1), min_size=1, max_size=5)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
ANY_JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
TRICKY = ['a "quoted", text\r\nwith\nlines\u2028and \x85 \x00 more', "\ufeffmark", "\\n", "{", "é\u0301", "a\rb", " a "]
ON_FILES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)


def run(tmp_path: Path, *names: str, making: Making | None = None, **options: Any) -> Conversion:
    making = making or Making()
    sources = find_sources([str(tmp_path / name) for name in names])
    work = convert_work(sources, making, options.get("max_bytes", 0))
    return convert(sources, Output(tmp_path / "out", work, overwrite=True), making, **options)


def texts(tmp_path: Path, *names: str, making: Making | None = None) -> list[str]:
    """Convert, and read what came of it with the standard library; it must be a valid dataset."""
    run(tmp_path, *names, making=making)
    report = check_dataset(str(tmp_path / "out"), tmp_path)
    assert report.error_count == 0
    files = sorted((tmp_path / "out").rglob("*.jsonl"))
    lines = [line for file in files for line in file.read_bytes().decode().split("\n") if line]
    objects = [json.loads(line) for line in lines]
    assert all(list(found) == ["text"] for found in objects)
    assert report.documents == len(objects)
    return [found["text"] for found in objects]


def refused(tmp_path: Path, *names: str, making: Making | None = None) -> list[tuple[str, str]]:
    """Convert what cannot be converted: codes, and places with messages; nothing is left of it."""
    with pytest.raises(DatasetError) as raised:
        run(tmp_path, *names, making=making)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()
    shown = str(tmp_path) + "/"
    return [(found.code, f"{found.place}: {found.message}".replace(shown, "")) for found in raised.value.diagnostics]


def visible(values: list[str]) -> list[str]:
    return [value for value in values if VISIBLE.search(value)]


def write_csv(path: Path, values: list[str], *, delimiter: str = ",") -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writerow(["id", "text"])
        writer.writerows([str(number), value] for number, value in enumerate(values))


def write_json(path: Path, values: list[str]) -> None:
    path.write_text(json.dumps([{"id": 1, "text": value} for value in values]), "utf-8")


def write_json_lines(path: Path, values: list[str]) -> None:
    path.write_text("".join(json.dumps({"meta": {"a": [1]}, "text": value}) + "\r\n" for value in values), "utf-8")


def write_parquet(path: Path, values: list[str]) -> None:
    parquet.write_table(pa.table({"n": list(range(len(values))), "text": values}), path, row_group_size=2)


def write_feather(path: Path, values: list[str]) -> None:
    feather.write_feather(pa.table({"text": pa.array(values).dictionary_encode()}), str(path))


def write_arrow_stream(path: Path, values: list[str]) -> None:
    table = pa.table({"text": pa.array(values, pa.large_string())})
    with pa.OSFile(str(path), "wb") as file, ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.csv", write_csv),
        ("a.tsv", lambda path, values: write_csv(path, values, delimiter="\t")),
        ("a.json", write_json),
        ("a.jsonl", write_json_lines),
        ("a.parquet", write_parquet),
        ("a.feather", write_feather),
        ("a.arrow", write_arrow_stream),
    ],
)
@ON_FILES
@given(values=TEXTS)
@example(values=TRICKY)
def test_texts_come_out_to_the_letter(
    tmp_path: Path, name: str, write: Callable[[Path, list[str]], None], values: list[str]
) -> None:
    values = [*values, "seen"]
    write(tmp_path / name, values)
    assert texts(tmp_path, name) == visible(values)


@ON_FILES
@given(
    st.lists(st.text(NO_SURROGATES) | st.dictionaries(st.just("text"), st.text(NO_SURROGATES), min_size=1)),
    st.sampled_from([None, 1, "\t"]),
    st.integers(1, 40),
)
def test_json_is_read_the_same_in_pieces_of_any_size(rows: list[Any], indent: int | str | None, size: int) -> None:
    whole = json.dumps(rows, indent=indent)
    pieces = (whole[at : at + size] for at in range(0, len(whole), size))
    assert [row.value for row in json_rows(pieces, "a.json")] == rows


@settings(max_examples=30)
@given(ANY_JSON, st.integers(1, 9))
def test_values_of_every_kind_are_read_in_pieces(value: Any, size: int) -> None:
    whole = json.dumps([{"text": "a", "other": value}, {"text": "b"}], ensure_ascii=False)
    pieces = (whole[at : at + size] for at in range(0, len(whole), size))
    assert [row.value for row in json_rows(pieces, "a.json")] == json.loads(whole)


@settings(max_examples=30)
@given(st.dictionaries(st.text(), ANY_JSON), st.integers(1, 9))
@example({"version": 12345, "text": "a", "score": -1.5e10}, 1)
def test_an_object_is_read_in_pieces(value: dict[str, Any], size: int) -> None:
    value = {f"a {name}": inner for name, inner in value.items()}  # none of the names that hold rows
    whole = json.dumps(value)
    pieces = (whole[at : at + size] for at in range(0, len(whole), size))
    assert [row.value for row in json_rows(pieces, "a.json")] == [value]


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ('{"text": "one"}', ["one"]),
        ('["one", "two"]', ["one", "two"]),
        ('{"version": 2, "data": [{"text": "one"}, {"text": "two"}], "more": {}}', ["one", "two"]),
        ('{"text": "one"}\n{"text": "two"}\n', ["one", "two"]),
        ('\ufeff [{"text": "one"}]\n', ["one"]),
        ('{"title": "t", "text": "one", "data": {"a": 1}}', ["one"]),
    ],
)
def test_json_has_its_rows_in_many_ways(tmp_path: Path, content: str, wanted: list[str]) -> None:
    (tmp_path / "a.json").write_text(content, "utf-8")
    assert texts(tmp_path, "a.json") == wanted


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "a.json: `a.json` is empty"),
        ('[{"text": "a"},]', "a.json:1: `a.json` is not JSON: expecting value"),
        ('[{"text": "a"}', "a.json:1: `a.json` is not JSON: `,` should be here, and not the end of the file"),
        ('[{"text": "a"}\n\n{"text": "b"}]', "a.json:3: `a.json` is not JSON: `,` should be here, and not `{`"),
        ('[{"text": "a}]', "a.json:1: `a.json` is not JSON: unterminated string starting at"),
        ('[{"text": "a", "n": NaN}]', "a.json:1: `a.json` is not JSON: `NaN` is not JSON"),
        ("[" * 100_000, "a.json:1: `a.json` is not JSON: brackets are too deep inside brackets"),
        ("[1]", "a.json: row 1: the row is `1`"),
        ('["a", {"text": "b"}, null]', "a.json: row 3: the row is `null`"),
        ('[{"text": 5}]', "a.json: row 1: `text` is a number, not text: `5`"),
        ('[{"text": ["a"]}]', "a.json: row 1: `text` is a list, not text"),
        ('[{"text": "a"}, {"body": "b"}]', "a.json: row 2: the row has no `text`"),
        ('[{"text": "\\ud800"}]', "a.json: row 1: the text holds half of a surrogate pair, which is no character"),
    ],
)
def test_json_that_is_none_is_refused_with_its_place(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.json").write_text(content, "utf-8")
    codes, messages = zip(*refused(tmp_path, "a.json"), strict=True)
    assert set(codes) <= {"CPT378", "CPT379"}
    assert message in messages


@pytest.mark.parametrize(
    ("content", "dialect", "wanted"),
    [
        ("text\none\ntwo\n", Dialect(), ["one", "two"]),
        ("\ufefftext,n\r\none,1\r\n\r\ntwo,2", Dialect(), ["one", "two"]),
        ('text;n\n"one; and\n""more""";1\n', Dialect(), ['one; and\n"more"']),
        ("one\t1\ntwo words\t2\n", Dialect(has_header=False), ["two words"]),
        ('n|text\n1|"one\n2|two\n', Dialect(quote="none"), ['"one', "two"]),
        ("n,text\n1,'a, b'\n", Dialect(quote="'"), ["a, b"]),
        ("text\n" + "x" * 200_000 + "\n", Dialect(), ["x" * 200_000]),
    ],
)
def test_csv_comes_in_dialects(tmp_path: Path, content: str, dialect: Dialect, wanted: list[str]) -> None:
    (tmp_path / "a.csv").write_text(content, "utf-8", newline="")
    column = None if dialect.has_header else "1"
    found = texts(tmp_path, "a.csv", making=Making(reading=Reading(dialect=dialect), column=column))
    assert found[-len(wanted) :] == wanted


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "a.csv: `a.csv` has no header, and no rows"),
        ("text,n\none\n", "a.csv:2: values in the row: 1, columns in the file: 2"),
        ('text,n\n"a\nb",1\none,2,3\n', "a.csv:4: values in the row: 3, columns in the file: 2"),
        ('text,n\none,1\n"two,2\nthree,3\n', "a.csv:3: a quote in `a.csv` is not closed; the row begins here"),
        ('text,n\n"one "quoted" text",1\n', "a.csv:2: the row cannot be read: ',' expected after '\"'"),
        ("text,text\na,b\n", "a.csv:1: `a.csv` has two columns named `text`"),
        ("text\ra\rb", "a.csv:1: `a.csv` has a lone CR outside of quotes"),
    ],
)
def test_csv_that_does_not_add_up_is_refused_with_its_place(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(content, "utf-8", newline="")
    assert message in [found for _, found in refused(tmp_path, "a.csv")]


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,n\na,1,1\nb\nc,3\n", "utf-8")
    (tmp_path / "b.jsonl").write_text('{"text": "a"}\n{"text": 1}\nno\n', "utf-8")
    (tmp_path / "c.txt").write_bytes(b"caf\xe9")
    assert refused(tmp_path, "a.csv", "b.jsonl", "c.txt") == [
        ("CPT378", "a.csv:2: values in the row: 3, columns in the file: 2"),
        ("CPT378", "a.csv:3: values in the row: 1, columns in the file: 2"),
        ("CPT378", "b.jsonl:2: `text` is a number, not text: `1`"),
        ("CPT378", "b.jsonl:3: the line is not JSON: expecting value (column 1)"),
        ("CPT379", "c.txt:1: `c.txt` is not text in utf-8: byte `e9` at offset 3, unexpected end of data"),
    ]


def test_bad_rows_are_left_out_and_counted_when_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": 1}\nno\n{"text": null}\n{"text": " "}\n', "utf-8")
    done = run(tmp_path, "a.jsonl", making=Making(skip_bad=True))
    assert (done.written.documents, done.written.dropped) == (1, {"bad": 2, "null": 1, "blank": 1})
    assert [str(found.place).removeprefix(f"{tmp_path}/") for found in done.warnings] == ["a.jsonl:2", "a.jsonl:3"]


def test_a_file_that_cannot_be_read_is_refused_even_then(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n', "utf-8")
    (tmp_path / "b.parquet").write_bytes(b"PAR1, but not really")
    ((code, message),) = refused(tmp_path, "a.jsonl", "b.parquet", making=Making(skip_bad=True))
    assert code == "CPT379"
    assert "`b.parquet` cannot be read as Parquet" in message


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252", "shift_jis", "gb18030", "utf-8-sig"])
def test_other_encodings_are_read_when_they_are_named(tmp_path: Path, encoding: str) -> None:
    text = {"cp1252": "naïve café", "shift_jis": "日本語", "gb18030": "中文😀"}.get(encoding, "日本語 naïve 😀")
    (tmp_path / "a.txt").write_bytes((text * 50_000 + "end").encode(encoding))
    assert texts(tmp_path, "a.txt", making=Making(reading=Reading(encoding=encoding))) == [text * 50_000 + "end"]


@ON_FILES
@given(st.integers(0, 600_000), st.sampled_from([b"\xff", b"\xe4\xb8", b"\xc0\x80"]))
def test_a_byte_that_is_no_text_is_named_with_its_offset(tmp_path: Path, at: int, bad: bytes) -> None:
    """Also where a piece that was read ends, and inside a character."""
    before = ("é\n" * 300_000).encode()[:at]
    before = before.decode(errors="ignore").encode()
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + before + bad + b"x")
    ((code, message),) = refused(tmp_path, "a.txt")
    line, offset = before.count(b"\n") + 1, len(before) + 3
    assert (code, message[: len(f"a.txt:{line}:")]) == ("CPT379", f"a.txt:{line}:")
    assert f"byte `{bad[:1].hex()}` at offset {offset:,}," in message


@pytest.mark.parametrize(
    ("head", "hint"),
    [(b"\x1f\x8b\x08\x00", "`.gz`"), (b"%PDF-1.7\n\xe2\xe3", "PDF"), ("\ufeffa".encode("utf-16-le"), "utf-16")],
)
def test_what_is_no_text_at_all_is_recognised(tmp_path: Path, head: bytes, hint: str) -> None:
    (tmp_path / "a.txt").write_bytes(head)
    with pytest.raises(DatasetError) as raised:
        run(tmp_path, "a.txt")
    assert hint in (raised.value.diagnostics[0].hint or "")


PACK = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda content: pa.Codec("zstd").compress(content, asbytes=True),
}


@pytest.mark.parametrize("ending", PACK)
def test_what_is_packed_is_unpacked_on_the_way(tmp_path: Path, ending: str) -> None:
    content = "".join(json.dumps({"text": f"document {number}"}) + "\n" for number in range(50_000)).encode()
    (tmp_path / f"a.jsonl.{ending}").write_bytes(PACK[ending](content))
    assert texts(tmp_path, f"a.jsonl.{ending}") == [f"document {number}" for number in range(50_000)]


@pytest.mark.parametrize("ending", PACK)
@pytest.mark.parametrize("damage", [lambda packed: packed[:-20], lambda packed: b"no" + packed])
def test_what_is_packed_badly_is_refused(tmp_path: Path, ending: str, damage: Callable[[bytes], bytes]) -> None:
    content = "".join(json.dumps({"text": f"document {number * 7919 % 10007}"}) + "\n" for number in range(9000))
    (tmp_path / f"a.jsonl.{ending}").write_bytes(damage(PACK[ending](content.encode())))
    ((code, message),) = refused(tmp_path, f"a.jsonl.{ending}")
    assert code == "CPT379", message


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.feather"])
@pytest.mark.parametrize("keep", [0, 6, 200])
def test_columns_that_are_damaged_are_refused(tmp_path: Path, name: str, keep: int) -> None:
    {"a.parquet": write_parquet, "a.arrow": write_arrow_stream, "a.feather": write_feather}[name](
        tmp_path / name, ["one", "two", "three"] * 50
    )
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:keep])
    ((code, message),) = refused(tmp_path, name)
    assert code == "CPT379", message


@pytest.mark.parametrize(
    ("documents", "wanted"),
    [
        (Documents.FILES, ["one\ntwo\n\n  three\n\n\nfour"]),
        (Documents.PARAGRAPHS, ["one\ntwo", "  three", "four"]),
        (Documents.LINES, ["one", "two", "  three", "four"]),
    ],
)
@pytest.mark.parametrize("name", ["a.txt", "a.md"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_of_text_is_one_document_or_many(
    tmp_path: Path, name: str, end: str, documents: Documents, wanted: list[str]
) -> None:
    (tmp_path / name).write_bytes("one\ntwo\n\n  three\n \n\nfour\n".replace("\n", end).encode())
    found = texts(tmp_path, name, making=Making(reading=Reading(documents=documents)))
    assert [re.sub(r"\n \n", "\n\n", text) for text in found] == wanted


def test_a_document_that_is_too_long_is_refused_and_can_be_cut(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(("a paragraph" * 100_000 + "\n\n") * 10, "utf-8")
    ((code, message),) = refused(tmp_path, "a.txt")
    assert (code, message[:27]) == ("CPT378", "a.txt:1: the document has 1")
    assert len(texts(tmp_path, "a.txt", making=Making(reading=Reading(documents=Documents.PARAGRAPHS)))) == 10


PAGE = """<!DOCTYPE html><html><head><meta charset=utf-8><title>Not this</title><style>p {}</style></head>
<body><nav><ul><li>Menu</ul></nav><header><h1>The  title</h1></header>
<script>var x = "<p>no</p>";</script><!-- no -->
<p>One <b>bold</b>, one<i>italic</i>
   &amp; one &lt;tag&gt;&nbsp;here.<br>After<br><br>a break</p>
<div>First<div>Inner</div>Last</div><ul><li>a<li>b <p>c</ul>
<pre>
def f():
    return  1
</pre><table><tr><th>n</th><th>m</th></tr><tr><td>1<td> 2</table>
<p hidden>no</p><p aria-hidden="true">no</p><aside>Advert</aside><form>Name <button>Send</button></form>
<footer>Imprint</footer></body></html>"""
READ = """The title

One bold, oneitalic & one <tag>\u00a0here.
After

a break

First
Inner
Last

a
b

c

def f():
    return  1

n\tm
1\t2"""


def test_a_page_gives_what_a_reader_reads(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(PAGE, "utf-8")
    assert texts(tmp_path, "a.html") == [READ]


@pytest.mark.parametrize(
    ("content", "encoding", "wanted"),
    [
        ('<meta charset="iso-8859-1"><p>caf\xe9 \x93quoted\x94'.encode("latin-1"), None, "café “quoted”"),
        ("<?xml version='1.0' encoding='shift_jis'?><p>日本語".encode("shift_jis"), None, "日本語"),
        ("<p>日本語".encode("utf-16"), None, "日本語"),
        ("<meta charset=utf-16><p>日本語".encode(), None, "日本語"),
        ("<meta charset=utf-8><p>日本語".encode("gb18030"), "gb18030", "日本語"),
    ],
)
def test_a_page_says_what_its_encoding_is(tmp_path: Path, content: bytes, encoding: str | None, wanted: str) -> None:
    (tmp_path / "a.html").write_bytes(content)
    assert texts(tmp_path, "a.html", making=Making(reading=Reading(encoding=encoding))) == [wanted]


@ON_FILES
@given(st.lists(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1), min_size=1))
def test_the_words_of_a_page_are_all_there(tmp_path: Path, words: list[str]) -> None:
    from html import escape

    (tmp_path / "a.html").write_text("<p>" + " <b>".join(escape(word) for word in words), "utf-8")
    assert texts(tmp_path, "a.html") == [" ".join(words)]


def test_a_page_that_nests_thousands_of_elements_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<div>" * 5000 + "deep", "utf-8")
    assert texts(tmp_path, "a.html") == ["deep"]


CHATS = [
    ({"instruction": "Say hi", "input": "", "output": "Hi"}, "Say hi\n\nHi"),
    ({"instruction": "Add", "input": "1, 2", "output": "3", "system": "Be exact"}, "Be exact\n\nAdd\n\n1, 2\n\n3"),
    ({"prompt": "Q2", "response": "A2", "history": [["Q1", "A1"]]}, "Q1\n\nA1\n\nQ2\n\nA2"),
    ({"prompt": "Q", "completion": "A", "history": None}, "Q\n\nA"),
    ({"question": "Q", "answer": "A", "id": 7}, "Q\n\nA"),
    (
        {"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"},
                      {"role": "assistant", "content": [{"type": "text", "text": "A"}, {"text": "B"}]}]},
        "System: S\n\nUser: Q\n\nAssistant: AB",
    ),
    ({"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}, "User: Q\n\nAssistant: A"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "wanted"), CHATS)
def test_fine_tuning_data_becomes_documents(tmp_path: Path, row: dict[str, Any], wanted: str) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    assert texts(tmp_path, "a.jsonl") == [wanted]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "Q", "response": None}, "the row has no `response`"),
        ({"prompt": "Q", "response": 4}, "`response` holds a number, not text"),
        ({"messages": "Q"}, "`messages` is a text, not a list of turns"),
        ({"messages": [["Q"]]}, "a turn of `messages` is a list, not an object"),
        ({"messages": [{"content": "Q"}]}, "a turn of `messages` has no `role` and no `from`"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "url": "x"}]}]},
            "a turn of `messages` holds `image_url`, not only text",
        ),
    ],
)
def test_fine_tuning_data_that_is_none_is_refused(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    assert refused(tmp_path, "a.jsonl") == [("CPT378", f"a.jsonl:1: {message}")]


@pytest.mark.parametrize(
    ("template", "row", "wanted"),
    [
        (r"{prompt}\n{response}", {"prompt": "Q", "response": "A"}, "Q\nA"),
        (r"{{{n}}} {title}:\t{body}", {"n": 3, "title": "T", "body": None}, "{3} T:\t"),
        (r"{role}> {content}\n", {"messages": [{"role": "user", "content": "Q"}]}, "User> Q\n"),
    ],
)
def test_a_template_makes_one_text_of_several_columns(
    tmp_path: Path, template: str, row: dict[str, Any], wanted: str
) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    assert texts(tmp_path, "a.jsonl", making=Making(template=parse_template(template))) == [wanted]


def table(tmp_path: Path, rows: list[dict[str, Any]]) -> str:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return "a.jsonl"


def test_the_only_column_like_text_is_taken_and_named(tmp_path: Path) -> None:
    rows = [
        {"id": "b7f3a9d0c2e14b56a7f3a9d0c2e14b56", "url": "https://a.b/c", "date": "2026-01-02 03:04", "n": 1,
         "review": "it was good", "empty": ""},
        {"id": "c", "url": "", "date": None, "n": 2, "review": None, "empty": ""},
    ]  # fmt: skip
    (source,) = run(tmp_path, table(tmp_path, rows)).sources
    assert source.columns == ("review",)
    assert texts(tmp_path, "a.jsonl") == ["it was good"]


def test_where_several_columns_may_be_the_text_the_user_is_asked(tmp_path: Path) -> None:
    name = table(tmp_path, [{"title": "A title", "body": "A body of text", "id": "x"}])
    message = "a.jsonl: several columns of `a.jsonl` may be the text: `title`, `body`"
    assert refused(tmp_path, name) == [("CPT377", message)]
    assert texts(tmp_path, name, making=Making(column="title")) == ["A title"]


def test_where_no_column_may_be_the_text_the_user_is_asked(tmp_path: Path) -> None:
    name = table(tmp_path, [{"n": 1, "id": "x"}])
    assert refused(tmp_path, name) == [("CPT377", "a.jsonl: no column of `a.jsonl` looks like text; it has `n`, `id`")]
    assert refused(tmp_path, name, making=Making(column="body")) == [
        ("CPT377", "a.jsonl: `a.jsonl` has no column `body`; it has `n`, `id`")
    ]


def test_a_dataset_of_hugging_face_is_read_without_its_caches(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "train"
    folder.mkdir(parents=True)
    (tmp_path / "data" / "dataset_dict.json").write_text('{"splits": ["train"]}')
    write_arrow_stream(folder / "data-00000-of-00001.arrow", ["one", "two"])
    write_arrow_stream(folder / "cache-12ab.arrow", ["not this"])
    (folder / "state.json").write_text('{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')
    (folder / "dataset_info.json").write_text("{}")
    done = run(tmp_path, "data")
    assert [source.name for source in done.sources] == ["data-00000-of-00001.arrow"]
    assert {found.code for found in done.warnings} == {"CPT375"}
    assert sum(found.count for found in done.warnings[:1]) == 4


def test_texts_can_be_brought_into_composed_form(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("e\u0301\u212b", "utf-8")
    assert texts(tmp_path, "a.txt") == ["e\u0301\u212b"]
    assert texts(tmp_path, "a.txt", making=Making(nfc=True)) == ["\u00e9\u00c5"]


@ON_FILES
@given(st.integers(10, 400))
def test_large_outputs_are_cut_between_documents_and_keep_their_order(tmp_path: Path, max_bytes: int) -> None:
    values = [f"document {number} " + "x" * (number % 40) for number in range(30)]
    write_json(tmp_path / "a.json", values)
    done = run(tmp_path, "a.json", max_bytes=max_bytes)
    files = sorted((tmp_path / "out").glob("*.jsonl"))
    assert done.written.files == len(files)
    assert all(file.stat().st_size <= max_bytes or file.read_text().count("\n") == 1 for file in files)
    lines = [line for file in files for line in file.read_text().splitlines()]
    assert [json.loads(line)["text"] for line in lines] == values


def test_files_of_several_folders_keep_their_own_names(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.txt").write_text(folder)
    assert texts(tmp_path, "a", "b", "a/x.txt") == ["a", "b"]


def test_blank_files_alone_are_no_dataset(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" \n\n")
    assert refused(tmp_path, "a.txt") == [("CPT378", "None: there is no document in `a.txt`")]


def test_memory_does_not_grow_with_the_file() -> None:
    """A row is read when the one before it has been taken, whatever comes after it."""
    taken = 0

    def pieces() -> Any:
        nonlocal taken
        yield '[{"text": "a"}'
        while True:
            taken += 1
            yield ', {"text": "a"}' * 100

    rows = json_rows(pieces(), "endless.json")
    assert [next(rows).number for _ in range(1000)] == list(range(1, 1001))
    assert taken < 20


def test_a_conversion_that_was_killed_anywhere_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    for number in range(70):  # more than are noted at once
        (tmp_path / f"{number:02}.txt").write_text(f"document {number}")
    write_csv(tmp_path / "x.csv", ["one", "two"])
    names = [path.name for path in sorted(tmp_path.iterdir())]

    def work(target: Path) -> Conversion:
        sources = find_sources([str(tmp_path / name) for name in names])
        output = Output(target, convert_work(sources, Making(), 0))
        return convert(sources, output, Making())

    wanted = work(tmp_path / "wanted.jsonl").written.documents
    went_on = 0
    for event in range(1, 2000, 61):
        target = tmp_path / str(event) / "out.jsonl"
        was_killed = killed_at(event, functools.partial(work, target))
        if not target.exists():
            sources = find_sources([str(tmp_path / name) for name in names])
            went_on += bool(Output(target, convert_work(sources, Making(), 0)).finished)
            assert work(target).written.documents == wanted == 72
        assert target.read_bytes() == (tmp_path / "wanted.jsonl").read_bytes()
        if not was_killed:
            break
    assert went_on, "some kills left steps that were finished"


def test_progress_counts_bytes_and_documents_to_the_end(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    write_json(tmp_path / "b.json", ["two", "three"])
    seen: list[DataProgress] = []
    run(tmp_path, "a.txt", "b.json", progress=seen.append)
    total = sum((tmp_path / name).stat().st_size for name in ("a.txt", "b.json"))
    assert (seen[-1].bytes_done, seen[-1].bytes_total, seen[-1].documents) == (total, total, 3)
    assert all(earlier.bytes_done <= later.bytes_done for earlier, later in itertools.pairwise(seen))
