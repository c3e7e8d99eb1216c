"""The least that a client, an execution role and its trust policy need: pure functions to IAM policy documents.

One statement per purpose, so that a reader can strike out what is not wanted. Not asked for, on purpose: to delete
objects other than checkpoints that the job itself wrote, to make buckets, to make or change roles.
Source: service authorization reference of each service; SageMaker developer guide, "SageMaker AI Roles"; 2026-11.
"""

from collections.abc import Iterable
from typing import Any

from cloudcpt.jobs.access import Access, private_image, split_uri
from cloudcpt.wire import CHECKPOINTS_DIR

SERVICE = "sagemaker.amazonaws.com"

_LOG_GROUP = "/aws/sagemaker/TrainingJobs"

_VPC_ACTIONS = (
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
)

Statement = dict[str, Any]
Policy = dict[str, Any]
"""JSON as IAM reads it: names and values of the policy grammar."""


def client_policy(access: Access) -> Policy:
    """Give what a person or a machine needs to check, upload, start, watch and fetch a job."""
    return _policy(
        *_client_objects(access),
        *_client_keys(access),
        *_client_jobs(access),
        *_preflight(access),
    )


def execution_policy(access: Access) -> Policy:
    """Give what the job's role needs while the job runs."""
    own = _own_account(access)
    read = _objects(access, (access.input_uri, *access.read_uris))
    group = _arn(access, "logs", f"log-group:{_LOG_GROUP}")
    return _policy(
        _allow("ListInputs", ["s3:ListBucket"], _buckets(access), own),
        _allow("ReadInputs", ["s3:GetObject"], read, own),
        _allow("WriteOutputs", ["s3:AbortMultipartUpload", "s3:PutObject"], _objects(access, _results(access)), own),
        *_sync_checkpoints(access, own),
        _allow(
            "WriteLogs",
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            [group, f"{group}:*"],
        ),
        _allow("WriteMetrics", ["cloudwatch:PutMetricData"], ["*"], _equals("cloudwatch:namespace", _LOG_GROUP)),
        *_pull_image(access),
        *_role_keys(access),
        *([_allow("JoinVpc", list(_VPC_ACTIONS), ["*"])] if access.subnets else []),
    )


def trust_policy(access: Access) -> Policy:
    """Give who may assume the job's role: SageMaker, for this account's own jobs of that name and nobody else's."""
    statement = {
        "Sid": "LetSageMakerIn",
        "Effect": "Allow",
        "Principal": {"Service": SERVICE},
        "Action": "sts:AssumeRole",
        # Without these SageMaker could be talked into using the role for another account (the confused deputy).
        "Condition": {
            **_equals("aws:SourceAccount", access.account_id),
            "ArnLike": {"aws:SourceArn": _job(access)},
        },
    }
    return _policy(statement)


def actions_of(policy: Policy) -> frozenset[str]:
    """Name every action that a policy allows."""
    return frozenset(action for statement in policy["Statement"] for action in statement["Action"])


def _client_objects(access: Access) -> list[Statement]:
    own = _own_account(access)
    reads = _objects(access, access.uris)
    prefixes = [prefix for _, prefix in map(split_uri, access.uris)]
    below = sorted({form for prefix in prefixes for form in (prefix, f"{prefix}/*" if prefix else "*")} - {""})
    return [
        # "IfExists": to look at a missing object S3 asks for s3:ListBucket without any prefix, and without it answers
        # 403 instead of 404.
        _allow(
            "ListOwnPrefixes",
            ["s3:ListBucket"],
            _buckets(access),
            {**own, "StringLikeIfExists": {"s3:prefix": below}},
        ),
        _allow("ReadInputsAndResults", ["s3:GetObject"], reads, own),
        *_read_versions(access, own),
        _allow(
            "UploadInputs",
            ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject"],
            _objects(access, [access.input_uri]),
            own,
        ),
        _allow("ResumeUploads", ["s3:ListBucketMultipartUploads"], _buckets(access)[:1], own),
    ]


