"""The limits of CreateTrainingJob: the table is the service's model, each row and rule takes its last good value and
refuses its first bad one."""

import copy
import re

import pytest
from botocore.loaders import Loader
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.fake.front import Refusal
from cloudcpt.fake.shapes import check_shape
from cloudcpt.jobs.limit_rules import RULES
from cloudcpt.jobs.limit_table import LIMITS, MODEL, Count, Flag, Members, Text, Whole
from cloudcpt.jobs.limits import compiled, request_faults
from cloudcpt.plan.instances import instances

SHAPES = Loader().load_service_model("sagemaker", "service-2")["shapes"]
ROLE = "arn:aws:iam::123456789012:role/r"
TRAINING_PLAN = "arn:aws:sagemaker:us-east-1:123456789012:training-plan/p"
GROUP = "arn:aws:sagemaker:us-east-1:123456789012:model-package-group/g"


def small(**changes):
    """The smallest request that is taken."""
    request = {
        "TrainingJobName": "job",
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "ResourceConfig": {"InstanceType": "ml.p5.48xlarge", "InstanceCount": 1},
    }
    return copy.deepcopy(request) | changes


def codes(request):
    return [found.code for found in request_faults(request)]


def test_the_smallest_request_is_taken():
    assert request_faults(small()) == ()


# --- the table is the model ---------------------------------------------------------------------------------------


def shape_of(row):
    """Find the model's shape of a row by walking along its path."""
    shape = SHAPES["CreateTrainingJobRequest"]
    for name, part in re.findall(r"([A-Za-z0-9]+)|(\[\]|\{\}|\{key\})", row):
        if name:
            shape = SHAPES[shape["members"][name]["shape"]]
        else:
            shape = SHAPES[shape[{"[]": "member", "{}": "value", "{key}": "key"}[part]]["shape"]]
    return shape


KINDS = {
    Text: {"string"},
    Whole: {"integer", "long"},
    Flag: {"boolean"},
    Count: {"list", "map"},
    Members: {"structure"},
}
FROM_THE_MODEL = [row for row, limit in LIMITS.items() if limit.source == MODEL]
STRICTER = [row for row, limit in LIMITS.items() if limit.source != MODEL]


@pytest.mark.parametrize("row", LIMITS)
def test_a_row_is_of_the_kind_that_the_model_says(row):
    assert shape_of(row)["type"] in KINDS[type(LIMITS[row])]


@pytest.mark.parametrize("row", FROM_THE_MODEL)
def test_a_row_of_the_model_says_what_the_model_says(row):
    shape, limit = shape_of(row), LIMITS[row]
    if isinstance(limit, Members):
        assert set(limit.required) == set(shape.get("required", ()))
    elif isinstance(limit, Count):
        assert (limit.least, limit.most, limit.is_map) == (shape.get("min", 0), shape["max"], shape["type"] == "map")
    elif isinstance(limit, Whole):
        assert (limit.least, limit.most) == (shape.get("min"), shape.get("max"))
    elif isinstance(limit, Text):
        assert (limit.least, limit.most) == (shape.get("min", 0), shape.get("max"))
        assert limit.pattern == shape.get("pattern", "")
        assert list(limit.choices) == shape.get("enum", [])


@pytest.mark.parametrize("row", STRICTER)
def test_a_row_with_a_source_of_its_own_is_not_looser_than_the_model(row):
    shape, limit = shape_of(row), LIMITS[row]
    if isinstance(limit, Members):
        assert set(limit.required) > set(shape["required"])
    elif isinstance(limit, Whole):
        assert limit.least >= shape["min"]
        assert (limit.least, limit.most) != (shape["min"], shape.get("max"))
    else:
        assert isinstance(limit, Text)
        assert limit.pattern != shape.get("pattern")
        assert (limit.least, limit.most) == (shape.get("min", 0), shape.get("max"))


