"""CreateTrainingJob on the fake accepts a request at each limit of the service and refuses the first one beyond it."""

import copy

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from cloudcpt.fake.cloud import ACCOUNT_ID, FakeCloud

IMAGE = f"{ACCOUNT_ID}.dkr.ecr.us-east-1.amazonaws.com/cloudcpt@sha256:{'a' * 64}"
ROLE = f"arn:aws:iam::{ACCOUNT_ID}:role/cloudcpt"
PLAN = f"arn:aws:sagemaker:us-east-1:{ACCOUNT_ID}:training-plan/p"
BUCKET = "bucket"


def request(name: str = "job-1", **changes) -> dict:
    made = {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }
    return made | changes


def channel(name: str, **changes) -> dict:
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/in/", **changes.pop("source", {})}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, **changes}


def changed(path: str, value) -> dict:
    """Change one field of the usual request, by its dotted path."""
    made = copy.deepcopy(request())
    *folders, last = path.split(".")
    at = made
    for folder in folders:
        at = at.setdefault(folder, {})
    at[last] = value
    return made


@pytest.fixture
def cloud(fake_cloud: FakeCloud) -> FakeCloud:
    store = fake_cloud.store()
    store.create_bucket(Bucket=BUCKET)
    store.put_object(Bucket=BUCKET, Key="in/a.jsonl", Body=b"{}")
    for instance_type in ("ml.p5.48xlarge", "ml.p4d.24xlarge"):
        fake_cloud.quotas.set(instance_type, 100)
        fake_cloud.quotas.set(instance_type, 100, usage="spot training job usage")
    fake_cloud.quotas.set("ml.m5.xlarge", 100, usage="training warm pool usage")
    return fake_cloud


@pytest.fixture
def create(cloud: FakeCloud):
    """Call CreateTrainingJob without the few checks that boto3 makes itself."""
    return boto3.client("sagemaker", config=Config(parameter_validation=False)).create_training_job


def refusal(create, made: dict) -> str:
    with pytest.raises(ClientError) as caught:
        create(**made)
    error = caught.value.response["Error"]
    assert error["Code"] == "ValidationException", error
    return error["Message"]


def tags(count: int) -> list[dict]:
    return [{"Key": f"k{number}", "Value": "v"} for number in range(count)]


def pairs(count: int) -> dict[str, str]:
    return {f"k{number}": "v" for number in range(count)}


