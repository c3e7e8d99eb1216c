"""A base model in S3 is what the same folder on a disk is: sizes, refusals, tokens, hashes; and is read once."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.aws.known_hashes import MOST, KnownHashes
from cloudcpt.aws.s3_data import S3Data
from cloudcpt.aws.s3_model import S3Model
from cloudcpt.aws.s3_ranges import StoredContent
from cloudcpt.errors import CloudcptError, DatasetError, PlanError
from cloudcpt.fake.cloud import ACCOUNT_ID, FakeCloud
from cloudcpt.fake.faults import CUT_ANSWER, SLOW_DOWN
from cloudcpt.plan.base_model import BaseModel, read_base_model
from cloudcpt.plan.model_folder import LocalModel, ModelFolder, tokenizer_of
from cloudcpt.plan.warm_start import find_earlier_output
from cloudcpt.wire import complete_model

BUCKET = "models"
CONFIG = {
    "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2,
    "num_key_value_heads": 1, "vocab_size": 11, "eos_token_id": 0, "max_position_embeddings": 64,
}  # fmt: skip


def safetensors(**shapes: list[int]) -> bytes:
    header: dict[str, Any] = {}
    at = 0
    for name, shape in shapes.items():
        size = 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(at)


def tokenizer() -> bytes:
    vocabulary = {word: index for index, word in enumerate(["<end>", "<unk>", *"abcdefgh"])}
    parts = dict.fromkeys(("truncation", "padding", "normalizer", "post_processor", "decoder"))
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"}
    whole = {"version": "1.0", **parts, "added_tokens": [], "pre_tokenizer": {"type": "WhitespaceSplit"}}
    return json.dumps({**whole, "model": model}).encode()


WEIGHTS = safetensors(embed=[11, 8], norm=[8])
FILES = {"config.json": json.dumps(CONFIG).encode(), "tokenizer.json": tokenizer(), "model.safetensors": WEIGHTS}


def config(**changes: Any) -> dict[str, bytes]:
    return {"config.json": json.dumps(CONFIG | changes).encode()}


def index(*shards: str) -> dict[str, bytes]:
    table = {f"tensor-{number}": shard for number, shard in enumerate(shards)}
    return {"model.safetensors.index.json": json.dumps({"weight_map": table}).encode()}


CASES: dict[str, dict[str, bytes | None]] = {
    "good": {},
    "companions": {"LICENSE": b"x", "README.md": b"x", "x.bin": b"x", ".gitattributes": b"x", "original/y.json": b"{}"},
    "shards": {
        "model.safetensors": None,
        "a.safetensors": safetensors(one=[3, 8]),
        "b.safetensors": safetensors(two=[5, 8]),
        **index("a.safetensors", "b.safetensors"),
    },
    "missing shard": index("a.safetensors", "model.safetensors"),
    "shard elsewhere": {**index("../../other/model.safetensors")},
    "truncated": {"model.safetensors": WEIGHTS[:-1]},
    "not safetensors": {"model.safetensors": b"PK"},
    "empty weights": {"model.safetensors": b""},
    "pickle": {"model.safetensors": None, "pytorch_model.bin": b"x"},
    "gguf": {"model.safetensors": None, "model.gguf": b"x"},
    "archive": {"model.safetensors": None, "model.tar.gz": b"x"},
    "nothing but a config": {"model.safetensors": None},
    "auto_map": config(auto_map={"AutoModel": "x.Y"}),
    "quantised": config(quantization_config={"bits": 4}),
    "architecture": config(model_type="mamba"),
    "setting": config(logits_scaling=8.0),
    "sizes": config(hidden_size="8"),
    "no config": {"config.json": None},
    "broken config": {"config.json": b"{"},
    "no tokenizer": {"tokenizer.json": None},
}


@pytest.fixture
def cloud(fake_cloud: FakeCloud) -> FakeCloud:
    fake_cloud.store().create_bucket(Bucket=BUCKET)
    return fake_cloud


@pytest.fixture
def put(cloud: FakeCloud) -> Callable[[str, bytes], None]:
    store = cloud.store()
    return lambda key, content: store.put_object(Bucket=BUCKET, Key=key, Body=content) and None


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., S3Model]:
    """Open a model as a command does; `seen` is told what is hashed."""

    def open_model(uri: str, seen: list[str] | None = None) -> S3Model:
        known = KnownHashes(tmp_path / "state" / "hashes.json")
        return S3Model(
            S3Data(owner=ACCOUNT_ID),
            uri,
            known=known,
            progress=lambda name, done, total: seen.append(name) if seen is not None and done == total else None,
        )

    return open_model


def outcome(folder: ModelFolder) -> Any:
    """Read a model and leave out where it is."""
    try:
        found: BaseModel = read_base_model(folder, None)
    except PlanError as exc:
        return [(one.code, one.message.replace(folder.shown, "<folder>"), one.hint) for one in exc.diagnostics]
    files = [(file.name, file.size_bytes, file.blake3) for file in found.hashed_files()]
    return replace(found, folder=None), files  # type: ignore[arg-type]


@pytest.mark.parametrize("case", CASES)
def test_a_model_in_s3_is_what_it_is_on_a_disk(case: str, opened: Any, put: Any, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    for name, content in {**FILES, **CASES[case]}.items():
        if content is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
            put(f"m/base/{name}", content)
    put("m/base-2/config.json", b"{}")
    here = outcome(LocalModel(folder))
    assert outcome(opened(f"s3://{BUCKET}/m/base")) == here
    assert outcome(opened(f"s3://{BUCKET}/m/base/")) == here


@pytest.mark.parametrize(
    ("key", "code"), [("m/x.gguf", "CPT523"), ("m/x.tar.gz", "CPT524"), ("m/x.bin", "CPT522"), (None, "CPT520")]
)
def test_what_is_no_folder_is_refused(opened: Any, put: Any, key: str | None, code: str) -> None:
    if key:
        put(key, b"x")
    ((found, message, _),) = outcome(opened(f"s3://{BUCKET}/{key or 'nothing'}"))
    assert found == code
    assert ("does not exist" in message) == (key is None)


def test_files_are_used_where_they_are(opened: Any, put: Any) -> None:
    for name, content in FILES.items():
        put(f"base/{name}", content)
    files = read_base_model(opened(f"s3://{BUCKET}/base/"), None).hashed_files()
    assert [(file.uri, file.placed) for file in files] == [
        (f"s3://{BUCKET}/base/{name}", name) for name in sorted(FILES)
    ]


def test_a_model_may_have_a_bucket_of_its_own(opened: Any, put: Any) -> None:
    for name, content in FILES.items():
        put(name, content)
    model = opened(f"s3://{BUCKET}")
    assert (model.shown, model.names) == (f"s3://{BUCKET}", frozenset(FILES))


def test_weights_are_not_read_to_know_their_sizes(cloud: FakeCloud, opened: Any, put: Any) -> None:
    for name, content in {**FILES, "model.safetensors": safetensors(embed=[11, 100_000])}.items():
        put(f"base/{name}", content)
    read_base_model(opened(f"s3://{BUCKET}/base"), None)
    asked = [call.headers["range"] for call in cloud.s3.calls.all("GetObject") if "safetensors" in call.path]
    assert asked[0] == "bytes=0-7"
    assert len(asked) == 2


def test_what_was_hashed_once_is_not_read_again(cloud: FakeCloud, opened: Any, put: Any) -> None:
    for name, content in FILES.items():
        put(f"base/{name}", content)
    seen: list[str] = []
    first = read_base_model(opened(f"s3://{BUCKET}/base", seen), None).hashed_files()
    assert sorted(seen) == sorted(FILES)
    second = read_base_model(opened(f"s3://{BUCKET}/base", seen), None).hashed_files()
    assert (second, len(seen)) == (first, len(FILES))
    put("base/model.safetensors", safetensors(embed=[11, 8], norm=[9]))
    third = read_base_model(opened(f"s3://{BUCKET}/base", seen), None).hashed_files()
    assert (seen[len(FILES) :], third == first) == (["model.safetensors"], False)


def test_weights_that_change_under_the_reader_are_noticed(opened: Any, put: Any) -> None:
    for name, content in FILES.items():
        put(f"base/{name}", content)
    model = opened(f"s3://{BUCKET}/base")
    put("base/model.safetensors", WEIGHTS[:-1] + b"\1")
    for read in (lambda: model.hashed("model.safetensors"), lambda: model.read("model.safetensors", 0, 8)):
        with pytest.raises(DatasetError, match="CPT309"):
            read()


def test_disturbances_while_weights_are_hashed_leave_no_trace(
    cloud: FakeCloud, opened: Any, put: Any, tmp_path: Path
) -> None:
    weights = safetensors(embed=[500_000, 11])
    put("base/model.safetensors", weights)
    (tmp_path / "model.safetensors").write_bytes(weights)
    cloud.s3.faults.add(CUT_ANSWER, SLOW_DOWN, CUT_ANSWER, operation="GetObject")
    away, here = (
        opened(f"s3://{BUCKET}/base").hashed("model.safetensors"),
        LocalModel(tmp_path).hashed("model.safetensors"),
    )
    assert (away.blake3, away.size_bytes) == (here.blake3, here.size_bytes)


@pytest.mark.parametrize(("uri", "denied", "code"), [("s3://nowhere/m", "", "CPT405"), ("", "s3:ListBucket", "CPT403")])
def test_a_bucket_that_cannot_be_read_says_so(cloud: FakeCloud, opened: Any, uri: str, denied: str, code: str) -> None:
    cloud.denied.update({denied} - {""})
    with pytest.raises(CloudcptError, match=code):
        opened(uri or f"s3://{BUCKET}/m")


@pytest.mark.train
def test_the_tokenizer_is_the_models_own_and_speaks_of_the_place_in_s3(opened: Any, put: Any) -> None:
    for name, content in FILES.items():
        put(f"base/{name}", content)
    assert tokenizer_of(opened(f"s3://{BUCKET}/base")).encode(["a c"]) == [[2, 4, 0]]
    put("base/tokenizer.json", b"{}")
    with pytest.raises(DatasetError) as caught:
        tokenizer_of(opened(f"s3://{BUCKET}/base"))
    (found,) = caught.value.diagnostics
    assert found.message.startswith(f"`s3://{BUCKET}/base/tokenizer.json` cannot be read")
    assert found.place is not None
    assert found.place.path == f"s3://{BUCKET}/base/tokenizer.json"


# --- the memory of hashes -----------------------------------------------------------------------------------------

HASH = "0123456789abcdef" * 4


def stored(**changes: Any) -> StoredContent:
    same = {"bucket": "b", "key": "k", "etag": '"e"', "size_bytes": 1, "owner": ""}
    return StoredContent(**{**same, **changes})


def test_a_hash_is_that_of_one_content_of_one_object(tmp_path: Path) -> None:
    known = KnownHashes(tmp_path / "deep" / "hashes.json")
    assert known.find(stored()) == ""
    known.remember(stored(), HASH)
    assert known.find(stored(owner="1")) == HASH
    for change in ({"bucket": "c"}, {"key": "l"}, {"etag": '"f"'}, {"size_bytes": 2}):
        assert known.find(stored(**change)) == ""


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"x": 1}', b"\xff", b"[" * 100_000])
def test_a_damaged_memory_is_an_empty_one(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hashes.json"
    path.write_bytes(content)
    known = KnownHashes(path)
    assert known.find(stored()) == ""
    known.remember(stored(), HASH)
    assert known.find(stored()) == HASH
    assert [entry.name for entry in tmp_path.iterdir()] == ["hashes.json"]


@pytest.mark.parametrize("value", ["", "0" * 63, "g" * 64, 5])
def test_what_is_no_hash_is_not_believed(tmp_path: Path, value: object) -> None:
    path = tmp_path / "hashes.json"
    KnownHashes(path).remember(stored(), HASH)
    path.write_text(path.read_text().replace(f'"{HASH}"', json.dumps(value)))
    assert KnownHashes(path).find(stored()) == ""


def test_a_memory_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    known = KnownHashes(tmp_path / "file" / "hashes.json")
    known.remember(stored(), HASH)
    assert known.find(stored()) == ""


def test_the_oldest_hashes_give_way(tmp_path: Path) -> None:
    path = tmp_path / "hashes.json"
    known = KnownHashes(path)
    known.remember(stored(), HASH)
    (name,) = json.loads(path.read_text())
    path.write_text(json.dumps({name: HASH} | {f"other {number}": HASH for number in range(MOST - 1)}))
    assert known.find(stored()) == HASH
    known.remember(stored(key="new"), HASH)
    assert (known.find(stored()), known.find(stored(key="new"))) == ("", HASH)


def test_an_output_in_s3_is_known_by_its_seal_and_read_no_second_time(
    cloud: FakeCloud, opened: Any, put: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "output"
    for name, content in {**FILES, "provenance/plan.json": b"{}"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    complete_model(folder, plan_hash="a" * 64, job_name="first-1", steps=3, tokens=77)
    for path in folder.rglob("*"):
        if path.is_file():
            put(f"output/{path.relative_to(folder).as_posix()}", path.read_bytes())
    model = opened(f"s3://{BUCKET}/output")
    assert (model.read_deeper("provenance/plan.json"), model.read_deeper("provenance/plan")) == (b"{}", None)
    found = find_earlier_output(model, None)
    assert found is not None
    assert [(one.job_name, one.steps, one.tokens) for one in found.lineage] == [("first-1", 3, 77)]
    assert not [call for call in cloud.s3.calls.all("GetObject") if "safetensors" in call.path]
    put("output/model.safetensors", WEIGHTS[:-1])
    with pytest.raises(PlanError, match=r"CPT546: .*`model.safetensors` has"):
        find_earlier_output(opened(f"s3://{BUCKET}/output"), None)
