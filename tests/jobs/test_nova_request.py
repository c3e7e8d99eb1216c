"""A Nova job has the shape that AWS's SDK sends, and its recipe the keys that AWS publishes."""

import json
import math
from io import StringIO

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from cloudcpt.fake.shapes import check_shape
from cloudcpt.jobs.channels import channel_documents
from cloudcpt.jobs.limits import request_faults
from cloudcpt.jobs.nova_recipe import plain
from cloudcpt.jobs.request import training_job_request
from tests.jobs.cloud_plans import cloud_launch, in_place, nova_plan, source, uploaded

MICRO = """
run:
  name: My-Nova
  model_type: amazon.nova-micro-v1:0:128k
  model_name_or_path: nova-micro/prod
  replicas: 2
  data_s3_path: train.jsonl
  output_s3_path: s3://my-bucket/cpt/output
training_config:
  max_length: 8192
  global_batch_size: 256
  trainer: {max_epochs: 2}
  model:
    optim:
      lr: 1e-5
      weight_decay: 0
      sched: {warmup_steps: 10, min_lr: 1e-6}
launch:
  image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/nova:1
  budget_usd: 100
"""

LITE_2 = """
display_name: not a key of the recipe itself
run:
  name: second
  model_type: amazon.nova-2-lite-v1:0:256k
  model_name_or_path: nova-lite-2/prod
  replicas: 4
  data_s3_path: s3://my-bucket/train.jsonl
  mlflow_tracking_uri: arn:aws:sagemaker:us-east-1:123456789012:mlflow-app/a
  mlflow_experiment_name: on
training_config:
  task_type: cpt
  max_length: 8192
  global_batch_size: 32
  trainer: {max_steps: 100, val_check_interval: 10}
  model: {hidden_dropout: 0.1}
  optim:
    lr: 2.5e-5
    sched: {warmup_steps: 10, min_lr: 1e-7}
"""

GROUP = "arn:aws:sagemaker:us-east-1:123456789012:model-package-group/ours"
PACKAGE = "arn:aws:sagemaker:us-east-1:123456789012:model-package/ours/3"


def requested(tmp_path, recipe=MICRO, launch=None, **changes):
    request = training_job_request(nova_plan(tmp_path, recipe, launch, **changes))
    check_shape("CreateTrainingJob", request)
    assert request_faults(request) == ()
    return request


def recipe_of(plan):
    (text,) = (content for uri, content in channel_documents(plan).items() if uri.endswith("/recipe/recipe.yaml"))
    return text.decode()


def test_a_named_model_is_a_hyperparameter_beside_the_place_of_the_recipe(tmp_path):
    plan = nova_plan(tmp_path, MICRO)
    assert training_job_request(plan)["HyperParameters"] == {
        "base_model": "nova-micro/prod",
        "sagemaker_recipe_local_path": "/opt/ml/input/data/recipe/recipe.yaml",
        "plan_hash": plan.hash,
    }


def test_a_checkpoint_in_s3_is_a_location(tmp_path):
    request = requested(tmp_path, name_or_path="s3://escrow/checkpoint/")
    assert request["HyperParameters"]["base_model_location"] == "s3://escrow/checkpoint/"
    assert "base_model" not in request["HyperParameters"]
    assert "ModelPackageConfig" not in request


def test_a_model_package_is_named_by_its_arn_with_the_group_of_the_result(tmp_path):
    request = requested(tmp_path, launch=cloud_launch(model_package_group=GROUP), name_or_path=PACKAGE)
    assert request["ModelPackageConfig"] == {"SourceModelPackageArn": PACKAGE, "ModelPackageGroupArn": GROUP}
    assert not {"base_model", "base_model_location"} & set(request["HyperParameters"])


def test_a_result_is_registered_in_the_group_of_the_recipe(tmp_path):
    request = requested(tmp_path, launch=cloud_launch(model_package_group=GROUP))
    assert request["ModelPackageConfig"] == {"ModelPackageGroupArn": GROUP}
    assert request["HyperParameters"]["base_model"] == "nova-micro/prod"


def test_a_model_package_without_a_group_is_a_fault_that_names_the_key(tmp_path):
    (fault,) = request_faults(training_job_request(nova_plan(tmp_path, MICRO, name_or_path=PACKAGE)))
    assert fault.message == "`ModelPackageConfig.ModelPackageGroupArn` is missing"
    assert fault.hint == "it comes from `run.model_package_group`"


def test_the_channels_are_the_recipe_and_the_data_on_every_machine(tmp_path):
    sources = (source("train", uploaded("a.jsonl")), source("validation", uploaded("b.jsonl", "b"), role="validation"))
    plan = nova_plan(tmp_path, MICRO, sources=sources)
    papers = f"s3://my-bucket/cpt/cloudcpt/plans/{plan.hash}"
    assert training_job_request(plan)["InputDataConfig"] == [
        {
            "ChannelName": name,
            "InputMode": "File",
            "DataSource": {
                "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
            },
        }
        for name, uri in (
            ("recipe", f"{papers}/recipe/"),
            ("train", sources[0].files[0].uri),
            ("validation", sources[1].files[0].uri),
        )
    ]