LIMITS: list[tuple[str, object, object]] = [
    ("TrainingJobName", "a" * 63, "a" * 64),
    ("TrainingJobName", "a-1", "a_1"),
    ("TrainingJobName", "a--1", "-a"),
    ("TrainingJobName", "1", "a-"),
    ("HyperParameters", pairs(100), pairs(101)),
    ("HyperParameters", {"k" * 256: "v"}, {"k" * 257: "v"}),
    ("HyperParameters", {"k": "v" * 2500}, {"k": "v" * 2501}),
    ("HyperParameters", {"k": "one line"}, {"k": "two\nlines"}),
    ("Environment", pairs(100), pairs(101)),
    ("Environment", {"k" * 512: "v"}, {"k" * 513: "v"}),
    ("Environment", {"_K1": "v" * 512}, {"_K1": "v" * 513}),
    ("Environment", {"K": "two\nlines"}, {"1K": "v"}),
    ("AlgorithmSpecification.TrainingInputMode", "FastFile", "Fast"),
    ("AlgorithmSpecification.TrainingImage", IMAGE, IMAGE.replace("cloudcpt", "c" * 200)),
    (
        "AlgorithmSpecification.MetricDefinitions",
        [{"Name": "n" * 255, "Regex": "r" * 500}] * 40,
        [{"Name": "n", "Regex": "r"}] * 41,
    ),
    ("AlgorithmSpecification.MetricDefinitions", [], [{"Name": "n" * 256, "Regex": "r"}]),
    ("AlgorithmSpecification.MetricDefinitions", [], [{"Name": "n", "Regex": "r" * 501}]),
    ("AlgorithmSpecification.ContainerEntrypoint", ["a" * 256] * 100, ["a"] * 101),
    ("AlgorithmSpecification.ContainerArguments", ["a"], ["a" * 257]),
    ("RoleArn", f"arn:aws:iam::{ACCOUNT_ID}:role/a/b+=,.@-_", f"arn:aws:iam::{ACCOUNT_ID}:user/abc"),
    ("InputDataConfig", [channel(f"c{n}") for n in range(20)], [channel(f"c{n}") for n in range(21)]),
    ("InputDataConfig", [channel("a" * 64)], [channel("a" * 65)]),
    ("InputDataConfig", [channel("A.b-c_1")], [channel("a b")]),
    ("InputDataConfig", [channel("a", source={"S3DataType": "Converse"})], [channel("a", source={"S3DataType": "X"})]),
    (
        "InputDataConfig",
        [channel("a", source={"S3DataDistributionType": "ShardedByS3Key"})],
        [channel("a", source={"S3DataDistributionType": "Sharded"})],
    ),
    ("InputDataConfig", [channel("a")], [channel("a", source={"S3Uri": f"s3://{BUCKET}/" + "k" * 1012})]),
    ("InputDataConfig", [channel("a")], [channel("a", source={"S3Uri": "/in/"})]),
    ("OutputDataConfig.S3OutputPath", f"s3://{BUCKET}/" + "k" * 1012, f"s3://{BUCKET}/" + "k" * 1013),
    ("OutputDataConfig.KmsKeyId", "k" * 2048, "k" * 2049),
    ("OutputDataConfig.CompressionType", "NONE", "None"),
    ("ResourceConfig.InstanceType", "ml.c5.xlarge", "ml.p9.48xlarge"),
    ("ResourceConfig.InstanceCount", 1, 0),
    ("ResourceConfig.VolumeSizeInGB", 1, 0),
    ("ResourceConfig.KeepAlivePeriodInSeconds", 21600, 21601),
    ("ResourceConfig.TrainingPlanArn", PLAN, "arn:aws:sagemaker:us-east-1:1:training-plan/p"),
    (
        "VpcConfig",
        {"SecurityGroupIds": ["sg-1"] * 5, "Subnets": ["subnet-1"] * 16},
        {"SecurityGroupIds": ["sg-1"] * 6, "Subnets": ["subnet-1"]},
    ),
    (
        "VpcConfig",
        {"SecurityGroupIds": ["s" * 32], "Subnets": ["s" * 32]},
        {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"] * 17},
    ),
    ("StoppingCondition.MaxRuntimeInSeconds", 28 * 86400, 28 * 86400 + 1),
    ("StoppingCondition.MaxPendingTimeInSeconds", 1800, 1799),
    ("StoppingCondition.MaxPendingTimeInSeconds", 2419200, 2419201),
    ("CheckpointConfig", {"S3Uri": "s3://b/k"}, {"S3Uri": "b/k"}),
    ("TensorBoardOutputConfig", {"S3OutputPath": "s3://b/k"}, {"S3OutputPath": "s3://b/" + "k" * 1024}),
    ("RetryStrategy", {"MaximumRetryAttempts": 1}, {"MaximumRetryAttempts": 0}),
    ("RetryStrategy", {"MaximumRetryAttempts": 30}, {"MaximumRetryAttempts": 31}),
    ("Tags", tags(50), tags(51)),
    ("Tags", [{"Key": "k" * 128, "Value": "v" * 256}], [{"Key": "k" * 129, "Value": "v"}]),
    ("Tags", [{"Key": "Größe 1_.:/=+-@", "Value": ""}], [{"Key": "k", "Value": "v" * 257}]),
    ("Tags", [{"Key": "k", "Value": "v"}], [{"Key": "k#", "Value": "v"}]),
    (
        "MlflowConfig",
        {"MlflowResourceArn": f"arn:aws:sagemaker:us-east-1:{ACCOUNT_ID}:mlflow-tracking-server/m"},
        {"MlflowResourceArn": "m"},
    ),
    (
        "MlflowConfig",
        {
            "MlflowResourceArn": f"arn:aws:sagemaker:us-east-1:{ACCOUNT_ID}:mlflow-tracking-server/m",
            "MlflowExperimentName": "e" * 256,
        },
        {
            "MlflowResourceArn": f"arn:aws:sagemaker:us-east-1:{ACCOUNT_ID}:mlflow-tracking-server/m",
            "MlflowRunName": "r" * 257,
        },
    ),
]
"""Path, the last value that is accepted, the first that is not. Source: reference/aws.md 5.1, written by hand from the
API reference, not read from the model that the fake reads."""


@pytest.mark.parametrize(("path", "accepted", "refused"), LIMITS, ids=[row[0] for row in LIMITS])
def test_each_value_is_accepted_at_its_limit_and_refused_beyond_it(create, path, accepted, refused):
    assert refusal(create, changed(path, refused))
    create(**changed(path, accepted))


P5 = {"InstanceType": "ml.p5.48xlarge", "InstanceCount": 1}
PREFERRED = [{"InstanceType": "ml.p5.48xlarge"}, {"InstanceType": "ml.p4d.24xlarge"}]
COUNTED = [{**one, "InstanceCount": 2} for one in PREFERRED]
FILE_SYSTEM = {
    "FileSystemId": "fs-12345678",
    "FileSystemType": "EFS",
    "FileSystemAccessMode": "ro",
    "DirectoryPath": "/d",
}
VPC = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
SPOT = {"EnableManagedSpotTraining": True}
WAIT = {"StoppingCondition": {"MaxRuntimeInSeconds": 100, "MaxWaitTimeInSeconds": 100}}
GROUP = {"InstanceGroupName": "g", "InstanceType": "ml.m5.xlarge", "InstanceCount": 1}

CROSS: dict[str, tuple[dict, dict]] = {
    "spot needs a wait time": (WAIT | SPOT, SPOT),
    "a wait time needs spot": (WAIT | SPOT, WAIT),
    "the wait covers the run time": (
        WAIT | SPOT,
        SPOT | {"StoppingCondition": {"MaxRuntimeInSeconds": 100, "MaxWaitTimeInSeconds": 99}},
    ),
    "no warm pool of spot instances": (
        {"ResourceConfig": {**request()["ResourceConfig"], "KeepAlivePeriodInSeconds": 60}},
        WAIT | SPOT | {"ResourceConfig": {**request()["ResourceConfig"], "KeepAlivePeriodInSeconds": 60}},
    ),
    "no warm pool of instance groups": (
        {"ResourceConfig": {"InstanceGroups": [GROUP], "VolumeSizeInGB": 1}},
        {"ResourceConfig": {"InstanceGroups": [GROUP], "VolumeSizeInGB": 1, "KeepAlivePeriodInSeconds": 60}},
    ),
    "no volume key where the disks are local": (
        {"ResourceConfig": {**request()["ResourceConfig"], "VolumeKmsKeyId": "k"}},
        {"ResourceConfig": {**P5, "VolumeKmsKeyId": "k"}},
    ),
    "a volume where there are no local disks": (
        {"ResourceConfig": P5},
        {"ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1}},
    ),
    "a type or preferences": (
        {"ResourceConfig": {"InstancePreferences": COUNTED}},
        {"ResourceConfig": {**P5, "InstancePreferences": PREFERRED}},
    ),
    "no preferences with spot": (
        {"ResourceConfig": {"InstancePreferences": PREFERRED, "InstanceCount": 1}},
        WAIT | SPOT | {"ResourceConfig": {"InstancePreferences": PREFERRED, "InstanceCount": 1}},
    ),
    "one count or one per preference": (
        {"ResourceConfig": {"InstancePreferences": COUNTED}},
        {"ResourceConfig": {"InstancePreferences": [COUNTED[0], PREFERRED[1]]}},
    ),
    "a count per preference or for all": (
        {"ResourceConfig": {"InstancePreferences": COUNTED}},
        {"ResourceConfig": {"InstancePreferences": COUNTED, "InstanceCount": 2}},
    ),
    "a type is preferred once": (
        {"ResourceConfig": {"InstancePreferences": PREFERRED, "InstanceCount": 1}},
        {"ResourceConfig": {"InstancePreferences": PREFERRED[:1] * 2, "InstanceCount": 1}},
    ),
    "five preferences": (
        {"ResourceConfig": {"InstancePreferences": PREFERRED, "InstanceCount": 1}},
        {"ResourceConfig": {"InstancePreferences": [*PREFERRED, *PREFERRED, *PREFERRED], "InstanceCount": 1}},
    ),
    "plans per preference or for all": (
        {"ResourceConfig": {"InstancePreferences": [{**COUNTED[0], "TrainingPlanArns": [PLAN]}]}},
        {
            "ResourceConfig": {
                "InstancePreferences": [{**COUNTED[0], "TrainingPlanArns": [PLAN]}],
                "TrainingPlanArn": PLAN,
            }
        },
    ),
    "no training plan with spot": (
        {"ResourceConfig": {**P5, "TrainingPlanArn": PLAN}},
        WAIT | SPOT | {"ResourceConfig": {**P5, "TrainingPlanArn": PLAN}},
    ),
    "the selected type is read-only": (
        {"ResourceConfig": P5},
        {"ResourceConfig": {**P5, "SelectedInstanceType": "ml.p5.48xlarge"}},
    ),
    "an image or an algorithm": (
        {},
        {"AlgorithmSpecification": {"TrainingImage": IMAGE, "AlgorithmName": "a", "TrainingInputMode": "File"}},
    ),
    "an image in the region": (
        {},
        {
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE.replace("us-east-1", "eu-west-1"),
                "TrainingInputMode": "File",
            }
        },
    ),
    "a channel name is used once": (
        {"InputDataConfig": [channel("a"), channel("b")]},
        {"InputDataConfig": [channel("a"), channel("a")]},
    ),
    "a file system needs a network": (
        {
            "InputDataConfig": [{"ChannelName": "a", "DataSource": {"FileSystemDataSource": FILE_SYSTEM}}],
            "VpcConfig": VPC,
        },
        {"InputDataConfig": [{"ChannelName": "a", "DataSource": {"FileSystemDataSource": FILE_SYSTEM}}]},
    ),
    "compression is for pipes": (
        {"InputDataConfig": [channel("a", CompressionType="Gzip", InputMode="Pipe")]},
        {"InputDataConfig": [channel("a", CompressionType="Gzip")]},
    ),
    "an augmented manifest is for pipes": (
        {"InputDataConfig": [channel("a", source={"S3DataType": "AugmentedManifestFile"}, InputMode="Pipe")]},
        {"InputDataConfig": [channel("a", source={"S3DataType": "AugmentedManifestFile"})]},
    ),
    "a channel has one source": (
        {"InputDataConfig": [channel("a")]},
        {"InputDataConfig": [{"ChannelName": "a", "DataSource": {}}]},
    ),
    "a tag key is used once": ({"Tags": tags(2)}, {"Tags": tags(1) * 2}),
    "no tag key of AWS": ({"Tags": tags(1)}, {"Tags": [{"Key": "aws:k", "Value": "v"}]}),
    "something to run on": ({}, {"ResourceConfig": {"VolumeSizeInGB": 1}}),
    "serverless is not played": (
        {},
        {
            "ServerlessJobConfig": {
                "BaseModelArn": "arn:aws:sagemaker:us-east-1:aws:hub-content/h/Model/m",
                "JobType": "FineTuning",
            }
        },
    ),
    "input that is there": (
        {"InputDataConfig": [channel("a")]},
        {"InputDataConfig": [channel("a", source={"S3Uri": f"s3://{BUCKET}/nothing"})]},
    ),
    "a bucket that is there": (
        {"InputDataConfig": [channel("a")]},
        {"InputDataConfig": [channel("a", source={"S3Uri": "s3://no-bucket/in"})]},
    ),
}


@pytest.mark.parametrize(("accepted", "refused"), CROSS.values(), ids=CROSS)
def test_fields_that_contradict_each_other_are_refused(create, accepted, refused):
    assert refusal(create, request(**refused))
    create(**request(**accepted))


def test_all_values_outside_their_limits_are_named_in_one_answer(create):
    text = refusal(create, request("bad_name", HyperParameters={"k": "v" * 3000}, InputDataConfig=[channel("a b")]))
    assert text.startswith("3 validation errors detected: Value 'bad_name' at 'trainingJobName' failed to satisfy")
    assert "Value 'a b' at 'inputDataConfig.1.member.channelName'" in text
    assert "Map value must satisfy constraint: [Member must have length less than or equal to 2500]" in text


def test_a_role_of_another_account_cannot_be_passed(create):
    with pytest.raises(ClientError, match=r"AccessDeniedException.*Cross-account"):
        create(**request(RoleArn="arn:aws:iam::999999999999:role/cloudcpt"))


def test_a_value_of_the_wrong_type_is_a_serialization_error(create):
    with pytest.raises(ClientError, match=r"SerializationException.*instanceCount is not a integer"):
        create(**changed("ResourceConfig.InstanceCount", "1"))


def test_a_missing_member_is_named(create):
    made = request()
    del made["RoleArn"]
    assert "Value null at 'roleArn' failed to satisfy constraint: Member must not be null" in refusal(create, made)
