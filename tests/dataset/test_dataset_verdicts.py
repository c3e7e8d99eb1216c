"""What a line may be: one verdict per case, the same in validation and in training.

The cases are those of the project's comparison of 21 JSON readers, none of which gives all of these verdicts.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.dataset.check import check_dataset
from cloudcpt.dataset.fast import FastLines
from cloudcpt.dataset.fault import BadLine
from cloudcpt.dataset.records import read_records, read_text
from cloudcpt.errors import DatasetError


@dataclass(frozen=True)
class Case:
    """A line, and either its text or the code, column (characters) and byte where it is refused."""

    name: str
    line: bytes
    text: str | None = None
    code: str = ""
    column: int = 1
    byte: int = 0


def good(name: str, line: str | bytes, text: str) -> Case:
    return Case(name, line.encode() if isinstance(line, str) else line, text=text)


def bad(name: str, line: str | bytes, code: str, column: int = 1, byte: int | None = None) -> Case:
    content = line.encode() if isinstance(line, str) else line
    return Case(name, content, code=code, column=column, byte=column - 1 if byte is None else byte)


ACCEPTED = [
    good("plain", '{"text":"a"}', "a"),
    good("escaped key", r'{"\u0074ext":"a"}', "a"),
    good("raw DEL", '{"text":"a\x7fb"}', "a\x7fb"),
    good("escaped NUL", r'{"text":"a\u0000b"}', "a\0b"),
    good("escapes", r'{"text":"\"\\\/\b\f\n\r\t\u00e9"}', '"\\/\b\f\n\r\té'),
    good("surrogate pair", r'{"text":"\ud83d\ude00"}', "😀"),
    good("surrogate pair in capitals", r'{"text":"\uD83D\uDE00"}', "😀"),
    good("spaces and tabs around", ' \t{ "text"\t: "a" } \t', "a"),
    good("CR between tokens", b'{"text":\r"a"}', "a"),
    good("U+2028 inside", '{"text":"a\u2028b"}', "a\u2028b"),
    good("U+0085 inside", '{"text":"a\u0085b"}', "a\u0085b"),
    good("BOM inside", '{"text":"a\ufeffb"}', "a\ufeffb"),
    good("JSON inside", r'{"text":"{\"text\":\"a\"}"}', '{"text":"a"}'),
    good("brackets inside", '{"text":"[[[[{{{{"}', "[[[[{{{{"),
    good("blank around something", '{"text":" \\n.\u200b"}', " \n.\u200b"),
]
REFUSED = [
    bad("duplicate text", '{"text":"a","text":"b"}', "CPT340", 13),
    bad("duplicate by escaped key", r'{"text":"a","\u0074ext":"b"}', "CPT340", 13),
    bad("duplicate other key", '{"id":1,"id":2,"text":"b"}', "CPT340", 9),
    bad("unknown field", '{"text":"a","id":"x"}', "CPT342", 13),
    bad("unknown field first", '{"é":1,"text":"a"}', "CPT342", 2),
    bad("unknown nested field", '{"text":"a","meta":{"url":["x"]}}', "CPT342", 13),
    bad("too many fields", "{" + ",".join(f'"k{n}":1' for n in range(40)) + "}", "CPT342", 248),
    bad("no field", "{}", "CPT341"),
    bad("other field only", '  {"id":1}', "CPT341", 3),
    bad("null", '{"text":null}', "CPT344", 9),
    bad("number", '{"text":5}', "CPT344", 9),
    bad("true", '{"text": true}', "CPT344", 10),
    bad("list", '{"text":["a"]}', "CPT344", 9),
    bad("object", '{"text":{"a":"]}"}}', "CPT344", 9),
    bad("huge integer", '{"text":' + "9" * 5000 + "}", "CPT344", 9),
    bad("big exponent in unknown field", '{"text":"a","x":1e400}', "CPT342", 13),
    bad("empty text", '{"text":""}', "CPT345", 9),
    bad("blank text", '{"text":" \\n\u3000"}', "CPT345", 9),
    bad("zero-width text", '{"text":"\u200b\\ufeff\u00ad"}', "CPT345", 9),
    bad("control characters only", r'{"text":"\u0000\u001b"}', "CPT345", 9),
    bad("array line", '[{"text":"a"}]', "CPT332"),
    bad("string line", '"text"', "CPT332"),
    bad("number line", " 12", "CPT332", 2),
    bad("two values", '{"text":"a"}{"text":"b"}', "CPT331", 13),
    bad("two values with space", '{"text":"a"} "b"', "CPT331", 14),
    bad("lone CR between values", b'{"text":"a"}\r{"text":"b"}', "CPT331", 14),
    bad("trailing comma", '{"text":"a", }', "CPT330", 12),
    bad("comma after the object", '{"text":"a"},', "CPT330", 13),
    bad("comma first", '{,"text":"a"}', "CPT330", 2),
    bad("single quotes", "{'text':'a'}", "CPT330", 2),
    bad("single quoted value", "{\"text\":'a'}", "CPT330", 9),
    bad("no quotes", '{text:"a"}', "CPT330", 2),
    bad("comment", '{"text":"a"} // b', "CPT330", 14),
    bad("comment inside", '{/* b */"text":"a"}', "CPT330", 2),
    bad("missing colon", '{"text" "a"}', "CPT330", 9),
    bad("missing comma", '{"text":"a" "b":1}', "CPT330", 13),
    bad("missing value", '{"text":}', "CPT330", 9),
    bad("Python None", '{"text":None}', "CPT330", 9),
    bad("object not closed", '{"text":"a"', "CPT330", 12),
    bad("only a brace", "{", "CPT330", 2),
    bad("array not closed", "[", "CPT330"),
    bad("string not closed", '{"text":"a}', "CPT330", 9),
    bad("leading zero", '{"text":01}', "CPT330", 9),
    bad("not JSON at all", "hello", "CPT330"),
    bad("after wide characters", '{"text":"😀é","x"}', "CPT330", 17, 20),
    bad("NaN", '{"text":NaN}', "CPT333", 9),
    bad("NaN in unknown field", '{"text":"a","x":-Infinity}', "CPT333", 17),
    bad("raw tab", '{"text":"a\tb"}', "CPT334", 11),
    bad("raw control in key", '{"te\x01xt":"a"}', "CPT334", 5),
    bad("raw NUL", '{"text":"a\0b"}', "CPT322", 11),
    bad("NUL around", '\0{"text":"a"}', "CPT322"),
    bad("bad escape", r'{"text":"é\x"}', "CPT335", 11, 11),
    bad("short escape", r'{"text":"\u12"}', "CPT335", 10),
    bad("escape at the end", '{"text":"\\', "CPT335", 10),
    bad("lone high", r'{"text":"a\ud800"}', "CPT346", 11),
    bad("lone low", r'{"text":"é\udc00"}', "CPT346", 11, 11),
    bad("high high", r'{"text":"\ud800\ud800"}', "CPT346", 10),
    bad("pair and lone", r'{"text":"\ud83d\ude00\uDFFF"}', "CPT346", 22),
    bad("backslash is not an escape start", r'{"text":"\\ud83d\ud83d"}', "CPT346", 17),
    bad("lone surrogate in key", r'{"\ud800":"a"}', "CPT341"),
    bad("invalid UTF-8", b'{"text":"\xc3\xa9\xff"}', "CPT321", 11, 11),
    bad("overlong", b'{"text":"\xc0\x80"}', "CPT321", 10),
    bad("CESU surrogate", b'{"text":"\xed\xa0\x80"}', "CPT321", 10),
    bad("truncated character", b'{"text":"\xe4\xbd"}', "CPT321", 10),
    bad("beyond U+10FFFF", b'{"text":"\xf4\x90\x80\x80"}', "CPT321", 10),
    bad("BOM", b'\xef\xbb\xbf{"text":"a"}', "CPT320"),
    bad("NBSP before", '\u00a0{"text":"a"}', "CPT338"),
    bad("NBSP after", '{"text":"a"}\u00a0', "CPT338", 13),
    bad("form feed around", '\x0c{"text":"a"}', "CPT338"),
    bad("form feed inside", '{\x0c"text":"a"}', "CPT338", 2),
    bad("BOM after the brace", '{\ufeff"text":"a"}', "CPT338", 2),
    bad("blank line", "", "CPT325"),
    bad("spaces only", " \t ", "CPT325"),
    bad("nested 2,000 deep in text", '{"text":' + "[" * 2000 + "]" * 2000 + "}", "CPT336", 73),
    bad("nested 100,000 deep", "[" * 100_000, "CPT336", 65),
    bad("objects 100,000 deep", '{"a":' * 100_000, "CPT336", 326),
    bad("20 MB string", '{"text":"' + "a" * 20_000_000 + '"}', "CPT323"),
]
CASES = ACCEPTED + REFUSED


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_line_has_its_verdict_and_its_exact_place(case: Case, tmp_path: Path) -> None:
    before, after = b'{"text":"one"}\n', b'\n{"text":"three"}\n'
    path = tmp_path / "data.jsonl"
    path.write_bytes(before + case.line + after)
    report = check_dataset("data.jsonl", tmp_path)
    places = [
        (found.code, found.place.line, found.place.column, found.place.byte)
        for found in report.diagnostics
        if found.place is not None
    ]
    expected = [] if case.text is not None else [(case.code, 2, case.column, len(before) + case.byte)]
    assert places == expected
    assert report.documents == 2 + (case.text is not None)
    assert report.files[0].lines == 3


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_training_accepts_exactly_what_validation_accepts(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(case.line + b"\n")
    report = check_dataset("data.jsonl", tmp_path)
    if case.text is None:
        with pytest.raises(DatasetError) as caught:
            list(read_records(path))
        assert caught.value.diagnostics[0].code == report.diagnostics[0].code == case.code
    else:
        assert [record.text for record in read_records(path)] == [case.text]
        assert report.ok


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_a_message_is_one_printable_sentence(case: Case) -> None:
    if case.code == "CPT323":
        pytest.skip("a limit of the file reader, not of the line")
    with pytest.raises(BadLine) as caught:
        read_text(case.line)
    for sentence in (caught.value.message, caught.value.hint or ""):
        assert sentence.isprintable()
        assert len(sentence) < 240
        assert not sentence.endswith(".")


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ('{"prompt":"a","response":"b"}', "fine-tun"),
        ('{"text":"a","messages":[]}', "fine-tun"),
        ('{"instruction":"a","input":"","output":"b"}', "fine-tun"),
        ('{"text":"a","history":[]}', "fine-tun"),
        ('{"text":"a","image":"x.png"}', "text-only"),
        ('{"video_url":"x"}', "text-only"),
        ('{"content":"a"}', "rename `content`"),
        ('{"Text":"a"}', "rename `Text`"),
        ('{"text":"a","url":"x"}', "remove every other field"),
        ("{'text':'a'}", "double quotes"),
        ('{"text":"a"} # b', "no comments"),
        ('{"text":True}', "`true`"),
        ('{"text":"a"}\r{"text":"b"}', "CR alone"),
        ('{"text":"C:\\data"}', "four hex digits"),
    ],
)
def test_a_common_mistake_gets_its_own_hint(line: str, word: str) -> None:
    with pytest.raises(BadLine) as caught:
        read_text(line.encode())
    assert caught.value.hint is not None
    assert word in caught.value.hint


def reference_text(line: bytes) -> str | None:
    """The rule in other words: the standard library's parser and checks on what it returns."""
    try:
        value = json.loads(line.decode("utf-8"), object_pairs_hook=tuple)
        ((key, text),) = value if isinstance(value, tuple) else ()
        text.encode()
    except (ValueError, RecursionError, AttributeError):
        return None
    is_blank = all(char.isspace() or not char.isprintable() for char in text)
    return text if key == "text" and not is_blank else None


