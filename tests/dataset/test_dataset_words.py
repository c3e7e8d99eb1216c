"""Ids from remembered words are the library's ids, for every kind of vocabulary and whatever a text holds."""

import unicodedata
from array import array
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcpt.dataset import words
from cloudcpt.dataset.tokens import DocumentTokenizer, load_tokenizer
from cloudcpt.dataset.words import WordIds, word_ids

tokenizers = pytest.importorskip("tokenizers", reason="needs the [train] extra")
pre = tokenizers.pre_tokenizers

EXPRESSIONS = {
    "llama3": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+"
    ),
    "qwen2": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+"
    ),
    "gpt4o": (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
        r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
    "tekken": (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|"
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
}
KINDS = ("gpt2", "gpt2_nfc", *EXPRESSIONS, "qwen2_nfc")
SAMPLES = [
    "The  first document's\n\n end, they'LL see 12345 éè\u017f",
    "第三 文档。def f(x):\n\treturn x\r\n",
    "ÀÉ e\u0301 ǅ ª",
]
NASTY = st.sampled_from(
    [
        *"aZ09 '\t\n\r\x0b\x0c\x1c\x1f\x85\xa0/_.sStTlLrReEvVmMdD",
        *"\u017f\u212aéǅʰª²Ⅻ٣काा漢。\u2028\u200b\u3000\ufeff\ue000\uffff\u0378\u0897",
        *"\U0001f600\U0001d400\U00020000\U0001f3fd\U0010ffff",
        *("e\u0301", "'ll", "'S", "'\u017f", "<s>", "</s>", "<tool>", "  ", "\r\n"),
    ]
)
TEXTS = st.lists(NASTY | st.characters(codec="utf-8"), min_size=1, max_size=40).map("".join)


def make(kind: str, **settings: object) -> DocumentTokenizer:
    """Train a small vocabulary of a kind."""
    name, _, normalizer = kind.partition("_")
    if name == "gpt2":
        split = pre.ByteLevel(add_prefix_space=False)
    else:
        expression = tokenizers.Regex(EXPRESSIONS.get(name, name))
        split = pre.Sequence([pre.Split(expression, "isolated"), pre.ByteLevel(False, use_regex=False)])
    made = tokenizers.Tokenizer(tokenizers.models.BPE(**settings))
    made.pre_tokenizer = split
    if normalizer:
        made.normalizer = tokenizers.normalizers.NFC()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=420, special_tokens=["<s>", "</s>"], initial_alphabet=pre.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator(SAMPLES * 3, trainer)
    return DocumentTokenizer(made, 1)


@pytest.fixture(scope="module")
def known() -> dict[str, tuple[DocumentTokenizer, WordIds]]:
    """Every kind, and its remembered words."""
    made = {kind: make(kind) for kind in KINDS}
    found = {kind: word_ids(tokenizer._tokenizer) for kind, tokenizer in made.items()}
    return {kind: (made[kind], ids) for kind, ids in found.items() if ids is not None}


def reference(tokenizer: DocumentTokenizer, text: str) -> list[int]:
    """Ask the library, without the boundary."""
    return tokenizer.encode([text])[0][:-1]


def pieces(tokenizer: DocumentTokenizer, text: str) -> list[str]:
    """Ask the library where it splits."""
    found = tokenizer._tokenizer.pre_tokenizer.pre_tokenize_str(text)
    return [text[start:stop] for _, (start, stop) in found]


def test_every_known_kind_is_recognised(known: dict[str, object]) -> None:
    assert set(known) == set(KINDS)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(text=TEXTS)
def test_remembered_words_give_the_ids_of_the_library(known, text: str) -> None:
    for kind, (tokenizer, ids) in known.items():
        found = ids.encode(text)
        if found is not None:
            assert list(array("I", found)) == reference(tokenizer, text), kind
            assert ids._split.findall(text) == pieces(tokenizer, text), kind


@pytest.mark.parametrize("kind", ["gpt2", "llama3", "tekken", "qwen2_nfc"])
def test_every_character_of_the_plane_splits_a_text_as_it_does_in_the_library(known, kind: str) -> None:
    """Each one among letters, digits, space, quotes and marks; 1,000 characters a text."""
    tokenizer, ids = known[kind]
    plane = [chr(code) for code in (*range(0xD800), *range(0xE000, 0x10000), *range(0x1F000, 0x1FC00))]
    left = 0
    for start in range(0, len(plane), 1000):
        text = "".join(f"a{char}b {char}1'{char} !{char}\n{char} " for char in plane[start : start + 1000])
        text = unicodedata.normalize("NFC", text)
        if ids.encode(text) is None:
            left += 1
        else:
            assert ids._split.findall(text) == pieces(tokenizer, text), hex(start)
    assert left <= (70 if kind.endswith("nfc") else 6)


def test_a_text_with_emoji_is_remembered_and_a_rare_plane_is_left_to_the_library(known) -> None:
    _, ids = known["llama3"]
    assert ids.encode("so 😀🏽!") is not None
    assert ids.encode("\U00020000") is None
    assert ids.encode("𝐀") is None


def test_a_text_that_is_not_normal_is_left_to_the_library_where_it_would_be_made_so(known) -> None:
    assert known["qwen2_nfc"][1].encode("e\u0301") is None
    assert known["qwen2_nfc"][1].encode("\u0378") is None, "Python does not know the character"
    assert known["qwen2"][1].encode("e\u0301") is not None


def test_a_text_with_an_added_token_is_left_to_the_library_and_control_tokens_stay_text() -> None:
    tokenizer = make("llama3")
    tokenizer._tokenizer.add_tokens(["<tool>"])
    ids = word_ids(tokenizer._tokenizer)
    assert ids is not None
    assert ids.encode("a <tool> b") is None
    assert list(array("I", ids.encode("a </s> b"))) == reference(tokenizer, "a </s> b")


@pytest.mark.parametrize(
    "unlike",
    [
        {"pre_tokenizer": None},
        {"pre_tokenizer": pre.Whitespace()},
        {"pre_tokenizer": pre.ByteLevel(add_prefix_space=True)},
        {"pre_tokenizer": pre.ByteLevel(add_prefix_space=False, use_regex=False)},
        {"pre_tokenizer": pre.Sequence([pre.Digits(True), pre.ByteLevel(False)])},
        {"pre_tokenizer": pre.Sequence([pre.Split(" ", "isolated"), pre.ByteLevel(False, use_regex=False)])},
        {
            "pre_tokenizer": pre.Sequence(
                [
                    pre.Split(tokenizers.Regex(EXPRESSIONS["llama3"]), "removed"),
                    pre.ByteLevel(False, use_regex=False),
                ]
            )
        },
        {"normalizer": tokenizers.normalizers.NFKC()},
        {"model": tokenizers.models.WordPiece({"[UNK]": 0})},
        {"model": tokenizers.models.BPE(dropout=0.1)},
    ],
)
def test_a_tokenizer_of_another_kind_is_left_to_the_library(unlike: dict[str, object]) -> None:
    tokenizer = make("llama3")._tokenizer
    for name, value in unlike.items():
        setattr(tokenizer, name, value)
    assert word_ids(tokenizer) is None


def test_an_expression_that_nobody_looked_at_is_left_to_the_library() -> None:
    assert word_ids(make(r"\p{L}+|[^\p{L}]+")._tokenizer) is None


def test_forgetting_words_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "MEMORY_BYTES", 2000)
    tokenizer = make("llama3")
    ids = word_ids(tokenizer._tokenizer)
    assert ids is not None
    most = 0
    for number in range(300):
        text = f"the word{number} and {number * 7} of the first document"
        assert list(array("I", ids.encode(text))) == reference(tokenizer, text)
        most = max(most, len(ids))
    assert most < 30


def test_flat_ids_are_the_ids_for_little_text_and_for_much(tmp_path: Path) -> None:
    """Enough text, some of it for the library, that words are remembered."""
    tokenizer = make("llama3")
    tokenizer._tokenizer.post_processor = tokenizers.processors.TemplateProcessing("<s> $A", None, [("<s>", 0)])
    tokenizer._tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "</s>"}')
    tokenizer = load_tokenizer(tmp_path)
    texts = [*SAMPLES, "\U00020000 beyond"]
    for many in (texts, [text * 2000 for text in texts]):
        assert [list(array("I", ids)) for ids in tokenizer.encode_flat(many)] == tokenizer.encode(many)
    assert tokenizer.encode_flat([]) == []