def test_these_rows_are_stricter_and_no_others():
    assert set(STRICTER) == {
        "",
        "CheckpointConfig.S3Uri",
        "InputDataConfig[].DataSource.S3DataSource.S3Uri",
        "OutputDataConfig.S3OutputPath",
        "ResourceConfig.InstanceCount",
        "ResourceConfig.InstanceGroups[].InstanceCount",
        "ResourceConfig.InstanceGroups[].InstanceType",
        "ResourceConfig.InstancePreferences[].InstanceCount",
        "ResourceConfig.InstancePreferences[].InstanceType",
        "ResourceConfig.InstanceType",
        "ResourceConfig.VolumeSizeInGB",
        "StoppingCondition.MaxRuntimeInSeconds",
        "TensorBoardOutputConfig.S3OutputPath",
    }


def test_every_instance_type_of_the_model_has_the_form_and_ours_are_among_them():
    choices = SHAPES["TrainingInstanceType"]["enum"]
    pattern = compiled(LIMITS["ResourceConfig.InstanceType"].pattern)
    assert [name for name in choices if not pattern.fullmatch(name)] == []
    assert [name for name in instances() if name not in choices] == []


def test_nothing_of_the_model_is_forgotten_but_what_our_jobs_have_no_use_for():
    members = {row.partition(".")[0].partition("[")[0].partition("{")[0] for row in LIMITS} - {""}
    assert set(SHAPES["CreateTrainingJobRequest"]["members"]) - members == {
        "DebugHookConfig",
        "DebugRuleConfigurations",
        "ExperimentConfig",
        "ProfilerConfig",
        "ProfilerRuleConfigurations",
        "ServerlessJobConfig",
    }


# --- each row, at its edges ---------------------------------------------------------------------------------------

GOOD = {
    "TrainingJobName": "j",
    "RoleArn": "arn:aws:iam::123456789012:role/r",
    "AlgorithmSpecification.AlgorithmName": f"arn:aws:sagemaker:{'r' * 70}:123456789012:algorithm/a",
    "AlgorithmSpecification.MetricDefinitions[].Name": "n",
    "AlgorithmSpecification.MetricDefinitions[].Regex": "r",
    "InputDataConfig[].ChannelName": "c",
    "InputDataConfig[].DataSource.S3DataSource.S3Uri": "s3://abc/",
    "InputDataConfig[].DataSource.S3DataSource.InstanceGroupNames[]": "g",
    "InputDataConfig[].DataSource.FileSystemDataSource.FileSystemId": "fs-01234567",
    "OutputDataConfig.S3OutputPath": "s3://abc/",
    "ResourceConfig.InstanceType": "ml.p5.48xlarge",
    "ResourceConfig.TrainingPlanArn": TRAINING_PLAN,
    "ResourceConfig.InstanceGroups[].InstanceType": "ml.p5.48xlarge",
    "ResourceConfig.InstanceGroups[].InstanceGroupName": "g",
    "ResourceConfig.InstancePreferences[].InstanceType": "ml.p5.48xlarge",
    "ResourceConfig.InstancePreferences[].TrainingPlanArns[]": TRAINING_PLAN,
    "VpcConfig.SecurityGroupIds[]": "s",
    "VpcConfig.Subnets[]": "s",
    "Environment{key}": "E",
    "Tags[].Key": "k",
    "CheckpointConfig.S3Uri": "s3://abc/",
    "TensorBoardOutputConfig.S3OutputPath": "s3://abc/",
    "MlflowConfig.MlflowResourceArn": "arn:aws:sagemaker:us-east-1:123456789012:mlflow-app/a",
    "MlflowConfig.MlflowExperimentName": "e",
    "MlflowConfig.MlflowRunName": "r",
    "ModelPackageConfig.ModelPackageGroupArn": GROUP,
    "ModelPackageConfig.SourceModelPackageArn": "arn:aws:sagemaker:us-east-1:123456789012:model-package/p",
}
"""A good text for each row that does not take every text; letters behind it leave it good."""


def with_value(row, value):
    """Build the part of a request that leads to a row, with a value there."""
    whole: object = value
    for part in reversed(re.findall(r"[A-Za-z0-9]+|\[\]|\{\}|\{key\}", row)):
        if part == "[]":
            whole = [whole]
        elif part == "{}":
            whole = {"NAME": whole}
        elif part == "{key}":
            whole = {whole: "value"}
        else:
            whole = {part: whole}
    return whole