PIECES = st.sampled_from(
    [
        *"{}[]:,\"'\\ \t\r\0",
        "text",
        '"text"',
        "\\u0074",
        "\\ud83d",
        "\\ude00",
        "\\n",
        "\u00a0",
        "\ufeff",
        "é",
        "😀",
        "null",
        "1",
    ]
)
ALMOST_DOCUMENTS = st.builds(
    lambda start, cut, pieces, texts: start[:cut] + "".join(pieces) + start[cut + len(texts) :],
    st.sampled_from(['{"text":"a b"}', r' { "\u0074ext" : "\ud83d\ude00" } ', '{"text":"a","id":1}']),
    st.integers(0, 30),
    st.lists(PIECES, max_size=4),
    st.lists(PIECES, max_size=4),
).map(str.encode)


@given(st.one_of(ALMOST_DOCUMENTS, st.lists(PIECES).map("".join).map(str.encode), st.binary()))
def test_the_verdict_is_that_of_a_general_parser_with_the_rules_applied_after_it(line: bytes) -> None:
    try:
        text = read_text(line.replace(b"\n", b""))
    except BadLine:
        text = None
    assert text == reference_text(line.replace(b"\n", b""))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.booleans())
def test_whatever_a_json_library_writes_is_read_back(text: str, is_ascii: bool) -> None:
    line = json.dumps({"text": "a" + text}, ensure_ascii=is_ascii)
    assert read_text(line.encode()) == "a" + text


