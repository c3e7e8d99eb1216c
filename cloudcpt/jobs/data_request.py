"""What CreateTrainingJob is asked for when the job is work on data: a pure function, like that of a plan.

The image is the one that trains; another entry point makes a Ray cluster of its machines and runs the command on it.
Its tasks read and write S3 themselves, with the job's role, so its network cannot be isolated.
"""

from cloudcpt.jobs.data_job import DataJob
from cloudcpt.jobs.manifests import list_objects, papers_uri
from cloudcpt.jobs.request import PLAN_HASH, TAG_PREFIX, Members, channel_member, given_members, vpc_member
from cloudcpt.wire import PLAN_CHANNEL, PLAN_FILE

ENTRYPOINT = ("python", "-m", "cloudcpt.corpus.cluster")
"""What runs on every machine, in place of the trainer."""


def data_job_request(job: DataJob) -> Members:
    """Word the request for the job of some work on data.

    Args:
        job: With a role, an image and a Region.
    """
    launch = job.launch
    return {
        "TrainingJobName": job.job_name,
        "RoleArn": launch.role_arn,
        "AlgorithmSpecification": {
            "TrainingImage": launch.image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": list(ENTRYPOINT),
        },
        "HyperParameters": {PLAN_HASH: job.hash},
        "InputDataConfig": [channel_member(list_objects(job, PLAN_CHANNEL, papers_uri(job), [PLAN_FILE]))],
        "OutputDataConfig": {
            **given_members(S3OutputPath=launch.output_uri, KmsKeyId=launch.output_kms_key),
            "CompressionType": "NONE",
        },
        "ResourceConfig": {
            "InstanceType": job.instance_type,
            "InstanceCount": job.instances,
            **given_members(VolumeSizeInGB=launch.volume_gb, VolumeKmsKeyId=launch.volume_kms_key),
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": job.max_runtime_s},
        "EnableNetworkIsolation": False,  # its tasks read S3 themselves
        "EnableInterContainerTrafficEncryption": launch.encrypt_traffic,
        "EnableManagedSpotTraining": False,  # what is taken away would have to begin anew
        "Tags": _tags(job),
        **vpc_member(launch),
    }


def data_job_papers(job: DataJob) -> dict[str, bytes]:
    """Give what the client writes before it starts the job, by URI."""
    channel = list_objects(job, PLAN_CHANNEL, papers_uri(job), [PLAN_FILE])
    return {f"{papers_uri(job)}{PLAN_FILE}": job.to_json().encode(), **dict(channel.papers)}


def _tags(job: DataJob) -> list[dict[str, str]]:
    ours = {"plan-hash": job.hash, "run": f"data {job.arguments[0]}", "made-by": job.made_by}
    named = [*((TAG_PREFIX + name, value) for name, value in ours.items()), *job.launch.tags]
    return [{"Key": name, "Value": value} for name, value in named]
