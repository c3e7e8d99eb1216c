"""Policies say what is needed and no more, filled in from the recipe or with placeholders."""

import json
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from cloudcpt.aws.attempts import attempt_name
from cloudcpt.jobs.access import Access, access_of_plan, access_of_recipe, private_image, role_of, unnamed_access
from cloudcpt.jobs.policies import Policy, actions_of, client_policy, execution_policy, trust_policy
from cloudcpt.plan.plan import Checkpoints
from cloudcpt.recipe.load import load_recipe
from tests.jobs.cloud_plans import IMAGE, cloud_launch, cloud_plan, in_place, source, uploaded

KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
RECIPE = """
run:
  name: llama-on-our-text
  model_type: llama-3.1-8b
  model_name_or_path: s3://my-bucket/models/llama-3.1-8b/
  replicas: 2
  data_s3_path: s3://my-bucket/train/
  validation_data_s3_path: s3://held-out/validation/
  output_s3_path: s3://my-bucket/output/
training_config:
  max_length: 8192
  global_batch_size: 128
  trainer: {max_epochs: 1}
  optim:
    lr: 2.0e-5
    sched: {warmup_ratio: 0.01, min_lr: 2.0e-6}
launch:
  target: sagemaker
"""

NOVA = """
run:
  name: nova
  model_type: amazon.nova-micro-v1:0:128k
  model_name_or_path: nova-micro/prod
  replicas: 2
  data_s3_path: s3://my-bucket/train/
  output_s3_path: s3://my-bucket/output/
training_config:
  max_length: 8192
  global_batch_size: 256
  trainer: {max_epochs: 2}
  model:
    optim: {lr: 1e-5, sched: {warmup_steps: 10, min_lr: 1e-6}}
launch:
  target: sagemaker
  image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/nova:1
"""


def statement(policy: Policy, sid: str) -> dict:
    (found,) = [one for one in policy["Statement"] if one["Sid"] == sid]
    return found


def sids(policy: Policy) -> list[str]:
    return [one["Sid"] for one in policy["Statement"]]


@pytest.mark.parametrize("make", [client_policy, execution_policy])
def test_a_star_stands_only_where_iam_has_no_resource(tmp_path, make):
    policy = make(access_of_plan(cloud_plan(tmp_path)))
    anywhere = {one["Sid"] for one in policy["Statement"] if "*" in one["Resource"]}
    assert anywhere <= {"CheckQuotasAndPrices", "WriteMetrics", "SignInToTheRegistry", "JoinVpc"}
    assert not any("*" in action for action in actions_of(policy))


def test_nothing_can_be_deleted_and_nobody_can_be_made(tmp_path):
    launch = cloud_launch(output_kms_key=KEY, input_kms_key=KEY, subnets=("subnet-1",), security_groups=("sg-1",))
    access = access_of_plan(cloud_plan(tmp_path, launch))
    for policy in (client_policy(access), execution_policy(access)):
        actions = actions_of(policy) - {"ec2:DeleteNetworkInterface", "ec2:DeleteNetworkInterfacePermission"}
        assert not {action for action in actions if action.partition(":")[2].startswith("Delete")}
        assert not actions & {"s3:CreateBucket", "iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy"}


def test_the_client_writes_inputs_only_and_the_job_writes_outputs_only(tmp_path):
    corpus = source("train", uploaded("a.jsonl"), in_place("s3://corpora/web/2026/b.jsonl", "b.jsonl"))
    plan = cloud_plan(tmp_path, sources=(corpus,))
    access = access_of_plan(plan)
    client, job = client_policy(access), execution_policy(access)
    assert statement(client, "UploadInputs")["Resource"] == ["arn:aws:s3:::my-bucket/cpt/cloudcpt/*"]
    assert statement(job, "WriteOutputs")["Resource"] == [f"arn:aws:s3:::my-bucket/cpt/output/{plan.job_name}/*"]
    assert statement(job, "ReadInputs")["Resource"] == [
        "arn:aws:s3:::my-bucket/cpt/cloudcpt/*",
        "arn:aws:s3:::corpora/web/2026/*",
    ]
    assert statement(client, "ResumeUploads")["Resource"] == ["arn:aws:s3:::my-bucket"]
    for policy in (client, job):
        for one in policy["Statement"]:
            if any(action.startswith("s3:") for action in one["Action"]):
                assert one["Condition"]["StringEquals"] == {"aws:ResourceAccount": "123456789012"}


