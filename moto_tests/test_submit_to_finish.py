"""From a recipe to a verified model through an AWS account, every step by the command line and over HTTP.

    validate -> plan -> submit: pre-flight, upload, create -> the fake runs the bundled loop on the uploaded objects
    -> logs -> status -> output in S3 -> fetch, verified -> report

Nothing here is stubbed: the client is a process of its own, the services are HTTP servers, and what trains is
`python -m cloudcpt.train` on files that came down from the fake's S3.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudcpt.fake.by_hand import push_image
from cloudcpt.fake.cloud import ACCOUNT_ID, FakeCloud
from cloudcpt.fake.container import Trainer
from cloudcpt.wire import model_faults, parse_progress

pytestmark = [pytest.mark.train, pytest.mark.slow]

BUCKET = "team-bucket"
ROLE = "cpt-role"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "sagemaker.amazonaws.com"}}],
}
WORDS = "the river carries sand and the sand becomes stone while rain falls on hills that were the floor of a sea"
RECIPE = """
run:
  name: geology
  model_type: hf
  model_name_or_path: base
  replicas: {replicas}
  data_s3_path: train.jsonl
  validation_data_s3_path: held-out.jsonl
  output_s3_path: s3://{bucket}/runs
training_config:
  max_length: 32
  global_batch_size: 32
  trainer: {{max_steps: 4, log_every_steps: 1}}
  optim:
    lr: 1e-3
    sched: {{warmup_steps: 1, min_lr: 1e-4}}
launch:
  target: sagemaker
  region: us-east-1
  instance_type: ml.m5.xlarge
  role: {role}
  image: {image}
  max_runtime_hours: 1
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