def broken_rows(row, value, kinds=("CPT422", "CPT423", "CPT424", "CPT425", "CPT426")):
    """Say which kinds of faults the member at the end of a row has; the others of the request do not matter."""
    path = row.replace("[]", "[0]").replace("{key}", "{").replace("{}", "{NAME}")
    return {
        found.code
        for found in request_faults(with_value(row, value))
        if found.code in kinds and found.message.startswith(f"`{path}")
    }


TEXTS = [row for row, limit in LIMITS.items() if isinstance(limit, Text)]


@pytest.mark.parametrize("row", [row for row in TEXTS if LIMITS[row].most])
def test_a_text_of_the_greatest_length_is_taken_and_one_longer_is_not(row):
    limit, good = LIMITS[row], GOOD.get(row, "")
    assert broken_rows(row, good.ljust(limit.most, "a")) == set()
    assert "CPT422" in broken_rows(row, good.ljust(limit.most + 1, "a"))


@pytest.mark.parametrize("row", [row for row in TEXTS if LIMITS[row].least])
def test_a_text_of_the_least_length_is_taken_and_one_shorter_is_not(row):
    limit, good = LIMITS[row], GOOD[row]
    assert broken_rows(row, good.ljust(limit.least, "a")) == set()
    assert "CPT422" in broken_rows(row, good[: limit.least - 1])


@pytest.mark.parametrize("row", [row for row in TEXTS if LIMITS[row].choices])
def test_each_choice_is_taken_and_nothing_else(row):
    for choice in LIMITS[row].choices:
        assert broken_rows(row, choice) == set()
    for other in ("", "other", LIMITS[row].choices[0].swapcase()):
        assert broken_rows(row, other) == {"CPT424"}


NUMBERS = [row for row, limit in LIMITS.items() if isinstance(limit, Whole)]


@pytest.mark.parametrize("row", [row for row in NUMBERS if LIMITS[row].most is not None])
def test_the_greatest_number_is_taken_and_one_more_is_not(row):
    assert broken_rows(row, LIMITS[row].most) == set()
    assert broken_rows(row, LIMITS[row].most + 1) == {"CPT425"}


@pytest.mark.parametrize("row", [row for row in NUMBERS if LIMITS[row].least is not None])
def test_the_least_number_is_taken_and_one_less_is_not(row):
    assert broken_rows(row, LIMITS[row].least) == set()
    assert broken_rows(row, LIMITS[row].least - 1) == {"CPT425"}


def entries(row, amount):
    return {f"K{at}": "v" for at in range(amount)} if LIMITS[row].is_map else [{}] * amount


COUNTS = [row for row, limit in LIMITS.items() if isinstance(limit, Count)]


@pytest.mark.parametrize("row", COUNTS)
def test_as_many_entries_as_allowed_are_taken_and_one_more_is_not(row):
    assert "CPT426" not in broken_rows(row, entries(row, LIMITS[row].most), kinds=("CPT426",))
    assert "CPT426" in broken_rows(row, entries(row, LIMITS[row].most + 1), kinds=("CPT426",))


@pytest.mark.parametrize("row", [row for row in COUNTS if LIMITS[row].least])
def test_fewer_entries_than_needed_are_not_taken(row):
    assert broken_rows(row, entries(row, LIMITS[row].least - 1)) == {"CPT426"}


@pytest.mark.parametrize("row", [row for row, limit in LIMITS.items() if isinstance(limit, Members) and limit.required])
def test_each_required_member_is_missed_by_name(row):
    found = {one.message for one in request_faults(with_value(row, {}) if row else {}) if one.code == "CPT427"}
    for name in LIMITS[row].required:
        path = f"{row}.{name}".lstrip(".").replace("[]", "[0]")
        assert f"`{path}` is missing" in found