def _read_versions(access: Access, own: dict[str, Any]) -> list[Statement]:
    """Read the version that a recipe names; the job itself reads the newest, which has to be the same one."""
    if not access.pins_versions:
        return []
    return [
        _allow("ReadVersions", ["s3:GetObjectVersion"], _objects(access, access.read_uris), own),
        _allow("ListVersions", ["s3:ListBucketVersions"], _buckets(access), own),
    ]


def _client_keys(access: Access) -> list[Statement]:
    through_s3 = _equals("kms:ViaService", f"s3.{access.region}.amazonaws.com")
    statements = []
    if access.input_key:
        actions = ["kms:Decrypt", "kms:GenerateDataKey"]
        statements.append(
            _allow(
                "EncryptInputs", actions, [_key(access, access.input_key)], {**through_s3, **_named(access.input_key)}
            )
        )
    if access.output_key:
        limits = {**through_s3, **_named(access.output_key)}
        statements.append(_allow("DecryptResults", ["kms:Decrypt"], [_key(access, access.output_key)], limits))
    return statements


def _client_jobs(access: Access) -> list[Statement]:
    group = _arn(access, "logs", f"log-group:{_LOG_GROUP}")
    return [
        _allow("StartJobs", ["sagemaker:CreateTrainingJob"], _created(access), _job_conditions(access)),
        _allow(
            "WatchAndStopJobs",
            ["sagemaker:AddTags", "sagemaker:DescribeTrainingJob", "sagemaker:StopTrainingJob"],
            [_job(access)],
        ),
        _allow("PassTheRole", ["iam:PassRole"], [access.role_arn], _equals("iam:PassedToService", SERVICE)),
        _allow("ReadLogs", ["logs:DescribeLogStreams", "logs:GetLogEvents"], [group, f"{group}:*"]),
    ]


def _created(access: Access) -> list[str]:
    return [_job(access), *([access.training_plan_arn] if access.training_plan_arn else [])]


def _job_conditions(access: Access) -> dict[str, Any]:
    """Limit jobs to what the recipe asks for, so that a stolen key starts nothing larger."""
    lists = {"sagemaker:InstanceTypes": list(access.instance_types)}
    if access.subnets:
        lists["sagemaker:VpcSubnets"] = list(access.subnets)
        lists["sagemaker:VpcSecurityGroupIds"] = list(access.security_groups)
    switches = {
        "sagemaker:NetworkIsolation": access.network_isolation,
        "sagemaker:InterContainerTrafficEncryption": access.encrypt_traffic,
    }
    conditions: dict[str, Any] = {
        "ForAllValues:StringEquals": lists,
        # A list that is not there satisfies "for all values"; this demands that it is there.
        "Null": dict.fromkeys(lists, "false"),
    }
    if demanded := {name: "true" for name, is_on in switches.items() if is_on}:
        conditions["Bool"] = demanded
    if access.output_key.startswith("arn:"):
        conditions["ArnEquals"] = {"sagemaker:OutputKmsKey": access.output_key}
    return conditions


def _preflight(access: Access) -> list[Statement]:
    """Give what only looks; each may be left out, and its check then says `not checked`."""
    buckets = _buckets(access)
    looks = ["s3:GetBucketPolicyStatus", "s3:GetBucketPublicAccessBlock", "s3:GetLifecycleConfiguration"]
    image = private_image(access.image)
    keys = [_key(access, key) for key in dict.fromkeys((access.input_key, access.output_key, access.volume_key)) if key]
    return [
        _allow("CheckBuckets", looks, buckets, _own_account(access)),
        _allow("CheckRole", ["iam:GetRole", "iam:SimulatePrincipalPolicy"], [access.role_arn]),
        _allow("CheckQuotasAndPrices", ["pricing:GetProducts", "servicequotas:ListServiceQuotas"], ["*"]),
        *([_allow("CheckImage", ["ecr:DescribeImages"], [_repository(access)])] if image else []),
        *([_allow("CheckKeys", ["kms:DescribeKey"], keys)] if keys else []),
        *(
            [_allow("CheckTrainingPlan", ["sagemaker:DescribeTrainingPlan"], [access.training_plan_arn])]
            if access.training_plan_arn
            else []
        ),
    ]


