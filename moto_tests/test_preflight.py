"""Every check of pre-flight over HTTP: when all is well, when it is not, and when it may not look."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cloudcpt.aws.account import judge_clock
from cloudcpt.aws.preflight import preflight
from cloudcpt.aws.quotas import LONGEST, MACHINES
from cloudcpt.aws.role import lets_in, policy_source
from cloudcpt.aws.session import AwsSession
from cloudcpt.errors import PlanError, ServiceRefused, SetupError, Severity
from cloudcpt.fake.cloud import FakeCloud
from cloudcpt.fake.faults import EXPIRED_TOKEN, INTERNAL_ERROR
from cloudcpt.fake.s3_rules import S3Rules
from cloudcpt.jobs.checks import BLOCKING, Check, refuse_failed
from cloudcpt.plan.plan import Plan
from tests.jobs.cloud_plans import cloud_launch, cloud_plan, in_place, source

BUCKET, ACCOUNT, REGION = "my-bucket", "123456789012", "us-east-1"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "sagemaker.amazonaws.com"}}],
}
MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
    "config": {
        "mediaType": "application/vnd.docker.container.image.v1+json",
        "size": 1,
        "digest": "sha256:" + "1" * 64,
    },
    "layers": [],
}
NO_PUBLIC = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)

MakePlan = Callable[..., Plan]


@pytest.fixture
def cloud(fake_cloud: FakeCloud) -> FakeCloud:
    """An account in which everything is as a job needs it."""
    s3, iam, ecr = (fake_cloud.store(name) for name in ("s3", "iam", "ecr"))
    s3.create_bucket(Bucket=BUCKET)
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=NO_PUBLIC)
    iam.create_role(RoleName="cloudcpt", AssumeRolePolicyDocument=json.dumps(TRUST))
    ecr.create_repository(repositoryName="cloudcpt")
    fake_cloud.quotas.set("ml.p5.48xlarge", 4)
    return fake_cloud


@pytest.fixture
def image(cloud: FakeCloud) -> str:
    put = cloud.store("ecr").put_image(repositoryName="cloudcpt", imageManifest=json.dumps(MANIFEST), imageTag="1")
    return f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/cloudcpt@{put['image']['imageId']['imageDigest']}"


@pytest.fixture
def make(tmp_path: Path, image: str) -> MakePlan:
    def plan(changes: dict[str, object] | None = None, **launch: object) -> Plan:
        made = cloud_plan(tmp_path, cloud_launch(image=image, **launch), **(changes or {}))
        return replace(made, estimate=replace(made.estimate, usd_per_instance_hour=63.296, price_source="a table"))

    return plan


def look(plan: Plan) -> dict[str, Check]:
    return {check.name: check for check in preflight(AwsSession(region=REGION, attempts=1), plan)}


def code(check: Check) -> str:
    assert check.diagnostic is not None
    return check.diagnostic.code


def is_failure(check: Check, expected: str) -> bool:
    """Failed with a code, blocking and an error exactly if the code is among those that block."""
    assert check.diagnostic is not None
    is_error = check.diagnostic.severity is Severity.ERROR
    assert check.blocks is is_error is (expected in BLOCKING)
    return (check.outcome, code(check)) == ("failed", expected)


def is_unmade(check: Check, words: str) -> bool:
    """Not checked, with the reason in its words, and no obstacle."""
    return (check.outcome, check.blocks, code(check)) == ("not checked", False, "CPT700") and words in check.words


# --- all is well ---------------------------------------------------------------------------------------------------


def test_everything_is_looked_at_and_ok(cloud: FakeCloud, make: MakePlan) -> None:
    checks = look(make())
    assert {name: check.outcome for name, check in checks.items()} == dict.fromkeys(
        (
            "identity",
            "region",
            "bucket `my-bucket`",
            "public access to `my-bucket`",
            "lifecycle of `my-bucket`",
            "price",
            "role",
            "role's permissions",
            "your permissions",
            "image",
            "quota",
            "job name",
        ),
        "ok",
    )
    refuse_failed(checks.values())


def test_nothing_is_written_and_every_s3_call_names_the_owner(cloud: FakeCloud, make: MakePlan) -> None:
    look(make())
    calls = [*cloud.s3.calls.all(), *cloud.sagemaker.calls.all(), *cloud.iam.calls.all(), *cloud.ecr.calls.all()]
    assert all(call.operation.startswith(("Get", "Head", "List", "Describe", "Simulate")) for call in calls)
    assert all(call.headers["x-amz-expected-bucket-owner"] == ACCOUNT for call in cloud.s3.calls.all())


def test_a_recipe_for_hyperpod_is_not_held_against_training_jobs(cloud: FakeCloud, make: MakePlan) -> None:
    assert set(look(make({"target": "hyperpod"}))) == {
        "identity",
        "region",
        "bucket `my-bucket`",
        "public access to `my-bucket`",
        "lifecycle of `my-bucket`",
        "price",
    }


# --- whoever and wherever ------------------------------------------------------------------------------------------


def test_another_account_than_the_recipes_stops_and_nothing_else_is_asked(cloud: FakeCloud, make: MakePlan) -> None:
    checks = look(make(account_id="999999999999"))
    assert is_failure(checks["identity"], "CPT701")
    assert all(check.outcome == "not checked" for name, check in checks.items() if name not in ("identity", "region"))
    assert cloud.s3.calls.operations() == ()


def test_without_an_account_in_the_recipe_the_callers_own_counts(cloud: FakeCloud, make: MakePlan) -> None:
    assert look(make(account_id=""))["bucket `my-bucket`"].outcome == "ok"


def test_expired_credentials_stop(cloud: FakeCloud, make: MakePlan) -> None:
    cloud.sts.faults.add(EXPIRED_TOKEN, operation="GetCallerIdentity", times=9)
    checks = look(make())
    assert is_failure(checks["identity"], "CPT401")
    with pytest.raises(SetupError, match="CPT401"):
        refuse_failed(checks.values())


def test_an_sts_that_is_down_stops_nothing(cloud: FakeCloud, make: MakePlan) -> None:
    cloud.sts.faults.add(INTERNAL_ERROR, operation="GetCallerIdentity", times=9)
    checks = look(make())
    assert is_unmade(checks["identity"], "find out who you are")
    refuse_failed(checks.values())


def test_a_session_for_another_region_stops(cloud: FakeCloud, make: MakePlan) -> None:
    checks = {check.name: check for check in preflight(AwsSession(region="eu-west-1", attempts=1), make())}
    assert is_failure(checks["region"], "CPT406")


@pytest.mark.parametrize(("ahead", "outcome"), [(0.4, "ok"), (-30, "ok"), (130, "failed"), (-200, "failed")])
def test_a_clock_is_judged_in_both_directions(ahead: float, outcome: str) -> None:
    assert judge_clock(ahead).outcome == outcome
    assert ("ahead" in judge_clock(ahead).words) == (ahead > 2)


# --- buckets -------------------------------------------------------------------------------------------------------


def test_a_bucket_that_is_not_there_stops(cloud: FakeCloud, make: MakePlan) -> None:
    check = look(make(output_uri="s3://not-there/out"))["bucket `not-there`"]
    assert is_failure(check, "CPT405")


def test_a_bucket_of_another_region_stops(cloud: FakeCloud, make: MakePlan) -> None:
    place = {"LocationConstraint": "eu-west-1"}
    cloud.store().create_bucket(Bucket="far-away", CreateBucketConfiguration=place)
    check = look(make(output_uri="s3://far-away/out"))["bucket `far-away`"]
    assert is_failure(check, "CPT406")
    assert "`eu-west-1`" in check.words


def test_a_strangers_bucket_that_lets_us_in_stops(cloud: FakeCloud, make: MakePlan) -> None:
    cloud.s3.service.rules = S3Rules(
        owners={BUCKET: "999999999999"}, open_buckets=frozenset({BUCKET}), require_owner=False
    )
    check = look(make())[f"bucket `{BUCKET}`"]
    assert is_failure(check, "CPT702")


def test_a_strangers_bucket_that_does_not_let_us_in_cannot_be_told_from_a_missing_permission(
    cloud: FakeCloud, make: MakePlan
) -> None:
    cloud.s3.service.rules = S3Rules(owners={BUCKET: "999999999999"})
    assert is_unmade(look(make())[f"bucket `{BUCKET}`"], "`s3:ListBucket` was denied, or the bucket does not belong")


def test_a_bucket_without_a_public_access_block_is_a_warning(cloud: FakeCloud, make: MakePlan) -> None:
    cloud.store().delete_public_access_block(Bucket=BUCKET)
    checks = look(make())
    assert is_failure(checks["public access to `my-bucket`"], "CPT703")
    refuse_failed(checks.values())


def test_a_public_bucket_policy_is_a_warning(cloud: FakeCloud, make: MakePlan) -> None:
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    cloud.store().put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": statement}))
    check = look(make())["public access to `my-bucket`"]
    assert is_failure(check, "CPT703")
    assert "makes it public" in check.words


def lifecycle(cloud: FakeCloud, **rule: object) -> None:
    rules = [{"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": "cpt/"}, **rule}]
    cloud.store().put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": rules})


def test_a_rule_that_deletes_soon_is_a_warning(cloud: FakeCloud, make: MakePlan) -> None:
    lifecycle(cloud, Expiration={"Days": 1})
    assert is_failure(look(make())["lifecycle of `my-bucket`"], "CPT704")


def test_rules_that_matter_later_are_mentioned_and_others_are_not(cloud: FakeCloud, make: MakePlan) -> None:
    lifecycle(cloud, Expiration={"Days": 90}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 3})
    check = look(make())["lifecycle of `my-bucket`"]
    assert check.outcome == "ok"
    assert check.words == "`tidy` deletes objects after 90 days; `tidy` drops unfinished uploads after 3 days"
    lifecycle(cloud, Expiration={"Days": 1}, Filter={"Prefix": "elsewhere/"})
    assert look(make())["lifecycle of `my-bucket`"].words == "no rule deletes anything here"
    lifecycle(cloud, Expiration={"Days": 1}, Status="Disabled")
    assert look(make())["lifecycle of `my-bucket`"].words == "no rule deletes anything here"


# --- keys ----------------------------------------------------------------------------------------------------------


def test_a_key_is_ok_or_disabled_or_gone_or_elsewhere(cloud: FakeCloud, make: MakePlan) -> None:
    kms = cloud.store("kms")
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    assert look(make(output_kms_key=arn))[f"key `{arn}`"].outcome == "ok"
    kms.disable_key(KeyId=arn.rpartition("/")[2])
    assert is_failure(look(make(input_kms_key=arn))[f"key `{arn}`"], "CPT410")
    gone = arn.rpartition("/")[0] + "/00000000-0000-0000-0000-000000000000"
    assert is_failure(look(make(input_kms_key=gone))[f"key `{gone}`"], "CPT410")
    far = arn.replace(REGION, "eu-west-1")
    assert is_failure(look(make(input_kms_key=far))[f"key `{far}`"], "CPT406")


# --- the role ------------------------------------------------------------------------------------------------------


def test_a_role_that_is_not_there_stops(cloud: FakeCloud, make: MakePlan) -> None:
    checks = look(make(role_arn=f"arn:aws:iam::{ACCOUNT}:role/nobody"))
    assert is_failure(checks["role"], "CPT705")


def test_a_role_with_another_path_stops_and_is_named(cloud: FakeCloud, make: MakePlan) -> None:
    cloud.store("iam").create_role(RoleName="deep", Path="/service-role/", AssumeRolePolicyDocument=json.dumps(TRUST))
    check = look(make(role_arn=f"arn:aws:iam::{ACCOUNT}:role/deep"))["role"]
    assert is_failure(check, "CPT705")
    assert check.diagnostic is not None
    assert check.diagnostic.hint == f"did you mean `arn:aws:iam::{ACCOUNT}:role/service-role/deep`?"


def test_a_role_of_another_account_stops(cloud: FakeCloud, make: MakePlan) -> None:
    assert is_failure(look(make(role_arn="arn:aws:iam::999999999999:role/cloudcpt"))["role"], "CPT705")


def test_a_role_that_sagemaker_may_not_assume_stops(cloud: FakeCloud, make: MakePlan) -> None:
    other = json.dumps(TRUST).replace("sagemaker", "ec2")
    cloud.store("iam").update_assume_role_policy(RoleName="cloudcpt", PolicyDocument=other)
    assert is_failure(look(make())["role"], "CPT706")


ALLOW = TRUST["Statement"][0]


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([ALLOW], True),
        ([{**ALLOW, "Principal": {"Service": ["ec2.amazonaws.com", "sagemaker.amazonaws.com"]}}], True),
        ([{**ALLOW, "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}}}], True),
        ([{**ALLOW, "Condition": {"StringEquals": {"aws:SourceAccount": ["999999999999"]}}}], False),
        ([{**ALLOW, "Principal": {"AWS": "arn:aws:iam::123456789012:root"}}], False),
        ([{**ALLOW, "Action": "sts:TagSession"}], False),
        ([{**ALLOW, "Effect": "Deny"}, ALLOW], False),
        ([], False),
        (ALLOW, True),
    ],
)
def test_a_trust_policy_is_read_as_iam_reads_it(statements: object, expected: bool) -> None:
    assert lets_in({"Statement": statements}, account_id=ACCOUNT) is expected


@pytest.mark.parametrize(
    ("arn", "source"),
    [
        ("arn:aws:iam::123456789012:user/ann", "arn:aws:iam::123456789012:user/ann"),
        ("arn:aws:sts::123456789012:assumed-role/Admin/ann", "arn:aws:iam::123456789012:role/Admin"),
        ("arn:aws:iam::123456789012:root", ""),
    ],
)
def test_whose_policies_to_simulate_follows_from_who_one_is(arn: str, source: str) -> None:
    assert policy_source(arn) == source


def test_what_the_simulator_denies_is_a_warning_that_names_it(cloud: FakeCloud, make: MakePlan) -> None:
    cloud.denied |= {"s3:PutObject", "sagemaker:CreateTrainingJob"}
    checks = look(make())
    assert is_failure(checks["role's permissions"], "CPT707")
    assert "`s3:PutObject`" in checks["role's permissions"].words
    assert is_failure(checks["your permissions"], "CPT712")
    assert "`s3:PutObject`, `sagemaker:CreateTrainingJob`" in checks["your permissions"].words
    hint = checks["your permissions"].diagnostic.hint  # type: ignore[union-attr]
    assert "VolumeKmsKey" in str(hint)


# --- image, quota, price, capacity ---------------------------------------------------------------------------------


def test_an_image_is_not_there_or_elsewhere_or_anothers(cloud: FakeCloud, make: MakePlan, image: str) -> None:
    plan = make()
    assert plan.launch is not None

    def with_image(uri: str) -> Check:
        assert plan.launch is not None
        return look(replace(plan, launch=replace(plan.launch, image=uri)))["image"]

    head = image.partition("@")[0]
    assert is_failure(with_image(f"{head}@sha256:{'0' * 64}"), "CPT708")
    assert is_failure(with_image(image.replace("/cloudcpt@", "/nothing@")), "CPT708")
    assert is_failure(with_image(image.replace(REGION, "eu-west-1")), "CPT708")
    assert is_unmade(with_image(image.replace(ACCOUNT, "763104351884")), "belongs to account 763104351884")


def test_a_quota_below_the_machines_stops(cloud: FakeCloud, make: MakePlan) -> None:
    cloud.quotas.set("ml.p5.48xlarge", 1)
    checks = look(make())
    assert is_failure(checks["quota"], "CPT419")
    assert checks["quota"].words == "the quota `ml.p5.48xlarge for training job usage` is 1, the job needs 2"
    with pytest.raises(ServiceRefused, match="CPT419"):
        refuse_failed(checks.values())


def test_a_job_may_not_ask_for_more_hours_or_machines_than_any_job_may_have(cloud: FakeCloud, make: MakePlan) -> None:
    """Five days is what a new account has; a recipe without a limit of its own asks for the service's 28."""
    plan = make({"max_runtime_s": 28 * 86_400})
    cloud.quotas.limit(LONGEST, 432_000)
    check = look(plan)["quota"]
    assert is_failure(check, "CPT419")
    assert check.words == f"the quota `{LONGEST}` is 432,000 s, the time limit of the job 2,419,200 s"
    assert check.diagnostic is not None
    assert "`launch.max_runtime_hours` to 120 or less" in (check.diagnostic.hint or "")
    assert look(replace(plan, max_runtime_s=432_000))["quota"].outcome == "ok"
    cloud.quotas.limit(MACHINES, 1)
    check = look(replace(plan, max_runtime_s=432_000))["quota"]
    assert check.words == f"the quota `{MACHINES}` is 1, the job needs 2"