FORMS = [
    ("TrainingJobName", ["a-b", "a--b", "9"], ["-a", "a-", "a_b", "a b", "ä", "a\n"]),
    ("RoleArn", ["arn:aws-cn:iam::123456789012:role/a/b"], ["arn:aws:iam::123:role/abcdefg", "r" * 20]),
    ("HyperParameters{}", ["any thing: {}"], ["two\nlines", "two\u2028lines"]),
    ("Environment{key}", ["_A9"], ["9A", "A-B", "Ä"]),
    ("Environment{}", ["two\nlines"], []),
    ("InputDataConfig[].ChannelName", ["a.b-c_D"], ["a b", "a/b", "ä"]),
    ("InputDataConfig[].DataSource.S3DataSource.S3Uri", ["s3://a.b-c", "s3://abc/k"], ["https://abc/k", "s3://A/k"]),
    ("OutputDataConfig.S3OutputPath", ["s3://abc"], ["abc/def", "s3://", "s3://ab", "s3://abc/two\nlines"]),
    ("OutputDataConfig.KmsKeyId", ["alias/a", "arn:aws:kms:us-east-1:1:key/1", ""], ["a key", "a.b"]),
    ("ResourceConfig.InstanceType", ["ml.p6-b200.48xlarge"], ["p5.48xlarge", "ml.p5", ""]),
    ("ResourceConfig.TrainingPlanArn", [TRAINING_PLAN], [TRAINING_PLAN.replace("training-plan", "training-job")]),
    ("VpcConfig.Subnets[]", ["subnet-0a"], ["subnet_0a", "subnet 0a"]),
    ("Tags[].Key", ["Kosten Stelle", "größe", "a:b/c=d+e-f@g_h.i", "٣", "a\u2028b"], ["a,b", "a#b", "a\nb"]),
    ("Tags[].Value", ["", "x"], ["a;b", "a\u0301"]),
    ("ModelPackageConfig.ModelPackageGroupArn", [GROUP], [GROUP.replace("-group", "")]),
]


@pytest.mark.parametrize(("row", "good", "bad"), FORMS, ids=[row for row, _, _ in FORMS])
def test_a_text_has_the_form_that_the_row_wants(row, good, bad):
    for value in good:
        assert "CPT423" not in broken_rows(row, value), value
    for value in bad:
        assert "CPT423" in broken_rows(row, value), value


@pytest.mark.parametrize("value", ["1", 1.5, True, None, [1]])
def test_a_number_is_a_whole_number(value):
    (found,) = request_faults(small(RetryStrategy={"MaximumRetryAttempts": value}))
    assert found.code == "CPT427"
    assert found.message.startswith("`RetryStrategy.MaximumRetryAttempts` is ")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"HyperParameters": {"a": 1}}, "HyperParameters{a}"),
        ({"Tags": {"a": "b"}}, "Tags"),
        ({"HyperParameters": []}, "HyperParameters"),
        ({"EnableNetworkIsolation": 1}, "EnableNetworkIsolation"),
        ({"OutputDataConfig": "s3://abc"}, "OutputDataConfig"),
        ({"ServerlessJobConfig": {}}, "ServerlessJobConfig"),
        ({"VpcConfig": {"Subnets": ["a"], "SecurityGroupIds": ["b"], "Vpc": "c"}}, "VpcConfig.Vpc"),
    ],
)
def test_what_does_not_have_the_shape_is_named_by_its_path(change, path):
    (found,) = request_faults(small(**change))
    assert found.code == "CPT427"
    assert found.message.startswith(f"`{path}` is ")


def test_everything_wrong_is_reported_at_once_with_the_place_in_the_request():
    request = small(
        TrainingJobName="a" * 64,
        Tags=[{"Key": "a", "Value": "b"}, {"Key": "aws:c", "Value": "d" * 257}],
        EnableManagedSpotTraining=True,
    )
    request["ResourceConfig"]["InstanceCount"] = 0
    found = [(one.code, one.message.partition("` ")[0].lstrip("`")) for one in request_faults(request)]
    assert sorted(found) == [
        ("CPT422", "Tags[1].Value"),
        ("CPT422", "TrainingJobName"),
        ("CPT423", "TrainingJobName"),
        ("CPT425", "ResourceConfig.InstanceCount"),
        ("CPT428", "StoppingCondition.MaxWaitTimeInSeconds"),
        ("CPT429", "Tags[1].Key"),
    ]


def test_a_long_value_is_not_shown_whole():
    (found,) = request_faults(small(RoleArn="x" * 1000))
    assert len(found.message) < 250


# --- members against each other -----------------------------------------------------------------------------------


def resources(**members):
    return {"ResourceConfig": members}


