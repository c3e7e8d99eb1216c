"""One plan, one request: what each field of the plan becomes, and that the fake service takes it."""

import json
import re
from dataclasses import replace

import pytest

from cloudcpt.errors import PlanError
from cloudcpt.fake.job_rules import check_rules
from cloudcpt.fake.shapes import check_shape
from cloudcpt.jobs.limits import request_faults
from cloudcpt.jobs.request import training_job_request
from cloudcpt.plan.launch import Mlflow
from cloudcpt.plan.plan import Checkpoints
from cloudcpt.wire import Progress, evaluation_line
from tests.jobs.cloud_plans import IMAGE, cloud_launch, cloud_plan, source, uploaded

TRAINING_PLAN = "arn:aws:sagemaker:us-east-1:123456789012:training-plan/p5-in-march"


def require_accepted(request):
    """Ask the fake service, which judges by a reading of its own, and then our limits."""
    check_shape("CreateTrainingJob", request)
    check_rules(request, region="us-east-1", account_id="123456789012")
    assert request_faults(request) == ()


def launched(tmp_path, **changes):
    request = training_job_request(cloud_plan(tmp_path, cloud_launch(**changes)))
    require_accepted(request)
    return request


def test_the_least_request_has_these_members_and_no_others(tmp_path):
    plan = cloud_plan(tmp_path)
    request = training_job_request(plan)
    require_accepted(request)
    papers = f"s3://my-bucket/cpt/cloudcpt/plans/{plan.hash}"
    metrics = request["AlgorithmSpecification"].pop("MetricDefinitions")
    assert metrics
    assert request == {
        "TrainingJobName": plan.job_name,
        "RoleArn": "arn:aws:iam::123456789012:role/cloudcpt",
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "EnableSageMakerMetricsTimeSeries": True,
        },
        "HyperParameters": {"plan_hash": plan.hash},
        "InputDataConfig": [
            {
                "ChannelName": name,
                "InputMode": "File",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "ManifestFile",
                        "S3Uri": f"{papers}/{name}.manifest",
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
            for name in ("plan", "train", "model")
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://my-bucket/cpt/output", "CompressionType": "NONE"},
        "TensorBoardOutputConfig": {"S3OutputPath": "s3://my-bucket/cpt/output"},
        "ResourceConfig": {"InstanceType": "ml.p5.48xlarge", "InstanceCount": 2},
        "StoppingCondition": {"MaxRuntimeInSeconds": 7200},
        "EnableNetworkIsolation": True,
        "EnableInterContainerTrafficEncryption": False,
        "EnableManagedSpotTraining": False,
        "Tags": [
            {"Key": "cloudcpt:plan-hash", "Value": plan.hash},
            {"Key": "cloudcpt:run", "Value": "demo"},
            {"Key": "cloudcpt:model", "Value": "llama-3.1-8b"},
            {"Key": "cloudcpt:made-by", "Value": "cloudcpt 0"},
        ],
    }


def test_the_same_plan_is_the_same_request(tmp_path):
    assert training_job_request(cloud_plan(tmp_path)) == training_job_request(cloud_plan(tmp_path))


def test_spot_waits_as_long_as_the_plan_says(tmp_path):
    request = launched(tmp_path, spot=True, max_wait_s=90_000)
    assert request["EnableManagedSpotTraining"] is True
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 7200, "MaxWaitTimeInSeconds": 90_000}


def test_waiting_for_capacity_ends_when_the_plan_says(tmp_path):
    request = launched(tmp_path, max_pending_s=3600)
    assert request["StoppingCondition"]["MaxPendingTimeInSeconds"] == 3600


def test_a_plan_without_a_time_limit_may_run_as_long_as_the_service_allows(tmp_path):
    request = training_job_request(cloud_plan(tmp_path, max_runtime_s=0))
    require_accepted(request)
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 28 * 24 * 3600}


def test_a_warm_pool_and_a_training_plan_are_part_of_the_machines(tmp_path):
    resources = launched(tmp_path, keep_alive_s=1800, training_plan_arn=TRAINING_PLAN)["ResourceConfig"]
    assert (resources["KeepAlivePeriodInSeconds"], resources["TrainingPlanArn"]) == (1800, TRAINING_PLAN)