FAST = FastLines()


def certain(line: bytes) -> str | None:
    """What the fast path makes of a line in either of its ways; both must agree with the exact reading."""
    text = FAST.text(line)
    if text is not None:
        assert read_text(line) == text
    measured = FAST.measure(line + b"\n")
    if measured:
        exact = read_text(line)
        assert measured[:2] == (len(exact), FAST.digest(exact))
        assert measured[2] in (None, exact)
    return text


@given(st.one_of(ALMOST_DOCUMENTS, st.lists(PIECES).map("".join).map(str.encode), st.binary()))
def test_the_fast_path_never_says_yes_where_the_exact_reading_says_no(line: bytes) -> None:
    certain(line.replace(b"\n", b""))


@given(
    st.sampled_from([b'{"text": "', b'{"text":"', b'{"text" :"']),
    st.lists(
        st.sampled_from([b"a", b'"', b"\\", b"\\n", b'\\"', b"\\u00e9", b"\\/", b"\xe4\xbd\xa0", b"\xff", b"\0", b"\t"])
    ),
    st.sampled_from([b'"}', b'" }', b'","text":"b"}', b'"}}', b'"}\r', b'"} {"text":"b"}']),
)
def test_escapes_and_ends_are_never_certain_unless_they_are_right(start: bytes, body: list[bytes], end: bytes) -> None:
    certain(start + b"".join(body) + end)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_verdict_depends_on_the_fast_path(case: Case) -> None:
    if case.code != "CPT323":
        assert certain(case.line) in (None, case.text)