def test_several_files_are_listed_because_no_prefix_is_theirs_alone(tmp_path):
    files = tuple(in_place(f"s3://other/corpus/{name}", name) for name in ("a.jsonl", "b.jsonl"))
    request = requested(tmp_path, sources=(source("train", *files),))
    assert request["InputDataConfig"][1]["DataSource"]["S3DataSource"]["S3DataType"] == "ManifestFile"


def test_a_file_of_the_users_is_listed_because_others_may_begin_with_its_key(tmp_path):
    """As a prefix, `train.jsonl` is `train.jsonl.old` too, and no trainer of ours would notice."""
    plan = nova_plan(
        tmp_path, MICRO, sources=(source("train", in_place("s3://other/corpus/train.jsonl", "train.jsonl")),)
    )
    listed = training_job_request(plan)["InputDataConfig"][1]["DataSource"]["S3DataSource"]
    assert listed["S3DataType"] == "ManifestFile"
    assert json.loads(channel_documents(plan)[listed["S3Uri"]]) == [{"prefix": "s3://other/corpus/"}, "train.jsonl"]


def test_nothing_of_our_own_container_is_asked_for(tmp_path):
    request = requested(tmp_path)
    assert set(request["AlgorithmSpecification"]) == {"TrainingImage", "TrainingInputMode"}
    assert request["OutputDataConfig"] == {"S3OutputPath": "s3://my-bucket/cpt/output"}
    assert not {"TensorBoardOutputConfig", "CheckpointConfig", "MlflowConfig", "Environment"} & set(request)


def test_the_plan_lies_beside_the_recipe_for_the_record(tmp_path):
    plan = nova_plan(tmp_path, MICRO)
    papers = f"s3://my-bucket/cpt/cloudcpt/plans/{plan.hash}"
    assert list(channel_documents(plan)) == [f"{papers}/plan.json", f"{papers}/recipe/recipe.yaml"]


# --- the recipe ---------------------------------------------------------------------------------------------------

EXPECTED_MICRO = {
    "run": {
        "name": "My-Nova",
        "model_type": "amazon.nova-micro-v1:0:128k",
        "model_name_or_path": "nova-micro/prod",
        "replicas": 2,
        "data_s3_path": "",
        "output_s3_path": "",
        "mlflow_tracking_uri": "",
        "mlflow_experiment_name": "My-Nova",
        "mlflow_run_name": "My-Nova",
    },
    "training_config": {
        "max_length": 8192,
        "global_batch_size": 256,
        "trainer": {"max_epochs": 2},
        "model": {
            "hidden_dropout": 0.0,
            "attention_dropout": 0.0,
            "ffn_dropout": 0.0,
            "optim": {
                "lr": 1e-5,
                "name": "distributed_fused_adam",
                "adam_w_mode": True,
                "eps": 1e-6,
                "weight_decay": 0.0,
                "betas": [0.9, 0.999],
                "sched": {"warmup_steps": 10, "constant_steps": 0, "min_lr": 1e-6},
            },
        },
    },
}

EXPECTED_LITE_2 = {
    "run": {
        "name": "second",
        "model_type": "amazon.nova-2-lite-v1:0:256k",
        "model_name_or_path": "nova-lite-2/prod",
        "replicas": 4,
        "data_s3_path": "",
        "validation_data_s3_path": "",
        "output_s3_path": "",
        "mlflow_tracking_uri": "arn:aws:sagemaker:us-east-1:123456789012:mlflow-app/a",
        "mlflow_experiment_name": "on",
        "mlflow_run_name": "second",
    },
    "training_config": {
        "task_type": "cpt",
        "max_length": 8192,
        "global_batch_size": 32,
        "trainer": {"max_steps": 100, "val_check_interval": 10},
        "model": {"hidden_dropout": 0.1, "attention_dropout": 0.0},
        "optim": {
            "optimizer": "adam",
            "lr": 2.5e-5,
            "name": "distributed_fused_adam",
            "adam_w_mode": True,
            "eps": 1e-6,
            "weight_decay": 0.0,
            "adam_beta1": 0.9,
            "adam_beta2": 0.95,
            "sched": {"warmup_steps": 10, "constant_steps": 0, "min_lr": 1e-7},
        },
    },
}


@pytest.mark.parametrize(
    ("recipe", "expected"), [(MICRO, EXPECTED_MICRO), (LITE_2, EXPECTED_LITE_2)], ids=["generation 1", "generation 2"]
)
def test_the_recipe_is_complete_has_published_keys_only_and_no_paths_that_channels_replace(tmp_path, recipe, expected):
    text = recipe_of(nova_plan(tmp_path, recipe))
    by_1_1 = yaml.safe_load(text)
    by_1_2 = YAML(typ="safe").load(StringIO(text))
    assert by_1_1 == by_1_2 == expected
    assert repr(by_1_1) == repr(expected)  # and every value has its type: `2` is not `2.0`, `on` is text


def test_no_number_is_written_with_an_exponent(tmp_path):
    text = recipe_of(nova_plan(tmp_path, LITE_2))
    assert "lr: 0.000025\n" in text
    assert "min_lr: 0.0000001\n" in text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_plain_decimal_is_the_same_number_for_every_reader(number):
    written = plain(number)
    assert "e" not in written.lower()
    for read in (yaml.safe_load(written), YAML(typ="safe").load(written)):
        assert isinstance(read, float)
        assert math.copysign(1, read) == math.copysign(1, number)
        assert read == number