def test_spot_and_warm_pools_have_quotas_of_their_own(cloud: FakeCloud, make: MakePlan) -> None:
    assert "spot training job usage" in look(make(spot=True, max_wait_s=9000))["quota"].words
    assert is_failure(look(make(spot=True, max_wait_s=9000))["quota"], "CPT419")
    cloud.quotas.set("ml.p5.48xlarge", 2, usage="spot training job usage")
    assert look(make(spot=True, max_wait_s=9000))["quota"].outcome == "ok"
    assert "training warm pool usage` is 0" in look(make(keep_alive_s=600))["quota"].words
    cloud.quotas.set("ml.p5.48xlarge", 2, usage="training warm pool usage")
    assert look(make(keep_alive_s=600))["quota"].outcome == "ok"


def test_one_preferred_machine_with_a_quota_is_enough(cloud: FakeCloud, make: MakePlan) -> None:
    assert look(make(instance_preferences=("ml.p5en.48xlarge", "ml.p5.48xlarge")))["quota"].outcome == "ok"
    assert is_failure(look(make(instance_preferences=("ml.p5en.48xlarge",)))["quota"], "CPT419")


def test_the_live_price_is_shown_beside_the_plans(cloud: FakeCloud, make: MakePlan) -> None:
    check = look(make())["price"]
    assert check.words == "63.30 USD per hour of ml.p5.48xlarge in us-east-1"
    cloud.pricing.service.prices[REGION, "ml.p5.48xlarge"] = 70.0
    check = look(make())["price"]
    assert check.words.endswith("; the plan was made with 63.30")
    assert check.price is not None
    assert check.price.usd_per_instance_hour == 70.0
    assert "Price List API, 20" in check.price.source