def _results(access: Access) -> list[str]:
    """Give where the jobs write, each below its own name: inputs may lie beside them, and stay as they are."""
    return [f"{access.output_uri}/{access.job_name}"] if access.output_uri else []


def _sync_checkpoints(access: Access, own: dict[str, Any]) -> list[Statement]:
    """Let the service copy the checkpoint folder both ways: what the trainer removes there goes from the bucket too."""
    if not access.keeps_checkpoints:
        return []
    folders = _objects(access, [f"{uri}/{CHECKPOINTS_DIR}" for uri in _results(access)])
    actions = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    return [_allow("SyncCheckpoints", actions, folders, own)]


def _pull_image(access: Access) -> list[Statement]:
    if not private_image(access.image):
        return []
    actions = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    return [
        _allow("SignInToTheRegistry", ["ecr:GetAuthorizationToken"], ["*"]),
        _allow("PullImage", actions, [_repository(access)]),
    ]


def _role_keys(access: Access) -> list[Statement]:
    uses = (
        ("DecryptInputs", access.input_key, ["kms:Decrypt"]),
        # To decrypt too: S3 asks for it when a large object that was sent in parts is put together.
        ("EncryptOutputs", access.output_key, ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]),
        ("EncryptVolume", access.volume_key, ["kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKey"]),
    )
    return [_allow(sid, actions, [_key(access, key)], _named(key)) for sid, key, actions in uses if key]


def _policy(*statements: Statement) -> Policy:
    """Put statements together; one about nothing, such as a role that is not named yet, is left out."""
    named = [one for one in statements if any(one.get("Resource", ("it is about a principal",)))]
    return {"Version": "2012-10-17", "Statement": named}


def _allow(sid: str, actions: list[str], resources: list[str], conditions: dict[str, Any] | None = None) -> Statement:
    statement: Statement = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return statement | ({"Condition": conditions} if conditions else {})


def _equals(name: str, value: str) -> dict[str, Any]:
    return {"StringEquals": {name: value}}


def _own_account(access: Access) -> dict[str, Any]:
    return _equals("aws:ResourceAccount", access.account_id)


def _arn(access: Access, service: str, resource: str) -> str:
    return f"arn:{access.partition}:{service}:{access.region}:{access.account_id}:{resource}"


def _job(access: Access) -> str:
    return _arn(access, "sagemaker", f"training-job/{access.job_name}")


def _buckets(access: Access) -> list[str]:
    return [f"arn:{access.partition}:s3:::{name}" for name in access.buckets]


def _objects(access: Access, uris: Iterable[str]) -> list[str]:
    names = (uri.removeprefix("s3://").rstrip("/") for uri in uris if uri)
    return list(dict.fromkeys(f"arn:{access.partition}:s3:::{name}/*" for name in names))


def _key(access: Access, key: str) -> str:
    """Give the ARN of a key; which one an alias means only the condition of `_named` can say."""
    if key.startswith("arn:") and ":alias/" not in key:
        return key
    return _arn(access, "kms", "key/*" if "alias/" in key else f"key/{key}")


def _named(key: str) -> dict[str, Any]:
    """Limit a statement to the key that an alias stands for."""
    _, is_alias, alias = key.rpartition("alias/")
    return {"ForAnyValue:StringEquals": {"kms:ResourceAliases": f"alias/{alias}"}} if is_alias else {}


def _repository(access: Access) -> str:
    image = private_image(access.image)
    assert image is not None, f"`{access.image}` is in no private registry of AWS"
    return f"arn:{access.partition}:ecr:{image.region}:{image.account}:repository/{image.repository}"