KEEPING = Checkpoints(every_steps=500, keep_last=2, recovery_every_steps=0)


def test_only_a_job_that_keeps_checkpoints_may_read_and_remove_them(tmp_path):
    plan = cloud_plan(tmp_path, checkpoints=KEEPING)
    sync = statement(execution_policy(access_of_plan(plan)), "SyncCheckpoints")
    assert sync["Resource"] == [f"arn:aws:s3:::my-bucket/cpt/output/{plan.job_name}/checkpoints/*"]
    assert {"s3:GetObject", "s3:PutObject", "s3:DeleteObject"} <= set(sync["Action"])
    assert sync["Condition"]["StringEquals"] == {"aws:ResourceAccount": "123456789012"}
    assert "SyncCheckpoints" not in sids(execution_policy(access_of_plan(cloud_plan(tmp_path))))
    for policy in (client_policy(access_of_plan(plan)), client_policy(unnamed_access())):
        assert "s3:DeleteObject" not in actions_of(policy)


def test_a_recipe_that_keeps_checkpoints_asks_for_those_of_all_its_jobs(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE + "checkpoint: {recovery_every_steps: 100}\n")
    access = access_of_recipe(load_recipe(path))
    (resource,) = statement(execution_policy(access), "SyncCheckpoints")["Resource"]
    assert fnmatchcase("arn:aws:s3:::my-bucket/output/llama-on-our-text-0123456789/checkpoints/step-1/x", resource)
    path.write_text(RECIPE)
    assert not access_of_recipe(load_recipe(path)).keeps_checkpoints


def test_listing_is_limited_to_the_prefixes_of_the_job(tmp_path):
    listing = statement(client_policy(access_of_plan(cloud_plan(tmp_path))), "ListOwnPrefixes")
    assert listing["Condition"]["StringLikeIfExists"] == {
        "s3:prefix": ["cpt/cloudcpt", "cpt/cloudcpt/*", "cpt/output", "cpt/output/*"]
    }


def test_jobs_are_limited_to_what_the_recipe_asks_for(tmp_path):
    plan = cloud_plan(
        tmp_path,
        cloud_launch(subnets=("subnet-1",), security_groups=("sg-1",), encrypt_traffic=True, output_kms_key=KEY),
    )
    start = statement(client_policy(access_of_plan(plan)), "StartJobs")
    assert start["Resource"] == [f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{plan.job_name}"]
    assert start["Condition"] == {
        "ForAllValues:StringEquals": {
            "sagemaker:InstanceTypes": ["ml.p5.48xlarge"],
            "sagemaker:VpcSubnets": ["subnet-1"],
            "sagemaker:VpcSecurityGroupIds": ["sg-1"],
        },
        "Null": {
            "sagemaker:InstanceTypes": "false",
            "sagemaker:VpcSubnets": "false",
            "sagemaker:VpcSecurityGroupIds": "false",
        },
        "Bool": {"sagemaker:NetworkIsolation": "true", "sagemaker:InterContainerTrafficEncryption": "true"},
        "ArnEquals": {"sagemaker:OutputKmsKey": KEY},
    }


def test_one_role_can_be_passed_to_sagemaker_only(tmp_path):
    passing = statement(client_policy(access_of_plan(cloud_plan(tmp_path))), "PassTheRole")
    assert passing["Resource"] == ["arn:aws:iam::123456789012:role/cloudcpt"]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


def test_nobody_demands_a_volume_key_for_it_would_deny_every_p5_job(tmp_path):
    access = access_of_plan(cloud_plan(tmp_path))
    assert "VolumeKmsKey" not in json.dumps(client_policy(access))


def test_keys_are_used_through_s3_only_and_an_alias_is_a_condition(tmp_path):
    access = access_of_plan(cloud_plan(tmp_path, cloud_launch(input_kms_key=KEY, output_kms_key="alias/results")))
    client, job = client_policy(access), execution_policy(access)
    sealing = statement(client, "EncryptInputs")
    assert sealing["Resource"] == [KEY]
    assert sealing["Condition"] == {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}
    opening = statement(client, "DecryptResults")
    assert opening["Resource"] == ["arn:aws:kms:us-east-1:123456789012:key/*"]
    assert opening["Condition"]["ForAnyValue:StringEquals"] == {"kms:ResourceAliases": "alias/results"}
    assert statement(job, "DecryptInputs")["Action"] == ["kms:Decrypt"]
    # Source: Amazon S3 user guide, "Multipart upload API and permissions": parts are decrypted to join them.
    assert statement(job, "EncryptOutputs")["Action"] == ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]
    assert "EncryptVolume" not in sids(job)