def spot(runtime, wait, **more):
    stopping = {"MaxRuntimeInSeconds": runtime, **({"MaxWaitTimeInSeconds": wait} if wait else {})}
    return {"EnableManagedSpotTraining": True, "StoppingCondition": stopping, **more}


def algorithm(**members):
    return {"AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File", **members}}


def channel(name="c", kind="S3Prefix", **members):
    source = {"S3DataSource": {"S3DataType": kind, "S3Uri": "s3://abc/d"}}
    return {"ChannelName": name, "DataSource": source, **members}


P5 = {"InstanceType": "ml.p5.48xlarge", "InstanceCount": 1}
M5 = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1}
PREFERRED = [{"InstanceType": "ml.p5.48xlarge"}, {"InstanceType": "ml.p5en.48xlarge"}]
COUNTED = [{**one, "InstanceCount": 2} for one in PREFERRED]
GROUPS = [{**P5, "InstanceGroupName": "g"}]
FILES = {
    "FileSystemDataSource": {
        "FileSystemId": "fs-01234567",
        "FileSystemAccessMode": "ro",
        "FileSystemType": "EFS",
        "DirectoryPath": "/",
    }
}
VPC = {"VpcConfig": {"Subnets": ["s"], "SecurityGroupIds": ["g"]}}
METRIC = {"Name": "loss", "Regex": "loss=(.*)"}

TAKEN = {
    "an algorithm": {"AlgorithmSpecification": {"AlgorithmName": "a", "TrainingInputMode": "File"}},
    "preferences with one count": resources(InstancePreferences=PREFERRED, InstanceCount=2),
    "preferences that count": resources(InstancePreferences=COUNTED),
    "groups": resources(InstanceGroups=GROUPS),
    "spot that waits as long as it runs": spot(3600, 3600),
    "spot with the default run time": {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxWaitTimeInSeconds": 86400},
    },
    "spot, and a pool of no seconds": spot(60, 60, **resources(**P5, KeepAlivePeriodInSeconds=0)),
    "a warm pool": resources(**P5, KeepAlivePeriodInSeconds=60),
    "a training plan": resources(**P5, TrainingPlanArn=TRAINING_PLAN),
    "a plan for a preference": resources(
        InstancePreferences=[{**PREFERRED[0], "TrainingPlanArns": [TRAINING_PLAN]}, PREFERRED[1]], InstanceCount=1
    ),
    "a volume with a key": resources(**M5, VolumeSizeInGB=1, VolumeKmsKeyId="alias/a"),
    "two channels": {"InputDataConfig": [channel("a"), channel("b")]},
    "an augmented manifest through a pipe": {
        "InputDataConfig": [channel(kind="AugmentedManifestFile", InputMode="Pipe")]
    },
    "a compressed channel in a job of pipes": {
        **algorithm(TrainingInputMode="Pipe"),
        "InputDataConfig": [channel(CompressionType="Gzip", RecordWrapperType="RecordIO")],
    },
    "files of a network": {"InputDataConfig": [{"ChannelName": "c", "DataSource": FILES}], **VPC},
    "a registry in a network": {
        **algorithm(TrainingImageConfig={"TrainingRepositoryAccessMode": "Vpc"}),
        **VPC,
    },
    "a registry of the platform": algorithm(TrainingImageConfig={"TrainingRepositoryAccessMode": "Platform"}),
    "tags that are nearly reserved": {"Tags": [{"Key": "aws", "Value": ""}, {"Key": "my:aws:tag", "Value": ""}]},
    "a metric": algorithm(MetricDefinitions=[METRIC, {"Name": "lr", "Regex": "(?:a|b)=(.*)"}]),
}

