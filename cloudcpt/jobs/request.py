"""What CreateTrainingJob is asked for: a pure function of the plan, so that one plan is always the same request.

The members and their limits are those of the service's model (botocore, sagemaker 2017-07-24); `cloudcpt.jobs.limits`
checks them. A member that the plan has nothing for is left out rather than sent empty.
"""

from typing import Any

from cloudcpt.errors import PlanError
from cloudcpt.jobs.channels import channels
from cloudcpt.jobs.manifests import Channel
from cloudcpt.jobs.nova import nova_members
from cloudcpt.plan.kept import keeps_anything
from cloudcpt.plan.launch import CloudLaunch
from cloudcpt.plan.plan import Plan
from cloudcpt.plan.readiness import unready
from cloudcpt.plan.runtime import MOST_RUNTIME_S
from cloudcpt.wire import CHECKPOINTS_DIR, METRIC_REGEXES, MlFolder

PLAN_HASH = "plan_hash"
"""The hyperparameter by which a job is known to be the job of a plan."""

TAG_PREFIX = "cloudcpt:"
"""In front of the names of our own tags."""

Members = dict[str, Any]  # members of a request are as various as the service's model


def training_job_request(plan: Plan) -> Members:
    """Word the request for the one job of a plan.

    Args:
        plan: For a target in the cloud.

    Raises:
        PlanError: something is missing without which there is no job, such as the image.
    """
    launch = plan.launch
    assert launch is not None, f"a plan for `{plan.target}` is not for the cloud"
    if gaps := unready(plan):
        raise PlanError(*gaps)
    assert launch.image, f"a plan for `{plan.target}` without an image is no training job"
    request: Members = {
        "TrainingJobName": plan.job_name,
        "RoleArn": launch.role_arn,
        "AlgorithmSpecification": {"TrainingImage": launch.image, "TrainingInputMode": "File"},
        "HyperParameters": {PLAN_HASH: plan.hash},
        "InputDataConfig": [channel_member(channel) for channel in channels(plan)],
        "OutputDataConfig": given_members(S3OutputPath=launch.output_uri, KmsKeyId=launch.output_kms_key),
        "ResourceConfig": _resources(plan, launch),
        "StoppingCondition": _stopping(plan, launch),
        "EnableNetworkIsolation": launch.network_isolation,
        "EnableInterContainerTrafficEncryption": launch.encrypt_traffic,
        "EnableManagedSpotTraining": launch.spot,
        "Tags": _tags(plan, launch),
    }
    if keeps_anything(plan):
        request["CheckpointConfig"] = checkpoint_config(f"{launch.output_uri}/{plan.job_name}/{CHECKPOINTS_DIR}")
    if launch.retry_attempts:
        request["RetryStrategy"] = {"MaximumRetryAttempts": launch.retry_attempts}
    request |= vpc_member(launch)
    special = nova_members(plan) if plan.model.family == "nova" else _own_members(launch)
    return request | {name: {**request.get(name, {}), **members} for name, members in special.items()}


def checkpoint_config(uri: str) -> Members:
    """Say where the service keeps a copy of what the job writes into its checkpoint folder, and brings it from.

    An attempt that begins anew has a place of its own; one that goes on has that of the attempt before.

    Args:
        uri: `s3://bucket/prefix`.
    """
    return {"S3Uri": uri, "LocalPath": MlFolder().checkpoints.as_posix()}


def _own_members(launch: CloudLaunch) -> dict[str, Members]:
    """Give what our own container is served with: numbers from its log, its model as loose files, TensorBoard."""
    own: dict[str, Members] = {
        "AlgorithmSpecification": {
            "MetricDefinitions": [{"Name": name, "Regex": regex} for name, regex in METRIC_REGEXES.items()],
            "EnableSageMakerMetricsTimeSeries": True,
        },
        # Packing tens of gigabytes of safetensors into a tar.gz is paid GPU time that makes nothing smaller.
        "OutputDataConfig": {"CompressionType": "NONE"},
        # The service adds `<job name>/tensorboard-output`, as it adds `<job name>/output` to the other path.
        "TensorBoardOutputConfig": {"S3OutputPath": launch.output_uri},
    }
    if launch.mlflow:
        own["MlflowConfig"] = given_members(
            MlflowResourceArn=launch.mlflow.tracking_arn,
            MlflowExperimentName=launch.mlflow.experiment,
            MlflowRunName=launch.mlflow.run,
        )
    return own


def channel_member(channel: Channel) -> Members:
    """Word one input channel."""
    source = {"S3DataType": channel.kind, "S3Uri": channel.uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": channel.name, "DataSource": {"S3DataSource": source}, "InputMode": "File"}


def vpc_member(launch: CloudLaunch) -> Members:
    """Word the network of a job's machines; nothing for the service's own."""
    if not (launch.subnets or launch.security_groups):
        return {}
    return {"VpcConfig": {"SecurityGroupIds": list(launch.security_groups), "Subnets": list(launch.subnets)}}


def _resources(plan: Plan, launch: CloudLaunch) -> Members:
    """Ask for machines; one count serves every preference."""
    wanted: Members = {"InstanceType": plan.world.instance_type}
    if launch.instance_preferences:
        wanted = {"InstancePreferences": [{"InstanceType": name} for name in launch.instance_preferences]}
    return {
        **wanted,
        "InstanceCount": plan.world.nodes,
        # Local NVMe disks have a fixed size and a key of their own: the plan has neither for them.
        **given_members(
            VolumeSizeInGB=launch.volume_gb,
            VolumeKmsKeyId=launch.volume_kms_key,
            KeepAlivePeriodInSeconds=launch.keep_alive_s,
            TrainingPlanArn=launch.training_plan_arn,
        ),
    }


def _stopping(plan: Plan, launch: CloudLaunch) -> Members:
    return given_members(
        # Left out, it would be one day: a plan without a limit asks for the most.
        MaxRuntimeInSeconds=plan.max_runtime_s or MOST_RUNTIME_S,
        MaxWaitTimeInSeconds=launch.max_wait_s,
        MaxPendingTimeInSeconds=launch.max_pending_s,
    )


def _tags(plan: Plan, launch: CloudLaunch) -> list[dict[str, str]]:
    """Tag the job as ours, then as the user wants: bills can be split by plan, run and model."""
    ours = {"plan-hash": plan.hash, "run": plan.name, "model": plan.model.model_type, "made-by": plan.made_by}
    named = [*((TAG_PREFIX + name, value) for name, value in ours.items()), *launch.tags]
    return [{"Key": name, "Value": value} for name, value in named]


def given_members(**members: str | int) -> Members:
    """Keep the members that have a value; in a plan, empty and zero mean none."""
    return {name: value for name, value in members.items() if value}