def write_base_model(folder: Path) -> None:
    """Write a Llama of a few thousand weights and a tokenizer of whole words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(["<end>", "<unk>", *dict.fromkeys(WORDS.split())])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", unk_token="<unk>").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        bos_token_id=None,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def write_data(path: Path, documents: int) -> None:
    words = WORDS.split()
    texts = (" ".join(words[(start + step * 3) % len(words)] for step in range(24)) for start in range(documents))
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")


@pytest.fixture
def account(fake_cloud: FakeCloud) -> FakeCloud:
    """An account as a person finds it: a bucket, a role, an image, a quota."""
    fake_cloud.store().create_bucket(Bucket=BUCKET)
    fake_cloud.store("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(TRUST))
    fake_cloud.quotas.set("ml.m5.xlarge", 4)
    fake_cloud.sagemaker.service.play = Trainer(environment={"OMP_NUM_THREADS": "1"})
    return fake_cloud


@pytest.fixture
def image(account: FakeCloud) -> str:
    return push_image(account)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_base_model(tmp_path / "base")
    write_data(tmp_path / "train.jsonl", 120)
    write_data(tmp_path / "held-out.jsonl", 20)
    return tmp_path


@pytest.fixture
def run(account: FakeCloud, folder: Path) -> Run:
    """Type a command in the folder, in a terminal-less shell whose environment points at the account."""

    def typed(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment |= account.environment | {"CLOUDCPT_STATE_DIR": str(folder / "state")}
        environment |= {"PYTHONPATH": str(Path(__file__).parents[1]), "COLUMNS": "120"}
        done = subprocess.run(
            [sys.executable, "-m", "cloudcpt", *words],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == code, f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done

    return typed


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_recipe_becomes_a_verified_model_by_way_of_the_cloud(
    account: FakeCloud, image: str, folder: Path, run: Run, replicas: int
) -> None:
    role = f"arn:aws:iam::{ACCOUNT_ID}:role/{ROLE}"
    recipe = RECIPE.format(bucket=BUCKET, role=role, image=image, replicas=replicas)
    (folder / "recipe.yaml").write_text(recipe, "utf-8")
    run("validate", "recipe.yaml", "--online")
    plan = json.loads(run("plan", "recipe.yaml", "--output", "json").stdout)
    request = json.loads(run("submit", "recipe.yaml", "--dry-run").stdout)
    assert not account.sagemaker.calls.all("CreateTrainingJob")

    submitted = json.loads(run("submit", "recipe.yaml", "--yes", "--output", "json").stdout)
    name = submitted["name"]
    assert (name, submitted["adopted"]) == (plan["job_name"], False)
    assert account.sagemaker.service.execution(name).join(200)

    (created,) = account.sagemaker.calls.all("CreateTrainingJob")
    sent = json.loads(created.body)
    assert sent["TrainingJobName"] == name
    assert sent == request["request"]
    assert sent["ResourceConfig"]["InstanceCount"] == replicas

    printed = run("logs", name).stdout.splitlines()
    last = [progress for line in printed if (progress := parse_progress(line.removeprefix("[algo-1] ")))][-1]
    assert (last.step, last.total_steps) == (4, 4)
    status = json.loads(run("status", name, "--output", "json").stdout)
    assert status["state"] == "completed"
    assert status["plan_hash"] == plan["hash"]
    assert status["progress"]["step"] == 4

    run("fetch", name, "model")
    assert model_faults(folder / "model") == []
    manifest = json.loads((folder / "model" / "manifest.json").read_text("utf-8"))
    assert manifest["plan_hash"] == plan["hash"]
    run("report", name)

    again = json.loads(run("submit", "recipe.yaml", "--yes", "--output", "json").stdout)
    assert (again["name"], again["adopted"]) == (name, True)
    assert len(account.sagemaker.calls.all("CreateTrainingJob")) == 1
    assert json.loads(run("list", "--output", "json").stdout)["jobs"][0]["name"] == name


@pytest.mark.torture
def test_a_job_whose_spot_capacity_is_taken_away_goes_on_bit_for_bit(
    account: FakeCloud, image: str, folder: Path, run: Run
) -> None:
    """Nobody but the service starts it again; the same recipe on this machine, undisturbed, gives the same weights."""
    role = f"arn:aws:iam::{ACCOUNT_ID}:role/{ROLE}"
    recipe = RECIPE.format(bucket=BUCKET, role=role, image=image, replicas=2).replace(
        "max_steps: 4,", "max_steps: 400,"
    )
    recipe += "  spot: true\ncheckpoint: {recovery_every_steps: 20, every_steps: 150}\n"
    (folder / "recipe.yaml").write_text(recipe, "utf-8")
    name = json.loads(run("submit", "recipe.yaml", "--yes", "--output", "json").stdout)["name"]
    execution = account.sagemaker.service.execution(name)
    prefix = f"runs/{name}/checkpoints/.recovery/"
    for _ in range(2000):
        listed = account.store().list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ())
        if any(row["Key"].endswith("/COMPLETE") for row in listed):
            break
        assert not execution.join(0.05), run("logs", name).stdout
    account.clock.advance(10)  # so that the second attempt has a log stream of its own
    execution.interrupt()
    assert execution.join(200)

    status = json.loads(run("status", name, "--output", "json").stdout)
    assert [phase["detail"] for phase in status["phases"]].count("Interrupted") == 1
    assert (status["state"], status["checkpoints"], status["recovery_step"]) == ("completed", [150, 300], None)
    assert "resumed: going on from step" in run("logs", name).stdout
    run("fetch", name, "model")
    run("fetch", name, "kept", "--checkpoint", "all")
    assert model_faults(folder / "kept" / "step-00000150") == []

    here = recipe.replace("target: sagemaker", "target: local").replace("replicas: 2", "replicas: 1")
    here = here.replace("launch:\n", "launch:\n  processes_per_node: 2\n").replace("  spot: true\n", "")
    (folder / "here.yaml").write_text(here, "utf-8")
    undisturbed = json.loads(run("submit", "here.yaml", "--follow", "--output", "json").stdout)
    weights = Path(undisturbed["model"]) / "model.safetensors"
    assert weights.read_bytes() == (folder / "model" / "model.safetensors").read_bytes()