def test_what_a_plan_does_not_have_needs_no_permission(tmp_path):
    access = access_of_plan(cloud_plan(tmp_path))
    assert not {"EncryptInputs", "DecryptResults", "CheckKeys", "CheckTrainingPlan"} & {*sids(client_policy(access))}
    assert not {"JoinVpc", "DecryptInputs", "EncryptOutputs"} & {*sids(execution_policy(access))}
    bare = access_of_plan(cloud_plan(tmp_path, cloud_launch(image="", role_arn="", output_uri="")))
    assert not {"CheckImage", "PassTheRole"} & {*sids(client_policy(bare))}
    assert not {"PullImage", "WriteOutputs"} & {*sids(execution_policy(bare))}


def test_the_trust_policy_lets_sagemaker_in_for_our_jobs_only(tmp_path):
    plan = cloud_plan(tmp_path)
    (only,) = trust_policy(access_of_plan(plan))["Statement"]
    assert (only["Principal"], only["Action"]) == ({"Service": "sagemaker.amazonaws.com"}, "sts:AssumeRole")
    assert only["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{plan.job_name}"},
    }


def access_of_text(tmp_path: Path, text: str) -> Access:
    (tmp_path / "recipe.yaml").write_text(text)
    return access_of_recipe(load_recipe(tmp_path / "recipe.yaml"))


def test_a_recipe_fills_in_what_it_says_and_marks_what_it_does_not(tmp_path):
    access = access_of_text(tmp_path, RECIPE)
    assert access.job_name == "llama-on-our-text-*"
    assert (access.input_uri, access.output_uri) == ("s3://my-bucket/output/cloudcpt", "s3://my-bucket/output")
    assert access.read_uris == (
        "s3://my-bucket/models/llama-3.1-8b",
        "s3://my-bucket/train",
        "s3://held-out/validation",
    )
    assert access.buckets == ("my-bucket", "held-out")
    assert (access.region, access.account_id, access.role_arn) == (
        "<region>",
        "<account>",
        "arn:aws:iam::<account>:role/<role>",
    )


def test_policies_of_a_recipe_cover_its_every_job(tmp_path):
    """A recipe's jobs differ in their hash alone, and its policies are made once."""
    access = access_of_text(tmp_path, f"{RECIPE}  role: arn:aws:iam::123456789012:role/cpt\n  region: eu-west-1\n")
    job = "arn:aws:sagemaker:eu-west-1:123456789012:training-job/llama-on-our-text-*"
    assert statement(client_policy(access), "StartJobs")["Resource"] == [job]
    assert statement(client_policy(access), "CheckImage")["Resource"] == [
        "arn:aws:ecr:eu-west-1:123456789012:repository/<repository>"
    ]