def test_preferred_machines_replace_the_one_type_and_share_one_count(tmp_path):
    resources = launched(tmp_path, instance_preferences=("ml.p5.48xlarge", "ml.p5en.48xlarge"))["ResourceConfig"]
    assert resources == {
        "InstancePreferences": [{"InstanceType": "ml.p5.48xlarge"}, {"InstanceType": "ml.p5en.48xlarge"}],
        "InstanceCount": 2,
    }


def test_a_volume_has_a_size_and_a_key_where_there_is_one(tmp_path):
    plan = cloud_plan(tmp_path, cloud_launch(volume_gb=200, volume_kms_key="alias/disk"))
    request = training_job_request(replace(plan, world=replace(plan.world, instance_type="ml.m5.4xlarge")))
    require_accepted(request)
    assert request["ResourceConfig"]["VolumeSizeInGB"] == 200
    assert request["ResourceConfig"]["VolumeKmsKeyId"] == "alias/disk"


def test_a_network_of_the_user_is_named_with_its_security_groups(tmp_path):
    request = launched(tmp_path, subnets=("subnet-1", "subnet-2"), security_groups=("sg-1",), encrypt_traffic=True)
    assert request["VpcConfig"] == {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1", "subnet-2"]}
    assert request["EnableInterContainerTrafficEncryption"] is True


def test_a_subnet_without_a_security_group_is_a_fault_of_the_request(tmp_path):
    request = training_job_request(cloud_plan(tmp_path, cloud_launch(subnets=("subnet-1",))))
    (fault,) = request_faults(request)
    assert fault.message == "`VpcConfig.SecurityGroupIds` has 0 entries, allowed are 1 to 5"
    assert fault.hint == "it comes from `launch.security_groups`"


def test_results_are_encrypted_with_the_key_that_the_user_names(tmp_path):
    assert launched(tmp_path, output_kms_key="alias/results")["OutputDataConfig"]["KmsKeyId"] == "alias/results"


def test_the_network_is_open_only_when_the_user_says_so(tmp_path):
    assert launched(tmp_path, network_isolation=False)["EnableNetworkIsolation"] is False


def test_errors_of_the_service_are_retried_as_often_as_the_plan_says(tmp_path):
    assert launched(tmp_path, retry_attempts=3)["RetryStrategy"] == {"MaximumRetryAttempts": 3}
    assert "RetryStrategy" not in launched(tmp_path)


def test_mlflow_gets_the_names_that_the_recipe_has(tmp_path):
    arn = "arn:aws:sagemaker:us-east-1:123456789012:mlflow-tracking-server/ours"
    whole = launched(tmp_path, mlflow=Mlflow(tracking_arn=arn, experiment="cpt", run="first"))
    assert whole["MlflowConfig"] == {
        "MlflowResourceArn": arn,
        "MlflowExperimentName": "cpt",
        "MlflowRunName": "first",
    }
    bare = launched(tmp_path, mlflow=Mlflow(tracking_arn=arn, experiment="", run=""))
    assert bare["MlflowConfig"] == {"MlflowResourceArn": arn}


def test_the_tags_of_the_user_follow_ours(tmp_path):
    tags = launched(tmp_path, tags=(("team", "search"), ("cost centre", "4711")))["Tags"]
    assert tags[4:] == [{"Key": "team", "Value": "search"}, {"Key": "cost centre", "Value": "4711"}]


def test_a_plan_that_is_no_job_yet_is_refused_with_everything_that_is_missing(tmp_path):
    plan = cloud_plan(tmp_path, cloud_launch(image="", role_arn=""))
    with pytest.raises(PlanError) as caught:
        training_job_request(replace(plan, sources=(source("train"),), model=replace(plan.model, files=())))
    assert [found.code for found in caught.value.diagnostics] == ["CPT580"] * 4


def test_a_rehearsal_in_the_cloud_has_no_model_channel(tmp_path):
    plan = cloud_plan(tmp_path)
    request = training_job_request(replace(plan, model=replace(plan.model, files=(), stand_in=True)))
    assert [channel["ChannelName"] for channel in request["InputDataConfig"]] == ["plan", "train"]


def test_every_kind_of_dataset_has_a_channel(tmp_path):
    sources = (
        source("train", uploaded("a.jsonl")),
        source("replay-news", uploaded("b.jsonl", "b"), role="replay"),
        source("validation", uploaded("c.jsonl", "c"), role="validation"),
        source("general-validation", uploaded("d.jsonl", "d"), role="general_validation"),
    )
    request = training_job_request(cloud_plan(tmp_path, sources=sources))
    require_accepted(request)
    names = [channel["ChannelName"] for channel in request["InputDataConfig"]]
    assert names == ["plan", "train", "replay-news", "validation", "general-validation", "model"]


def test_a_request_is_plain_json(tmp_path):
    request = launched(tmp_path, tags=(("team", "search"),), instance_preferences=("ml.p5.48xlarge",))
    assert json.loads(json.dumps(request)) == request


# --- metrics ------------------------------------------------------------------------------------------------------


STEP = Progress(
    step=120,
    loss=2.25,
    tokens_per_s=81234.5,
    total_steps=500,
    lr=1e-5,
    grad_norm=0.75,
    tokens=7_864_320,
    eta_s=3600.0,
)
COUNTS = {"train:spikes": 0, "train:skipped": 0}
LINES = (
    (
        STEP.line(),
        {
            "train:loss": 2.25,
            "train:perplexity": 9.48774,
            "train:tokens_per_s": 81234.5,
            "train:lr": 1e-5,
            "train:grad_norm": 0.75,
            **COUNTS,
        },
    ),
    (
        replace(STEP, loss=-0.5, lr=2.5e-12, grad_norm=float("inf"), mfu_full=0.61, host_memory_bytes=7e9).line(),
        {
            "train:loss": -0.5,
            "train:perplexity": 0.606531,
            "train:tokens_per_s": 81234.5,
            "train:lr": 2.5e-12,
            "train:grad_norm": float("inf"),
            "train:mfu_full": 0.61,
            **COUNTS,
        },
    ),
    (evaluation_line("domain", 0, 3.5, 33.1155), {"eval:domain_loss": 3.5, "eval:domain_perplexity": 33.1155}),
    (evaluation_line("general", 500, -1e-3, 1e12), {"eval:general_loss": -0.001, "eval:general_perplexity": 1e12}),
    ("1234 files verified", {}),
    ("eval|unknown|3|1.0|2.0", {}),
)


def metrics(tmp_path):
    definitions = training_job_request(cloud_plan(tmp_path))["AlgorithmSpecification"]["MetricDefinitions"]
    return {one["Name"]: one["Regex"] for one in definitions}


@pytest.mark.parametrize(("line", "numbers"), LINES, ids=[line for line, _ in LINES])
def test_the_service_reads_exactly_these_numbers_from_a_line_of_the_log(tmp_path, line, numbers):
    found = {name: re.search(regex, line) for name, regex in metrics(tmp_path).items()}
    assert {name: float(match[1]) for name, match in found.items() if match} == numbers


def test_each_metric_is_one_group_of_a_short_expression(tmp_path):
    for regex in metrics(tmp_path).values():
        assert re.compile(regex).groups == 1
        assert len(regex) <= 500


@pytest.mark.parametrize(
    ("checkpoints", "is_asked_for"),
    [
        ({"every_steps": 0, "keep_last": 0, "recovery_every_steps": 0}, False),
        ({"every_steps": 500, "keep_last": 2, "recovery_every_steps": 0}, True),
        ({"every_steps": 0, "keep_last": 0, "recovery_every_steps": 100}, True),
    ],
)
def test_the_checkpoint_folder_is_copied_away_only_for_a_job_that_writes_into_it(tmp_path, checkpoints, is_asked_for):
    plan = cloud_plan(tmp_path, checkpoints=Checkpoints(**checkpoints))
    request = training_job_request(plan)
    place = {"S3Uri": f"s3://my-bucket/cpt/output/{plan.job_name}/checkpoints", "LocalPath": "/opt/ml/checkpoints"}
    assert request.get("CheckpointConfig") == (place if is_asked_for else None)
    require_accepted(request)
