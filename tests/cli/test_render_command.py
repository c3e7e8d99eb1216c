"""`cloudcpt render`: a recipe that HyperPod takes on stdout, what to do with it on stderr, and refusals that help."""

import json

import pytest
import yaml
from blake3 import blake3

NOVA = {
    "run": {
        "name": "Nova-Run",
        "model_type": "amazon.nova-micro-v1:0:128k",
        "model_name_or_path": "nova-micro/prod",
        "replicas": 2,
        "data_s3_path": "s3://my-bucket/train.jsonl",
        "output_s3_path": "s3://my-bucket/out",
    },
    "training_config": {
        "max_length": 8192,
        "global_batch_size": 32,
        "trainer": {"max_epochs": 1},
        "model": {"optim": {"lr": 1e-5, "sched": {"warmup_steps": 1, "min_lr": 1e-6}}},
    },
    "launch": {"region": "us-west-2"},
}


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)

    def written(run=None, launch=None):
        recipe = NOVA | {"run": NOVA["run"] | (run or {}), "launch": NOVA["launch"] if launch is None else launch}
        path = tmp_path / "nova.yaml"
        path.write_text(json.dumps(recipe), "utf-8")
        return path

    return written


def test_the_recipe_goes_to_stdout_with_a_name_for_kubernetes(cloudcpt, write):
    shown = cloudcpt("render", write(), "--target", "hyperpod")
    assert shown.code == 0
    rendered = yaml.safe_load(shown.out)
    assert rendered["run"]["name"] == "nova-run"
    assert rendered["run"]["data_s3_path"] == "s3://my-bucket/train.jsonl"
    assert rendered["run"]["output_s3_path"] == "s3://my-bucket/out"
    assert rendered["training_config"]["model"]["optim"]["lr"] == 1e-5
    assert set(rendered) == {"run", "training_config"}
    assert "CPT430" in shown.err


def test_what_to_run_next_goes_to_stderr_with_the_image_and_the_sources(cloudcpt, write):
    shown = cloudcpt("render", write())
    assert "176779409107.dkr.ecr.us-west-2.amazonaws.com/nova-fine-tune-repo:HP-CPT-latest" in shown.err
    assert "hyperpod start-job" in shown.err
    assert "source: " in shown.err


def test_the_recipe_can_go_to_a_file_which_the_next_command_names(cloudcpt, write, tmp_path):
    file = tmp_path / "rendered" / "out.yaml"
    shown = cloudcpt("render", write(), "--output-file", file)
    assert shown.out == ""
    assert yaml.safe_load(file.read_text())["run"]["replicas"] == 2
    assert f"cp {file} " in shown.err


def test_without_a_region_the_image_is_left_open(cloudcpt, write):
    shown = cloudcpt("render", write(launch={}))
    assert shown.code == 0
    assert '"container": "IMAGE"' in shown.err
    assert "us-east-1, us-west-2, ap-northeast-1" in shown.err


def test_the_region_of_the_command_line_counts_where_the_recipe_has_none(cloudcpt, write):
    assert ".ecr.us-east-1." in cloudcpt("render", write(launch={}), "--region", "us-east-1").err
    assert ".ecr.us-west-2." in cloudcpt("render", write(), "--region", "us-east-1").err


def test_local_data_is_checked_and_named_by_the_place_to_which_it_belongs(cloudcpt, write, tmp_path):
    content = b'{"text": "a document"}\n'
    (tmp_path / "my data.jsonl").write_bytes(content)
    shown = cloudcpt("render", write(run={"data_s3_path": "my data.jsonl"}))
    uri = f"s3://my-bucket/out/cloudcpt/objects/{blake3(content).hexdigest()}/content.jsonl"
    assert shown.code == 0
    assert yaml.safe_load(shown.out)["run"]["data_s3_path"] == uri
    assert f"aws s3 cp '{tmp_path / 'my data.jsonl'}' {uri}" in shown.err


def test_local_data_with_faults_is_refused(cloudcpt, write, tmp_path):
    (tmp_path / "train.jsonl").write_text('{"txt": "a document"}\n')
    shown = cloudcpt("render", write(run={"data_s3_path": "train.jsonl"}))
    assert (shown.code, shown.out) == (1, "")
    assert "CPT3" in shown.err


def test_local_data_that_is_not_there_is_refused(cloudcpt, write):
    shown = cloudcpt("render", write(run={"data_s3_path": "train.jsonl"}))
    assert (shown.code, shown.out) == (1, "")
    assert "CPT300" in shown.err


def test_a_folder_of_several_files_is_refused_with_what_to_do(cloudcpt, write, tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / "data" / name).write_text(json.dumps({"text": name}) + "\n")
    shown = cloudcpt("render", write(run={"data_s3_path": "data"}))
    assert (shown.code, shown.out) == (1, "")
    assert "CPT421" in shown.err
    assert "join them" in shown.err


def test_everything_that_is_missing_is_said_at_once(cloudcpt, write):
    run = {"data_s3_path": "", "output_s3_path": ""}
    shown = cloudcpt("render", write(run=run, launch={"region": "eu-west-1"}))
    assert (shown.code, shown.out) == (1, "")
    assert shown.err.count("error[CPT421]") == 3


def test_an_open_model_is_refused_with_the_way_to_train_it(cloudcpt, write):
    path = write()
    path.write_text(path.read_text().replace("amazon.nova-micro-v1:0:128k", "qwen3-0.6b"))
    shown = cloudcpt("render", path)
    assert (shown.code, shown.out) == (1, "")
    assert "CPT420" in shown.err
    assert "--target sagemaker" in shown.err


def test_a_wrong_recipe_is_refused_as_everywhere(cloudcpt, write):
    shown = cloudcpt("render", write(run={"replicas": 3}))
    assert (shown.code, shown.out) == (1, "")
    assert "CPT201" in shown.err


def test_another_target_is_not_a_way_to_render(cloudcpt, write):
    assert cloudcpt("render", write(), "--target", "sagemaker").code == 2
