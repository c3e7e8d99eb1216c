"""`cloudcpt model stage` as it is typed: from a name to a folder that a recipe finds, and each refusal."""

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.cli.model_place import model_place
from cloudcpt.fake.http import Answer
from cloudcpt.recipe.catalog import model_rows
from tests.architecture.test_light_imports import TRAINING, loaded, outsiders
from tests.fake_hubs import MODEL, TOKEN, FakeHuggingFace, FakeModelScope, Repo, flipped

Cloudcpt = Callable[..., Any]
VARIABLES = (
    "HF_ENDPOINT", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE",
    "MODELSCOPE_ENDPOINT", "MODELSCOPE_API_TOKEN", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY",
)  # fmt: skip


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, as nobody in particular."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHuggingFace]:
    """Hugging Face, where the environment says that it is."""
    made = FakeHuggingFace()
    monkeypatch.setenv("HF_ENDPOINT", made.url)
    yield made
    made.close()


def refused(outcome: Any) -> tuple[int, list[str]]:
    answer = json.loads(outcome.out)
    assert answer["exit_code"] == outcome.code
    return outcome.code, [found["code"] for found in answer["diagnostics"]]


def test_a_name_of_the_catalog_becomes_a_folder_below_models(
    cloudcpt: Cloudcpt, hub: FakeHuggingFace, desk: Path
) -> None:
    hub.repos["Qwen/Qwen3-0.6B-Base"] = hub.repos["org/model"]
    done = cloudcpt("model", "stage", "qwen3-0.6b")
    folder = desk / "models" / "Qwen3-0.6B-Base"
    assert done.code == 0, done.err
    assert {path.name for path in folder.iterdir()} == {*MODEL, "staged.json"}
    assert done.out.splitlines() == [
        f"{folder}: complete",
        f"from    Qwen/Qwen3-0.6B-Base at {hub.repos['org/model'].commit[:12]}, {hub.url}",
        "model   llama, 1.31 M parameters, float32, 64 positions",
        "files   9 files, 5.0 MiB, every file verified; 5.0 MiB fetched",
        f"recipe  model_name_or_path: {folder}",
    ]
    again = cloudcpt("model", "stage", "qwen3-0.6b")
    assert again.out.splitlines()[3].endswith("every file verified; all of it was here already")


def test_every_open_model_of_the_catalog_says_where_it_is_published() -> None:
    rows = [row for row in model_rows() if row.family == "open" and row.model_type != "hf"]
    assert {model_place(row.model_type, None).repo for row in rows} == {row.hugging_face for row in rows}
    assert all("/" in row.hugging_face for row in rows)


def test_an_id_a_revision_and_a_folder_of_ones_own(cloudcpt: Cloudcpt, hub: FakeHuggingFace, desk: Path) -> None:
    done = cloudcpt("model", "stage", "org/model", "--revision", "v1.0", "--to", "here/it is", "--output", "json")
    answer = json.loads(done.out)
    assert (done.code, answer["folder"]) == (0, str(desk / "here" / "it is"))
    assert answer["staged"]["revision"] == "v1.0"
    assert answer["staged"]["commit"] == hub.repos["org/model"].commit
    assert answer["model"] == {
        "architecture": "llama", "parameters": 1_310_720, "dtype": "float32", "context_tokens": 64
    }  # fmt: skip
    assert (answer["fetched_bytes"], answer["kept_bytes"]) == (sum(map(len, MODEL.values())), 0)
    assert json.loads((desk / "here" / "it is" / "staged.json").read_text()) == answer["staged"]