REFUSED = {
    "image and algorithm": (algorithm(AlgorithmName="a"), "CPT428", "AlgorithmSpecification"),
    "neither image nor algorithm": (
        {"AlgorithmSpecification": {"TrainingInputMode": "File"}},
        "CPT428",
        "AlgorithmSpecification",
    ),
    "no machines": (resources(InstanceCount=1), "CPT428", "ResourceConfig"),
    "two kinds of machines": (resources(**P5, InstancePreferences=PREFERRED), "CPT428", "ResourceConfig"),
    "no count": (resources(InstanceType="ml.p5.48xlarge"), "CPT428", "ResourceConfig.InstanceCount"),
    "a count beside groups": (
        resources(InstanceGroups=GROUPS, InstanceCount=1),
        "CPT428",
        "ResourceConfig.InstanceCount",
    ),
    "preferences without a count": (
        resources(InstancePreferences=PREFERRED),
        "CPT428",
        "ResourceConfig.InstanceCount",
    ),
    "preferences with both counts": (
        resources(InstancePreferences=COUNTED, InstanceCount=2),
        "CPT428",
        "ResourceConfig.InstanceCount",
    ),
    "preferences of which one counts": (
        resources(InstancePreferences=[COUNTED[0], PREFERRED[1]]),
        "CPT428",
        "ResourceConfig.InstanceCount",
    ),
    "a preference twice": (
        resources(InstancePreferences=[PREFERRED[0]] * 2, InstanceCount=1),
        "CPT429",
        "ResourceConfig.InstancePreferences",
    ),
    "preferences on spot": (
        spot(60, 60, **resources(InstancePreferences=PREFERRED, InstanceCount=1)),
        "CPT428",
        "ResourceConfig.InstancePreferences",
    ),
    "two levels of training plans": (
        resources(
            InstancePreferences=[{**PREFERRED[0], "TrainingPlanArns": [TRAINING_PLAN]}],
            InstanceCount=1,
            TrainingPlanArn=TRAINING_PLAN,
        ),
        "CPT428",
        "ResourceConfig.TrainingPlanArn",
    ),
    "spot that does not wait": (spot(60, 0), "CPT428", "StoppingCondition.MaxWaitTimeInSeconds"),
    "spot that waits a second less than it runs": (
        spot(3600, 3599),
        "CPT428",
        "StoppingCondition.MaxWaitTimeInSeconds",
    ),
    "spot that waits less than the default": (
        {"EnableManagedSpotTraining": True, "StoppingCondition": {"MaxWaitTimeInSeconds": 86399}},
        "CPT428",
        "StoppingCondition.MaxWaitTimeInSeconds",
    ),
    "waiting without spot": (
        {"StoppingCondition": {"MaxWaitTimeInSeconds": 86400}},
        "CPT428",
        "StoppingCondition.MaxWaitTimeInSeconds",
    ),
    "a warm pool on spot": (
        spot(60, 60, **resources(**P5, KeepAlivePeriodInSeconds=1)),
        "CPT428",
        "ResourceConfig.KeepAlivePeriodInSeconds",
    ),
    "a warm pool of groups": (
        resources(InstanceGroups=GROUPS, KeepAlivePeriodInSeconds=1),
        "CPT428",
        "ResourceConfig.KeepAlivePeriodInSeconds",
    ),
    "a training plan on spot": (
        spot(60, 60, **resources(**P5, TrainingPlanArn=TRAINING_PLAN)),
        "CPT428",
        "ResourceConfig.TrainingPlanArn",
    ),
    "a volume key on local disks": (
        resources(**P5, VolumeKmsKeyId="alias/a"),
        "CPT428",
        "ResourceConfig.VolumeKmsKeyId",
    ),
    "a volume key where one preference has local disks": (
        resources(
            InstancePreferences=[{"InstanceType": "ml.m5.xlarge"}, PREFERRED[0]],
            InstanceCount=1,
            VolumeSizeInGB=1,
            VolumeKmsKeyId="alias/a",
        ),
        "CPT428",
        "ResourceConfig.VolumeKmsKeyId",
    ),
    "no volume": (resources(**M5), "CPT428", "ResourceConfig.VolumeSizeInGB"),
    "a channel twice": ({"InputDataConfig": [channel(), channel()]}, "CPT429", "InputDataConfig"),
    "a channel without a source": (
        {"InputDataConfig": [{"ChannelName": "c", "DataSource": {}}]},
        "CPT428",
        "InputDataConfig[0].DataSource",
    ),
    "a channel with two sources": (
        {"InputDataConfig": [{**channel(), "DataSource": {**channel()["DataSource"], **FILES}}], **VPC},
        "CPT428",
        "InputDataConfig[0].DataSource",
    ),
    "an augmented manifest as files": (
        {"InputDataConfig": [channel("a"), channel("b", kind="AugmentedManifestFile")]},
        "CPT428",
        "InputDataConfig[1].DataSource.S3DataSource.S3DataType",
    ),
    "a compressed channel as files": (
        {"InputDataConfig": [channel(CompressionType="Gzip")]},
        "CPT428",
        "InputDataConfig[0].CompressionType",
    ),
    "a wrapped channel as files": (
        {"InputDataConfig": [channel(RecordWrapperType="RecordIO")]},
        "CPT428",
        "InputDataConfig[0].RecordWrapperType",
    ),
    "files of no network": (
        {"InputDataConfig": [{"ChannelName": "c", "DataSource": FILES}]},
        "CPT428",
        "InputDataConfig[0].DataSource.FileSystemDataSource",
    ),
    "a registry in no network": (
        algorithm(TrainingImageConfig={"TrainingRepositoryAccessMode": "Vpc"}),
        "CPT428",
        "AlgorithmSpecification.TrainingImageConfig",
    ),
    "a tag of AWS": ({"Tags": [{"Key": "AWS:x", "Value": ""}]}, "CPT429", "Tags[0].Key"),
    "a tag twice": ({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}, "CPT429", "Tags"),
    "a metric twice": (algorithm(MetricDefinitions=[METRIC] * 2), "CPT429", "AlgorithmSpecification.MetricDefinitions"),
    "a metric without a group": (
        algorithm(MetricDefinitions=[{"Name": "a", "Regex": "loss"}]),
        "CPT423",
        "AlgorithmSpecification.MetricDefinitions[0].Regex",
    ),
    "a metric with two groups": (
        algorithm(MetricDefinitions=[{"Name": "a", "Regex": "(l)(oss)"}]),
        "CPT423",
        "AlgorithmSpecification.MetricDefinitions[0].Regex",
    ),
    "a metric that is no expression": (
        algorithm(MetricDefinitions=[{"Name": "a", "Regex": "("}]),
        "CPT423",
        "AlgorithmSpecification.MetricDefinitions[0].Regex",
    ),
}


