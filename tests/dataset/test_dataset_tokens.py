"""Documents to token ids: one boundary each, nothing cut, nothing smuggled in, the same ids as transformers."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudcpt.dataset.tokens import load_tokenizer
from cloudcpt.errors import DatasetError

tokenizers = pytest.importorskip("tokenizers", reason="needs the [train] extra")

BOS, EOS, UNK = "<s>", "</s>", "<unk>"
TEXTS = ["The first document.", "Zweites, länger als das erste", "第三", "a", " \n x"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE without a post-processor, and nothing beside it."""
    folder = tmp_path_factory.mktemp("tokenizer")
    trained = tokenizers.Tokenizer(tokenizers.models.BPE())
    trained.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[UNK, BOS, EOS],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(TEXTS * 3, trainer)
    trained.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def folder(base: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it that says what ends a document."""
    shutil.copytree(base, tmp_path / "model")
    write(tmp_path / "model", "tokenizer_config.json", {"eos_token": EOS})
    return tmp_path / "model"


def write(folder: Path, name: str, value: object) -> None:
    (folder / name).write_text(json.dumps(value), "utf-8")


def change(folder: Path, **settings: object) -> None:
    """Call methods or set properties of the stored tokenizer."""
    stored = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    for name, value in settings.items():
        if callable(getattr(stored, name)):
            getattr(stored, name)(**value)
        else:
            setattr(stored, name, value)
    stored.save(str(folder / "tokenizer.json"))


def template(*parts: str) -> object:
    return tokenizers.processors.TemplateProcessing(single=" ".join(parts), special_tokens=[(BOS, 1), (EOS, 2)])


def refusal(folder: Path) -> tuple[str, str]:
    with pytest.raises(DatasetError) as caught:
        load_tokenizer(folder)
    (found,) = caught.value.diagnostics
    return found.code, f"{found.message} {found.hint}"


def test_every_document_ends_with_one_boundary_and_reads_back(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    encoded = tokenizer.encode(TEXTS)
    raw = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert [raw.decode(ids[:-1], skip_special_tokens=False) for ids in encoded] == TEXTS
    assert tokenizer.boundary_id == 2
    assert all(ids[-1] == 2 and ids.count(2) == 1 for ids in encoded)
    assert tokenizer.vocab_size == raw.get_vocab_size()


@pytest.mark.parametrize(
    ("parts", "prefix"),
    [(("$A",), []), ((BOS, "$A"), [1]), ((BOS, "$A", EOS), [1]), (("$A", EOS), [])],
)
def test_bos_is_there_only_if_the_post_processor_writes_it(
    folder: Path, parts: tuple[str, ...], prefix: list[int]
) -> None:
    plain = load_tokenizer(folder).encode(TEXTS)
    change(folder, post_processor=template(*parts))
    assert load_tokenizer(folder).encode(TEXTS) == [prefix + ids for ids in plain]


def test_a_control_token_quoted_in_a_document_stays_text(folder: Path) -> None:
    change(folder, post_processor=template(BOS, "$A"))
    tokenizer = load_tokenizer(folder)
    text = "In Llama </s> ends and <s> begins</s>"
    (ids,) = tokenizer.encode([text])
    assert (ids[0], ids[-1]) == (1, 2)
    assert not {0, 1, 2} & set(ids[1:-1])
    raw = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert raw.decode(ids, skip_special_tokens=True) == text


def test_truncation_and_padding_of_the_file_are_switched_off(folder: Path) -> None:
    plain = load_tokenizer(folder).encode(TEXTS)
    change(folder, enable_truncation={"max_length": 3}, enable_padding={"length": 64, "pad_id": 0})
    assert load_tokenizer(folder).encode(TEXTS) == plain


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"tokenizer_config.json": {"eos_token": EOS}}, 2),
        ({"tokenizer_config.json": {"eos_token": {"__type": "AddedToken", "content": EOS}}}, 2),
        ({"special_tokens_map.json": {"eos_token": {"content": EOS}}}, 2),
        ({"tokenizer_config.json": {"eos_token": BOS}, "special_tokens_map.json": {"eos_token": EOS}}, 2),
        (
            {
                "tokenizer_config.json": {"eos_token": EOS, "added_tokens_decoder": {}},
                "special_tokens_map.json": {"eos_token": BOS},
            },
            2,
        ),
        ({"tokenizer_config.json": {"eos_token": EOS}, "config.json": {"eos_token_id": 7}}, 2),
        ({"config.json": {"eos_token_id": 5}, "generation_config.json": {"eos_token_id": 6}}, 5),
        ({"tokenizer_config.json": {"eos_token": None}, "generation_config.json": {"eos_token_id": [6, 5]}}, 6),
    ],
)
def test_the_boundary_is_found_where_transformers_looks(
    base: Path, tmp_path: Path, files: dict[str, object], expected: int
) -> None:
    shutil.copy(base / "tokenizer.json", tmp_path)
    for name, value in files.items():
        write(tmp_path, name, value)
    assert load_tokenizer(tmp_path).boundary_id == expected


@pytest.mark.train
@pytest.mark.parametrize("parts", [("$A",), (BOS, "$A")])
def test_ids_and_boundary_equal_those_of_transformers(folder: Path, parts: tuple[str, ...]) -> None:
    transformers = pytest.importorskip("transformers", reason="needs the [train] extra")
    change(folder, post_processor=template(*parts))
    write(folder, "tokenizer_config.json", {"eos_token": BOS, "tokenizer_class": "PreTrainedTokenizerFast"})
    write(folder, "special_tokens_map.json", {"eos_token": EOS})
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    ours = load_tokenizer(folder)
    assert ours.boundary_id == theirs.eos_token_id
    assert ours.encode(TEXTS) == [[*ids, theirs.eos_token_id] for ids in theirs(TEXTS)["input_ids"]]
    assert ours.vocab_size == len(theirs)


def test_a_missing_tokenizer_is_named_with_what_to_do(folder: Path, tmp_path: Path) -> None:
    (folder / "tokenizer.json").unlink()
    code, sentence = refusal(folder)
    assert code == "CPT360"
    assert f"`tokenizer.json` in `{folder}`" in sentence
    (folder / "tokenizer.model").touch()
    assert "save_pretrained" in refusal(folder)[1]
    assert refusal(tmp_path / "nowhere")[0] == "CPT360"


def test_without_the_library_the_extra_to_install_is_named(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; sys.modules['tokenizers'] = None\n"
        "from cloudcpt.dataset.tokens import load_tokenizer\n"
        "from cloudcpt.errors import SetupError\n"
        "try: load_tokenizer(Path(sys.argv[1]))\n"
        "except SetupError as exc: print(exc.diagnostics[0].code, exc.diagnostics[0].hint)"
    )
    command = [sys.executable, "-c", program, str(folder)]
    assert "CPT364 install it with" in subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("content", ["", "{}", "[1", "\x00", '{"model": {"type": "Unheard"}}'])
def test_a_damaged_tokenizer_is_a_finding(folder: Path, content: str) -> None:
    (folder / "tokenizer.json").write_text(content)
    assert refusal(folder)[0] == "CPT361"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_damaged_configuration_is_a_finding(folder: Path, content: bytes) -> None:
    (folder / "tokenizer_config.json").write_bytes(content)
    code, sentence = refusal(folder)
    assert code == "CPT361"
    assert "tokenizer_config.json" in sentence


@pytest.mark.parametrize("config", [[], {}, {"eos_token": ""}, {"eos_token": 5}])
def test_a_folder_that_names_no_boundary_is_refused(folder: Path, config: object) -> None:
    write(folder, "tokenizer_config.json", config)
    write(folder, "config.json", {"eos_token_id": True})
    write(folder, "generation_config.json", {"eos_token_id": []})
    assert refusal(folder)[0] == "CPT362"


def test_a_boundary_that_the_tokenizer_does_not_have_is_refused(folder: Path) -> None:
    write(folder, "tokenizer_config.json", {"eos_token": "<|endoftext|>"})
    assert refusal(folder)[0] == "CPT363"
    write(folder, "tokenizer_config.json", {})
    for wrong in (100_000, -1):
        write(folder, "config.json", {"eos_token_id": wrong})
        assert refusal(folder)[0] == "CPT363"
