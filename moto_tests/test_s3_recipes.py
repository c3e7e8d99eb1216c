"""`validate` and `plan` with data and a base model in S3: read there, told like local ones, used in place."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.cli.main import main
from cloudcpt.fake.cloud import ACCOUNT_ID, FakeCloud
from cloudcpt.fake.faults import CUT_ANSWER, EXPIRED_TOKEN

BUCKET = "cpt-inputs"
HERE = Path(__file__).parents[1]

RECIPE = """\
run:
  name: demo
  model_type: hf
  model_name_or_path: {model}
  replicas: 1
  data_s3_path: {data}
  validation_data_s3_path: {held_out}
  output_s3_path: s3://cpt-inputs/out
training_config:
  max_length: 16
  global_batch_size: 32
  trainer:
    max_steps: 4
  model:
    optim:
      lr: 1e-5
      sched:
        warmup_steps: 1
        min_lr: 1e-6
launch:
  target: {target}
  account_id: "123456789012"
"""
IN_S3 = {"model": f"s3://{BUCKET}/base", "data": f"s3://{BUCKET}/data/", "held_out": f"s3://{BUCKET}/held-out.jsonl"}


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


class Desk:
    """A folder and a bucket with the same data and the same model, and the command line.

    Args:
        folder: The current one.
        cloud: Holds the bucket.
        run: Runs a command line.
    """

    def __init__(self, folder: Path, cloud: FakeCloud, run: Callable[..., Outcome]) -> None:
        self.folder = folder
        self.cloud = cloud
        self.run = run

    def put(self, name: str, content: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.cloud.store().put_object(Bucket=BUCKET, Key=name, Body=content)

    def recipe(self, **changes: str) -> str:
        whole = {"model": "base", "data": "data", "held_out": "held-out.jsonl", "target": "sagemaker"} | changes
        (self.folder / "recipe.yaml").write_text(RECIPE.format(**whole))
        return "recipe.yaml"

    def plan(self, **changes: str) -> dict[str, Any]:
        shown = self.run("plan", self.recipe(**changes), "--output", "json")
        assert shown.code == 0, shown.err
        plan: dict[str, Any] = json.loads(shown.out)["plan"]
        return plan


@pytest.fixture
def desk(
    fake_cloud: FakeCloud, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    fake_cloud.store().create_bucket(Bucket=BUCKET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOUDCPT_STATE_DIR", str(tmp_path / "state"))

    def run(*arguments: object) -> Outcome:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    made = Desk(tmp_path, fake_cloud, run)
    for number in range(2):
        lines = [{"text": " ".join("abcdefgh"[: 1 + (number + index) % 8])} for index in range(200)]
        made.put(f"data/{number}.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    made.put("held-out.jsonl", b'{"text": "a b c d e f g h a b c d e f g h"}\n' * 20)
    for name, content in _model().items():
        made.put(f"base/{name}", content)
    fake_cloud.s3.calls.clear()
    return made


def _model() -> dict[str, bytes]:
    config = {
        "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 8, "intermediate_size": 16, "vocab_size": 11,
        "num_attention_heads": 2, "num_key_value_heads": 1, "eos_token_id": 0, "max_position_embeddings": 64,
    }  # fmt: skip
    header = json.dumps({"embed.weight": {"dtype": "F32", "shape": [11, 8], "data_offsets": [0, 352]}}).encode()
    vocabulary = {word: index for index, word in enumerate(["<end>", "<unk>", *"abcdefgh"])}
    parts = dict.fromkeys(("truncation", "padding", "normalizer", "post_processor", "decoder"))
    tokenizer = {
        "version": "1.0",
        **parts,
        "added_tokens": [],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    }
    weights = len(header).to_bytes(8, "little") + header + bytes(352)
    return {
        "config.json": json.dumps(config).encode(),
        "tokenizer.json": json.dumps(tokenizer).encode(),
        "model.safetensors": weights,
    }


def without_addresses(plan: dict[str, Any]) -> dict[str, Any]:
    """Leave out what must differ: where files are, and the text of the recipe that says so."""
    model = {**plan["model"], "name_or_path": "", "files": [{**file, "uri": ""} for file in plan["model"]["files"]]}
    sources = [{**one, "files": [{**file, "uri": ""} for file in one["files"]]} for one in plan["sources"]]
    return {**plan, "model": model, "sources": sources, "recipe_text": "", "recipe_blake3": ""}


def test_a_plan_on_inputs_in_s3_is_the_plan_on_the_same_files_here(desk: Desk) -> None:
    here, away = desk.plan(), desk.plan(**IN_S3)
    assert without_addresses(away) == without_addresses(here)
    assert away["sources"][0]["tokens"] > 0


@pytest.mark.train
def test_tokens_in_s3_are_counted_exactly(desk: Desk) -> None:
    assert [one["exact"] for one in desk.plan(**IN_S3)["sources"]] == [True, True]


def test_a_rehearsal_does_not_need_the_model_that_it_stands_in_for(desk: Desk) -> None:
    recipe = desk.recipe(**IN_S3 | {"model": "s3://nobody-has-this-bucket/base"})
    assert desk.run("plan", recipe).code == 1
    shown = desk.run("submit", recipe, "--dry-run", "--stand-in")
    assert "CPT405" not in shown.err
    assert "rehearsal" in shown.err


def test_inputs_in_s3_are_used_in_place(desk: Desk) -> None:
    plan = desk.plan(**IN_S3)
    files = [file["uri"] for one in [*plan["sources"], plan["model"]] for file in one["files"]]
    names = ["data/0.jsonl", "data/1.jsonl", "held-out.jsonl"]
    names += ["base/config.json", "base/model.safetensors", "base/tokenizer.json"]
    assert files == [f"s3://{BUCKET}/{name}" for name in names]


def test_every_request_says_whose_the_bucket_is(desk: Desk) -> None:
    desk.plan(**IN_S3)
    owners = {call.headers.get("x-amz-expected-bucket-owner") for call in desk.cloud.s3.calls.all()}
    assert owners == {ACCOUNT_ID}


def test_nothing_is_written_to_s3_and_weights_are_hashed_once(desk: Desk) -> None:
    desk.plan(**IN_S3)
    desk.cloud.s3.calls.clear()
    desk.plan(**IN_S3)
    assert set(desk.cloud.s3.calls.operations()) == {"ListObjectsV2", "GetObject"}
    whole = [call for call in desk.cloud.s3.calls.all("GetObject") if "safetensors" in call.path]
    assert len(whole) == 2, "the length of the header and the header"


def test_a_model_in_s3_is_checked_like_one_here(desk: Desk) -> None:
    desk.cloud.s3.service.rules = replace(desk.cloud.s3.service.rules, require_owner=False)
    here, away = (json.loads(desk.run("model", "check", it, "--output", "json").out) for it in ("base", IN_S3["model"]))
    assert away["model"] == here["model"]
    assert (away["ok"], away["diagnostics"]) == (True, [])
    asked = [call for call in desk.cloud.s3.calls.all("GetObject") if "safetensors" in call.path]
    assert len(asked) == 2, "the length of the header and the header"
    gone = desk.run("model", "check", f"s3://{BUCKET}/gone/")
    assert gone.code == 1
    assert "error[CPT520]" in gone.out


def test_a_dataset_in_s3_is_validated_by_its_uri(desk: Desk) -> None:
    desk.cloud.s3.service.rules = replace(desk.cloud.s3.service.rules, require_owner=False)
    desk.put("bad.jsonl", b'{"text": "a"}\n{"txet": "b"}\n')
    shown = desk.run("validate", f"s3://{BUCKET}/bad.jsonl", f"s3://{BUCKET}/data/*.jsonl")
    assert shown.code == 1
    assert f"s3://{BUCKET}/bad.jsonl:2:" in shown.out
    assert f"s3://{BUCKET}/data/*.jsonl: 400 documents in 2 files" in shown.out
    good = desk.run("validate", f"s3://{BUCKET}/data", "--output", "json")
    (found,) = json.loads(good.out)["inputs"]
    assert (good.code, found["kind"], found["datasets"][0]["documents"]) == (0, "dataset", 400)
    assert desk.run("validate", f"s3://{BUCKET}/gone.jsonl").code == 1


def test_a_recipe_points_at_the_uri_that_is_wrong(desk: Desk) -> None:
    shown = desk.run(
        "validate", desk.recipe(**IN_S3 | {"data": "s3://no-such-bucket/x/", "held_out": f"s3://{BUCKET}/y/"})
    )
    assert shown.code == 1
    assert "error[CPT405]" in shown.out
    assert "    6 |   data_s3_path: s3://no-such-bucket/x/\n      |                 ^^^^" in shown.out
    assert f"error[CPT300] `s3://{BUCKET}/y/` does not exist" in shown.out
    assert "    7 |   validation_data_s3_path: " in shown.out


def test_a_recipe_points_at_the_model_that_is_wrong(desk: Desk) -> None:
    for model, code in (("s3://no-such-bucket/m", "CPT405"), (f"s3://{BUCKET}/no-model", "CPT520")):
        shown = desk.run("validate", desk.recipe(model=model))
        assert (shown.code, f"error[{code}]" in shown.out) == (1, True)
        assert f"    4 |   model_name_or_path: {model}\n" in shown.out


def test_bad_lines_in_s3_keep_a_recipe_from_being_planned(desk: Desk) -> None:
    desk.put("data/2.jsonl", b"{}\n")
    shown = desk.run("plan", desk.recipe(**IN_S3))
    assert (shown.code, shown.out) == (1, "")
    assert f"s3://{BUCKET}/data/2.jsonl:1:" in shown.err


def test_a_job_on_this_machine_does_not_take_its_inputs_from_s3(desk: Desk) -> None:
    shown = desk.run("plan", desk.recipe(**IN_S3, target="local"))
    assert shown.code == 1
    assert shown.err.count("error[CPT315]") == 3


def test_an_assumed_amount_needs_no_data_in_s3(desk: Desk) -> None:
    shown = desk.run("plan", desk.recipe(**IN_S3 | {"model": "base"}), "--samples", 1000)
    assert (shown.code, desk.cloud.s3.calls.operations()) == (0, ())


def test_without_credentials_inputs_in_s3_are_noted_and_nothing_fails(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    shown = desk.run("validate", desk.recipe(**IN_S3))
    assert shown.code == 0
    assert "note[CPT395] 2 datasets are in S3, which is not read from here" in shown.out
    assert "there are no AWS credentials" in shown.out
    assert desk.run("plan", desk.recipe(**IN_S3)).code == 1
    direct = desk.run("validate", IN_S3["held_out"])
    assert (direct.code, "error[CPT400]" in direct.err) == (3, True), "nothing was checked, and nobody may think so"
    model = desk.run("validate", desk.recipe(model=IN_S3["model"]))
    assert f"note[CPT380] `{IN_S3['model']}` is in S3" in model.out
    assert desk.cloud.s3.calls.operations() == ()


def test_expired_credentials_and_no_network_are_noted_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.cloud.s3.faults.add(EXPIRED_TOKEN)
    assert "have expired" in desk.run("validate", desk.recipe(**IN_S3)).out
    desk.cloud.s3.faults.clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    shown = desk.run("validate", desk.recipe(**IN_S3))
    assert (shown.code, "cannot reach AWS" in shown.out) == (0, True)
    assert desk.run("validate", IN_S3["held_out"]).code == 5


def test_a_reading_that_cannot_go_on_says_that_a_retry_is_safe(desk: Desk) -> None:
    desk.cloud.s3.faults.add(CUT_ANSWER, operation="GetObject", times=1000)
    shown = desk.run("validate", desk.recipe(**IN_S3))
    assert (shown.code, "error[CPT408]" in shown.err) == (5, True)


def test_checking_a_file_of_this_machine_loads_no_boto3(desk: Desk) -> None:
    code = "import sys; from cloudcpt.cli.main import main; main(sys.argv[1:]); sys.exit('boto3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, "validate", str(desk.folder / "data")], cwd=HERE).returncode == 0