@pytest.mark.parametrize("change", TAKEN.values(), ids=TAKEN)
def test_what_the_service_takes_is_taken(change):
    assert request_faults(small(**change)) == ()


@pytest.mark.parametrize(("change", "code", "path"), REFUSED.values(), ids=REFUSED)
def test_what_the_service_refuses_is_refused_once_with_its_member(change, code, path):
    (found,) = request_faults(small(**change))
    assert found.code == code
    assert found.message.startswith(f"`{path}` ")


def test_each_rule_has_a_source_and_a_case():
    assert all(rule.source for rule in RULES)
    for rule in RULES:
        broken = [name for name, (change, _, _) in REFUSED.items() if list(rule.faults(small(**change)))]
        assert broken, rule.source


# --- anything at all ----------------------------------------------------------------------------------------------

ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(LIMITS)), ANY_VALUE)
def test_whatever_stands_in_a_request_is_judged_and_never_stumbled_over(row, value):
    part = with_value(row, value) if row and not row.endswith("{key}") else {}
    request_faults(small(**part) if isinstance(part, dict) else part)


# Line breaks other than LF, and digits of other scripts, are where the fake is more lenient than Java.
COMMON_TEXT = st.text(st.characters(max_codepoint=0x7E, exclude_characters="\r") | st.sampled_from("äß中\u0301\u00a0"))


@given(st.sampled_from([row for row in TEXTS if LIMITS[row].source == MODEL]), st.booleans(), COMMON_TEXT)
def test_our_verdict_on_a_text_is_that_of_the_fake_service(row, is_extended, text):
    """Two readings of the model, made apart: ours, and that of the fake."""
    value = GOOD.get(row, "") + text if is_extended else text
    part = with_value(row, value)
    ours = {found.code for found in request_faults(part)} & {"CPT422", "CPT423", "CPT424"}
    with pytest.raises(Refusal) as theirs:  # there is always something: the rest of the request is missing
        check_shape("CreateTrainingJob", part)
    assert bool(ours) == bool(re.search(r"have length|pattern:|enum value", theirs.value.message)), (row, value)