def test_without_a_listed_price_the_dated_table_counts(cloud: FakeCloud, make: MakePlan) -> None:
    cloud.pricing.service.prices.clear()
    check = look(make())["price"]
    assert is_unmade(check, "no on-demand price")
    assert check.price is not None
    assert (check.price.usd_per_instance_hour, check.price.source) == (63.296, "a table")


def test_of_several_machines_the_dearest_counts(cloud: FakeCloud, make: MakePlan) -> None:
    either = ("ml.p5.48xlarge", "ml.p4d.24xlarge")
    assert look(make(instance_preferences=either))["price"].words.startswith("63.30 USD per hour of ml.p5.48xlarge")
    del cloud.pricing.service.prices[REGION, "ml.p4d.24xlarge"]
    check = look(make(instance_preferences=either))["price"]
    assert is_unmade(check, "no on-demand price of ml.p4d.24xlarge is listed")


def test_a_price_above_the_budget_stops(cloud: FakeCloud, make: MakePlan) -> None:
    # 0.1 hours on 2 machines: 12.66 USD at the table's price, 20 at the live one
    assert look(make({"max_runtime_s": 360}, budget_usd=13))["budget"].outcome == "ok"
    cloud.pricing.service.prices[REGION, "ml.p5.48xlarge"] = 100.0
    checks = look(make({"max_runtime_s": 360}, budget_usd=13))
    assert is_failure(checks["budget"], "CPT550")
    with pytest.raises(PlanError, match="CPT550"):
        refuse_failed(checks.values())


