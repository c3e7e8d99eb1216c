"""A job that was started from another machine: what it is, from its description and from the plan that lies beside it.

The plan is where the client that started the job has put it, in the folder of the plan's papers, and its bytes have the
hash that the job was started with. So whoever may read the inputs can take over the job.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cloudcpt.aws.attempts import attempt_of
from cloudcpt.aws.errors import translated
from cloudcpt.aws.records import CloudRecord, record_of
from cloudcpt.aws.training_jobs import Description
from cloudcpt.errors import UsageProblem, error
from cloudcpt.jobs.data_job import is_data_job, read_data_job
from cloudcpt.jobs.request import PLAN_HASH
from cloudcpt.plan.plan import Plan, read_plan
from cloudcpt.wire import PLAN_FILE


def hash_of(described: Description) -> str:
    """Give the hash of the plan that a job executes; empty when it is not one of cloudcpt's."""
    return str(described.get("HyperParameters", {}).get(PLAN_HASH, ""))


def adopt(described: Description, client: Any, region: str) -> tuple[CloudRecord, str]:
    """Make the record of a job that exists.

    Args:
        described: The job.
        client: Of S3.
        region: Of the job.

    Returns:
        The record, confirmed, and the text of its plan.

    Raises:
        UsageProblem: the job was not started by cloudcpt, or its plan is gone.
        PlanError: another version of cloudcpt has made the plan.
        CloudcptError: S3 cannot be asked.
    """
    name, plan_hash = described["TrainingJobName"], hash_of(described)
    account_id = described["TrainingJobArn"].split(":")[4]
    if not plan_hash:
        message = f"`{name}` is a training job in {region}, and not one that cloudcpt has started"
        raise UsageProblem(error("CPT442", message))
    content = _plan_bytes(described, client, plan_hash, account_id)
    plan = read_data_job(content) if is_data_job(content) else _plan(content, name)
    assert plan.launch is not None, f"job `{name}` runs in the cloud, so its plan is for the cloud"
    record = record_of(
        plan,
        name,
        attempt=attempt_of(plan.job_name, name) or 1,
        account_id=plan.launch.account_id or account_id,
        created_at=described["CreationTime"].timestamp(),
        is_confirmed=True,
        checkpoints_uri=described.get("CheckpointConfig", {}).get("S3Uri", ""),
    )
    return record, content.decode()


def _plan_bytes(described: Description, client: Any, plan_hash: str, owner: str) -> bytes:
    """Read plan.json from the papers that the job's channels are listed in, and hold it against the hash."""
    from blake3 import blake3

    for bucket, key in _plan_places(described, plan_hash):
        with translated(f"read `s3://{bucket}/{key}`"):
            try:
                answer = client.get_object(Bucket=bucket, Key=key, ExpectedBucketOwner=owner)
            except client.exceptions.NoSuchKey:
                continue
            content = bytes(answer["Body"].read())
        if blake3(content).hexdigest() == plan_hash:
            return content
    message = f"the plan of job `{described['TrainingJobName']}` is not in S3 any more, so nobody can tell what it is"
    raise UsageProblem(error("CPT442", message, hint="look at it from the machine that started it"))


def _plan_places(described: Description, plan_hash: str) -> Iterator[tuple[str, str]]:
    """Name the places of the plan: beside the manifest of a channel, under the plan's own hash."""
    seen = set()
    for channel in described.get("InputDataConfig", ()):
        uri = channel["DataSource"].get("S3DataSource", {}).get("S3Uri", "")
        above, middle, _ = uri.partition(f"/plans/{plan_hash}/")
        if middle and above not in seen:
            seen.add(above)
            bucket, _, key = f"{above}{middle}{PLAN_FILE}".removeprefix("s3://").partition("/")
            yield bucket, key


def _plan(content: bytes, name: str) -> Plan:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"{name}.json"
        path.write_bytes(content)
        return read_plan(path)
