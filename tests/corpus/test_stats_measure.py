"""The pass over a corpus: a corpus counted by hand, the same report however it is cut, and lines of many documents."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudcpt.corpus.stats.drawn_lines import MANY_DOCUMENTS, LineTable, drawn_document, is_drawn
from cloudcpt.corpus.stats.fertility import fertility_of
from cloudcpt.corpus.stats.lines import LONG_LINE
from cloudcpt.corpus.stats.measure import CorpusStats, measure_corpus
from cloudcpt.corpus.stats.measures import SECTIONS, Measure, measures_of
from cloudcpt.corpus.stats.tally import Tally, Volume
from cloudcpt.dataset.files import LocalFiles
from cloudcpt.errors import DatasetError

pytest.importorskip("numpy", reason="needs the [data] extra")
pytest.importorskip("py3langid", reason="needs the [data] extra")

ENGLISH = "The harbour was quiet when the fishermen came back, and only a few gulls were waiting on the wall."
CHINESE = "渔民们回来的时候港口很安静，只有几只海鸥在墙上等着他们可能扔掉的东西。"
NOTICE = "This site uses cookies. Write to jane@example.org."
CORPUS = [ENGLISH, f"{ENGLISH}\n{NOTICE}", CHINESE, ENGLISH, f"{CHINESE}\n{NOTICE}", f"A\n{NOTICE}\n{NOTICE}"]


def write(folder: Path, name: str, texts: Sequence[str], *bad: str) -> str:
    path = folder / name
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts) + "".join(f"{line}\n" for line in bad))
    return str(path)


def measure(*paths: str, **settings: object) -> CorpusStats:
    return measure_corpus(LocalFiles(), paths, workers=1, **settings)  # type: ignore[arg-type]


def by_name(stats: CorpusStats) -> dict[str, Measure]:
    return {one.name: one for one in measures_of(stats)}


def test_a_corpus_is_what_one_counts_by_hand(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", CORPUS, '{"txt": 1}')
    stats = measure(path)
    assert stats.tally.volume == Volume(
        documents=6,
        characters=sum(map(len, CORPUS)),
        bytes=sum(len(text.encode()) for text in CORPUS),
        words=sum(len(text.split()) for text in CORPUS if "渔" not in text or NOTICE in text),
    )
    assert (stats.files, stats.size_bytes, stats.tally.unreadable) == (1, Path(path).stat().st_size, 1)
    assert (stats.lengths.min, stats.lengths.max) == (min(map(len, CORPUS)), max(map(len, CORPUS)))
    assert {name: part.documents for name, part in stats.tally.languages.items()} == {"en": 3, "zh": 2, "und": 1}
    han = 2 * sum("一" <= sign <= "鿿" for sign in CHINESE)
    assert stats.tally.scripts == {"Han": han, "Latin": sum(c.isascii() and c.isalpha() for c in "".join(CORPUS))}
    found = by_name(stats)
    assert (found["repeated_documents"].amount, found["repeated_documents"].share) == (1, 1 / 6)
    assert [str(place) for place in found["repeated_documents"].first] == [f"{path}:4"]
    assert (found["cookies"].documents, found["unreadable"].amount, found["little"].is_notable) == (3, 1, True)
    assert found["unreadable"].share == 1 / 7
    (email,) = stats.tally.personal.values()
    assert (email.documents, email.amount, [str(place) for place in email.first]) == (
        3, 4, [f"{path}:{line}" for line in (2, 5, 6)],
    )  # fmt: skip
    lines = stats.frequent_lines
    assert (lines.drawn_documents, lines.lines, lines.characters) == (6, 2, 3 * len(NOTICE) + 3 * len(ENGLISH))
    assert [line.excerpt for line in lines.top] == [f"{ENGLISH[:79]}…", "This site uses cookies. Write to [email]."]


TEXTS = st.lists(
    st.sampled_from([*CORPUS, "x", "1 2 3", "a@b.org " * 3, "<p>&nbsp;</p>", "Ã©"]), min_size=1, max_size=12
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=TEXTS, cut=st.integers(0, 12), block_bytes=st.integers(1, 2000))
def test_a_report_does_not_depend_on_where_blocks_are_cut(
    tmp_path: Path, texts: list[str], cut: int, block_bytes: int
) -> None:
    paths = [write(tmp_path, f"{n}.jsonl", part, "broken") for n, part in enumerate((texts[:cut], texts[cut:]))]
    whole, cut_up = measure(*paths), measure(*paths, block_bytes=block_bytes)
    assert repr(asdict(whole)) == repr(asdict(cut_up))  # in the same order as well
    assert measures_of(whole) == measures_of(cut_up)


@pytest.mark.slow
def test_a_report_does_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", [f"{text}\n{n}" + " word" * 1200 for n in range(240) for text in CORPUS], "x")
    assert Path(path).stat().st_size > 8 << 20  # less is read in this process
    one = measure_corpus(LocalFiles(), [path], workers=1, draw_bytes=1 << 20)
    two = measure_corpus(LocalFiles(), [path], workers=2, draw_bytes=1 << 20)
    assert repr(asdict(one)) == repr(asdict(two))


def test_several_paths_are_one_corpus_of_several_sources(tmp_path: Path) -> None:
    paths = [write(tmp_path, "a.jsonl", CORPUS[:2]), write(tmp_path, "b.jsonl", CORPUS[2:])]
    stats = measure(*paths)
    assert {name: part.documents for name, part in stats.tally.files.items()} == dict(zip(paths, (2, 4), strict=True))
    assert stats.names == tuple(paths)


def test_progress_ends_at_the_end(tmp_path: Path) -> None:
    seen = []
    path = write(tmp_path, "a.jsonl", CORPUS)
    measure(path, progress=seen.append)
    size = Path(path).stat().st_size
    assert (seen[-1].bytes_done, seen[-1].bytes_total, seen[-1].documents) == (size, size, 6)


def test_a_corpus_without_a_document_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", [], '{"txt": 1}')
    with pytest.raises(DatasetError) as caught:
        measure(path)
    assert caught.value.diagnostics[0].code == "CPT757"


LINES = st.sampled_from([*(f"A line, long enough to count: {n}" for n in range(6)), "short"])


@given(documents=st.lists(st.lists(LINES, max_size=8)), held_lines=st.integers(1, 40))
def test_lines_of_many_documents_are_those_that_a_counter_finds(documents: list[list[str]], held_lines: int) -> None:
    table = LineTable(held_lines=held_lines)
    for lines in documents:
        table.add([drawn_document("\n".join(lines))])
    counts = Counter(line for lines in documents for line in set(lines) if len(line) >= LONG_LINE)
    many = {line: count for line, count in counts.items() if count >= MANY_DOCUMENTS}
    found = table.frequent(most=10)
    assert {line.excerpt: line.documents for line in found.top} == many
    assert found.characters == sum(len(line) * count for line, count in many.items())
    assert found.drawn_documents == len(documents)


def test_a_line_that_only_few_of_many_documents_have_is_not_boilerplate() -> None:
    table = LineTable()
    line = "A line that four documents have, and no more."
    table.add(drawn_document(line if n < 4 else f"Document {n} has this line for itself") for n in range(5000))
    assert table.frequent(most=5).lines == 0


def test_a_line_of_a_key_that_is_in_many_documents_is_not_shown() -> None:
    table = LineTable()
    body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7"
    head = "-----BEGIN " + "PRIVATE KEY-----"
    table.add(drawn_document(f"{head}\n{body}\nand something more, {n}") for n in range(3))
    assert sorted(line.excerpt for line in table.frequent(most=5).top) == ["[...]", "[private_key]"]


def test_documents_beyond_the_draw_are_left_out() -> None:
    table = LineTable(most_characters=100)
    table.add(drawn_document("A line that is long enough to be compared.") for _ in range(50))
    assert table.frequent(most=5).drawn_documents == 3


def test_a_draw_has_about_its_share() -> None:
    digests = [n * 0x9E3779B97F4A7C15 % 2**64 for n in range(10_000)]
    assert sum(is_drawn(digest, 0.1) for digest in digests) == pytest.approx(1000, rel=0.05)
    assert all(is_drawn(digest, 1.0) for digest in digests)


def test_a_tokenizer_that_spells_a_language_out_is_notable() -> None:
    cheap = Volume(documents=9, characters=40_000, bytes=40_000, words=7_000, tokens=10_000)
    tally = Tally(
        languages={
            "hi": replace(cheap, tokens=24_000),
            "en": cheap,
            "zh": replace(cheap, characters=20_000, words=30, tokens=16_000),
            "th": replace(cheap, characters=19_000, words=0, tokens=40_000),
            "fi": replace(cheap, characters=900, tokens=900),
        }
    )
    found = {one.language: one for one in fertility_of(tally)}
    assert list(found) == ["en", "hi", "zh", "th", "fi"]
    assert [name for name, one in found.items() if one.is_notable] == ["hi", "th"]
    assert (found["en"].tokens_per_character, found["en"].tokens_per_word) == (0.25, 10 / 7)
    assert found["zh"].tokens_per_word is None
    assert fertility_of(Tally(languages={"en": replace(cheap, tokens=0)})) == ()


def test_every_measure_is_explained_and_stands_in_a_section(tmp_path: Path) -> None:
    measures = measures_of(measure(write(tmp_path, "a.jsonl", CORPUS)))
    assert [one.section for one in measures] == sorted((one.section for one in measures), key=SECTIONS.index)
    for one in measures:
        assert all((one.meaning, one.act, one.title)), one.name
        assert not one.act.endswith("."), one.name
        assert 0 <= one.share <= 1, one.name


def test_every_rule_and_size_has_its_words(tmp_path: Path) -> None:
    from tests.corpus.test_stats_document import BREAKS, PROSE  # the texts that break each rule

    path = write(tmp_path, "a.jsonl", [PROSE, *(text for texts in BREAKS.values() for text in texts)])
    stats = measure(path)
    unnamed = {*stats.tally.sizes, *stats.tally.rules} - set(by_name(stats)) - {"repeated_characters"}
    assert unnamed == set()
    assert all(by_name(stats)[rule].documents for rule in BREAKS)