def test_a_time_limit_above_the_budget_is_a_warning_with_the_limit_that_keeps_it(
    cloud: FakeCloud, make: MakePlan
) -> None:
    check = look(make({"max_runtime_s": 3600}, budget_usd=100))["budget"]
    assert is_failure(check, "CPT551")
    assert check.diagnostic is not None
    assert check.diagnostic.hint == "`launch.max_runtime_hours: 0.79` keeps the budget"


ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-plan/mine"
HOUR = 3600.0
NOW = 1.8e9
RESERVED = {
    "Status": "Active",
    "TotalInstanceCount": 2,
    "AvailableInstanceCount": 2,
    "TargetResources": ["training-job"],
    "StartTime": NOW,
    "EndTime": 4e9,
    "ReservedCapacitySummaries": [
        {"ReservedCapacityArn": "arn:x", "InstanceType": "ml.p5.48xlarge", "TotalInstanceCount": 2, "Status": "Active"}
    ],
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"Status": "Expired"}, "CPT709"),
        ({"TargetResources": ["hyperpod-cluster"]}, "CPT709"),
        ({"TotalInstanceCount": 1}, "CPT709"),
        ({"ReservedCapacitySummaries": [{"InstanceType": "ml.p4d.24xlarge"}]}, "CPT709"),
        ({"EndTime": NOW / 2}, "CPT710"),
    ],
)
def test_reserved_capacity_that_does_not_fit_is_said(
    cloud: FakeCloud, make: MakePlan, change: dict[str, object], expected: str
) -> None:
    plan = make(training_plan_arn=ARN)
    cloud.sagemaker.service.training_plans["mine"] = dict(RESERVED)
    cloud.quotas.set("ml.p5.48xlarge", 0)
    checks = look(plan)
    assert checks["training plan"].outcome == "ok"
    assert checks["quota"].outcome == "ok"
    cloud.sagemaker.service.training_plans["mine"] |= change
    assert is_failure(look(plan)["training plan"], expected)