def test_policies_of_a_recipe_cover_what_starting_over_makes_of_a_long_name(tmp_path):
    name = "a-run-with-a-name-that-is-as-long-as-the-names-of-jobs-may-be"
    pattern = access_of_text(tmp_path, RECIPE.replace("llama-on-our-text", name)).job_name
    plan = replace(cloud_plan(tmp_path), name=name)
    assert len(plan.job_name) == 63
    assert all(fnmatchcase(attempt_name(plan.job_name, attempt), pattern) for attempt in (1, 2, 99))


def test_nobody_demands_isolation_of_a_nova_job_which_is_not_isolated_unasked(tmp_path):
    (tmp_path / "nova.yaml").write_text(NOVA)
    access = access_of_recipe(load_recipe(tmp_path / "nova.yaml"))
    assert "Bool" not in statement(client_policy(access), "StartJobs")["Condition"]
    (tmp_path / "nova.yaml").write_text(f"{NOVA}  network_isolation: true\n")
    access = access_of_recipe(load_recipe(tmp_path / "nova.yaml"))
    assert statement(client_policy(access), "StartJobs")["Condition"]["Bool"] == {"sagemaker:NetworkIsolation": "true"}


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("s3://b1x/corpus/train.jsonl", "s3://b1x/corpus"),
        ("s3://b1x/corpus/part-*.jsonl", "s3://b1x/corpus"),
        ("s3://b1x/corpus/2026-*/part.jsonl", "s3://b1x/corpus"),
        ("s3://b1x/corpus/", "s3://b1x/corpus"),
    ],
)
def test_a_file_or_a_pattern_is_read_in_its_folder(tmp_path, path, folder):
    assert folder in access_of_text(tmp_path, RECIPE.replace("s3://my-bucket/train/", path)).read_uris


def test_without_a_recipe_everything_is_a_placeholder():
    access = unnamed_access()
    text = json.dumps([client_policy(access), execution_policy(access), trust_policy(access)])
    assert "arn:aws:s3:::<bucket>/<prefix>/cloudcpt/*" in text
    assert "arn:aws:iam::<account>:role/<role>" in text
    assert "arn:aws:ecr:<region>:<account>:repository/<repository>" in text


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("us-gov-west-1", "aws-us-gov"),
        ("cn-north-1", "aws-cn"),
        ("us-isob-east-1", "aws-iso-b"),
        ("eusc-de-east-1", "aws-eusc"),
    ],
)
def test_arns_are_of_the_part_of_aws_that_the_region_is_in(tmp_path, region, partition):
    access = access_of_plan(cloud_plan(tmp_path, cloud_launch(region=region)))
    assert access.partition == partition
    assert f"arn:{partition}:s3:::my-bucket" in json.dumps(client_policy(access))


def test_names_are_taken_apart():
    role = role_of("arn:aws:iam::123456789012:role/service-role/deep/AmazonSageMaker-Role")
    assert role is not None
    assert (role.partition, role.account, role.name) == ("aws", "123456789012", "AmazonSageMaker-Role")
    assert role_of("arn:aws:iam::123456789012:user/ann") is None
    image = private_image(IMAGE)
    assert image is not None
    assert (image.account, image.region, image.repository, image.tag) == ("123456789012", "us-east-1", "cloudcpt", "")
    assert image.digest == "sha256:" + "ab" * 32
    assert private_image("public.ecr.aws/x/y:1") is None


def test_reading_pinned_versions_takes_two_more_actions_and_only_then(tmp_path: Path) -> None:
    bare = actions_of(client_policy(access_of_text(tmp_path, RECIPE)))
    pinned = actions_of(client_policy(access_of_text(tmp_path, f"{RECIPE}\ndata: {{version: 2026-11-01T00:00:00Z}}\n")))
    assert pinned - bare == {"s3:GetObjectVersion", "s3:ListBucketVersions"}
