"""What the cloud is told besides the training itself: where, as whom, in which network, with which limits.

Part of the plan, so that two submissions that differ in any of it are two jobs. Empty strings and zeros mean "none";
nothing here is decided later.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Mlflow:
    """Where the service logs to, for `MlflowConfig`.

    Args:
        tracking_arn: ARN of the tracking server or app.
        experiment: At most 256 characters; may be empty.
        run: At most 256 characters; may be empty.
    """

    tracking_arn: str
    experiment: str
    run: str


@dataclass(frozen=True, kw_only=True)
class CloudLaunch:
    """One training job's place in an AWS account.

    Args:
        region: Such as `us-east-1`.
        account_id: Owner of the buckets, twelve digits; empty for the account of whoever submits.
        role_arn: Execution role that the service assumes.
        image: Training image by digest; empty for a Nova recipe that names none, which is no training job.
        input_uri: `s3://bucket/prefix` without a `/` at its end; inputs lie below it under the hash of their content.
        output_uri: `s3://bucket/prefix` without a `/` at its end; the service writes to `<output_uri>/<job name>/`.
        input_kms_key: Encrypts what the client uploads; empty for the bucket's default.
        output_kms_key: Encrypts what the service writes; empty for its default.
        volume_kms_key: Encrypts an EBS volume; empty where the disks are local NVMe, which take no key.
        volume_gb: Size of an EBS volume; 0 where the disks are local NVMe.
        subnets: Of the VPC; empty for none.
        security_groups: Of the VPC; empty for none.
        network_isolation: The container can reach nothing but its peers.
        encrypt_traffic: Between the machines of the job; slows training on several.
        spot: Spare capacity that can be taken away.
        max_wait_s: Waiting and training together, for spot; 0 otherwise.
        max_pending_s: How long to wait for capacity; 0 for the service's own limit.
        keep_alive_s: Warm pool: keep the machines after the job, billed; 0 for none.
        training_plan_arn: Reserved capacity; empty for on-demand or spot.
        instance_preferences: Instance types to try, best first; empty to insist on the world's one.
        retry_attempts: After an internal error of the service; 0 for none.
        tags: Name and value.
        mlflow: None for none.
        budget_usd: Most that the job may cost; 0 for no limit. The time limit of the plan already respects it.
        model_package_group: ARN that the result is registered in, Nova only; empty for none.
    """

    region: str
    account_id: str
    role_arn: str
    image: str
    input_uri: str
    output_uri: str
    input_kms_key: str
    output_kms_key: str
    volume_kms_key: str
    volume_gb: int
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    network_isolation: bool
    encrypt_traffic: bool
    spot: bool
    max_wait_s: int
    max_pending_s: int
    keep_alive_s: int
    training_plan_arn: str
    instance_preferences: tuple[str, ...]
    retry_attempts: int
    tags: tuple[tuple[str, str], ...]
    mlflow: Mlflow | None
    budget_usd: float
    model_package_group: str