@pytest.mark.parametrize(
    "line",
    [
        r'{"text": "你\u597d"}',
        r'{"text": "你\/好"}',
        r'{"text":"你\\\\v\n\\"}',
        r'{"text": "你\"\\\"é"}',
        r'{"text": "\u4f60好"}',
    ],
)
def test_escapes_after_a_character_that_is_not_ascii_count_once(line: str) -> None:
    text = certain(line.encode())
    assert text == json.loads(line)["text"]
    plain = json.dumps({"text": text}, ensure_ascii=False).encode() + b"\n"
    measured = FAST.measure(plain)
    assert measured
    assert measured[:2] == (len(text), FAST.digest(text))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_text_has_one_hash_however_it_is_spelled(text: str) -> None:
    text = "a" + text if not text[0].isprintable() or text[0].isspace() else text
    spellings = [
        json.dumps({"text": text}, ensure_ascii=is_ascii, separators=separators).encode() + b"\n"
        for is_ascii in (True, False)
        for separators in ((",", ":"), (",", ": "))
    ]
    for line in spellings:
        measured = FAST.measure(line)
        assert measured is None or measured[:2] == (len(text), FAST.digest(text))


@pytest.mark.parametrize("text", ["a", 'a\n"b\\', "你\\好\n", "\"'", "naïve", "(", "x" * 3_000_000])
@pytest.mark.parametrize("is_ascii", [True, False])
def test_usual_lines_are_read_without_the_exact_half(text: str, is_ascii: bool) -> None:
    for separators in ((",", ":"), (",", ": ")):
        line = json.dumps({"text": text}, ensure_ascii=is_ascii, separators=separators).encode()
        assert FAST.text(line) == text
        is_hidden = text[0] == '"' or (is_ascii and text[0] == "你")
        measured = FAST.measure(line + b"\n")
        assert measured is None if is_hidden else measured and measured[:2] == (len(text), FAST.digest(text))
