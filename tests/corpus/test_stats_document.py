"""Lines, phrases, remains of pages, rules for good text: for each, texts that have it and texts that have not."""

import pytest

from cloudcpt.corpus.stats.document import look_at
from cloudcpt.corpus.stats.lines import lines_of
from cloudcpt.corpus.stats.phrases import known_phrases, phrase_lines
from cloudcpt.corpus.stats.remains import html, is_normal, links, mojibake, unseen

pytest.importorskip("numpy", reason="needs the [data] extra")
pytest.importorskip("py3langid", reason="needs the [data] extra")

PROSE = (
    "The harbour was quiet when the fishermen came back in the evening.\n"
    "Only a few gulls were waiting on the wall for what they might throw away.\n"
    "Nobody spoke, because there was nothing that had to be said about that day.\n"
    "Later the lamps were lit, one after the other, along the narrow street.\n"
    "And then the rain began, so softly that at first it could not be heard at all.\n"
)
CHINESE = (
    "渔民们回来的时候港口很安静，只有几只海鸥在墙上等着他们可能扔掉的东西。天慢慢黑了，村子里的灯一盏一盏亮了起来。"
    "没有人说话，因为那一天没有什么非说不可的。后来下起了雨，轻得起初谁也听不见，只看见石头的颜色一点一点变深。"
)

BREAKS = {
    "short": ["Read it.", "港口很安静。"],
    "repetitive": [PROSE + PROSE],
    "repeated_lines": [PROSE + PROSE.splitlines()[1]],
    "unfinished_lines": ["\n".join(f"an entry of the menu of this page, number {n}" for n in range(12))],
    "short_lines": ["\n".join(f"Line number {n} is short." for n in range(20))],
    "bullets": ["\n".join(f"- the thing that is number {n} in this long list of things." for n in range(12))],
    "ellipses": ["\n".join(f"This is where story number {n} begins, and here it ends..." for n in range(12))],
    "few_letters": ["1 2 3 | 4.5 | 99 | 1,204 | 7 " * 12 + "and a few words to be in a script", "1234567890 港口 " * 9],
    "word_length": ["thisiswhatatextlookslikewhosespaceswerelost " * 60, "a b c d e f g h i j k l " * 9],
    "symbols": ["#one #two #three and some words more to make it a text " * 6],
    "mostly_links": ["see https://example.org/one/two/three and https://example.org/four/five or both " * 8],
}  # fmt: skip


@pytest.mark.parametrize(("rule", "text"), [(rule, text) for rule, texts in BREAKS.items() for text in texts])
def test_a_text_that_breaks_a_rule_is_told(rule: str, text: str) -> None:
    assert rule in look_at(text).broken


@pytest.mark.parametrize("text", [PROSE, CHINESE], ids=["English", "Chinese"])
def test_prose_breaks_no_rule_and_leaves_nothing_to_find(text: str) -> None:
    seen = look_at(text)
    assert (seen.broken, seen.personal, seen.sizes) == ((), (), {})


def test_words_are_counted_where_there_are_spaces() -> None:
    assert look_at(PROSE).words == len(PROSE.split())
    assert look_at(CHINESE).words == 0
    assert look_at(CHINESE).bytes == len(CHINESE.encode())


def test_shares_of_lines_are_counted_without_blank_lines() -> None:
    lines = lines_of("- one\n\n  - two...\nthree.\nthree.\n")
    assert (lines.count, lines.bullets, lines.ellipses, lines.finished, lines.short) == (4, 0.5, 0.25, 0.75, 1.0)
    assert lines.repeated == len("three.") / len("- one- two...three.three.")


@pytest.mark.parametrize(
    ("kind", "phrase"), [(kind, phrase) for kind, all_ in known_phrases().items() for phrase in all_]
)
def test_each_phrase_is_written_as_it_is_looked_for(kind: str, phrase: str) -> None:
    assert phrase == phrase.lower().strip()
    line = f"And {phrase.upper()} here"
    assert phrase_lines(f"{PROSE}{line}\nMore.")[kind] in (len(line), len(line.lower()))


def test_a_line_with_two_phrases_of_a_kind_counts_once_and_prose_has_none() -> None:
    assert phrase_lines("Buy now! Free shipping!\nA line.") == {"advertising": 23}
    assert phrase_lines(PROSE) == phrase_lines(CHINESE) == {}


def test_links_are_measured_to_their_end() -> None:
    assert links("see https://a.org/b?c=d, and (www.example.com/x).") == (
        2,
        len("https://a.org/b?c=d" + "www.example.com/x"),
    )
    assert links("见 https://a.org/b，好") == (1, 15)
    assert links("C++ has std::vector, and http has no meaning here") == (0, 0)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('<div class="a">x</div>', 2),
        ("a<br/>b &nbsp; &#8217; &amp;", 4),
        ("if a < b and c > d: x && y", 0),
        ("vector<int> and List<String>", 0),
        ("Q&A; R&D", 0),
    ],
)
def test_tags_and_entities_are_counted(text: str, found: int) -> None:
    assert html(text) == found


@pytest.mark.parametrize("right", ["é", "ü", "ß", "’", "“", "—", "…", "ñ", "中", "я", "€", "한"])
def test_what_was_decoded_wrongly_is_mojibake_and_what_was_decoded_rightly_is_not(right: str) -> None:
    bytes_of = right.encode()
    wrong = "".join(
        chr(byte) if byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else bytes([byte]).decode("cp1252") for byte in bytes_of
    )
    assert mojibake(f"at{right} once") == 0
    expected = 1 if right != "я" else 0  # Ñ and what follows is also a pair of letters of good Spanish
    assert mojibake(f"at{wrong} once") == expected


def test_lost_characters_are_mojibake() -> None:
    assert mojibake("at\ufffd") == 1
    assert mojibake("锟斤拷锟斤拷") == 2
    assert mojibake("CAFÉ — «À LA CARTE» Ü, naïve über Ärger") == 0


def test_what_is_not_seen_is_counted() -> None:
    assert unseen("a\tb\nc\r\n") == 0
    assert unseen("a\x00b\x1b[1m\u200bc\u00ad\ufeff") == 5


def test_normal_form_c_is_normal() -> None:
    assert is_normal("café")
    assert not is_normal("cafe\u0301")