def test_reserved_capacity_that_is_not_there_stops(cloud: FakeCloud, make: MakePlan) -> None:
    assert is_failure(look(make(training_plan_arn=ARN))["training plan"], "CPT709")


# --- the job and its inputs ----------------------------------------------------------------------------------------


def start(cloud: FakeCloud, plan: Plan, plan_hash: str) -> None:
    assert plan.launch is not None
    cloud.client("sagemaker").create_training_job(
        TrainingJobName=plan.job_name,
        HyperParameters={"plan_hash": plan_hash},
        AlgorithmSpecification={"TrainingImage": plan.launch.image, "TrainingInputMode": "File"},
        RoleArn=plan.launch.role_arn,
        OutputDataConfig={"S3OutputPath": plan.launch.output_uri},
        ResourceConfig={"InstanceType": "ml.p5.48xlarge", "InstanceCount": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )


def test_a_name_that_is_taken_by_another_plan_stops(cloud: FakeCloud, make: MakePlan) -> None:
    plan = make()
    start(cloud, plan, "f" * 64)
    assert is_failure(look(plan)["job name"], "CPT457")


def test_a_name_that_is_taken_by_this_very_plan_is_ok(cloud: FakeCloud, make: MakePlan) -> None:
    plan = make()
    start(cloud, plan, plan.hash)
    check = look(plan)["job name"]
    assert check.outcome == "ok"
    assert "this very job" in check.words


def test_inputs_in_s3_are_looked_at_one_by_one(cloud: FakeCloud, make: MakePlan) -> None:
    files = [in_place(f"s3://{BUCKET}/corpus/{number}.jsonl", f"{number}.jsonl") for number in range(3)]
    plan = make({"sources": (source("train", *files),)})
    for number in range(3):
        cloud.store().put_object(Bucket=BUCKET, Key=f"corpus/{number}.jsonl", Body=b"0123456789")
    assert look(plan)["inputs in S3"].words == "3 of 3 files looked at, 30 bytes"
    cloud.store().put_object(Bucket=BUCKET, Key="corpus/1.jsonl", Body=b"0123")
    check = look(plan)["inputs in S3"]
    assert is_failure(check, "CPT711")
    assert check.words == f"`s3://{BUCKET}/corpus/1.jsonl` has 4 bytes, the plan was made with 10"
    cloud.store().delete_object(Bucket=BUCKET, Key="corpus/0.jsonl")
    assert look(plan)["inputs in S3"].words == f"`s3://{BUCKET}/corpus/0.jsonl` is gone, and 1 more like it"


# --- what one may not look at --------------------------------------------------------------------------------------

UNMADE = {
    "s3:ListBucket": "bucket `my-bucket`",
    "s3:GetBucketPolicyStatus": "public access to `my-bucket`",
    "s3:GetBucketPublicAccessBlock": "public access to `my-bucket`",
    "s3:GetLifecycleConfiguration": "lifecycle of `my-bucket`",
    "s3:GetObject": "inputs in S3",
    "kms:DescribeKey": "key `alias/mine`",
    "iam:GetRole": "role",
    "iam:SimulatePrincipalPolicy": "role's permissions",
    "ecr:DescribeImages": "image",
    "servicequotas:ListServiceQuotas": "quota",
    "pricing:GetProducts": "price",
    "sagemaker:DescribeTrainingPlan": "training plan",
    "sagemaker:DescribeTrainingJob": "job name",
}


@pytest.mark.parametrize(("action", "name"), UNMADE.items())
def test_a_missing_permission_leaves_its_check_unmade_and_is_named(
    cloud: FakeCloud, make: MakePlan, action: str, name: str
) -> None:
    corpus = source("train", in_place(f"s3://{BUCKET}/corpus/a.jsonl", "a.jsonl"))
    arn = "" if name == "quota" else ARN  # reserved capacity has no quota
    plan = make({"sources": (corpus,)}, training_plan_arn=arn, input_kms_key="alias/mine")
    cloud.denied.add(action)
    checks = look(plan)
    assert is_unmade(checks[name], f"`{action}`")


def test_a_broken_service_leaves_its_checks_unmade(cloud: FakeCloud, make: MakePlan) -> None:
    for service in (cloud.s3, cloud.iam, cloud.ecr, cloud.service_quotas, cloud.pricing, cloud.sagemaker):
        service.faults.add(INTERNAL_ERROR, times=99)
    checks = look(make())
    assert {check.outcome for name, check in checks.items() if name not in ("identity", "region")} == {"not checked"}
    refuse_failed(checks.values())