def test_from_modelscope_where_the_hub_is_out_of_reach(
    cloudcpt: Cloudcpt, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://nowhere.invalid")
    scope = FakeModelScope()
    try:
        done = cloudcpt("model", "stage", "org/model", "--from", "modelscope", "--endpoint", scope.url)
    finally:
        scope.close()
    assert done.code == 0, done.err
    assert f"from    org/model at master, {scope.url}" in done.out
    assert (desk / "models" / "model" / "b.safetensors").read_bytes() == MODEL["b.safetensors"]


RECIPE = """
run:
  name: "medical"
  model_type: {model_type}
  model_name_or_path: {path}
  replicas: 1
  data_s3_path: "data.jsonl"
training_config:
  max_length: 64
  global_batch_size: 32
  trainer:
    max_steps: 20
  model:
    optim:
      lr: 1e-5
      sched:
        warmup_steps: 2
        min_lr: 1e-6
"""


@pytest.mark.parametrize(
    ("model_type", "path", "repo"),
    [
        ("qwen3-0.6b", "../models/my base", "Qwen/Qwen3-0.6B-Base"),
        ("hf", "org/model", "org/model"),
    ],
)
def test_the_command_in_the_hint_brings_the_model_to_where_the_recipe_looks_for_it(
    cloudcpt: Cloudcpt, hub: FakeHuggingFace, desk: Path, model_type: str, path: str, repo: str
) -> None:
    hub.repos["Qwen/Qwen3-0.6B-Base"] = hub.repos["org/model"]
    (desk / "recipes").mkdir()
    (desk / "recipes" / "r.yaml").write_text(RECIPE.format(model_type=model_type, path=path))
    missing = cloudcpt("plan", "recipes/r.yaml", "--samples", 1000, "--output", "json")
    (found,) = json.loads(missing.out)["diagnostics"]
    assert (missing.code, found["code"]) == (1, "CPT520")
    typed = shlex.split(found["hint"].split("`")[1])
    assert typed[:4] == ["cloudcpt", "model", "stage", repo]
    assert not Path(typed[-1]).is_absolute()
    assert cloudcpt(*typed[1:]).code == 0
    planned = cloudcpt("plan", "recipes/r.yaml", "--samples", 1000, "--output", "json")
    assert planned.code == 0, planned.err
    origin = {"source": "hub", "repo": repo, "revision": hub.repos["org/model"].commit}
    assert json.loads(planned.out)["plan"]["model"]["origin"] == origin
    shown = cloudcpt("plan", "recipes/r.yaml", "--samples", 1000).out
    assert f"staged from {repo} at {hub.repos['org/model'].commit[:12]}" in shown


def test_without_an_id_the_hint_leaves_a_gap_for_it(cloudcpt: Cloudcpt, desk: Path) -> None:
    (desk / "r.yaml").write_text(RECIPE.format(model_type="hf", path="./base"))
    hint = json.loads(cloudcpt("plan", "r.yaml", "--samples", 1000, "--output", "json").out)["diagnostics"][0]["hint"]
    assert "`cloudcpt model stage ORG/MODEL --to base` with its id at Hugging Face" in hint


def test_a_model_that_was_changed_after_staging_has_no_origin(
    cloudcpt: Cloudcpt, hub: FakeHuggingFace, desk: Path
) -> None:
    (desk / "r.yaml").write_text(RECIPE.format(model_type="hf", path="models/model"))
    cloudcpt("model", "stage", "org/model")
    first = json.loads(cloudcpt("plan", "r.yaml", "--samples", 1000, "--output", "json").out)["plan"]
    assert "staged.json" not in [file["name"] for file in first["model"]["files"]]
    (desk / "models" / "model" / "README.md").write_text("mine")
    planned = cloudcpt("plan", "r.yaml", "--samples", 1000, "--output", "json")
    answer = json.loads(planned.out)
    assert (planned.code, answer["plan"]["model"]["origin"]) == (0, None)
    (note,) = [found for found in answer["diagnostics"] if found["code"] == "CPT545"]
    assert "`README.md` differs from what was staged from `org/model`" in note["message"]


def test_a_damaged_record_is_no_record(cloudcpt: Cloudcpt, hub: FakeHuggingFace, desk: Path) -> None:
    (desk / "r.yaml").write_text(RECIPE.format(model_type="hf", path="models/model"))
    cloudcpt("model", "stage", "org/model")
    record = desk / "models" / "model" / "staged.json"
    whole = json.loads(record.read_text())
    for text in ("{", "[]", json.dumps({**whole, "files": 3}), json.dumps({**whole, "schema_version": 2}), "\ud800"):
        record.write_text(text, "utf-8", errors="surrogatepass")
        planned = json.loads(cloudcpt("plan", "r.yaml", "--samples", 1000, "--output", "json").out)
        assert planned["plan"]["model"]["origin"] is None
        assert refused(cloudcpt("model", "stage", "org/model", "--output", "json")) == (2, ["CPT739"])


def test_a_token_opens_a_gated_model_and_is_never_shown(
    cloudcpt: Cloudcpt, hub: FakeHuggingFace, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos["org/model"].gated = True
    closed = cloudcpt("model", "stage", "org/model")
    assert closed.code == 3
    assert "error[CPT731] `org/model` is for those only who have accepted its licence" in closed.err
    assert "accept the licence at https://huggingface.co/org/model" in closed.err
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    opened = cloudcpt("model", "stage", "org/model", "--output", "json")
    assert opened.code == 0
    kept = (desk / "models" / "model" / "staged.json").read_text()
    assert TOKEN not in opened.out + opened.err + kept
    monkeypatch.setenv("HF_TOKEN", "hf_withdrawn")
    withdrawn = cloudcpt("model", "stage", "org/model")
    assert withdrawn.code == 3
    assert "error[CPT732]" in withdrawn.err
    assert "hf_withdrawn" not in withdrawn.err


def test_a_damaged_file_ends_with_the_code_for_another_try(
    cloudcpt: Cloudcpt, hub: FakeHuggingFace, desk: Path
) -> None:
    hub.on_the_way = lambda request, answer: flipped(answer) if "README" in request.path else answer
    damaged = cloudcpt("model", "stage", "org/model")
    assert damaged.code == 5
    assert "error[CPT737] `README.md` of `org/model` arrived damaged: its git hash is" in damaged.err
    assert "note[CPT743] what has come is kept in" in damaged.err
    assert [path.name for path in (desk / "models").iterdir()] == [
        path.name for path in (desk / "models").glob(".model.*.partial")
    ]


@pytest.mark.parametrize(
    ("arguments", "outcome"),
    [
        (["org/absent"], (2, ["CPT730"])),
        (["org/model", "--revision", "v2"], (2, ["CPT733"])),
        (["hf"], (2, ["CPT742"])),
        (["amazon.nova-micro-v1:0:128k"], (2, ["CPT513"])),
        (["https://huggingface.co/org/model/tree/main"], (2, ["CPT742"])),
        (["a/b/c"], (2, ["CPT742"])),
        (["../model"], (2, ["CPT742"])),
        (["org/model?x"], (2, ["CPT742"])),
        (["org/model", "--from", "s3"], (2, ["CPT742"])),
        (["s3://bucket/model", "--from", "hub"], (2, ["CPT742"])),
        (["org/model", "--endpoint", "ftp://x"], (2, ["CPT742"])),
        (["org/model", "--to", "occupied"], (2, ["CPT739"])),
    ],
)
def test_what_cannot_be_is_refused_with_a_code(
    cloudcpt: Cloudcpt, hub: FakeHuggingFace, desk: Path, arguments: list[str], outcome: tuple[int, list[str]]
) -> None:
    (desk / "occupied").mkdir()
    (desk / "occupied" / "thesis.txt").write_text("mine")
    assert refused(cloudcpt("model", "stage", *arguments, "--output", "json")) == outcome
    assert not (desk / "models").exists()


@pytest.mark.parametrize("option", [("--endpoint", "https://x"), ("--revision", "main")])
def test_a_bucket_has_neither_endpoint_nor_revision(cloudcpt: Cloudcpt, option: tuple[str, str]) -> None:
    wrong = cloudcpt("model", "stage", "s3://bucket/model", *option)
    assert wrong.code == 2
    assert "a model in S3 has neither" in wrong.err


def test_the_address_of_a_page_is_answered_with_the_id(cloudcpt: Cloudcpt) -> None:
    for page in ("https://huggingface.co/org/model/tree/main", "https://modelscope.cn/models/org/model/files"):
        assert "give the id of the model: `org/model`" in cloudcpt("model", "stage", page).err


def test_a_hub_that_wants_to_be_left_alone(cloudcpt: Cloudcpt, hub: FakeHuggingFace) -> None:
    hub.on_the_way = lambda *_: Answer(status=429, headers={"Retry-After": "900"})
    busy = cloudcpt("model", "stage", "org/model")
    assert busy.code == 5
    assert "error[CPT734]" in busy.err
    assert "try again in 900 s" in busy.err


def test_a_model_with_pickles_only_is_refused_with_the_way_out(
    cloudcpt: Cloudcpt, hub: FakeHuggingFace, desk: Path
) -> None:
    files = {name: body for name, body in MODEL.items() if "safetensors" not in name}
    hub.repos["org/old"] = Repo({**files, "pytorch_model.bin": b"pickle"})
    old = cloudcpt("model", "stage", "org/old")
    assert old.code == 1
    assert "error[CPT522] `org/old` has its weights only as pickle" in old.err
    assert list(desk.glob("models/*")) == []


def test_a_hub_needs_neither_the_cloud_nor_the_training_stack(hub: FakeHuggingFace, desk: Path) -> None:
    code, modules = loaded("model", "stage", "org/model", cwd=desk)
    assert code == 0
    assert outsiders(modules) & (TRAINING | {"boto3", "botocore", "awscrt", "huggingface_hub"}) == set()
